//! What the demo says at its end, for people and for programs.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use serde::Serialize;
use tidegate_autoscaler::units::SHARD_HOUR_MICRO_USD;
use tidegate_local::trace::{self, Trace};

use super::accounts::Check;
use super::world::Measured;

/// Price of a million PUT payload units of 25 KB in us-east-1, in dollars ("Amazon Kinesis Data
/// Streams pricing", 2026-11).
const PUT_UNITS_USD_PER_MILLION: f64 = 0.014;

/// The size of a PUT payload unit in bytes.
const PUT_UNIT_BYTES: f64 = 25_600.0;

/// What the run was made from.
#[derive(Debug, Serialize)]
pub struct Source {
    trace: String,
    logs: String,
    seed: u64,
}

impl Source {
    /// Files by their names, not by their places: the same run has the same summary anywhere.
    pub fn new(trace: Option<&Path>, logs: Option<&Path>, seed: u64) -> Self {
        let name = |path: Option<&Path>| {
            let name = path.and_then(Path::file_name);
            name.map_or_else(|| "generated".to_owned(), |name| name.to_string_lossy().into_owned())
        };
        Self { trace: name(trace), logs: name(logs), seed }
    }
}

/// The summary, as `summary.json` holds it.
#[derive(Debug, Serialize)]
pub struct Summary {
    /// What the run was made from.
    pub source: Source,
    /// Minutes of virtual time.
    pub minutes: u64,
    /// Of how many records one was carried; the counts of records below are of those.
    pub sampling_one_in: u64,
    /// How to read that.
    pub sampling: String,
    /// Records that producers offered.
    pub records_offered: u64,
    /// Records that the stream accepted.
    pub records_accepted: u64,
    /// Records that it throttled.
    pub records_throttled: u64,
    /// What became of the accepted ones in the consumer.
    pub consumer: ConsumerCounts,
    /// What became of them in the transform.
    pub transform: TransformCounts,
    /// The shards.
    pub shards: Shards,
    /// UpdateShardCount calls.
    pub calls: Calls,
    /// Shard-hours and PUT payload units, in dollars of us-east-1, for the whole volume.
    pub cost_usd: f64,
    /// Its parts, and what a stream that is always as large as its peak would cost.
    pub cost: Cost,
    /// The share of the whole volume's bytes that was throttled, in percent.
    pub throttled_bytes_pct: f64,
    /// Minutes with more than 0.01 % throttled.
    pub throttled_minutes: u64,
    /// Decisions that the autoscaler made.
    pub decisions: u64,
    /// Alarms that woke it; the heartbeat did the rest.
    pub alarms: u64,
    /// Every sum that was checked.
    pub checks: Vec<Check>,
}

/// The consumer's records.
#[derive(Debug, Serialize)]
pub struct ConsumerCounts {
    delivered: u64,
    skipped: u64,
    quarantined: u64,
    /// Records that the consumer asked for again; beside the sum.
    retried: u64,
    pending: u64,
    quarantined_by_reason: BTreeMap<String, u64>,
    delivered_by_status: BTreeMap<String, u64>,
    invocations: u64,
}

/// The transform's records.
#[derive(Debug, Serialize)]
pub struct TransformCounts {
    handed: u64,
    ok: u64,
    dropped: u64,
    processing_failed: u64,
    reasons: serde_json::Value,
    invocations: u64,
    objects: u64,
    largest_response_bytes: u64,
}

/// The shards over time.
#[derive(Debug, Serialize)]
pub struct Shards {
    initial: u32,
    min: u32,
    max: u32,
    r#final: u32,
    shard_hours: f64,
}

/// The calls.
#[derive(Debug, Serialize)]
pub struct Calls {
    made: u64,
    rejected: u64,
}

/// The bill.
#[derive(Debug, Serialize)]
pub struct Cost {
    shard_hours_usd: f64,
    put_units_usd: f64,
    static_peak_shards: u32,
    static_peak_usd: f64,
}

impl Summary {
    /// From what was measured.
    pub fn new(
        source: Source,
        trace: &Trace,
        one_in: u64,
        measured: &Measured,
        checks: Vec<Check>,
    ) -> Self {
        let cost = cost(trace, measured);
        let offered = measured.offered.bytes;
        let throttled = if offered > 0.0 { 1.0 - measured.accepted.bytes / offered } else { 0.0 };
        let throttled_minutes =
            measured.minutes.iter().filter(|minute| minute.throttled > 1e-4).count() as u64;
        Self {
            source,
            minutes: measured.minutes.len() as u64,
            sampling_one_in: one_in,
            sampling: explain(one_in),
            records_offered: measured.records_offered,
            records_accepted: measured.records_accepted,
            records_throttled: measured.records_throttled,
            consumer: consumer(measured),
            transform: transform(measured),
            shards: shards(measured),
            calls: Calls { made: measured.calls.0, rejected: measured.calls.1 },
            cost_usd: round(cost.shard_hours_usd + cost.put_units_usd, 2),
            cost,
            throttled_bytes_pct: round(throttled * 100.0, 4),
            throttled_minutes,
            decisions: measured.decisions,
            alarms: measured.alarms,
            checks,
        }
    }

    /// The summary as a table.
    pub fn table(&self, out: &Path) -> String {
        let Self { consumer, transform, shards, calls, cost, .. } = self;
        let mut text = String::new();
        let days = as_f64(self.minutes) / 1_440.0;
        let mut row = |name: &str, value: String| {
            let _ = writeln!(text, "{name:<12} {value}");
        };
        row(
            "traffic",
            format!("{} ({days:.1} days), logs {}", self.source.trace, self.source.logs),
        );
        row("sampling", self.sampling.clone());
        row(
            "records",
            format!(
                "{} offered = {} accepted + {} throttled",
                self.records_offered, self.records_accepted, self.records_throttled
            ),
        );
        row(
            "consumer",
            format!(
                "{} delivered + {} skipped + {} quarantined + {} pending; {} retried",
                consumer.delivered,
                consumer.skipped,
                consumer.quarantined,
                consumer.pending,
                consumer.retried
            ),
        );
        row(
            "transform",
            format!(
                "{} handed = {} Ok + {} Dropped + {} ProcessingFailed; {} objects",
                transform.handed,
                transform.ok,
                transform.dropped,
                transform.processing_failed,
                transform.objects
            ),
        );
        row(
            "shards",
            format!(
                "{} at the start, {} to {}, {} at the end; {:.0} shard-hours",
                shards.initial, shards.min, shards.max, shards.r#final, shards.shard_hours
            ),
        );
        row(
            "autoscaler",
            format!(
                "{} decisions, {} alarms, {} calls made, {} rejected",
                self.decisions, self.alarms, calls.made, calls.rejected
            ),
        );
        row(
            "throttled",
            format!(
                "{:.3} % of the bytes, in {} minutes",
                self.throttled_bytes_pct, self.throttled_minutes
            ),
        );
        row(
            "cost",
            format!(
                "${:.2} (shard-hours ${:.2}, PUT units ${:.2}); always at the peak of {} shards: ${:.2}",
                self.cost_usd,
                cost.shard_hours_usd,
                cost.put_units_usd,
                cost.static_peak_shards,
                cost.static_peak_usd
            ),
        );
        let held = self.checks.iter().filter(|check| check.holds).count();
        row("checked", format!("{held} of {} sums add up", self.checks.len()));
        let _ = write!(text, "\nlook at {}", out.join("report.html").display());
        text
    }
}

fn explain(one_in: u64) -> String {
    match one_in {
        1 => "every record is carried".to_owned(),
        n => format!(
            "one record in {n} is carried through the functions and counted below; shards, \
             throttling, metrics and cost are those of the whole volume"
        ),
    }
}

fn consumer(measured: &Measured) -> ConsumerCounts {
    let by_status = measured.by_status.iter();
    ConsumerCounts {
        delivered: measured.consumer.delivered,
        skipped: measured.consumer.skipped,
        quarantined: measured.consumer.quarantined,
        retried: measured.retried,
        pending: measured.pending,
        quarantined_by_reason: measured.poison.clone(),
        delivered_by_status: by_status.map(|(class, n)| (class.to_string(), *n)).collect(),
        invocations: measured.mapping.invocations,
    }
}

fn transform(measured: &Measured) -> TransformCounts {
    let delivery = &measured.delivery;
    TransformCounts {
        handed: delivery.handed,
        ok: delivery.ok,
        dropped: delivery.dropped,
        processing_failed: delivery.failed,
        reasons: serde_json::to_value(&measured.transform.reasons).unwrap_or_default(),
        invocations: delivery.invocations,
        objects: delivery.objects,
        largest_response_bytes: delivery.largest_response as u64,
    }
}

fn shards(measured: &Measured) -> Shards {
    let counts = || measured.minutes.iter().map(|minute| minute.shards);
    Shards {
        initial: counts().next().unwrap_or(0),
        min: counts().min().unwrap_or(0),
        max: counts().max().unwrap_or(0),
        r#final: counts().next_back().unwrap_or(0),
        shard_hours: round(measured.shard_hours, 2),
    }
}

fn cost(trace: &Trace, measured: &Measured) -> Cost {
    let peak = trace.minutes.iter().map(|rate| trace::shards(*rate)).fold(1.0, f64::max).ceil();
    let hours = as_f64(measured.minutes.len() as u64) / 60.0;
    let shard_hour = as_f64(SHARD_HOUR_MICRO_USD) / 1e6;
    let accepted = measured.accepted;
    let mean = if accepted.records > 0.0 { accepted.bytes / accepted.records } else { 0.0 };
    let units = accepted.records * (mean / PUT_UNIT_BYTES).ceil().max(1.0);
    let put_units = units / 1e6 * PUT_UNITS_USD_PER_MILLION;
    Cost {
        shard_hours_usd: round(measured.shard_hours * shard_hour, 2),
        put_units_usd: round(put_units, 2),
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "rounded up")]
        static_peak_shards: peak as u32,
        static_peak_usd: round(peak * hours * shard_hour + put_units, 2),
    }
}

#[expect(clippy::cast_precision_loss, reason = "shown to people")]
fn as_f64(number: u64) -> f64 {
    number as f64
}

fn round(number: f64, digits: i32) -> f64 {
    let factor = 10_f64.powi(digits);
    (number * factor).round() / factor
}
