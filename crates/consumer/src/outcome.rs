//! What becomes of a record.

use std::error::Error;
use std::fmt;

use serde::Serialize;

use crate::decode::DecodeError;

/// Any error, as handlers return it.
pub type BoxError = Box<dyn Error + Send + Sync + 'static>;

/// What a handler says about one record.
///
/// A handler may also return `Result<(), E>` or `Result<Outcome, E>`: an error of which nothing more
/// is known is [`Retry`](Self::Retry), since a cause that may pass must not end in quarantine.
#[must_use = "a record whose outcome is dropped is neither settled nor reported"]
#[derive(Debug)]
pub enum Outcome {
    /// The record was delivered.
    Done,
    /// The record is of no interest. It is settled like a delivered one.
    Skip,
    /// It may work later: the record and those after it come again.
    Retry(BoxError),
    /// It will never work: the record goes to quarantine and the next one is handled.
    Poison(PoisonReason, BoxError),
}

impl From<()> for Outcome {
    fn from((): ()) -> Self {
        Self::Done
    }
}

impl<T: Into<Self>, E: Into<BoxError>> From<Result<T, E>> for Outcome {
    fn from(result: Result<T, E>) -> Self {
        match result {
            Ok(outcome) => outcome.into(),
            Err(error) => Self::Retry(error.into()),
        }
    }
}

impl From<DecodeError> for Outcome {
    fn from(error: DecodeError) -> Self {
        Self::Poison(error.reason, error.error)
    }
}

/// Why a record can never be processed. The codes are stable: logs, metrics, envelopes and the
/// documentation use the same words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PoisonReason {
    /// The event's entry has no sequence number or no data.
    Envelope,
    /// The data is not base64.
    Base64,
    /// The record is an aggregate that cannot be taken apart, or an entry of one that is malformed.
    Kpl,
    /// The record begins like gzip or zstd and cannot be decompressed.
    Decompress,
    /// The record expands to more than is allowed.
    DecompressLimit,
    /// The record is an envelope of CloudWatch Logs that cannot be read, or a log event of one that
    /// has no message.
    CloudwatchLogs,
    /// The payload is not UTF-8.
    Utf8,
    /// The payload is not in the format that the decoder reads.
    Parse,
    /// The payload is in the format, but not of the expected shape.
    Schema,
    /// The handler refused the record for good.
    Handler,
    /// The decoder or the handler panicked.
    Panic,
    /// The handler did not end within its time, and the record was tried long or often enough.
    Timeout,
    /// The handler failed for now, and has as often as it may.
    Attempts,
    /// The handler failed for now, and the record is older than it may be.
    Age,
    /// The record was in hand when the function ended without an answer.
    CrashSuspect,
    /// The record is not handled, since one of its partition key before it is poison.
    BlockedBy,
}

impl PoisonReason {
    /// Every reason, in the order of the pipeline.
    pub const ALL: [Self; 16] = [
        Self::Envelope,
        Self::Base64,
        Self::Kpl,
        Self::Decompress,
        Self::DecompressLimit,
        Self::CloudwatchLogs,
        Self::Utf8,
        Self::Parse,
        Self::Schema,
        Self::Handler,
        Self::Panic,
        Self::Timeout,
        Self::Attempts,
        Self::Age,
        Self::CrashSuspect,
        Self::BlockedBy,
    ];

    /// The stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Envelope => "envelope",
            Self::Base64 => "base64",
            Self::Kpl => "kpl",
            Self::Decompress => "decompress",
            Self::DecompressLimit => "decompress_limit",
            Self::CloudwatchLogs => "cloudwatch_logs",
            Self::Utf8 => "utf8",
            Self::Parse => "parse",
            Self::Schema => "schema",
            Self::Handler => "handler",
            Self::Panic => "panic",
            Self::Timeout => "timeout",
            Self::Attempts => "attempts",
            Self::Age => "age",
            Self::CrashSuspect => "crash_suspect",
            Self::BlockedBy => "blocked_by",
        }
    }
}

impl fmt::Display for PoisonReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// How far a record came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Stage {
    /// Reading the event's entry.
    Split,
    /// Decoding the base64 of its data.
    Base64,
    /// Taking an aggregate of the Kinesis Producer Library apart.
    Deaggregate,
    /// Decompressing the record, and taking an envelope of CloudWatch Logs apart.
    Expand,
    /// The decoder.
    Decode,
    /// The handler.
    Handle,
}

impl Stage {
    /// The stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Split => "split",
            Self::Base64 => "base64",
            Self::Deaggregate => "deaggregate",
            Self::Expand => "expand",
            Self::Decode => "decode",
            Self::Handle => "handle",
        }
    }
}

/// A panic of the decoder or the handler, caught.
#[derive(Debug, thiserror::Error)]
#[error("the code panicked at this record")]
pub(crate) struct Panicked(#[source] PanicText);

/// What the panic said.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct PanicText(String);

impl Panicked {
    pub(crate) fn new(panic: &(dyn std::any::Any + Send)) -> Self {
        let text = panic
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("no message");
        Self(PanicText(text.to_owned()))
    }
}

impl From<Panicked> for Outcome {
    fn from(panicked: Panicked) -> Self {
        Self::Poison(PoisonReason::Panic, panicked.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_the_same_word_everywhere() {
        for reason in PoisonReason::ALL {
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.code());
            assert_eq!(reason.to_string(), reason.code());
        }
        let [split, base64, handle] = [Stage::Split, Stage::Base64, Stage::Handle];
        for stage in [split, base64, Stage::Deaggregate, Stage::Expand, Stage::Decode, handle] {
            assert_eq!(serde_json::to_value(stage).unwrap(), stage.code());
        }
    }

    #[test]
    fn what_handlers_return() {
        let cases: [(Outcome, &str); 6] = [
            (().into(), "Done"),
            (Ok::<_, BoxError>(()).into(), "Done"),
            (Ok::<_, BoxError>(Outcome::Skip).into(), "Skip"),
            (Err::<(), _>("busy").into(), r#"Retry("busy")"#),
            (Err::<Outcome, _>("busy").into(), r#"Retry("busy")"#),
            (
                Ok::<_, BoxError>(Outcome::Poison(PoisonReason::Schema, "odd".into())).into(),
                r#"Poison(Schema, "odd")"#,
            ),
        ];
        for (outcome, expected) in cases {
            assert_eq!(format!("{outcome:?}"), expected);
        }
    }
}
