//! Where objects go: a bucket as a folder, or in memory.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Component, Path, PathBuf};

/// A bucket.
pub trait Objects {
    /// Writes an object whole.
    ///
    /// # Errors
    /// When it could not be written.
    fn put(&mut self, key: &str, body: &[u8]) -> io::Result<()>;
}

/// A bucket as a folder: a key's slashes are folders.
#[derive(Debug, Clone)]
pub struct Folder(pub PathBuf);

impl Objects for Folder {
    fn put(&mut self, key: &str, body: &[u8]) -> io::Result<()> {
        let relative = Path::new(key);
        if !relative.components().all(|part| matches!(part, Component::Normal(_))) {
            let message = format!("the key {key:?} is not a path inside the bucket");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let path = self.0.join(relative);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::File::create(path)?.write_all(body)
    }
}

/// A bucket in memory.
impl Objects for BTreeMap<String, Vec<u8>> {
    fn put(&mut self, key: &str, body: &[u8]) -> io::Result<()> {
        self.insert(key.to_owned(), body.to_vec());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_stays_inside_the_bucket() {
        let folder = tempfile::tempdir().unwrap();
        let mut bucket = Folder(folder.path().to_owned());
        bucket.put("data/year=2026/a", b"x").unwrap();
        assert_eq!(fs::read(folder.path().join("data/year=2026/a")).unwrap(), b"x");
        for key in ["../a", "/a", "a/../../b"] {
            assert_eq!(
                bucket.put(key, b"").unwrap_err().kind(),
                io::ErrorKind::InvalidInput,
                "{key}"
            );
        }
    }
}
