//! The page: one file, drawn in the browser from the data inside it.

use serde_json::{Value, json};
use tidegate_local::reference::price::{self, HOURS_PER_MONTH};
use tidegate_local::reference::{Name, Run, Settings};
use tidegate_local::trace;

use super::bill::Month;
use super::outcome::{History, Outcome};

const PAGE: &str = include_str!("report.html");

/// Minutes from one point of the cumulated cost to the next.
const COST_EVERY: usize = 60;

/// The page of everything.
pub fn page(histories: &[History], settings: Settings) -> String {
    let data = json!({
        "heartbeat_minutes": settings.heartbeat_minutes,
        "per_operation_secs": settings.per_operation.as_secs_f64(),
        "reads_usd_per_month": price::reads_a_month(settings.heartbeat_minutes),
        "cost_every": COST_EVERY,
        "traces": histories.iter().map(history).collect::<Vec<_>>(),
    });
    crate::page::fill(PAGE, &data)
}

fn history(history: &History) -> Value {
    let rates = history.trace.minutes.iter();
    let month = |usd: f64| usd * HOURS_PER_MONTH / history.hours();
    json!({
        "name": history.name,
        "start_ms": history.trace.start.as_millisecond(),
        "peak": history.peak(),
        "notes": history.notes,
        "load": rates.map(|rate| scaled(trace::shards(*rate), 1_000.0)).collect::<Vec<_>>(),
        "static_peak_usd": month(history.modes.static_peak_usd),
        "on_demand_usd": month(history.modes.on_demand_usd),
        "advantage_usd": month(history.modes.advantage_usd),
        "runs": history.outcomes.iter().map(|outcome| run(history, outcome)).collect::<Vec<_>>(),
    })
}

fn run(history: &History, outcome: &Outcome) -> Value {
    let month = Month::of(history, outcome);
    json!({
        "policy": outcome.name.word(),
        "ratio": history.ratio(outcome),
        "initial_shards": outcome.initial_shards,
        "shard_hours": outcome.shard_hours,
        "throttled_bytes_pct": outcome.throttled_bytes_pct,
        "throttled_minutes": outcome.throttled_minutes,
        "rejected_calls": outcome.rejected_calls,
        "cost_usd": outcome.cost_usd,
        "month_usd": month.usd,
        "saved_static_peak_usd": month.saved_static_peak_usd,
        "saved_on_demand_usd": month.saved_on_demand_usd,
        "saved_advantage_usd": month.saved_advantage_usd,
        "plot": outcome.plot,
    })
}

/// What is plotted of a run, small: capacity where it changes, throttling where there is some, cost
/// by the hour, and the calls with their sentences.
pub fn series(run: &Run, policy: Name) -> Value {
    let cost = if policy == Name::OnDemand { price::on_demand } else { price::provisioned };
    let mut capacity: Vec<(usize, u64)> = Vec::new();
    let mut throttled: Vec<(usize, u64)> = Vec::new();
    let mut costs = vec![0.0];
    let mut paid = 0.0;
    for (at, minute) in run.minutes.iter().enumerate() {
        let held = scaled(minute.capacity, 1_000.0);
        if capacity.last().is_none_or(|(_, before)| *before != held) {
            capacity.push((at, held));
        }
        if minute.is_throttled() {
            throttled.push((at, scaled(minute.throttled, 100_000.0)));
        }
        paid += cost(minute);
        if (at + 1).is_multiple_of(COST_EVERY) || at + 1 == run.minutes.len() {
            costs.push(cents(paid));
        }
    }
    let calls = run.calls.iter().map(|call| {
        json!([
            call.minute,
            call.minutes,
            call.from,
            call.change.to,
            call.change.kind.word(),
            call.change.reason,
            call.change.message
        ])
    });
    json!({
        "capacity": capacity,
        "throttled": throttled,
        "cost": costs,
        "calls": calls.collect::<Vec<_>>(),
    })
}

fn cents(usd: f64) -> f64 {
    (usd * 100.0).round() / 100.0
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "loads and shares are not negative"
)]
fn scaled(value: f64, factor: f64) -> u64 {
    (value * factor).round() as u64
}
