//! The event that an event source mapping would make of records, with the numbers that they had.

use jiff::Timestamp;
use serde_json::{Value, json};
use tidegate_consumer::envelope::{Envelope, PayloadEncoding};

/// The event of a batch. The field `tidegate` beside each record says what an event has no place
/// for; other consumers do not read it.
pub fn event(batch: &[Envelope]) -> Vec<u8> {
    let records: Vec<_> = batch.iter().map(entry).collect();
    json!({"Records": records}).to_string().into_bytes()
}

fn entry(envelope: &Envelope) -> Value {
    // The entry as it was: it had no data, or no sequence number.
    let whole = (envelope.payload_encoding == PayloadEncoding::Record)
        .then(|| serde_json::from_str::<Value>(&envelope.payload).ok())
        .flatten()
        .filter(Value::is_object);
    let mut entry = whole.unwrap_or_else(|| rebuilt(envelope));
    entry["tidegate"] = json!({
        "subSequenceNumber": envelope.sub_sequence_number,
        "explicitHashKey": envelope.explicit_hash_key,
        "redriveCount": envelope.redrive_count + 1,
    });
    entry
}

fn rebuilt(envelope: &Envelope) -> Value {
    let shard = envelope.shard_id.as_deref().unwrap_or_default();
    let number = envelope.sequence_number.as_deref().unwrap_or_default();
    let stream = envelope.stream_arn.as_deref().unwrap_or_default();
    json!({
        "kinesis": {
            "kinesisSchemaVersion": "1.0",
            "partitionKey": envelope.partition_key,
            "sequenceNumber": number,
            // Text as it stood where it was no base64.
            "data": envelope.payload,
            "approximateArrivalTimestamp": envelope.approximate_arrival.map(seconds),
        },
        "eventSource": "aws:kinesis",
        "eventVersion": "1.0",
        "eventID": format!("{shard}:{number}"),
        "eventName": "aws:kinesis:record",
        "awsRegion": stream.split(':').nth(3),
        "eventSourceARN": stream,
    })
}

/// Decimal seconds of the epoch, to the millisecond, as events have them.
#[expect(clippy::cast_precision_loss, reason = "milliseconds have 13 digits")]
fn seconds(at: Timestamp) -> f64 {
    at.as_millisecond() as f64 / 1_000.0
}
