//! Another stream: `PutRecords`, under the same partition keys.

use std::time::Duration;

use serde::Serialize;
use serde_json::json;
use tidegate_consumer::{BulkLimits, Outcome, Record};

use super::Connections;
use super::deliver::{Service, Verdict};
use super::split::{Limits, Piece};
use crate::call::{CallError, JsonService};

/// "PutRecords", Amazon Kinesis Data Streams API Reference, 2026-11: 500 records and 10 MiB, partition
/// keys included.
const LIMITS: Limits = Limits { entries: 500, bytes: 10 << 20 };

/// A stream that records are written to.
///
/// The order of a partition key is kept; across keys and shards there is none.
#[derive(Debug)]
pub struct KinesisSink {
    stream: String,
    connections: Connections,
}

impl KinesisSink {
    /// The stream of this name, in the function's account and Region.
    pub fn new(stream: impl Into<String>, connections: Connections) -> Self {
        Self { stream: stream.into(), connections }
    }
}

/// A record as `PutRecords` takes it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Entry {
    data: String,
    partition_key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    explicit_hash_key: Option<String>,
    #[serde(skip)]
    bytes: usize,
}

handles!(KinesisSink);

impl Service for KinesisSink {
    type Entry = Entry;

    fn limits(&self) -> Limits {
        LIMITS
    }

    fn bulk(&self) -> BulkLimits {
        BulkLimits { records: LIMITS.entries, bytes: LIMITS.bytes, one_per_key: true }
    }

    fn entry(&self, _: usize, data: &[u8], record: &Record<'_>) -> Result<Entry, Outcome> {
        let read = record.stream_arn().and_then(|arn| arn.rsplit_once(":stream/"));
        if read.is_some_and(|(_, name)| name == self.stream) {
            return Err(Outcome::Retry("the sink is the stream that is read".into()));
        }
        let Some(partition_key) = record.partition_key().filter(|key| !key.is_empty()) else {
            return Err(super::deliver::poison("the record has no partition key".into()));
        };
        Ok(Entry {
            data: base64_simd::STANDARD.encode_to_string(data),
            partition_key: partition_key.to_owned(),
            explicit_hash_key: record.explicit_hash_key().map(|key| key.to_string()),
            bytes: data.len() + partition_key.len(),
        })
    }

    fn piece<'e>(&self, entry: &'e Entry) -> Piece<'e> {
        Piece { bytes: entry.bytes, key: None }
    }

    async fn send(&self, entries: &[&Entry], within: Duration) -> Result<Vec<Verdict>, CallError> {
        let kinesis = JsonService::KINESIS;
        let body = json!({"StreamName": self.stream, "Records": entries}).to_string();
        let caller = self.connections.caller().await;
        let answer = caller.operation(&kinesis, "PutRecords", body.into_bytes(), within).await?;
        let results = answer["Records"].as_array().map_or(&[][..], Vec::as_slice);
        // Every code that a record can have passes: its shard is throttled, or an internal failure.
        let verdict = |result: &serde_json::Value| match result["ErrorCode"].as_str() {
            None => Verdict::Taken,
            Some(code) => Verdict::Again(format!("PutRecords: {code}").into()),
        };
        Ok(results.iter().map(verdict).collect())
    }
}
