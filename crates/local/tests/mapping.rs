//! The modelled event source mapping against what was recorded of AWS's own.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a test fails by panicking"
)]

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::{Value, json};
use tidegate_local::fluid::Volume;
use tidegate_local::mapping::{Mapping, Settings};
use tidegate_local::shard::hash_key;
use tidegate_local::stream::{Put, Stream};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn stream(shards: u32) -> Stream {
    Stream::new(tidegate_local::stream::Settings {
        name: "orders".into(),
        shards,
        account_shards: 1_000,
        per_operation: SignedDuration::from_secs(30),
        readers: 1,
    })
}

fn put(stream: &mut Stream, keys: &[&str], now: Timestamp) {
    let puts =
        keys.iter().map(|key| Put { partition_key: (*key).into(), data: key.as_bytes().into() });
    let offered = stream.offer(Volume::default(), puts.collect(), 1.0, now);
    assert_eq!(offered.records_accepted, keys.len() as u64);
}

/// The keys and sequence numbers of an event, in order.
fn records(event: &[u8]) -> Vec<(String, String)> {
    let event: Value = serde_json::from_slice(event).unwrap();
    let text = |record: &Value, field: &str| record["kinesis"][field].as_str().unwrap().to_owned();
    let records = event["Records"].as_array().unwrap().iter();
    records.map(|record| (text(record, "partitionKey"), text(record, "sequenceNumber"))).collect()
}

fn failed(number: &str) -> Vec<u8> {
    json!({"batchItemFailures": [{"itemIdentifier": number}]}).to_string().into_bytes()
}

/// Six records, batches of three, three retries; the sixth always fails. AWS delivered it five
/// times and the others once, and sent it to the destination after four attempts without progress.
#[test]
fn progress_gives_the_rest_its_attempts_back() {
    let mut stream = stream(1);
    put(&mut stream, &["1", "2", "3", "4", "5", "6"], at(0));
    let settings =
        Settings { batch_size: 3, retries: Some(3), bisect: false, ..Settings::default() };
    let mut mapping = Mapping::new(settings, 0);
    let mut deliveries: BTreeMap<String, u32> = BTreeMap::new();
    let mut destination: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for step in 0..20 {
        let mut invoke = |event: &[u8]| {
            let records = records(event);
            for (key, _) in &records {
                *deliveries.entry(key.clone()).or_default() += 1;
            }
            let sixth = records.iter().find(|(key, _)| key == "6");
            Ok(sixth.map_or_else(|| b"{}".to_vec(), |(_, number)| failed(number)))
        };
        mapping.step(&mut stream, at(step * 30), &mut invoke, &mut destination).unwrap();
    }
    let counts: Vec<_> = deliveries.into_values().collect();
    assert_eq!(counts, [1, 1, 1, 1, 1, 5]);
    let body: Value = serde_json::from_slice(destination.values().next().unwrap()).unwrap();
    assert_eq!(body["requestContext"]["approximateInvokeCount"], 4);
    assert_eq!(body["requestContext"]["condition"], "RetryAttemptsExhausted");
    assert_eq!(body["responseContext"]["functionError"], Value::Null);
    assert_eq!(body["KinesisBatchInfo"]["batchSize"], 1);
    assert_eq!(mapping.counts.given_up, 1);
}

/// What always fails is attempted three times with two retries, and AWS told what ended it.
#[test]
fn a_failure_names_its_condition() {
    let answers: [(Result<&str, &str>, Value); 5] = [
        (Err("raised"), json!("Unhandled")),
        (Ok(r#"{"batchItemFailures":[{"itemIdentifier":""}]}"#), Value::Null),
        (Ok(r#"{"batchItemFailures":[{"itemIdentifier":null}]}"#), Value::Null),
        (Ok(r#"{"batchItemFailures":[{"foo":123}]}"#), Value::Null),
        (Ok(r#"{"batchItemFailures":[{"itemIdentifier":123}]}"#), Value::Null),
    ];
    for (answer, error) in answers {
        let mut stream = stream(1);
        put(&mut stream, &["a"], at(0));
        let settings = Settings { batch_size: 1, retries: Some(2), ..Settings::default() };
        let mut mapping = Mapping::new(settings, 0);
        let mut destination: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        for step in 0..6 {
            let mut invoke =
                |_: &[u8]| answer.map(|body| body.as_bytes().to_vec()).map_err(ToOwned::to_owned);
            mapping.step(&mut stream, at(step * 30), &mut invoke, &mut destination).unwrap();
        }
        assert_eq!(mapping.counts.invocations, 3, "{answer:?}");
        let body: Value = serde_json::from_slice(destination.values().next().unwrap()).unwrap();
        assert_eq!(body["requestContext"]["approximateInvokeCount"], 3, "{answer:?}");
        assert_eq!(body["responseContext"]["functionError"], error, "{answer:?}");
    }
}

/// One record that is too old in a batch with five that are not: AWS sent it alone to the
/// destination, in a body without an answer, and delivered the five.
#[test]
fn only_what_is_too_old_is_given_up() {
    let mut stream = stream(1);
    put(&mut stream, &["old"], at(0));
    put(&mut stream, &["1", "2", "3", "4", "5"], at(50));
    let age = Some(SignedDuration::from_secs(60));
    let settings = Settings { batch_size: 6, record_age: age, ..Settings::default() };
    let mut mapping = Mapping::new(settings, 0);
    let mut delivered = Vec::new();
    let mut destination: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut invoke = |event: &[u8]| {
        delivered.extend(records(event).into_iter().map(|(key, _)| key));
        Ok(b"{}".to_vec())
    };
    mapping.step(&mut stream, at(70), &mut invoke, &mut destination).unwrap();
    assert_eq!(delivered, ["1", "2", "3", "4", "5"]);
    assert_eq!((mapping.counts.invocations, mapping.counts.given_up), (1, 1));
    let body: Value = serde_json::from_slice(destination.values().next().unwrap()).unwrap();
    assert_eq!(body["requestContext"]["condition"], "RecordAgeExceeded");
    assert_eq!(body.get("responseContext"), None);
    assert_eq!(body["payload"]["Records"][0]["kinesis"]["partitionKey"], "old");
}

/// A lane that stands still holds up its own keys, and the shard only when it is full.
#[test]
fn lanes_of_a_shard_go_on_without_each_other() {
    let mut stream = stream(1);
    let keys = ["red", "green", "blue", "white", "black"];
    let lane = |key: &str| hash_key(key) % 2;
    assert!(keys.iter().any(|key| lane(key) == 0) && keys.iter().any(|key| lane(key) == 1));
    for _ in 0..3 {
        put(&mut stream, &keys, at(0));
    }
    let settings = Settings { batch_size: 20, lanes: 2, ..Settings::default() };
    let mut mapping = Mapping::new(settings, 0);
    let mut delivered = Vec::new();
    let mut destination: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for step in 0..4 {
        let mut invoke = |event: &[u8]| {
            let records = records(event);
            let lanes: BTreeSet<_> = records.iter().map(|(key, _)| lane(key)).collect();
            assert_eq!(lanes.len(), 1, "a batch is of one lane");
            if lanes.contains(&0) {
                return Ok(failed(&records[0].1));
            }
            delivered.extend(records.into_iter().map(|(key, _)| key));
            Ok(b"{}".to_vec())
        };
        mapping.step(&mut stream, at(step * 30), &mut invoke, &mut destination).unwrap();
    }
    assert!(delivered.iter().all(|key| lane(key) == 1));
    assert_eq!(delivered.len() as u64 + mapping.in_hand(), 15);
    assert!(mapping.in_hand() > 0);
}

#[test]
fn a_failed_invocation_is_bisected_until_the_record_at_fault_stands_alone() {
    let mut stream = stream(1);
    put(&mut stream, &["a", "b", "c", "poison", "d"], at(0));
    let mut mapping = Mapping::new(Settings { retries: Some(1), ..Settings::default() }, 0);
    let mut settled = Vec::new();
    let mut destination: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for step in 0..20 {
        let mut invoke = |event: &[u8]| {
            let records = records(event);
            if records.iter().any(|(key, _)| key == "poison") {
                return Err("crashed".to_owned());
            }
            settled.extend(records.into_iter().map(|(key, _)| key));
            Ok(b"{}".to_vec())
        };
        mapping.step(&mut stream, at(step * 30), &mut invoke, &mut destination).unwrap();
    }
    assert_eq!(settled, ["a", "b", "c", "d"]);
    assert_eq!(mapping.counts.given_up, 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Through reshards and failures, nothing is lost, and the first deliveries of a key come in
    /// the order in which they were put.
    #[test]
    fn order_per_key_holds_through_reshards(
        targets in prop::collection::vec(1_u32..9, 1..6),
        failing in prop::collection::btree_set(0_usize..60, 0..12),
        batch_size in 1_usize..20,
        lanes in 1_usize..4,
    ) {
        let mut stream = stream(2);
        let settings = Settings { batch_size, lanes, ..Settings::default() };
        let mut mapping = Mapping::new(settings, 0);
        let mut seen: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut destination: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        let mut put_count = 0_u64;
        let mut invocation = 0;
        for step in 0..400_i64 {
            let now = at(step * 30);
            stream.advance(now);
            if step < 120 {
                if step % 20 == 0 {
                    let target = targets[step as usize / 20 % targets.len()];
                    let _ = stream.update_shard_count(target, now);
                }
                put(&mut stream, &["red", "green", "blue", "white"], now);
                put_count += 4;
            }
            let mut invoke = |event: &[u8]| {
                invocation += 1;
                let records = records(event);
                for (key, number) in &records {
                    let numbers = seen.entry(key.clone()).or_default();
                    if !numbers.contains(number) {
                        numbers.push(number.clone());
                    }
                }
                if failing.contains(&invocation) {
                    return Ok(failed(&records[records.len() / 2].1));
                }
                Ok(b"{}".to_vec())
            };
            mapping.step(&mut stream, now, &mut invoke, &mut destination).unwrap();
        }
        let delivered: usize = seen.values().map(Vec::len).sum();
        prop_assert_eq!(delivered as u64 + stream.unread(0) + mapping.in_hand(), put_count);
        prop_assert_eq!(stream.unread(0), 0);
        for numbers in seen.values() {
            prop_assert!(numbers.is_sorted(), "{:?}", numbers);
        }
    }
}

/// The keys of the property above do not all lie in one shard.
#[test]
fn the_keys_are_spread() {
    let halves: BTreeSet<_> =
        ["red", "green", "blue", "white"].iter().map(|key| hash_key(key) > u128::MAX / 2).collect();
    assert_eq!(halves.len(), 2);
}
