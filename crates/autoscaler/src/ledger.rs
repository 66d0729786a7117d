//! What is kept of a stream between two looks: its calls, the calls of others, the peaks that were
//! learned, and the shard count that it was left with.
//!
//! The ledger is a memory and a lock. Its entry is written, on the condition that nobody else wrote
//! since it was read, before each call: of two runs at once one fails there. Between calls it is
//! written when a block has closed, not at each look.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::history::{self, BLOCK, CALL_WINDOW, Calls, History};
use crate::hot;
use crate::observation::{Minute, Status};
use crate::units::MilliShards;

/// The version of the entry's text. An entry of another version is left alone.
pub const FORMAT: u32 = 1;

/// How long a block is remembered: as long as CloudWatch keeps points of a minute, so that a lost
/// ledger can be filled again ("Metrics retention", CloudWatch User Guide, 2026-11).
pub const REMEMBERED: SignedDuration = SignedDuration::from_hours(15 * 24);

/// Points that come later than this after the end of a block are not waited for.
const LATE: SignedDuration = SignedDuration::from_mins(5);

/// A call that was written down and shows no effect yet is somebody's who is about to make it, for
/// so long. Longer than [`LEASE`] by what clocks of two hosts may differ.
pub const PENDING: SignedDuration = SignedDuration::from_secs(90);

/// Who wrote a call down makes it within this time, or not at all.
pub const LEASE: SignedDuration = SignedDuration::from_secs(30);

/// Calls of others whose times are not known are taken to come free one an hour.
const FREE_EVERY: SignedDuration = SignedDuration::from_hours(1);

/// What is kept of one stream.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Entry {
    /// The calls of the last day that we made, or were about to make.
    pub own: Calls,
    /// The calls of the last day that others made, as far as they were noticed.
    pub others: Calls,
    /// The highest demand of each block, by its start.
    pub blocks: BTreeMap<Timestamp, MilliShards>,
    /// Whether all that CloudWatch remembers was taken over.
    pub seeded: bool,
    /// Blocks that end until then are complete.
    pub complete_until: Timestamp,
    /// The shards that the stream was last seen with, while it was ACTIVE.
    pub settled: Option<u32>,
    /// A change of our own that was not yet seen to be done.
    pub expected: Option<Expected>,
    /// What is remembered of single shards.
    pub shards: hot::Memory,
}

/// A change of our own that is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expected {
    /// The shards that the stream will have.
    pub to: u32,
    /// When it was written down.
    pub at: Timestamp,
}

/// An entry that cannot be read. It is never overwritten: what it holds may be worth more than what
/// would replace it.
#[derive(Debug, thiserror::Error)]
pub enum EntryError {
    /// Its text is not what this version writes.
    #[error(
        "the ledger's entry cannot be read; delete the item when no call was made in the last 24 \
         hours"
    )]
    Text(#[source] serde_json::Error),
    /// It is of a version that this one does not know.
    #[error("the ledger's entry has the format {0}, and this version reads {FORMAT}")]
    Format(u32),
}

/// The entry as it is written.
#[derive(Serialize, Deserialize)]
struct Text {
    format: u32,
    own: Vec<i64>,
    others: Vec<i64>,
    /// The start of the first block.
    blocks_from: i64,
    /// The peaks in thousandths of a shard, one a block, `-` where none is known.
    blocks: String,
    seeded: bool,
    complete_until: i64,
    settled: Option<u32>,
    expected: Option<Expected>,
    #[serde(default)]
    shards: hot::Memory,
}

#[derive(Deserialize)]
struct Version {
    format: u32,
}

impl Entry {
    /// Reads an entry.
    ///
    /// # Errors
    /// When it is not what [`Entry::to_text`] writes.
    pub fn from_text(text: &str) -> Result<Self, EntryError> {
        let Version { format } = serde_json::from_str(text).map_err(EntryError::Text)?;
        if format != FORMAT {
            return Err(EntryError::Format(format));
        }
        let text: Text = serde_json::from_str(text).map_err(EntryError::Text)?;
        let moment = |second: i64| Timestamp::from_second(second).map_err(unreadable);
        let calls = |seconds: &[i64]| -> Result<Calls, EntryError> {
            seconds.iter().map(|second| moment(*second)).collect()
        };
        let mut blocks = BTreeMap::new();
        for (word, second) in
            text.blocks.split_ascii_whitespace().zip((text.blocks_from..).step_by(BLOCK_STEP))
        {
            if word != "-" {
                blocks.insert(moment(second)?, MilliShards(word.parse().map_err(unreadable)?));
            }
        }
        Ok(Self {
            own: calls(&text.own)?,
            others: calls(&text.others)?,
            blocks,
            seeded: text.seeded,
            complete_until: moment(text.complete_until)?,
            settled: text.settled,
            expected: text.expected,
            shards: text.shards,
        })
    }

    /// The text that is stored: JSON of at most about 10 kB, whatever the stream.
    pub fn to_text(&self) -> String {
        let seconds = |calls: &Calls| calls.iter().map(Timestamp::as_second).collect();
        let first = self.blocks.keys().next().copied().unwrap_or_default();
        let last = self.blocks.keys().next_back().copied();
        let mut words = Vec::new();
        let mut at = first;
        while last.is_some_and(|last| at <= last) {
            let peak = self.blocks.get(&at);
            words.push(peak.map_or_else(|| "-".to_owned(), |peak| peak.0.to_string()));
            at += BLOCK;
        }
        let text = Text {
            format: FORMAT,
            own: seconds(&self.own),
            others: seconds(&self.others),
            blocks_from: first.as_second(),
            blocks: words.join(" "),
            seeded: self.seeded,
            complete_until: self.complete_until.as_second(),
            settled: self.settled,
            expected: self.expected,
            shards: self.shards.clone(),
        };
        // A struct of numbers and strings always has a text.
        serde_json::to_string(&text).unwrap_or_default()
    }

    /// What the decision is told: the calls of everybody, and the blocks.
    pub fn history(&self) -> History {
        History {
            calls: self.own.plus(&self.others),
            blocks: self.blocks.clone(),
            shards: self.shards.clone(),
        }
    }

    /// Takes over what the stream's tag knows: everything that is in it was called, and what is not
    /// known as somebody else's was our own.
    pub fn add_tag(&mut self, tag: &Calls) {
        self.own = self.own.union(&tag.without(&self.others));
    }

    /// Takes over the minutes that CloudWatch shows, and forgets what is too old or lies ahead.
    pub fn learn(&mut self, minutes: &BTreeMap<Timestamp, Minute>, now: Timestamp) {
        for (block, peak) in history::blocks(minutes) {
            let known = self.blocks.entry(block).or_default();
            *known = peak.max(*known);
        }
        self.blocks = self.blocks.split_off(&history::block_of(now - REMEMBERED));
        let _ahead = self.blocks.split_off(&now);
    }

    /// Compares the shards with those of the last look, and books the calls of others that the
    /// difference took. Answers how many there were.
    ///
    /// The count is only compared while the stream is ACTIVE: on the way it shows anything. Splits
    /// and merges of single shards by others are booked as one call, too, which errs on the safe
    /// side.
    pub fn notice(&mut self, open: u32, status: Status, now: Timestamp) -> u32 {
        if status != Status::Active {
            return 0;
        }
        let Some(settled) = self.settled else {
            self.settled = Some(open);
            return 0;
        };
        if open == settled {
            // Either nothing was called, or the call has no effect yet.
            if self.expected.is_some_and(|expected| now.duration_since(expected.at) > PENDING) {
                self.expected = None;
            }
            return 0;
        }
        let ours = self.expected.map(|expected| expected.to);
        self.settled = Some(open);
        self.expected = None;
        if ours == Some(open) || self.shards.explains(settled, open, now) {
            return 0;
        }
        let calls = doublings(ours.unwrap_or(settled), open);
        for _ in 0..calls {
            self.others = self.others.with(now);
        }
        calls
    }

    /// Whether a call was written down that somebody may be about to make.
    pub fn is_pending(&self, now: Timestamp) -> bool {
        self.expected.is_some_and(|expected| now.duration_since(expected.at) <= PENDING)
    }

    /// With one more call of ours, which is about to be made.
    #[must_use]
    pub fn with_call(&self, to: u32, now: Timestamp) -> Self {
        let own = self.own.with(now);
        Self { own, expected: Some(Expected { to, at: now }), ..self.clone() }
    }

    /// Books what a refused call gave away: the service counts ten calls, and those that are not
    /// ours were made by others at times that nobody knows.
    pub fn book_missing(&mut self, now: Timestamp) {
        let missing = self.own.plus(&self.others).left(now);
        let others = (1..=missing).map(|n| {
            let free = FREE_EVERY * i32::try_from(n).unwrap_or(1);
            now - CALL_WINDOW + free
        });
        self.others = self.others.plus(&others.collect());
    }

    /// Notes how far back the minutes went that were learned: all the way, or not even to what was
    /// complete, so that there is a gap and all has to be read once more.
    pub fn cover(&mut self, since: Timestamp, now: Timestamp) {
        if now.duration_since(since) >= REMEMBERED {
            self.seeded = true;
        } else if since > self.complete_until {
            self.seeded = false;
        }
    }

    /// Marks as complete what is, and answers whether there is something new to write.
    ///
    /// Each stream has its own minute for that, so that a fleet's writes do not come all at once.
    pub fn close_blocks(&mut self, stream: &str, now: Timestamp) -> bool {
        let apart = SignedDuration::from_secs(i64::from(spread(stream)));
        let until = history::block_of(now - LATE - apart);
        let news = until > self.complete_until;
        self.complete_until = until.max(self.complete_until);
        news
    }
}

const BLOCK_STEP: usize = 20 * 60;

fn unreadable(error: impl std::fmt::Display) -> EntryError {
    EntryError::Text(serde::de::Error::custom(error))
}

/// The fewest calls that lead from one count to another: each doubles or halves at the most.
fn doublings(from: u32, to: u32) -> u32 {
    let (low, high) = (from.min(to).max(1), from.max(to).max(1));
    (1..32).find(|n| u64::from(low) << n >= u64::from(high)).unwrap_or(32)
}

/// A number of seconds within a block that a name always gives (FNV-1a).
fn spread(stream: &str) -> u32 {
    let hash = stream
        .bytes()
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    hash % 1_200
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::CALLS_PER_DAY;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_763_683_200 + minute * 60).unwrap()
    }

    fn load(shards: u64) -> Minute {
        Minute { bytes: Some(shards * (60 << 20)), ..Minute::default() }
    }

    fn settled(open: u32) -> Entry {
        Entry { settled: Some(open), ..Entry::default() }
    }

    #[test]
    fn the_text_round_trips_and_is_small() {
        let mut entry = settled(1_000).with_call(2_000, at(30_000));
        entry.others = [at(29_000), at(29_500)].into_iter().collect();
        let minutes = (0..30_000).map(|minute| (at(minute), load(1_000)));
        entry.learn(&minutes.filter(|(at, _)| at.as_second() % 7 != 0).collect(), at(30_000));
        let text = entry.to_text();
        assert_eq!(Entry::from_text(&text).unwrap(), entry);
        assert!(text.len() < 10_000, "{}", text.len());
        let empty = Entry::default();
        assert_eq!(Entry::from_text(&empty.to_text()).unwrap(), empty);
    }

    #[test]
    fn an_entry_that_cannot_be_read_says_why() {
        let text = |blocks: &str| {
            let text = Entry::default().to_text();
            text.replace("\"blocks\":\"\"", &format!("\"blocks\":\"{blocks}\""))
        };
        assert_eq!(Entry::from_text(&text("- 17 -")).unwrap().blocks.len(), 1);
        for (text, message) in [
            ("hello".to_owned(), "cannot be read"),
            ("{}".to_owned(), "cannot be read"),
            (text("-5"), "cannot be read"),
            (text("1e3"), "cannot be read"),
            (r#"{"format":2,"new":true}"#.to_owned(), "has the format 2, and this version reads 1"),
        ] {
            let error = Entry::from_text(&text).unwrap_err().to_string();
            assert!(error.contains(message), "{text}: {error}");
        }
    }

    #[test]
    fn a_count_that_changed_by_itself_was_called_by_others() {
        let own = |from, to| settled(from).with_call(to, at(0));
        let cases = [
            ("nothing changed", settled(4), Status::Active, 4, 0),
            ("on the way", settled(4), Status::Updating, 6, 0),
            ("one call", settled(4), Status::Active, 5, 1),
            ("at the limit", settled(4), Status::Active, 8, 1),
            ("two calls", settled(4), Status::Active, 9, 2),
            ("down", settled(9), Status::Active, 4, 2),
            ("our own", own(4, 8), Status::Active, 8, 0),
            ("ours, not yet begun", own(4, 8), Status::Active, 4, 0),
            ("ours and another", own(4, 8), Status::Active, 16, 1),
            ("the first look", Entry::default(), Status::Active, 7, 0),
        ];
        for (name, mut entry, status, open, calls) in cases {
            let before = entry.history().calls.left(at(1));
            assert_eq!(entry.notice(open, status, at(1)), calls, "{name}");
            let left = entry.history().calls.left(at(1));
            assert_eq!(left, before - calls, "{name}");
            assert_eq!(entry.notice(open, status, at(2)), 0, "{name}: noticed twice");
        }
    }

    #[test]
    fn a_call_without_effect_is_given_up_after_a_while() {
        let mut entry = settled(4).with_call(8, at(0));
        assert!(entry.is_pending(at(1)));
        assert!(!entry.is_pending(at(2)));
        entry.notice(4, Status::Active, at(2));
        assert_eq!(entry.expected, None);
        assert_eq!(entry.own.left(at(2)), CALLS_PER_DAY - 1, "it stays counted");
    }

    #[test]
    fn a_refused_call_gives_those_of_others_away() {
        let mut entry = settled(4).with_call(8, at(0)).with_call(16, at(60));
        entry.book_missing(at(60));
        let calls = entry.history().calls;
        let left: Vec<_> = [60, 61, 119, 121, 181].map(|minute| calls.left(at(minute))).to_vec();
        assert_eq!(left, [0, 0, 0, 1, 2]);
    }

    #[test]
    fn the_tag_and_the_entry_are_one_list() {
        let mut entry = settled(4).with_call(8, at(0));
        entry.others = [at(5)].into_iter().collect();
        entry.add_tag(&[at(0), at(5), at(9)].into_iter().collect());
        assert_eq!(entry.own, [at(0), at(9)].into_iter().collect());
        assert_eq!(entry.history().calls.left(at(10)), 7);
    }

    #[test]
    fn blocks_are_closed_once_and_not_by_all_streams_at_once() {
        let writes = |stream: &str| {
            let mut entry = Entry::default();
            entry.close_blocks(stream, at(0));
            (1..=120).filter(|minute| entry.close_blocks(stream, at(*minute))).collect::<Vec<_>>()
        };
        assert_eq!(writes("orders").len(), 6);
        assert_ne!(writes("orders"), writes("payments"));
        let mut entry = Entry::default();
        assert!(entry.close_blocks("orders", at(40)));
        assert!(!entry.close_blocks("orders", at(0)), "the clock stepped back");
    }

    #[test]
    fn what_is_too_old_or_ahead_is_forgotten() {
        let mut entry = Entry::default();
        let minutes = [0, 21_600, 21_620, 21_660].map(|minute| (at(minute), load(1)));
        entry.learn(&minutes.into_iter().collect(), at(21_630));
        assert_eq!(entry.blocks.keys().copied().collect::<Vec<_>>(), [at(21_600), at(21_620)]);
    }
}
