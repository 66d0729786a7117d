//! The reference model: what a policy costs, and what it throttles, on a history of traffic.
//!
//! One step a minute and uniform keys: simpler than the model of the demo, so that a policy can be
//! tried on weeks of traffic within a second, and so that anybody can write the model again and
//! get the same figures from the same calls. Its rules:
//!
//! - What exceeds the open shards is throttled and lost; producers do not retry.
//! - The metrics of a minute are visible at the start of the second minute after it began.
//! - A call is legal when no reshard is under way, it at most doubles, it leaves at least half, it
//!   changes something, and fewer than ten were accepted in the 24 hours before. An illegal call is
//!   refused and counted.
//! - A reshard takes some seconds for each split and merge, rounded up to minutes, at least one.
//!   At progress p, taken at the middle of the minute, N shards on the way to M take
//!   `p · min(M, load) + (1 − p) · min(N, load)`, and `N + (M − N) · p` are billed.
//! - A history begins with 70 % used by the peak of its first hour.
//!
//! Beside Tidegate's own engine stand the autoscalers that exist, with their shipped or documented
//! settings, and two ends of the scale: a stream as large as its peak, and a schedule that knows the
//! future.

mod aws_sample;
mod clairvoyant;
mod model;
mod on_demand;
mod policy;
pub mod price;
mod scaling_utils;
mod schedule;
mod step;
mod target_tracking;
mod tidegate;

use jiff::SignedDuration;
use tidegate_autoscaler::Policy as Rules;
use tidegate_autoscaler::policy::Tuning;

pub use model::{Call, Kind, Minute, Run};
pub use policy::{Change, Policy, Refused, Seen};

use crate::trace::Trace;

/// A policy by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Name {
    /// The engine that is deployed, woken as it is deployed.
    Tidegate,
    /// Always as many shards as the busiest minute needs.
    StaticPeak,
    /// aws-samples/kinesis-auto-scaling.
    AwsSample,
    /// The same with alarms on single minutes at 80 %.
    AwsSample1min,
    /// awslabs/amazon-kinesis-scaling-utils.
    ScalingUtils,
    /// Target tracking at 70 %.
    TargetTracking,
    /// The step sample of Application Auto Scaling: one shard more or fewer.
    Step,
    /// On-demand mode, where Kinesis scales.
    OnDemand,
    /// The cheapest legal schedule without throttling, found with the future known.
    Clairvoyant,
}

impl Name {
    /// All, in the order of tables.
    pub const ALL: [Self; 9] = [
        Self::Tidegate,
        Self::StaticPeak,
        Self::AwsSample,
        Self::AwsSample1min,
        Self::ScalingUtils,
        Self::TargetTracking,
        Self::Step,
        Self::OnDemand,
        Self::Clairvoyant,
    ];

    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Tidegate => "tidegate",
            Self::StaticPeak => "static-peak",
            Self::AwsSample => "aws-sample",
            Self::AwsSample1min => "aws-sample-1min",
            Self::ScalingUtils => "scaling-utils",
            Self::TargetTracking => "target-tracking",
            Self::Step => "step",
            Self::OnDemand => "on-demand",
            Self::Clairvoyant => "clairvoyant",
        }
    }
}

/// What can be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// What one split or merge takes.
    pub per_operation: SignedDuration,
    /// Minutes from one heartbeat of Tidegate to the next.
    pub heartbeat_minutes: usize,
    /// What Tidegate weighs against what.
    pub tuning: Tuning,
    /// Whether Tidegate may split all shards, one by one, when its calls are spent, as it does where
    /// it is deployed. Off: published figures are without it.
    pub split_fallback: bool,
}

impl Default for Settings {
    /// 30 seconds: AWS's guide names 1,000 to 2,000 shards in 30,000 seconds, and older tools plan
    /// with 20 to 30 seconds. Five minutes: the heartbeat of the template.
    fn default() -> Self {
        Self {
            per_operation: SignedDuration::from_secs(30),
            heartbeat_minutes: 5,
            tuning: Tuning::default(),
            split_fallback: false,
        }
    }
}

/// Runs a policy over a history. `None` when the policy has no answer to it: only `clairvoyant`,
/// where no legal schedule avoids throttling.
pub fn simulate(name: Name, trace: &Trace, settings: Settings) -> Option<Run> {
    let run = |policy: &mut dyn Policy| model::run(trace, policy, settings.per_operation);
    let run = match name {
        Name::Tidegate => {
            let rules = Rules { tuning: settings.tuning, ..Rules::default() };
            tidegate(trace, settings, rules)
        }
        Name::StaticPeak => run(&mut schedule::Schedule::constant(peak(trace))),
        Name::AwsSample => run(&mut aws_sample::AwsSample::shipped()),
        Name::AwsSample1min => run(&mut aws_sample::AwsSample::by_the_minute()),
        Name::ScalingUtils => run(&mut scaling_utils::ScalingUtils::default()),
        Name::TargetTracking => run(&mut target_tracking::TargetTracking::default()),
        Name::Step => run(&mut step::Step::default()),
        Name::OnDemand => on_demand::run(trace),
        Name::Clairvoyant => run(&mut clairvoyant::plan(trace, settings.per_operation)?),
    };
    Some(run)
}

/// Runs the deployed engine over a history with a policy of its owner, whose tuning stands for that
/// of the settings.
pub fn tidegate(trace: &Trace, settings: Settings, rules: Rules) -> Run {
    model::run(trace, &mut tidegate::Tidegate::new(settings, rules), settings.per_operation)
}

/// The shards that the busiest minute needs.
pub fn peak(trace: &Trace) -> u32 {
    let loads = trace.minutes.iter().map(|rate| crate::trace::shards(*rate));
    model::count(loads.fold(1.0, f64::max))
}
