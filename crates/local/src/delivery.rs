//! A Firehose stream: buffers, calls its transform, and writes what comes back ("Transform source
//! data in Amazon Data Firehose" and "Data transformation failure handling", Firehose Developer
//! Guide, 2026-11).

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use rand::Rng;
use rand_pcg::Pcg64Mcg;
use serde_json::{Value, json};

use crate::mapping::Invoke;
use crate::objects::Objects;
use crate::prefix::{self, PrefixError, Values};
use crate::shard::Record;
use crate::stream::Stream;

/// How a Firehose stream is set up, in the words of its API.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The name.
    pub name: String,
    /// The Lambda processor's `BufferSizeInMBs`, in bytes.
    pub transform_bytes: usize,
    /// Its `BufferIntervalInSeconds`.
    pub transform_interval: SignedDuration,
    /// Its `NumberOfRetries`.
    pub retries: u32,
    /// The destination's `BufferingHints`: bytes.
    pub object_bytes: usize,
    /// The destination's `BufferingHints`: time.
    pub object_interval: SignedDuration,
    /// `Prefix`.
    pub prefix: String,
    /// `ErrorOutputPrefix`.
    pub error_prefix: String,
}

impl Settings {
    /// As the template deploys it.
    pub fn deployed(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            transform_bytes: 1 << 20,
            transform_interval: SignedDuration::from_secs(60),
            retries: 3,
            object_bytes: 64 << 20,
            object_interval: SignedDuration::from_secs(900),
            prefix: "data/year=!{timestamp:yyyy}/month=!{timestamp:MM}/day=!{timestamp:dd}/hour=!{timestamp:HH}/".to_owned(),
            error_prefix: "errors/!{firehose:error-output-type}/year=!{timestamp:yyyy}/month=!{timestamp:MM}/day=!{timestamp:dd}/hour=!{timestamp:HH}/".to_owned(),
        }
    }
}

/// What a Firehose stream did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Records handed to the transform, each once.
    pub handed: u64,
    /// Answered `Ok`.
    pub ok: u64,
    /// Answered `Dropped`.
    pub dropped: u64,
    /// Answered `ProcessingFailed`, not answered, or of a batch whose invocations all failed.
    pub failed: u64,
    /// Invocations.
    pub invocations: u64,
    /// Objects written.
    pub objects: u64,
    /// Bytes written under the prefix.
    pub bytes: u64,
    /// The largest response.
    pub largest_response: usize,
}

/// Why delivery stopped.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// A prefix cannot be evaluated.
    #[error("the prefix of the Firehose stream cannot be used")]
    Prefix(#[from] PrefixError),
    /// The bucket cannot be written.
    #[error("the bucket cannot be written")]
    Bucket(#[from] std::io::Error),
}

/// A Firehose stream that reads a Kinesis stream.
pub struct Delivery {
    settings: Settings,
    reader: usize,
    random: Pcg64Mcg,
    waiting: Vec<(u32, Arc<Record>)>,
    waiting_bytes: usize,
    waiting_since: Option<Timestamp>,
    delivered: Object,
    failed: Object,
    /// What it did.
    pub counts: Counts,
}

/// An object that is being filled.
#[derive(Default)]
struct Object {
    body: Vec<u8>,
    oldest: Option<Timestamp>,
    since: Option<Timestamp>,
}

impl Object {
    fn append(&mut self, bytes: &[u8], arrival: Timestamp, now: Timestamp) {
        self.body.extend_from_slice(bytes);
        self.oldest = Some(self.oldest.map_or(arrival, |oldest| oldest.min(arrival)));
        self.since.get_or_insert(now);
    }
}

impl Delivery {
    /// A Firehose stream that reads as the reader number `reader`.
    pub fn new(settings: Settings, reader: usize, random: Pcg64Mcg) -> Self {
        Self {
            settings,
            reader,
            random,
            waiting: Vec::new(),
            waiting_bytes: 0,
            waiting_since: None,
            delivered: Object::default(),
            failed: Object::default(),
            counts: Counts::default(),
        }
    }

    /// Records that were read and not yet handed to the transform.
    pub fn waiting(&self) -> u64 {
        self.waiting.len() as u64
    }

    /// Reads the stream, calls the transform with what is full or due, and writes objects.
    ///
    /// # Errors
    /// When the bucket cannot be written or a prefix cannot be used.
    pub fn step(
        &mut self,
        stream: &mut Stream,
        now: Timestamp,
        invoke: &mut Invoke<'_>,
        bucket: &mut dyn Objects,
    ) -> Result<(), DeliveryError> {
        let shards: Vec<_> = stream.shards().map(|shard| shard.number).collect();
        for number in shards {
            for record in stream.take(self.reader, number, usize::MAX) {
                self.waiting_since.get_or_insert(now);
                self.waiting_bytes += record.data.len();
                self.waiting.push((number, record));
                if self.waiting_bytes >= self.settings.transform_bytes {
                    self.transform(stream, now, invoke);
                }
            }
        }
        if due(self.waiting_since, self.settings.transform_interval, now) {
            self.transform(stream, now, invoke);
        }
        self.write_due(now, bucket)
    }

    /// Hands over what is buffered and writes every object, as a Firehose stream does in its time.
    ///
    /// # Errors
    /// As [`Delivery::step`].
    pub fn finish(
        &mut self,
        stream: &Stream,
        now: Timestamp,
        invoke: &mut Invoke<'_>,
        bucket: &mut dyn Objects,
    ) -> Result<(), DeliveryError> {
        self.transform(stream, now, invoke);
        self.write(false, now, bucket)?;
        self.write(true, now, bucket)
    }

    fn transform(&mut self, stream: &Stream, now: Timestamp, invoke: &mut Invoke<'_>) {
        let batch = std::mem::take(&mut self.waiting);
        self.waiting_bytes = 0;
        self.waiting_since = None;
        if batch.is_empty() {
            return;
        }
        self.counts.handed += batch.len() as u64;
        let ids: Vec<_> = batch.iter().map(|(shard, record)| record_id(*shard, record)).collect();
        let event = self.event(stream, &batch, &ids);
        let mut attempts = 0;
        let answer = loop {
            attempts += 1;
            self.counts.invocations += 1;
            match invoke(&event) {
                Ok(body) => break Some(body),
                Err(_) if attempts > self.settings.retries => break None,
                Err(_) => {}
            }
        };
        let answers = answer.as_deref().map(|body| {
            self.counts.largest_response = self.counts.largest_response.max(body.len());
            serde_json::from_slice::<Value>(body).unwrap_or(Value::Null)
        });
        let by_id = answers.as_ref().map(by_id);
        for ((_, record), id) in batch.iter().zip(&ids) {
            let verdict = match &by_id {
                None => Err("Lambda.FunctionError"),
                Some(answers) => verdict(answers.get(id.as_str()).map_or(&[], Vec::as_slice)),
            };
            match verdict {
                Ok(Some(data)) => {
                    self.counts.ok += 1;
                    self.delivered.append(&data, record.arrival, now);
                }
                Ok(None) => self.counts.dropped += 1,
                Err(code) => {
                    self.counts.failed += 1;
                    let line = failure(record, code, attempts, now);
                    self.failed.append(&line, record.arrival, now);
                }
            }
        }
    }

    fn event(&self, stream: &Stream, batch: &[(u32, Arc<Record>)], ids: &[String]) -> Vec<u8> {
        let records: Vec<_> = batch
            .iter()
            .zip(ids)
            .map(|((shard, record), id)| {
                let arrival = record.arrival.as_millisecond();
                json!({
                    "recordId": id,
                    "approximateArrivalTimestamp": arrival,
                    "data": base64_simd::STANDARD.encode_to_string(&record.data),
                    "kinesisRecordMetadata": {
                        "shardId": format!("shardId-{shard:012}"),
                        "partitionKey": record.partition_key,
                        "approximateArrivalTimestamp": arrival,
                        "sequenceNumber": record.sequence_number,
                        "subsequenceNumber": "",
                    },
                })
            })
            .collect();
        json!({
            "invocationId": format!("{:032x}", self.counts.invocations),
            "deliveryStreamArn": format!("arn:aws:firehose:{}:{}:deliverystream/{}", crate::REGION, crate::ACCOUNT, self.settings.name),
            "sourceKinesisStreamArn": stream.arn(),
            "region": crate::REGION,
            "records": records,
        })
        .to_string()
        .into_bytes()
    }

    fn write_due(&mut self, now: Timestamp, bucket: &mut dyn Objects) -> Result<(), DeliveryError> {
        for errors in [false, true] {
            let object = if errors { &self.failed } else { &self.delivered };
            let full = object.body.len() >= self.settings.object_bytes;
            if full || due(object.since, self.settings.object_interval, now) {
                self.write(errors, now, bucket)?;
            }
        }
        Ok(())
    }

    fn write(
        &mut self,
        errors: bool,
        now: Timestamp,
        bucket: &mut dyn Objects,
    ) -> Result<(), DeliveryError> {
        let object = std::mem::take(if errors { &mut self.failed } else { &mut self.delivered });
        let Some(oldest) = object.oldest else { return Ok(()) };
        let random: String = (0..11).map(|_| letter(&mut self.random)).collect();
        let values =
            Values { oldest, error_type: errors.then_some("processing-failed"), random: &random };
        let prefix = if errors { &self.settings.error_prefix } else { &self.settings.prefix };
        let folder = prefix::evaluate(prefix, values)?;
        let name = &self.settings.name;
        let key = format!("{folder}{name}-1-{}-{random}", now.strftime("%Y-%m-%d-%H-%M-%S"));
        bucket.put(&key, &object.body)?;
        self.counts.objects += 1;
        if !errors {
            self.counts.bytes += object.body.len() as u64;
        }
        Ok(())
    }
}

fn due(since: Option<Timestamp>, interval: SignedDuration, now: Timestamp) -> bool {
    since.is_some_and(|since| now.duration_since(since) >= interval)
}

fn letter(random: &mut Pcg64Mcg) -> char {
    char::from(b'a' + random.random_range(0..26))
}

/// Real identifiers are 160 characters: a shard and 152 digits.
fn record_id(shard: u32, record: &Record) -> String {
    let sequence = &record.sequence_number;
    format!("shardId-{shard:0>96}{sequence:0>56}")
}

/// The answers of a response by the record that they name.
fn by_id(body: &Value) -> BTreeMap<&str, Vec<&Value>> {
    let mut found: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for answer in body.get("records").and_then(Value::as_array).into_iter().flatten() {
        if let Some(id) = answer.get("recordId").and_then(Value::as_str) {
            found.entry(id).or_default().push(answer);
        }
    }
    found
}

/// What the answers for a record say: its data, that it is dropped, or why it failed. A fault costs
/// the record it belongs to and no other.
fn verdict(answers: &[&Value]) -> Result<Option<Vec<u8>>, &'static str> {
    let answer = match answers {
        [] => return Err("Lambda.MissingRecordId"),
        [answer] => answer,
        _ => return Err("Lambda.DuplicatedRecordId"),
    };
    match answer.get("result").and_then(Value::as_str) {
        Some("Dropped") => Ok(None),
        Some("ProcessingFailed") => Err("Lambda.ProcessingFailedStatus"),
        Some("Ok") => answer
            .get("data")
            .and_then(Value::as_str)
            .and_then(|data| base64_simd::STANDARD.decode_to_vec(data).ok())
            .map(Some)
            .ok_or("Lambda.InvalidReturnFormat"),
        _ => Err("Lambda.InvalidReturnFormat"),
    }
}

/// One line under the error prefix, with the names that Firehose uses.
fn failure(record: &Record, code: &str, attempts: u32, now: Timestamp) -> Vec<u8> {
    let line = json!({
        "attemptsMade": attempts,
        "arrivalTimestamp": record.arrival.as_millisecond(),
        "errorCode": code,
        "errorMessage": "see the function's log",
        "attemptEndingTimestamp": now.as_millisecond(),
        "rawData": base64_simd::STANDARD.encode_to_string(&record.data),
        "lambdaARN": format!("arn:aws:lambda:{}:{}:function:transform:$LATEST", crate::REGION, crate::ACCOUNT),
    });
    let mut bytes = line.to_string().into_bytes();
    bytes.push(b'\n');
    bytes
}
