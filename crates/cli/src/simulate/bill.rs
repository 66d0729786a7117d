//! What a history costs in a month, by mode.

use tidegate_local::reference::price::{self, HOURS_PER_MONTH};
use tidegate_local::reference::{Name, Settings, simulate};
use tidegate_local::trace::Trace;

use super::outcome::{History, Outcome};

/// What a history costs where Kinesis scales, in dollars.
#[derive(Debug, Clone, Copy, Default)]
pub struct Modes {
    /// On-demand Standard.
    pub on_demand_usd: f64,
    /// On-demand Advantage.
    pub advantage_usd: f64,
    /// Always as many shards as the busiest minute needs.
    pub static_peak_usd: f64,
}

impl Modes {
    /// From the traffic.
    pub fn of(trace: &Trace, settings: Settings) -> Self {
        let run = |name| simulate(name, trace, settings);
        let static_peak = run(Name::StaticPeak).map_or(0.0, |run| run.cost_usd);
        let Some(on_demand) = run(Name::OnDemand) else { return Self::default() };
        Self {
            on_demand_usd: on_demand.cost_usd,
            advantage_usd: price::advantage(&on_demand.minutes),
            static_peak_usd: static_peak,
        }
    }
}

/// A policy's bill for a month, and what it saves.
#[derive(Debug, Clone, Copy)]
pub struct Month {
    /// The bill.
    pub usd: f64,
    /// Less than a stream as large as its peak costs.
    pub saved_static_peak_usd: f64,
    /// Less than on-demand mode.
    pub saved_on_demand_usd: f64,
    /// Less than On-demand Advantage.
    pub saved_advantage_usd: f64,
}

impl Month {
    /// Of what a policy did to a history.
    pub fn of(history: &History, outcome: &Outcome) -> Self {
        let month = |usd: f64| usd * HOURS_PER_MONTH / history.hours();
        let saved = |usd: f64| month(usd - outcome.cost_usd);
        let Modes { on_demand_usd, advantage_usd, static_peak_usd } = history.modes;
        Self {
            usd: month(outcome.cost_usd),
            saved_static_peak_usd: saved(static_peak_usd),
            saved_on_demand_usd: saved(on_demand_usd),
            saved_advantage_usd: saved(advantage_usd),
        }
    }
}
