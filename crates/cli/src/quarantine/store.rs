//! What a store must be able to do, and which there are.

use anyhow::bail;

use super::folder::Folder;
use super::lock::Hold;
use crate::Usage;

/// Below it lies what was put back.
pub const REDRIVEN: &str = "redriven/";

/// What one redrive at a time holds.
pub const LOCK: &str = "redriven/lock";

/// Documents that are looked at, at the most. A million names are some 100 MB.
pub const KEYS_MAX: usize = 1_000_000;

/// Documents by their keys.
pub trait Store {
    /// Every key, also those below `redriven/`, sorted.
    fn keys(&mut self) -> anyhow::Result<Vec<String>>;

    /// Documents in the order of their keys; `None` for what is gone by now.
    fn read(&mut self, keys: &[String]) -> anyhow::Result<Vec<Option<Vec<u8>>>>;

    /// Writes a document, so that a reader sees it whole or not at all, and a crash does not undo
    /// it.
    fn write(&mut self, key: &str, bytes: &[u8]) -> anyhow::Result<()>;

    /// Removes a document; one that is gone already is none to remove.
    fn remove(&mut self, key: &str) -> anyhow::Result<()>;

    /// Keeps other redrives away until it is dropped.
    ///
    /// # Errors
    /// When another is at work.
    fn lock(&mut self) -> anyhow::Result<Box<dyn Hold>>;

    /// Whether documents can be moved; a queue's messages can only be deleted.
    fn keeps_marks(&self) -> bool {
        true
    }
}

/// The store of a name.
pub fn open(name: &str) -> anyhow::Result<Box<dyn Store>> {
    let service = ["s3://", "dynamodb:", "sqs:"].iter().find(|scheme| name.starts_with(**scheme));
    if service.is_some() {
        return of_aws(name);
    }
    match name.split_once(':') {
        Some(("file", path)) => {
            Ok(Box::new(Folder::open(path.strip_prefix("//").unwrap_or(path))?))
        }
        Some((scheme, _)) if scheme.len() > 1 && !std::path::Path::new(name).exists() => {
            let message = format!(
                "{name} is no store: name a folder, s3://BUCKET/PREFIX, dynamodb:TABLE or sqs:URL"
            );
            bail!(Usage(message))
        }
        _ => Ok(Box::new(Folder::open(name)?)),
    }
}

#[cfg(feature = "aws")]
fn of_aws(name: &str) -> anyhow::Result<Box<dyn Store>> {
    super::aws::open(name)
}

#[cfg(not(feature = "aws"))]
fn of_aws(name: &str) -> anyhow::Result<Box<dyn Store>> {
    Err(crate::needs_aws(name))
}
