//! One file as it is written.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::Context;
use jiff::{SignedDuration, Timestamp};
use tidegate_runtime::clock;

use super::checkpoint::Identity;
use super::file::{HEAD_BYTES, identity, is_same};
use super::input::{Event, Outbox};
use super::lines::{Lines, Splitter};

/// How long a file that was rotated away must be quiet: its writer goes on until it is told.
const QUIET: SignedDuration = SignedDuration::from_secs(5);

/// One file that is read.
pub struct Tail {
    pub input: usize,
    pub path: PathBuf,
    pub file: File,
    pub identity: Identity,
    pub splitter: Splitter,
    /// Since when nothing came, once the path belongs to another file.
    pub rotated: Option<Timestamp>,
    pub is_done: bool,
    /// Whether it was cut off, and is written from its beginning.
    pub is_cut: bool,
}

impl Tail {
    /// Reads what is there; whether there was something.
    pub fn poll(
        &mut self,
        follow: bool,
        bytes: &mut [u8],
        outbox: &Outbox,
    ) -> anyhow::Result<bool> {
        let failed = || unreadable(&self.path);
        let read = self.file.read(bytes).with_context(failed)?;
        let mut lines = Lines::new(self.input);
        let now = clock::now();
        if read > 0 {
            // It may have been cut off, and have grown beyond where it was.
            self.is_cut = follow && !is_same(&self.file, &self.identity).with_context(failed)?;
            if self.is_cut {
                return Ok(true);
            }
            self.know_head(outbox)?;
            self.splitter.take(&bytes[..read], now, &mut lines);
            self.rotated = self.rotated.map(|_| now);
            outbox.lines(&mut lines)?;
            return Ok(true);
        }
        let length = self.file.metadata().with_context(failed)?.len();
        self.is_cut = follow && length < self.splitter.position();
        if self.is_cut {
            return Ok(true);
        }
        let is_quiet = self.rotated.is_some_and(|since| now.duration_since(since) >= QUIET);
        if !follow || is_quiet {
            self.splitter.end(now, &mut lines);
            self.is_done = true;
        } else {
            self.splitter.tick(now, &mut lines);
        }
        outbox.lines(&mut lines)?;
        if self.is_done {
            outbox.tell(Event::Finished(self.input))?;
        }
        Ok(false)
    }

    /// A file that was short when it was opened can be told from others when it has grown.
    fn know_head(&mut self, outbox: &Outbox) -> anyhow::Result<()> {
        if self.identity.head_bytes >= HEAD_BYTES as u64 {
            return Ok(());
        }
        let known = identity(&self.file, self.identity.truncated);
        self.identity = known.with_context(|| unreadable(&self.path))?;
        let (input, identity) = (self.input, self.identity.clone());
        Ok(outbox.tell(Event::Known { input, identity })?)
    }
}

/// What is said of a file that fails.
pub fn unreadable(path: &Path) -> String {
    format!("{} cannot be read", path.display())
}
