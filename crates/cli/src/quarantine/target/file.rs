//! A file of JSON lines, one a record.

use std::collections::HashSet;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{BufRead as _, BufReader, Seek as _, SeekFrom, Write as _};
use std::path::PathBuf;

use anyhow::{Context, bail};
use serde_json::{Value, json};
use tidegate_consumer::envelope::{Envelope, PayloadEncoding};

use super::{Fate, Target};
use crate::quarantine::document::Record;
use crate::quarantine::plan::Limits;

/// Payload that is in memory at the same time.
const BYTES_MAX: u64 = 16 << 20;

/// The file, and the records that an earlier run wrote into it.
pub struct Lines {
    path: PathBuf,
    file: Option<File>,
    known: HashSet<String>,
}

impl Lines {
    /// Opens it and goes on behind its last whole line.
    pub fn open(path: &str, is_trial: bool) -> anyhow::Result<Self> {
        let mut lines = Self { path: path.into(), file: None, known: HashSet::new() };
        if !is_trial {
            let failed = || format!("{path} cannot be written");
            let mut options = OpenOptions::new();
            let options = options.read(true).write(true).create(true).truncate(false);
            let file = options.open(path).with_context(failed)?;
            // Redrives of two stores may name one file; each goes on behind its last line.
            if let Err(TryLockError::WouldBlock) = file.try_lock() {
                bail!("another redrive writes into {path}: name another file, or wait for its end");
            }
            lines.go_on(file).with_context(failed)?;
        }
        Ok(lines)
    }

    fn go_on(&mut self, mut file: File) -> std::io::Result<()> {
        let mut whole = 0;
        let mut reader = BufReader::new(&file);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line)? > 0 {
            // What a kill cut off is written again.
            if line.last() != Some(&b'\n') {
                break;
            }
            whole += line.len() as u64;
            let value: Value = serde_json::from_slice(&line).unwrap_or_default();
            self.known.extend(value["id"].as_str().map(ToOwned::to_owned));
            line.clear();
        }
        drop(reader);
        file.set_len(whole)?;
        file.seek(SeekFrom::End(0))?;
        self.file = Some(file);
        Ok(())
    }

    fn write(&mut self, batch: &[Envelope]) -> std::io::Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        let mut text = String::new();
        for envelope in batch {
            if self.known.insert(envelope.quarantine_id.clone()) {
                text.push_str(&line(envelope).to_string());
                text.push('\n');
            }
        }
        file.write_all(text.as_bytes())?;
        file.sync_all()
    }
}

impl Target for Lines {
    fn refuses(&self, _: &Record) -> Option<&'static str> {
        None
    }

    fn limits(&self, records: usize) -> Limits {
        Limits { records, bytes: BYTES_MAX }
    }

    fn take(&mut self, batch: &[Envelope]) -> anyhow::Result<Vec<Fate>> {
        self.write(batch).with_context(|| format!("{} cannot be written", self.path.display()))?;
        Ok(vec![Fate::Taken; batch.len()])
    }
}

/// A record with its payload as text, or as base64 where it is none.
fn line(envelope: &Envelope) -> Value {
    let mut line = json!({
        "id": envelope.quarantine_id,
        "stream_arn": envelope.stream_arn,
        "shard_id": envelope.shard_id,
        "sequence_number": envelope.sequence_number,
        "sub_sequence_number": envelope.sub_sequence_number,
        "partition_key": envelope.partition_key,
        "explicit_hash_key": envelope.explicit_hash_key,
        "approximate_arrival": envelope.approximate_arrival,
        "reason": envelope.reason,
        "redrive_count": envelope.redrive_count,
    });
    if envelope.payload_encoding != PayloadEncoding::Base64 {
        line["payload_encoding"] = json!(envelope.payload_encoding);
    }
    match envelope.payload_bytes().map(String::from_utf8) {
        Ok(Ok(text)) => line["data"] = text.into(),
        _ => line["data_base64"] = envelope.payload.as_str().into(),
    }
    line
}
