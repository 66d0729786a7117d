//! When to spend a call: the cheapest legal staircase of shard counts over the forecast.
//!
//! A shard costs one for each minute, a missing shard twenty, and a call the price of the moment.
//! The staircase is found by going backwards over the blocks; only its first move is made, since the
//! next look will know more.

use crate::forecast::Forecast;
use crate::limits;
use crate::policy::{MISSING_SHARD_PRICE, Policy};
use crate::units::MilliShards;

/// Minutes of a block.
const BLOCK_MINUTES: u64 = 20;

/// Counts that are considered: as many distinct needs as a day usually has.
const MOST_COUNTS: usize = 40;

/// The shard count that the cheapest staircase goes to now; the open one when it waits.
pub fn first_move(open: u32, forecast: &Forecast, price: u64, policy: &Policy) -> u32 {
    let counts = candidates(open, forecast, policy);
    let Some(start) = counts.iter().position(|count| *count == open) else { return open };
    // The cost from a block on, by the count that it begins with.
    let mut onwards = vec![0_u64; counts.len()];
    let mut first = open;
    for (index, need) in forecast.blocks.iter().enumerate().rev() {
        let mut here = Vec::with_capacity(counts.len());
        for from in &counts {
            let (cost, to) = best(*from, &counts, *need, price, &onwards);
            here.push(cost);
            if index == 0 && from == &counts[start] {
                first = to;
            }
        }
        onwards = here;
    }
    first
}

/// The cheapest count to go to at the start of a block, and what that costs to the end. Staying is
/// considered first, so that it wins a tie.
fn best(from: u32, counts: &[u32], need: MilliShards, price: u64, onwards: &[u64]) -> (u64, u32) {
    let (least, most) = limits::legal(from);
    let mut best = (u64::MAX, from);
    let stay = counts.iter().zip(onwards).filter(|(to, _)| **to == from);
    let go = counts.iter().zip(onwards).filter(|(to, _)| **to != from);
    for (to, onwards) in stay.chain(go).filter(|(to, _)| (least..=most).contains(*to)) {
        let cost = block(from, *to, need, price).saturating_add(*onwards);
        if cost < best.0 {
            best = (cost, *to);
        }
    }
    best
}

/// What a block costs, in shard-minutes.
fn block(from: u32, to: u32, need: MilliShards, price: u64) -> u64 {
    let missing = |shards: u32| need.0.saturating_sub(MilliShards::capacity(shards).0);
    let held = u64::from(to) * BLOCK_MINUTES;
    let short = missing(to).saturating_mul(BLOCK_MINUTES * MISSING_SHARD_PRICE) / 1_000;
    if from == to {
        return held.saturating_add(short);
    }
    // While the reshard runs, half a minute an operation, the smaller of the two counts serves on
    // average half of the time.
    let operations = u64::from(limits::operations(from, to));
    let minutes = (operations / 2).min(BLOCK_MINUTES);
    let on_the_way = missing(from.min(to)).saturating_sub(missing(to));
    let short_on_the_way = on_the_way.saturating_mul(minutes * MISSING_SHARD_PRICE) / 2_000;
    held.saturating_add(short)
        .saturating_add(short_on_the_way)
        .saturating_add(operations)
        .saturating_add(price)
}

/// The counts worth considering: each block's need, and what doubling and halving leads to.
fn candidates(open: u32, forecast: &Forecast, policy: &Policy) -> Vec<u32> {
    let within = |count: u32| count.clamp(policy.min_shards, policy.max_shards);
    let needs = forecast.blocks.iter().map(|need| within(need.shards()));
    let highest = needs.clone().max().unwrap_or(open);
    let mut counts: Vec<u32> = needs.collect();
    let mut step = open;
    while step < highest {
        step = limits::legal(step).1;
        counts.push(within(step));
    }
    let lowest = counts.iter().copied().min().unwrap_or(open);
    let mut step = open;
    while step > lowest {
        step = limits::legal(step).0;
        counts.push(within(step));
        if step == 1 {
            break;
        }
    }
    counts.push(open);
    counts.sort_unstable();
    counts.dedup();
    thin(counts, open)
}

/// Leaves out counts that hardly differ, until few enough are left; never the open one.
fn thin(mut counts: Vec<u32>, open: u32) -> Vec<u32> {
    let mut gap = 0;
    while counts.len() > MOST_COUNTS {
        gap += 1;
        let mut kept: Vec<u32> = Vec::with_capacity(MOST_COUNTS);
        // From the top, so that what is left out is replaced by a little more and not by less.
        for count in counts.iter().rev() {
            let near = kept.last().is_some_and(|last| last - count <= count * gap / 100);
            if !near || *count == open {
                kept.push(*count);
            }
        }
        kept.reverse();
        counts = kept;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::Reason;
    use crate::forecast::BLOCKS;

    /// A forecast of whole shards, `(blocks, shards)` one after the other.
    fn curve(parts: &[(usize, u64)]) -> Forecast {
        let mut blocks = [MilliShards(0); BLOCKS];
        let shards =
            parts.iter().flat_map(|(blocks, shards)| std::iter::repeat_n(*shards, *blocks));
        for (block, shards) in blocks.iter_mut().zip(shards) {
            *block = MilliShards(shards * 1_000);
        }
        Forecast { blocks, reason: Reason::RecentPeak }
    }

    #[test]
    fn a_call_is_spent_where_it_pays() {
        let policy = Policy::default();
        let cases = [
            // Flat: nothing to do.
            (4, curve(&[(72, 4)]), 30, 4),
            // A long night: half, and half again later.
            (16, curve(&[(72, 4)]), 30, 8),
            // The same with a price that the night does not pay.
            (5, curve(&[(3, 4), (69, 5)]), 100, 5),
            (5, curve(&[(30, 4), (42, 5)]), 100, 4),
            // A dip of an hour is not worth two calls.
            (8, curve(&[(3, 4), (69, 8)]), 200, 8),
            // A crowd in 40 minutes that two doublings reach: the first is not due yet.
            (4, curve(&[(4, 4), (68, 8)]), 30, 4),
            (4, curve(&[(1, 4), (71, 16)]), 30, 8),
            // More now.
            (4, curve(&[(72, 6)]), 30, 6),
        ];
        for (open, forecast, price, expected) in cases {
            let found = first_move(open, &forecast, price, &policy);
            assert_eq!(found, expected, "{open} {:?} at {price}", &forecast.blocks[..5]);
        }
    }

    #[test]
    fn many_needs_are_thinned_from_below() {
        let counts = thin((1..=200).collect(), 77);
        assert!(counts.len() <= MOST_COUNTS, "{}", counts.len());
        assert!(counts.contains(&200) && counts.contains(&77));
        assert!(counts.is_sorted());
    }
}
