//! The open shards of a stream, the keys that each takes, and what that lets the stream carry.
//!
//! A shard takes the records whose key hashes into its range. When keys are spread evenly, the
//! widest range fills first: so a stream carries `1 / share of the widest`, however many shards it
//! has beside that one.

use std::collections::BTreeMap;
use std::future::Future;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::observation::{Metrics, Point};
use crate::port::ServiceError;
use crate::units::MilliShards;

/// The operations on single shards, and on those that read them.
pub trait ShardService: Sync {
    /// ListShards with the filter `AT_LATEST`: the open shards, all pages.
    fn shards(&self, stream: &str)
    -> impl Future<Output = Result<Vec<Shard>, ServiceError>> + Send;

    /// DescribeStreamSummary: whether the stream publishes the shard metrics that
    /// [`enable_shard_metrics`](Self::enable_shard_metrics) turns on, all three of them.
    fn has_shard_metrics(
        &self,
        stream: &str,
    ) -> impl Future<Output = Result<bool, ServiceError>> + Send;

    /// GetMetricData with the dimensions `StreamName` and `ShardId`, by the minute: bytes, records
    /// and what was rejected. A shard without a point may be missing in the answer.
    fn shard_metrics(
        &self,
        stream: &str,
        shards: &[String],
        from: Timestamp,
        to: Timestamp,
    ) -> impl Future<Output = Result<BTreeMap<String, Metrics>, ServiceError>> + Send;

    /// EnableEnhancedMonitoring of `IncomingBytes`, `IncomingRecords` and
    /// `WriteProvisionedThroughputExceeded`. They are paid, by shard and metric.
    fn enable_shard_metrics(
        &self,
        stream: &str,
    ) -> impl Future<Output = Result<(), ServiceError>> + Send;

    /// DisableEnhancedMonitoring of the same three.
    fn disable_shard_metrics(
        &self,
        stream: &str,
    ) -> impl Future<Output = Result<(), ServiceError>> + Send;

    /// GetShardIterator some seconds back and GetRecords: records that a shard took lately, from few
    /// calls, since these count towards the five reads a second that a shard has for everybody.
    fn sample(
        &self,
        stream: &str,
        shard: &str,
    ) -> impl Future<Output = Result<Vec<Sample>, ServiceError>> + Send;

    /// SplitShard. Sent once.
    fn split_shard(
        &self,
        stream: &str,
        shard: &str,
        new_starting_hash: u128,
    ) -> impl Future<Output = Result<(), ServiceError>> + Send;

    /// ListStreamConsumers: the names of the consumers with enhanced fan-out, all pages.
    fn consumers(
        &self,
        stream: &str,
    ) -> impl Future<Output = Result<Vec<String>, ServiceError>> + Send;

    /// GetMetricData of `SubscribeToShardEvent.MillisBehindLatest`, Maximum, by the minute,
    /// of each of these consumers by its name. One without a point may be missing in the answer.
    fn consumer_age(
        &self,
        stream: &str,
        consumers: &[String],
        from: Timestamp,
        to: Timestamp,
    ) -> impl Future<Output = Result<BTreeMap<String, Vec<Point>>, ServiceError>> + Send;
}

/// An open shard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shard {
    /// Its identifier.
    pub id: String,
    /// The first hashed key that it takes.
    #[serde(with = "decimal")]
    pub first: u128,
    /// The last one.
    #[serde(with = "decimal")]
    pub last: u128,
    /// The shard that it was split from, or the lower of the two that it was merged from.
    pub parent: Option<String>,
}

impl Shard {
    /// How many keys it takes, less one, so that a range over all keys has a number. A range that
    /// ends before it begins is of one key.
    pub const fn span(&self) -> u128 {
        self.last.saturating_sub(self.first)
    }

    /// The first and the last key that it can be split at.
    ///
    /// Kinesis takes a key that is more than one above the first and below the last (the message of
    /// SplitShard's refusal), so a shard of three keys or fewer cannot be split.
    pub const fn split_points(&self) -> Option<(u128, u128)> {
        if self.span() < 3 { None } else { Some((self.first + 2, self.last - 1)) }
    }

    /// The key in its middle, where half of its range ends.
    pub const fn midpoint(&self) -> Option<u128> {
        match self.split_points() {
            Some(_) => Some(self.first + self.span() / 2 + 1),
            None => None,
        }
    }
}

/// A record that a shard took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// MD5 of its partition key, as a number. The key itself goes nowhere.
    #[serde(with = "decimal")]
    pub hash: u128,
    /// The bytes of its payload and its key.
    pub bytes: u32,
}

/// Hashed keys as Kinesis writes them: most readers of JSON have no number for them.
mod decimal {
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(hash: &u128, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(hash)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<u128, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|_| {
            de::Error::invalid_value(de::Unexpected::Str(&text), &"a hashed key in digits")
        })
    }
}

/// The open shards of a stream, in the order of their keys: every key has one shard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Shard>")]
pub struct Layout(Vec<Shard>);

impl TryFrom<Vec<Shard>> for Layout {
    type Error = &'static str;

    fn try_from(shards: Vec<Shard>) -> Result<Self, Self::Error> {
        Self::new(shards).ok_or("shards that do not take every key once")
    }
}

impl Layout {
    /// From the shards in any order; `None` when a key has no shard or two, as between the pages of
    /// an answer that a reshard overtook.
    pub fn new(mut shards: Vec<Shard>) -> Option<Self> {
        shards.sort_by_key(|shard| shard.first);
        let (lowest, highest) = (shards.first()?, shards.last()?);
        let ends = lowest.first == 0 && highest.last == u128::MAX;
        let closed = shards
            .windows(2)
            .all(|pair| pair[0].last.checked_add(1).is_some_and(|next| next == pair[1].first));
        let ordered = shards.iter().all(|shard| shard.first <= shard.last);
        (ends && closed && ordered).then_some(Self(shards))
    }

    /// That many shards over even ranges, as CreateStream makes them. A stream has at least one.
    pub fn even(count: u32) -> Self {
        let count = count.max(1);
        let shard = |index: u32| Shard {
            id: format!("shardId-{index:012}"),
            first: boundary(index, count),
            last: if index + 1 == count { u128::MAX } else { boundary(index + 1, count) - 1 },
            parent: None,
        };
        Self((0..count).map(shard).collect())
    }

    /// The shards.
    pub fn shards(&self) -> &[Shard] {
        &self.0
    }

    /// How many there are.
    pub fn count(&self) -> u32 {
        u32::try_from(self.0.len()).unwrap_or(u32::MAX)
    }

    /// The shard of that name.
    pub fn shard(&self, id: &str) -> Option<&Shard> {
        self.0.iter().find(|shard| shard.id == id)
    }

    /// The span of the widest range.
    pub fn widest(&self) -> u128 {
        self.0.iter().map(Shard::span).max().unwrap_or(u128::MAX)
    }

    /// What the stream carries when keys are spread evenly: as many shards as the widest range goes
    /// into all keys.
    pub fn capacity(&self) -> MilliShards {
        // In units of 2^64 keys, so that all keys have a number; rounded to the nearest, since even
        // ranges differ by a key.
        let widest = (self.widest() >> 64) + 1;
        let capacity = ((1_000_u128 << 64) + widest / 2) / widest;
        MilliShards(u64::try_from(capacity).unwrap_or(u64::MAX))
    }

    /// Whether the shards carry as much as they are many, or nearly.
    pub fn is_even(&self) -> bool {
        self.capacity() >= MilliShards::capacity(self.count()).percent(EVEN_PERCENT)
    }
}

/// Ranges that carry this share of what even ones would are called even: a few keys more or less are
/// how ranges are rounded.
const EVEN_PERCENT: u64 = 99;

/// The start of the range `index` of `count` even ones.
pub fn boundary(index: u32, count: u32) -> u128 {
    let width = u128::MAX / u128::from(count);
    let rest = u128::MAX % u128::from(count) + 1;
    width * u128::from(index) + rest * u128::from(index) / u128::from(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shards that begin at these parts of 256.
    fn from(starts: &[u128]) -> Vec<Shard> {
        let ends = starts.iter().skip(1).chain([&256]);
        let shards = starts.iter().zip(ends).enumerate();
        shards
            .map(|(index, (start, end))| Shard {
                id: index.to_string(),
                first: start << 120,
                last: if *end == 256 { u128::MAX } else { (end << 120) - 1 },
                parent: None,
            })
            .collect()
    }

    #[test]
    fn the_widest_range_says_what_a_stream_carries() {
        let cases: [(&[u128], u64, bool); 6] = [
            (&[0], 1_000, true),
            (&[0, 128], 2_000, true),
            (&[0, 64, 128, 192], 4_000, true),
            // One of four split: five shards carry what four do.
            (&[0, 32, 64, 128, 192], 4_000, false),
            (&[0, 128, 192], 2_000, false),
            (&[0, 1, 2, 3, 64], 1_333, false),
        ];
        for (starts, milli, even) in cases {
            let layout = Layout::new(from(starts)).unwrap();
            assert_eq!(layout.capacity(), MilliShards(milli), "{starts:?}");
            assert_eq!(layout.is_even(), even, "{starts:?}");
        }
    }

    #[test]
    fn even_ranges_of_any_count_are_even() {
        for count in (1..300).chain([1_000, 9_999, 10_000]) {
            let layout = Layout::even(count);
            assert_eq!(layout.capacity(), MilliShards::capacity(count), "{count}");
            assert_eq!(Layout::new(layout.0.iter().rev().cloned().collect()), Some(layout));
        }
    }

    #[test]
    fn shards_that_leave_a_gap_or_overlap_are_no_layout() {
        let whole = from(&[0, 64, 128]);
        let changed = |change: fn(&mut Vec<Shard>)| {
            let mut shards = whole.clone();
            change(&mut shards);
            Layout::new(shards)
        };
        assert!(changed(|_| {}).is_some());
        let broken: [fn(&mut Vec<Shard>); 6] = [
            Vec::clear,
            |shards| drop(shards.remove(1)),
            |shards| drop(shards.pop()),
            |shards| shards[1].last += 1,
            |shards| shards[0].first = 1,
            |shards| shards.push(shards[0].clone()),
        ];
        for (number, change) in broken.into_iter().enumerate() {
            assert_eq!(changed(change), None, "{number}");
        }
    }

    #[test]
    fn a_shard_of_few_keys_cannot_be_split() {
        let shard = |first, last| Shard { id: "a".into(), first, last, parent: None };
        let cases = [
            ((7, 7), None, None),
            ((7, 9), None, None),
            ((7, 10), Some((9, 9)), Some(9)),
            ((0, u128::MAX), Some((2, u128::MAX - 1)), Some(1 << 127)),
            ((0, 9), Some((2, 8)), Some(5)),
        ];
        for ((first, last), points, middle) in cases {
            let shard = shard(first, last);
            assert_eq!(
                (shard.split_points(), shard.midpoint()),
                (points, middle),
                "{first} {last}"
            );
        }
    }
}
