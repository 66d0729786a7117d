//! The rules of the modelled stream: limits, resharding, lineage, throttling.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a test fails by panicking"
)]

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use tidegate_autoscaler::limits;
use tidegate_local::fluid::Volume;
use tidegate_local::stream::{Put, Refused, Settings, Stream};

const PER_OPERATION: SignedDuration = SignedDuration::from_secs(30);

fn stream(shards: u32, account_shards: u32) -> Stream {
    Stream::new(Settings {
        name: "orders".into(),
        shards,
        account_shards,
        per_operation: PER_OPERATION,
        readers: 1,
    })
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// The open ranges, which must cover every key once at any moment.
fn check_ranges(stream: &Stream) {
    let mut ranges: Vec<_> = stream.shards().filter(|s| s.open).map(|s| s.range).collect();
    ranges.sort_by_key(|range| range.start);
    assert_eq!(ranges.first().map(|range| range.start), Some(0));
    assert_eq!(ranges.last().map(|range| range.end), Some(u128::MAX));
    for pair in ranges.windows(2) {
        assert_eq!(pair[0].end + 1, pair[1].start);
    }
}

/// Reshards, and returns the operations it took and the most shards that were open.
fn reshard(stream: &mut Stream, target: u32, start: i64) -> (u32, u32) {
    stream.update_shard_count(target, at(start)).unwrap();
    let mut peak = stream.open_shards();
    let mut operations = 0;
    while stream.is_updating() {
        operations += 1;
        stream.advance(at(start + 30 * i64::from(operations)));
        check_ranges(stream);
        peak = peak.max(stream.open_shards());
    }
    (operations, peak)
}

#[test]
fn calls_beyond_a_limit_are_refused() {
    let cases = [
        (4, 1_000, 9, Refused::Step),
        (4, 1_000, 4, Refused::Step),
        (5, 1_000, 2, Refused::Step),
        (4, 1_000, 0, Refused::Step),
        // 4 -> 6 has 8 open on the way.
        (4, 7, 6, Refused::AccountLimit),
    ];
    for (shards, account, target, refused) in cases {
        let mut stream = stream(shards, account);
        assert_eq!(stream.update_shard_count(target, at(0)), Err(refused), "{shards} -> {target}");
        assert_eq!((stream.calls_made, stream.calls_rejected), (0, 1));
    }
}

#[test]
fn ten_calls_a_day_and_one_at_a_time() {
    let mut stream = stream(4, 1_000);
    for call in 0..10 {
        let target = if call % 2 == 0 { 8 } else { 4 };
        reshard(&mut stream, target, call * 3_600);
    }
    assert_eq!(stream.update_shard_count(8, at(10 * 3_600)), Err(Refused::CallsSpent));
    assert_eq!(stream.update_shard_count(8, at(24 * 3_600 - 1)), Err(Refused::CallsSpent));
    assert_eq!(stream.update_shard_count(8, at(24 * 3_600)), Ok(()));
    assert_eq!(stream.update_shard_count(4, at(24 * 3_600)), Err(Refused::InUse));
}

/// A public report of four shards becoming three shows shards 4 to 10 made on the way.
#[test]
fn four_to_three_makes_seven_shards() {
    let mut stream = stream(4, 1_000);
    reshard(&mut stream, 3, 0);
    let numbers: Vec<_> = stream.shards().map(|shard| shard.number).collect();
    assert_eq!(numbers.last(), Some(&10));
    assert_eq!(numbers.len(), 3);
}

#[test]
fn throttling_takes_the_same_share_of_the_volume_and_of_the_sample() {
    let mut stream = stream(2, 1_000);
    let puts = |count: u32| {
        (0..count).map(|n| Put { partition_key: format!("key-{n}"), data: vec![0; 10] }).collect()
    };
    let rate = Volume { bytes: 1e6, records: 4_000.0 };
    let offered = stream.offer(rate.times(60.0), puts(10_000), 60.0, at(0));
    assert!((offered.accepted.records - 120_000.0).abs() < 1e-3, "{offered:?}");
    assert!((offered.rejected.records - 120_000.0).abs() < 1e-3);
    assert_eq!(offered.records_accepted + offered.records_rejected, 10_000);
    assert!(offered.records_accepted.abs_diff(5_000) <= 2, "{offered:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_reshard_takes_the_operations_that_the_autoscaler_counts_on(
        from in 1_u32..40, share in 0.0_f64..=1.0,
    ) {
        let (least, most) = limits::legal(from);
        let target = least + ((most - least) as f64 * share) as u32;
        prop_assume!(target != from);
        let mut stream = stream(from, 1_000);
        let (operations, peak) = reshard(&mut stream, target, 0);
        prop_assert_eq!(operations, limits::operations(from, target));
        prop_assert!(peak <= from.max(target) + 1, "{} open between {} and {}", peak, from, target);
        prop_assert_eq!(stream.open_shards(), target);
        let width = u128::MAX / u128::from(target);
        for shard in stream.shards().filter(|shard| shard.open) {
            prop_assert!((shard.range.end - shard.range.start).abs_diff(width) <= 1);
        }
    }
}
