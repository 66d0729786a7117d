//! A bucket: objects of many records, one a line, compressed.

use std::io::{self, Write};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use tidegate_consumer::{BulkLimits, Outcome, Record};

use super::Connections;
use super::deliver::{Service, Verdict};
use super::entry::line;
use super::split::{Limits, Piece};
use crate::call::{CallError, Object};

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
}

handles!(S3Sink);

/// A record as a line, and what of it the object is named after.
pub(crate) struct Entry {
    line: Vec<u8>,
    folder: String,
    number: String,
}

impl Service for S3Sink {
    type Entry = Entry;

    fn limits(&self) -> Limits {
        Limits { entries: RECORDS_MAX, bytes: BYTES_MAX }
    }

    fn bulk(&self) -> BulkLimits {
        // An object is written as a whole or not at all.
        BulkLimits { records: RECORDS_MAX, bytes: BYTES_MAX, one_per_key: false }
    }

    fn entry(&self, _: usize, data: &[u8], record: &Record<'_>) -> Result<Entry, Outcome> {
        Ok(Entry { line: line(data)?, folder: folder(record), number: number(record) })
    }

    fn piece<'e>(&self, entry: &'e Entry) -> Piece<'e> {
        Piece { bytes: entry.line.len() + 1, key: None }
    }

    async fn send(&self, entries: &[&Entry], within: Duration) -> Result<Vec<Verdict>, CallError> {
        let (Some(first), Some(last)) = (entries.first(), entries.last()) else {
            return Ok(Vec::new());
        };
        let name = format!("{}/{}-{}.ndjson.gz", first.folder, first.number, last.number);
        let object = Object {
            bucket: &self.bucket,
            key: &format!("{}{name}", self.prefix),
            headers: vec![
                ("content-type", "application/x-ndjson".to_owned()),
                ("content-encoding", "gzip".to_owned()),
            ],
            body: compressed(entries).map_err(|error| CallError::Request(error.into()))?,
        };
        let answer = self.connections.caller().await.put_object(object, within).await?;
        if answer.status != 200 {
            return Err(CallError::of_service(&answer));
        }
        Ok(entries.iter().map(|_| Verdict::Taken).collect())
    }
}

fn compressed(entries: &[&Entry]) -> io::Result<Vec<u8>> {
    let mut lines = GzEncoder::new(Vec::new(), Compression::default());
    for entry in entries {
        lines.write_all(&entry.line)?;
        lines.write_all(b"\n")?;
    }
    lines.finish()
}

/// Where an object is that begins with this record.
fn folder(first: &Record<'_>) -> String {
    let part = |text: Option<&str>| text.unwrap_or("unknown").replace('/', "_");
    let stream = first.stream_arn().map(|arn| arn.rsplit('/').next().unwrap_or(arn));
    let hour = first.arrived_at().map_or_else(
        || "date=unknown/hour=unknown".to_owned(),
        |at| at.strftime("date=%Y-%m-%d/hour=%H").to_string(),
    );
    format!("stream={}/{hour}/shard={}", part(stream), part(first.shard_id()))
}

/// The sequence number, and of a user record its place in the aggregate.
fn number(record: &Record<'_>) -> String {
    let number = record.sequence_number().unwrap_or("unknown").replace('/', "_");
    match record.sub_sequence_number() {
        Some(place) => format!("{number}.{place}"),
        None => number,
    }
}
