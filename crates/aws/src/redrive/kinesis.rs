//! Records that a destination was told of without their payload, out of the stream that has them.

use serde_json::{Value, json};

use super::{RedriveError, persist};
use crate::call::{Connections, JsonService};

/// Records of one answer.
const ANSWER_RECORDS_MAX: u32 = 1_000;

/// Answers without a record, one after the other, until the rest is taken for gone: a sparse shard
/// gives several such.
const EMPTY_ANSWERS: u32 = 20;

/// A shard of a stream.
#[derive(Debug)]
pub struct Shard<'a> {
    /// The ARN of the stream.
    pub stream_arn: &'a str,
    /// The shard.
    pub shard_id: &'a str,
    /// The connections.
    pub connections: &'a Connections,
}

/// A record as the stream has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Fetched {
    /// Its sequence number.
    pub sequence_number: String,
    /// Its partition key.
    pub partition_key: String,
    /// Its payload in base64.
    pub data: String,
    /// When the stream took it, in seconds of the epoch.
    pub arrived_at: Option<f64>,
}

impl Shard<'_> {
    async fn call(&self, operation: &'static str, body: &Value) -> Result<Value, RedriveError> {
        let service = JsonService {
            region: self.stream_arn.split(':').nth(3).filter(|region| !region.is_empty()),
            ..JsonService::KINESIS
        };
        let bytes = body.to_string().into_bytes();
        let call = async |within| {
            let caller = self.connections.caller().await;
            caller.operation(&service, operation, bytes.clone(), within).await
        };
        let place = format!("{} of {}", self.shard_id, self.stream_arn);
        persist(operation, call).await.map_err(|error| RedriveError::new(&place, error))
    }

    /// The records from one sequence number to another, both included, as far as the stream still
    /// has them.
    ///
    /// # Errors
    /// When the shard cannot be read (`kinesis:GetShardIterator`, `kinesis:GetRecords`).
    pub async fn between(&self, first: &str, last: &str) -> Result<Vec<Fetched>, RedriveError> {
        let name = self.stream_arn.split_once(":stream/").map_or(self.stream_arn, |(_, name)| name);
        let from = json!({
            "StreamName": name,
            "ShardId": self.shard_id,
            "ShardIteratorType": "AT_SEQUENCE_NUMBER",
            "StartingSequenceNumber": first,
        });
        let mut iterator = self.call("GetShardIterator", &from).await?["ShardIterator"].take();
        let mut found = Vec::new();
        let mut empty = 0;
        while !iterator.is_null() && empty < EMPTY_ANSWERS {
            let get = json!({"ShardIterator": iterator, "Limit": ANSWER_RECORDS_MAX});
            let mut answer = self.call("GetRecords", &get).await?;
            let records = answer["Records"].as_array().map(Vec::as_slice).unwrap_or_default();
            empty = if records.is_empty() { empty + 1 } else { 0 };
            for record in records {
                let record = read(record).ok_or_else(|| {
                    RedriveError::unreadable(
                        self.shard_id,
                        "a record has no sequence number or data",
                    )
                })?;
                if order(&record.sequence_number) > order(last) {
                    return Ok(found);
                }
                // What is older than the retention is skipped: the iterator then begins behind it.
                found.push(record);
            }
            if found.last().is_some_and(|record| record.sequence_number == last)
                || answer["MillisBehindLatest"] == 0 && records.is_empty()
            {
                return Ok(found);
            }
            iterator = answer["NextShardIterator"].take();
        }
        Ok(found)
    }
}

/// Whole numbers without zeros in front: the longer is the larger.
fn order(number: &str) -> (usize, &str) {
    (number.len(), number)
}

fn read(record: &Value) -> Option<Fetched> {
    let text = |name: &str| record[name].as_str().map(ToOwned::to_owned);
    Some(Fetched {
        sequence_number: text("SequenceNumber")?,
        partition_key: text("PartitionKey")?,
        data: text("Data")?,
        arrived_at: record["ApproximateArrivalTimestamp"].as_f64(),
    })
}
