//! What the next 24 hours may ask for: each earlier day, at today's level, is one of the ways the
//! day may go on. The more an earlier day resembles the hours behind us, the more it counts. While
//! no day is known, made-up ones stand in.

mod young;

use jiff::{SignedDuration, Timestamp};

use crate::decision::Reason;
use crate::demand::{self, Demand};
use crate::history::{self, BLOCK, History};
use crate::observation::{MINUTE, Observation};
use crate::policy::{NOW_WINDOW, SURGE_GROWTH_PERCENT, SURGE_PERCENT, Tuning};
use crate::units::MilliShards;

/// Blocks of a forecast: 24 hours.
pub const BLOCKS: usize = 72;

/// Blocks that the recent peak holds for: an hour.
pub const NEAR_BLOCKS: usize = 3;

/// Days that are looked back: two of each day of the week.
const DAYS: usize = 14;

const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// Blocks that today's level is taken from: an hour.
const LEVEL_BLOCKS: usize = 3;

/// How today compares with an earlier day, in percent, at the least and at the most: a quiet hour
/// does not promise a quiet day, and a crowd does not promise the same crowd all day.
const LEVEL: (u64, u64) = (80, 130);

/// Blocks by which an earlier day is compared with today: three hours.
const SHAPE_BLOCKS: usize = 9;

/// What yesterday, the same day of a week and any other day count for before they are compared.
const WEIGHT_OF_YESTERDAY: u64 = 10;
const WEIGHT_OF_WEEKDAY: u64 = 15;
const WEIGHT_OF_OTHER_DAY: u64 = 4;

/// Two days that differ by less than this, in thousandths, are alike.
const ALIKE: u64 = 30;

/// How far a day may be off, in percent either way, at the least and at the most.
const OFF: (u64, u64) = (5, 30);

/// How far back a rise is measured that an emergency reckons with, and how much longer it is
/// expected to go on: what is seen now is two minutes old, and a reshard takes minutes.
const RISE: SignedDuration = SignedDuration::from_mins(5);

/// A first block shorter than this gives its expected growth to the next one too.
const SHORT_BLOCK_MINUTES: u64 = 12;

/// One of the ways the next 24 hours may go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    /// What it counts for, in thousandths of all ways. They may add up to a little less.
    pub weight: u64,
    /// The peak of each block.
    pub blocks: [MilliShards; BLOCKS],
}

/// The load expected in the next 24 hours, and what it rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forecast {
    /// The start of each block, the first of which is now. The others begin where the blocks of the
    /// history do.
    pub starts: [Timestamp; BLOCKS],
    /// The length of the first block; the others have that of [`BLOCK`].
    pub first_minutes: u64,
    /// The ways the load may go.
    pub ways: Vec<Way>,
    /// What the peak of the next hour rests on.
    pub reason: Reason,
    /// A load that is exceeded by less than this weight counts as enough.
    tolerated: u64,
    /// Where the demand gets to while a reshard runs, if it goes on rising as in the last minutes;
    /// nothing where it does not exceed the hour before. For an emergency alone: that more is coming
    /// is no reason to call, but once a call is made it should last.
    pub rising_to: MilliShards,
}

impl Forecast {
    /// Of ways and the starts of their blocks, the first of which is whole.
    #[cfg(test)]
    pub(crate) fn of(starts: [Timestamp; BLOCKS], ways: Vec<Way>, reason: Reason) -> Self {
        let rising_to = MilliShards::default();
        Self { starts, first_minutes: 20, ways, reason, tolerated: 0, rising_to }
    }

    /// What the first blocks need: the load that is exceeded too rarely for a shard to pay.
    pub fn peak(&self, blocks: usize) -> MilliShards {
        (0..blocks.min(BLOCKS)).map(|block| self.need(block)).max().unwrap_or_default()
    }

    fn need(&self, block: usize) -> MilliShards {
        let mut loads: Vec<_> =
            self.ways.iter().map(|way| (way.blocks[block], way.weight)).collect();
        loads.sort_unstable_by(|a, b| b.cmp(a));
        let mut above = 0;
        let enough = loads.iter().find(|(_, weight)| {
            above += weight;
            above > self.tolerated
        });
        enough.or(loads.last()).map(|(load, _)| *load).unwrap_or_default()
    }
}

/// The forecast.
pub fn forecast(
    observation: &Observation,
    history: &History,
    demand: &Demand,
    tuning: &Tuning,
    now: Timestamp,
) -> Forecast {
    let past = Past::new(history, now);
    let mut ways = earlier_days(&past, tuning);
    let known_days = !ways.is_empty();
    if !known_days {
        ways = young::made_up_days(&past, tuning);
    }
    let ways = share(ways);
    let (starts, first_minutes) = blocks_from(now);
    let tolerated = 1_000 / u64::from(tuning.missing_price.max(1));
    let reason = Reason::Enough;
    let rising_to = rising_to(observation, demand, now);
    let mut forecast = Forecast { starts, first_minutes, ways, reason, tolerated, rising_to };
    let seasonal = forecast.peak(NEAR_BLOCKS);
    let near = Near::new(observation, demand, tuning, now);
    near.raise(&mut forecast);
    forecast.reason = match (near.grown > near.recent.max(seasonal), near.recent >= seasonal) {
        (true, _) if near.surging => Reason::Surge,
        (true, _) => Reason::UsualGrowth,
        (false, true) => Reason::RecentPeak,
        (false, false) if known_days => Reason::EarlierDays,
        (false, false) => Reason::PeakOfTheDay,
    };
    forecast
}

/// What the newest minutes say of the next hour, whatever the earlier days say.
struct Near {
    /// The peak of the recent past.
    recent: MilliShards,
    /// The newest demand and its growth.
    grown: MilliShards,
    surging: bool,
}

impl Near {
    fn new(observation: &Observation, demand: &Demand, tuning: &Tuning, now: Timestamp) -> Self {
        let window = SignedDuration::from_mins(i64::from(tuning.recent_minutes));
        let (recent, _) = demand::peak(&observation.minutes, now - window, now);
        let surging = is_surging(observation, demand, now);
        let growth = if surging { SURGE_GROWTH_PERCENT } else { u64::from(tuning.growth_percent) };
        Self { recent, grown: demand.now.percent(growth), surging }
    }

    fn raise(&self, forecast: &mut Forecast) {
        let grown_blocks = if forecast.first_minutes < SHORT_BLOCK_MINUTES { 2 } else { 1 };
        for way in &mut forecast.ways {
            for (index, block) in way.blocks.iter_mut().take(NEAR_BLOCKS).enumerate() {
                *block = self.recent.max(*block);
                if index < grown_blocks {
                    *block = self.grown.max(*block);
                }
            }
        }
    }
}

/// Whether demand runs away from the hour before.
fn is_surging(observation: &Observation, demand: &Demand, now: Timestamp) -> bool {
    let until = demand.newest - SignedDuration::from_mins(5);
    let (earlier, known) = demand::peak(&observation.minutes, now - HOUR, until);
    known > 0 && demand.now > earlier.percent(SURGE_PERCENT)
}

/// Where a rise of the last minutes leads to, at most to what a surge does.
fn rising_to(observation: &Observation, demand: &Demand, now: Timestamp) -> MilliShards {
    let before = demand.newest - RISE;
    let (hour, known) = demand::peak(&observation.minutes, now - HOUR, before);
    if known == 0 || demand.now <= hour {
        return MilliShards::default();
    }
    let (then, _) = demand::peak(&observation.minutes, before - NOW_WINDOW + MINUTE, before);
    let rise = demand.now.0.saturating_sub(then.0);
    demand.now.plus(MilliShards(rise)).min(demand.now.percent(SURGE_GROWTH_PERCENT))
}

/// Where the blocks of the next 24 hours begin, and how many minutes the first of them has left.
fn blocks_from(now: Timestamp) -> ([Timestamp; BLOCKS], u64) {
    let first = history::block_of(now);
    let mut starts = [now; BLOCKS];
    for (index, start) in (0_i32..).zip(starts.iter_mut()).skip(1) {
        *start = first + BLOCK * index;
    }
    let left = (first + BLOCK).duration_since(now).as_secs().max(0);
    (starts, u64::try_from(left).unwrap_or(0).div_ceil(60))
}

/// The blocks of the past by their number, the last of which is the one that now lies in.
struct Past {
    peaks: Vec<Option<u64>>,
}

impl Past {
    /// As many blocks as the forecast looks back at.
    fn new(history: &History, now: Timestamp) -> Self {
        let blocks = DAYS * BLOCKS + SHAPE_BLOCKS + 1;
        let last = history::block_of(now);
        let length = i32::try_from(blocks - 1).unwrap_or(i32::MAX);
        let first = last - BLOCK * length;
        let mut peaks = vec![None; blocks];
        for (start, peak) in history.blocks.range(first..=last) {
            let index = (start.as_second() - first.as_second()) / BLOCK.as_secs();
            if let Some(slot) = usize::try_from(index).ok().and_then(|index| peaks.get_mut(index)) {
                *slot = Some(peak.0);
            }
        }
        Self { peaks }
    }

    /// The block that lies so many blocks before the one of now.
    fn ago(&self, blocks: usize) -> Option<u64> {
        let index = self.peaks.len().checked_sub(blocks + 1)?;
        self.peaks[index]
    }

    /// The busiest block of the last day.
    fn busiest(&self) -> MilliShards {
        MilliShards((0..=BLOCKS).filter_map(|ago| self.ago(ago)).max().unwrap_or(0))
    }

    /// Pairs of the last complete blocks and those of as many days before, where both are known.
    fn pairs(&self, days: usize, blocks: usize) -> impl Iterator<Item = (u64, u64)> {
        (1..=blocks).filter_map(move |ago| Some((self.ago(ago)?, self.ago(ago + days * BLOCKS)?)))
    }

    /// Today's level against that day's, in percent.
    fn level(&self, days: usize) -> Option<u64> {
        let (today, then) = self
            .pairs(days, LEVEL_BLOCKS)
            .fold((0_u64, 0_u64), |(a, b), (x, y)| (a.saturating_add(x), b.saturating_add(y)));
        let percent = today.saturating_mul(100).checked_div(then)?;
        Some(percent.clamp(LEVEL.0, LEVEL.1))
    }

    /// How much the last hours differ from that day's at today's level, in thousandths.
    fn difference(&self, days: usize, level: u64) -> u64 {
        let pairs = self.pairs(days, SHAPE_BLOCKS);
        difference(pairs.map(|(today, then)| (today, MilliShards(then).percent(level).0)))
    }
}

/// How much two rows of loads differ, in thousandths.
fn difference(pairs: impl Iterator<Item = (u64, u64)>) -> u64 {
    let (apart, all) = pairs.fold((0_u64, 0_u64), |(apart, all), (one, other)| {
        (apart.saturating_add(one.abs_diff(other)), all.saturating_add(one.max(other)))
    });
    apart.saturating_mul(1_000).checked_div(all).unwrap_or(0)
}

/// What a day counts for that differs so much from ours.
fn weigh(prior: u64, difference: u64) -> u64 {
    let unlike = ALIKE + difference;
    (prior * 1_000_000 / (unlike * unlike)).max(1)
}

/// How far a day may be off that differs so much from ours, in percent.
fn off(difference: u64, tuning: &Tuning) -> u64 {
    let off = difference.saturating_mul(u64::from(tuning.variation_percent)) / 1_000;
    off.clamp(OFF.0, OFF.1)
}

/// A way for each earlier day whose last hours are known, with weights that do not add up to
/// anything yet.
fn earlier_days(past: &Past, tuning: &Tuning) -> Vec<Way> {
    let busiest = past.busiest();
    (1..=DAYS)
        .filter_map(|days| {
            let level = past.level(days)?;
            let prior = match days {
                1 => WEIGHT_OF_YESTERDAY,
                _ if days.is_multiple_of(7) => WEIGHT_OF_WEEKDAY,
                _ => WEIGHT_OF_OTHER_DAY,
            };
            let difference = past.difference(days, level);
            let scale = |peak: u64| {
                MilliShards(peak).percent(level).percent(u64::from(tuning.headroom_percent))
            };
            let mut blocks = [busiest; BLOCKS];
            for (index, block) in blocks.iter_mut().enumerate() {
                if let Some(peak) = past.ago(days * BLOCKS - index) {
                    *block = scale(peak);
                }
            }
            Some(vary(Way { weight: weigh(prior, difference), blocks }, off(difference, tuning)))
        })
        .flatten()
        .collect()
}

/// A way, and the same a little lower and a little higher: no day repeats another.
fn vary(way: Way, percent: u64) -> [Way; 3] {
    let times = |percent: u64| Way {
        weight: way.weight,
        blocks: way.blocks.map(|block| block.percent(percent)),
    };
    let (lower, higher) = (times(100_u64.saturating_sub(percent)), times(100 + percent));
    [Way { weight: way.weight.saturating_mul(2), ..way }, lower, higher]
}

/// Makes thousandths of the weights, and leaves out what counts for less than one.
fn share(mut ways: Vec<Way>) -> Vec<Way> {
    let all = |ways: &[Way]| ways.iter().map(|way| way.weight).sum::<u64>().max(1);
    let before = all(&ways);
    ways.retain(|way| way.weight.saturating_mul(1_000) >= before);
    let all = all(&ways);
    for way in &mut ways {
        way.weight = way.weight.saturating_mul(1_000) / all;
    }
    ways
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::history::Calls;
    use crate::hot::SeenShards;
    use crate::observation::{Capacity, Description, Minute, Status};

    const DAY: i64 = 1_440;

    /// Minutes of whole shards, by how many minutes ago, for so many days and an hour.
    fn seen(days: i64, shards: impl Fn(i64) -> u64) -> Forecast {
        let now = Timestamp::from_second(1_763_683_200).unwrap();
        let minutes: BTreeMap<_, _> = (2..=days * DAY + 60)
            .map(|ago| {
                let minute = Minute { records: Some(shards(ago) * 60_000), ..Minute::default() };
                (now - SignedDuration::from_mins(ago), minute)
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
        let tuning = Tuning { headroom_percent: 100, variation_percent: 0, ..Tuning::default() };
        forecast(&observation, &history, &demand, &tuning, now)
    }

    #[test]
    fn the_largest_part_of_the_next_hour_is_named() {
        let with = |from: i64, to: i64, changed: u64| {
            move |ago| if (from..=to).contains(&ago) { changed } else { 10 }
        };
        let cases = [
            (seen(1, |_| 10), Reason::UsualGrowth),
            (seen(1, with(20, 22, 12)), Reason::RecentPeak),
            (seen(1, with(2, 2, 20)), Reason::Surge),
            (seen(1, with(1_400, 1_430, 30)), Reason::EarlierDays),
            (seen(0, with(50, 62, 30)), Reason::PeakOfTheDay),
        ];
        for (forecast, reason) in cases {
            assert_eq!(forecast.reason, reason);
        }
    }

    #[test]
    fn each_earlier_day_returns_at_its_time() {
        // Yesterday 1,260 to 1,200 minutes ago, which is in three hours; the day before at noon.
        let forecast = seen(2, |ago| match ago {
            1_201..=1_260 => 30,
            2_161..=2_180 => 50,
            _ => 10,
        });
        assert_eq!(forecast.ways.len(), 6, "two days, each alone, lower and higher");
        let of = |way: usize, block: usize| forecast.ways[way].blocks[block];
        let shards = |shards: u64| MilliShards(shards * 1_000);
        assert_eq!([8, 9, 11, 12].map(|block| of(0, block)), [10, 30, 30, 10].map(shards));
        assert_eq!([34, 35, 36].map(|block| of(3, block)), [10, 50, 10].map(shards));
        let weights: u64 = forecast.ways.iter().map(|way| way.weight).sum();
        assert!((990..=1_000).contains(&weights), "{weights}");
    }

    #[test]
    fn a_day_that_resembles_today_counts_for_more() {
        // Today is busy by turns, as it was two days ago and not yesterday.
        let forecast = seen(2, |ago| match ago {
            0..=200 | 2_880..=3_080 => 10 + 10 * (ago / 40 % 2).unsigned_abs(),
            _ => 15,
        });
        let weight = |way: usize| forecast.ways[way].weight;
        assert!(weight(3) > 5 * weight(0), "{} {}", weight(0), weight(3));
    }

    #[test]
    fn today_s_level_is_that_of_the_last_hour_within_bounds() {
        for (today, then, tomorrow) in [(10, 10, 30), (12, 10, 36), (20, 10, 39), (5, 10, 24)] {
            let forecast = seen(1, |ago| match ago {
                0..=100 => today,
                1_201..=1_260 => 30,
                _ => then,
            });
            assert_eq!(forecast.ways[0].blocks[10], MilliShards(tomorrow * 1_000), "{today}");
        }
    }

    #[test]
    fn the_first_block_ends_where_those_of_the_history_do() {
        let at = |second: i64| Timestamp::from_second(second).unwrap();
        for (now, minutes, second) in [(0, 20, 1_200), (1_199, 1, 1_200), (61, 19, 1_200)] {
            let (starts, first) = blocks_from(at(now));
            assert_eq!((starts[0], starts[1], first), (at(now), at(second), minutes), "{now}");
        }
    }
}
