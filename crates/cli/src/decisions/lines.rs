//! Decisions in log lines.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use jiff::Timestamp;
use serde_json::Value;

/// Longer lines are nothing of ours: a decision has a few thousand bytes, and CloudWatch takes
/// events of up to a MiB.
const LINE_LIMIT_BYTES: u64 = 2 << 20;

/// What was found.
#[derive(Debug, Default)]
pub struct Found {
    /// The decisions, as they were met.
    pub decisions: Vec<Logged>,
    /// Lines that are none.
    pub skipped: usize,
}

/// A decision as it was written, by whichever version.
#[derive(Debug, Clone, PartialEq)]
pub struct Logged {
    /// When it was made.
    pub at: Timestamp,
    /// The stream.
    pub stream: String,
    /// The shards that were open.
    pub from: Option<u64>,
    /// The shards that were right.
    pub to: Option<u64>,
    /// `hold`, `resize`, …
    pub action: String,
    /// Why, in one word.
    pub reason: String,
    /// Why, in a sentence.
    pub message: String,
    /// What became of it.
    pub applied: String,
    /// All of it.
    pub whole: Value,
}

impl Found {
    /// Takes a line: an object or an array of them, perhaps after what a log tool puts before it.
    pub fn take(&mut self, line: &str) {
        let Some(start) = line.find(['{', '[']) else {
            self.skipped += usize::from(!line.trim().is_empty());
            return;
        };
        // A log tool may put "[…]" or a time before the object.
        let candidates = [Some(start), line.find('{')];
        let value = candidates
            .into_iter()
            .flatten()
            .find_map(|start| serde_json::from_str::<Value>(line[start..].trim()).ok());
        let before = self.decisions.len();
        match value {
            Some(Value::Array(items)) => {
                self.decisions.extend(items.into_iter().filter_map(Logged::new));
            }
            Some(item) => self.decisions.extend(Logged::new(item)),
            None => {}
        }
        self.skipped += usize::from(self.decisions.len() == before);
    }
}

impl Logged {
    /// A decision has a stream, an action and a reason; anything else is another event.
    fn new(whole: Value) -> Option<Self> {
        let text = |key: &str| whole.get(key)?.as_str().map(ToOwned::to_owned);
        let shards = |key: &str| whole.get(key).and_then(Value::as_u64);
        Some(Self {
            at: text("at")?.parse().ok()?,
            stream: text("stream")?,
            from: shards("open_shards"),
            to: shards("target"),
            action: text("action")?,
            reason: text("reason")?,
            message: text("message").unwrap_or_default(),
            applied: text("applied").unwrap_or_default(),
            whole,
        })
    }
}

/// Reads a file, the files of a folder in the order of their names, or standard input.
pub fn read(path: &Path) -> anyhow::Result<Found> {
    let mut found = Found::default();
    if path == Path::new("-") {
        take_all(io::stdin().lock(), "standard input", &mut found)?;
        return Ok(found);
    }
    let files = if path.is_dir() { files(path)? } else { vec![path.to_owned()] };
    for file in files {
        let shown = file.display().to_string();
        let reader = File::open(&file).with_context(|| format!("{shown} cannot be read"))?;
        take_all(BufReader::new(reader), &shown, &mut found)?;
    }
    Ok(found)
}

fn take_all(mut reader: impl BufRead, name: &str, found: &mut Found) -> anyhow::Result<()> {
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = reader
            .by_ref()
            .take(LINE_LIMIT_BYTES)
            .read_until(b'\n', &mut line)
            .with_context(|| format!("{name} cannot be read"))?;
        if read == 0 {
            return Ok(());
        }
        found.take(&String::from_utf8_lossy(&line));
    }
}

fn files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let shown = folder.display();
    let cannot = || format!("{shown} cannot be read");
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(cannot)? {
        let path = entry.with_context(cannot)?.path();
        if path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    if files.is_empty() {
        bail!("{shown} holds no file");
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DECISION: &str = r#"{"stream":"orders","at":"2026-11-21T09:45:00Z","open_shards":4,"target":6,"action":"resize","reason":"demand_above_capacity","message":"4 to 6","applied":"done"}"#;

    #[test]
    fn a_decision_is_found_in_lines_of_every_kind() {
        let logged = DECISION.replacen('{', r#"{"level":"INFO","event":"decision","#, 1);
        let cases = [
            (DECISION.to_owned(), 1, 0),
            (logged.clone(), 1, 0),
            (format!("[{DECISION},{DECISION}]"), 2, 0),
            (format!("2026/11/21/[$LATEST]0a1b 2026-11-21T09:45:00.123000 {logged}"), 1, 0),
            (r#"{"event":"start","level":"INFO"}"#.to_owned(), 0, 1),
            (r#"{"_aws":{},"OpenShards":4}"#.to_owned(), 0, 1),
            ("REPORT RequestId: 0".to_owned(), 0, 1),
            (DECISION[..40].to_owned(), 0, 1),
            (String::new(), 0, 0),
        ];
        for (line, decisions, skipped) in cases {
            let mut found = Found::default();
            found.take(&line);
            assert_eq!((found.decisions.len(), found.skipped), (decisions, skipped), "{line}");
        }
        let mut found = Found::default();
        found.take(DECISION);
        assert_eq!((found.decisions[0].from, found.decisions[0].to), (Some(4), Some(6)));
    }
}
