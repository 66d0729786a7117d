//! The producer against a stream with limits, faults and reshards, in virtual time.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "sending/stream.rs"]
mod stream;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use rand::Rng as _;
use rand_pcg::Pcg64Mcg;
use tidegate_producer::{Failure, Limit, Next, Options, Producer, Record, Tally};

use crate::stream::{Faults, Stream};

/// What came of sending.
struct Sent {
    stream: Stream,
    tally: Tally,
    rejected: BTreeMap<u64, &'static str>,
    took: Duration,
}

/// Sends records `0..count`, each with its place in the payload, to the end.
fn send(options: &Options, faults: Faults, count: u64, keys: u64, seed: u64) -> Sent {
    let mut dice = Pcg64Mcg::new(u128::from(seed));
    let mut producer = Producer::new(options.clone(), seed);
    let mut stream = Stream::new(4, faults);
    let mut now = Duration::ZERO;
    let mut in_flight: Vec<(Duration, u64, _)> = Vec::new();
    let (mut offered, mut rejected, mut settled) = (0, BTreeMap::new(), BTreeSet::new());
    for _ in 0..2_000_000 {
        while offered < count {
            let key = format!("key-{}", offered * 7 % keys);
            let mut data = offered.to_string().into_bytes();
            data.resize(20.max(dice.random_range(0..300)), b' ');
            if producer.offer(Record::new(offered, key, data), now).is_err() {
                break;
            }
            offered += 1;
        }
        if offered == count {
            producer.end();
        }
        let wait = match producer.next(now) {
            Next::Put(request) => {
                let latency = Duration::from_millis(dice.random_range(5..80));
                let answer = stream.put(&request.entries, now, &mut dice);
                in_flight.push((now + latency, request.id, answer));
                continue;
            }
            Next::ListShards => {
                producer.shards(stream.shards());
                continue;
            }
            Next::Wait(wait) => wait,
            Next::Done => break,
        };
        let answer_at = in_flight.iter().map(|(at, ..)| *at).min();
        let until = [wait.map(|wait| now + wait), answer_at].into_iter().flatten().min();
        now = until.expect("it waits for nothing");
        for (_, id, answer) in in_flight.extract_if(.., |(at, ..)| *at <= now) {
            producer.answered(id, answer, now);
        }
        for record in producer.settled() {
            assert!(settled.insert(record.place), "{} is settled twice", record.place);
            rejected.extend(record.rejected.map(|rejection| (record.place, rejection.reason)));
        }
    }
    assert_eq!(settled.len() as u64, count, "{:?}", producer.tally());
    let tally = *producer.tally();
    assert!(producer.left().is_empty());
    Sent { stream, tally, rejected, took: now }
}

fn options() -> impl Strategy<Value = Options> {
    (any::<bool>(), prop_oneof![Just(None), Just(Some(51_200)), Just(Some(2_000))], 1..6_usize)
        .prop_map(|(ordered, aggregate_bytes, requests_max)| Options {
            ordered,
            aggregate_bytes,
            requests_max,
            buffer_bytes: 100_000,
            give_up_after: Duration::from_hours(1),
            ..Options::default()
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    /// Every record is in the stream once, whatever fails on the way; in order per key where that
    /// was asked for.
    #[test]
    fn every_record_arrives(
        options in options(),
        refused in 0.0..0.4_f64,
        failed in 0.0..0.3_f64,
        reshard in any::<bool>(),
        keys in 1..200_u64,
        seed in any::<u64>(),
    ) {
        let faults = Faults { refused, failed, reshard_every: reshard.then_some(1_500) };
        let sent = send(&options, faults, 6_000, keys, seed);
        prop_assert!(sent.rejected.is_empty());
        let places: Vec<u64> = sent.stream.stored.iter().map(|(_, place)| *place).collect();
        prop_assert_eq!(places.len(), 6_000);
        prop_assert_eq!(places.iter().collect::<BTreeSet<_>>().len(), 6_000);
        prop_assert_eq!(sent.tally.stored, 6_000);
        if options.ordered {
            let mut last = BTreeMap::new();
            for (key, place) in &sent.stream.stored {
                if let Some(before) = last.insert(key, place) {
                    prop_assert!(before < place, "{}: {} after {}", key, place, before);
                }
            }
        }
        if !reshard {
            prop_assert_eq!((sent.stream.astray, sent.tally.misplaced), (0, 0));
        }
    }
}

#[test]
fn a_stream_at_its_limit_is_filled_and_not_flooded() {
    // 4 shards take 4,000 records a second: 40,000 in ten seconds.
    let sent = send(&Options::default(), Faults::default(), 40_000, 10_000, 7);
    let seconds = sent.took.as_secs_f64();
    assert!((9.0..16.0).contains(&seconds), "{seconds} s");
    let again = sent.tally.retried as f64 / 40_000.0;
    assert!(again < 1.0, "{again} sent again for each record");
    assert!(sent.tally.throttled > 0);
}

#[test]
fn aggregates_carry_more_than_the_limit_of_records() {
    let plain = send(&Options::default(), Faults::default(), 40_000, 10_000, 7);
    let options = Options { aggregate_bytes: Some(51_200), ..Options::default() };
    let packed = send(&options, Faults::default(), 40_000, 10_000, 7);
    assert_eq!(packed.stream.stored.len(), 40_000);
    assert!(packed.tally.entries * 50 < plain.tally.entries, "{:?}", packed.tally);
    assert!(packed.tally.payload_units * 50 < plain.tally.payload_units);
    assert!(packed.took * 2 < plain.took, "{:?} against {:?}", packed.took, plain.took);
}

#[test]
fn a_limit_of_the_caller_is_kept() {
    let limit = Limit { records_per_second: Some(500.0), bytes_per_second: None };
    let options = Options { limit, ..Options::default() };
    let sent = send(&options, Faults::default(), 5_500, 100, 3);
    let seconds = sent.took.as_secs_f64();
    assert!((9.5..11.5).contains(&seconds), "{seconds} s");
    assert_eq!(sent.tally.throttled, 0);
}

#[test]
fn what_can_never_be_taken_is_rejected_with_the_reason() {
    let mut producer = Producer::new(Options { record_bytes_max: 1_000, ..Options::default() }, 1);
    let long = "é".repeat(257);
    // key, bytes, reason
    let cases = [
        ("", 10, Some("key_empty")),
        (long.as_str(), 10, Some("key_too_long")),
        (&long[..512], 10, None),
        ("key", 997, None),
        ("key", 998, Some("too_large")),
    ];
    for (place, (key, bytes, reason)) in (0..).zip(cases) {
        producer.offer(Record::new(place, key, vec![b'x'; bytes]), Duration::ZERO).unwrap();
        let settled = producer.settled();
        let rejection = settled.first().and_then(|settled| settled.rejected.as_ref());
        assert_eq!(rejection.map(|rejection| rejection.reason), reason, "{key} {bytes}");
        let record = rejection.map(|rejection| rejection.record.data.len());
        assert_eq!(record, reason.map(|_| bytes), "the record itself comes back");
    }
}

#[test]
fn a_record_is_given_up_after_the_time_that_was_set() {
    let faults = Faults { refused: 1.0, ..Faults::default() };
    let options = Options { give_up_after: Duration::from_secs(20), ..Options::default() };
    let sent = send(&options, faults, 10, 3, 5);
    assert!(sent.rejected.values().all(|reason| *reason == "gave_up"));
    assert_eq!(sent.rejected.len(), 10);
    assert!((20.0..25.0).contains(&sent.took.as_secs_f64()), "{:?}", sent.took);
}

#[test]
fn what_is_left_comes_back_in_the_order_of_the_input() {
    let mut producer = Producer::new(Options { linger: Duration::ZERO, ..Options::default() }, 1);
    producer.shards(Vec::new());
    let mut stopped = None;
    for place in 0..1_200 {
        producer.offer(Record::new(place, "key", vec![0]), Duration::ZERO).unwrap();
        if place == 600 {
            let Next::Put(request) = producer.next(Duration::ZERO) else {
                panic!("nothing to put")
            };
            assert_eq!(request.entries.len(), 500);
            stopped = Some(request.id);
        }
    }
    producer.answered(stopped.unwrap(), Err(Failure::Lasting), Duration::ZERO);
    let Next::Wait(Some(_)) = producer.next(Duration::ZERO) else { panic!("no pause") };
    let left: Vec<_> = producer.left().into_iter().map(|record| record.place).collect();
    assert_eq!(left, (0..1_200).collect::<Vec<_>>());
}
