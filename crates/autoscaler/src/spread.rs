//! Whether the load is spread over the shards: what they carry together, and what is wrong where
//! records are rejected while the stream has room.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::decision::{Need, Reason, Split};
use crate::history::{self, History};
use crate::hot::{self, Hot, Judgement, Memory};
use crate::limits::MAX_SHARDS;
use crate::observation::{Minute, Observation};
use crate::policy::{HotShards, Policy};
use crate::shards::Layout;
use crate::split::SPLIT_TIME;
use crate::units::MilliShards;

/// How far back what a hot shard rejected is left out of the demand: as far as any peak that is
/// taken for a recent one.
const RETHOUGHT: SignedDuration = SignedDuration::from_hours(2);

/// What the stage says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spread {
    /// What the stream carries when keys are spread evenly.
    pub capacity: MilliShards,
    /// Why it is less than the shards are many, or what is wrong.
    pub reason: Reason,
    /// What should be read to know more.
    pub needs: Vec<Need>,
    /// The splits that would help, the hottest shard first.
    pub splits: Vec<Split>,
    /// Hot keys: each its shard, and its share of that shard's load in percent.
    pub keys: Vec<(String, Option<u64>)>,
    /// Whether the metrics of the shards would have to be turned on to know more.
    pub is_blind: bool,
}

impl Spread {
    const fn of(capacity: MilliShards, reason: Reason) -> Self {
        Self {
            capacity,
            reason,
            needs: Vec::new(),
            splits: Vec::new(),
            keys: Vec::new(),
            is_blind: false,
        }
    }

    /// Whether records are rejected that more shards of even ranges would not be right for: what
    /// was rejected then says nothing of the stream's demand.
    pub fn is_local(&self, policy: &Policy) -> bool {
        match self.reason {
            Reason::HotKey => true,
            Reason::HotShard => policy.hot_shards == HotShards::Split,
            _ => false,
        }
    }

    /// Whether records are rejected while the stream has room.
    pub const fn is_throttling(&self) -> bool {
        matches!(
            self.reason,
            Reason::HotShardSuspected | Reason::HotShard | Reason::HotKey | Reason::ShortBursts
        )
    }

    /// What it found, in words; `None` when there is nothing to say.
    pub fn sentence(&self) -> Option<String> {
        let carry = self.capacity.as_shards();
        let said = match self.reason {
            Reason::UnevenShards => {
                format!("the ranges are uneven, and carry what {carry:.1} even shards do")
            }
            Reason::HotShardSuspected if self.is_blind => {
                "records are rejected while the stream has room, and only the metrics of single \
                 shards could tell which"
                    .to_owned()
            }
            Reason::HotShardSuspected => {
                "records are rejected while the stream has room".to_owned()
            }
            Reason::HotShard => {
                let splits =
                    self.splits.iter().map(|split| format!("{} at {}", split.shard, split.at));
                let splits: Vec<_> = splits.collect();
                format!("hot: a split would help {}", splits.join(", "))
            }
            Reason::HotKey => self.hot_keys(),
            Reason::ShortBursts => {
                "records are rejected in bursts shorter than a minute, and no shard is full"
                    .to_owned()
            }
            _ => return None,
        };
        Some(said)
    }

    /// The key itself is not said: it may be a person's.
    fn hot_keys(&self) -> String {
        let said = self.keys.iter().map(|(shard, percent)| match percent {
            Some(percent) => format!("one key carries {percent} % of {shard}"),
            None => format!("one key or few carry {shard}"),
        });
        let said: Vec<_> = said.collect();
        format!("{}, which no split helps: spread it over several keys", said.join(", "))
    }
}

/// The stage.
pub fn spread(
    observation: &Observation,
    policy: &Policy,
    history: &History,
    now: Timestamp,
) -> Spread {
    let open = observation.description.open_shards;
    let Some(layout) = layout(observation) else {
        return Spread::of(MilliShards::capacity(open), Reason::Ok);
    };
    let capacity = layout.capacity();
    let even = if layout.is_even() { Reason::Ok } else { Reason::UnevenShards };
    let suspected = policy.hot_shards != HotShards::Off
        && hot::is_suspected(&observation.minutes, capacity, settled(history, open, now), now);
    if !suspected {
        return Spread::of(capacity, even);
    }
    let mut spread = Spread::of(capacity, Reason::HotShardSuspected);
    let Some(minutes) = &observation.shards.minutes else {
        spread.needs.push(Need::ShardMetrics);
        return spread;
    };
    spread.is_blind = observation.shards.has_metrics == Some(false);
    let known = layout.shards().iter().filter(|shard| minutes.contains_key(&shard.id)).count();
    let shards = hot::at_limit(layout, minutes, now);
    if shards.is_empty() && known > layout.shards().len() / 2 {
        spread.reason = Reason::ShortBursts;
    }
    for found in shards.iter().take(hot::MOST_HOT) {
        examine(found, layout, minutes, observation, &history.shards, now, &mut spread);
    }
    if !spread.splits.is_empty() {
        spread.reason = Reason::HotShard;
    } else if !spread.keys.is_empty() {
        spread.reason = Reason::HotKey;
    }
    spread
}

/// The ranges, where they are those of the shards that the stream says it has.
pub fn layout(observation: &Observation) -> Option<&Layout> {
    let open = observation.description.open_shards;
    observation.shards.layout.as_ref().filter(|layout| layout.count() == open)
}

/// Since when the shards are what they are, as far as it is known: a look saw their number change, or
/// the time has passed that the last call or split takes.
fn settled(history: &History, open: u32, now: Timestamp) -> Timestamp {
    let memory = &history.shards;
    let reshard = SPLIT_TIME.checked_mul(i32::try_from(open).unwrap_or(i32::MAX));
    let done = |at: Timestamp| {
        reshard.and_then(|time| at.checked_add(time).ok()).unwrap_or(Timestamp::MAX)
    };
    let changes = history.calls.last().into_iter().chain(memory.splits.values().copied());
    let seen = memory.count_since(open, now);
    changes.map(done).chain(seen).max().unwrap_or(Timestamp::MIN)
}

/// Judges one hot shard, or asks for a sample of it.
fn examine(
    found: &Hot<'_>,
    layout: &Layout,
    minutes: &BTreeMap<String, BTreeMap<Timestamp, Minute>>,
    observation: &Observation,
    memory: &Memory,
    now: Timestamp,
    spread: &mut Spread,
) {
    let shard = &found.shard.id;
    let Some(sample) = observation.shards.samples.get(shard) else {
        spread.needs.push(Need::Sample { shard: shard.clone() });
        return;
    };
    let relapsed = hot::has_relapsed(found, layout, minutes, memory, now);
    let even = u128::MAX / u128::from(layout.count());
    match hot::judge(found, sample.as_deref(), relapsed, even) {
        Judgement::Split(split) => spread.splits.push(split),
        Judgement::HotKey { percent } => spread.keys.push((shard.clone(), percent)),
    }
}

/// The splits that policy, service and account have room for.
///
/// # Errors
/// With the reason when there is room for none.
pub fn room(
    mut splits: Vec<Split>,
    observation: &Observation,
    policy: &Policy,
) -> Result<Vec<Split>, Reason> {
    let open = observation.description.open_shards;
    let bounds = [
        (policy.max_shards.saturating_sub(open), Reason::PolicyBounds),
        (MAX_SHARDS.saturating_sub(open), Reason::StepLimit),
        (
            observation.account.map_or(u32::MAX, |account| {
                account.shard_limit.saturating_sub(account.open_shards)
            }),
            Reason::AccountLimit,
        ),
    ];
    for (room, reason) in bounds {
        splits.truncate(room as usize);
        if splits.is_empty() {
            return Err(reason);
        }
    }
    Ok(splits)
}

/// The stream without the records that a hot shard rejected lately: what is left is the demand of
/// the stream as a whole, which the number of shards answers to.
pub fn without_rejections(
    observation: &Observation,
    history: &History,
    now: Timestamp,
) -> (Observation, History) {
    let (mut observation, mut history) = (observation.clone(), history.clone());
    let open = observation.description.open_shards;
    let from = settled(&history, open, now).max(now - RETHOUGHT).min(now);
    for (_, minute) in observation.minutes.range_mut(from..) {
        minute.rejected = minute.rejected.map(|_| 0);
    }
    let first = history::block_of(from - SignedDuration::from_secs(1)) + history::BLOCK;
    let again = History::new(history.calls.clone(), &observation.minutes).blocks;
    history.blocks.extend(again.range(first..).map(|(at, peak)| (*at, *peak)));
    (observation, history)
}
