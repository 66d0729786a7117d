//! What a block of the next 24 hours costs at each count, and on the way from one to another.

use crate::forecast::Forecast;
use crate::history::BLOCK;
use crate::limits;
use crate::policy::Tuning;
use crate::units::MilliShards;

/// No block costs more, so that a day of them and a call that is not left fit into 31 bits. Ten
/// thousand shards that miss for 20 minutes at the default price cost less.
const DEAREST_BLOCK: u64 = 1 << 24;

/// A reshard that takes longer is reckoned with block by block. A shorter one counts as if it took
/// no more than the block that it begins in: the next call may correct it before long, and to reckon
/// with it exactly keeps a tenth more shards on streams of fifty and throttles no less.
const LONG_MINUTES: i64 = 60;

/// Whether a reshard takes so long that the way matters as much as the target.
pub fn is_long(from: u32, to: u32) -> bool {
    reshard_minutes(from, to) > LONG_MINUTES
}

/// One way to change the count.
pub(super) struct Move {
    /// The index of the count after.
    pub to: usize,
    /// The minutes of the reshard.
    minutes: i64,
}

pub(super) fn moves(from: u32, counts: &[u32]) -> Vec<Move> {
    let (least, most) = limits::legal(from);
    let legal = |to: u32| to != from && (least..=most).contains(&to);
    let to = counts.iter().enumerate().filter(|(_, to)| legal(**to));
    to.map(|(index, to)| Move { to: index, minutes: reshard_minutes(from, *to) }).collect()
}

/// Half a minute an operation.
fn reshard_minutes(from: u32, to: u32) -> i64 {
    i64::from(limits::operations(from, to)) / 2
}

impl Move {
    /// What the blocks cost that the reshard takes, from one on, and the block that follows them.
    pub fn cost(&self, from: usize, block: usize, costs: &[Costs]) -> (i32, usize) {
        let cost = |cost: i64| i32::try_from(cost).unwrap_or(i32::MAX);
        if self.minutes > LONG_MINUTES {
            let (dear, next) = self.cost_of_long(from, block, costs);
            return (cost(dear), next);
        }
        let here = &costs[block];
        let more = here.on_the_way(from, self.to, self.minutes);
        (cost(i64::from(here.stay[self.to]) + more), block + 1)
    }

    /// On the way from N to M shards, so much of the time as is done is served and billed like M, and
    /// the rest like N. No other call is taken meanwhile.
    fn cost_of_long(&self, from: usize, block: usize, costs: &[Costs]) -> (i64, usize) {
        let (mut cost, mut done, mut next) = (0, 0, block);
        for here in &costs[block..] {
            let minutes = here.minutes.min(self.minutes - done);
            let (before, after) = (i64::from(here.stay[from]), i64::from(here.stay[self.to]));
            // The minutes, times what is undone of the reshard in the middle of them.
            let undone = minutes * (2 * (self.minutes - done) - minutes);
            cost += after + (before - after) * undone / (2 * self.minutes * here.minutes.max(1));
            done += minutes;
            next += 1;
            if done == self.minutes {
                break;
            }
        }
        (cost, next)
    }
}

/// What a block costs, in shard-minutes.
pub(super) struct Costs {
    minutes: i64,
    /// The shards of each count.
    held: Vec<u64>,
    /// The price of what each count misses in a minute, in thousandths.
    short: Vec<u64>,
    /// A block at each count.
    pub stay: Vec<i32>,
}

impl Costs {
    pub fn new(block: usize, counts: &[u32], forecast: &Forecast, tuning: &Tuning) -> Self {
        let minutes =
            if block == 0 { forecast.first_minutes } else { BLOCK.as_mins().unsigned_abs() };
        let short = missing(block, counts, forecast)
            .map(|missing| missing.saturating_mul(u64::from(tuning.missing_price)));
        let mut short: Vec<u64> = short.collect();
        short.reverse();
        let held: Vec<u64> = counts.iter().copied().map(u64::from).collect();
        let stay = held
            .iter()
            .zip(&short)
            .map(|(held, short)| bounded((held * minutes).saturating_add(short * minutes / 1_000)))
            .collect();
        Self { minutes: minutes.cast_signed(), held, short, stay }
    }

    /// What a block costs more that begins with a reshard. On the way the smaller of the two counts
    /// serves on average half of the time, and the mean of the two is billed.
    fn on_the_way(&self, from: usize, to: usize, minutes: i64) -> i64 {
        let minutes = minutes.min(self.minutes);
        let smaller = from.min(to);
        let short = (self.short[smaller] - self.short[to]) * minutes.unsigned_abs() / 2_000;
        let held = |count: usize| i64::try_from(self.held[count]).unwrap_or(0);
        i64::from(bounded(short)) + minutes * (held(from) - held(to)) / 2
    }
}

/// What each count is expected to miss in a block, in thousandths, from the largest count down.
fn missing(block: usize, counts: &[u32], forecast: &Forecast) -> impl Iterator<Item = u64> {
    let mut loads: Vec<(u64, u64)> =
        forecast.ways.iter().map(|way| (way.blocks[block].0, way.weight)).collect();
    loads.sort_unstable_by(|a, b| b.cmp(a));
    let mut loads = loads.into_iter().peekable();
    // The weight above the count, and the load of that weight.
    let (mut weight, mut above) = (0_u64, 0_u64);
    counts.iter().rev().map(move |count| {
        let capacity = MilliShards::capacity(*count).0;
        while let Some((load, more)) = loads.next_if(|(load, _)| *load > capacity) {
            weight += more;
            above = above.saturating_add(load.saturating_mul(more));
        }
        above.saturating_sub(capacity.saturating_mul(weight)) / 1_000
    })
}

fn bounded(cost: u64) -> i32 {
    i32::try_from(cost.min(DEAREST_BLOCK)).unwrap_or(i32::MAX)
}
