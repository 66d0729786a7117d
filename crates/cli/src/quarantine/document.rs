//! What a store holds: envelopes, and what Lambda itself writes to the on-failure destination of an
//! event source mapping.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tidegate_consumer::Event;
use tidegate_consumer::envelope::{Envelope, ErrorText, PayloadEncoding, VERSION};

/// One record of a document.
#[derive(Debug, Clone)]
pub struct Record {
    /// What a person calls it by.
    pub id: String,
    /// The document, by its key in the store.
    pub key: String,
    /// Its place in the document.
    pub index: usize,
    /// How many records the document has.
    pub of: usize,
    /// Everything that is known of it. For a record that Lambda gave up, what an envelope would say.
    pub envelope: Envelope,
    /// Where its payload is.
    pub payload: Payload,
}

/// Where the payload of a record is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// In the envelope.
    Here,
    /// In an object, since it was too large for the store.
    Object { bucket: String, key: String },
    /// Only in the stream, since a queue or a topic was told of a whole batch without its records.
    Stream { last: String, records: u64 },
}

/// Why a document is no envelope and nothing of Lambda's.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("it is not JSON")]
    Json(#[source] serde_json::Error),
    #[error("it is no envelope")]
    Envelope(#[source] serde_json::Error),
    #[error("it is of an on-failure destination, and not of a Kinesis stream")]
    OtherSource(#[source] serde_json::Error),
    #[error("its records are no batch of Kinesis")]
    Records(#[source] tidegate_consumer::EventError),
}

/// Where an envelope that was too large is, as the stores write it.
#[derive(Deserialize)]
struct Reference {
    bucket: String,
    key: String,
}

/// The records of a document.
pub fn read(key: &str, bytes: &[u8]) -> Result<Vec<Record>, ReadError> {
    let mut value: Value = serde_json::from_slice(bytes).map_err(ReadError::Json)?;
    // A topic in front of a queue wraps what it passes on.
    if value["Type"] == "Notification"
        && let Some(message) = value["Message"].as_str()
    {
        value = serde_json::from_str(message).map_err(ReadError::Json)?;
    }
    if value.get("KinesisBatchInfo").is_some() || value.get("requestContext").is_some() {
        return of_lambda(key, value);
    }
    let reference = value.get("payload_ref").cloned();
    let envelope: Envelope = serde_json::from_value(value).map_err(ReadError::Envelope)?;
    let payload = match reference.and_then(|value| serde_json::from_value(value).ok()) {
        Some(Reference { bucket, key }) => Payload::Object { bucket, key },
        None => Payload::Here,
    };
    let id = envelope.quarantine_id.clone();
    Ok(vec![Record { id, key: key.to_owned(), index: 0, of: 1, envelope, payload }])
}

/// What Lambda writes ("Retaining discarded batches", AWS Lambda Developer Guide, 2026-11).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Failure {
    request_context: Context,
    timestamp: Timestamp,
    #[serde(rename = "KinesisBatchInfo")]
    batch: Batch,
    /// Of an object only.
    payload: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Context {
    request_id: String,
    function_arn: String,
    condition: String,
    #[serde(default)]
    approximate_invoke_count: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Batch {
    shard_id: String,
    start_sequence_number: String,
    end_sequence_number: String,
    approximate_arrival_of_first_record: Option<Timestamp>,
    batch_size: u64,
    stream_arn: String,
}

fn of_lambda(key: &str, value: Value) -> Result<Vec<Record>, ReadError> {
    let failure: Failure = serde_json::from_value(value).map_err(ReadError::OtherSource)?;
    let whole = |mut envelope: Envelope, payload| {
        let id = id_of(&envelope);
        envelope.quarantine_id.clone_from(&id);
        Record { id, key: key.to_owned(), index: 0, of: 1, envelope, payload }
    };
    let body = match &failure.payload {
        None | Some(Value::Null) => {
            let batch = &failure.batch;
            let payload = Payload::Stream {
                last: batch.end_sequence_number.clone(),
                records: batch.batch_size,
            };
            return Ok(vec![whole(failure.envelope(), payload)]);
        }
        Some(Value::String(text)) => text.clone(),
        Some(object) => object.to_string(),
    };
    let event = Event::parse(body.as_bytes()).map_err(ReadError::Records)?;
    let entries: Value = serde_json::from_str(&body).map_err(ReadError::Json)?;
    let of = event.len();
    let records = event.records().enumerate().map(|(index, record)| {
        let entry = &entries["Records"][index];
        let mut envelope = failure.envelope();
        envelope.sequence_number = record.sequence_number().map(ToOwned::to_owned);
        envelope.partition_key = record.partition_key().map(ToOwned::to_owned);
        envelope.approximate_arrival = record.arrived_at();
        envelope.carry(entry);
        let record = whole(envelope, Payload::Here);
        Record { index, of, ..record }
    });
    Ok(records.collect())
}

impl Failure {
    /// What is the same for every record of the batch.
    fn envelope(&self) -> Envelope {
        let Context { request_id, function_arn, condition, approximate_invoke_count } =
            &self.request_context;
        let message = format!(
            "Lambda gave the batch up after {approximate_invoke_count} attempts: {condition}"
        );
        Envelope {
            version: VERSION,
            quarantine_id: String::new(),
            stream_arn: Some(self.batch.stream_arn.clone()),
            shard_id: Some(self.batch.shard_id.clone()),
            sequence_number: Some(self.batch.start_sequence_number.clone()),
            sub_sequence_number: None,
            partition_key: None,
            explicit_hash_key: None,
            approximate_arrival: self.batch.approximate_arrival_of_first_record,
            reason: snake(condition),
            stage: "lambda".to_owned(),
            error: ErrorText { message, chain: Vec::new() },
            first_seen: self.timestamp,
            function_arn: function_arn.clone(),
            request_id: request_id.clone(),
            payload_encoding: PayloadEncoding::Base64,
            payload: String::new(),
            size: 0,
            sha256: String::new(),
            redrive_count: 0,
        }
    }
}

/// Fills an envelope from an entry of an event.
trait Carry {
    fn carry(&mut self, entry: &Value);
}

impl Carry for Envelope {
    fn carry(&mut self, entry: &Value) {
        let data = entry["kinesis"]["data"].as_str();
        (self.payload_encoding, self.payload) = match data {
            Some(data) if base64_simd::STANDARD.check(data.as_bytes()).is_ok() => {
                (PayloadEncoding::Base64, data.to_owned())
            }
            Some(data) => (PayloadEncoding::Verbatim, data.to_owned()),
            None => (PayloadEncoding::Record, entry.to_string()),
        };
        if let Ok(bytes) = self.payload_bytes() {
            self.size = bytes.len() as u64;
            self.sha256 = digest(&bytes);
        }
    }
}

/// The same for the same record of the same function.
pub fn id_of(envelope: &Envelope) -> String {
    let identity = format!(
        "{} {:?} {:?} {:?} {}",
        envelope.function_arn,
        envelope.stream_arn,
        envelope.shard_id,
        envelope.sequence_number,
        envelope.sha256
    );
    digest(identity.as_bytes()).chars().take(32).collect()
}

/// SHA-256 in hexadecimal.
pub fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `RecordAgeExceeded` becomes `record_age_exceeded`, as reasons are written.
fn snake(name: &str) -> String {
    let mut word = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !word.is_empty() {
            word.push('_');
        }
        word.extend(c.to_lowercase());
    }
    word
}
