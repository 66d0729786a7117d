//! Quarantine in S3: one object a record, written once.

use tidegate_consumer::{Envelope, Quarantine, QuarantineError};

use super::{WriteError, persist};
use crate::call::{CallError, Connections, Object};

/// A bucket, or the keys under a prefix of it.
#[derive(Debug)]
pub struct S3Quarantine {
    bucket: String,
    prefix: String,
    connections: Connections,
}

impl S3Quarantine {
    /// Objects go to `PREFIX/KEY` of the bucket, or to `KEY` where the prefix is empty.
    pub fn new(bucket: impl Into<String>, prefix: &str, connections: Connections) -> Self {
        let prefix = match prefix.trim_matches('/') {
            "" => String::new(),
            prefix => format!("{prefix}/"),
        };
        Self { bucket: bucket.into(), prefix, connections }
    }

    /// The bucket.
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// Where an envelope is kept.
    pub fn key(&self, envelope: &Envelope) -> String {
        format!("{}{}", self.prefix, envelope.key())
    }

    pub(crate) async fn write(&self, envelope: &Envelope) -> Result<(), WriteError> {
        let body = serde_json::to_vec(envelope).map_err(WriteError::Serialize)?;
        let key = self.key(envelope);
        let put = async |within| {
            let object = Object {
                bucket: &self.bucket,
                key: &key,
                headers: vec![
                    ("content-type", "application/json".to_owned()),
                    // A batch that comes again does not replace the first account of the record.
                    ("if-none-match", "*".to_owned()),
                ],
                body: body.clone(),
            };
            let answer = self.connections.caller().await.put_object(object, within).await?;
            match answer.status {
                // The object is there already. A 409, another write to the same key under way, is
                // none of this: it may yet fail.
                200 | 412 => Ok(()),
                _ => Err(CallError::of_service(&answer)),
            }
        };
        persist("PutObject", put).await
    }
}

impl Quarantine for S3Quarantine {
    async fn put(&self, envelope: &Envelope) -> Result<(), QuarantineError> {
        let written = self.write(envelope).await;
        written.map_err(|error| QuarantineError::new(format!("s3://{}", self.bucket), error))
    }
}
