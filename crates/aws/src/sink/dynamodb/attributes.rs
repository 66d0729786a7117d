//! JSON as attributes of an item, with numbers as they are written: a number of the stream may have
//! more digits than a machine's.

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use tidegate_consumer::BoxError;

/// "Quotas in Amazon DynamoDB", Developer Guide, 2026-11: 32 levels.
const DEPTH_MAX: usize = 32;

/// Why a record is no item.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MappingError {
    #[error("the record is not JSON")]
    Json(#[source] BoxError),
    #[error("the record is not a JSON object")]
    NoObject,
    #[error("the record is nested more than {DEPTH_MAX} deep")]
    TooDeep,
    #[error("the record has a field {0} of its own")]
    Taken(String),
    #[error("the record has no field {0}, which is the table's key")]
    NoKey(String),
    #[error("an item of {0} bytes is more than the 400 KB that a table takes")]
    TooLarge(usize),
}

impl MappingError {
    fn json(error: serde_json::Error) -> Self {
        Self::Json(error.into())
    }
}

/// The attributes of an item, each as JSON of the service.
pub(crate) struct Attributes {
    all: BTreeMap<String, String>,
    bytes: usize,
}

impl Attributes {
    /// The fields of a JSON object.
    pub(crate) fn of(data: &[u8]) -> Result<Self, MappingError> {
        // A raw value is read without recursion, whatever its depth.
        let whole: &RawValue = serde_json::from_slice(data).map_err(MappingError::json)?;
        if !whole.get().starts_with('{') {
            return Err(MappingError::NoObject);
        }
        let mut bytes = 0;
        let all = fields(whole.get(), 1, &mut bytes)?;
        Ok(Self { all, bytes })
    }

    /// Adds an attribute, which is a text.
    pub(crate) fn insert_text(&mut self, name: &str, text: &str) -> Result<(), MappingError> {
        if self.all.contains_key(name) {
            return Err(MappingError::Taken(name.to_owned()));
        }
        self.bytes += name.len() + text.len();
        let text = serde_json::json!({ "S": text });
        self.all.insert(name.to_owned(), text.to_string());
        Ok(())
    }

    /// An attribute as JSON of the service.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.all.get(name).map(String::as_str)
    }

    /// At least so many bytes of an item: names and texts, and a byte for each other value.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// All of it as an item.
    pub(crate) fn into_json(self) -> Result<Box<RawValue>, MappingError> {
        RawValue::from_string(object(&self.all)?).map_err(MappingError::json)
    }
}

/// An object of values that are JSON already.
fn object(fields: &BTreeMap<String, String>) -> Result<String, MappingError> {
    let mut text = String::from("{");
    for (name, value) in fields {
        if text.len() > 1 {
            text.push(',');
        }
        text.push_str(&serde_json::to_string(name).map_err(MappingError::json)?);
        text.push(':');
        text.push_str(value);
    }
    text.push('}');
    Ok(text)
}

/// Of a field that is given twice, the last one counts.
fn fields(
    json: &str,
    depth: usize,
    bytes: &mut usize,
) -> Result<BTreeMap<String, String>, MappingError> {
    let raw: BTreeMap<String, &RawValue> =
        serde_json::from_str(json).map_err(MappingError::json)?;
    let mut all = BTreeMap::new();
    for (name, value) in raw {
        *bytes += name.len();
        all.insert(name, attribute(value.get(), depth + 1, bytes)?);
    }
    Ok(all)
}

fn attribute(json: &str, depth: usize, bytes: &mut usize) -> Result<String, MappingError> {
    if depth > DEPTH_MAX {
        return Err(MappingError::TooDeep);
    }
    *bytes += 1;
    Ok(match json.as_bytes().first() {
        Some(b'{') => format!(r#"{{"M":{}}}"#, object(&fields(json, depth, bytes)?)?),
        Some(b'[') => {
            let raw: Vec<&RawValue> = serde_json::from_str(json).map_err(MappingError::json)?;
            let values: Result<Vec<_>, _> =
                raw.iter().map(|value| attribute(value.get(), depth + 1, bytes)).collect();
            format!(r#"{{"L":[{}]}}"#, values?.join(","))
        }
        Some(b'"') => {
            let text: String = serde_json::from_str(json).map_err(MappingError::json)?;
            *bytes += text.len();
            format!(r#"{{"S":{json}}}"#)
        }
        Some(b't' | b'f') => format!(r#"{{"BOOL":{json}}}"#),
        Some(b'n') => r#"{"NULL":true}"#.to_owned(),
        _ => format!(r#"{{"N":"{json}"}}"#),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapped(json: &str) -> Result<String, String> {
        let item = Attributes::of(json.as_bytes()).and_then(Attributes::into_json);
        item.map(|item| item.get().to_owned()).map_err(|error| error.to_string())
    }

    #[test]
    fn json_is_attributes() {
        let cases = [
            ("{}", "{}"),
            (r#"{"a":"x\"y"}"#, r#"{"a":{"S":"x\"y"}}"#),
            (r#"{"a":12345678901234567890123.50}"#, r#"{"a":{"N":"12345678901234567890123.50"}}"#),
            (
                r#"{"a":-1e-7,"b":true,"c":null}"#,
                r#"{"a":{"N":"-1e-7"},"b":{"BOOL":true},"c":{"NULL":true}}"#,
            ),
            (r#"{"a":[1,{"b":[]}]}"#, r#"{"a":{"L":[{"N":"1"},{"M":{"b":{"L":[]}}}]}}"#),
            (r#" {"a" : { } , "a":"last"} "#, r#"{"a":{"S":"last"}}"#),
        ];
        for (json, expected) in cases {
            assert_eq!(mapped(json).as_deref(), Ok(expected), "{json}");
        }
    }

    #[test]
    fn what_is_no_item() {
        let deep = |depth| format!(r#"{{"a":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
        let cases = [
            ("[]".to_owned(), Err("the record is not a JSON object")),
            ("x".to_owned(), Err("the record is not JSON")),
            (deep(32), Err("the record is nested more than 32 deep")),
            (deep(100_000), Err("the record is nested more than 32 deep")),
            (deep(31), Ok(())),
        ];
        for (json, expected) in cases {
            let found = mapped(&json).map(|_| ());
            assert_eq!(found.as_ref().map(|_| ()).map_err(String::as_str), expected);
        }
    }

    #[test]
    fn an_item_is_no_larger_than_it_is_counted() {
        let item = Attributes::of(br#"{"name":"value","n":1,"list":["x"]}"#).unwrap();
        // Names 4 + 1 + 4, texts 5 + 1, and a byte for each of four values.
        assert_eq!(item.bytes(), 19);
    }
}
