//! The model: a stream by the minute, its legal calls, what it takes, and what that costs.

use std::collections::VecDeque;

use jiff::SignedDuration;
use tidegate_autoscaler::history::CALLS_PER_DAY;
use tidegate_autoscaler::limits;

use super::policy::{Change, Policy, Refused, Seen};
use super::price;
use crate::fluid::Volume;
use crate::trace::{self, Trace};

/// Minutes after its start that a minute's metrics are visible.
const VISIBLE_AFTER_MINUTES: usize = 2;

/// Minutes that a call counts against the ten.
pub const DAY_MINUTES: usize = 24 * 60;

/// The share of its load above which a minute counts as throttled.
const THROTTLED_SHARE: f64 = 1e-4;

/// A share that is a rounding of floats and not throttling.
const ROUNDING: f64 = 1e-12;

/// How full a history begins: its first hour's peak takes this share of the shards.
const STARTING_USE: f64 = 0.7;

/// What a stream was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// UpdateShardCount, one of the ten of a day.
    Update,
    /// SplitShard, one shard after the other, outside the ten.
    Split,
    /// MergeShards, one pair after the other, outside the ten.
    Merge,
}

impl Kind {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Update => "update",
            Self::Split => "split",
            Self::Merge => "merge",
        }
    }

    /// The splits and merges that lead from one count to another.
    pub fn operations(self, from: u32, to: u32) -> u32 {
        match self {
            Self::Update => limits::operations(from, to),
            Self::Split | Self::Merge => from.abs_diff(to),
        }
    }
}

/// An accepted call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// When, in minutes of the history.
    pub minute: usize,
    /// How long the reshard takes, in minutes.
    pub minutes: usize,
    /// The shards before.
    pub from: u32,
    /// What was asked for, and why.
    pub change: Change,
}

/// A reshard that is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reshard {
    /// The shards before.
    pub from: u32,
    /// The shards after.
    pub to: u32,
    began: usize,
    minutes: usize,
}

impl Reshard {
    /// How far it is at the middle of a minute.
    fn progress(self, minute: usize) -> f64 {
        (as_f64(minute - self.began) + 0.5) / as_f64(self.minutes)
    }
}

/// One minute as it was served.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Minute {
    /// What producers offered, in shards.
    pub load: f64,
    /// What was accepted of it, in shards.
    pub accepted: f64,
    /// The shards that were billed, parts of them while a reshard ran; in on-demand mode what was
    /// held ready.
    pub capacity: f64,
    /// The open shards; those after it, while a reshard ran.
    pub target: u32,
    /// The rate that was accepted, per second.
    pub rate: Volume,
    /// The share of the load that was throttled.
    pub throttled: f64,
}

impl Minute {
    /// A minute of which so much was accepted.
    pub(super) fn new(offered: Volume, accepted: f64, capacity: f64, target: u32) -> Self {
        let load = trace::shards(offered);
        // Two parts that add up to the load may miss it by a rounding.
        let share = if load > 0.0 { (accepted / load).min(1.0) } else { 1.0 };
        let throttled = if share > 1.0 - ROUNDING { 0.0 } else { 1.0 - share };
        Self { load, accepted, capacity, target, rate: offered.times(share), throttled }
    }

    /// Whether it counts as throttled.
    pub fn is_throttled(&self) -> bool {
        self.throttled > THROTTLED_SHARE
    }
}

/// What a policy did with a history, and what came of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// The shards that it began with; none in on-demand mode.
    pub initial_shards: u32,
    /// The calls that were accepted.
    pub calls: Vec<Call>,
    /// How many were refused.
    pub rejected: u64,
    /// Minute by minute.
    pub minutes: Vec<Minute>,
    /// Shard-hours billed; none in on-demand mode.
    pub shard_hours: f64,
    /// Bytes throttled, in percent of those offered.
    pub throttled_bytes_pct: f64,
    /// Minutes with more than 0.01 % throttled.
    pub throttled_minutes: usize,
    /// What it costs, in dollars of us-east-1.
    pub cost_usd: f64,
}

impl Run {
    /// Adds the minutes up. `provisioned` says whether shards are billed.
    pub(super) fn new(trace: &Trace, minutes: Vec<Minute>, provisioned: bool) -> Self {
        let offered: f64 = trace.minutes.iter().map(|rate| rate.bytes).sum();
        let lost: f64 = trace
            .minutes
            .iter()
            .zip(&minutes)
            .map(|(rate, minute)| rate.bytes * minute.throttled)
            .sum();
        let shards = |minute: &Minute| if provisioned { minute.capacity } else { 0.0 };
        let cost = if provisioned { price::provisioned } else { price::on_demand };
        Self {
            initial_shards: 0,
            calls: Vec::new(),
            rejected: 0,
            shard_hours: minutes.iter().map(shards).sum::<f64>() / 60.0,
            throttled_bytes_pct: if offered > 0.0 { 100.0 * lost / offered } else { 0.0 },
            throttled_minutes: minutes.iter().filter(|minute| minute.is_throttled()).count(),
            cost_usd: minutes.iter().map(cost).sum(),
            minutes,
        }
    }
}

/// The stream.
struct Stream {
    open: u32,
    reshard: Option<Reshard>,
    /// The minutes of the accepted calls that still count, oldest first.
    counted: VecDeque<usize>,
    per_operation: SignedDuration,
}

impl Stream {
    /// Ends a reshard that is done at the start of a minute.
    fn advance(&mut self, minute: usize) {
        if let Some(reshard) = self.reshard
            && minute >= reshard.began + reshard.minutes
        {
            self.open = reshard.to;
            self.reshard = None;
        }
        while self.counted.front().is_some_and(|call| minute - call >= DAY_MINUTES) {
            self.counted.pop_front();
        }
    }

    /// Takes a call at the start of a minute, or refuses it.
    fn call(&mut self, minute: usize, change: &Change) -> Result<Reshard, Refused> {
        let Change { to, kind, .. } = *change;
        let (least, most) = limits::legal(self.open);
        if self.reshard.is_some() {
            return Err(Refused::InUse);
        }
        if to == self.open || to < least || to > most {
            return Err(Refused::Step);
        }
        if kind == Kind::Update {
            if self.counted.len() >= CALLS_PER_DAY as usize {
                return Err(Refused::Spent);
            }
            self.counted.push_back(minute);
        }
        let minutes = reshard_minutes(kind.operations(self.open, to), self.per_operation);
        let reshard = Reshard { from: self.open, to, began: minute, minutes };
        self.reshard = Some(reshard);
        Ok(reshard)
    }

    /// What a minute's load becomes.
    fn serve(&self, minute: usize, offered: Volume) -> Minute {
        let load = trace::shards(offered);
        let taken = |shards: u32| load.min(f64::from(shards));
        let Some(reshard) = self.reshard else {
            return Minute::new(offered, taken(self.open), f64::from(self.open), self.open);
        };
        let (from, to, p) = (reshard.from, reshard.to, reshard.progress(minute));
        let accepted = p * taken(to) + (1.0 - p) * taken(from);
        let billed = p * f64::from(to) + (1.0 - p) * f64::from(from);
        Minute::new(offered, accepted, billed, to)
    }
}

/// Runs a policy over a history.
pub fn run(trace: &Trace, policy: &mut dyn Policy, per_operation: SignedDuration) -> Run {
    let open = policy.start(starting_shards(trace));
    let mut stream = Stream { open, reshard: None, counted: VecDeque::new(), per_operation };
    let mut minutes: Vec<Minute> = Vec::with_capacity(trace.minutes.len());
    let mut calls = Vec::new();
    let mut rejected = 0;
    let mut now = trace.start;
    for (minute, offered) in trace.minutes.iter().enumerate() {
        stream.advance(minute);
        let visible = &minutes[..minutes.len().saturating_sub(VISIBLE_AFTER_MINUTES - 1)];
        let Stream { open, reshard, .. } = stream;
        let mut wish = policy.look(&Seen { minute, now, open, reshard, visible });
        while let Some(change) = wish.take() {
            match stream.call(minute, &change) {
                Ok(reshard) => {
                    let Reshard { from, minutes, .. } = reshard;
                    policy.accepted(&change, minute, minute + minutes);
                    calls.push(Call { minute, minutes, from, change });
                }
                Err(why) => {
                    rejected += 1;
                    wish = policy.refused(&change, why);
                }
            }
        }
        minutes.push(stream.serve(minute, *offered));
        now += SignedDuration::from_mins(1);
    }
    Run { initial_shards: open, calls, rejected, ..Run::new(trace, minutes, true) }
}

/// How long a reshard takes.
pub fn reshard_minutes(operations: u32, per_operation: SignedDuration) -> usize {
    let millis = per_operation.as_millis().max(0).saturating_mul(i128::from(operations));
    usize::try_from((millis + 59_999) / 60_000).unwrap_or(usize::MAX).max(1)
}

/// What a history begins with.
pub fn starting_shards(trace: &Trace) -> u32 {
    count(trace.first_hour_peak() / STARTING_USE)
}

/// The fewest shards for a load.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to what a stream can have"
)]
pub fn count(load: f64) -> u32 {
    load.ceil().clamp(1.0, f64::from(limits::MAX_SHARDS)) as u32
}

#[expect(clippy::cast_precision_loss, reason = "minutes of a history")]
pub fn as_f64(minutes: usize) -> f64 {
    minutes as f64
}

#[cfg(test)]
mod tests;
