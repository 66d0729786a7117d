//! What could not be sent, in a file: a JSON line each, with everything that is needed to send it.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context;
use serde_json::json;

/// The file of rejected records; it is made when there is one.
pub struct Rejected {
    path: PathBuf,
    file: Option<File>,
    is_dirty: bool,
}

/// One record that was not sent.
pub struct Entry<'a> {
    /// A stable word.
    pub reason: &'a str,
    /// A sentence.
    pub message: &'a str,
    /// Where the line is.
    pub place: &'a str,
    /// The key, where it has one.
    pub partition_key: Option<&'a str>,
    /// The line, or the payload that was made of it.
    pub data: &'a [u8],
}

impl Rejected {
    /// Nothing is written yet.
    pub const fn new(path: PathBuf) -> Self {
        Self { path, file: None, is_dirty: false }
    }

    /// Writes one down.
    pub fn add(&mut self, entry: &Entry) -> anyhow::Result<()> {
        let mut line = json!({
            "reason": entry.reason,
            "message": entry.message,
            "place": entry.place,
        });
        if let Some(key) = entry.partition_key {
            line["partition_key"] = key.into();
        }
        match std::str::from_utf8(entry.data) {
            Ok(text) => line["data"] = text.into(),
            Err(_) => {
                line["data_base64"] = base64_simd::STANDARD.encode_to_string(entry.data).into();
            }
        }
        let context = || {
            format!(
                "{} cannot be written: rejected records go there, so make room or name \
                        another file with --rejected",
                self.path.display()
            )
        };
        let file = match &mut self.file {
            Some(file) => file,
            none => {
                let file = OpenOptions::new().create(true).append(true).open(&self.path);
                none.insert(file.with_context(context)?)
            }
        };
        self.is_dirty = true;
        file.write_all(format!("{line}\n").as_bytes()).with_context(context)
    }

    /// Comes back when what was written is on the disk: only then a record counts as settled.
    pub fn sync(&mut self) -> anyhow::Result<()> {
        if let Some(file) = self.file.as_ref().filter(|_| self.is_dirty) {
            file.sync_data()
                .with_context(|| format!("{} cannot be written", self.path.display()))?;
        }
        self.is_dirty = false;
        Ok(())
    }
}
