//! What was learned of a stream: its own calls of the last day, and the peak of each 20 minutes.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::demand::demand_of;
use crate::hot::Memory;
use crate::observation::Minute;
use crate::units::MilliShards;

/// UpdateShardCount calls that a stream takes in a rolling day (API reference of UpdateShardCount,
/// 2026-11).
pub const CALLS_PER_DAY: u32 = 10;

/// A day, and a little: the service counts with its own clock.
pub const CALL_WINDOW: SignedDuration = SignedDuration::from_secs(24 * 3_600 + 300);

/// The length of a block.
pub const BLOCK: SignedDuration = SignedDuration::from_mins(20);

const BLOCK_SECONDS: i64 = 20 * 60;

/// The calls that fit the tag.
const TAG_CALLS: usize = 23;

/// The name of the tag that holds the calls when there is no ledger table.
pub const CALLS_TAG: &str = "tidegate:calls";

/// What is known of the past.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct History {
    /// When this autoscaler called UpdateShardCount.
    pub calls: Calls,
    /// The highest demand of each block, by its start.
    pub blocks: BTreeMap<Timestamp, MilliShards>,
    /// What is remembered of single shards.
    pub shards: Memory,
}

impl History {
    /// From a ledger of calls and the minutes that CloudWatch still has.
    pub fn new(calls: Calls, minutes: &BTreeMap<Timestamp, Minute>) -> Self {
        Self { calls, blocks: blocks(minutes), shards: Memory::default() }
    }
}

/// The highest demand of each block that a minute is known of.
pub fn blocks(minutes: &BTreeMap<Timestamp, Minute>) -> BTreeMap<Timestamp, MilliShards> {
    let mut blocks: BTreeMap<Timestamp, MilliShards> = BTreeMap::new();
    for (at, minute) in minutes.iter().filter(|(_, minute)| minute.has_load()) {
        let peak = blocks.entry(block_of(*at)).or_default();
        *peak = demand_of(minute).max(*peak);
    }
    blocks
}

/// The block that a moment lies in.
pub fn block_of(at: Timestamp) -> Timestamp {
    let second = at.as_second();
    Timestamp::from_second(second - second.rem_euclid(BLOCK_SECONDS)).unwrap_or(at)
}

/// The calls of the last day, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "Vec<Timestamp>")]
pub struct Calls(Vec<Timestamp>);

impl Calls {
    /// From the value of the tag [`CALLS_TAG`]: seconds of the epoch, separated by spaces.
    ///
    /// # Errors
    /// When the text holds anything else: a ledger that cannot be read authorizes nothing.
    pub fn from_tag(text: &str) -> Result<Self, UnreadableCalls> {
        let parse = |word: &str| {
            let second = word.parse().ok()?;
            Timestamp::from_second(second).ok()
        };
        let calls: Option<Vec<_>> = text.split_whitespace().map(parse).collect();
        let mut calls = calls.ok_or_else(|| UnreadableCalls { text: text.to_owned() })?;
        calls.sort();
        Ok(Self(calls))
    }

    /// The value of the tag: the newest calls, in at most 256 characters as Kinesis wants.
    pub fn to_tag(&self) -> String {
        let newest = self.0.len().saturating_sub(TAG_CALLS);
        let words: Vec<_> = self.0[newest..].iter().map(|at| at.as_second().to_string()).collect();
        words.join(" ")
    }

    /// The calls, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = Timestamp> {
        self.0.iter().copied()
    }

    /// These and those; what both have was one call.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let mut calls = self.0.clone();
        calls.extend(other.iter().filter(|call| !self.0.contains(call)));
        calls.sort();
        Self(calls)
    }

    /// These and those, each of which is a call of its own.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        self.iter().chain(other.iter()).collect()
    }

    /// These without those.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        Self(self.iter().filter(|call| !other.0.contains(call)).collect())
    }

    /// With one more call, to the second, and without those that no longer count.
    #[must_use]
    pub fn with(&self, at: Timestamp) -> Self {
        let at = Timestamp::from_second(at.as_second()).unwrap_or(at);
        let mut calls: Vec<_> = self.0.iter().copied().filter(|call| counts(*call, at)).collect();
        calls.push(at);
        calls.sort();
        Self(calls)
    }

    /// Calls that the service would still accept.
    pub fn left(&self, now: Timestamp) -> u32 {
        let spent = self.0.iter().filter(|call| counts(**call, now)).count();
        CALLS_PER_DAY.saturating_sub(u32::try_from(spent).unwrap_or(u32::MAX))
    }

    /// The newest call.
    pub fn last(&self) -> Option<Timestamp> {
        self.0.last().copied()
    }

    /// When the next call comes free.
    pub fn next_free(&self, now: Timestamp) -> Option<Timestamp> {
        self.0.iter().find(|call| counts(**call, now)).map(|call| *call + CALL_WINDOW)
    }
}

impl FromIterator<Timestamp> for Calls {
    fn from_iter<I: IntoIterator<Item = Timestamp>>(calls: I) -> Self {
        let mut calls: Vec<_> = calls.into_iter().collect();
        calls.sort();
        Self(calls)
    }
}

impl From<Vec<Timestamp>> for Calls {
    fn from(calls: Vec<Timestamp>) -> Self {
        calls.into_iter().collect()
    }
}

fn counts(call: Timestamp, now: Timestamp) -> bool {
    now.duration_since(call) < CALL_WINDOW
}

/// The tag holds something that is not a list of calls.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the tag {CALLS_TAG} holds {text:?}, which is not a list of epoch seconds; remove the tag when \
     no call was made in the last 24 hours"
)]
pub struct UnreadableCalls {
    /// What it holds.
    pub text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn the_tag_round_trips_and_fits() {
        let full: Calls = (0..10).map(|n| at(1_763_683_200 + n * 60)).collect();
        let text = full.to_tag();
        assert_eq!(text.len(), 109);
        assert_eq!(Calls::from_tag(&text), Ok(full));
        assert_eq!(Calls::from_tag(""), Ok(Calls::default()));
        assert!(Calls::from_tag("soon").unwrap_err().to_string().contains("\"soon\""));
    }

    #[test]
    fn a_call_counts_for_a_day_and_five_minutes() {
        let calls: Calls = [at(0), at(3_600)].into_iter().collect();
        for (now, left) in [(3_600, 8), (86_699, 8), (86_700, 9), (90_300, 10)] {
            assert_eq!(calls.left(at(now)), left, "{now}");
        }
        assert_eq!(calls.next_free(at(3_600)), Some(at(86_700)));
        assert_eq!(calls.with(at(86_700)).to_tag(), "3600 86700");
    }

    #[test]
    fn a_call_from_the_future_counts() {
        assert_eq!([at(500)].into_iter().collect::<Calls>().left(at(100)), 9);
    }
}
