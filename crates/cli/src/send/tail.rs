//! Files as they are written: through rotation, truncation and restart.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use jiff::{SignedDuration, Timestamp};
use md5::{Digest as _, Md5};
use regex_lite::Regex;
use tidegate_runtime::clock;

use super::checkpoint::{Identity, Place, Progress};
use super::input::{CHUNK_BYTES, Event, Outbox};
use super::lines::Splitter;

/// The input that is no file.
pub const STDIN: usize = 0;

/// How often files are looked at.
const POLL: Duration = Duration::from_millis(200);

/// How long a file that was rotated away must be quiet: its writer goes on until it is told.
const QUIET: SignedDuration = SignedDuration::from_secs(5);

/// How much of a file tells it from another with the same number.
const HEAD_BYTES: usize = 256;

/// A first line that is longer names no columns.
const FIRST_LINE_BYTES_MAX: usize = 64 << 10;

/// One file that is read.
struct Tail {
    input: usize,
    path: PathBuf,
    file: File,
    identity: Identity,
    splitter: Splitter,
    /// Since when nothing came, once the path belongs to another file.
    rotated: Option<Timestamp>,
    is_done: bool,
    /// Whether it was cut off, and is written from its beginning.
    is_cut: bool,
}

/// A file that was rotated away and read to its end.
struct Finished {
    input: usize,
    path: PathBuf,
    identity: Identity,
}

/// All files that are read.
pub struct Tails {
    paths: Vec<PathBuf>,
    tails: Vec<Tail>,
    finished: Vec<Finished>,
    join: Option<Regex>,
    next_input: usize,
}

impl Tails {
    /// None yet.
    pub const fn new(paths: Vec<PathBuf>, join: Option<Regex>) -> Self {
        Self { paths, tails: Vec::new(), finished: Vec::new(), join, next_input: STDIN + 1 }
    }

    /// Opens what is named, and what an earlier run has not finished.
    pub fn open(
        &mut self,
        mut places: Vec<Place>,
        follow: bool,
        outbox: &Outbox,
    ) -> anyhow::Result<()> {
        for path in self.paths.clone() {
            let places: Vec<_> = places.extract_if(.., |place| place.path == path).collect();
            let is_first = places.is_empty();
            for place in latest(places) {
                match find(&place) {
                    Some(_) if place.finished => self.remember(place, outbox)?,
                    Some(file) => self.go_on(file, place, outbox)?,
                    None if place.finished => {}
                    None => outbox.tell(Event::Note(format!(
                        "{} was sent up to byte {} and is gone since: if there was more, it is not \
                         sent",
                        path.display(),
                        place.progress.offset
                    )))?,
                }
            }
            if follow {
                self.open_rotated(&path, is_first, outbox)?;
            }
            if !self.open_new(&path, outbox)? && !self.is_open(&path) {
                if !follow {
                    let error = io::Error::from(ErrorKind::NotFound);
                    return Err(error).with_context(|| unreadable(&path));
                }
                outbox.tell(Event::Note(format!("{} is not there yet", path.display())))?;
            }
        }
        Ok(())
    }

    /// Reads all of them to their ends; when they are followed, until reading is stopped.
    pub fn read(&mut self, follow: bool, outbox: &Outbox) -> anyhow::Result<()> {
        let mut bytes = vec![0; CHUNK_BYTES];
        while !outbox.is_stopped() {
            let mut came = false;
            for tail in &mut self.tails {
                came |= tail.poll(follow, &mut bytes, outbox)?;
            }
            for cut in self.tails.extract_if(.., |tail| tail.is_cut).collect::<Vec<_>>() {
                self.begin_anew(cut, outbox)?;
            }
            for done in self.tails.extract_if(.., |tail| tail.is_done) {
                let Tail { input, path, identity, .. } = done;
                self.finished.push(Finished { input, path, identity });
            }
            if !follow && self.tails.is_empty() {
                break;
            }
            if follow && !came {
                for path in self.paths.clone() {
                    if self.is_another(&path) {
                        // It may have been rotated more than once since the last look.
                        self.open_rotated(&path, false, outbox)?;
                        self.open_new(&path, outbox)?;
                    }
                }
                std::thread::sleep(POLL);
            }
        }
        // What is joined so far may go on in the next run, which reads it again.
        Ok(())
    }

    /// Whether a path is being read.
    fn is_open(&self, path: &Path) -> bool {
        self.tails.iter().any(|tail| tail.path == path)
    }

    /// Whether a path belongs to a file that is not read yet.
    fn is_another(&self, path: &Path) -> bool {
        let Ok(metadata) = fs::metadata(path) else { return false };
        let number = (metadata.dev(), metadata.ino());
        !self.tails.iter().any(|tail| tail.path == path && tail.identity.number() == number)
    }

    /// Opens what was rotated away while nobody looked, the oldest first. What is there before a path
    /// is followed for the first time is not sent: nobody named it.
    fn open_rotated(&mut self, path: &Path, is_first: bool, outbox: &Outbox) -> anyhow::Result<()> {
        let mut rotated = Vec::new();
        let siblings = siblings(path);
        for (name, file) in &siblings {
            let known = identity(file, 0).with_context(|| unreadable(name))?;
            let is_read = self.tails.iter().any(|tail| tail.identity.number() == known.number());
            let is_it = |finished: &Finished| {
                finished.identity.number() == known.number()
                    && is_same(file, &finished.identity).unwrap_or(false)
            };
            if !is_read && !self.finished.iter().any(is_it) {
                let modified = file.metadata().and_then(|metadata| metadata.modified());
                rotated.push((modified.with_context(|| unreadable(name))?, known, file));
            }
        }
        rotated.sort_by_key(|(modified, ..)| *modified);
        for (_, known, file) in rotated {
            let file = file.try_clone().with_context(|| unreadable(path))?;
            if is_first {
                let offset = file.metadata().with_context(|| unreadable(path))?.len();
                let progress = Progress { offset, ..Progress::default() };
                let (path, finished) = (path.to_owned(), true);
                self.remember(Place { path, identity: known, progress, finished }, outbox)?;
            } else {
                self.add(path, file, known, None, outbox)?;
            }
        }
        let is_there = |finished: &Finished| {
            finished.path != path
                || siblings.iter().any(|(_, file)| {
                    file.metadata().is_ok_and(|metadata| {
                        (metadata.dev(), metadata.ino()) == finished.identity.number()
                    })
                })
        };
        for gone in self.finished.extract_if(.., |finished| !is_there(finished)) {
            outbox.tell(Event::Gone(gone.input))?;
        }
        Ok(())
    }

    /// Keeps a file in mind that is sent whole.
    fn remember(&mut self, place: Place, outbox: &Outbox) -> anyhow::Result<()> {
        let input = self.next_input;
        self.next_input += 1;
        let (path, identity) = (place.path.clone(), place.identity.clone());
        self.finished.push(Finished { input, path, identity });
        Ok(outbox.tell(Event::Opened { input, place, header: None })?)
    }

    /// Opens a path that belongs to a file which is not read yet; whether there was one.
    fn open_new(&mut self, path: &Path, outbox: &Outbox) -> anyhow::Result<bool> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error).with_context(|| unreadable(path)),
        };
        let identity = identity(&file, 0).with_context(|| unreadable(path))?;
        let is_it = |tail: &Tail| tail.path == path && tail.identity.number() == identity.number();
        if self.tails.iter().any(is_it) {
            return Ok(false);
        }
        for tail in self.tails.iter_mut().filter(|tail| tail.path == path) {
            tail.rotated.get_or_insert(clock::now());
        }
        self.add(path, file, identity, None, outbox)?;
        Ok(true)
    }

    /// Goes on with a file of an earlier run, whatever it is called by now.
    fn go_on(&mut self, mut file: File, place: Place, outbox: &Outbox) -> anyhow::Result<()> {
        let path = place.path.clone();
        let is_same = is_same(&file, &place.identity).with_context(|| unreadable(&path))?;
        let length = file.metadata().with_context(|| unreadable(&path))?.len();
        if is_same && length >= place.progress.offset {
            file.seek(SeekFrom::Start(place.progress.offset)).with_context(|| unreadable(&path))?;
            let identity = place.identity.clone();
            return self.add(&path, file, identity, Some(place.progress), outbox);
        }
        let shown = path.display();
        outbox.tell(Event::Note(format!("{shown} begins anew since the last run")))?;
        let identity = identity(&file, place.identity.truncated + 1);
        self.add(&path, file, identity.with_context(|| unreadable(&path))?, None, outbox)
    }

    /// A file that was cut off is another one: what was read of it is its own.
    fn begin_anew(&mut self, mut cut: Tail, outbox: &Outbox) -> anyhow::Result<()> {
        outbox.tell(Event::Note(format!("{} was cut off and begins anew", cut.path.display())))?;
        let truncated = cut.identity.truncated + 1;
        let again = cut.file.rewind().and_then(|()| identity(&cut.file, truncated));
        let identity = again.with_context(|| unreadable(&cut.path))?;
        self.add(&cut.path, cut.file, identity, None, outbox)
    }

    fn add(
        &mut self,
        path: &Path,
        file: File,
        identity: Identity,
        progress: Option<Progress>,
        outbox: &Outbox,
    ) -> anyhow::Result<()> {
        let input = self.next_input;
        self.next_input += 1;
        let progress = progress.unwrap_or_default();
        let splitter = Splitter::new(input, progress.offset, self.join.clone());
        let path = path.to_owned();
        let header = match progress.offset {
            0 => None,
            _ => first_line(&file).with_context(|| unreadable(&path))?,
        };
        let (known, finished) = (identity.clone(), false);
        let place = Place { path: path.clone(), identity: known, progress, finished };
        outbox.tell(Event::Opened { input, place, header })?;
        let (rotated, is_done, is_cut) = (None, false, false);
        let tail = Tail { input, path, file, identity, splitter, rotated, is_done, is_cut };
        self.tails.push(tail);
        Ok(())
    }
}

impl Tail {
    /// Reads what is there; whether there was something.
    fn poll(&mut self, follow: bool, bytes: &mut [u8], outbox: &Outbox) -> anyhow::Result<bool> {
        let failed = || unreadable(&self.path);
        let read = self.file.read(bytes).with_context(failed)?;
        let mut lines = Vec::new();
        let now = clock::now();
        if read > 0 {
            self.know_head(outbox)?;
            self.splitter.take(&bytes[..read], now, &mut lines);
            self.rotated = self.rotated.map(|_| now);
            outbox.lines(&mut lines)?;
            return Ok(true);
        }
        let length = self.file.metadata().with_context(failed)?.len();
        self.is_cut = follow && length < self.splitter.position();
        let is_quiet = self.rotated.is_some_and(|since| now.duration_since(since) >= QUIET);
        if !follow || is_quiet || self.is_cut {
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

/// Of a file that was cut off, only what it is since.
fn latest(places: Vec<Place>) -> Vec<Place> {
    let mut latest: Vec<Place> = Vec::new();
    for place in places {
        let number = place.identity.number();
        match latest.iter_mut().find(|other| other.identity.number() == number) {
            Some(other) if other.identity.truncated < place.identity.truncated => *other = place,
            Some(_) => {}
            None => latest.push(place),
        }
    }
    latest
}

fn unreadable(path: &Path) -> String {
    format!("{} cannot be read", path.display())
}

fn identity(file: &File, truncated: u32) -> io::Result<Identity> {
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
fn first_line(file: &File) -> io::Result<Option<Vec<u8>>> {
    let head = head(file, FIRST_LINE_BYTES_MAX)?;
    let line = head.split(|byte| *byte == b'\n').find(|line| !line.trim_ascii().is_empty());
    Ok(line.map(|line| line.strip_suffix(b"\r").unwrap_or(line).to_owned()))
}

fn is_same(file: &File, identity: &Identity) -> io::Result<bool> {
    let length = usize::try_from(identity.head_bytes).unwrap_or(HEAD_BYTES).min(HEAD_BYTES);
    let head = head(file, length)?;
    Ok(head.len() == length && digest(&head) == identity.head)
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
fn siblings(path: &Path) -> Vec<(PathBuf, File)> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let Ok(entries) = fs::read_dir(folder.unwrap_or(Path::new("."))) else { return Vec::new() };
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

/// The file of an earlier run: under its path, or beside it under another name.
fn find(place: &Place) -> Option<File> {
    let is_it = |file: &File| {
        let number = file.metadata().map(|metadata| (metadata.dev(), metadata.ino()));
        number.is_ok_and(|number| number == place.identity.number())
    };
    let under_its_path = File::open(&place.path).ok().filter(is_it);
    under_its_path.or_else(|| {
        siblings(&place.path).into_iter().map(|(_, file)| file).find(|file| is_it(file))
    })
}
