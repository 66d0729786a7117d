//! The report: one self-contained page, drawn in the browser from the data inside it.

use serde_json::json;
use tidegate_local::trace::Trace;

use super::summary::Summary;
use super::world::{Measured, Minute};

const PAGE: &str = include_str!("report.html");

/// The page of a run.
pub fn page(summary: &Summary, trace: &Trace, measured: &Measured) -> String {
    let minutes = &measured.minutes;
    let column = |value: fn(&Minute) -> u64| -> Vec<u64> { minutes.iter().map(value).collect() };
    let data = json!({
        "start_ms": trace.start.as_millisecond(),
        "summary": summary,
        "changes": measured.changes,
        "minutes": {
            "load": column(|minute| scaled(minute.load, 1_000.0)),
            "shards": column(|minute| u64::from(minute.shards)),
            "throttled": column(|minute| scaled(minute.throttled, 100_000.0)),
            "delivered": column(|minute| minute.outcomes.delivered),
            "skipped": column(|minute| minute.outcomes.skipped),
            "quarantined": column(|minute| minute.outcomes.quarantined),
            "ok": column(|minute| minute.outcomes.ok),
            "dropped": column(|minute| minute.outcomes.dropped),
            "failed": column(|minute| minute.outcomes.failed),
        },
    });
    crate::page::fill(PAGE, &data)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "loads and shares are small and not negative"
)]
fn scaled(value: f64, factor: f64) -> u64 {
    (value * factor).round() as u64
}
