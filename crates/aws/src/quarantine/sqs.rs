//! Quarantine in a queue: one message a record.

use serde_json::json;
use tidegate_consumer::{Envelope, Quarantine, QuarantineError};

use super::{S3Quarantine, WriteError, fitting, persist};
use crate::call::{Connections, sqs};

/// "Amazon SQS message quotas", Amazon SQS Developer Guide, 2026-11: 1 MiB.
const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// A queue. An envelope that is too large for a message is put into a bucket, and the message says
/// where.
///
/// A standard queue can hold a record twice when its batch comes again; one of FIFO holds it once,
/// as far as the two are sent within five minutes.
#[derive(Debug)]
pub struct SqsQuarantine {
    url: String,
    large: Option<S3Quarantine>,
    connections: Connections,
}

impl SqsQuarantine {
    /// The queue at this URL, and the bucket for what is too large.
    pub fn new(
        url: impl Into<String>,
        large: Option<S3Quarantine>,
        connections: Connections,
    ) -> Self {
        Self { url: url.into(), large, connections }
    }

    async fn write(&self, envelope: &Envelope) -> Result<(), WriteError> {
        let body = fitting(envelope, MESSAGE_BYTES_MAX, self.large.as_ref()).await?;
        let mut message = json!({"QueueUrl": self.url, "MessageBody": body});
        if self.url.ends_with(".fifo") {
            message["MessageDeduplicationId"] = json!(envelope.quarantine_id);
            // Quarantined records stand in no order.
            message["MessageGroupId"] = json!(envelope.quarantine_id);
        }
        let send = async |within| {
            sqs(&self.connections, &self.url, "SendMessage", &message, within).await.map(drop)
        };
        persist("SendMessage", send).await
    }
}

impl Quarantine for SqsQuarantine {
    async fn put(&self, envelope: &Envelope) -> Result<(), QuarantineError> {
        let written = self.write(envelope).await;
        written.map_err(|error| QuarantineError::new(format!("sqs:{}", self.url), error))
    }
}
