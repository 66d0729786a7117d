//! Files on the disk: what tells one from another, and what rotation leaves beside it.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use md5::{Digest as _, Md5};

use super::checkpoint::Identity;

/// How much of a file tells it from another with the same number.
pub const HEAD_BYTES: usize = 256;

/// A first line that is longer names no columns.
const FIRST_LINE_BYTES_MAX: usize = 64 << 10;

/// A file as it is now, which was seen to begin anew so often.
pub fn identity(file: &File, truncated: u32) -> io::Result<Identity> {
    let metadata = file.metadata()?;
    let head = head(file, HEAD_BYTES)?;
    Ok(Identity {
        device: metadata.dev(),
        inode: metadata.ino(),
        truncated,
        head: digest(&head),
        head_bytes: head.len() as u64,
    })
}

/// The first line that is not blank.
pub fn first_line(file: &File) -> io::Result<Option<Vec<u8>>> {
    let head = head(file, FIRST_LINE_BYTES_MAX)?;
    let line = head.split(|byte| *byte == b'\n').find(|line| !line.trim_ascii().is_empty());
    Ok(line.map(|line| line.strip_suffix(b"\r").unwrap_or(line).to_owned()))
}

/// Whether it begins as the file of an identity did.
pub fn is_same(file: &File, identity: &Identity) -> io::Result<bool> {
    let length = usize::try_from(identity.head_bytes).unwrap_or(HEAD_BYTES).min(HEAD_BYTES);
    let head = head(file, length)?;
    Ok(head.len() == length && digest(&head) == identity.head)
}

/// Whether a file is a copy of what another still holds: it begins as that did, and the last bytes
/// that both have are the same.
pub fn is_copy(file: &File, of: &File, identity: &Identity) -> io::Result<bool> {
    let common = file.metadata()?.len().min(of.metadata()?.len());
    let from = common.saturating_sub(HEAD_BYTES as u64);
    let window = |file: &File| {
        let mut bytes = vec![0; HEAD_BYTES.min(usize::try_from(common).unwrap_or(HEAD_BYTES))];
        file.read_exact_at(&mut bytes, from).map(|()| bytes)
    };
    Ok(common > 0 && is_same(file, identity)? && window(file)? == window(of)?)
}

fn head(file: &File, most: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; most];
    let mut length = 0;
    while length < most {
        match file.read_at(&mut bytes[length..], length as u64)? {
            0 => break,
            read => length += read,
        }
    }
    bytes.truncate(length);
    Ok(bytes)
}

fn digest(bytes: &[u8]) -> String {
    Md5::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What rotation makes of the name of a path: the name with something behind it. Copies that were
/// compressed are other files with the same lines.
pub fn siblings(path: &Path) -> Vec<(PathBuf, File)> {
    let Ok(entries) = fs::read_dir(folder(path)) else { return Vec::new() };
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let is_rotated = |other: &Path| {
        let other = other.file_name().unwrap_or_default().to_string_lossy();
        let compressed = [".gz", ".zst", ".bz2", ".xz", ".zip"];
        other.strip_prefix(&name).is_some_and(|rest| rest.starts_with(['.', '-', '_']))
            && !compressed.iter().any(|extension| other.ends_with(extension))
    };
    let paths = entries.filter_map(Result::ok).map(|entry| entry.path());
    let open = |path: PathBuf| File::open(&path).ok().map(|file| (path, file));
    let is_file = |(_, file): &(PathBuf, File)| file.metadata().is_ok_and(|m| m.is_file());
    paths.filter(|path| is_rotated(path)).filter_map(open).filter(is_file).collect()
}

/// Where a path lies.
pub fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
