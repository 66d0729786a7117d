//! Decides how many shards a Kinesis stream should have, and why.
//!
//! [`decide`](decide::decide) is one pure function of an observation, a policy, a history and the
//! time. [`run`](run::run) is the sequence around it (observe, decide, plan, apply) over a few
//! operations, the [`port`], which `tidegate-aws` implements on the AWS SDK and `tidegate-local` on
//! the embedded model.
//!
//! An event only says "look at this stream now" ([`event`]): whatever woke the autoscaler, it reads
//! the metrics itself, so duplicate, late and reordered alarms are harmless.

pub mod alarms;
pub mod apply;
pub mod apply_splits;
pub mod closer;
pub mod decide;
pub mod decision;
pub mod demand;
pub mod event;
pub mod fan_out;
pub mod fleet;
pub mod forecast;
pub mod history;
pub mod hot;
pub mod ledger;
pub mod limits;
pub mod look;
pub mod notice;
pub mod observation;
pub mod policy;
pub mod port;
pub mod run;
pub mod schedule;
pub mod shards;
pub mod split;
pub mod spread;
pub mod staircase;
pub mod tags;
pub mod tuning;
pub mod units;
pub mod verdict;

pub use decide::decide;
pub use decision::{Action, Applied, Decision, Plan, Reason};
pub use history::History;
pub use observation::Observation;
pub use policy::{Mode, Policy};
