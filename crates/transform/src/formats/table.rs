//! Values separated by a character: CSV as in RFC 4180, and TSV.

use std::borrow::Cow;

use super::open::Open;
use super::{Keys, Read, cell, column_name, failed};
use crate::outcome::{Outcome, Reason};
use crate::record::Record;
use crate::value::{Kind, Value};

/// The input.
#[derive(Debug)]
pub(crate) struct Table {
    delimiter: u8,
    columns: Columns,
    cells: Vec<Cell>,
    /// Cells whose quotes were undone.
    undone: String,
}

/// Where the names of the columns come from.
#[derive(Debug)]
enum Columns {
    /// The pipeline names them; a line that repeats the names is a header.
    Named(Vec<(String, usize, Kind)>),
    /// The first line of a record names them.
    Header { names: Vec<String>, known: bool, open: Open },
}

#[derive(Debug, Clone, Copy)]
struct Cell {
    undone: bool,
    from: usize,
    to: usize,
}

impl Table {
    pub(crate) fn named(delimiter: u8, columns: Vec<(String, usize, Kind)>) -> Self {
        Self::new(delimiter, Columns::Named(columns))
    }

    pub(crate) fn with_header(delimiter: u8, keys: Keys) -> Self {
        let open = Open::new(Vec::new(), true, keys);
        Self::new(delimiter, Columns::Header { names: Vec::new(), known: false, open })
    }

    /// Whether the first line of a record names the columns.
    pub(crate) const fn has_header(&self) -> bool {
        matches!(self.columns, Columns::Header { .. })
    }

    fn new(delimiter: u8, columns: Columns) -> Self {
        Self { delimiter, columns, cells: Vec::new(), undone: String::new() }
    }

    pub(super) fn want(&mut self, wanted: &[(String, usize)]) {
        if let Columns::Header { open, .. } = &mut self.columns {
            open.want(wanted);
        }
    }

    pub(super) fn begin(&mut self) {
        if let Columns::Header { known, .. } = &mut self.columns {
            *known = false;
        }
    }

    pub(super) fn read<'r>(&'r mut self, line: &'r str, record: &mut Record<'r>) -> Read {
        split(line, self.delimiter, &mut self.cells, &mut self.undone)?;
        let undone = &*self.undone;
        let text = |cell: &Cell| -> &'r str {
            let source = if cell.undone { undone } else { line };
            source.get(cell.from..cell.to).unwrap_or_default()
        };
        match &mut self.columns {
            Columns::Named(columns) => {
                if columns.len() == self.cells.len()
                    && columns
                        .iter()
                        .zip(&self.cells)
                        .all(|((name, ..), c)| column_name(text(c)) == *name)
                {
                    return Err(Outcome::Dropped(Reason::Header));
                }
                count(columns.len(), self.cells.len())?;
                for ((_, slot, kind), each) in columns.iter().zip(&self.cells) {
                    record.values[*slot] = cell(*kind, text(each))?;
                }
            }
            Columns::Header { names, known, .. } if !*known => {
                *known = true;
                names.clear();
                names.extend(self.cells.iter().map(|cell| text(cell).to_owned()));
                return Err(Outcome::Dropped(Reason::Header));
            }
            Columns::Header { names, open, .. } => {
                count(names.len(), self.cells.len())?;
                for (name, each) in names.iter().zip(&self.cells) {
                    let text = text(each);
                    let value = if text.is_empty() { Value::Null } else { Value::Text(text) };
                    open.put(Cow::Borrowed(name.as_str()), value, text, record)?;
                }
                Open::end(record);
            }
        }
        Ok(())
    }
}

/// As many cells as columns, no fewer and no more.
pub(super) fn count(columns: usize, cells: usize) -> Read {
    match cells.cmp(&columns) {
        std::cmp::Ordering::Less => Err(failed(Reason::MissingField)),
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Greater => Err(failed(Reason::TrailingBytes)),
    }
}

/// Finds the cells of a line. A cell in quotes may hold the delimiter, line breaks, and quotes
/// written twice.
fn split(line: &str, delimiter: u8, cells: &mut Vec<Cell>, undone: &mut String) -> Read {
    cells.clear();
    undone.clear();
    let bytes = line.as_bytes();
    let mut from = 0;
    loop {
        if bytes.get(from) == Some(&b'"') {
            let start = undone.len();
            let (mut at, mut twice) = (from + 1, false);
            let end = loop {
                let quote = memchr::memchr(b'"', bytes.get(at..).unwrap_or_default())
                    .map(|quote| quote + at)
                    .ok_or(failed(Reason::UnclosedQuote))?;
                if bytes.get(quote + 1) != Some(&b'"') {
                    break quote;
                }
                undone.push_str(&line[at..=quote]);
                twice = true;
                at = quote + 2;
            };
            if twice {
                undone.push_str(&line[at..end]);
                cells.push(Cell { undone: true, from: start, to: undone.len() });
            } else {
                cells.push(Cell { undone: false, from: from + 1, to: end });
            }
            match bytes.get(end + 1) {
                None => return Ok(()),
                Some(byte) if *byte == delimiter => from = end + 2,
                Some(_) => return Err(failed(Reason::TrailingBytes)),
            }
        } else {
            let end = memchr::memchr(delimiter, &bytes[from..]).map(|end| end + from);
            cells.push(Cell { undone: false, from, to: end.unwrap_or(bytes.len()) });
            match end {
                None => return Ok(()),
                Some(end) => from = end + 1,
            }
        }
    }
}

/// The rows of a whole text in CSV; `None` for one that is not.
pub(crate) fn csv_rows(text: &str) -> impl Iterator<Item = Option<Vec<String>>> {
    super::unwrap::rows(text.as_bytes()).map(|row| {
        let row = row.strip_suffix(b"\r").unwrap_or(row);
        let row = std::str::from_utf8(row).ok()?;
        let (mut cells, mut undone) = (Vec::new(), String::new());
        split(row, b',', &mut cells, &mut undone).ok()?;
        let text = |cell: &Cell| {
            let source = if cell.undone { &undone } else { row };
            source.get(cell.from..cell.to).unwrap_or_default().to_owned()
        };
        Some(cells.iter().map(text).collect())
    })
}
