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

use std::future::Future;

use jiff::Timestamp;

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
