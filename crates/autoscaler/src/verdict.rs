//! What comes of the stages: the one action that goes before the others.
//!
//! More shards go first, since they relieve everybody; then the split of a hot shard, then what is
//! needed to find one, and last fewer shards.

use jiff::Timestamp;

use crate::decision::{Action, Need, Reason, Split};
use crate::fan_out::FanOut;
use crate::hot::Memory;
use crate::observation::Observation;
use crate::policy::{HotShards, Policy};
use crate::split::SplitPlan;
use crate::spread::{self, Spread};
use crate::units::{HOURS_PER_MONTH, SHARD_HOUR_MICRO_USD, SHARD_METRICS_MICRO_USD};

/// A change of the number of shards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// UpdateShardCount to a target, and why.
    Resize(u32, Reason),
    /// All the widest shards are split, and what is still to do of it.
    Complete(SplitPlan),
}

/// What is decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The shards to have.
    pub target: u32,
    /// What is done.
    pub action: Action,
    /// Why.
    pub reason: Reason,
    /// The shards to split.
    pub splits: Vec<Split>,
    /// The complete split that they belong to.
    pub complete: Option<SplitPlan>,
    /// What should be read first.
    pub needs: Vec<Need>,
    /// What was found of single shards, in words.
    pub found: Option<String>,
}

impl Verdict {
    /// Nothing is done.
    pub const fn hold(open: u32, reason: Reason) -> Self {
        Self {
            target: open,
            action: Action::Hold,
            reason,
            splits: Vec::new(),
            complete: None,
            needs: Vec::new(),
            found: None,
        }
    }

    fn splits(open: u32, splits: Vec<Split>, reason: Reason) -> Self {
        let more = u32::try_from(splits.len()).unwrap_or(u32::MAX);
        let target = open.saturating_add(more);
        Self { target, action: Action::Split, splits, ..Self::hold(open, reason) }
    }

    /// What it costs in a month of us-east-1, in dollars; negative when it saves.
    #[expect(clippy::cast_precision_loss, reason = "shown to people, never decided on")]
    pub fn usd_per_month(&self, open: u32) -> f64 {
        let signed = |micro: u64| i64::try_from(micro).unwrap_or(0);
        let metrics = i64::from(open).saturating_mul(signed(SHARD_METRICS_MICRO_USD));
        let shards = i64::from(self.target) - i64::from(open);
        let micro = match self.action {
            Action::Watch => metrics,
            Action::Unwatch => -metrics,
            _ => shards * signed(HOURS_PER_MONTH * SHARD_HOUR_MICRO_USD),
        };
        micro as f64 / 1e6
    }

    /// What is done, in words; `None` for a hold and a resize.
    pub fn sentence(&self, open: u32) -> Option<String> {
        let usd = self.usd_per_month(open);
        match (self.action, self.complete) {
            (Action::Split, Some(plan)) => {
                let ((done, all), minutes) =
                    (plan.done(open), (plan.rest(open).as_secs() + 59) / 60);
                Some(format!(
                    "{open} to {} shards by splitting them one by one, since the 10 calls of the day \
                     are spent and demand is above what they carry: {done} of {all} splits are made, \
                     the rest takes about {minutes} minutes",
                    plan.to
                ))
            }
            (Action::Split, None) => {
                Some(format!("splits {} of {open} shards for ${usd:.2} a month", self.splits.len()))
            }
            (Action::Watch, _) => Some(format!(
                "turns on the metrics of {open} shards to find a hot one, for ${usd:.2} a month; \
                 they are turned off when nothing was found for a day"
            )),
            (Action::Unwatch, _) => Some(format!(
                "turns off the metrics of {open} shards, which had nothing to show for a day and \
                 cost ${:.2} a month",
                -usd
            )),
            (Action::Hold | Action::Resize, _) => None,
        }
    }
}

/// Chooses between what the number of shards and what single shards ask for.
pub fn compose(
    observation: &Observation,
    policy: &Policy,
    memory: &Memory,
    spread: Spread,
    change: Result<Change, Reason>,
    now: Timestamp,
) -> Verdict {
    let open = observation.description.open_shards;
    let found = spread.sentence();
    let throttling = spread.is_throttling();
    let mut verdict = match change {
        Ok(Change::Resize(target, reason)) if target > open => resize(open, target, reason),
        Ok(Change::Complete(plan)) => complete(open, plan, observation),
        _ if policy.hot_shards == HotShards::Split && !spread.splits.is_empty() => {
            match spread::room(spread.splits.clone(), observation, policy) {
                Ok(splits) => Verdict::splits(open, splits, Reason::HotShard),
                Err(reason) => Verdict::hold(open, reason),
            }
        }
        _ if policy.hot_shards == HotShards::Split && throttling && spread.is_blind => {
            Verdict { action: Action::Watch, ..Verdict::hold(open, spread.reason) }
        }
        // Fewer shards would make it worse.
        Ok(Change::Resize(..)) if throttling => Verdict::hold(open, spread.reason),
        Err(
            Reason::Enough
            | Reason::CallNotWorthIt
            | Reason::MetricsIncomplete
            | Reason::IteratorAge
            | Reason::IteratorAgeUnknown
            | Reason::RecentSplit
            | Reason::Settling,
        ) if throttling => Verdict::hold(open, spread.reason),
        Ok(Change::Resize(target, reason)) => resize(open, target, reason),
        Err(_) if policy.hot_shards == HotShards::Split && memory.is_watch_over(now) => {
            let action = Action::Unwatch;
            Verdict { action, ..Verdict::hold(open, Reason::ShardMetricsUnneeded) }
        }
        Err(reason) => Verdict::hold(open, reason),
    };
    verdict.needs = spread.needs;
    let fewer = verdict.action == Action::Resize && verdict.target < open;
    if observation.shards.fan_out == FanOut::Unasked
        && (fewer || verdict.reason == Reason::IteratorAgeUnknown)
    {
        verdict.needs.push(Need::FanOut);
    }
    verdict.found = found;
    if verdict.action == Action::Hold && verdict.splits.is_empty() {
        verdict.splits = spread.splits;
    }
    verdict
}

fn resize(open: u32, target: u32, reason: Reason) -> Verdict {
    Verdict { target, action: Action::Resize, ..Verdict::hold(open, reason) }
}

fn complete(open: u32, plan: SplitPlan, observation: &Observation) -> Verdict {
    let splits = spread::layout(observation).map(|layout| plan.next(layout)).unwrap_or_default();
    let split = Verdict::splits(open, splits, Reason::SplitFallback);
    Verdict { target: plan.to, complete: Some(plan), ..split }
}

/// The complete split that makes up for the calls that are spent.
///
/// It is begun in an emergency only, and gone on with as long as the stream is busy: until its last
/// range is split, it carries no more than before.
///
/// # Errors
/// With the reason that there is none: the calls are spent, or there is no room for it.
pub fn fallback(
    observation: &Observation,
    policy: &Policy,
    memory: &Memory,
    is_emergency: bool,
    is_busy: bool,
    now: Timestamp,
) -> Result<Change, Reason> {
    let layout = spread::layout(observation).ok_or(Reason::CallsSpent)?;
    let begun = memory.plan.filter(|plan| plan.is_open(layout, now));
    let plan = match begun {
        Some(plan) if is_busy => plan,
        _ if is_emergency => SplitPlan::new(layout, now),
        _ => return Err(Reason::CallsSpent),
    };
    plan.fits(layout.count(), policy, observation.account)?;
    Ok(Change::Complete(plan))
}
