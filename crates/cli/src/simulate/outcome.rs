//! What a policy did to a history: the object that `--json` prints.

use serde::Serialize;
use serde_json::Value;
use tidegate_local::reference::{self, Name, Run, Settings};
use tidegate_local::trace::Trace;

use super::bill::Modes;
use super::report;
use crate::source::Named;

/// A history, and what came of it.
pub struct History {
    /// The stem of its file, or the stream.
    pub name: String,
    /// The traffic.
    pub trace: Trace,
    /// What had to be made up for.
    pub notes: Vec<String>,
    /// What it costs where Kinesis scales.
    pub modes: Modes,
    /// What each policy did, in the order of tables.
    pub outcomes: Vec<Outcome>,
}

impl History {
    /// Nothing tried yet.
    pub fn new(named: Named, settings: Settings) -> Self {
        let Named { name, trace, notes } = named;
        let modes = Modes::of(&trace, settings);
        Self { name, trace, notes, modes, outcomes: Vec::new() }
    }

    /// Takes over what a policy did. Its minutes are kept only as far as they are plotted.
    pub fn add(&mut self, policy: Name, run: Run, plotted: bool) {
        let plot = if plotted { report::series(&run, policy) } else { Value::Null };
        self.outcomes.push(Outcome::new(&self.name, policy, run, plot));
    }

    /// What a policy did.
    pub fn outcome(&self, policy: Name) -> Option<&Outcome> {
        self.outcomes.iter().find(|outcome| outcome.name == policy)
    }

    /// A policy's shard-hours against the cheapest schedule, where both are known.
    pub fn ratio(&self, outcome: &Outcome) -> Option<f64> {
        let best = self.outcome(Name::Clairvoyant)?.shard_hours;
        (outcome.name != Name::OnDemand && best > 0.0).then(|| outcome.shard_hours / best)
    }

    /// Its length.
    pub fn hours(&self) -> f64 {
        as_f64(self.trace.minutes.len()) / 60.0
    }

    /// The shards that its busiest minute needs.
    pub fn peak(&self) -> u32 {
        reference::peak(&self.trace)
    }
}

/// What a policy did to a history.
#[derive(Debug, Serialize)]
pub struct Outcome {
    trace: String,
    policy: &'static str,
    /// None in on-demand mode.
    pub initial_shards: u32,
    /// The calls that were accepted.
    pub calls: Vec<Call>,
    /// Shard-hours billed; none in on-demand mode.
    pub shard_hours: f64,
    /// Bytes throttled, in percent.
    pub throttled_bytes_pct: f64,
    /// Minutes with more than 0.01 % throttled.
    pub throttled_minutes: usize,
    /// Calls that were refused.
    pub rejected_calls: u64,
    /// What the history cost, in dollars of us-east-1.
    pub cost_usd: f64,
    /// The policy.
    #[serde(skip)]
    pub name: Name,
    /// What the page plots.
    #[serde(skip)]
    pub plot: Value,
}

/// An accepted call.
#[derive(Debug, Serialize)]
pub struct Call {
    minute: usize,
    from: u32,
    to: u32,
    kind: &'static str,
    reason: String,
}

impl Outcome {
    fn new(trace: &str, name: Name, run: Run, plot: Value) -> Self {
        let calls = run.calls.into_iter().map(|call| Call {
            minute: call.minute,
            from: call.from,
            to: call.change.to,
            kind: call.change.kind.word(),
            reason: call.change.reason,
        });
        Self {
            trace: trace.to_owned(),
            policy: name.word(),
            initial_shards: run.initial_shards,
            calls: calls.collect(),
            shard_hours: round(run.shard_hours, 6),
            throttled_bytes_pct: round(run.throttled_bytes_pct, 6),
            throttled_minutes: run.throttled_minutes,
            rejected_calls: run.rejected,
            cost_usd: round(run.cost_usd, 4),
            name,
            plot,
        }
    }
}

fn round(number: f64, digits: i32) -> f64 {
    let factor = 10_f64.powi(digits);
    (number * factor).round() / factor
}

#[expect(clippy::cast_precision_loss, reason = "minutes of a history")]
fn as_f64(number: usize) -> f64 {
    number as f64
}
