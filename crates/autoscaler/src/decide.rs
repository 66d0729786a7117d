//! The decision: nine stages in order, each a named function that returns a value and a reason.

use std::cmp::Ordering;

use jiff::Timestamp;

use crate::decision::{Action, Applied, Decision, Reason, Stage};
use crate::demand::{self, Demand};
use crate::fan_out::{FanOut, is_behind};
use crate::forecast::{self, Forecast, NEAR_BLOCKS};
use crate::history::{Calls, History};
use crate::hot::ROOM_PERCENT;
use crate::limits::{self, Cut};
use crate::observation::{Capacity, Observation, Status};
use crate::policy::{
    KNOWN_MINUTES, KNOWN_WINDOW, MissingIteratorAge, Mode, NOW_WINDOW, Policy, SETTLES_IN,
    STALE_AFTER,
};
use crate::schedule;
use crate::spread;
use crate::staircase;
use crate::units::MilliShards;
use crate::verdict::{self, Change, Verdict};

/// The stages, in order.
pub const STAGES: [&str; 9] = [
    "usable",
    "demand",
    "spread",
    "forecast",
    "recommend",
    "stabilize",
    "limit",
    "budget",
    "guard",
];

/// Decides. Never fails: every refusal is a hold with its reason, and the reasons of all stages
/// come back.
///
/// The mode does not change what is decided; it is the executor's.
#[must_use]
pub fn decide(
    observation: &Observation,
    policy: &Policy,
    history: &History,
    mode: Mode,
    now: Timestamp,
) -> Decision {
    let open = observation.description.open_shards;
    let policy = schedule::raise(policy, open, now);
    let policy = policy.as_ref();
    let mut trail = Trail::default();
    let verdict = stages(observation, policy, history, now, &mut trail)
        .unwrap_or_else(|reason| Verdict::hold(open, reason));
    Decision {
        stream: observation.stream.clone(),
        at: now,
        mode,
        open_shards: Some(open),
        target: Some(verdict.target),
        action: verdict.action,
        reason: verdict.reason,
        message: sentence(observation, policy, &verdict, &trail, history, now),
        applied: match (verdict.action, mode) {
            (Action::Hold, _) => Applied::Nothing,
            (_, Mode::Shadow) => Applied::Shadow,
            (_, Mode::Active) => Applied::Planned,
        },
        calls_left: history.calls.left(now),
        usd_per_month: verdict.usd_per_month(open),
        splits: verdict.splits,
        complete: verdict.complete,
        stages: trail.finish(),
        needs: verdict.needs,
    }
}

/// What the stages said so far.
#[derive(Default)]
struct Trail(Vec<Stage>);

impl Trail {
    fn say(&mut self, value: Option<f64>, reason: Reason) {
        let stage = STAGES.get(self.0.len()).copied().unwrap_or("apply");
        self.0.push(Stage { stage, value, reason });
    }

    /// Notes a stage that lets through or ends the decision.
    fn check(&mut self, verdict: Result<(), Reason>) -> Result<(), Reason> {
        self.say(None, verdict.err().unwrap_or(Reason::Ok));
        verdict
    }

    fn value(&self, stage: &str) -> Option<f64> {
        self.0.iter().find(|said| said.stage == stage)?.value
    }

    fn finish(mut self) -> Vec<Stage> {
        while self.0.len() < STAGES.len() {
            self.say(None, Reason::NotReached);
        }
        self.0
    }
}

/// Runs the stages; an error is the reason to hold.
fn stages(
    observation: &Observation,
    policy: &Policy,
    history: &History,
    now: Timestamp,
    trail: &mut Trail,
) -> Result<Verdict, Reason> {
    let seen = usable(observation, history, now);
    trail.check(seen.map(|_| ()))?;
    let demand = seen?;
    let said = match (demand.by_readers, demand.throttled) {
        (true, _) => Reason::ReadSide,
        (false, true) => Reason::Rejected,
        (false, false) => Reason::Accepted,
    };
    trail.say(Some(demand.now.as_shards()), said);

    let spread = spread::spread(observation, policy, history, now);
    trail.say(Some(spread.capacity.as_shards()), spread.reason);
    let carries = spread.capacity;
    let change = if spread.is_local(policy) {
        let (observation, history) = spread::without_rejections(observation, history, now);
        let demand = demand::demand(&observation.minutes, NOW_WINDOW).unwrap_or(demand);
        count(&observation, policy, &history, &demand, carries, now, trail)
    } else {
        count(observation, policy, history, &demand, carries, now, trail)
    };
    Ok(verdict::compose(observation, policy, &history.shards, spread, change, now))
}

/// The stages that decide on the number of shards; an error is the reason to leave it.
fn count(
    observation: &Observation,
    policy: &Policy,
    history: &History,
    demand: &Demand,
    carries: MilliShards,
    now: Timestamp,
    trail: &mut Trail,
) -> Result<Change, Reason> {
    let open = observation.description.open_shards;
    let forecast = forecast::forecast(observation, history, demand, &policy.tuning, now);
    let forecast = policy.floor.lift(forecast, policy.max_shards);
    trail.say(Some(forecast.peak(NEAR_BLOCKS).as_shards()), forecast.reason);

    let left = history.calls.left(now);
    let (desired, why) = recommend(open, carries, demand, &forecast, policy, left);
    trail.say(Some(f64::from(desired)), why);

    let steady = stabilize(observation, history, now);
    let (desired, held) = match steady {
        Err(reason) if desired < open => (open, reason),
        _ => (desired, Reason::Ok),
    };
    trail.say(Some(f64::from(desired)), held);

    let (target, cut) = limit(observation, desired, policy);
    trail.say(Some(f64::from(target)), cut);

    let (calls, forecast) = (&history.calls, &forecast);
    let spend = Spend { left, calls, forecast, carries, wanted: target, why };
    let (target, worth) = match (budget(observation, spend, policy), steady) {
        // The staircase may go down before a peak.
        ((target, _), Err(reason)) if target < open => (open, reason),
        (spent, _) => spent,
    };
    trail.say(Some(f64::from(left)), worth);
    let is_emergency = why == Reason::DemandAboveCapacity;
    if left == 0 && (worth == Reason::CallsSpent || is_emergency) {
        let is_busy = demand.now > carries.percent(ROOM_PERCENT);
        let memory = &history.shards;
        return verdict::fallback(observation, policy, memory, is_emergency, is_busy, now);
    }
    if target == open {
        let said = [worth, cut, held].into_iter().find(|reason| *reason != Reason::Ok);
        return Err(said.unwrap_or(why));
    }

    let verdict = guard(observation, target, policy, history, now);
    trail.check(verdict)?;
    Ok(Change::Resize(target, direction(open, target, why, forecast)))
}

/// The reason of a change: what was recommended, unless the staircase goes another way already.
fn direction(open: u32, target: u32, why: Reason, forecast: &Forecast) -> Reason {
    match why {
        Reason::PolicyBounds
        | Reason::Schedule
        | Reason::DemandAboveCapacity
        | Reason::UnevenShards => why,
        _ if target > open && forecast.reason == Reason::Schedule => Reason::Schedule,
        _ if target > open => Reason::ForecastAboveCapacity,
        _ => Reason::FewerWouldDo,
    }
}

/// Whether the stream can be judged at all.
fn usable(observation: &Observation, history: &History, now: Timestamp) -> Result<Demand, Reason> {
    match observation.description.status {
        Status::Active => {}
        Status::Updating => return Err(Reason::StreamUpdating),
        Status::Creating | Status::Deleting | Status::Unknown => {
            return Err(Reason::StreamNotActive);
        }
    }
    if observation.description.capacity == Capacity::OnDemand {
        return Err(Reason::OnDemand);
    }
    if observation.paused {
        return Err(Reason::Paused);
    }
    if history.calls.last().is_some_and(|last| last > now) {
        return Err(Reason::ClockBehindCalls);
    }
    demand::demand(&observation.minutes, NOW_WINDOW)
        .filter(|demand| now.duration_since(demand.newest) <= STALE_AFTER)
        .ok_or(Reason::MetricsMissing)
}

/// How many shards the demand and the next hour ask for, within the policy's bounds.
fn recommend(
    open: u32,
    carries: MilliShards,
    demand: &Demand,
    forecast: &Forecast,
    policy: &Policy,
    left: u32,
) -> (u32, Reason) {
    let within = |count: u32| count.clamp(policy.min_shards, policy.max_shards);
    let needed = within(forecast.peak(NEAR_BLOCKS).shards());
    if open < policy.min_shards || open > policy.max_shards {
        let why = if policy.floor.asks_for_more(open, policy) {
            Reason::Schedule
        } else {
            Reason::PolicyBounds
        };
        return (needed, why);
    }
    let emergency = u64::from(policy.tuning.emergency_percent);
    if demand.now > carries.percent(emergency) {
        // The fewer calls are left, the longer this one has to last; and at least one more, since a
        // minute at the limit hides what was above it.
        let blocks = NEAR_BLOCKS
            * match left {
                5.. => 1,
                3..=4 => 2,
                _ => 4,
            };
        let needed = forecast.peak(blocks).max(forecast.rising_to).shards();
        let needed = needed.max(open.saturating_add(1));
        return (needed, Reason::DemandAboveCapacity);
    }
    // As many shards over even ranges carry more, but a call to the same count does nothing.
    let uneven = carries < MilliShards::capacity(open);
    if uneven && forecast.peak(NEAR_BLOCKS) > carries && needed <= open {
        return (open.saturating_add(1), Reason::UnevenShards);
    }
    match needed.cmp(&open) {
        Ordering::Greater => (needed, Reason::ForecastAboveCapacity),
        Ordering::Less => (needed, Reason::FewerWouldDo),
        Ordering::Equal => (open, Reason::Enough),
    }
}

/// Takes shards away only when the last hour is known, and the last call has settled: what it made
/// is not seen yet, and the room that an emergency took is not given back at once.
fn stabilize(observation: &Observation, history: &History, now: Timestamp) -> Result<(), Reason> {
    let (_, known) = demand::peak(&observation.minutes, now - KNOWN_WINDOW, now);
    if known < KNOWN_MINUTES {
        return Err(Reason::MetricsIncomplete);
    }
    match history.calls.last() {
        Some(last) if now.duration_since(last) < SETTLES_IN => Err(Reason::Settling),
        _ => Ok(()),
    }
}

/// What policy, service and account allow, and which target near by is cheapest to reach.
fn limit(observation: &Observation, desired: u32, policy: &Policy) -> (u32, Reason) {
    let open = observation.description.open_shards;
    let (_, most) = limits::legal(open);
    let cheap = if desired > open {
        limits::cheapest(open, desired, most.min(policy.max_shards.max(desired)))
    } else {
        desired
    };
    let (target, cut) = limits::clamp(open, cheap, policy, observation.account);
    let said = match cut {
        Cut::None if target != desired => Reason::CheaperReshard,
        Cut::None => Reason::Ok,
        Cut::Policy => Reason::PolicyBounds,
        Cut::Step => Reason::StepLimit,
        Cut::Account => Reason::AccountLimit,
    };
    (target, said)
}

/// What the budget is asked for.
struct Spend<'f> {
    left: u32,
    calls: &'f Calls,
    forecast: &'f Forecast,
    carries: MilliShards,
    wanted: u32,
    why: Reason,
}

/// Whether a call is spent now, and on how large a step.
fn budget(observation: &Observation, spend: Spend<'_>, policy: &Policy) -> (u32, Reason) {
    let open = observation.description.open_shards;
    let Spend { left, calls, forecast, carries, wanted, why } = spend;
    if left == 0 {
        return (open, if wanted == open { Reason::Ok } else { Reason::CallsSpent });
    }
    let allowed = |target| limits::clamp(open, target, policy, observation.account).0;
    match why {
        Reason::PolicyBounds | Reason::Schedule => (wanted, Reason::Ok),
        Reason::UnevenShards if !is_worth_evening(carries, forecast, calls, policy) => {
            (open, Reason::CallNotWorthIt)
        }
        Reason::UnevenShards => (wanted, Reason::Ok),
        Reason::DemandAboveCapacity => {
            // With one call left the step doubles; with ten it is as small as the need.
            let larger = open.saturating_add(open.div_ceil(left));
            let target = if wanted == open || larger <= wanted {
                wanted
            } else {
                limits::cheapest(open, larger, limits::legal(open).1)
            };
            let quicker = staircase::is_long(open, target)
                .then(|| staircase::move_to_at_least(open, target, forecast, calls, policy))
                .flatten();
            let target = quicker.unwrap_or(target);
            if target == wanted {
                return (wanted, Reason::Ok);
            }
            (allowed(target), Reason::LargerStep)
        }
        _ => {
            let target = allowed(staircase::first_move(open, forecast, calls, policy));
            let waits = target == open && wanted != open;
            (target, if waits { Reason::CallNotWorthIt } else { Reason::Ok })
        }
    }
}

/// Whether an even stream that carries as much would get more shards now: that ranges are uneven
/// makes a call no cheaper.
fn is_worth_evening(
    carries: MilliShards,
    forecast: &Forecast,
    calls: &Calls,
    policy: &Policy,
) -> bool {
    let even = u32::try_from(carries.0 / 1_000).unwrap_or(limits::MAX_SHARDS).max(1);
    let policy = Policy { min_shards: policy.min_shards.min(even), ..policy.clone() };
    staircase::first_move(even, forecast, calls, &policy) > even
}

/// Fewer shards only while no consumer is behind.
fn guard(
    observation: &Observation,
    target: u32,
    policy: &Policy,
    history: &History,
    now: Timestamp,
) -> Result<(), Reason> {
    if target >= observation.description.open_shards {
        return Ok(());
    }
    if history.shards.is_settling(now) {
        return Err(Reason::RecentSplit);
    }
    let ages =
        observation.minutes.range(now - STALE_AFTER..).filter_map(|(_, m)| m.iterator_age_ms);
    let fan_out = observation.shards.fan_out;
    let behind = match fan_out {
        FanOut::Behind(age) => Some(age),
        FanOut::Unasked | FanOut::Absent | FanOut::Unknown => None,
    };
    let may_be_unknown = policy.missing_iterator_age == MissingIteratorAge::Allow;
    match ages.max().max(behind) {
        Some(age) if is_behind(age) => Err(Reason::IteratorAge),
        Some(_) if fan_out == FanOut::Unknown && !may_be_unknown => Err(Reason::IteratorAgeUnknown),
        None if !may_be_unknown => Err(Reason::IteratorAgeUnknown),
        Some(_) | None => Ok(()),
    }
}

/// The decision in one sentence, and what was found of single shards.
fn sentence(
    observation: &Observation,
    policy: &Policy,
    verdict: &Verdict,
    trail: &Trail,
    history: &History,
    now: Timestamp,
) -> String {
    let open = observation.description.open_shards;
    let said = verdict.sentence(open);
    let said = said.or_else(|| policy.floor.sentence(open, verdict));
    let said = said.unwrap_or_else(|| usual(open, verdict, trail, history, now));
    match &verdict.found {
        Some(found) => format!("{said}; {found}"),
        None => said,
    }
}

/// The sentence of a hold or a resize.
fn usual(open: u32, verdict: &Verdict, trail: &Trail, history: &History, now: Timestamp) -> String {
    let Verdict { target, reason, .. } = *verdict;
    let value = |stage| trail.value(stage).map_or_else(|| "?".to_owned(), |v| format!("{v:.1}"));
    let (demand, forecast) = (value("demand"), value("forecast"));
    let left = history.calls.left(now);
    if target != open {
        let verb = if target > open { "more" } else { "fewer" };
        return format!(
            "{open} to {target} shards: demand is {demand} shards, {forecast} are expected within \
             the hour, so {verb} are right; {left} of 10 calls were left"
        );
    }
    let why = match reason {
        Reason::StreamUpdating => "a reshard is under way".to_owned(),
        Reason::StreamNotActive => "the stream is not active".to_owned(),
        Reason::OnDemand => "the stream is in on-demand mode, where Kinesis scales".to_owned(),
        Reason::Paused => "the tag tidegate:paused is set".to_owned(),
        Reason::MetricsMissing => "no minute of the last 10 is known: missing data never argues \
                                   for a change"
            .to_owned(),
        Reason::ClockBehindCalls => {
            "the newest call lies in the future: the clock stepped back".to_owned()
        }
        Reason::CallsSpent => match history.calls.next_free(now) {
            Some(free) => format!("all 10 calls of the day are spent; the next is free at {free}"),
            None => "all 10 calls of the day are spent".to_owned(),
        },
        Reason::CallNotWorthIt => {
            format!("a change now is worth less than one of the {left} calls that are left")
        }
        Reason::IteratorAge => "fewer would do, but a consumer is behind".to_owned(),
        Reason::IteratorAgeUnknown => "fewer would do, but nobody knows whether a consumer is \
                                       behind (TIDEGATE_MISSING_ITERATOR_AGE=allow overrides)"
            .to_owned(),
        Reason::AccountLimit => format!(
            "demand is {demand} shards, but the account's shard limit leaves no room for a reshard"
        ),
        Reason::PolicyBounds => {
            format!("demand is {demand} shards; the policy's bounds allow no change")
        }
        Reason::StepLimit => format!("demand is {demand} shards; {open} is the service's limit"),
        Reason::RecentSplit => "fewer would do, and would undo ranges that were made uneven less \
                                than a day ago"
            .to_owned(),
        Reason::Settling => "fewer would do, but the last call is not 20 minutes ago".to_owned(),
        Reason::MetricsIncomplete => {
            "fewer would do, but too much of the last hour is unknown".to_owned()
        }
        _ => format!("demand is {demand} shards, {forecast} are expected within the hour"),
    };
    format!("holds at {open} shards: {why}")
}
