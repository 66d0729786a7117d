//! What was in hand when the function ended without an answer.
//!
//! A crash, a call that never ends and running out of memory take the process with them: nothing is
//! left to quarantine the record that did it. The function's scratch space stays ("Understanding the
//! Lambda execution environment lifecycle", AWS Lambda Developer Guide, 2026-11), so a note there
//! tells the next attempt.

mod slot;

use std::cmp::Ordering;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use self::slot::Slot;
use crate::event::{Event, Record};

/// Batches without an end that are remembered. There is one a shard at most, unless the mapping
/// changed meanwhile.
const LEFT_MAX: usize = 64;

/// A folder of notes: of each batch while it is processed, and, once one of them did not end, of
/// each of its records.
///
/// After a crash, the batch comes again and is handled with care: one record after the other, each
/// noted before it is started. When it crashes once more, the record of the note is poison, as
/// `crash_suspect`, at the next attempt.
///
/// Without a crash it costs two short writes a batch. It helps as long as the batch comes again to
/// the same execution environment, which keeps its `/tmp`; what else there is are the mapping's
/// bisecting and its largest record age.
#[derive(Debug)]
pub struct Journal {
    folder: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    free: Vec<Slot>,
    left: Vec<Left>,
    slots: u32,
}

/// A batch that did not end.
#[derive(Debug)]
struct Left {
    slot: Slot,
    batch: Batch,
    in_hand: Option<Place>,
}

/// Which records a batch holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Batch {
    stream: Option<String>,
    shard: String,
    first: String,
    last: String,
}

/// Which record of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    sequence_number: String,
    sub_sequence_number: Option<u64>,
}

impl Place {
    fn is(&self, record: &Record<'_>) -> bool {
        record.sequence_number() == Some(&self.sequence_number)
            && record.sub_sequence_number() == self.sub_sequence_number
    }
}

impl Batch {
    fn of(event: &Event<'_>) -> Option<Self> {
        let (first, last) = (event.record(0)?, event.record(event.len().checked_sub(1)?)?);
        Some(Self {
            stream: first.stream_arn().map(ToOwned::to_owned),
            shard: first.shard_id()?.to_owned(),
            first: first.sequence_number()?.to_owned(),
            last: last.sequence_number()?.to_owned(),
        })
    }

    fn shares_records_with(&self, other: &Self) -> bool {
        let after = |a, b| by_number(a, b) == Ordering::Greater;
        (&self.stream, &self.shard) == (&other.stream, &other.shard)
            && !after(&self.first, &other.last)
            && !after(&other.first, &self.last)
    }
}

/// Sequence numbers in their order, which is not that of their text: they differ in length.
fn by_number(a: &str, b: &str) -> Ordering {
    let (a, b) = (a.trim_start_matches('0'), b.trim_start_matches('0'));
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

impl Journal {
    /// Opens the folder, creates it if need be, and reads what the processes before this one left.
    ///
    /// # Errors
    /// When the folder cannot be read or written.
    pub fn open(folder: impl Into<PathBuf>) -> io::Result<Self> {
        let folder = folder.into();
        fs::create_dir_all(&folder)?;
        let mut state = State::default();
        while let Some((mut slot, note)) = Slot::existing(&slot_path(&folder, state.slots))? {
            state.slots += 1;
            match note {
                Some((batch, in_hand)) if state.left.len() < LEFT_MAX => {
                    state.left.push(Left { slot, batch, in_hand });
                }
                _ => {
                    slot.clear()?;
                    state.free.push(slot);
                }
            }
        }
        Ok(Self { folder, state: Mutex::new(state) })
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a batch begins. One whose records cannot be named is not noted.
    pub(crate) fn begin(&self, event: &Event<'_>) -> io::Result<Option<Entry<'_>>> {
        let Some(batch) = Batch::of(event) else { return Ok(None) };
        let mut state = self.state();
        let mut slot = match state.free.pop() {
            Some(slot) => slot,
            None => {
                let slot = Slot::new(&slot_path(&self.folder, state.slots))?;
                state.slots += 1;
                slot
            }
        };
        let left = state.left.iter().filter(|left| left.batch.shares_records_with(&batch));
        let suspects: Vec<_> = left.map(|left| left.in_hand.clone()).collect();
        let careful = !suspects.is_empty();
        let suspects = suspects.into_iter().flatten().collect();
        if let Err(error) = slot.begin(&batch) {
            state.free.push(slot);
            return Err(error);
        }
        Ok(Some(Entry { journal: self, batch, slot: Mutex::new(Some(slot)), careful, suspects }))
    }
}

fn slot_path(folder: &Path, number: u32) -> PathBuf {
    folder.join(format!("batch-{number}"))
}

/// The note of a batch that is being processed. Whatever becomes of it in this process, it ends.
pub(crate) struct Entry<'j> {
    journal: &'j Journal,
    batch: Batch,
    /// There until the end.
    slot: Mutex<Option<Slot>>,
    careful: bool,
    suspects: Vec<Place>,
}

impl Entry<'_> {
    /// Whether a batch with some of these records did not end.
    pub(crate) const fn is_careful(&self) -> bool {
        self.careful
    }

    /// Whether this record was in hand then.
    pub(crate) fn suspects(&self, record: &Record<'_>) -> bool {
        self.suspects.iter().any(|place| place.is(record))
    }

    /// Notes the record that is started.
    pub(crate) fn start(&self, record: &Record<'_>) -> io::Result<()> {
        let Some(number) = record.sequence_number() else { return Ok(()) };
        let place = Place {
            sequence_number: number.to_owned(),
            sub_sequence_number: record.sub_sequence_number(),
        };
        let mut slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        slot.as_mut().map_or(Ok(()), |slot| slot.start(&place))
    }

    /// The batch has an answer: settled until the record with this number, or all of it.
    pub(crate) fn answered(&self, first_unsettled: Option<&str>) {
        if !self.careful {
            return;
        }
        let mut state = self.journal.state();
        let left = std::mem::take(&mut state.left);
        for mut left in left {
            if left.batch.shares_records_with(&self.batch) {
                let from = first_unsettled.unwrap_or(&self.batch.last);
                let all = first_unsettled.is_none()
                    && by_number(&left.batch.last, &self.batch.last) != Ordering::Greater;
                if all && left.slot.clear().is_ok() {
                    state.free.push(left.slot);
                    continue;
                }
                if by_number(&left.batch.first, from) == Ordering::Less {
                    left.batch.first = from.to_owned();
                }
            }
            state.left.push(left);
        }
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        let slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner).take();
        // A note that cannot be taken back is written over by the next batch.
        if let Some(mut slot) = slot {
            let _ = slot.clear();
            self.journal.state().free.push(slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_their_order() {
        let (short, long) = ("9".repeat(55), format!("1{}", "0".repeat(55)));
        assert_eq!(by_number(&short, &long), Ordering::Less);
        assert_eq!(by_number("10", "9"), Ordering::Greater);
        assert_eq!(by_number("007", "7"), Ordering::Equal);
    }

    #[test]
    fn batches_that_share_records() {
        let batch = |shard: &str, first: &str, last: &str| Batch {
            stream: None,
            shard: shard.into(),
            first: first.into(),
            last: last.into(),
        };
        let cases = [
            (batch("a", "5", "9"), true),
            (batch("a", "9", "12"), true),
            (batch("a", "1", "5"), true),
            (batch("a", "6", "7"), true),
            (batch("a", "10", "12"), false),
            (batch("a", "1", "4"), false),
            (batch("b", "5", "9"), false),
        ];
        for (other, expected) in cases {
            assert_eq!(batch("a", "5", "9").shares_records_with(&other), expected, "{other:?}");
        }
    }
}
