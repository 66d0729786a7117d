//! Texts with fields in them: `{geo_country|unknown}`, `{time:yyyy-MM-dd}`.

use crate::record::Record;
use crate::scope::Scope;
use crate::value::{Kind, Value};

/// A text with fields, ready to be filled in.
#[derive(Debug, Default)]
pub(crate) struct Template(Vec<Part>);

#[derive(Debug)]
enum Part {
    Text(String),
    Field { slot: usize, date: Option<String>, otherwise: Option<String> },
}

/// The parts of a moment that a template can name; whatever else is no letter stays as it is.
const DATE_PARTS: [&str; 5] = ["yyyy", "MM", "dd", "HH", "mm"];

impl Template {
    /// Reads a template. Braces that are meant as such are written twice.
    ///
    /// # Errors
    /// What is wrong, and what to do.
    pub(crate) fn parse(text: &str, scope: &mut Scope) -> Result<Self, (String, String)> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '{' | '}' if chars.peek() == Some(&c) => {
                    literal.push(c);
                    chars.next();
                }
                '{' => {
                    let inside: String = chars.by_ref().take_while(|c| *c != '}').collect();
                    if !literal.is_empty() {
                        parts.push(Part::Text(std::mem::take(&mut literal)));
                    }
                    parts.push(field(&inside, scope)?);
                }
                '}' => {
                    let what = "a brace closes that was not opened".to_owned();
                    return Err((what, "write a brace that is meant as such twice".to_owned()));
                }
                c => literal.push(c),
            }
        }
        if !literal.is_empty() {
            parts.push(Part::Text(literal));
        }
        if parts.is_empty() {
            return Err(("it is empty".to_owned(), "write text or {field}".to_owned()));
        }
        Ok(Self(parts))
    }

    /// The text; `None` when it needs a field that the record lacks, or comes to nothing.
    pub(crate) fn fill(&self, record: &Record<'_>) -> Option<String> {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Text(part) => text.push_str(part),
                Part::Field { slot, date, otherwise } => {
                    let filled = match (record.values[*slot], date) {
                        (Value::Time(moment), Some(date)) => {
                            write_date(date, moment, &mut text);
                            true
                        }
                        (_, Some(_)) => false,
                        (value, None) => match value.text().filter(|value| !value.is_empty()) {
                            Some(value) => {
                                text.push_str(&value);
                                true
                            }
                            None => false,
                        },
                    };
                    if !filled {
                        text.push_str(otherwise.as_deref()?);
                    }
                }
            }
        }
        (!text.is_empty()).then_some(text)
    }

    /// The text of a template without fields.
    pub(crate) fn constant(&self) -> Option<&str> {
        match &self.0[..] {
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }
}

fn field(inside: &str, scope: &mut Scope) -> Result<Part, (String, String)> {
    let (inside, otherwise) = match inside.split_once('|') {
        Some((inside, otherwise)) => (inside, Some(otherwise.to_owned())),
        None => (inside, None),
    };
    let (name, date) = match inside.split_once(':') {
        Some((name, date)) => (name, Some(date.to_owned())),
        None => (inside, None),
    };
    let Some(known) = scope.find(name) else {
        let known = scope.names().join(", ");
        return Err((format!("there is no field {name:?} here"), format!("there are {known}")));
    };
    if let Some(date) = &date {
        if !matches!(known.field.kind, Kind::Timestamp | Kind::Any) {
            let what = format!("{name} is not a time");
            return Err((what, "read it with a timestamp step first".to_owned()));
        }
        if runs(date).any(|run| {
            run.starts_with(|c: char| c.is_ascii_alphabetic()) && !DATE_PARTS.contains(&run)
        }) {
            let what = format!("{date:?} is no form of a date");
            return Err((what, format!("its letters are {}", DATE_PARTS.join(", "))));
        }
    }
    Ok(Part::Field { slot: known.slot, date, otherwise })
}

fn write_date(date: &str, moment: crate::moment::Moment, out: &mut String) {
    for run in runs(date) {
        if !moment.part(run, out) {
            out.push_str(run);
        }
    }
}

/// The runs of equal characters.
fn runs(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let end = rest.find(|c| c != first).unwrap_or(rest.len());
        let (run, after) = rest.split_at(end);
        rest = after;
        Some(run)
    })
}
