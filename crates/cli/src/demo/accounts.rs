//! Whether every record is accounted for: each sum has two sides that were counted apart.

use std::fmt;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::Context;
use serde::Serialize;

use super::world::Measured;

/// One sum with its two sides.
#[derive(Debug, Clone, Serialize)]
pub struct Check {
    /// What is equal.
    pub name: &'static str,
    /// One side.
    pub left: u64,
    /// The other.
    pub right: u64,
    /// Whether they are equal.
    pub holds: bool,
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} and {})", self.name, self.left, self.right)
    }
}

/// All sums of a run, those against the files that it wrote among them.
///
/// # Errors
/// When a file cannot be read back.
pub fn check(measured: &Measured, out: &Path) -> anyhow::Result<Vec<Check>> {
    let consumer = &measured.consumer;
    let settled = consumer.delivered + consumer.skipped + consumer.quarantined;
    let (transform, delivery) = (&measured.transform, &measured.delivery);
    let sums = [
        (
            "offered = accepted + throttled",
            measured.records_offered,
            measured.records_accepted + measured.records_throttled,
        ),
        (
            "accepted = delivered + skipped + quarantined + pending",
            measured.records_accepted,
            settled + measured.pending,
        ),
        (
            "what the consumer counted as delivered = what its sink received",
            consumer.delivered,
            measured.by_status.values().sum(),
        ),
        (
            "quarantined = envelopes in quarantine/",
            consumer.quarantined,
            files(&out.join("quarantine"))?,
        ),
        (
            "handed = Ok + Dropped + ProcessingFailed, as the transform counted",
            transform.handed,
            transform.ok + transform.dropped + transform.processing_failed,
        ),
        (
            "handed = Ok + Dropped + ProcessingFailed, as Firehose counted",
            delivery.handed,
            delivery.ok + delivery.dropped + delivery.failed,
        ),
        ("the transform's Ok = Firehose's", transform.ok, delivery.ok),
        ("accepted = handed to the transform", measured.records_accepted, delivery.handed),
        ("Ok = lines under s3/data", delivery.ok, lines(&out.join("s3/data"))?),
        (
            "ProcessingFailed = lines under s3/errors",
            delivery.failed,
            lines(&out.join("s3/errors"))?,
        ),
        (
            "decisions made = lines of decisions.jsonl",
            measured.decisions,
            lines(&out.join("decisions.jsonl"))?,
        ),
        ("illegal UpdateShardCount calls = 0", measured.calls.1, 0),
    ];
    Ok(sums
        .into_iter()
        .map(|(name, left, right)| Check { name, left, right, holds: left == right })
        .collect())
}

/// Files below a folder; none when it does not exist.
fn files(path: &Path) -> anyhow::Result<u64> {
    let mut count = 0;
    walk(path, &mut |_| {
        count += 1;
        Ok(())
    })?;
    Ok(count)
}

/// Lines of a file, or of all files below a folder.
fn lines(path: &Path) -> anyhow::Result<u64> {
    let mut count = 0;
    walk(path, &mut |file| {
        let mut reader = BufReader::new(fs::File::open(file)?);
        loop {
            let bytes = reader.fill_buf()?;
            if bytes.is_empty() {
                return Ok(());
            }
            count += bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
            let length = bytes.len();
            reader.consume(length);
        }
    })?;
    Ok(count)
}

fn walk(path: &Path, visit: &mut dyn FnMut(&Path) -> anyhow::Result<()>) -> anyhow::Result<()> {
    if path.is_file() {
        return visit(path).with_context(|| format!("{} cannot be read", path.display()));
    }
    if !path.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(path)? {
        walk(&entry?.path(), visit)?;
    }
    Ok(())
}
