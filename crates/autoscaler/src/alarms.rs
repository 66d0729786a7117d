//! The alarms of a stream that opted in: which there should be, and what brings those that are
//! there to it.
//!
//! Three a stream, named `PREFIX-STREAM-high`, `-low` and `-throttled`. The first two divide by the
//! number of shards, which stands in their expression as a literal, so they are patched when the
//! number changes. Nothing else of an alarm is ever written again: threshold, periods, description
//! and actions are its owner's from the moment it exists.
//!
//! An alarm acts on a transition and on nothing else ("Alarm actions", CloudWatch User Guide,
//! 2026-11), so one that stays in ALARM is set to OK from time to time: it goes back by itself, and
//! fires again.

mod maintain;

use std::future::Future;

use jiff::{SignedDuration, Timestamp};

pub use self::maintain::{Upkeep, maintain, stand};

use crate::port::ServiceError;

/// The operations on alarms.
pub trait AlarmService: Sync {
    /// DescribeAlarms: every metric alarm whose name begins with the prefix, all pages.
    fn alarms(
        &self,
        prefix: &str,
    ) -> impl Future<Output = Result<Vec<AlarmSeen>, ServiceError>> + Send;

    /// Carries one change out: PutMetricAlarm, or SetAlarmState.
    ///
    /// PutMetricAlarm overwrites the whole definition, so a patch reads the alarm once more and puts
    /// back all that it finds, with the new expression in the place of the old one.
    fn change(&self, change: &AlarmChange)
    -> impl Future<Output = Result<(), ServiceError>> + Send;
}

/// The state of an alarm, in CloudWatch's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlarmState {
    /// Not breaching.
    Ok,
    /// Breaching.
    Alarm,
    /// Not enough points to tell.
    InsufficientData,
}

/// An alarm as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlarmSeen {
    /// Its name.
    pub name: String,
    /// Its state.
    pub state: AlarmState,
    /// Since when (StateUpdatedTimestamp); `None` when that is not known.
    pub state_since: Option<Timestamp>,
    /// The expression of the metric query that it watches; `None` for a single metric.
    pub expression: Option<String>,
    /// What it calls, for all three states together.
    pub actions: Vec<String>,
}

/// One change that brings an alarm to what it should be. Making it twice does no harm.
#[derive(Debug, Clone, PartialEq)]
pub enum AlarmChange {
    /// PutMetricAlarm of an alarm that does not exist.
    Create(AlarmSpec),
    /// PutMetricAlarm of all that the alarm has, with another expression.
    Patch {
        /// The alarm's name.
        name: String,
        /// The expression it gets.
        expression: String,
    },
    /// SetAlarmState to OK, so that the alarm fires again.
    Rearm {
        /// The alarm's name.
        name: String,
    },
}

/// Which of a stream's alarms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlarmKind {
    /// Little is left of the open shards.
    High,
    /// Half of the open shards would do.
    Low,
    /// Records were rejected.
    Throttled,
}

/// A new alarm. Missing points are not breaching in any of them: missing data argues for nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct AlarmSpec {
    /// Its name.
    pub name: String,
    /// The stream that it watches.
    pub stream: String,
    /// Which of the three.
    pub kind: AlarmKind,
    /// For people.
    pub description: String,
    /// The metric-math expression over [`AlarmKind::metrics`]; `None` watches the only one.
    pub expression: Option<String>,
    /// What it calls in ALARM.
    pub actions: Vec<String>,
}

impl AlarmKind {
    /// All three.
    pub const ALL: [Self; 3] = [Self::High, Self::Low, Self::Throttled];

    /// The end of its name.
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Low => "low",
            Self::Throttled => "throttled",
        }
    }

    /// The metrics of `AWS/Kinesis` that it watches, by the ids they have in the expression; each
    /// the Sum of the dimension StreamName alone.
    pub const fn metrics(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::High | Self::Low => &[("bytes", "IncomingBytes"), ("records", "IncomingRecords")],
            Self::Throttled => &[("throttled", "WriteProvisionedThroughputExceeded")],
        }
    }

    /// The length of a period, in seconds.
    pub const fn period_secs(self) -> u32 {
        match self {
            Self::High | Self::Throttled => 60,
            Self::Low => 300,
        }
    }

    /// How many periods are looked at, all of which must breach. A period below an hour times this
    /// is at most a day (API reference of PutMetricAlarm, 2026-11).
    pub const fn periods(self) -> u32 {
        match self {
            Self::High | Self::Throttled => 1,
            // An hour: nobody hurries to have fewer shards.
            Self::Low => 12,
        }
    }

    /// The threshold. Half as many shards as at the low one are still below the high one.
    pub const fn threshold(self) -> f64 {
        match self {
            Self::High => 0.8,
            Self::Low => 0.4,
            Self::Throttled => 0.0,
        }
    }

    /// Whether it breaches below its threshold, and not above.
    pub const fn breaches_below(self) -> bool {
        matches!(self, Self::Low)
    }
}

/// How long an alarm stands in ALARM before it is re-armed. It may return within seconds, and wakes
/// the function then: this is what keeps the two from going round without a pause.
pub const REARM_AFTER: SignedDuration = SignedDuration::from_mins(2);

/// Changes of alarms that one run makes. PutMetricAlarm and SetAlarmState take three requests a
/// second each, of which the latter cannot be raised ("Amazon CloudWatch endpoints and quotas",
/// 2026-11), so these take twenty seconds at most.
pub const CHANGES_PER_RUN: usize = 60;

/// How alarms are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlarmSettings {
    /// What their names begin with.
    pub prefix: String,
    /// What a new alarm calls, at most five ARNs.
    pub actions: Vec<String>,
}

/// A stream that was just looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stand {
    /// Its name.
    pub stream: String,
    /// The shards that are open.
    pub shards: u32,
    /// Whether another look within minutes could say something else. At the policy's maximum or
    /// without a call left it cannot, and the heartbeat is enough.
    pub haste: bool,
}

/// What a stream's alarms need.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AlarmPlan {
    /// The changes, in order.
    pub changes: Vec<AlarmChange>,
    /// Alarms of our names that watch an expression of their owner's; they are left alone.
    pub own: Vec<String>,
}

/// What brings a stream's alarms to what they should be. Planning again on what comes of it gives
/// nothing.
#[must_use]
pub fn plan(
    stand: &Stand,
    seen: &[AlarmSeen],
    settings: &AlarmSettings,
    now: Timestamp,
) -> AlarmPlan {
    let mut plan = AlarmPlan::default();
    for kind in AlarmKind::ALL {
        let name = name(&settings.prefix, &stand.stream, kind);
        let Some(alarm) = seen.iter().find(|alarm| alarm.name == name) else {
            // Of one shard there is nothing that a low alarm could lead to.
            if kind != AlarmKind::Low || stand.shards > 1 {
                plan.changes.push(AlarmChange::Create(spec(kind, name, stand, settings)));
            }
            continue;
        };
        match fit(kind, alarm.expression.as_deref(), stand.shards) {
            Fit::Own => plan.own.push(name),
            Fit::Drifted(expression) => {
                plan.changes.push(AlarmChange::Patch { name: name.clone(), expression });
                // PutMetricAlarm keeps the state, so that a breach of the new expression would be no
                // transition.
                if alarm.state == AlarmState::Alarm {
                    plan.changes.push(AlarmChange::Rearm { name });
                }
            }
            Fit::Right if asleep(kind, alarm, stand, settings, now) => {
                plan.changes.push(AlarmChange::Rearm { name });
            }
            Fit::Right => {}
        }
    }
    plan
}

/// The changes of one run, and how many are left for the next: first what is wrong, then what is
/// missing, then what is asleep. Since the first two kinds come to an end, each has its turn.
#[must_use]
pub fn bounded(plans: Vec<AlarmPlan>, budget: usize) -> (Vec<AlarmChange>, usize) {
    let mut changes: Vec<_> = plans.into_iter().flat_map(|plan| plan.changes).collect();
    let patched: Vec<String> = changes.iter().filter_map(AlarmChange::patches).collect();
    changes.sort_by_key(|change| match change {
        AlarmChange::Patch { .. } => 0,
        AlarmChange::Rearm { name } if patched.contains(name) => 0,
        AlarmChange::Create(_) => 1,
        AlarmChange::Rearm { .. } => 2,
    });
    let left = changes.len().saturating_sub(budget);
    changes.truncate(budget);
    (changes, left)
}

impl AlarmChange {
    /// The name of the alarm.
    pub fn name(&self) -> &str {
        match self {
            Self::Create(spec) => &spec.name,
            Self::Patch { name, .. } | Self::Rearm { name } => name,
        }
    }

    fn patches(&self) -> Option<String> {
        matches!(self, Self::Patch { .. }).then(|| self.name().to_owned())
    }
}

/// The name of one of a stream's alarms. What stands between prefix and suffix is the stream's
/// name, so no two streams share one.
pub fn name(prefix: &str, stream: &str, kind: AlarmKind) -> String {
    format!("{prefix}-{stream}-{}", kind.suffix())
}

/// The share of the open shards in use. PERIOD keeps it right when somebody changes the period of
/// the metrics.
pub fn expression(shards: u32) -> String {
    format!("{SHARES} / {shards}")
}

/// The larger share of bytes and records, of one shard: 1 MiB and 1,000 records a second.
const SHARES: &str = "MAX([bytes/PERIOD(bytes)/1048576, records/PERIOD(records)/1000])";

/// How an alarm's expression fits the shards.
enum Fit {
    /// It says what it should.
    Right,
    /// It is of our form, with another number.
    Drifted(String),
    /// It is somebody's own.
    Own,
}

fn fit(kind: AlarmKind, seen: Option<&str>, shards: u32) -> Fit {
    if kind == AlarmKind::Throttled {
        return if seen.is_none() { Fit::Right } else { Fit::Own };
    }
    let dense = |text: &str| text.split_whitespace().collect::<String>();
    let seen = dense(seen.unwrap_or_default());
    let divisor = seen.strip_prefix(&dense(SHARES)).and_then(|rest| rest.strip_prefix('/'));
    match divisor {
        Some(divisor) if divisor == shards.to_string() => Fit::Right,
        Some(divisor) if divisor.parse::<f64>().is_ok() => Fit::Drifted(expression(shards)),
        _ => Fit::Own,
    }
}

/// Whether an alarm stands in ALARM and would not fire again by itself.
///
/// Not the low one, since nobody hurries to have fewer shards; and none that calls somebody else
/// too, who would be called again.
fn asleep(
    kind: AlarmKind,
    alarm: &AlarmSeen,
    stand: &Stand,
    settings: &AlarmSettings,
    now: Timestamp,
) -> bool {
    kind != AlarmKind::Low
        && stand.haste
        && alarm.state == AlarmState::Alarm
        && alarm.actions.iter().all(|action| settings.actions.contains(action))
        && alarm.state_since.is_some_and(|since| now.duration_since(since) >= REARM_AFTER)
}

fn spec(kind: AlarmKind, name: String, stand: &Stand, settings: &AlarmSettings) -> AlarmSpec {
    let stream = &stand.stream;
    let description = match kind {
        AlarmKind::High => format!("Wakes Tidegate: {stream} takes more than 80 % of its capacity"),
        AlarmKind::Low => format!("Wakes Tidegate: half of the shards of {stream} would do"),
        AlarmKind::Throttled => format!("Wakes Tidegate: {stream} refused records"),
    };
    AlarmSpec {
        name,
        stream: stream.clone(),
        kind,
        description,
        expression: (kind != AlarmKind::Throttled).then(|| expression(stand.shards)),
        actions: settings.actions.clone(),
    }
}

#[cfg(test)]
mod tests;
