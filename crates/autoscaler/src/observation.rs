//! What was seen of a stream, cleaned: the only input of the decision that comes from outside.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::hot::SeenShards;

/// One minute, the finest period of the metrics that Kinesis publishes without charge.
pub const MINUTE: SignedDuration = SignedDuration::from_secs(60);

/// The state of a stream, in Kinesis' words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It can be resized.
    Active,
    /// A change is under way.
    Updating,
    /// It is being made.
    Creating,
    /// It is going away.
    Deleting,
    /// A word that this version does not know.
    Unknown,
}

/// How a stream's capacity is managed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Capacity {
    /// Shards are ours to count.
    Provisioned,
    /// Kinesis counts them; UpdateShardCount is refused.
    OnDemand,
}

/// What DescribeStreamSummary says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// The state.
    pub status: Status,
    /// The capacity mode.
    pub capacity: Capacity,
    /// Open shards.
    pub open_shards: u32,
}

/// What DescribeLimits says of the account in this Region.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// The most shards it may have open in provisioned streams.
    pub shard_limit: u32,
    /// How many it has.
    pub open_shards: u32,
}

/// One point of a metric: the start of its minute, and the value as CloudWatch gave it.
pub type Point = (Timestamp, f64);

/// The metrics of a stream, each point a minute, in any order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metrics {
    /// `IncomingBytes`, Sum: bytes of records that were accepted.
    pub incoming_bytes: Vec<Point>,
    /// `IncomingRecords`, Sum: records that were accepted.
    pub incoming_records: Vec<Point>,
    /// `WriteProvisionedThroughputExceeded`, Sum: records that were rejected.
    pub write_throttled: Vec<Point>,
    /// `GetRecords.IteratorAgeMilliseconds`, Maximum. Absent when nobody polls.
    pub iterator_age_ms: Vec<Point>,
    /// `GetRecords.Bytes`, Sum: bytes that the consumers that poll were given. Read where the
    /// readers' side counts.
    pub read_bytes: Vec<Point>,
}

/// One minute of a stream. A metric without a point is unknown, which is not zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Minute {
    /// Bytes accepted.
    pub bytes: Option<u64>,
    /// Records accepted.
    pub records: Option<u64>,
    /// Records rejected.
    pub rejected: Option<u64>,
    /// The oldest record that a consumer had in hand, in milliseconds.
    pub iterator_age_ms: Option<u64>,
    /// Bytes that the consumers that poll were given; `None` as well where nobody looks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_bytes: Option<u64>,
}

impl Minute {
    /// Whether anything is known of the load.
    pub const fn has_load(&self) -> bool {
        self.bytes.is_some() || self.records.is_some() || self.rejected.is_some()
    }
}

/// What was seen of a stream at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Observation {
    /// The stream's name.
    pub stream: String,
    /// What the stream says of itself.
    pub description: Description,
    /// The account's shards; `None` when it could not be read.
    pub account: Option<Account>,
    /// Whether the stream's owner paused the autoscaler by tag.
    pub paused: bool,
    /// The minutes of the last day, by their start.
    pub minutes: BTreeMap<Timestamp, Minute>,
    /// What was read of single shards.
    #[serde(default)]
    pub shards: SeenShards,
    /// Points that no metric can have (negative, not a number, in the future) and that were left
    /// out.
    pub absurd_points: u32,
}

/// Puts the points of the metrics into minutes, and leaves out what cannot be.
pub fn assemble(metrics: &Metrics, now: Timestamp) -> (BTreeMap<Timestamp, Minute>, u32) {
    let mut minutes: BTreeMap<Timestamp, Minute> = BTreeMap::new();
    let mut absurd = 0;
    let mut fill = |points: &[Point], field: fn(&mut Minute) -> &mut Option<u64>| {
        for (at, value) in points {
            match plausible(*value).filter(|_| *at <= now) {
                Some(value) => *field(minutes.entry(*at).or_default()) = Some(value),
                None => absurd += 1,
            }
        }
    };
    fill(&metrics.incoming_bytes, |minute| &mut minute.bytes);
    fill(&metrics.incoming_records, |minute| &mut minute.records);
    fill(&metrics.write_throttled, |minute| &mut minute.rejected);
    fill(&metrics.iterator_age_ms, |minute| &mut minute.iterator_age_ms);
    fill(&metrics.read_bytes, |minute| &mut minute.read_bytes);
    (minutes, absurd)
}

/// More than ten thousand shards, the most a stream can have, could take in a minute by a wide
/// margin; also longer than any retention in milliseconds.
const IMPLAUSIBLE: f64 = 1e15;

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the range was checked on the line before"
)]
pub(crate) fn plausible(value: f64) -> Option<u64> {
    (0.0..IMPLAUSIBLE).contains(&value).then(|| value.round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn points_of_one_minute_come_together_and_absurd_ones_are_left_out() {
        let metrics = Metrics {
            incoming_bytes: vec![(at(60), 10.0), (at(0), f64::NAN), (at(120), -1.0)],
            incoming_records: vec![(at(60), 2.4), (at(600), 5.0)],
            write_throttled: vec![(at(0), f64::INFINITY)],
            iterator_age_ms: vec![(at(60), 0.0)],
            read_bytes: vec![(at(60), 20.0)],
        };
        let (minutes, absurd) = assemble(&metrics, at(300));
        let expected = Minute {
            bytes: Some(10),
            records: Some(2),
            rejected: None,
            iterator_age_ms: Some(0),
            read_bytes: Some(20),
        };
        assert_eq!(minutes.into_iter().collect::<Vec<_>>(), [(at(60), expected)]);
        assert_eq!(absurd, 4);
    }
}
