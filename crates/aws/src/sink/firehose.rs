//! A Firehose stream: `PutRecordBatch`.

use std::time::Duration;

use serde_json::{Value, json};
use tidegate_consumer::{BulkLimits, Outcome, Record};

use super::Connections;
use super::deliver::{Service, Verdict, poison};
use super::split::{Limits, Piece};
use crate::call::{CallError, JsonService};

/// "PutRecordBatch", Amazon Data Firehose API Reference, 2026-11: 500 records, 4 MiB.
const LIMITS: Limits = Limits { entries: 500, bytes: 4 << 20 };

/// The same page: 1,000 KiB a record, before base64.
const RECORD_BYTES_MAX: usize = 1_000 << 10;

/// A Firehose stream that takes records directly. It keeps no order.
///
/// Firehose puts records together as they come, so that each gets a line break at its end if it has
/// none.
#[derive(Debug)]
pub struct FirehoseSink {
    name: String,
    connections: Connections,
}

impl FirehoseSink {
    /// The Firehose stream of this name, in the function's account and Region.
    pub fn new(name: impl Into<String>, connections: Connections) -> Self {
        Self { name: name.into(), connections }
    }
}

/// A record in base64, and its length before.
pub(crate) struct Entry {
    data: String,
    bytes: usize,
}

handles!(FirehoseSink);

impl Service for FirehoseSink {
    type Entry = Entry;

    fn limits(&self) -> Limits {
        LIMITS
    }

    fn bulk(&self) -> BulkLimits {
        BulkLimits { records: 4 * LIMITS.entries, bytes: 4 * LIMITS.bytes, one_per_key: false }
    }

    fn entry(&self, _: usize, data: &[u8], _: &Record<'_>) -> Result<Entry, Outcome> {
        let mut line = data.to_vec();
        if !line.ends_with(b"\n") {
            line.push(b'\n');
        }
        if line.len() > RECORD_BYTES_MAX {
            let error = format!("{} bytes are more than the 1,000 KiB of Firehose", line.len());
            return Err(poison(error.into()));
        }
        Ok(Entry { data: base64_simd::STANDARD.encode_to_string(&line), bytes: line.len() })
    }

    fn piece<'e>(&self, entry: &'e Entry) -> Piece<'e> {
        Piece { bytes: entry.bytes, key: None }
    }

    async fn send(&self, entries: &[&Entry], within: Duration) -> Result<Vec<Verdict>, CallError> {
        let firehose = JsonService::FIREHOSE;
        let records: Vec<Value> = entries.iter().map(|entry| json!({"Data": entry.data})).collect();
        let body = json!({"DeliveryStreamName": self.name, "Records": records}).to_string();
        let caller = self.connections.caller().await;
        let answer =
            caller.operation(&firehose, "PutRecordBatch", body.into_bytes(), within).await?;
        let results = answer["RequestResponses"].as_array().map_or(&[][..], Vec::as_slice);
        let verdict = |result: &Value| match result["ErrorCode"].as_str() {
            None => Verdict::Taken,
            Some(code) => Verdict::Again(format!("PutRecordBatch: {code}").into()),
        };
        Ok(results.iter().map(verdict).collect())
    }
}
