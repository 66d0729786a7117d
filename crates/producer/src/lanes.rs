//! What waits to be sent, shard by shard: a shard that is throttled does not hold the others up.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::record::{Record, Shard};

/// The first pause after a failure, which then doubles.
const PAUSE_MIN: Duration = Duration::from_millis(50);

/// A shard's limits are those of one second; a longer pause would leave some unused.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Entries that a slowed shard is sent at once, at the least.
const WINDOW_MIN: usize = 8;

/// From here on a shard is slowed no longer.
const WINDOW_MAX: usize = 500;

/// A record that waits.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) record: Arc<Record>,
    /// What chooses the shard.
    pub(crate) hash_key: u128,
    /// Since when it waits.
    pub(crate) since: Duration,
    /// Since when it is being sent.
    pub(crate) tried_at: Option<Duration>,
}

/// What waits for one shard.
#[derive(Debug, Default)]
pub(crate) struct Lane {
    /// `None` while the shards are not known: one lane for everything.
    pub(crate) shard: Option<Shard>,
    pub(crate) queue: VecDeque<Pending>,
    /// The bytes in the queue.
    pub(crate) bytes: usize,
    /// Requests in flight that carry something of it.
    pub(crate) in_flight: usize,
    /// Nothing is sent before.
    pub(crate) hold_until: Duration,
    pause: Duration,
    /// Entries of it in a request at the most, once it was throttled: what the shard took then, and
    /// more with every request that goes well.
    window: Option<usize>,
}

impl Lane {
    pub(crate) fn push_back(&mut self, pending: Pending) {
        self.bytes += pending.record.size_bytes();
        self.queue.push_back(pending);
    }

    pub(crate) fn push_front(&mut self, pending: Pending) {
        self.bytes += pending.record.size_bytes();
        self.queue.push_front(pending);
    }

    pub(crate) fn pop_front(&mut self) -> Option<Pending> {
        let pending = self.queue.pop_front()?;
        self.bytes -= pending.record.size_bytes();
        Some(pending)
    }

    /// Entries of it that a request may carry.
    pub(crate) fn window(&self) -> usize {
        self.window.unwrap_or(usize::MAX)
    }

    /// Whether one request at a time is enough: the shard is as fast as it can be.
    pub(crate) const fn is_slowed(&self) -> bool {
        self.window.is_some()
    }

    /// Waits longer than the last time, and sends less; `spread` is in 0 to 1.
    pub(crate) fn slow_down(&mut self, now: Duration, spread: f64, stored: usize) {
        self.window = Some(stored.max(WINDOW_MIN));
        self.pause = (self.pause * 2).clamp(PAUSE_MIN, PAUSE_MAX);
        self.hold_until = self.hold_until.max(now + self.pause.mul_f64(0.5 + 0.5 * spread));
    }

    pub(crate) fn went_well(&mut self) {
        self.pause = Duration::ZERO;
        self.window =
            self.window.map(|size| size + size.div_ceil(8)).filter(|size| *size < WINDOW_MAX);
    }
}

/// A lane for each shard, in the order of their hash keys.
#[derive(Debug)]
pub(crate) struct Lanes {
    lanes: Vec<Lane>,
}

impl Lanes {
    /// One lane for everything.
    pub(crate) fn unknown() -> Self {
        Self { lanes: vec![Lane::default()] }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Lane> {
        self.lanes.iter()
    }

    /// Records in all queues.
    pub(crate) fn queued(&self) -> usize {
        self.lanes.iter().map(|lane| lane.queue.len()).sum()
    }

    pub(crate) const fn len(&self) -> usize {
        self.lanes.len()
    }

    pub(crate) fn get(&self, index: usize) -> Option<&Lane> {
        self.lanes.get(index)
    }

    pub(crate) fn get_mut(&mut self, index: usize) -> Option<&mut Lane> {
        self.lanes.get_mut(index)
    }

    /// The lane of a hash key.
    pub(crate) fn of(&mut self, hash_key: u128) -> &mut Lane {
        let after = self.lanes.partition_point(|lane| {
            lane.shard.as_ref().is_none_or(|shard| shard.start <= hash_key)
        });
        &mut self.lanes[after.saturating_sub(1)]
    }

    /// Everything that waits, out of all lanes, in the order of the input.
    pub(crate) fn drain(&mut self) -> Vec<Pending> {
        let mut all: Vec<_> =
            self.lanes.iter_mut().flat_map(|lane| std::mem::take(&mut lane.queue)).collect();
        for lane in &mut self.lanes {
            lane.bytes = 0;
        }
        all.sort_by_key(|pending| pending.record.place);
        all
    }

    /// Sorts everything anew, for other shards. The pauses end: new shards have limits of their own.
    /// They come in the order of their hash keys.
    pub(crate) fn resharded(&mut self, shards: Vec<Shard>) {
        let all = self.drain();
        *self = Self::unknown();
        if !shards.is_empty() {
            self.lanes = shards
                .into_iter()
                .map(|shard| Lane { shard: Some(shard), ..Lane::default() })
                .collect();
        }
        for pending in all {
            self.of(pending.hash_key).push_back(pending);
        }
    }
}
