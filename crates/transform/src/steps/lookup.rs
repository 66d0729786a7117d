//! Looking a field up in a table.

use std::collections::HashMap;

use crate::outcome::{Outcome, Reason};
use crate::record::Record;
use crate::value::{Kind, Value};

/// More rows than fit a function's memory well.
const ROWS_LIMIT: usize = 1_000_000;

/// A value of a table.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell {
    Null,
    Bool(bool),
    Integer(i64),
    Float(f64, Box<str>),
    Text(Box<str>),
}

impl Cell {
    pub(crate) const fn kind(&self) -> Kind {
        match self {
            Self::Null => Kind::Any,
            Self::Bool(_) => Kind::Boolean,
            Self::Integer(_) => Kind::Integer,
            Self::Float(..) => Kind::Float,
            Self::Text(_) => Kind::Text,
        }
    }

    fn value(&self) -> Value<'_> {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(*value),
            Self::Integer(value) => Value::Integer(*value),
            Self::Float(value, text) => Value::Float(*value, text),
            Self::Text(text) => Value::Text(text),
        }
    }

    pub(crate) fn from_json(value: &serde_json::Value) -> Self {
        match value {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(value) => Self::Bool(*value),
            serde_json::Value::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(value), _) => Self::Integer(value),
                (None, Some(value)) => Self::Float(value, number.to_string().into()),
                (None, None) => Self::Null,
            },
            serde_json::Value::String(text) => Self::Text(text.as_str().into()),
            nested => Self::Text(nested.to_string().into()),
        }
    }
}

/// What a table says, by its key.
pub(crate) type Rows = HashMap<Box<str>, Box<[Cell]>>;

/// The step.
pub(crate) struct Lookup {
    field: usize,
    rows: Rows,
    /// Where each column goes.
    into: Vec<usize>,
    /// Whether a value that is not in the table fails the record.
    must: bool,
}

impl Lookup {
    pub(crate) fn new(field: usize, rows: Rows, into: Vec<usize>, must: bool) -> Self {
        Self { field, rows, into, must }
    }

    pub(crate) fn run<'r>(&'r self, record: &mut Record<'r>) -> Option<Outcome> {
        let key = record.values[self.field].text();
        let row = key.and_then(|key| self.rows.get(&*key));
        if row.is_none() && self.must {
            return Some(Outcome::ProcessingFailed(Reason::NotInTable));
        }
        for (index, slot) in self.into.iter().enumerate() {
            record.values[*slot] =
                row.and_then(|row| row.get(index)).map_or(Value::Null, Cell::value);
        }
        None
    }
}

/// Reads a table: CSV with a header, or a JSON list of objects. The first row of a key counts.
///
/// # Errors
/// What is wrong, and what to do.
pub(crate) fn read(bytes: &[u8], key: &str, columns: &[String]) -> Result<Rows, (String, String)> {
    let wrong = |what: &str, remedy: &str| (what.to_owned(), remedy.to_owned());
    let text = std::str::from_utf8(bytes)
        .map_err(|_| wrong("the table is not UTF-8", "save it as UTF-8"))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let (names, table) =
        if text.trim_start().starts_with('[') { json_table(text)? } else { csv_table(text)? };
    if table.len() > ROWS_LIMIT {
        let what = format!("the table has {} rows", table.len());
        return Err((what, format!("{ROWS_LIMIT} are the most")));
    }
    let place = |column: &str| {
        names.iter().position(|name| name == column).ok_or_else(|| {
            let what = format!("the table has no column {column:?}");
            (what, format!("there are {}", names.join(", ")))
        })
    };
    let key = place(key)?;
    let places = columns.iter().map(|column| place(column)).collect::<Result<Vec<_>, _>>()?;
    let mut rows = Rows::new();
    for row in table {
        let cell = |place: usize| row.get(place).cloned().unwrap_or(Cell::Null);
        if let Some(key) = cell(key).value().text() {
            let cells = places.iter().map(|place| cell(*place)).collect();
            rows.entry(key.into()).or_insert(cells);
        }
    }
    Ok(rows)
}

type Named = (Vec<String>, Vec<Vec<Cell>>);

fn json_table(text: &str) -> Result<Named, (String, String)> {
    let objects: Vec<serde_json::Map<String, serde_json::Value>> = serde_json::from_str(text)
        .map_err(|error| {
            (format!("the table is not JSON: {error}"), "write a list of objects".to_owned())
        })?;
    let mut names: Vec<String> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for name in objects.iter().flat_map(|object| object.keys()) {
        if seen.insert(name) {
            names.push(name.clone());
        }
    }
    let null = serde_json::Value::Null;
    let rows = objects
        .iter()
        .map(|object| {
            names.iter().map(|name| Cell::from_json(object.get(name).unwrap_or(&null))).collect()
        })
        .collect();
    Ok((names, rows))
}

fn csv_table(text: &str) -> Result<Named, (String, String)> {
    let mut lines = crate::formats::csv_rows(text).enumerate();
    let wrong = |line: usize| {
        let what = format!("row {} of the table is not CSV", line + 1);
        (what, "close every quote, and separate cells by commas".to_owned())
    };
    let Some((_, header)) = lines.next() else {
        return Err(("the table is empty".to_owned(), "write a header and rows".to_owned()));
    };
    let names = header.ok_or_else(|| wrong(0))?;
    let mut rows = Vec::new();
    for (line, row) in lines {
        let row = row.filter(|row| row.len() <= names.len()).ok_or_else(|| wrong(line))?;
        let cell = |text: String| match text.as_str() {
            "" => Cell::Null,
            text => Cell::Text(text.into()),
        };
        rows.push(row.into_iter().map(cell).collect());
    }
    Ok((names, rows))
}

/// A table that is written in the pipeline itself.
pub(crate) fn inline(pairs: Vec<(String, Cell)>) -> Rows {
    pairs.into_iter().map(|(key, cell)| (key.into(), [cell].into())).collect()
}
