//! What producers ask for, accepted or rejected; and what readers take, where that is looked at.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::observation::Minute;
use crate::units::MilliShards;

/// Consumers that can poll one shard each second at the most: they share five reads a second
/// ("Quotas and limits", Kinesis Data Streams Developer Guide, 2026-11).
const POLLING_CONSUMERS: u64 = 5;

/// The demand of one minute: the larger of what is written and what is read.
pub fn demand_of(minute: &Minute) -> MilliShards {
    written(minute).max(read(minute))
}

/// What producers ask for.
///
/// `IncomingBytes` and `IncomingRecords` count what was accepted, so under throttling they show the
/// capacity and not the demand. Rejected records are added at the mean size of the accepted ones.
/// Producers that retry are rejected again and again for one record: so the rejected part counts
/// at most three times the accepted one, and at least up to one shard.
fn written(minute: &Minute) -> MilliShards {
    let bytes = minute.bytes.unwrap_or(0);
    let records = minute.records.unwrap_or(0);
    let accepted = MilliShards::of_minute(bytes, records);
    let rejected = minute.rejected.unwrap_or(0);
    if rejected == 0 {
        return accepted;
    }
    // While the records of a minute are not known, as those of the newest are not at times, nor is
    // their mean size: then the rejected ones count as records alone.
    let rejected_bytes = minute
        .records
        .map_or(0, |records| u128::from(rejected) * u128::from(bytes) / u128::from(records.max(1)));
    let rejected_bytes = u64::try_from(rejected_bytes).unwrap_or(u64::MAX);
    let rejected = MilliShards::of_minute(rejected_bytes, rejected);
    let believed = rejected.min(accepted.percent(300).max(MilliShards::capacity(1)));
    accepted.plus(believed)
}

/// What the consumers that poll take: all of them together get 2 MiB a second of each shard (the
/// same page), twice of what it accepts.
///
/// A consumer that catches up takes all that it is given, and more shards give it more without
/// end: so no more is believed than as many consumers as there can be, each abreast of the writers.
fn read(minute: &Minute) -> MilliShards {
    let Some(bytes) = minute.read_bytes else { return MilliShards(0) };
    let abreast = minute.bytes.unwrap_or(0).saturating_mul(POLLING_CONSUMERS);
    MilliShards::of_minute(bytes.min(abreast) / 2, 0)
}

/// The demand of the recent past.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Demand {
    /// The largest of the newest minutes.
    pub now: MilliShards,
    /// Whether something was rejected in those minutes.
    pub throttled: bool,
    /// Whether readers ask for more than writers.
    pub by_readers: bool,
    /// The newest minute that anything is known of.
    pub newest: Timestamp,
}

/// The demand of the newest minutes, or `None` when nothing is known.
pub fn demand(minutes: &BTreeMap<Timestamp, Minute>, window: SignedDuration) -> Option<Demand> {
    let (newest, _) = minutes.iter().rev().find(|(_, minute)| minute.has_load())?;
    let recent = minutes.range(*newest - window + SignedDuration::from_secs(1)..=*newest);
    let (mut by_writers, mut by_readers) = (MilliShards(0), MilliShards(0));
    let mut throttled = false;
    for (_, minute) in recent {
        by_writers = by_writers.max(written(minute));
        by_readers = by_readers.max(read(minute));
        throttled |= minute.rejected.unwrap_or(0) > 0;
    }
    Some(Demand {
        now: by_writers.max(by_readers),
        throttled,
        by_readers: by_readers > by_writers,
        newest: *newest,
    })
}

/// The highest demand in a span, and how many of its minutes are known.
pub fn peak(
    minutes: &BTreeMap<Timestamp, Minute>,
    from: Timestamp,
    to: Timestamp,
) -> (MilliShards, usize) {
    if from > to {
        return (MilliShards(0), 0);
    }
    minutes
        .range(from..=to)
        .filter(|(_, minute)| minute.has_load())
        .fold((MilliShards(0), 0), |(peak, known), (_, minute)| {
            (peak.max(demand_of(minute)), known + 1)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minute(bytes: u64, records: u64, rejected: u64) -> Minute {
        Minute {
            bytes: Some(bytes),
            records: Some(records),
            rejected: Some(rejected),
            ..Minute::default()
        }
    }

    #[test]
    fn rejected_records_are_added_at_the_accepted_size() {
        let cases = [
            (minute(60 << 20, 1_000, 0), 1_000),
            (minute(60 << 20, 1_000, 500), 1_500),
            (minute(0, 60_000, 60_000), 2_000),
            // A storm of retries: believed up to three times what was accepted.
            (minute(60 << 20, 1_000, 1_000_000), 4_000),
            // Their number is not visible yet.
            (Minute { records: None, ..minute(60 << 20, 0, 600) }, 1_010),
            // Nothing was accepted at all: believed up to one shard.
            (minute(0, 0, 1_000_000), 1_000),
        ];
        for (minute, milli) in cases {
            assert_eq!(demand_of(&minute), MilliShards(milli), "{minute:?}");
        }
    }

    #[test]
    fn readers_count_at_half_and_as_many_as_there_can_be() {
        let shard = 60 << 20;
        let cases = [
            // Two consumers abreast take what a shard gives.
            (shard, 2 * shard, 1_000),
            (shard, 3 * shard, 1_500),
            // One that catches up takes all it is given.
            (shard, 100 * shard, 2_500),
            (shard, 0, 1_000),
            (0, 100 * shard, 0),
        ];
        for (bytes, read, milli) in cases {
            let minute = Minute { read_bytes: Some(read), ..minute(bytes, 0, 0) };
            assert_eq!(demand_of(&minute), MilliShards(milli), "{minute:?}");
        }
    }

    #[test]
    fn the_newest_known_minutes_count() {
        let at = |minute: i64| Timestamp::from_second(minute * 60).unwrap();
        let minutes = BTreeMap::from([
            (at(1), minute(600 << 20, 1, 0)),
            (at(4), minute(60 << 20, 1, 1)),
            (at(5), minute(120 << 20, 1, 0)),
            (at(6), Minute { iterator_age_ms: Some(3), ..Minute::default() }),
        ]);
        let found = demand(&minutes, SignedDuration::from_mins(3)).unwrap();
        assert_eq!(found.newest, at(5));
        assert_eq!(found.now, MilliShards(2_000));
        assert!(found.throttled);
        assert!(!found.by_readers);
        assert_eq!(demand(&BTreeMap::new(), SignedDuration::from_mins(3)), None);
    }
}
