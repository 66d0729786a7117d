//! What puts quarantined records back: the stores as documents by their keys, the function that is
//! called, and the stream that still has what a destination was only told of.

mod dynamodb;
mod function;
mod kinesis;
mod s3;
mod sqs;

use std::error::Error;

pub use self::dynamodb::Table;
pub use self::function::{Called, Function};
pub use self::kinesis::{Fetched, Shard};
pub use self::s3::Bucket;
pub use self::sqs::{HIDDEN_SECS, Queue};
use crate::call::{CallError, Fate};
use crate::quarantine::{WriteError, persist};

/// What could not be done, where, and what may be missing.
#[derive(Debug, thiserror::Error)]
#[error("{place}{remedy}")]
pub struct RedriveError {
    place: String,
    remedy: &'static str,
    #[source]
    source: Box<dyn Error + Send + Sync>,
}

/// A document that is only replaced as it was seen: the lock of a redrive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// What is in it.
    pub text: String,
    /// What tells this content from every other one.
    pub token: String,
}

impl RedriveError {
    fn new(place: &str, source: WriteError) -> Self {
        let remedy = match &source {
            WriteError::Call { source: CallError::NoRegion, .. } => "",
            WriteError::Call {
                source: CallError::NoCredentials | CallError::Credentials(_),
                ..
            } => ", for which credentials are needed: log in, or set AWS_PROFILE",
            WriteError::Call { source, .. } if source.fate() == Fate::Stays => {
                ", where the name, the account, the Region or a permission is wrong"
            }
            _ => "",
        };
        Self { place: place.to_owned(), remedy, source: source.into() }
    }

    fn unreadable(place: &str, what: &str) -> Self {
        Self { place: place.to_owned(), remedy: "", source: what.into() }
    }
}
