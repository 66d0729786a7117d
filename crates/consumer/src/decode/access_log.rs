//! Lines of a web server's access log, with the parser of the transform.

use tidegate_transform::formats::apache::{self, AccessLine, ParseError};

use super::{DecodeError, Decoder};
use crate::event::Record;
use crate::outcome::PoisonReason;

/// One line of a combined access log a record, as Apache and nginx write it.
///
/// What is not UTF-8 is refused as `utf8`, and any other line as `parse`, with the part that is
/// wrong and without what stands there.
#[derive(Debug, Clone, Copy)]
pub struct AccessLog;

impl Decoder for AccessLog {
    type Item<'a> = AccessLine<'a>;

    fn decode<'a>(&self, data: &'a [u8], _: &Record<'_>) -> Result<AccessLine<'a>, DecodeError> {
        apache::parse(data).map_err(|error| {
            let reason = match error {
                ParseError::NotUtf8 { .. } => PoisonReason::Utf8,
                _ => PoisonReason::Parse,
            };
            DecodeError::new(reason, error)
        })
    }
}
