//! Inputs whose records can have any fields: those that the pipeline names go into slots, the
//! others follow them.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use super::{Read, failed};
use crate::outcome::Reason;
use crate::record::Record;
use crate::value::{Kind, Value, whole};

/// More fields than a table has columns.
const FIELDS_LIMIT: usize = 1_024;

/// How the names of fields come out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keys {
    /// Lower case, with `_` for whatever a column's name cannot hold.
    Lower,
    /// As they are.
    AsIs,
}

impl Keys {
    pub(crate) const NAMED: &[(&str, Self)] = &[("lower", Self::Lower), ("as_is", Self::AsIs)];
}

/// Where the fields of an input go.
#[derive(Debug)]
pub(crate) struct Open {
    slots: HashMap<String, (usize, Kind)>,
    keep_others: bool,
    keys: Keys,
}

impl Open {
    pub(crate) fn new(declared: Vec<(String, usize, Kind)>, keep_others: bool, keys: Keys) -> Self {
        let slots = declared.into_iter().map(|(name, slot, kind)| (name, (slot, kind))).collect();
        Self { slots, keep_others, keys }
    }

    pub(crate) fn want(&mut self, wanted: &[(String, usize)]) {
        for (name, slot) in wanted {
            self.slots.entry(name.clone()).or_insert((*slot, Kind::Any));
        }
    }

    /// Puts a field where it belongs; `written` is how the record writes a value that is no text. Of a
    /// field that is there twice the last one counts.
    pub(crate) fn put<'r>(
        &self,
        name: Cow<'r, str>,
        value: Value<'r>,
        written: &'r str,
        record: &mut Record<'r>,
    ) -> Read {
        let name = match self.keys {
            Keys::Lower => lower(name),
            Keys::AsIs => name,
        };
        if let Some((slot, kind)) = self.slots.get(&*name) {
            record.values[*slot] = declared(*kind, value, written)?;
        } else if self.keep_others && !value.is_null() {
            if record.others.len() >= FIELDS_LIMIT {
                return Err(failed(Reason::TooManyFields));
            }
            record.others.push((name, value));
        }
        Ok(())
    }

    /// Every field is there: of those that came twice, the first goes.
    pub(crate) fn end(record: &mut Record<'_>) {
        let others = &record.others;
        let twice = match others.len() {
            0 | 1 => false,
            2..=16 => others
                .iter()
                .enumerate()
                .any(|(at, (name, _))| others[..at].iter().any(|(earlier, _)| earlier == name)),
            _ => {
                let names: HashSet<_> = others.iter().map(|(name, _)| name).collect();
                names.len() < others.len()
            }
        };
        if twice {
            let mut last = HashMap::new();
            for (at, (name, _)) in others.iter().enumerate() {
                last.insert(name.clone().into_owned(), at);
            }
            let mut at = 0;
            record.others.retain(|(name, _)| {
                at += 1;
                last.get(&**name) == Some(&(at - 1))
            });
        }
    }
}

/// A value as the kind that the pipeline declares for it.
fn declared<'r>(
    kind: Kind,
    value: Value<'r>,
    written: &'r str,
) -> Result<Value<'r>, super::Outcome> {
    let fits = match (kind, value) {
        (Kind::Any, value) | (_, value @ Value::Null) => Some(value),
        (Kind::Integer, Value::Integer(_))
        | (Kind::Float, Value::Float(..))
        | (Kind::Boolean, Value::Bool(_))
        | (Kind::Text, Value::Text(_) | Value::Escaped(_) | Value::Logged(_)) => Some(value),
        (Kind::Float, Value::Integer(_)) => Some(value),
        // Some writers know only one kind of number.
        (Kind::Integer, Value::Float(number, _)) => whole(number).map(Value::Integer),
        (_, Value::Text("")) => Some(Value::Null),
        (kind, Value::Text(text)) => kind.read(text),
        (Kind::Text, Value::Integer(_) | Value::Float(..) | Value::Bool(_) | Value::Json(_)) => {
            Some(Value::Text(written))
        }
        _ => None,
    };
    fits.ok_or(failed(Reason::BadField))
}

/// A name as a column of a table can have it.
pub(crate) fn column_name(name: &str) -> String {
    lower(Cow::Borrowed(name)).into_owned()
}

fn lower(name: Cow<'_, str>) -> Cow<'_, str> {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    if name.bytes().all(fits) {
        return name;
    }
    let lower =
        |c: char| if c.is_alphanumeric() { c.to_lowercase().next().unwrap_or(c) } else { '_' };
    Cow::Owned(name.chars().map(lower).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_those_of_columns() {
        for (name, expected) in [
            ("status_code", "status_code"),
            ("userAgent", "useragent"),
            ("http.status-code", "http_status_code"),
            ("Größe (mm)", "größe__mm_"),
            ("", ""),
        ] {
            assert_eq!(column_name(name), expected);
        }
    }
}
