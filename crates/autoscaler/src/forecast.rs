//! What the next 24 hours will ask for, in blocks of 20 minutes: the recent peak, the growth of the
//! moment, and yesterday at today's level.

use jiff::{SignedDuration, Timestamp};

use crate::decision::Reason;
use crate::demand::{self, Demand};
use crate::history::{BLOCK, History};
use crate::observation::Observation;
use crate::policy::{
    GROWTH_PERCENT, RECENT_WINDOW, SURGE_GROWTH_PERCENT, SURGE_PERCENT, UNKNOWN_DAY_PERCENT,
};
use crate::units::MilliShards;

/// Blocks of a forecast: 24 hours.
pub const BLOCKS: usize = 72;

/// Blocks that the recent peak holds for: an hour.
pub const NEAR_BLOCKS: usize = 3;

const DAY: SignedDuration = SignedDuration::from_hours(24);
const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// Yesterday is read this much wider than the block asked for: people are not punctual.
const WIDEN: SignedDuration = SignedDuration::from_mins(10);

/// The load expected in the next 24 hours, and what it rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forecast {
    /// The expected peak of each block, the first of which begins now.
    pub blocks: [MilliShards; BLOCKS],
    /// What the peak of the next hour rests on.
    pub reason: Reason,
}

impl Forecast {
    /// The expected peak of the first blocks.
    pub fn peak(&self, blocks: usize) -> MilliShards {
        self.blocks.iter().take(blocks).copied().max().unwrap_or_default()
    }
}

/// The forecast.
pub fn forecast(
    observation: &Observation,
    history: &History,
    demand: &Demand,
    now: Timestamp,
) -> Forecast {
    let (recent, _) = demand::peak(&observation.minutes, now - RECENT_WINDOW, now);
    let surging = is_surging(observation, demand, now);
    let growth = if surging { SURGE_GROWTH_PERCENT } else { GROWTH_PERCENT };
    let grown = demand.now.percent(growth);
    let level = level(history, now);
    let unknown = history.peak(now - DAY, now).unwrap_or(recent).percent(UNKNOWN_DAY_PERCENT);
    let mut blocks = [MilliShards(0); BLOCKS];
    for (index, block) in (0_i32..).zip(blocks.iter_mut()) {
        let yesterday = now - DAY + BLOCK * index;
        let seen = history.peak(yesterday - WIDEN, yesterday + BLOCK + WIDEN);
        *block = match (level, seen) {
            (Some(level), Some(peak)) => peak.percent(level),
            _ => unknown,
        };
    }
    let seasonal = blocks.iter().take(NEAR_BLOCKS).copied().max().unwrap_or_default();
    for block in blocks.iter_mut().take(NEAR_BLOCKS) {
        *block = recent.max(*block);
    }
    blocks[0] = grown.max(blocks[0]);
    let reason = match (grown > recent.max(seasonal), recent >= seasonal) {
        (true, _) if surging => Reason::Surge,
        (true, _) => Reason::UsualGrowth,
        (false, true) => Reason::RecentPeak,
        (false, false) if level.is_some() => Reason::SameTimeYesterday,
        (false, false) => Reason::PeakOfTheDay,
    };
    Forecast { blocks, reason }
}

/// Whether demand runs away from the hour before.
fn is_surging(observation: &Observation, demand: &Demand, now: Timestamp) -> bool {
    let until = demand.newest - SignedDuration::from_mins(5);
    let (earlier, known) = demand::peak(&observation.minutes, now - HOUR, until);
    known > 0 && demand.now > earlier.percent(SURGE_PERCENT)
}

/// How today compares with yesterday, from the last hour of each, between 80 % and 150 %: a quiet
/// hour does not promise a quiet day, and a crowd does not promise the same crowd all day.
fn level(history: &History, now: Timestamp) -> Option<u64> {
    let today = history.peak(now - HOUR, now)?;
    let yesterday = history.peak(now - DAY - HOUR, now - DAY)?;
    let percent = today.0.saturating_mul(100).checked_div(yesterday.0)?;
    Some(percent.clamp(80, 150))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::history::Calls;
    use crate::hot::SeenShards;
    use crate::observation::{Capacity, Description, Minute, Status};

    /// Minutes of whole shards, `(minutes before now, shards)`.
    fn seen(points: &[(i64, u64)]) -> Forecast {
        let now = Timestamp::from_second(1_763_683_200).unwrap();
        let minutes: BTreeMap<_, _> = points
            .iter()
            .map(|(ago, shards)| {
                let minute = Minute { records: Some(shards * 60_000), ..Minute::default() };
                (now - SignedDuration::from_mins(*ago), minute)
            })
            .collect();
        let history = History::new(Calls::default(), &minutes);
        let demand = demand::demand(&minutes, SignedDuration::from_mins(3)).unwrap();
        let observation = Observation {
            stream: "orders".into(),
            description: Description {
                status: Status::Active,
                capacity: Capacity::Provisioned,
                open_shards: 4,
            },
            account: None,
            paused: false,
            minutes,
            shards: SeenShards::default(),
            absurd_points: 0,
        };
        forecast(&observation, &history, &demand, now)
    }

    #[test]
    fn the_largest_part_of_the_next_hour_is_named() {
        let steady: Vec<_> = (2..=1_560).map(|ago| (ago, 10)).collect();
        let with = |changed: &[(std::ops::RangeInclusive<i64>, u64)]| -> Vec<_> {
            let shards = |ago| changed.iter().find(|(span, _)| span.contains(&ago));
            steady.iter().map(|(ago, was)| (*ago, shards(*ago).map_or(*was, |c| c.1))).collect()
        };
        let cases = [
            (steady.clone(), Reason::UsualGrowth),
            (with(&[(2..=4, 5)]), Reason::RecentPeak),
            (with(&[(2..=2, 20)]), Reason::Surge),
            (with(&[(1_400..=1_430, 30)]), Reason::SameTimeYesterday),
        ];
        for (points, reason) in cases {
            assert_eq!(seen(&points).reason, reason);
        }
        let young: Vec<_> = (2..=200).map(|ago| (ago, if ago > 120 { 30 } else { 10 })).collect();
        assert_eq!(seen(&young).reason, Reason::PeakOfTheDay);
    }

    #[test]
    fn yesterday_returns_at_its_time() {
        let shards = |ago: i64| if (1_200..1_260).contains(&ago) { 30 } else { 10 };
        let points: Vec<_> = (2..=1_560).map(|ago| (ago, shards(ago))).collect();
        let blocks = seen(&points).blocks;
        // 1,260 minutes ago is in three hours, which is block 9.
        assert_eq!(blocks[7], MilliShards(10_000));
        assert_eq!(blocks[9], MilliShards(30_000));
        assert_eq!(blocks[11], MilliShards(30_000));
        assert_eq!(blocks[14], MilliShards(10_000));
    }
}
