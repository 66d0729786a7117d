//! What the owner of a stream wants, and the constants of the policy with their reasons.

use std::time::Duration;

use jiff::SignedDuration;
use serde::Serialize;

/// Whether the autoscaler may change anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Decides and reports, and changes nothing.
    Shadow,
    /// Calls UpdateShardCount.
    Active,
}

/// What a scale-down does when the stream has no iterator age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MissingIteratorAge {
    /// It waits: a consumer that died publishes none, and fewer shards would slow its recovery.
    Hold,
    /// It goes on: for streams that are read by enhanced fan-out alone, or by nobody.
    Allow,
}

/// What the owner wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Policy {
    /// Never fewer shards.
    pub min_shards: u32,
    /// Never more shards.
    pub max_shards: u32,
    /// What to do without an iterator age.
    pub missing_iterator_age: MissingIteratorAge,
}

impl Default for Policy {
    fn default() -> Self {
        Self { min_shards: 1, max_shards: 10_000, missing_iterator_age: MissingIteratorAge::Hold }
    }
}

/// Metrics older than this say nothing of now. CloudWatch shows a minute 45 to 110 seconds after it
/// ended; the rest is room for a bad day.
pub const STALE_AFTER: SignedDuration = SignedDuration::from_mins(10);

/// The newest demand is the largest of these last minutes: one minute alone is noise.
pub const NOW_WINDOW: SignedDuration = SignedDuration::from_mins(3);

/// The recent peak that the next hour is measured against.
pub const RECENT_WINDOW: SignedDuration = SignedDuration::from_mins(30);

/// A scale-down looks back this far: its target must have been enough for all of it.
pub const STABILIZATION_WINDOW: SignedDuration = SignedDuration::from_mins(60);

/// How far ahead yesterday's curve is read.
pub const AHEAD: SignedDuration = SignedDuration::from_mins(60);

/// Demand above this share of the open shards is an emergency. Just above one, because a minute
/// measured at the limit is rounded up.
pub const EMERGENCY_PERCENT: u64 = 95;

/// Growth that is expected of the newest demand before the next look can act: two minutes of metric
/// delay, and the reshard itself.
pub const GROWTH_PERCENT: u64 = 115;

/// Growth that is expected while demand runs away: above [`SURGE_PERCENT`] of the hour before.
pub const SURGE_GROWTH_PERCENT: u64 = 160;

/// What counts as running away.
pub const SURGE_PERCENT: u64 = 130;

/// Room left above the forecast when shards are taken away, so that noise does not take them back.
pub const DOWN_HEADROOM_PERCENT: u64 = 115;

/// Fewer shards must be at least this many percent fewer: below it, a call buys too little.
pub const DOWN_TOLERANCE_PERCENT: u32 = 10;

/// A scale-down needs this many known minutes of the stabilization window.
pub const KNOWN_MINUTES: usize = 45;

/// An iterator age above this holds a scale-down: the consumer is behind, and would lose
/// parallelism while it catches up.
pub const MAX_ITERATOR_AGE: Duration = Duration::from_secs(300);

/// What a call costs, in shard-minutes, by how many are left: about 30 for the first, and doubling
/// with each 1.2 calls spent, so that the last ones are kept for emergencies.
///
/// A fixed reserve was worse in simulation: it leaves a stream at its peak for a day after a spike.
pub const CALL_PRICE: [u64; 11] = [u64::MAX, 5_431, 3_048, 1_710, 960, 539, 302, 170, 95, 53, 30];

/// How long a smaller stream is expected to stay small when there is no history to tell, in
/// minutes.
pub const SAVING_HORIZON_MINUTES: u64 = 180;
