//! How far each file is sent, on disk: what a later run goes on from.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

use super::file::folder;

const VERSION: u32 = 1;

/// What is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    version: u32,
    /// The stream, so that a checkpoint is not used for another.
    stream: String,
    /// Whether the run that wrote it knew of everything that it had sent: a run that was killed does
    /// not, and what was in flight is sent again.
    #[serde(default)]
    pub clean: bool,
    /// Each file that is not forgotten.
    pub files: Vec<Place>,
}

impl Checkpoint {
    /// A checkpoint of today's form.
    pub fn new(stream: &str, clean: bool, files: Vec<Place>) -> Self {
        Self { version: VERSION, stream: stream.to_owned(), clean, files }
    }
}

/// How far one file is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The name that it is sent by; a file that was rotated away has another by now.
    pub path: PathBuf,
    /// What tells it from others.
    pub identity: Identity,
    /// How far.
    pub progress: Progress,
    /// Whether it was rotated away and is sent whole. It is kept in mind as long as it is there: a
    /// file beside it that nobody knows was rotated away since.
    #[serde(default)]
    pub finished: bool,
    /// What ids are made of, where that is another file: the one that this was copied from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

impl Place {
    /// A file of which nothing is sent.
    pub fn new(path: PathBuf, identity: Identity) -> Self {
        Self { path, identity, progress: Progress::default(), finished: false, source: None }
    }

    /// What tells its lines from those of every other file, now and later.
    pub fn source(&self) -> String {
        let Identity { device, inode, truncated, .. } = &self.identity;
        self.source.clone().unwrap_or_else(|| format!("{device}/{inode}/{truncated}"))
    }
}

/// A file, whatever it is called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The device.
    pub device: u64,
    /// The file's number on it.
    pub inode: u64,
    /// How often it was seen to begin anew.
    pub truncated: u32,
    /// The MD5 of its first bytes: a number is used again when a file is gone.
    pub head: String,
    /// Of how many.
    pub head_bytes: u64,
}

impl Identity {
    /// What no other file has at the same time.
    pub const fn number(&self) -> (u64, u64) {
        (self.device, self.inode)
    }
}

/// Which bytes of a file are settled: all up to an offset, and some spans behind it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Everything before it is.
    pub offset: u64,
    /// From and to, where records behind one that is still being tried are.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub spans: BTreeMap<u64, u64>,
}

impl Progress {
    /// A span is settled.
    pub fn settle(&mut self, start: u64, end: u64) {
        if start != self.offset {
            let before = self.spans.range(..=start).next_back().filter(|(_, to)| **to == start);
            let start = before.map_or(start, |(from, _)| *from);
            let end = self.spans.remove(&end).unwrap_or(end);
            self.spans.insert(start, end);
            return;
        }
        self.offset = end;
        while let Some(to) = self.spans.remove(&self.offset) {
            self.offset = to;
        }
    }

    /// Whether a span is settled.
    pub fn contains(&self, start: u64, end: u64) -> bool {
        end <= self.offset
            || self.spans.range(..=start).next_back().is_some_and(|(_, to)| end <= *to)
    }
}

/// Reads a checkpoint; none is an empty one.
pub fn read(path: &Path, stream: &str) -> anyhow::Result<Checkpoint> {
    let shown = path.display();
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Ok(Checkpoint::new(stream, true, vec![]));
        }
        Err(error) => return Err(error).with_context(|| format!("{shown} cannot be read")),
    };
    let checkpoint: Checkpoint = serde_json::from_slice(&text).with_context(|| {
        format!("{shown} is no checkpoint of `tidegate send`: name another file, or remove it to begin anew")
    })?;
    if checkpoint.version != VERSION {
        bail!("{shown} is of version {}, and this is {VERSION}", checkpoint.version);
    }
    if checkpoint.stream != stream {
        bail!("{shown} is of the stream {}, not {stream}: name another file", checkpoint.stream);
    }
    Ok(checkpoint)
}

/// Where a checkpoint is written before it takes its name.
pub fn scratch(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    name.into()
}

/// Writes a checkpoint so that a crash at any moment leaves the earlier one or this one.
pub fn write(path: &Path, checkpoint: &Checkpoint) -> anyhow::Result<()> {
    let scratch = scratch(path);
    let written = || -> std::io::Result<()> {
        let mut file = File::create(&scratch)?;
        file.write_all(&serde_json::to_vec(checkpoint)?)?;
        file.sync_all()?;
        fs::rename(&scratch, path)?;
        // The name is safe when its folder is.
        File::open(folder(path))?.sync_all()
    };
    written().with_context(|| {
        let shown = path.display();
        format!("{shown} cannot be written, and without it nothing is sent: make room, or name another file with --checkpoint")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_grow_together() {
        let mut progress = Progress::default();
        // what is settled, the offset and the spans after it
        let steps = [
            ((10, 20), 0, vec![(10, 20)]),
            ((30, 40), 0, vec![(10, 20), (30, 40)]),
            ((20, 30), 0, vec![(10, 40)]),
            ((50, 60), 0, vec![(10, 40), (50, 60)]),
            ((0, 10), 40, vec![(50, 60)]),
            ((40, 50), 60, vec![]),
        ];
        for ((start, end), offset, spans) in steps {
            assert!(!progress.contains(start, end));
            progress.settle(start, end);
            assert!(progress.contains(start, end));
            let found: Vec<_> = progress.spans.iter().map(|(from, to)| (*from, *to)).collect();
            assert_eq!((progress.offset, found), (offset, spans));
        }
    }

    #[test]
    fn it_is_read_as_it_was_written_and_only_for_its_stream() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("orders.checkpoint");
        let mut checkpoint = read(&path, "orders").unwrap();
        let identity =
            Identity { device: 1, inode: 2, truncated: 0, head: String::new(), head_bytes: 0 };
        let mut progress = Progress::default();
        progress.settle(0, 5);
        progress.settle(9, 12);
        checkpoint.files.push(Place { progress, ..Place::new("a.log".into(), identity) });
        write(&path, &checkpoint).unwrap();
        assert_eq!(read(&path, "orders").unwrap(), checkpoint);
        let error = read(&path, "clicks").unwrap_err().to_string();
        assert!(error.contains("of the stream orders, not clicks"), "{error}");
        fs::write(&path, "{").unwrap();
        let error = read(&path, "orders").unwrap_err().to_string();
        assert!(error.contains("remove it to begin anew"), "{error}");
        let error = write(Path::new("/dev/null/none"), &checkpoint).unwrap_err().to_string();
        assert!(error.contains("/dev/null/none cannot be written"), "{error}");
    }
}
