//! Quarantine in a table: one item a record, written once.

use serde_json::json;
use tidegate_consumer::{Envelope, Quarantine, QuarantineError};

use super::{S3Quarantine, WriteError, fitting, persist};
use crate::call::{Connections, dynamodb};

/// "Quotas in Amazon DynamoDB", Developer Guide, 2026-11: 400 KB an item; what is left is for the
/// attributes besides the envelope.
const ENVELOPE_BYTES_MAX: usize = (400 << 10) - 8_192;

/// The table's partition key.
pub const KEY: &str = "quarantine_key";

/// A table. An envelope that is too large for an item is put into a bucket, and the item says where.
#[derive(Debug)]
pub struct DynamoQuarantine {
    table: String,
    large: Option<S3Quarantine>,
    connections: Connections,
}

impl DynamoQuarantine {
    /// The table of this name, whose partition key is the text `quarantine_key`, and the bucket for
    /// what is too large.
    pub fn new(
        table: impl Into<String>,
        large: Option<S3Quarantine>,
        connections: Connections,
    ) -> Self {
        Self { table: table.into(), large, connections }
    }

    async fn write(&self, envelope: &Envelope) -> Result<(), WriteError> {
        let body = fitting(envelope, ENVELOPE_BYTES_MAX, self.large.as_ref()).await?;
        let mut item = json!({
            KEY: {"S": envelope.key()},
            "reason": {"S": envelope.reason},
            "first_seen": {"S": envelope.first_seen.to_string()},
            "function_arn": {"S": envelope.function_arn},
            "envelope": {"S": body},
        });
        if let Some(stream) = &envelope.stream_arn {
            item["stream_arn"] = json!({"S": stream});
        }
        let put = json!({
            "TableName": self.table,
            "Item": item,
            // A batch that comes again does not replace the first account of the record.
            "ConditionExpression": "attribute_not_exists(#key)",
            "ExpressionAttributeNames": {"#key": KEY},
        });
        let put =
            async |within| match dynamodb(&self.connections, "PutItem", &put.to_string(), within)
                .await
            {
                Err(error) if error.is("ConditionalCheckFailedException") => Ok(()),
                ended => ended.map(drop),
            };
        persist("PutItem", put).await
    }
}

impl Quarantine for DynamoQuarantine {
    async fn put(&self, envelope: &Envelope) -> Result<(), QuarantineError> {
        let written = self.write(envelope).await;
        written.map_err(|error| QuarantineError::new(format!("dynamodb:{}", self.table), error))
    }
}
