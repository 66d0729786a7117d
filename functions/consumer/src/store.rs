//! Where poison records go.

use std::fmt;
use std::sync::Arc;

use tidegate_aws::quarantine::S3Quarantine;
use tidegate_aws::quarantine::dynamodb::DynamoQuarantine;
use tidegate_aws::quarantine::sqs::SqsQuarantine;
use tidegate_consumer::{Envelope, Folder, LogOnly, LogPayload, Quarantine, QuarantineError};
use tidegate_runtime::Log;

/// The stores that there are.
#[derive(Debug)]
pub enum Store {
    /// A bucket, and its name with the prefix.
    S3(S3Quarantine, String),
    /// A queue, and its address.
    Sqs(SqsQuarantine, String),
    /// A table, and its name.
    DynamoDb(DynamoQuarantine, String),
    /// A folder.
    Folder(Folder),
    /// The log, without the payload: the line that every poison record has is all that stays.
    Log,
    /// The log, with the payload.
    LogPayload,
}

/// As the setting names it.
impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::S3(_, place) => write!(f, "s3://{place}"),
            Self::Sqs(_, url) => write!(f, "sqs:{url}"),
            Self::DynamoDb(_, table) => write!(f, "dynamodb:{table}"),
            Self::Folder(folder) => write!(f, "file://{}", folder.root().display()),
            Self::Log => f.write_str("log"),
            Self::LogPayload => f.write_str("log:payload"),
        }
    }
}

/// A store at work.
pub struct Keeper {
    /// Which.
    pub store: Store,
    /// Where lines go.
    pub log: Arc<Log>,
}

impl Quarantine for Keeper {
    async fn put(&self, envelope: &Envelope) -> Result<(), QuarantineError> {
        match &self.store {
            Store::S3(bucket, _) => bucket.put(envelope).await,
            Store::Sqs(queue, _) => queue.put(envelope).await,
            Store::DynamoDb(table, _) => table.put(envelope).await,
            Store::Folder(folder) => folder.put(envelope).await,
            Store::Log => LogOnly.put(envelope).await,
            // A line that is the envelope and nothing else: a reader of envelopes takes it as it is.
            Store::LogPayload => {
                LogPayload::new(|whole: &Envelope| self.log.line(whole)).put(envelope).await
            }
        }
    }
}
