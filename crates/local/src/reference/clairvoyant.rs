//! The cheapest legal schedule that never throttles, with the future known: how far from perfect a
//! policy is.
//!
//! Found by going backwards over the minutes, for every shard count and every number of tokens that
//! are left. The tokens stand for the ten calls of a rolling day, which would need a state for every
//! past call: a bucket of K, refilled by 10 − K a day at fixed minutes, never gives more than ten in
//! any 24 hours. It is stricter than the service, so the best of several K is taken, and the true
//! optimum lies a little below.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use tidegate_autoscaler::limits;

use super::model::{self, DAY_MINUTES, Kind};
use super::schedule::Schedule;
use crate::trace::{self, Trace};

/// Up to this count every one is considered; above, in steps of at most a thirty-second of the one
/// before, so that a stream of thousands of shards is planned too.
const EVERY_COUNT_TO: u32 = 64;

/// A cost is carried in halves of a shard-minute, times this, plus the move that leads to it: the
/// least of such numbers is the cheapest and the move at once. All of it stays far below 2^53.
const MOVES: f64 = 256.0;

/// The cheapest schedule; `None` when every legal one throttles.
pub fn plan(trace: &Trace, per_operation: SignedDuration) -> Option<Schedule> {
    let problem = Problem::new(trace, per_operation)?;
    // The tokens of a bucket run from none to K, which makes one number more. 10 − K divides the
    // minutes of a day.
    let solved = [
        problem.solve::<3>(),
        problem.solve::<5>(),
        problem.solve::<6>(),
        problem.solve::<8>(),
        problem.solve::<10>(),
    ];
    let best = solved.into_iter().flatten().min_by(|a, b| a.cost.total_cmp(&b.cost))?;
    Some(Schedule::of(best.calls))
}

/// One way to change the count.
#[derive(Debug, Clone, Copy)]
struct Move {
    /// The index of the count after.
    to: usize,
    /// The index of the smaller count, which has to take the load on the way.
    smaller: usize,
    minutes: usize,
    /// With its own number, as [`MOVES`] says.
    cost: f64,
}

struct Problem {
    /// The shards that each minute needs.
    needs: Vec<u32>,
    counts: Vec<u32>,
    /// By the count before.
    moves: Vec<Vec<Move>>,
    /// The index of the count to begin with.
    start: usize,
    longest: usize,
}

struct Solved {
    cost: f64,
    calls: BTreeMap<usize, u32>,
}

impl Problem {
    /// `None` when the load exceeds what any stream can have.
    fn new(trace: &Trace, per_operation: SignedDuration) -> Option<Self> {
        let loads = || trace.minutes.iter().map(|rate| trace::shards(*rate));
        if loads().any(|load| load > f64::from(limits::MAX_SHARDS)) {
            return None;
        }
        let needs: Vec<u32> = loads().map(model::count).collect();
        let start = model::starting_shards(trace);
        let counts = counts(start, needs.iter().copied().max()?.max(start));
        let moves: Vec<Vec<Move>> =
            (0..counts.len()).map(|from| moves(from, &counts, per_operation)).collect();
        let longest = moves.iter().flatten().map(|to| to.minutes).max().unwrap_or(1);
        Some(Self { start: counts.binary_search(&start).ok()?, needs, counts, moves, longest })
    }

    /// With a bucket of `TOKENS - 1`.
    fn solve<const TOKENS: usize>(&self) -> Option<Solved> {
        let bucket = Bucket::new(TOKENS - 1);
        let (minutes, width) = (self.needs.len(), self.counts.len());
        // What is left to pay from a minute on, by count and tokens; only as many minutes are kept
        // as the longest reshard looks ahead.
        let ring = self.longest.min(minutes) + 1;
        let mut onwards = vec![[0.0_f64; TOKENS]; ring * width];
        let mut chosen = vec![[0_u8; TOKENS]; minutes * width];
        // For how many minutes from here on each count takes the load.
        let mut serves = vec![0_usize; width];
        for minute in (0..minutes).rev() {
            for (index, count) in self.counts.iter().enumerate() {
                serves[index] = if *count >= self.needs[minute] { serves[index] + 1 } else { 0 };
            }
            for from in 0..width {
                let mut best = [f64::INFINITY; TOKENS];
                if serves[from] > 0 {
                    let row = &onwards[(minute + 1) % ring * width + from];
                    let cost = f64::from(self.counts[from]) * 2.0 * MOVES;
                    let refilled = bucket.refilled(minute, minute + 1);
                    stay(&mut best, row, cost, refilled);
                }
                for to in &self.moves[from] {
                    if to.minutes > serves[to.smaller] {
                        continue;
                    }
                    let arrives = minute + to.minutes;
                    let row = &onwards[arrives % ring * width + to.to];
                    go(&mut best, row, to.cost, bucket.refilled(minute, arrives));
                }
                let here = &mut onwards[minute % ring * width + from];
                unpack(&best, here, &mut chosen[minute * width + from]);
            }
        }
        let cost = onwards[self.start][TOKENS - 1];
        cost.is_finite().then(|| Solved { cost, calls: self.follow(&chosen, bucket) })
    }

    /// The calls along the cheapest way.
    fn follow<const TOKENS: usize>(
        &self,
        chosen: &[[u8; TOKENS]],
        bucket: Bucket,
    ) -> BTreeMap<usize, u32> {
        let (mut minute, mut at, mut tokens) = (0, self.start, bucket.most);
        let mut calls = BTreeMap::new();
        while minute < self.needs.len() {
            let choice = usize::from(chosen[minute * self.counts.len() + at][tokens]);
            let (spent, arrives) = match choice.checked_sub(1).map(|index| self.moves[at][index]) {
                Some(to) => {
                    calls.insert(minute, self.counts[to.to]);
                    at = to.to;
                    (1, minute + to.minutes)
                }
                None => (0, minute + 1),
            };
            tokens = (tokens - spent + bucket.refilled(minute, arrives)).min(bucket.most);
            minute = arrives;
        }
        calls
    }
}

/// When tokens come.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    most: usize,
    every: usize,
}

impl Bucket {
    fn new(most: usize) -> Self {
        Self { most, every: DAY_MINUTES / (10 - most) }
    }

    /// Tokens that come after one minute and up to another.
    fn refilled(self, from: usize, to: usize) -> usize {
        to / self.every - from / self.every
    }
}

/// Waits a minute: with each number of tokens, what follows with those and the refilled.
fn stay<const TOKENS: usize>(
    best: &mut [f64; TOKENS],
    row: &[f64; TOKENS],
    cost: f64,
    refilled: usize,
) {
    for (tokens, best) in best.iter_mut().enumerate() {
        *best = row[(tokens + refilled).min(TOKENS - 1)] + cost;
    }
}

/// Makes a move, where a token is left for it.
#[inline]
fn go<const TOKENS: usize>(
    best: &mut [f64; TOKENS],
    row: &[f64; TOKENS],
    cost: f64,
    refilled: usize,
) {
    if refilled == 0 {
        // Most moves: written so that it becomes a few vector instructions.
        for (best, onwards) in best[1..].iter_mut().zip(&row[..TOKENS - 1]) {
            let cost = onwards + cost;
            *best = if cost < *best { cost } else { *best };
        }
        return;
    }
    for tokens in 1..TOKENS {
        let cost = row[(tokens - 1 + refilled).min(TOKENS - 1)] + cost;
        best[tokens] = if cost < best[tokens] { cost } else { best[tokens] };
    }
}

/// Takes cost and move apart.
fn unpack<const TOKENS: usize>(
    best: &[f64; TOKENS],
    cost: &mut [f64; TOKENS],
    chosen: &mut [u8; TOKENS],
) {
    for tokens in 0..TOKENS {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a whole number below 2^53, or infinity, of which the move does not matter"
        )]
        let number = best[tokens] as u64 as u8;
        chosen[tokens] = number;
        cost[tokens] = best[tokens] - f64::from(number);
    }
}

/// The counts to consider, in order.
fn counts(start: u32, most: u32) -> Vec<u32> {
    let next = |count: &u32| Some(count + (count / EVERY_COUNT_TO * 2).max(1));
    let mut counts: Vec<u32> =
        std::iter::successors(Some(1), next).take_while(|count| *count < most).collect();
    counts.extend([start, most]);
    counts.sort_unstable();
    counts.dedup();
    counts
}

fn moves(from: usize, counts: &[u32], per_operation: SignedDuration) -> Vec<Move> {
    let before = counts[from];
    let (least, most) = limits::legal(before);
    let mut moves = Vec::new();
    for (to, after) in counts.iter().copied().enumerate() {
        if after == before || !(least..=most).contains(&after) {
            continue;
        }
        let minutes = model::reshard_minutes(Kind::Update.operations(before, after), per_operation);
        let number = model::as_f64(moves.len() + 1);
        // Over its minutes the mean of the two is billed: twice that is their sum.
        let cost = model::as_f64(minutes) * f64::from(before + after) * MOVES + number;
        moves.push(Move { to, smaller: from.min(to), minutes, cost });
    }
    moves
}
