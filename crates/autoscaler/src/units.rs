//! Load measured in shards, as an integer, so that no decision hangs on a rounding of floats.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Bytes that one shard takes in a second, partition keys included ("Quotas and limits", Kinesis
/// Data Streams Developer Guide, 2026-11). The guide's sizing formula divides KiB by 1024.
pub const SHARD_BYTES_PER_SECOND: u64 = 1 << 20;

/// Records that one shard takes in a second (the same page).
pub const SHARD_RECORDS_PER_SECOND: u64 = 1_000;

/// Price of a provisioned shard-hour in us-east-1, in millionths of a dollar ("Amazon Kinesis Data
/// Streams pricing", 2026-11).
pub const SHARD_HOUR_MICRO_USD: u64 = 15_000;

/// Price of the three metrics that are turned on for each shard, in millionths of a dollar a month
/// of us-east-1: custom metrics at $0.30 each ("Amazon CloudWatch pricing", 2026-11).
pub const SHARD_METRICS_MICRO_USD: u64 = 900_000;

/// Hours in a month, as AWS's price examples count them.
pub const HOURS_PER_MONTH: u64 = 730;

/// Load in thousandths of what one shard can take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub struct MilliShards(pub u64);

impl MilliShards {
    /// The load of one minute: the larger of bytes and records, rounded up.
    pub fn of_minute(bytes: u64, records: u64) -> Self {
        let by = |amount: u64, per_second: u64| {
            let thousandths = u128::from(amount) * 1_000;
            thousandths.div_ceil(u128::from(per_second) * 60)
        };
        let load = by(bytes, SHARD_BYTES_PER_SECOND).max(by(records, SHARD_RECORDS_PER_SECOND));
        Self(u64::try_from(load).unwrap_or(u64::MAX))
    }

    /// What that many shards can take.
    pub fn capacity(shards: u32) -> Self {
        Self(u64::from(shards) * 1_000)
    }

    /// This load times a percentage.
    pub fn percent(self, percent: u64) -> Self {
        let scaled = u128::from(self.0) * u128::from(percent) / 100;
        Self(u64::try_from(scaled).unwrap_or(u64::MAX))
    }

    /// The sum of two loads.
    pub fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The fewest shards that take this load; at least one.
    pub fn shards(self) -> u32 {
        u32::try_from(self.0.div_ceil(1_000)).unwrap_or(u32::MAX).max(1)
    }

    /// In shards, for people and plots.
    #[expect(clippy::cast_precision_loss, reason = "shown to people, never decided on")]
    pub fn as_shards(self) -> f64 {
        self.0 as f64 / 1_000.0
    }
}

impl fmt::Display for MilliShards {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}", self.0 / 1_000, self.0 % 1_000)
    }
}

impl Serialize for MilliShards {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.as_shards())
    }
}

impl<'de> Deserialize<'de> for MilliShards {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        /// Above what a stream can take, by a wide margin.
        const MOST: f64 = 1e12;
        let shards = f64::deserialize(deserializer)?;
        if !(0.0..MOST).contains(&shards) {
            let expected = "a load in shards, which is not negative";
            return Err(de::Error::invalid_value(de::Unexpected::Float(shards), &expected));
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the range was checked"
        )]
        Ok(Self((shards * 1_000.0).round() as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_larger_of_bytes_and_records_counts() {
        let cases = [
            ((0, 0), 0),
            ((60 << 20, 1), 1_000),
            ((1, 60_000), 1_000),
            ((30 << 20, 90_000), 1_500),
            ((1, 0), 1),
            ((u64::MAX, u64::MAX), u64::MAX / 60 + 1),
        ];
        for ((bytes, records), milli) in cases {
            assert_eq!(MilliShards::of_minute(bytes, records).0, milli, "{bytes} {records}");
        }
    }

    #[test]
    fn a_load_is_read_as_it_is_written() {
        for milli in [0, 1, 999, 1_000, 123_456_789] {
            let text = serde_json::to_string(&MilliShards(milli)).unwrap();
            assert_eq!(serde_json::from_str::<MilliShards>(&text).unwrap(), MilliShards(milli));
        }
        for text in ["-1", "1e300", "\"many\""] {
            let error = serde_json::from_str::<MilliShards>(text).unwrap_err().to_string();
            assert!(error.contains("a load in shards") || error.contains("f64"), "{error}");
        }
    }

    #[test]
    fn shards_are_rounded_up_and_never_none() {
        for (milli, shards) in [(0, 1), (1, 1), (1_000, 1), (1_001, 2), (u64::MAX, u32::MAX)] {
            assert_eq!(MilliShards(milli).shards(), shards, "{milli}");
        }
    }
}
