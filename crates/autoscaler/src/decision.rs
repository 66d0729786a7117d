//! The answer: what to do, why, and what every stage said on the way.

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use crate::policy::Mode;
use crate::split::SplitPlan;

/// Why a stage, or the decision as a whole, says what it says. The same word stands in the log, the
/// metric and the documentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// A stage before this one ended the decision.
    NotReached,
    /// Nothing speaks against it.
    Ok,

    // usable
    /// The stream could not be read: it does not exist in this account and Region.
    StreamNotFound,
    /// AWS refused to let the function look or act.
    AccessDenied,
    /// AWS could not be reached, or answered with an error of its own.
    ServiceUnavailable,
    /// AWS took the request for one too many; the next look tries again.
    ServiceThrottled,
    /// A change of the stream is under way.
    StreamUpdating,
    /// The stream is being made or deleted.
    StreamNotActive,
    /// The stream is in on-demand mode.
    OnDemand,
    /// The stream's owner paused the autoscaler (tag `tidegate:paused`).
    Paused,
    /// The alarm that woke the autoscaler is muted.
    Muted,
    /// No recent minute is known.
    MetricsMissing,
    /// The newest call is later than now: the clock stepped back.
    ClockBehindCalls,
    /// The list of calls cannot be read.
    CallsUnreadable,
    /// A tag of the stream cannot be read.
    TagUnreadable,
    /// The stream is not configured and did not opt in.
    NotOptedIn,
    /// The ledger cannot be reached: only an emergency is acted on.
    LedgerUnavailable,
    /// The ledger's entry cannot be read: only an emergency is acted on.
    LedgerUnreadable,

    // demand
    /// What was accepted is what was asked for.
    Accepted,
    /// Something was rejected: demand is rebuilt from it.
    Rejected,
    /// Consumers take more than the shards that the writers need would give them.
    ReadSide,

    // spread
    /// The ranges of the shards are not even: the widest fills first, and the stream carries less
    /// than its shards are many.
    UnevenShards,
    /// Records are rejected while the stream has room.
    HotShardSuspected,
    /// A shard is at its limit while others have room.
    HotShard,
    /// One key carries more than a split could relieve.
    HotKey,
    /// Records are rejected, and no shard is at its limit for a whole minute.
    ShortBursts,
    /// The metrics of the shards have had nothing to show for a day.
    ShardMetricsUnneeded,

    // forecast
    /// The highest minute of the last half hour.
    RecentPeak,
    /// The newest demand and its usual growth.
    UsualGrowth,
    /// Demand runs away from the hour before.
    Surge,
    /// The same time on earlier days, at today's level.
    EarlierDays,
    /// The busiest hour that is known; there is no yesterday to tell more.
    PeakOfTheDay,

    // recommend, stabilize
    /// Demand is above the shards.
    DemandAboveCapacity,
    /// The next hour is expected to be above the shards.
    ForecastAboveCapacity,
    /// A schedule asks for more shards, now or soon.
    Schedule,
    /// Fewer shards would do.
    FewerWouldDo,
    /// The shards are what is needed.
    Enough,
    /// Too much of the last hour is unknown.
    MetricsIncomplete,
    /// The last call was made a moment ago.
    Settling,

    // limit
    /// A target near by reshards more cheaply.
    CheaperReshard,
    /// The policy's minimum or maximum cut the target.
    PolicyBounds,
    /// Double or half cut the target.
    StepLimit,
    /// The account has no room for the reshard.
    AccountLimit,

    // budget
    /// The ten calls of a day are spent.
    CallsSpent,
    /// What would be saved is less than what a call is worth.
    CallNotWorthIt,
    /// The step was made larger since few calls are left.
    LargerStep,
    /// The calls are spent: the shards are split one by one instead.
    SplitFallback,

    // guard
    /// A consumer is behind.
    IteratorAge,
    /// Nobody knows whether a consumer is behind.
    IteratorAgeUnknown,
    /// Fewer shards would undo the split of a hot shard, or ranges that somebody made uneven.
    RecentSplit,

    // ledger
    /// The shard count changed without a call of ours.
    CallsOfOthers,

    // apply
    /// Another run acts on the stream at this moment.
    ActedMeanwhile,
    /// The run ends before the change could be made safely.
    OutOfTime,
    /// The stream is not as it was when the decision was made.
    ChangedMeanwhile,
    /// Kinesis refused the call because of a limit.
    ServiceLimit,
    /// Kinesis refused the call as not valid.
    ServiceRefused,
}

impl Reason {
    /// The word.
    pub fn code(self) -> String {
        serde_json::to_value(self)
            .ok()
            .and_then(|value| value.as_str().map(ToOwned::to_owned))
            .unwrap_or_default()
    }

    /// Whether an operator has something to mend.
    pub const fn is_failure(self) -> bool {
        matches!(
            self,
            Self::StreamNotFound
                | Self::AccessDenied
                | Self::ServiceUnavailable
                | Self::CallsUnreadable
                | Self::TagUnreadable
                | Self::LedgerUnavailable
                | Self::LedgerUnreadable
                | Self::ServiceRefused
        )
    }
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Nothing.
    Hold,
    /// UpdateShardCount.
    Resize,
    /// SplitShard, one shard after the other.
    Split,
    /// EnableEnhancedMonitoring: the metrics of single shards, which are paid.
    Watch,
    /// DisableEnhancedMonitoring, for what was turned on by [`Action::Watch`].
    Unwatch,
}

/// What a split rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// A sample of the keys: the point divides their load.
    Sample,
    /// Nothing was sampled: the middle of the range.
    Midpoint,
    /// A complete split, which halves the widest ranges.
    Complete,
}

/// One SplitShard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Split {
    /// The shard.
    pub shard: String,
    /// The first hashed key of its upper half (`NewStartingHashKey`).
    #[serde(serialize_with = "decimal")]
    pub at: u128,
    /// What it rests on.
    pub by: Basis,
}

/// As Kinesis writes hashed keys: most readers of JSON have no number for them.
fn decimal<S: Serializer>(hash: &u128, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(hash)
}

/// What a decision would be surer with. Each is expensive, so it is read where it can change the
/// answer, and then the decision is made again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Need {
    /// The metrics of the open shards.
    ShardMetrics,
    /// Records that a shard took lately.
    Sample {
        /// The shard.
        shard: String,
    },
    /// How far the consumers with enhanced fan-out are behind.
    FanOut,
}

/// What became of the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Applied {
    /// There was nothing to do.
    Nothing,
    /// It would have been done; the mode is shadow.
    Shadow,
    /// The plan is ready, and not yet carried out.
    Planned,
    /// Kinesis accepted the call.
    Done,
    /// It was refused, or the stream had changed; the reason says which.
    Refused,
}

/// What one stage said.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Stage {
    /// Its name.
    pub stage: &'static str,
    /// Its value, in shards or calls; `None` where it only lets through or holds.
    pub value: Option<f64>,
    /// Why.
    pub reason: Reason,
}

/// The one call that carries out a decision; it leaves its executor no choices.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// The stream's name.
    pub stream: String,
    /// The shards it must have when the call is made; otherwise the plan is void.
    pub from: u32,
    /// The shards to ask for.
    pub to: u32,
}

/// One decision, complete: the object that the function answers and logs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Decision {
    /// The stream's name.
    pub stream: String,
    /// When it was made.
    pub at: Timestamp,
    /// Whether anything may be changed.
    pub mode: Mode,
    /// The shards that were open; `None` when the stream could not be read.
    pub open_shards: Option<u32>,
    /// The shards that it should have.
    pub target: Option<u32>,
    /// What is done.
    pub action: Action,
    /// Why, in one word.
    pub reason: Reason,
    /// Why, in a sentence.
    pub message: String,
    /// What became of it.
    pub applied: Applied,
    /// UpdateShardCount calls left in this rolling day, before this decision.
    pub calls_left: u32,
    /// What the change costs (or saves, when negative) in a month of us-east-1's shard-hours, in
    /// dollars.
    pub usd_per_month: f64,
    /// The shards to split and where, in order; also those that would be, where splitting them is
    /// not allowed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub splits: Vec<Split>,
    /// The complete split that the splits belong to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub complete: Option<SplitPlan>,
    /// What each stage said, in order.
    pub stages: Vec<Stage>,
    /// What should be read before this stands.
    #[serde(skip)]
    pub needs: Vec<Need>,
}

impl Decision {
    /// What a stage said.
    pub fn stage(&self, name: &str) -> Option<&Stage> {
        self.stages.iter().find(|said| said.stage == name)
    }

    /// Whether records are rejected while the stream has room.
    pub fn is_suspected(&self) -> bool {
        self.stage("spread").is_some_and(|said| {
            matches!(
                said.reason,
                Reason::HotShardSuspected | Reason::HotShard | Reason::HotKey | Reason::ShortBursts
            )
        })
    }

    /// The plan of a decision to resize.
    pub fn plan(&self) -> Option<Plan> {
        match (self.action, self.open_shards, self.target) {
            (Action::Resize, Some(from), Some(to)) => {
                Some(Plan { stream: self.stream.clone(), from, to })
            }
            _ => None,
        }
    }

    /// Turns a decision to change something into a hold, since its plan could not be carried out.
    pub fn refuse(&mut self, reason: Reason, message: String) {
        self.action = Action::Hold;
        self.reason = reason;
        self.message = message;
        self.applied = Applied::Refused;
        self.target = self.open_shards;
        self.usd_per_month = 0.0;
        self.splits.clear();
        self.complete = None;
        self.stages.push(Stage { stage: "apply", value: None, reason });
    }
}
