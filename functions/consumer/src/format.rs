//! What a record has to be.

use std::fs;

use serde::Serialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use tidegate_consumer::Record;
use tidegate_consumer::decode::{self, AccessLog, DecodeError, Decoder, JsonSchema};
use tidegate_runtime::chain::chain;

/// What a record has to be; any other is poison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// One JSON object.
    Json,
    /// UTF-8.
    Text,
    /// One line of a combined access log.
    AccessLog,
}

/// A payload that is of its format.
#[derive(Debug)]
pub struct Checked<'a> {
    /// It, as the producer wrote it.
    pub data: &'a [u8],
}

impl AsRef<[u8]> for Checked<'_> {
    fn as_ref(&self) -> &[u8] {
        self.data
    }
}

/// What is checked of a record.
#[derive(Debug)]
pub struct Check {
    /// Its format.
    pub format: Format,
    /// The schema that its JSON follows.
    pub schema: Option<JsonSchema>,
}

impl Decoder for Check {
    type Item<'a> = Checked<'a>;

    fn decode<'a>(&self, data: &'a [u8], record: &Record<'_>) -> Result<Checked<'a>, DecodeError> {
        match self.format {
            Format::Json => {
                decode::json::<IgnoredAny>(data)?;
            }
            Format::Text => {
                decode::utf8(data)?;
            }
            Format::AccessLog => {
                AccessLog.decode(data, record)?;
            }
        }
        if let Some(schema) = &self.schema {
            schema.decode(data, record)?;
        }
        Ok(Checked { data })
    }
}

/// A JSON Schema, or the path of a file that holds one.
///
/// # Errors
/// What was expected.
pub fn schema(text: &str) -> Result<JsonSchema, String> {
    const EXPECTED: &str = "a JSON Schema, or the path of a file that holds one";
    let document = if text.starts_with('{') {
        text.to_owned()
    } else {
        fs::read_to_string(text).map_err(|error| format!("{EXPECTED}, but {error}"))?
    };
    let document: Value =
        serde_json::from_str(&document).map_err(|error| format!("{EXPECTED}, but {error}"))?;
    JsonSchema::new(&document).map_err(|error| format!("{EXPECTED}, but {}", chain(&error)))
}
