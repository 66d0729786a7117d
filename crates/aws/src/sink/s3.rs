//! A bucket: objects of many records, one a line, compressed.

use std::io::{self, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use tidegate_consumer::envelope::ErrorText;
use tidegate_consumer::{BatchHandler, BulkLimits, Outcome, Received, Record, Scope};

use super::Connections;
use super::deliver::{again_within, call_time};
use super::entry::line;
use crate::call::{CallError, Fate, Object};

/// Records of an object, which is as many as a batch can have ("Lambda event source mappings", AWS
/// Lambda Developer Guide, 2026-11), unless they are parts of aggregates.
const RECORDS_MAX: usize = 10_000;

/// Bytes of an object before it is compressed: more than an event can hold.
const BYTES_MAX: usize = 16 << 20;

/// A bucket, or the keys under a prefix of it: the records of a batch as one object, a line each,
/// in gzip.
///
/// The key is made of what the records are, so that the same records write the same object:
/// `stream=NAME/date=YYYY-MM-DD/hour=HH/shard=ID/FIRST-LAST.ndjson.gz`, with the hour in which the
/// stream took the first of them, and the first and the last sequence number.
#[derive(Debug)]
pub struct S3Sink {
    bucket: String,
    prefix: String,
    connections: Connections,
}

impl S3Sink {
    /// Objects go to `PREFIX/KEY` of the bucket, or to `KEY` where the prefix is empty.
    pub fn new(bucket: impl Into<String>, prefix: &str, connections: Connections) -> Self {
        let prefix = match prefix.trim_matches('/') {
            "" => String::new(),
            prefix => format!("{prefix}/"),
        };
        Self { bucket: bucket.into(), prefix, connections }
    }

    async fn put(&self, key: &str, body: Vec<u8>, scope: &Scope<'_>) -> Result<(), CallError> {
        let object = Object {
            bucket: &self.bucket,
            key,
            headers: vec![
                ("content-type", "application/x-ndjson".to_owned()),
                ("content-encoding", "gzip".to_owned()),
            ],
            body,
        };
        let caller = self.connections.caller().await;
        let answer = caller.put_object(object, call_time(scope)).await?;
        if answer.status == 200 { Ok(()) } else { Err(CallError::of_service(&answer)) }
    }
}

impl<T: AsRef<[u8]>> BatchHandler<T> for S3Sink {
    fn limits(&self) -> BulkLimits {
        // An object is written as a whole or not at all.
        BulkLimits { records: RECORDS_MAX, bytes: BYTES_MAX, one_per_key: false }
    }

    async fn handle(&self, records: &[Received<'_, T>], scope: &Scope<'_>) -> Vec<Outcome> {
        let all = |outcome: &dyn Fn() -> Outcome| records.iter().map(|_| outcome()).collect();
        let (Some(first), Some(last)) = (records.first(), records.last()) else { return vec![] };
        let key = format!("{}{}", self.prefix, key(first.record(), last.record()));
        let body = match compressed(records.iter().map(|record| record.item.as_ref())) {
            Ok(body) => body,
            Err(error) => return all(&|| Outcome::Retry(error.to_string().into())),
        };
        let mut round = 0;
        loop {
            let Err(error) = self.put(&key, body.clone(), scope).await else {
                return all(&|| Outcome::Done);
            };
            round += 1;
            // An object that is refused says nothing of its records.
            if error.fate() != Fate::Passes || !again_within(round, scope).await {
                let text = ErrorText::of(&error).line();
                return all(&|| Outcome::Retry(text.clone().into()));
            }
        }
    }
}

fn compressed<'a>(records: impl Iterator<Item = &'a [u8]>) -> io::Result<Vec<u8>> {
    let mut lines = GzEncoder::new(Vec::new(), Compression::default());
    for record in records {
        lines.write_all(&line(record))?;
        lines.write_all(b"\n")?;
    }
    lines.finish()
}

/// Where the records from `first` to `last` are written.
fn key(first: &Record<'_>, last: &Record<'_>) -> String {
    let part = |text: Option<&str>| text.unwrap_or("unknown").replace('/', "_");
    let stream = first.stream_arn().map(|arn| arn.rsplit('/').next().unwrap_or(arn));
    let hour = first.arrived_at().map_or_else(
        || "date=unknown/hour=unknown".to_owned(),
        |at| at.strftime("date=%Y-%m-%d/hour=%H").to_string(),
    );
    format!(
        "stream={}/{hour}/shard={}/{}-{}.ndjson.gz",
        part(stream),
        part(first.shard_id()),
        number(first),
        number(last)
    )
}

/// The sequence number, and of a user record its place in the aggregate.
fn number(record: &Record<'_>) -> String {
    let number = record.sequence_number().unwrap_or("unknown").replace('/', "_");
    match record.sub_sequence_number() {
        Some(place) => format!("{number}.{place}"),
        None => number,
    }
}
