//! Setting a field to what an expression is worth.

use cel::Value as Cel;

use super::expression::{Expression, Wrong};
use crate::outcome::{Outcome, Reason};
use crate::record::Record;
use crate::scope::{Field, Scope};
use crate::value::{Kind, Value};

/// The step.
pub(crate) struct Set {
    expression: Expression,
    slot: usize,
    text: String,
}

impl Set {
    pub(crate) fn compile(name: &str, text: &str, scope: &mut Scope) -> Result<Self, Vec<Wrong>> {
        let (expression, sample) = Expression::compile(text, scope)?;
        let kind = match sample {
            None | Some(Cel::Null) => Kind::Any,
            Some(Cel::Bool(_)) => Kind::Boolean,
            Some(Cel::Int(_) | Cel::UInt(_)) => Kind::Integer,
            Some(Cel::Float(_)) => Kind::Float,
            Some(Cel::String(_)) => Kind::Text,
            Some(other) => {
                let what = format!("the expression is a {}", other.type_of());
                let remedy = "a field holds text, a number, true or false: take one out of it";
                return Err(vec![(what, remedy.to_owned())]);
            }
        };
        let slot = scope.define(Field::new(name, kind));
        Ok(Self { expression, slot, text: String::new() })
    }

    pub(crate) fn run<'r>(&'r mut self, record: &mut Record<'r>) -> Option<Outcome> {
        let Self { expression, slot, text } = self;
        let value = match expression.evaluate(record) {
            Ok(Cel::Null) => Value::Null,
            Ok(Cel::Bool(value)) => Value::Bool(value),
            Ok(Cel::Int(value)) => Value::Integer(value),
            Ok(Cel::UInt(value)) if i64::try_from(value).is_ok() => Value::Integer(value as i64),
            Ok(Cel::Float(value)) if value.is_finite() => {
                *text = serde_json::Value::from(value).to_string();
                Value::Float(value, text)
            }
            Ok(Cel::String(value)) => {
                text.clear();
                text.push_str(&value);
                Value::Text(text)
            }
            _ => return Some(Outcome::ProcessingFailed(Reason::Set)),
        };
        record.values[*slot] = value;
        None
    }
}
