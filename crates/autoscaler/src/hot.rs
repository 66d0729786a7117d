//! Hot shards: throttling while the stream as a whole has room.
//!
//! The metrics of the stream only raise the suspicion, since a burst shorter than a minute looks
//! the same. Those of the shards prove it; a sample of what a hot shard took tells a range of keys,
//! which a split divides, from a single key, which none can. What is kept between two looks is the
//! [`Memory`].

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::decision::{Action, Basis, Decision, Split};
use crate::demand::demand_of;
use crate::fan_out::FanOut;
use crate::observation::Minute;
use crate::policy::{Mode, STALE_AFTER};
use crate::shards::{Layout, Sample, Shard};
use crate::split::SplitPlan;
use crate::units::MilliShards;

/// A stream that is used less than this has room.
pub const ROOM_PERCENT: u64 = 60;

/// A shard that takes this share of what it could, and rejects more, is at its limit: a minute holds
/// seconds that were quieter.
const AT_LIMIT_PERCENT: u64 = 70;

/// Minutes of the last ten in which something must have been rejected: one alone is a burst.
const THROTTLED_MINUTES: usize = 3;

/// Shards that are looked into at one look, the hottest first. A sample costs reads that the
/// shard's consumers could need.
pub const MOST_HOT: usize = 3;

/// Fewer records are no sample.
pub const LEAST_SAMPLE: usize = 100;

/// Where the busier half keeps this share of the load, a split is not worth a shard.
const LOPSIDED_PERCENT: u64 = 90;

/// A key of less than this share of its shard is not what makes the shard hot.
const HOT_KEY_PERCENT: u64 = 50;

/// A range that is narrower than an even one by this factor was halved often enough without
/// anybody having seen a key.
const NARROW: u128 = 8;

/// How long a split of a hot shard, or unevenness that was found, holds off fewer shards, and how
/// long the shard metrics stay on after the last suspicion.
pub const REMEMBERED: SignedDuration = SignedDuration::from_hours(24);

/// A split shows in the count of the shards at one of the next looks, within this time.
const SPLITS_SHOW: SignedDuration = SignedDuration::from_hours(1);

/// What was read of single shards, as far as anybody read it, and of who reads them.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SeenShards {
    /// The open shards; `None` when they could not be read, and even ranges are assumed.
    pub layout: Option<Layout>,
    /// Whether the stream publishes metrics of its shards; `None` when nobody asked.
    pub has_metrics: Option<bool>,
    /// The last minutes of each shard; `None` when nobody asked.
    pub minutes: Option<BTreeMap<String, BTreeMap<Timestamp, Minute>>>,
    /// What was sampled of a shard's records; `None` for a shard where that was refused.
    pub samples: BTreeMap<String, Option<Vec<Sample>>>,
    /// How far the consumers with enhanced fan-out are behind.
    pub fan_out: FanOut,
}

/// What is remembered of a stream's shards between two looks.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// The hot shards that were split within a day, and when.
    pub splits: BTreeMap<String, Timestamp>,
    /// The open shards at the last look.
    pub count: Option<u32>,
    /// When a look first saw that many, where an earlier one saw another number.
    pub count_since: Option<Timestamp>,
    /// When the ranges were first seen to be uneven.
    pub uneven_since: Option<Timestamp>,
    /// When the metrics of the shards were turned on by us.
    pub watching_since: Option<Timestamp>,
    /// When throttling with room was last seen.
    pub suspected_at: Option<Timestamp>,
    /// A complete split that was begun.
    pub plan: Option<SplitPlan>,
}

impl Memory {
    /// With what a look has found and decided. It is written down before the decision is carried
    /// out, so a crash in between leaves a memory of a split that was not made, which only makes
    /// the next look more careful.
    #[must_use]
    pub fn with(&self, layout: Option<&Layout>, decision: &Decision) -> Self {
        let now = decision.at;
        let mut memory = self.clone();
        memory.splits.retain(|_, at| now.duration_since(*at) < REMEMBERED);
        if let Some(layout) = layout {
            memory.count_since = self.count_since(layout.count(), now);
            memory.count = Some(layout.count());
            memory.uneven_since = match layout.is_even() {
                true => None,
                false => self.uneven_since.or(Some(now)),
            };
            memory.plan = self.plan.filter(|plan| plan.is_open(layout, now));
        }
        if decision.is_suspected() {
            memory.suspected_at = Some(now);
        }
        if decision.mode == Mode::Shadow {
            return memory;
        }
        match decision.action {
            Action::Split => {
                memory.plan = decision.complete;
                let hot = decision.splits.iter().filter(|split| split.by != Basis::Complete);
                memory.splits.extend(hot.map(|split| (split.shard.clone(), now)));
            }
            Action::Resize => memory.plan = None,
            Action::Watch => memory.watching_since = Some(now),
            Action::Unwatch => memory.watching_since = None,
            Action::Hold => {}
        }
        memory
    }

    /// Since when the stream has so many shards, as far as it is known.
    pub fn count_since(&self, open: u32, now: Timestamp) -> Option<Timestamp> {
        match self.count {
            Some(count) if count != open => Some(now),
            _ => self.count_since,
        }
    }

    /// Whether a change of the count from one look to another is our own splitting.
    pub fn explains(&self, before: u32, open: u32, now: Timestamp) -> bool {
        let recent = |at: &&Timestamp| now.duration_since(**at) < SPLITS_SHOW;
        let hot = self.splits.values().filter(recent).count();
        let hot = u32::try_from(hot).unwrap_or(u32::MAX);
        let most = self.plan.map_or(before.saturating_add(hot), |plan| plan.to.max(before));
        (before..=most).contains(&open)
    }

    /// Whether the ranges are as they are on purpose: a hot shard was split, or they were first seen
    /// to be uneven, less than a day ago.
    pub fn is_settling(&self, now: Timestamp) -> bool {
        self.splits
            .values()
            .chain(&self.uneven_since)
            .any(|at| now.duration_since(*at) < REMEMBERED)
    }

    /// Whether metrics that we turned on have had nothing to show for a day.
    pub fn is_watch_over(&self, now: Timestamp) -> bool {
        self.watching_since.is_some_and(|since| {
            let last = self.suspected_at.map_or(since, |at| at.max(since));
            now.duration_since(last) >= REMEMBERED
        })
    }
}

/// Whether the stream throttles while it has room.
///
/// Minutes from before the shards were what they are now are left out: they were throttled by what is
/// no longer there.
pub fn is_suspected(
    minutes: &BTreeMap<Timestamp, Minute>,
    capacity: MilliShards,
    settled: Timestamp,
    now: Timestamp,
) -> bool {
    let from = (now - STALE_AFTER).max(settled);
    if from > now {
        return false;
    }
    let with_room = |minute: &Minute| {
        minute.rejected.unwrap_or(0) > 0 && accepted(minute) < capacity.percent(ROOM_PERCENT)
    };
    minutes.range(from..=now).filter(|(_, minute)| with_room(minute)).count() >= THROTTLED_MINUTES
}

/// The load that a minute accepted.
pub fn accepted(minute: &Minute) -> MilliShards {
    MilliShards::of_minute(minute.bytes.unwrap_or(0), minute.records.unwrap_or(0))
}

/// A shard at its limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hot<'l> {
    /// The shard.
    pub shard: &'l Shard,
    /// What is asked of it, in thousandths of a shard.
    pub demand: MilliShards,
    /// Whether its bytes are what fills it, rather than its records.
    pub by_bytes: bool,
}

/// The shards at their limit, the hottest first.
pub fn at_limit<'l>(
    layout: &'l Layout,
    minutes: &BTreeMap<String, BTreeMap<Timestamp, Minute>>,
    now: Timestamp,
) -> Vec<Hot<'l>> {
    let mut hot: Vec<Hot<'_>> = layout
        .shards()
        .iter()
        .filter_map(|shard| {
            let seen = minutes.get(&shard.id)?;
            let throttled: Vec<&Minute> = seen
                .range(now - STALE_AFTER..=now)
                .map(|(_, minute)| minute)
                .filter(|minute| minute.rejected.unwrap_or(0) > 0)
                .collect();
            let fullest = throttled.iter().max_by_key(|minute| accepted(minute))?;
            let full = accepted(fullest) >= MilliShards::capacity(1).percent(AT_LIMIT_PERCENT);
            let (bytes, records) = (fullest.bytes.unwrap_or(0), fullest.records.unwrap_or(0));
            let by_bytes = MilliShards::of_minute(bytes, 0) >= MilliShards::of_minute(0, records);
            let demand = throttled.iter().map(|minute| demand_of(minute)).max()?;
            (full && throttled.len() >= THROTTLED_MINUTES).then_some(Hot {
                shard,
                demand,
                by_bytes,
            })
        })
        .collect();
    hot.sort_by(|a, b| b.demand.cmp(&a.demand).then(a.shard.first.cmp(&b.shard.first)));
    hot
}

/// What can be done for a hot shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    /// Split it here.
    Split(Split),
    /// One key carries so much that no split helps.
    HotKey {
        /// Its share of the shard's load; `None` when no key was seen, and the ranges tell it.
        percent: Option<u64>,
    },
}

/// Judges a hot shard by a sample of its records, or without one.
///
/// `relapsed` says that it is what a split of the last day left, and carries nearly all of what its
/// parent did. `even` is the span that a shard of this stream would have if all were even.
pub fn judge(hot: &Hot<'_>, sample: Option<&[Sample]>, relapsed: bool, even: u128) -> Judgement {
    let Some(middle) = hot.shard.midpoint() else { return Judgement::HotKey { percent: None } };
    let split = |at, by| Judgement::Split(Split { shard: hot.shard.id.clone(), at, by });
    if let Some(sample) = sample.filter(|sample| is_trusted(sample, hot.shard)) {
        return match divide(hot, sample) {
            Ok(at) => split(at, Basis::Sample),
            Err(percent) => Judgement::HotKey { percent: Some(percent) },
        };
    }
    if relapsed || hot.shard.span() < even / NARROW {
        return Judgement::HotKey { percent: None };
    }
    split(middle, Basis::Midpoint)
}

/// Whether the keys of a sample tell where its records went. Producers may name the hash themselves
/// (`ExplicitHashKey`, as the KPL does for aggregated records): then keys hash to anywhere.
fn is_trusted(sample: &[Sample], shard: &Shard) -> bool {
    sample.len() >= LEAST_SAMPLE
        && sample.iter().all(|record| (shard.first..=shard.last).contains(&record.hash))
}

/// The point between two keys that divides the load most evenly; the share of the heaviest key in
/// percent when there is none that helps.
fn divide(hot: &Hot<'_>, sample: &[Sample]) -> Result<u128, u64> {
    let mut keys: BTreeMap<u128, u64> = BTreeMap::new();
    for record in sample {
        let weight = if hot.by_bytes { u64::from(record.bytes.max(1)) } else { 1 };
        *keys.entry(record.hash).or_default() += weight;
    }
    let total: u64 = keys.values().sum();
    let percent = |part: u64| part.saturating_mul(100).checked_div(total).unwrap_or(100);
    let heaviest = percent(keys.values().copied().max().unwrap_or(total));
    let too_hot = hot.demand.percent(heaviest) >= MilliShards::capacity(1);
    if heaviest >= HOT_KEY_PERCENT && too_hot {
        return Err(heaviest);
    }
    let mut below = 0;
    let pairs = keys.iter().zip(keys.keys().skip(1));
    let points = pairs.filter_map(|((low, weight), high)| {
        below += weight;
        Some((below.max(total - below), between(*low, *high, hot.shard)?))
    });
    match points.min() {
        Some((busier, at)) if percent(busier) < LOPSIDED_PERCENT => Ok(at),
        _ => Err(heaviest),
    }
}

/// A point that leaves the one key below and the other above, in the middle between them where the
/// shard can be split there.
fn between(low: u128, high: u128, shard: &Shard) -> Option<u128> {
    let (least, most) = shard.split_points()?;
    let (from, to) = (least.max(low + 1), most.min(high));
    (from <= to).then(|| from + (to - from) / 2)
}

/// Whether a shard is what a split of the last day left, and carries nearly all that both halves do.
pub fn has_relapsed(
    hot: &Hot<'_>,
    layout: &Layout,
    minutes: &BTreeMap<String, BTreeMap<Timestamp, Minute>>,
    memory: &Memory,
    now: Timestamp,
) -> bool {
    let Some(parent) = hot.shard.parent.as_ref() else { return false };
    if memory.splits.get(parent).is_none_or(|at| now.duration_since(*at) >= REMEMBERED) {
        return false;
    }
    let mut both = layout.shards().iter().filter(|shard| shard.parent.as_ref() == Some(parent));
    let Some(sibling) = both.find(|shard| shard.id != hot.shard.id) else { return false };
    // A half without points took nothing.
    let beside = minutes.get(&sibling.id).map_or(MilliShards(0), |minutes| {
        let recent = minutes.range(now - STALE_AFTER..=now);
        recent.map(|(_, minute)| demand_of(minute)).max().unwrap_or_default()
    });
    hot.demand >= hot.demand.plus(beside).percent(LOPSIDED_PERCENT)
}
