//! Envelopes of CloudWatch Logs, each as one item.

use super::{DecodeError, Decoder};
use crate::event::Record;
use crate::logs::Logs;
use crate::outcome::PoisonReason;

/// A whole envelope of a subscription to CloudWatch Logs a record, or several one after the other,
/// for a handler that takes their events together.
///
/// CloudWatch Logs writes them in gzip: choose `Expand::compressed()`, which decompresses a record
/// and does not take it apart. With `Expand::auto()` each log event is a record of its own instead,
/// and any decoder reads its message.
///
/// What is no envelope is refused as `parse`, and one that cannot be read as `cloudwatch_logs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CloudwatchLogs {
    /// How many log events one record may hold.
    pub events_max: usize,
}

impl Default for CloudwatchLogs {
    fn default() -> Self {
        Self { events_max: 100_000 }
    }
}

impl Decoder for CloudwatchLogs {
    type Item<'a> = Logs<'a>;

    fn decode<'a>(&self, data: &'a [u8], _: &Record<'_>) -> Result<Logs<'a>, DecodeError> {
        match Logs::read(data, self.events_max) {
            Ok(Some(logs)) => Ok(logs),
            Ok(None) => {
                Err(DecodeError::new(PoisonReason::Parse, "not an envelope of CloudWatch Logs"))
            }
            Err(error) => Err(DecodeError::new(error.reason(), error)),
        }
    }
}
