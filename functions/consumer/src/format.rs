//! What a record has to be.

use serde::Serialize;
use serde::de::IgnoredAny;
use tidegate_consumer::Record;
use tidegate_consumer::decode::{self, AccessLog, DecodeError, Decoder};

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

impl Decoder for Format {
    type Item<'a> = Checked<'a>;

    fn decode<'a>(&self, data: &'a [u8], record: &Record<'_>) -> Result<Checked<'a>, DecodeError> {
        match self {
            Self::Json => {
                decode::json::<IgnoredAny>(data)?;
            }
            Self::Text => {
                decode::utf8(data)?;
            }
            Self::AccessLog => {
                AccessLog.decode(data, record)?;
            }
        }
        Ok(Checked { data })
    }
}
