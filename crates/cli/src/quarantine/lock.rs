//! One redrive of a store at a time: two at once would send the same records.

use std::fs::{File, TryLockError};
use std::path::Path;

use anyhow::{Context, bail};

/// What keeps other redrives away until it is dropped.
pub trait Hold {
    /// Whether it does so still.
    ///
    /// # Errors
    /// When another may have begun, or may soon.
    fn check(&self) -> anyhow::Result<()>;
}

/// A folder, by the lock that the system keeps of a file in it: a process that is killed has it no
/// longer.
pub struct FileHold {
    _file: File,
}

impl FileHold {
    /// Takes it.
    ///
    /// # Errors
    /// When another has it, or the file cannot be written.
    pub fn take(path: &Path, what: &str) -> anyhow::Result<Self> {
        let failed = || format!("{} cannot be written", path.display());
        let file = File::options().create(true).append(true).open(path).with_context(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => bail!(busy(what)),
            Err(TryLockError::Error(error)) => Err(error).with_context(failed),
        }
    }
}

impl Hold for FileHold {
    fn check(&self) -> anyhow::Result<()> {
        Ok(())
    }
}

/// What is said when another redrive is at work.
pub fn busy(what: &str) -> String {
    format!(
        "another redrive is at work on {what}, and two would send records twice: wait for its end"
    )
}
