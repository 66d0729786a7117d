//! One file of the journal: a batch, and the record in hand.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Batch, Place};

/// Where the record in hand stands. A batch's line is shorter: an ARN and three short names.
const IN_HAND_AT: usize = 4096;

/// A file that is written over and over: a process that ends leaves it as it was last written.
#[derive(Debug)]
pub(super) struct Slot {
    file: File,
    /// Tells the record in hand of this batch from that of one before it.
    turn: u64,
}

/// A batch that did not end, and the record that was in hand, where that was noted.
pub(super) type Unfinished = (Batch, Option<Place>);

#[derive(Serialize, Deserialize)]
struct Note<T> {
    turn: u64,
    #[serde(flatten)]
    of: Option<T>,
}

impl Slot {
    /// A file that there is not yet.
    pub(super) fn new(path: &Path) -> io::Result<Self> {
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
        Ok(Self { file, turn: 0 })
    }

    /// A file that a process left, if there is one, and what it was about.
    pub(super) fn existing(path: &Path) -> io::Result<Option<(Self, Option<Unfinished>)>> {
        let mut file = match OpenOptions::new().read(true).write(true).open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let mut bytes = Vec::new();
        Read::by_ref(&mut file).take(2 * IN_HAND_AT as u64).read_to_end(&mut bytes)?;
        let (batch, in_hand) = bytes.split_at(bytes.len().min(IN_HAND_AT));
        let (batch, in_hand) = (line::<Batch>(batch), line::<Place>(in_hand));
        let turn = batch.as_ref().map_or(0, |note| note.turn);
        let in_hand = in_hand.filter(|note| note.turn == turn).and_then(|note| note.of);
        let note = batch.and_then(|note| note.of).map(|batch| (batch, in_hand));
        Ok(Some((Self { file, turn }, note)))
    }

    pub(super) fn begin(&mut self, batch: &Batch) -> io::Result<()> {
        self.turn += 1;
        self.write(0, Some(batch))
    }

    pub(super) fn start(&mut self, place: &Place) -> io::Result<()> {
        self.write(IN_HAND_AT as u64, Some(place))
    }

    pub(super) fn clear(&mut self) -> io::Result<()> {
        self.write(0, None::<&Batch>)
    }

    /// One write a line: a process that ends in between leaves the old one or the new one.
    fn write<T: Serialize>(&mut self, at: u64, of: Option<&T>) -> io::Result<()> {
        let mut line = serde_json::to_vec(&Note { turn: self.turn, of })?;
        line.push(b'\n');
        if at == 0 && line.len() > IN_HAND_AT {
            return Err(io::Error::other("the names of the batch are too long for a note"));
        }
        self.file.seek(SeekFrom::Start(at))?;
        self.file.write_all(&line)
    }
}

fn line<T: for<'de> Deserialize<'de>>(bytes: &[u8]) -> Option<Note<T>> {
    serde_json::from_slice(bytes.split(|byte| *byte == b'\n').next()?).ok()
}
