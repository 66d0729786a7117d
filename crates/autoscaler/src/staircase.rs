//! When to spend a call: the cheapest legal staircase of shard counts over the ways the next
//! 24 hours may go.
//!
//! A shard costs one for each minute, a missing shard its price, weighed by how likely it is
//! missing, and a call the price of those that are left when it is made. When the calls of the last
//! day come back is known, so the staircase waits for them where that is cheaper. It is found by
//! going backwards over the blocks; only its first move is made, since the next look will know
//! more.

use crate::forecast::{BLOCKS, Forecast};
use crate::history::{BLOCK, CALLS_PER_DAY, Calls};
use crate::limits;
use crate::policy::{Policy, Tuning};
use crate::units::MilliShards;

/// Counts that are considered, beside what doubling and halving leads to.
const COUNTS: usize = 22;

/// Calls that a staircase may make, and none.
const STATES: usize = CALLS_PER_DAY as usize + 1;

/// No block costs more, so that a day of them and a call that is not left fit into 31 bits. Ten
/// thousand shards that miss for 20 minutes at the default price cost less.
const DEAREST_BLOCK: u64 = 1 << 24;

/// A call that is not left.
const NO_CALL: i32 = 1 << 29;

/// What is left to pay from a block on, in shard-minutes, by the calls made before.
type Onwards = [i32; STATES];

/// The shard count that the cheapest staircase goes to now; the open one when it waits.
pub fn first_move(open: u32, forecast: &Forecast, calls: &Calls, policy: &Policy) -> u32 {
    let counts = candidates(open, forecast, policy);
    let Some(start) = counts.iter().position(|count| *count == open) else { return open };
    let moves: Vec<Vec<Move>> = counts.iter().map(|from| moves(*from, &counts)).collect();
    let mut onwards: Vec<Onwards> = vec![[0; STATES]; counts.len()];
    let mut here = onwards.clone();
    let mut first = open;
    for block in (0..BLOCKS).rev() {
        let costs = Costs::new(block, &counts, forecast, &policy.tuning);
        let prices = prices(calls.left(forecast.starts[block]), &policy.tuning);
        for (from, moves) in moves.iter().enumerate() {
            let stay = onwards[from].map(|cost| cost + costs.stay[from]);
            let (go, to) = cheapest_move(moves, from, &costs, &onwards);
            for state in 0..STATES {
                here[from][state] = stay[state].min(go[state].saturating_add(prices[state]));
            }
            // Staying wins a tie.
            if block == 0 && from == start && here[from][0] < stay[0] {
                first = counts[to];
            }
        }
        std::mem::swap(&mut onwards, &mut here);
    }
    first
}

/// What the cheapest move costs from a block on, without the price of the call, by the calls made
/// before; and where it goes when none was made.
fn cheapest_move(
    moves: &[Move],
    from: usize,
    costs: &Costs,
    onwards: &[Onwards],
) -> (Onwards, usize) {
    let mut best = [i32::MAX; STATES];
    let mut first = from;
    for to in moves {
        let cost = costs.go(from, to);
        let after = &onwards[to.to];
        if cost + after[1] < best[0] {
            first = to.to;
        }
        // Written so that it becomes a few vector instructions.
        for (best, after) in best[..STATES - 1].iter_mut().zip(&after[1..]) {
            *best = (cost + after).min(*best);
        }
    }
    (best, first)
}

/// The price of one more call in a block, by the calls made before, where so many would be left
/// without them.
fn prices(left: u32, tuning: &Tuning) -> Onwards {
    let mut prices = [NO_CALL; STATES];
    for (price, spent) in prices.iter_mut().zip(0..left) {
        let dear = tuning.price(left - spent);
        *price = i32::try_from(dear).unwrap_or(NO_CALL).min(NO_CALL);
    }
    prices
}

/// One way to change the count.
struct Move {
    /// The index of the count after.
    to: usize,
    /// The minutes of the reshard, half a minute an operation.
    minutes: u64,
}

fn moves(from: u32, counts: &[u32]) -> Vec<Move> {
    let (least, most) = limits::legal(from);
    let legal = |to: u32| to != from && (least..=most).contains(&to);
    let to = counts.iter().enumerate().filter(|(_, to)| legal(**to));
    to.map(|(index, to)| Move { to: index, minutes: u64::from(limits::operations(from, *to)) / 2 })
        .collect()
}

/// What a block costs, in shard-minutes.
struct Costs {
    minutes: u64,
    /// The shards of each count.
    held: Vec<u64>,
    /// The price of what each count misses in a minute, in thousandths.
    short: Vec<u64>,
    /// A block at each count.
    stay: Vec<i32>,
}

impl Costs {
    fn new(block: usize, counts: &[u32], forecast: &Forecast, tuning: &Tuning) -> Self {
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
        Self { minutes, held, short, stay }
    }

    /// A block that begins with a reshard. On the way the smaller of the two counts serves on
    /// average half of the time, and the mean of the two is billed.
    fn go(&self, from: usize, to: &Move) -> i32 {
        let minutes = to.minutes.min(self.minutes);
        let smaller = from.min(to.to);
        let short = (self.short[smaller] - self.short[to.to]) * minutes / 2_000;
        let change = i64::try_from(minutes).unwrap_or(0)
            * (i64::try_from(self.held[from]).unwrap_or(0)
                - i64::try_from(self.held[to.to]).unwrap_or(0))
            / 2;
        let on_the_way = i32::try_from(change).unwrap_or(0);
        bounded(short).saturating_add(self.stay[to.to]).saturating_add(on_the_way)
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

/// The counts worth considering: all that the forecast spans or as many in even proportion, and
/// what doubling and halving leads to.
fn candidates(open: u32, forecast: &Forecast, policy: &Policy) -> Vec<u32> {
    let within = |count: u32| count.clamp(policy.min_shards, policy.max_shards);
    let needs = || forecast.ways.iter().flat_map(|way| &way.blocks).map(|need| need.shards());
    let lowest = within(needs().min().unwrap_or(open));
    let highest = within(needs().max().unwrap_or(open));
    let mut counts = between(lowest, highest);
    let mut step = open;
    while step < highest {
        step = limits::legal(step).1;
        counts.push(within(step));
        if step == limits::MAX_SHARDS {
            break;
        }
    }
    let mut step = open;
    while step > lowest.max(1) {
        step = limits::legal(step).0;
        counts.push(within(step));
    }
    counts.push(open);
    counts.sort_unstable();
    counts.dedup();
    counts
}

/// Up to [`COUNTS`] counts from one to another, each about as much larger than the one before.
fn between(lowest: u32, highest: u32) -> Vec<u32> {
    let by = |percent: u32| {
        let next = move |count: &u32| {
            Some((*count).saturating_mul(100 + percent).div_euclid(100).max(count + 1))
        };
        std::iter::successors(Some(lowest), next).take_while(move |count| *count < highest)
    };
    // Ten thousandfold in 22 steps is half as many more each time.
    let percent = (0..).find(|percent| by(*percent).nth(COUNTS).is_none()).unwrap_or(0);
    by(percent).chain([highest]).collect()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::decision::Reason;
    use crate::forecast::Way;

    fn at(block: i32) -> Timestamp {
        Timestamp::from_second(1_763_683_200).unwrap() + BLOCK * block
    }

    /// A way of whole shards, `(blocks, shards)` one after the other.
    fn way(weight: u64, parts: &[(usize, u64)]) -> Way {
        let mut blocks = [MilliShards(0); BLOCKS];
        let shards =
            parts.iter().flat_map(|(blocks, shards)| std::iter::repeat_n(*shards, *blocks));
        for (block, shards) in blocks.iter_mut().zip(shards) {
            *block = MilliShards(shards * 1_000);
        }
        Way { weight, blocks }
    }

    fn step(open: u32, ways: Vec<Way>, calls: &[i32], call_price: u32) -> u32 {
        let mut starts = [at(0); BLOCKS];
        for (index, start) in (0..).zip(starts.iter_mut()) {
            *start = at(index);
        }
        let forecast = Forecast::of(starts, ways, Reason::RecentPeak);
        let tuning = Tuning { call_price, ..Tuning::default() };
        let policy = Policy { tuning, ..Policy::default() };
        let calls: Calls = calls.iter().map(|block| at(*block)).collect();
        first_move(open, &forecast, &calls, &policy)
    }

    #[test]
    fn a_call_is_spent_where_it_pays() {
        type Case<'a> = (u32, &'a [(usize, u64)], u32, u32);
        let cases: [Case<'_>; 9] = [
            // Flat: nothing to do.
            (4, &[(72, 4)], 30, 4),
            // A long night: half, and half again later.
            (16, &[(72, 4)], 30, 8),
            // The same with a price that the night does not pay.
            (5, &[(3, 4), (69, 5)], 100, 5),
            (5, &[(30, 4), (42, 5)], 100, 4),
            // A dip of an hour is not worth two calls.
            (8, &[(3, 4), (69, 8)], 200, 8),
            // A crowd in 80 minutes that one doubling reaches: it is not due yet.
            (4, &[(4, 4), (68, 8)], 30, 4),
            // One that needs two of them is.
            (4, &[(1, 4), (71, 16)], 30, 8),
            // More now.
            (4, &[(72, 6)], 30, 6),
            // Idle as a stream can be.
            (1, &[(72, 0)], 0, 1),
        ];
        for (open, parts, price, expected) in cases {
            let found = step(open, vec![way(1_000, parts)], &[], price);
            assert_eq!(found, expected, "{open} {parts:?} at {price}");
        }
    }

    #[test]
    fn a_shard_is_held_while_it_is_likely_enough_to_miss() {
        // At a price of 30, one time in 20 is worth a shard, one in 50 is not.
        for (weight, expected) in [(50, 8), (20, 6)] {
            let ways = vec![way(1_000 - weight, &[(72, 6)]), way(weight, &[(72, 8)])];
            assert_eq!(step(8, ways, &[], 30), expected, "{weight}");
        }
    }

    #[test]
    fn a_call_waits_for_those_that_come_back() {
        // Ten calls were made; nine of them come back in three hours, and one in six.
        let spent = |left: usize| -> Vec<i32> {
            let back_soon = [-63; 9];
            back_soon.into_iter().chain([-54]).skip(left).collect()
        };
        let long = vec![way(1_000, &[(72, 4)])];
        assert_eq!(step(5, long.clone(), &spent(0), 30), 5, "there is none");
        assert_eq!(step(5, long.clone(), &spent(1), 30), 5, "the last one, and nine are coming");
        assert_eq!(step(5, long.clone(), &spent(9), 30), 4, "nine are here");
        // The same last call, when no other comes back for a day, is kept too; but not for this.
        assert_eq!(step(8, long, &[-1; 9], 30), 4);
    }

    #[test]
    fn the_counts_are_few_and_span_all_needs() {
        for (lowest, highest) in [(1, 1), (1, 22), (1, 23), (7, 1_000), (1, 10_000)] {
            let counts = between(lowest, highest);
            assert!(counts.len() <= COUNTS + 1, "{counts:?}");
            assert_eq!((counts[0], counts.last()), (lowest, Some(&highest)));
            assert!(counts.windows(2).all(|pair| pair[0] < pair[1]), "{counts:?}");
        }
    }
}
