//! What a stream costs, in dollars of us-east-1 (prices of 2026-11; sources at each).

use tidegate_autoscaler::units::SHARD_HOUR_MICRO_USD;

use super::model::Minute;

/// A million PUT payload units of 25 KB ("Amazon Kinesis Data Streams pricing").
pub const PUT_UNITS_USD_PER_MILLION: f64 = 0.014;

/// A PUT payload unit ("Amazon Kinesis Data Streams FAQs").
pub const PUT_UNIT_BYTES: f64 = 25_600.0;

/// An hour of an on-demand stream ("Amazon Kinesis Data Streams pricing").
pub const STREAM_HOUR_USD: f64 = 0.04;

/// A GB written to an on-demand stream, each record rounded up to 1 KB (the same page).
pub const GB_IN_USD: f64 = 0.08;

/// A GB read from an on-demand stream (the same page).
pub const GB_OUT_USD: f64 = 0.04;

/// The same two with On-demand Advantage, which has no price for the stream itself (AWS Big Data
/// Blog, "Kinesis On-demand Advantage saves 60%+ on streaming costs", 2026-03-09).
pub const ADVANTAGE_GB_IN_USD: f64 = 0.032;
/// See [`ADVANTAGE_GB_IN_USD`].
pub const ADVANTAGE_GB_OUT_USD: f64 = 0.016;

/// What On-demand Advantage commits an account to in a Region, each way ("Choose the right mode to
/// stream in", Kinesis Data Streams Developer Guide).
pub const ADVANTAGE_COMMITMENT_BYTES_PER_SECOND: f64 = 25.0 * 1_048_576.0;

/// A thousand metrics of GetMetricData (Amazon CloudWatch pricing).
pub const GET_METRIC_DATA_USD_PER_THOUSAND: f64 = 0.01;

/// Metrics that one look of the autoscaler reads.
pub const METRICS_PER_LOOK: f64 = 4.0;

/// Hours in a month, as AWS's price examples count them.
pub const HOURS_PER_MONTH: f64 = 730.0;

const GB: f64 = 1_073_741_824.0;
const KB: f64 = 1_024.0;
const SECONDS: f64 = 60.0;

/// A history's rates are rounded, so a mean size that is above whole units by less than this share
/// is not one unit more.
const ROUNDING: f64 = 1e-3;

/// A minute in provisioned mode: the shards, and the PUT payload units of what was accepted, at the
/// mean size of a record.
pub fn provisioned(minute: &Minute) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a price")]
    let shard_hour = SHARD_HOUR_MICRO_USD as f64 / 1e6;
    minute.capacity / 60.0 * shard_hour + put_units(minute) / 1e6 * PUT_UNITS_USD_PER_MILLION
}

/// A minute in on-demand mode, read once.
pub fn on_demand(minute: &Minute) -> f64 {
    STREAM_HOUR_USD / 60.0 + gb_in(minute) * GB_IN_USD + gb_out(minute) * GB_OUT_USD
}

/// A history with On-demand Advantage, read once, if no other stream shares the commitment.
pub fn advantage(minutes: &[Minute]) -> f64 {
    let used: f64 = minutes
        .iter()
        .map(|minute| gb_in(minute) * ADVANTAGE_GB_IN_USD + gb_out(minute) * ADVANTAGE_GB_OUT_USD)
        .sum();
    let committed = ADVANTAGE_COMMITMENT_BYTES_PER_SECOND * SECONDS / GB
        * super::model::as_f64(minutes.len())
        * (ADVANTAGE_GB_IN_USD + ADVANTAGE_GB_OUT_USD);
    used.max(committed)
}

/// What the autoscaler's reads of CloudWatch cost in a month.
pub fn reads_a_month(heartbeat_minutes: usize) -> f64 {
    let looks = HOURS_PER_MONTH * 60.0 / super::model::as_f64(heartbeat_minutes.max(1));
    looks * METRICS_PER_LOOK / 1_000.0 * GET_METRIC_DATA_USD_PER_THOUSAND
}

/// The records of a minute, rounded up to units of their mean size.
fn units(minute: &Minute, unit: f64) -> f64 {
    let records = minute.rate.records * SECONDS;
    if records <= 0.0 {
        return 0.0;
    }
    let mean = minute.rate.bytes / minute.rate.records / unit;
    records * (mean - ROUNDING * mean).ceil().max(1.0)
}

fn put_units(minute: &Minute) -> f64 {
    units(minute, PUT_UNIT_BYTES)
}

fn gb_in(minute: &Minute) -> f64 {
    units(minute, KB) * KB / GB
}

fn gb_out(minute: &Minute) -> f64 {
    minute.rate.bytes * SECONDS / GB
}
