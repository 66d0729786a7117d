//! All files that are read: through rotation, truncation and restart.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::Context;
use regex_lite::Regex;
use tidegate_runtime::clock;

use super::checkpoint::{Identity, Place, Progress};
use super::file::{first_line, folder, identity, is_copy, is_same, siblings};
use super::input::{CHUNK_BYTES, Event, Outbox};
use super::lines::{Lines, Splitter};
use super::tail::{Tail, unreadable};

/// The input that is no file.
pub const STDIN: usize = 0;

/// How often files are looked at.
const POLL: Duration = Duration::from_millis(200);

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
    /// What the run itself writes: no rotated file, whatever it is called.
    own: Vec<PathBuf>,
    next_input: usize,
}

impl Tails {
    /// None yet.
    pub const fn new(paths: Vec<PathBuf>, join: Option<Regex>, own: Vec<PathBuf>) -> Self {
        Self { paths, tails: Vec::new(), finished: Vec::new(), join, own, next_input: STDIN + 1 }
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
            let mut places = latest(places);
            // What is sent whole must be known when a copy is looked for.
            places.sort_by_key(|place| !place.finished);
            for place in places {
                match self.find(&place) {
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
                self.was_cut_off(cut, outbox)?;
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

    /// What rotation left beside a path.
    fn siblings(&self, path: &Path) -> Vec<(PathBuf, File)> {
        let is_own = |name: &Path| self.own.iter().any(|own| is_one(own, name));
        siblings(path).into_iter().filter(|(name, _)| !is_own(name)).collect()
    }

    /// The file of an earlier run: under its path, or beside it under another name.
    fn find(&self, place: &Place) -> Option<File> {
        let is_it = |file: &File| {
            let number = file.metadata().map(|metadata| (metadata.dev(), metadata.ino()));
            number.is_ok_and(|number| number == place.identity.number())
        };
        let under_its_path = File::open(&place.path).ok().filter(is_it);
        under_its_path.or_else(|| {
            self.siblings(&place.path).into_iter().map(|(_, file)| file).find(|file| is_it(file))
        })
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
        let siblings = self.siblings(path);
        for (name, file) in &siblings {
            let known = identity(file, 0).with_context(|| unreadable(name))?;
            let is_read = self.tails.iter().any(|tail| tail.identity.number() == known.number());
            let is_it = |finished: &Finished| {
                finished.identity.number() == known.number()
                    && is_same(file, &finished.identity).unwrap_or(false)
            };
            // What is copied is cut off in a moment, and is read then as far as it is not yet.
            let is_copied = |tail: &Tail| {
                tail.path == path && is_copy(file, &tail.file, &tail.identity).unwrap_or(false)
            };
            if !is_read && !self.finished.iter().any(is_it) && !self.tails.iter().any(is_copied) {
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
                let place = Place::new(path.to_owned(), known);
                self.remember(Place { progress, finished: true, ..place }, outbox)?;
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
        let offset = place.progress.offset;
        if is_same && length >= offset {
            file.seek(SeekFrom::Start(offset)).with_context(|| unreadable(&path))?;
            let identity = place.identity.clone();
            return self.add(&path, file, identity, Some(place), outbox);
        }
        outbox.tell(Event::Note(format!("{} begins anew since the last run", path.display())))?;
        let truncated = place.identity.truncated + 1;
        if let Some((mut copy, identity)) = self.copy_of(&path, &place.identity, offset)? {
            copy.seek(SeekFrom::Start(offset)).with_context(|| unreadable(&path))?;
            self.add(&path, copy, place.identity.clone(), Some(place), outbox)?;
            if let Some(tail) = self.tails.last_mut() {
                outbox.tell(Event::Known { input: tail.input, identity: identity.clone() })?;
                tail.identity = identity;
                tail.rotated = Some(clock::now());
            }
        } else if length < offset {
            outbox.tell(Event::Note(unread(&path, offset)))?;
        }
        let identity = identity(&file, truncated).with_context(|| unreadable(&path))?;
        self.add(&path, file, identity, None, outbox)
    }

    /// A file that was cut off is another one. What it held is read on in the copy that was made of
    /// it before, where there is one.
    fn was_cut_off(&mut self, mut cut: Tail, outbox: &Outbox) -> anyhow::Result<()> {
        let path = cut.path.clone();
        outbox.tell(Event::Note(format!("{} was cut off and begins anew", path.display())))?;
        let truncated = cut.identity.truncated + 1;
        let position = cut.splitter.position();
        cut.is_cut = false;
        if let Some((mut copy, identity)) = self.copy_of(&path, &cut.identity, position)? {
            copy.seek(SeekFrom::Start(position)).with_context(|| unreadable(&path))?;
            outbox.tell(Event::Known { input: cut.input, identity: identity.clone() })?;
            let rotated = Some(clock::now());
            self.tails.push(Tail { file: copy, identity, rotated, ..cut });
        } else {
            outbox.tell(Event::Note(unread(&path, position)))?;
            let mut lines = Lines::new(cut.input);
            cut.splitter.end(clock::now(), &mut lines);
            outbox.lines(&mut lines)?;
            outbox.tell(Event::Finished(cut.input))?;
        }
        let mut again = cut.file;
        let begun = again.rewind().and_then(|()| identity(&again, truncated));
        self.add(&path, again, begun.with_context(|| unreadable(&path))?, None, outbox)
    }

    /// The copy of a file that was cut off: beside it, not read yet, as long as what was read of the
    /// file and with the same beginning. Of several the newest.
    fn copy_of(
        &self,
        path: &Path,
        cut: &Identity,
        position: u64,
    ) -> anyhow::Result<Option<(File, Identity)>> {
        let mut found: Option<(SystemTime, File, Identity)> = None;
        for (name, file) in self.siblings(path) {
            let failed = || unreadable(&name);
            let known = identity(&file, 0).with_context(failed)?;
            let metadata = file.metadata().with_context(failed)?;
            let modified = metadata.modified().with_context(failed)?;
            let number = known.number();
            let is_known = self.tails.iter().any(|tail| tail.identity.number() == number)
                || self.finished.iter().any(|finished| finished.identity.number() == number);
            let is_it = !is_known
                && cut.head_bytes > 0
                && metadata.len() >= position
                && is_same(&file, cut).with_context(failed)?;
            if is_it && found.as_ref().is_none_or(|(newest, ..)| *newest < modified) {
                found = Some((modified, file, known));
            }
        }
        Ok(found.map(|(_, file, known)| (file, known)))
    }

    fn add(
        &mut self,
        path: &Path,
        file: File,
        identity: Identity,
        earlier: Option<Place>,
        outbox: &Outbox,
    ) -> anyhow::Result<()> {
        let input = self.next_input;
        self.next_input += 1;
        let known = identity.clone();
        let place = earlier.unwrap_or_else(|| Place::new(path.to_owned(), known));
        let offset = place.progress.offset;
        let splitter = Splitter::new(offset, self.join.clone());
        let path = path.to_owned();
        let header = match offset {
            0 => None,
            _ => first_line(&file).with_context(|| unreadable(&path))?,
        };
        outbox.tell(Event::Opened { input, place, header })?;
        let (rotated, is_done, is_cut) = (None, false, false);
        let tail = Tail { input, path, file, identity, splitter, rotated, is_done, is_cut };
        self.tails.push(tail);
        Ok(())
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

fn unread(path: &Path, position: u64) -> String {
    format!(
        "{} had been sent up to byte {position}, and there is no copy of it: if there was more, it \
         is not sent",
        path.display()
    )
}

/// Whether two names in one folder, or in the folder of this process, are the same.
fn is_one(a: &Path, b: &Path) -> bool {
    let folder = |path: &Path| fs::canonicalize(folder(path)).ok();
    a.file_name() == b.file_name() && folder(a) == folder(b)
}
