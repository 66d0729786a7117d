//! The built autoscaler and single shards, among emulators that others wrote: a hot shard, a hot
//! key, and the split of every shard when the ten calls are spent.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tidegate_tests::setup::{Setup, expect};

const BY_HAND: &str = "autoscaler-by-hand";
const SPLIT: [(&str, &str); 1] = [("TIDEGATE_HOT_SHARDS", "split")];

/// A stream of four shards that rejects records while it has room, with the metrics of its shards
/// turned on by the first look, and one of them at its limit.
fn hot(keys: &[String], settings: &[(&str, &str)]) -> Option<(Setup, String)> {
    let setup = Setup::with_ledger(4, settings)?;
    setup.load(1.6);
    setup.rejected(600.0);
    let decision = setup.decide(BY_HAND);
    expect(&decision, "watch", "hot_shard_suspected", "done");
    let monitored = &setup.summary()["EnhancedMonitoring"][0]["ShardLevelMetrics"];
    assert!(monitored.as_array().unwrap().contains(&json!("IncomingBytes")), "{monitored}");
    let taken: Vec<_> = keys.chunks(500).flat_map(|keys| setup.write(keys)).collect();
    let hot = taken[0].clone();
    for shard in setup.shards() {
        let shard = shard["ShardId"].as_str().unwrap();
        let (load, rejected) = if shard == hot { (0.95, 600.0) } else { (0.2, 0.0) };
        setup.load_of_shard(shard, load, rejected);
    }
    Some((setup, hot))
}

fn range(shard: &Value) -> (u128, u128) {
    let end = |key: &str| shard["HashKeyRange"][key].as_str().unwrap().parse().unwrap();
    (end("StartingHashKey"), end("EndingHashKey"))
}

#[test]
fn a_hot_shard_is_found_and_split() {
    let keys: Vec<_> = (0..2_000).map(|number| format!("customer-{number}")).collect();
    let Some((setup, hot)) = hot(&keys, &SPLIT) else { return };
    let before = setup.shards();
    let decision = setup.decide(BY_HAND);
    expect(&decision, "split", "hot_shard", "done");
    assert_eq!(decision["splits"][0]["shard"], json!(hot), "{decision:#}");
    assert_eq!(decision["splits"][0]["by"], "sample", "{decision:#}");
    assert_eq!(decision["calls_left"], 10, "a split is none of the ten");
    assert_eq!(setup.open_shards(), 5);
    // Keys that are spread evenly are divided near the middle of the range.
    let (first, last) = range(before.iter().find(|shard| shard["ShardId"] == json!(hot)).unwrap());
    let children: Vec<_> =
        setup.shards().into_iter().filter(|shard| shard["ParentShardId"] == json!(hot)).collect();
    assert_eq!(children.len(), 2);
    for child in &children {
        let (low, high) = range(child);
        let percent = (high - low) / ((last - first) / 100);
        assert!((40..=60).contains(&percent), "{percent} % of the range");
    }
    // What rejected is gone: the same minutes argue for nothing more.
    let again = setup.decide(BY_HAND);
    assert_eq!(again["action"], "hold", "{again:#}");
    assert_eq!(setup.open_shards(), 5);
}

#[test]
fn a_hot_key_is_reported_and_not_split() {
    let keys = vec!["the-one-customer".to_owned(); 400];
    let Some((setup, _)) = hot(&keys, &SPLIT) else { return };
    let decision = setup.decide(BY_HAND);
    expect(&decision, "hold", "hot_key", "nothing");
    assert_eq!(setup.open_shards(), 4);
}

#[test]
fn a_complete_split_goes_on_where_the_time_was_over() {
    let Some(setup) = Setup::with_ledger(4, &[]) else { return };
    setup.load(6.0);
    let now = Timestamp::now().as_second();
    let calls: Vec<_> = (1..=10).map(|n| (now - n * 3_600).to_string()).collect();
    setup.tag(json!({"tidegate:calls": calls.join(" ")}));
    // A split begins as long as ten seconds are left, and the next one looks after three.
    let first = setup.decide_within(BY_HAND, Duration::from_secs(15));
    expect(&first, "split", "split_fallback", "done");
    assert_eq!((&first["complete"]["from"], &first["complete"]["to"]), (&json!(4), &json!(8)));
    let message = first["message"].as_str().unwrap();
    assert!(message.ends_with("made, and the next look goes on"), "{message}");
    let between = setup.open_shards();
    assert!((5..8).contains(&between), "{between} shards");
    let second = setup.decide(BY_HAND);
    assert_eq!((&second["action"], &second["applied"]), (&json!("split"), &json!("done")));
    assert_eq!(second["complete"]["began"], first["complete"]["began"], "{second:#}");
    assert_eq!(setup.open_shards(), 8);
    let widths: Vec<_> = setup.shards().iter().map(range).map(|(low, high)| high - low).collect();
    let (narrowest, widest) = (widths.iter().min().unwrap(), widths.iter().max().unwrap());
    assert!(widest - narrowest < 8, "{widths:?}");
    // It has what it asked for, and nobody takes the splits for calls of others.
    let third = setup.decide(BY_HAND);
    assert_eq!(third["open_shards"], 8);
    assert_eq!(third["splits"], Value::Null, "{third:#}");
}
