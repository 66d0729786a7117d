//! Where poison records go.

use std::fmt;
use std::fs::{self, File};
use std::future::Future;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::envelope::Envelope;
use crate::outcome::BoxError;

/// Keeps poison records.
///
/// A record is settled only after its write succeeded. Writes must be idempotent: a batch that comes
/// again quarantines its poison again, and a key that exists already is a success.
pub trait Quarantine {
    /// Keeps one record for good.
    ///
    /// # Errors
    /// When it is not certain that the envelope is kept. The record is then reported to Lambda as
    /// not settled, so that it comes again.
    fn put(&self, envelope: &Envelope) -> impl Future<Output = Result<(), QuarantineError>>;
}

impl<Q: Quarantine + ?Sized> Quarantine for &Q {
    fn put(&self, envelope: &Envelope) -> impl Future<Output = Result<(), QuarantineError>> {
        (**self).put(envelope)
    }
}

impl<Q: Quarantine + ?Sized> Quarantine for Arc<Q> {
    fn put(&self, envelope: &Envelope) -> impl Future<Output = Result<(), QuarantineError>> {
        (**self).put(envelope)
    }
}

/// An envelope that was not kept.
#[derive(Debug, thiserror::Error)]
#[error("{store} did not take the envelope")]
pub struct QuarantineError {
    /// The store, such as `s3://bucket`.
    pub store: String,
    #[source]
    source: BoxError,
}

impl QuarantineError {
    /// What happened, in which store.
    pub fn new(store: impl Into<String>, source: impl Into<BoxError>) -> Self {
        Self { store: store.into(), source: source.into() }
    }
}

/// A folder, one file a record. For a laptop, or a file system that outlives the function.
///
/// Writing blocks the thread.
#[derive(Debug)]
pub struct Folder {
    root: PathBuf,
    writes: AtomicU64,
}

impl Folder {
    /// Opens a folder and creates it if need be, so that one that cannot be written shows at the
    /// start.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn create(root: impl Into<PathBuf>) -> io::Result<Self> {
        let root = root.into();
        fs::create_dir_all(&root)?;
        Ok(Self { root, writes: AtomicU64::new(0) })
    }

    /// Where it is.
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn write(&self, envelope: &Envelope) -> io::Result<()> {
        let path = self.root.join(envelope.key());
        let parent = path.parent().unwrap_or(&self.root);
        if path.try_exists()? {
            return Ok(());
        }
        fs::create_dir_all(parent)?;
        // A reader sees the whole envelope or none: it is written aside and then renamed.
        let turn = self.writes.fetch_add(1, Ordering::Relaxed);
        let aside = parent.join(format!(".{}-{turn}.tmp", std::process::id()));
        let written = write_new(&aside, envelope).and_then(|()| fs::rename(&aside, &path));
        if written.is_err() {
            let _ = fs::remove_file(&aside);
        }
        written?;
        sync_folder(parent)
    }
}

fn write_new(path: &Path, envelope: &Envelope) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(&serde_json::to_vec(envelope)?)?;
    file.sync_all()
}

/// Makes the new name last, too.
fn sync_folder(path: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(path)?.sync_all() } else { Ok(()) }
}

impl Quarantine for Folder {
    async fn put(&self, envelope: &Envelope) -> Result<(), QuarantineError> {
        self.write(envelope)
            .map_err(|error| QuarantineError::new(self.root.display().to_string(), error))
    }
}

/// Keeps nothing: the record's identity in the log is all that stays.
///
/// The host has to log every entry of [`Report::poison`](crate::Report::poison). The payload can be
/// fetched from the stream by its sequence number while the stream's retention lasts; after that it
/// is gone.
#[derive(Debug, Clone, Copy)]
pub struct LogOnly;

impl Quarantine for LogOnly {
    async fn put(&self, _: &Envelope) -> Result<(), QuarantineError> {
        Ok(())
    }
}

/// Hands whole envelopes, payload included, to a writer of the host's, such as one that prints each
/// as a line of the log.
pub struct LogPayload<W>(W);

impl<W: Fn(&Envelope) -> io::Result<()>> LogPayload<W> {
    /// Writes with this.
    pub const fn new(write: W) -> Self {
        Self(write)
    }
}

impl<W> fmt::Debug for LogPayload<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LogPayload")
    }
}

impl<W: Fn(&Envelope) -> io::Result<()>> Quarantine for LogPayload<W> {
    async fn put(&self, envelope: &Envelope) -> Result<(), QuarantineError> {
        (self.0)(envelope).map_err(|error| QuarantineError::new("the log", error))
    }
}
