//! What a mapping hands over: to the function, and to the on-failure destination.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::shard::Record;

/// The event that Lambda calls the function with.
pub fn event(records: &[Arc<Record>], shard: &str, stream_arn: &str) -> Vec<u8> {
    let records: Vec<_> = records
        .iter()
        .map(|record| {
            json!({
                "kinesis": {
                    "kinesisSchemaVersion": "1.0",
                    "partitionKey": record.partition_key,
                    "sequenceNumber": record.sequence_number,
                    "data": base64_simd::STANDARD.encode_to_string(&record.data),
                    "approximateArrivalTimestamp": seconds(record.arrival),
                },
                "eventSource": "aws:kinesis",
                "eventVersion": "1.0",
                "eventID": format!("{shard}:{}", record.sequence_number),
                "eventName": "aws:kinesis:record",
                "invokeIdentityArn": format!("arn:aws:iam::{}:role/consumer", crate::ACCOUNT),
                "awsRegion": crate::REGION,
                "eventSourceARN": stream_arn,
            })
        })
        .collect();
    json!({"Records": records}).to_string().into_bytes()
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of this century fit a double")]
fn seconds(at: Timestamp) -> f64 {
    at.as_millisecond() as f64 / 1_000.0
}

/// Why records go to the on-failure destination.
#[derive(Debug, Clone, Copy)]
pub(super) enum Condition {
    /// The last attempt failed: by an error of the function, or by its answer.
    RetryAttemptsExhausted { error: bool },
    /// Nothing more is attempted, so there is no answer to tell of.
    RecordAgeExceeded,
}

/// The object's key; in the place of the mapping's UUID stands a word.
pub(super) fn failure_key(shard: &str, now: Timestamp, records: &[Arc<Record>]) -> String {
    let first = records.first().map_or("", |record| &record.sequence_number);
    format!("aws/lambda/mapping/{shard}/{}-{first}", now.strftime("%Y/%m/%d/%Y-%m-%dT%H.%M.%S"))
}

/// What Lambda writes to an S3 on-failure destination: the identity of the batch, and the event.
pub(super) fn failure(
    (records, attempts): (&[Arc<Record>], u32),
    condition: Condition,
    shard: &str,
    arn: &str,
) -> Vec<u8> {
    let event: Value = serde_json::from_slice(&event(records, shard, arn)).unwrap_or(Value::Null);
    let number = |record: Option<&Arc<Record>>| record.map(|r| r.sequence_number.clone());
    let arrival = |record: Option<&Arc<Record>>| record.map(|r| r.arrival.to_string());
    let mut body = json!({
        "requestContext": { "approximateInvokeCount": attempts },
        "version": "1.0",
        "KinesisBatchInfo": {
            "shardId": shard,
            "startSequenceNumber": number(records.first()),
            "endSequenceNumber": number(records.last()),
            "approximateArrivalOfFirstRecord": arrival(records.first()),
            "approximateArrivalOfLastRecord": arrival(records.last()),
            "batchSize": records.len(),
            "streamArn": arn,
        },
        "payload": event,
    });
    let name = match condition {
        Condition::RecordAgeExceeded => "RecordAgeExceeded",
        Condition::RetryAttemptsExhausted { error } => {
            let error = error.then_some("Unhandled");
            body["responseContext"] =
                json!({"statusCode": 200, "executedVersion": "$LATEST", "functionError": error});
            "RetryAttemptsExhausted"
        }
    };
    body["requestContext"]["condition"] = json!(name);
    body.to_string().into_bytes()
}
