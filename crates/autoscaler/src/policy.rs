//! What the owner of a stream wants, and the constants of the policy with their reasons.

use std::time::Duration;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::schedule::{Floor, Schedule};
pub use crate::tuning::{Tuning, TuningError};

/// Whether the autoscaler may change anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Decides and reports, and changes nothing.
    Shadow,
    /// Calls UpdateShardCount.
    Active,
}

/// What a scale-down does when the stream has no iterator age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MissingIteratorAge {
    /// It waits: a consumer that died publishes none, and fewer shards would slow its recovery.
    Hold,
    /// It goes on: for streams that nobody reads all the time.
    Allow,
}

/// What becomes of a shard that is at its limit while the stream has room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HotShards {
    /// It is split where that helps; the metrics of the shards, which are paid, are turned on to
    /// find it and off again.
    Split,
    /// It is reported, where the metrics of the shards are on anyway.
    Report,
    /// Nobody looks for it.
    Off,
}

impl HotShards {
    /// From the word in a setting or a tag.
    pub fn from_word(word: &str) -> Option<Self> {
        match word {
            "split" => Some(Self::Split),
            "report" => Some(Self::Report),
            "off" => Some(Self::Off),
            _ => None,
        }
    }
}

/// What the owner wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// Never fewer shards.
    pub min_shards: u32,
    /// Never more shards.
    pub max_shards: u32,
    /// What to do without an iterator age.
    pub missing_iterator_age: MissingIteratorAge,
    /// What to do about hot shards.
    pub hot_shards: HotShards,
    /// What is weighed against what.
    pub tuning: Tuning,
    /// The windows in which the minimum is higher.
    #[serde(skip)]
    pub schedules: Vec<Schedule>,
    /// What the schedules ask for at the moment of a decision, which fills it in.
    #[serde(skip)]
    pub floor: Floor,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            min_shards: 1,
            max_shards: 10_000,
            missing_iterator_age: MissingIteratorAge::Hold,
            hot_shards: HotShards::Report,
            tuning: Tuning::default(),
            schedules: Vec::new(),
            floor: Floor::default(),
        }
    }
}

/// Metrics older than this say nothing of now. CloudWatch shows a minute 45 to 110 seconds after it
/// ended; the rest is room for a bad day.
pub const STALE_AFTER: SignedDuration = SignedDuration::from_mins(10);

/// The newest demand is the largest of these last minutes: one minute alone is noise.
pub const NOW_WINDOW: SignedDuration = SignedDuration::from_mins(3);

/// A scale-down must know most of these last minutes.
pub const KNOWN_WINDOW: SignedDuration = SignedDuration::from_mins(60);

/// Growth that is expected while demand runs away: above [`SURGE_PERCENT`] of the hour before.
pub const SURGE_GROWTH_PERCENT: u64 = 200;

/// What counts as running away.
pub const SURGE_PERCENT: u64 = 150;

/// Fewer shards wait for so long after the last call: a block of the forecast.
pub const SETTLES_IN: SignedDuration = SignedDuration::from_mins(20);

/// How many of them must be known.
pub const KNOWN_MINUTES: usize = 45;

/// An iterator age above this holds a scale-down: the consumer is behind, and would lose
/// parallelism while it catches up.
pub const MAX_ITERATOR_AGE: Duration = Duration::from_secs(300);
