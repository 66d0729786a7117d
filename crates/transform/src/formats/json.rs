//! A JSON object.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::open::Open;
use super::{Read, failed};
use crate::outcome::{Outcome, Reason};
use crate::record::Record;
use crate::value::Value;

/// How deep objects are taken apart; what lies deeper stays JSON.
const FLATTEN_LIMIT: usize = 8;

/// The input.
#[derive(Debug)]
pub(crate) struct Json {
    pub(super) open: Open,
    flatten: bool,
}

impl Json {
    pub(super) fn new(open: Open, flatten: bool) -> Self {
        Self { open, flatten }
    }

    pub(super) fn read<'r>(&'r self, text: &'r str, record: &mut Record<'r>) -> Read {
        let depth = if self.flatten { FLATTEN_LIMIT } else { 0 };
        let read = self.members("", depth, text, record);
        Open::end(record);
        read
    }

    fn members<'r>(
        &'r self,
        prefix: &str,
        depth: usize,
        text: &'r str,
        record: &mut Record<'r>,
    ) -> Read {
        let mut reader = serde_json::Deserializer::from_str(text);
        let mut put = |name: Cow<'r, str>, raw: &'r str| {
            let name =
                if prefix.is_empty() { name } else { Cow::Owned(format!("{prefix}_{name}")) };
            if depth > 0 && raw.starts_with('{') {
                return self.members(&name, depth - 1, raw, record);
            }
            self.open.put(name, value(raw)?, raw, record)
        };
        let visited =
            reader.deserialize_map(Members(&mut put)).ok().filter(|_| reader.end().is_ok());
        visited.unwrap_or(Err(failed(Reason::NotJson)))
    }
}

/// Hands each member over, undecoded.
struct Members<'p, P>(&'p mut P);

impl<'de, P: FnMut(Cow<'de, str>, &'de str) -> Read> Visitor<'de> for Members<'_, P> {
    type Value = Read;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut members: M) -> Result<Read, M::Error> {
        let mut read = Ok(());
        while let Some(Name(name)) = members.next_key()? {
            let value: &RawValue = members.next_value()?;
            if read.is_ok() {
                read = (self.0)(name, value.get());
            }
        }
        Ok(read)
    }
}

/// A name, borrowed unless it holds escapes; serde alone would copy every one.
struct Name<'a>(Cow<'a, str>);

impl<'de> serde::Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Borrowed(name)))
            }

            fn visit_str<E>(self, name: &str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Owned(name.to_owned())))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// A value as it is written.
fn value(raw: &str) -> Result<Value<'_>, Outcome> {
    Ok(match raw.as_bytes() {
        b"null" => Value::Null,
        b"true" => Value::Bool(true),
        b"false" => Value::Bool(false),
        [b'"', inside @ .., b'"'] => match memchr::memchr(b'\\', inside) {
            None => Value::Text(&raw[1..raw.len() - 1]),
            Some(_) => readable::<String>(raw, Value::Escaped(raw))?,
        },
        [b'{' | b'[', ..] => match memchr::memmem::find(raw.as_bytes(), b"\\u") {
            None => Value::Json(raw),
            Some(_) => readable::<serde_json::Value>(raw, Value::Json(raw))?,
        },
        _ => match raw.parse() {
            Ok(integer) => Value::Integer(integer),
            Err(_) => match raw.parse::<f64>() {
                Ok(float) if float.is_finite() => Value::Float(float, raw),
                _ => return Err(failed(Reason::NotJson)),
            },
        },
    })
}

/// Half of a surrogate pair is JSON by its grammar, and no text: no reader after this one would
/// take it.
fn readable<'r, T: serde::Deserialize<'r>>(
    raw: &'r str,
    value: Value<'r>,
) -> Result<Value<'r>, Outcome> {
    serde_json::from_str::<T>(raw).map(|_| value).map_err(|_| failed(Reason::NotJson))
}
