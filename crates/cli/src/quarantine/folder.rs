//! A folder of documents, one a file.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::lock::{FileHold, Hold};
use super::store::{KEYS_MAX, Store};

/// What one redrive at a time holds: no document, since its name begins with a point.
const LOCK: &str = ".redrive.lock";

pub struct Folder {
    root: PathBuf,
}

impl Folder {
    /// Of a folder that is there.
    pub fn open(root: impl Into<PathBuf>) -> anyhow::Result<Self> {
        let root = root.into();
        let shown = root.display();
        match fs::metadata(&root) {
            Ok(found) if found.is_dir() => Ok(Self { root }),
            Ok(_) => bail!("{shown} is no folder: name the one that holds the envelopes"),
            Err(error) => Err(error).with_context(|| {
                format!("{shown} cannot be read: name the folder that holds the envelopes")
            }),
        }
    }

    fn walk(&self, folder: &Path, keys: &mut Vec<String>) -> anyhow::Result<()> {
        let failed = || format!("{} cannot be read", folder.display());
        for entry in fs::read_dir(folder).with_context(failed)? {
            let entry = entry.with_context(failed)?;
            let path = entry.path();
            // What is being written, and what a system keeps for itself.
            if entry.file_name().as_encoded_bytes().starts_with(b".") {
                continue;
            }
            if path.is_dir() {
                self.walk(&path, keys)?;
            } else if let Ok(inside) = path.strip_prefix(&self.root) {
                let parts: Vec<_> = inside.iter().map(|part| part.to_string_lossy()).collect();
                keys.push(parts.join("/"));
            }
            if keys.len() > KEYS_MAX {
                bail!(
                    "{} holds more than {KEYS_MAX} files: name a folder below it",
                    self.root.display()
                );
            }
        }
        Ok(())
    }
}

impl Store for Folder {
    fn keys(&mut self) -> anyhow::Result<Vec<String>> {
        let mut keys = Vec::new();
        self.walk(&self.root.clone(), &mut keys)?;
        keys.sort_unstable();
        Ok(keys)
    }

    fn read(&mut self, keys: &[String]) -> anyhow::Result<Vec<Option<Vec<u8>>>> {
        let read = |key: &String| match fs::read(self.root.join(key)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error)
                .with_context(|| format!("{} cannot be read", self.root.join(key).display())),
        };
        keys.iter().map(read).collect()
    }

    fn write(&mut self, key: &str, bytes: &[u8]) -> anyhow::Result<()> {
        let path = self.root.join(key);
        let folder = path.parent().unwrap_or(&self.root);
        let aside = folder.join(format!(".{}.tmp", std::process::id()));
        let written = || -> std::io::Result<()> {
            fs::create_dir_all(folder)?;
            let mut file = File::create(&aside)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&aside, &path)?;
            sync(folder)
        };
        written().with_context(|| {
            format!("{} cannot be written, so nothing is put back", path.display())
        })
    }

    fn lock(&mut self) -> anyhow::Result<Box<dyn Hold>> {
        let what = self.root.display().to_string();
        Ok(Box::new(FileHold::take(&self.root.join(LOCK), &what)?))
    }

    fn remove(&mut self, key: &str) -> anyhow::Result<()> {
        let path = self.root.join(key);
        match fs::remove_file(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => {
                return Err(error).with_context(|| format!("{} cannot be removed", path.display()));
            }
        }
        sync(path.parent().unwrap_or(&self.root))
            .with_context(|| format!("{} cannot be written", self.root.display()))
    }
}

/// Makes names last.
fn sync(folder: &Path) -> std::io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}
