//! When to spend a call: the cheapest legal staircase of shard counts over the ways the next
//! 24 hours may go.
//!
//! A shard costs one for each minute, a missing shard its price, weighed by how likely it is
//! missing, and a call the price of those that are left when it is made. When the calls of the last
//! day come back is known, so the staircase waits for them where that is cheaper. It is found by
//! going backwards over the blocks; only its first move is made, since the next look will know
//! more.
//!
//! A reshard of hundreds of shards takes hours, in which nothing else can be done and the shards
//! change one by one. So where a call must be made and would take so long, the staircase also says
//! which target serves best on the way: doubling moves twice as many shards an hour as half as many
//! more do.

mod costs;

use costs::{Costs, Move, moves};

pub use costs::is_long;

use crate::forecast::{BLOCKS, Forecast};
use crate::history::{CALLS_PER_DAY, Calls};
use crate::limits;
use crate::policy::{Policy, Tuning};

/// Counts that are considered, beside what doubling and halving leads to.
const COUNTS: usize = 22;

/// Calls that a staircase may make, and none.
const STATES: usize = CALLS_PER_DAY as usize + 1;

/// A call that is not left.
const NO_CALL: i32 = 1 << 29;

/// What is left to pay from a block on, in shard-minutes, by the calls made before.
type Onwards = [i32; STATES];

/// The shard count that the cheapest staircase goes to now; the open one when it waits.
pub fn first_move(open: u32, forecast: &Forecast, calls: &Calls, policy: &Policy) -> u32 {
    let Some(stairs) = Staircase::new(open, None, forecast, calls, policy) else { return open };
    let stay = stairs.costs[0].stay[stairs.start] + stairs.onwards[1][stairs.start][0];
    // Staying wins a tie.
    match stairs.cheapest_now(|_| true) {
        Some((cost, to)) if cost < stay => to,
        _ => open,
    }
}

/// The count of at least so many that the cheapest staircase goes to when it must go now; `None`
/// when one call cannot lead there.
pub fn move_to_at_least(
    open: u32,
    least: u32,
    forecast: &Forecast,
    calls: &Calls,
    policy: &Policy,
) -> Option<u32> {
    let stairs = Staircase::new(open, Some(least), forecast, calls, policy)?;
    stairs.cheapest_now(|to| to >= least).map(|(_, to)| to)
}

/// All that follows from the second block on, by the count that it begins with.
struct Staircase {
    counts: Vec<u32>,
    /// The index of the open count.
    start: usize,
    moves: Vec<Vec<Move>>,
    costs: Vec<Costs>,
    /// By the block and the count that it begins with.
    onwards: Vec<Vec<Onwards>>,
    /// The price of a call now.
    price: i32,
}

impl Staircase {
    fn new(
        open: u32,
        least: Option<u32>,
        forecast: &Forecast,
        calls: &Calls,
        policy: &Policy,
    ) -> Option<Self> {
        let counts = candidates(open, least, forecast, policy);
        let start = counts.iter().position(|count| *count == open)?;
        let moves: Vec<Vec<Move>> = counts.iter().map(|from| moves(*from, &counts)).collect();
        let costs: Vec<_> =
            (0..BLOCKS).map(|block| Costs::new(block, &counts, forecast, &policy.tuning)).collect();
        let mut onwards: Vec<Vec<Onwards>> = vec![vec![[0; STATES]; counts.len()]; BLOCKS + 1];
        for block in (1..BLOCKS).rev() {
            let prices = prices(calls.left(forecast.starts[block]), &policy.tuning);
            let (before, after) = onwards.split_at_mut(block + 1);
            for (from, moves) in moves.iter().enumerate() {
                let stay = after[0][from].map(|cost| cost + costs[block].stay[from]);
                let go = cheapest_move(moves, from, block, &costs, after);
                let here = &mut before[block][from];
                for state in 0..STATES {
                    here[state] = stay[state].min(go[state].saturating_add(prices[state]));
                }
            }
        }
        let price = prices(calls.left(forecast.starts[0]), &policy.tuning)[0];
        Some(Self { counts, start, moves, costs, onwards, price })
    }

    /// The cheapest of the moves that may be made now: what it costs in all, and where it goes.
    fn cheapest_now(&self, allowed: impl Fn(u32) -> bool) -> Option<(i32, u32)> {
        let moves = self.moves[self.start].iter().filter(|to| allowed(self.counts[to.to]));
        let cost = |to: &Move| {
            let (cost, next) = to.cost(self.start, 0, &self.costs);
            cost.saturating_add(self.onwards[next][to.to][1]).saturating_add(self.price)
        };
        let (cost, to) = moves.map(|to| (cost(to), to.to)).min_by_key(|(cost, _)| *cost)?;
        Some((cost, self.counts[to]))
    }
}

/// What the cheapest move costs from a block on, without the price of the call, by the calls made
/// before. What comes after the block is given by the blocks after it.
fn cheapest_move(
    moves: &[Move],
    from: usize,
    block: usize,
    costs: &[Costs],
    after: &[Vec<Onwards>],
) -> Onwards {
    let mut best = [i32::MAX; STATES];
    for to in moves {
        let (cost, next) = to.cost(from, block, costs);
        let after = &after[next - block - 1][to.to];
        // Written so that it becomes a few vector instructions.
        for (best, after) in best[..STATES - 1].iter_mut().zip(&after[1..]) {
            *best = (cost + after).min(*best);
        }
    }
    best
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

/// The counts worth considering: all that the forecast spans or as many in even proportion, and
/// what doubling and halving leads to.
fn candidates(open: u32, least: Option<u32>, forecast: &Forecast, policy: &Policy) -> Vec<u32> {
    let within = |count: u32| count.clamp(policy.min_shards, policy.max_shards);
    let needs = || forecast.ways.iter().flat_map(|way| &way.blocks).map(|need| need.shards());
    let lowest = within(needs().min().unwrap_or(open));
    let highest = within(needs().max().unwrap_or(open).max(least.unwrap_or(0)));
    let mut counts = between(lowest, highest);
    counts.extend(least.map(within));
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
    use crate::history::BLOCK;
    use crate::units::MilliShards;

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

    fn forecast(ways: Vec<Way>) -> Forecast {
        let mut starts = [at(0); BLOCKS];
        for (index, start) in (0..).zip(starts.iter_mut()) {
            *start = at(index);
        }
        Forecast::of(starts, ways, Reason::RecentPeak)
    }

    fn step(open: u32, ways: Vec<Way>, calls: &[i32], call_price: u32) -> u32 {
        let forecast = forecast(ways);
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
    fn a_long_reshard_is_begun_in_time() {
        // 150 to 300 shards take 75 minutes, and 1,000 to 2,000 more than 8 hours.
        type Case<'a> = (u32, &'a [(usize, u64)], u32);
        let cases: [Case<'_>; 5] = [
            (150, &[(6, 140), (66, 290)], 150),
            (150, &[(3, 140), (69, 290)], 300),
            (1_000, &[(60, 900), (12, 1_900)], 1_000),
            (1_000, &[(20, 900), (52, 1_900)], 2_000),
            (1_000, &[(10, 900), (62, 1_900)], 2_000),
        ];
        for (open, parts, expected) in cases {
            assert_eq!(step(open, vec![way(1_000, parts)], &[], 15), expected, "{open} {parts:?}");
        }
    }

    #[test]
    fn a_call_that_must_be_made_serves_on_the_way_too() {
        // 200 to 240 shards take three hours, and to 400 less than two.
        for (open, least, parts, expected) in [
            (200, 240, [(3, 201), (69, 202)], 240),
            (200, 240, [(3, 230), (69, 240)], 400),
            (200, 401, [(3, 230), (69, 390)], 0),
        ] {
            let forecast = forecast(vec![way(1_000, &parts)]);
            let (calls, policy) = (Calls::default(), Policy::default());
            let found = move_to_at_least(open, least, &forecast, &calls, &policy).unwrap_or(0);
            assert_eq!(found, expected, "{open} {least} {parts:?}");
        }
        assert!(is_long(200, 240) && !is_long(32, 64));
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
