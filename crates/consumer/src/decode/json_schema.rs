//! JSON that follows a schema.

use std::fmt;
use std::marker::PhantomData;

use jsonschema::{PatternOptions, Validator};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{DecodeError, Decoder, utf8};
use crate::event::Record;
use crate::outcome::PoisonReason;

/// Exactly one JSON document a record that follows a JSON Schema (drafts 4 to 2020-12, told by its
/// `$schema`), read into a type, or left a [`Value`].
///
/// What is no JSON is refused as `parse`, and what does not follow the schema, or is not what the
/// type wants, as `schema`: the error names the keyword of the schema, and nothing of the payload.
///
/// Patterns take time in proportion to the text, so that no record holds the function up; in return
/// they may not look around or refer back. Nothing is fetched: a `$ref` leads into the schema itself.
///
/// ```
/// use serde_json::{Value, json};
/// use tidegate_consumer::decode::JsonSchema;
///
/// let orders = JsonSchema::<Value>::new(&json!({"type": "object", "required": ["id"]}))?;
/// # let _ = orders;
/// # Ok::<(), tidegate_consumer::decode::SchemaError>(())
/// ```
pub struct JsonSchema<T = Value> {
    validator: Validator,
    item: PhantomData<fn() -> T>,
}

/// Why something is no schema.
#[derive(Debug, thiserror::Error)]
#[error("the JSON Schema cannot be used: {message} (at {place:?} of the schema)")]
pub struct SchemaError {
    /// Where in the schema, as a JSON pointer.
    pub place: String,
    /// What is wrong there.
    pub message: String,
}

impl<T> JsonSchema<T> {
    /// Compiles a schema.
    ///
    /// # Errors
    /// When it is no schema, or refers to one elsewhere.
    pub fn new(schema: &Value) -> Result<Self, SchemaError> {
        let options = jsonschema::options().with_pattern_options(PatternOptions::regex());
        let validator = options.build(schema).map_err(|error| SchemaError {
            place: error.instance_path().to_string(),
            message: error.to_string(),
        })?;
        Ok(Self { validator, item: PhantomData })
    }
}

impl<T> fmt::Debug for JsonSchema<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JsonSchema")
    }
}

impl<T: DeserializeOwned> Decoder for JsonSchema<T> {
    type Item<'a> = T;

    fn decode(&self, data: &[u8], _: &Record<'_>) -> Result<T, DecodeError> {
        let text = utf8(data)?;
        let value: Value = serde_json::from_str(text)
            .map_err(|error| DecodeError::new(PoisonReason::Parse, error))?;
        if let Err(error) = self.validator.validate(&value) {
            // The crate's own message quotes the payload, and errors are logged.
            let broken = format!("{} of the schema does not hold", error.schema_path());
            return Err(DecodeError::new(PoisonReason::Schema, broken));
        }
        T::deserialize(value)
            .map_err(|error| DecodeError::new(PoisonReason::Schema, super::without_values(&error)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::{any_record, fault};
    use super::*;

    #[test]
    fn a_document_follows_the_schema_or_is_refused_without_its_values() {
        let orders = JsonSchema::<Value>::new(&json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "properties": {
                "id": {"type": "integer", "minimum": 1},
                "state": {"enum": ["open", "closed"]},
                "name": {"type": "string", "pattern": "^[a-z]+$"},
                "lines": {"type": "array", "items": {"$ref": "#/$defs/line"}},
            },
            "required": ["id"],
            "additionalProperties": false,
            "$defs": {"line": {"required": ["sku"]}},
        }))
        .unwrap();
        let cases = [
            (r#"{"id":7}"#, "taken"),
            (r#"{"id":7,"state":"open","name":"a","lines":[{"sku":1}]}"#, "taken"),
            ("", "parse: EOF while parsing a value at line 1 column 0"),
            ("secret", "parse: expected value at line 1 column 1"),
            ("{} {}", "parse: trailing characters at line 1 column 4"),
            ("[]", "schema: /type of the schema does not hold"),
            ("{}", "schema: /required of the schema does not hold"),
            (r#"{"id":"secret"}"#, "schema: /properties/id/type of the schema does not hold"),
            (r#"{"id":0}"#, "schema: /properties/id/minimum of the schema does not hold"),
            (
                r#"{"id":1,"state":"secret"}"#,
                "schema: /properties/state/enum of the schema does not hold",
            ),
            (
                r#"{"id":1,"name":"SECRET"}"#,
                "schema: /properties/name/pattern of the schema does not hold",
            ),
            (r#"{"id":1,"secret":1}"#, "schema: /additionalProperties of the schema does not hold"),
            (
                r#"{"id":1,"lines":[{}]}"#,
                "schema: /$defs/line/required of the schema does not hold",
            ),
        ];
        for (data, expected) in cases {
            let found = fault(orders.decode(data.as_bytes(), &any_record()));
            assert_eq!(found, expected, "{data}");
        }
        assert!(fault(orders.decode(b"\xff", &any_record())).starts_with("utf8: "));
    }

    #[test]
    fn a_document_is_read_into_a_type() {
        #[derive(Debug, serde::Deserialize)]
        struct Order {
            id: u64,
        }
        let orders = JsonSchema::<Order>::new(&json!({})).unwrap();
        let order = orders.decode(br#"{"id":7,"x":1}"#, &any_record()).unwrap();
        assert_eq!(order.id, 7);
        let found = fault(orders.decode(br#"{"id":"secret"}"#, &any_record()));
        assert_eq!(found, "schema: expected u64");
    }

    #[test]
    fn what_is_no_schema_is_said() {
        let cases = [
            (json!({"type": 7}), "/type"),
            (json!({"$ref": "https://example.com/schema"}), ""),
            (json!({"properties": {"a": {"pattern": "(?=x)"}}}), "/properties/a/pattern"),
            (json!(7), ""),
        ];
        for (schema, place) in cases {
            let error = JsonSchema::<Value>::new(&schema).unwrap_err();
            assert_eq!(error.place, place, "{error}");
        }
    }

    #[test]
    fn a_pattern_holds_nobody_up() {
        let schema = json!({"pattern": "^(a+)+$"});
        let long = json!(format!("{}b", "a".repeat(100_000))).to_string();
        let found = fault(
            JsonSchema::<Value>::new(&schema).unwrap().decode(long.as_bytes(), &any_record()),
        );
        assert_eq!(found, "schema: /pattern of the schema does not hold");
    }
}
