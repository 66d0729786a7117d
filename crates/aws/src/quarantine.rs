//! Quarantine stores: one object, item or message a record.

#[cfg(feature = "quarantine-dynamodb")]
pub mod dynamodb;
pub mod s3;
#[cfg(feature = "quarantine-sqs")]
pub mod sqs;

use std::time::Duration;

use serde_json::Value;
use tidegate_consumer::Envelope;

pub use self::s3::S3Quarantine;
use crate::call::{CallError, Fate};

/// Attempts at a write that may succeed in a moment.
const ATTEMPTS: u32 = 3;

/// What one of them may take.
const WITHIN: Duration = Duration::from_secs(8);

/// The wait before the second attempt; it doubles with each.
const FIRST_WAIT: Duration = Duration::from_millis(100);

/// Why an envelope was not kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    #[error("the envelope is not JSON")]
    Serialize(#[source] serde_json::Error),
    #[error("{operation} failed")]
    Call {
        operation: &'static str,
        #[source]
        source: CallError,
    },
    #[error(
        "the envelope has {bytes} bytes, more than the {most} that fit, and no bucket is set for \
         such: set TIDEGATE_QUARANTINE_BUCKET"
    )]
    TooLarge { bytes: usize, most: usize },
}

/// Makes a call until it succeeds, or fails for good, or has failed often enough.
pub(crate) async fn persist<T>(
    operation: &'static str,
    call: impl AsyncFn(Duration) -> Result<T, CallError>,
) -> Result<T, WriteError> {
    let mut wait = FIRST_WAIT;
    for _ in 1..ATTEMPTS {
        match call(WITHIN).await {
            Err(error) if error.fate() == Fate::Passes => {
                tokio::time::sleep(wait).await;
                wait *= 2;
            }
            ended => return ended.map_err(|source| WriteError::Call { operation, source }),
        }
    }
    call(WITHIN).await.map_err(|source| WriteError::Call { operation, source })
}

/// An envelope as JSON that is short enough. Of one that is not, all is put into the bucket, and in
/// its place stands the same without the payload, with `payload_ref` that says where.
#[cfg(any(feature = "quarantine-dynamodb", feature = "quarantine-sqs"))]
pub(crate) async fn fitting(
    envelope: &Envelope,
    bytes_max: usize,
    large: Option<&S3Quarantine>,
) -> Result<String, WriteError> {
    let text = serde_json::to_string(envelope).map_err(WriteError::Serialize)?;
    if text.len() <= bytes_max {
        return Ok(text);
    }
    let too_large = WriteError::TooLarge { bytes: text.len(), most: bytes_max };
    let bucket = large.ok_or(too_large)?;
    bucket.write(envelope).await?;
    let mut short = serde_json::to_value(envelope).map_err(WriteError::Serialize)?;
    short["payload"] = Value::from("");
    short["payload_ref"] = serde_json::json!({
        "bucket": bucket.bucket(),
        "key": bucket.key(envelope),
        "size": envelope.size,
        "sha256": envelope.sha256,
    });
    Ok(short.to_string())
}

#[cfg(all(test, feature = "quarantine-dynamodb", feature = "quarantine-sqs", feature = "sinks"))]
mod tests;
