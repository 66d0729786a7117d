//! Turning a field into another kind.

use crate::outcome::{Outcome, Reason};
use crate::record::Record;
use crate::value::{Kind, Value, whole};

/// The step.
pub(crate) struct Cast {
    slot: usize,
    kind: Kind,
    text: String,
}

impl Cast {
    pub(crate) fn new(slot: usize, kind: Kind) -> Self {
        Self { slot, kind, text: String::new() }
    }

    pub(crate) fn run<'r>(&'r mut self, record: &mut Record<'r>) -> Option<Outcome> {
        let value = record.values[self.slot];
        let cast = match (self.kind, value) {
            (_, Value::Null) => Some(Value::Null),
            (Kind::Integer, Value::Integer(_))
            | (Kind::Float, Value::Float(..))
            | (Kind::Boolean, Value::Bool(_))
            | (Kind::Timestamp, Value::Time(_)) => Some(value),
            (Kind::Integer, Value::Bool(value)) => Some(Value::Integer(i64::from(value))),
            (Kind::Integer, Value::Float(value, _)) => whole(value).map(Value::Integer),
            (kind, value) => {
                self.text.clear();
                self.text.push_str(&value.text().unwrap_or_default());
                match self.text.as_str() {
                    "" if kind != Kind::Text => Some(Value::Null),
                    text => kind.read(text),
                }
            }
        };
        match cast {
            Some(value) => {
                record.values[self.slot] = value;
                None
            }
            None => Some(Outcome::ProcessingFailed(Reason::Cast)),
        }
    }
}
