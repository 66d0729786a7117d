//! What each part costs in a month, at three sizes: `docs/src/operating/cost.md` has the table, and a
//! test holds it against this.
//!
//! The stream's bill is the simulator's; the others follow from it by the prices and the assumptions
//! below, each with its source. Prices are of us-east-1, 2026-11, free tiers left out.

use std::f64::consts::TAU;
use std::fmt::Write as _;

use jiff::Timestamp;
use tidegate_local::fluid::Volume;
use tidegate_local::reference::price::{self, HOURS_PER_MONTH};
use tidegate_local::reference::{self, Name, Run, Settings};
use tidegate_local::trace::Trace;

/// A thousand requests of PUT (Amazon S3 pricing).
const PUT_USD: f64 = 0.005 / 1e3;
/// A GB and month (the same page).
const STORED_GB_USD: f64 = 0.023;
/// A request of Lambda (AWS Lambda pricing).
const INVOCATION_USD: f64 = 0.20 / 1e6;
/// A GB-second on x86-64 (the same page).
const GB_SECOND_USD: f64 = 0.000_016_666_7;
/// A custom metric and month (Amazon CloudWatch pricing), and a metric that an alarm watches.
const METRIC_USD: f64 = 0.30;
const ALARM_METRIC_USD: f64 = 0.10;
/// A GB of log lines (the same page).
const LOG_GB_USD: f64 = 0.50;
/// A write unit of 1 KB and a read unit of 4 KB, on demand (Amazon DynamoDB pricing).
const WRITE_UNIT_USD: f64 = 0.625 / 1e6;
const READ_UNIT_USD: f64 = 0.125 / 1e6;
/// A GB into Firehose from a stream, each record rounded up to 5 KB (Amazon Data Firehose pricing).
const FIREHOSE_GB_USD: f64 = 0.029;
const FIREHOSE_UNIT: f64 = 5.0 * 1_024.0;

/// A record, in bytes.
const RECORD: f64 = 1_024.0;
const GB: f64 = 1_073_741_824.0;
const DAYS: usize = 14;

/// What the busiest minute takes in MiB a second; the quietest takes a fifth of it.
const PEAKS: [f64; 3] = [0.5, 5.0, 50.0];

/// A look of the autoscaler, in seconds of 256 MiB (`docs/src/autoscaler.md`: most runs take less).
const LOOK_SECONDS: f64 = 1.0;
/// The line of a decision, that of a run and the metrics, in bytes.
const LOOK_LOG: f64 = 6_000.0;
/// Metrics of one stream that `TIDEGATE_STREAMS` names: its own six, seven of the run, and some three
/// reasons (`docs/src/reference/metrics.md`).
const LOOK_METRICS: f64 = 16.0;
/// Metrics that the two alarms of `autoscaler.yaml` watch.
const LOOK_ALARMS: f64 = 4.0;
/// A ledger's item in KB: written thrice an hour, read at each look.
const LEDGER_KB: f64 = 10.0;

/// Records of a batch at most, and batches that are gathered for a second: the defaults of
/// `consumer.yaml`.
const BATCH: f64 = 100.0;
/// What a batch takes, in seconds of 512 MiB, beside what its sink takes.
const BATCH_SECONDS: f64 = 0.01;
/// The line of a batch and its metrics, in bytes, and the metrics themselves.
const BATCH_LOG: f64 = 1_000.0;
const BATCH_METRICS: f64 = 7.0;

/// What a call of the transform takes: 1 MB, in seconds of 512 MiB, at a third of a processor.
const CALL_BYTES: f64 = 1e6;
const CALL_SECONDS: f64 = 0.06;
const CALL_LOG: f64 = 1_000.0;
const CALL_METRICS: f64 = 8.0;
/// An object of the lake after compression: a tenth of 64 MiB, or of what five minutes bring: the defaults of
/// `lake.yaml`.
const COMPRESSED: f64 = 0.1;
const OBJECT_BYTES: f64 = 64.0 * 1_048_576.0;
const OBJECTS_AN_HOUR: f64 = 12.0;

/// Dollars a month.
struct Bill {
    peak: f64,
    shards: (f64, u32),
    stream: f64,
    static_peak: f64,
    on_demand: f64,
    autoscaler: f64,
    consumer: f64,
    transform: f64,
    firehose: f64,
    lake: f64,
}

/// Prints the table.
pub fn print() {
    println!("{}", table());
}

/// The table, as the page has it.
pub fn table() -> String {
    let bills = PEAKS.map(Bill::of);
    let mut text = "| a month, in dollars |".to_owned();
    for bill in &bills {
        let _ = write!(text, " {} MiB/s |", bill.peak);
    }
    text.push_str("\n|---|---:|---:|---:|");
    let mut row = |name: &str, value: &dyn Fn(&Bill) -> String| {
        let _ = write!(text, "\n| {name} |");
        for bill in &bills {
            let _ = write!(text, " {} |", value(bill));
        }
    };
    let usd =
        |value: f64| if value < 100.0 { format!("{value:.2}") } else { format!("{value:.0}") };
    row("shards, on average and at most", &|bill| {
        format!("{:.1}, {}", bill.shards.0, bill.shards.1)
    });
    row("stream, with the autoscaler", &|bill| usd(bill.stream));
    row("as many shards as the peak needs, always", &|bill| usd(bill.static_peak));
    row("on-demand mode", &|bill| usd(bill.on_demand));
    row("autoscaler", &|bill| usd(bill.autoscaler));
    row("consumer, without its sink", &|bill| usd(bill.consumer));
    row("transform", &|bill| usd(bill.transform));
    row("Firehose", &|bill| usd(bill.firehose));
    row("lake, for each month that is kept", &|bill| usd(bill.lake));
    text
}

impl Bill {
    fn of(peak: f64) -> Self {
        let trace = trace(peak);
        let hours = DAYS as f64 * 24.0;
        let month = |value: f64| value * HOURS_PER_MONTH / hours;
        let run = |name| reference::simulate(name, &trace, Settings::default());
        let cost = |run: &Option<Run>| run.as_ref().map_or(0.0, |run| month(run.cost_usd));
        let ours = run(Name::Tidegate);
        let minutes = ours.as_ref().map_or(&[][..], |run| &run.minutes);
        let most = minutes.iter().map(|minute| minute.capacity).fold(0.0, f64::max);
        let average =
            minutes.iter().map(|minute| minute.capacity).sum::<f64>() / minutes.len() as f64;
        let records = month(trace.minutes.iter().map(|minute| minute.records * 60.0).sum());
        let bytes = records * RECORD;
        Self {
            peak,
            shards: (average, most.ceil() as u32),
            stream: cost(&ours),
            static_peak: cost(&run(Name::StaticPeak)),
            on_demand: cost(&run(Name::OnDemand)),
            autoscaler: autoscaler(),
            consumer: consumer(records, average),
            transform: transform(bytes),
            firehose: records * (RECORD / FIREHOSE_UNIT).ceil() * FIREHOSE_UNIT / GB
                * FIREHOSE_GB_USD,
            lake: lake(bytes),
        }
    }
}

/// Two weeks of days between a fifth of the peak and the peak.
fn trace(peak: f64) -> Trace {
    let minutes = (0..DAYS * 1_440)
        .map(|minute| {
            let of_day = minute as f64 / 1_440.0 % 1.0;
            let load = 0.2 + 0.8 * (((of_day - 0.625) * TAU).cos() / 2.0 + 0.5);
            let bytes = peak * 1_048_576.0 * load;
            Volume { bytes, records: bytes / RECORD }
        })
        .collect();
    // A Monday.
    Trace { start: Timestamp::from_second(1_788_739_200).unwrap_or_default(), minutes }
}

fn lambda(calls: f64, seconds: f64, mib: f64) -> f64 {
    calls * (INVOCATION_USD + seconds * mib / 1_024.0 * GB_SECOND_USD)
}

fn autoscaler() -> f64 {
    let looks = HOURS_PER_MONTH * 12.0;
    let writes = HOURS_PER_MONTH * 3.0 * LEDGER_KB;
    let reads = looks * (LEDGER_KB / 4.0).ceil();
    price::reads_a_month(5)
        + lambda(looks, LOOK_SECONDS, 256.0)
        + writes * WRITE_UNIT_USD
        + reads * READ_UNIT_USD
        + looks * LOOK_LOG / GB * LOG_GB_USD
        + LOOK_METRICS * METRIC_USD
        + LOOK_ALARMS * ALARM_METRIC_USD
}

/// A shard with records is called for once a second, or for each batch that fills sooner.
fn consumer(records: f64, shards: f64) -> f64 {
    let seconds = HOURS_PER_MONTH * 3_600.0;
    let calls = (records / BATCH).max(shards * seconds);
    lambda(calls, BATCH_SECONDS, 512.0)
        + calls * BATCH_LOG / GB * LOG_GB_USD
        + BATCH_METRICS * METRIC_USD
}

fn transform(bytes: f64) -> f64 {
    let calls = bytes / CALL_BYTES;
    lambda(calls, CALL_SECONDS, 512.0)
        + calls * CALL_LOG / GB * LOG_GB_USD
        + CALL_METRICS * METRIC_USD
}

fn lake(bytes: f64) -> f64 {
    let objects = (bytes / OBJECT_BYTES).max(HOURS_PER_MONTH * OBJECTS_AN_HOUR);
    objects * PUT_USD + bytes * COMPRESSED / GB * STORED_GB_USD
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_these_figures() {
        let page = tidegate_tests::place::text("docs/src/operating/cost.md");
        let table = table();
        assert!(page.contains(&table), "docs/src/operating/cost.md should have\n\n{table}\n");
    }
}
