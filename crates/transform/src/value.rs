//! One field's value on its way from the input to the output, borrowed wherever it can be.

use std::borrow::Cow;

use cel::common::types::{CelBool, CelDouble, CelInt, CelNull, CelString};
use cel::common::value::{CowVal, Val};

use crate::formats::apache::Text;
use crate::json;
use crate::moment::{Moment, TimeFormat};

/// What a field holds, as a pipeline names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Text,
    /// A whole number of 64 bits.
    Integer,
    /// A number.
    Float,
    /// True or false.
    Boolean,
    /// A moment in UTC.
    Timestamp,
    /// Whatever the record holds there.
    Any,
}

impl Kind {
    /// The kinds that a pipeline can name.
    pub const NAMED: &[(&str, Self)] = &[
        ("text", Self::Text),
        ("integer", Self::Integer),
        ("float", Self::Float),
        ("boolean", Self::Boolean),
        ("timestamp", Self::Timestamp),
    ];

    /// The type of a column of a Glue table that takes the field.
    pub const fn column_type(self) -> &'static str {
        match self {
            Self::Text | Self::Any => "string",
            Self::Integer => "bigint",
            Self::Float => "double",
            Self::Boolean => "boolean",
            Self::Timestamp => "timestamp",
        }
    }

    /// Reads a text as a value of this kind.
    pub(crate) fn read<'r>(self, text: &'r str) -> Option<Value<'r>> {
        match self {
            Self::Text | Self::Any => Some(Value::Text(text)),
            Self::Integer => Some(Value::Integer(text.parse().ok()?)),
            Self::Float => float(text),
            Self::Boolean => match text {
                "true" | "True" | "TRUE" | "1" => Some(Value::Bool(true)),
                "false" | "False" | "FALSE" | "0" => Some(Value::Bool(false)),
                _ => None,
            },
            Self::Timestamp => TimeFormat::Iso8601.parse(text).map(Value::Time),
        }
    }

    /// An ordinary value of this kind, to try an expression on.
    pub(crate) const fn sample(self) -> Value<'static> {
        match self {
            Self::Text => Value::Text("text"),
            Self::Integer => Value::Integer(200),
            Self::Float => Value::Float(0.5, "0.5"),
            Self::Boolean => Value::Bool(true),
            Self::Timestamp => Value::Time(Moment::EPOCH),
            Self::Any => Value::Null,
        }
    }
}

/// A number with the text that it is written as, which is JSON.
fn float(text: &str) -> Option<Value<'_>> {
    // What JSON allows; `parse` takes infinities and a leading plus too.
    serde_json::from_str::<serde_json::Number>(text).ok()?;
    let value: f64 = text.parse().ok()?;
    value.is_finite().then_some(Value::Float(value, text))
}

/// A number without a fraction, within what 64 bits hold.
#[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
pub(crate) fn whole(value: f64) -> Option<i64> {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    (value.fract() == 0.0 && (-LIMIT..LIMIT).contains(&value)).then_some(value as i64)
}

/// A value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Value<'r> {
    /// The record has no such field.
    Null,
    Bool(bool),
    Integer(i64),
    /// A finite number, and how it is written in JSON.
    Float(f64, &'r str),
    Text(&'r str),
    /// Text with the backslash escapes of an access log.
    Logged(Text<'r>),
    /// A JSON string with its quotes and escapes, known to be readable.
    Escaped(&'r str),
    /// An object or a list, as JSON.
    Json(&'r str),
    Time(Moment),
}

impl<'r> Value<'r> {
    pub(crate) const fn is_null(self) -> bool {
        matches!(self, Self::Null)
    }

    /// Text, or null for an empty one and for `-`.
    pub(crate) fn unless_dash(text: &'r str) -> Self {
        if matches!(text, "" | "-") { Self::Null } else { Self::Text(text) }
    }

    /// The value as text; `None` for null.
    pub(crate) fn text(self) -> Option<Cow<'r, str>> {
        Some(match self {
            Self::Null => return None,
            Self::Bool(value) => Cow::Borrowed(if value { "true" } else { "false" }),
            Self::Integer(value) => Cow::Owned(value.to_string()),
            Self::Text(text) | Self::Json(text) | Self::Float(_, text) => Cow::Borrowed(text),
            Self::Logged(text) => text.decoded(),
            Self::Escaped(text) => Cow::Owned(serde_json::from_str(text).unwrap_or_default()),
            Self::Time(moment) => Cow::Owned(moment.to_text()),
        })
    }

    /// Appends the value as JSON.
    pub(crate) fn write(self, out: &mut Vec<u8>) {
        match self {
            Self::Null => out.extend_from_slice(b"null"),
            Self::Bool(value) => {
                out.extend_from_slice(if value { b"true" } else { b"false" });
            }
            Self::Integer(value) => json::integer(out, value),
            Self::Float(_, text) | Self::Escaped(text) => out.extend_from_slice(text.as_bytes()),
            Self::Text(text) => json::string(out, text),
            Self::Logged(text) => match text.as_plain() {
                Some(text) => {
                    out.push(b'"');
                    out.extend_from_slice(text.as_bytes());
                    out.push(b'"');
                }
                None => json::string(out, &text.decoded()),
            },
            Self::Json(text) => json::one_line(out, text),
            Self::Time(moment) => {
                out.push(b'"');
                moment.write(out);
                out.push(b'"');
            }
        }
    }

    /// The value as a variable of an expression. Times are text, as they come out.
    pub(crate) fn variable(self) -> CowVal<'r, 'r> {
        match self {
            Self::Null => CowVal::owned(CelNull),
            Self::Bool(value) => CowVal::owned(CelBool::from(value)),
            Self::Integer(value) => CowVal::owned(CelInt::from(value)),
            Self::Float(value, _) => CowVal::owned(CelDouble::from(value)),
            Self::Json(text) => nested(text),
            Self::Text(text) => CowVal::owned(CelString::from(text)),
            _ => match self.text() {
                Some(text) => CowVal::owned(CelString::from(text)),
                None => CowVal::owned(CelNull),
            },
        }
    }
}

/// An object or a list as a map or a list.
fn nested(text: &str) -> CowVal<'_, '_> {
    let value = serde_json::from_str::<serde_json::Value>(text).map_or(cel::Value::Null, cel_value);
    match <Box<dyn Val>>::try_from(value) {
        Ok(value) => CowVal::from(value),
        Err(_) => CowVal::owned(CelNull),
    }
}

fn cel_value(value: serde_json::Value) -> cel::Value {
    match value {
        serde_json::Value::Null => cel::Value::Null,
        serde_json::Value::Bool(value) => cel::Value::Bool(value),
        serde_json::Value::Number(number) => match number.as_i64() {
            Some(value) => cel::Value::Int(value),
            None => cel::Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        serde_json::Value::String(text) => cel::Value::String(text.into()),
        serde_json::Value::Array(items) => {
            cel::Value::List(items.into_iter().map(cel_value).collect::<Vec<_>>().into())
        }
        serde_json::Value::Object(members) => {
            let members: std::collections::HashMap<String, cel::Value> =
                members.into_iter().map(|(name, value)| (name, cel_value(value))).collect();
            cel::Value::Map(members.into())
        }
    }
}
