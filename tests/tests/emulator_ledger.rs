//! The built autoscaler with a ledger, tags and streams that it finds itself, among emulators that
//! others wrote: kinesis-local for the limits of UpdateShardCount, ministack for CloudWatch and
//! DynamoDB. Nobody emulates the tagging API for Kinesis, so that its answers are ours.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::thread;

use serde_json::{Value, json};
use tidegate_tests::account::{Account, Stream};
use tidegate_tests::place::fixture;
use tidegate_tests::setup::{STREAM, Setup, expect};

const BY_HAND: &str = "autoscaler-by-hand";

/// The entry that the ledger has of the stream.
fn entry(setup: &Setup) -> Value {
    serde_json::from_str(setup.ledger()["entry"]["S"].as_str().unwrap()).unwrap()
}

#[test]
fn more_then_enough_and_the_ledger_knows() {
    let Some(setup) = Setup::with_ledger(4, &[]) else { return };
    setup.load(7.0);
    let decision = setup.decide("autoscaler-alarm-direct");
    expect(&decision, "resize", "demand_above_capacity", "done");
    assert_eq!(setup.open_shards(), 8);
    assert_eq!(entry(&setup)["own"].as_array().unwrap().len(), 1);
    assert!(setup.calls().is_string(), "the tag has the call too");
    let expires: i64 = setup.ledger()["expires"]["N"].as_str().unwrap().parse().unwrap();
    let days = (expires - jiff::Timestamp::now().as_second()) / 86_400;
    assert!((39..=40).contains(&days), "kept for {days} days");
    // Whether a ninth shard would be better is weighed by the minute of the day; no call is worth it.
    let again = setup.decide("autoscaler-alarm-sns");
    let reason = again["reason"].as_str().unwrap();
    assert!(["enough", "call_not_worth_it"].contains(&reason), "{again}");
    expect(&again, "hold", reason, "nothing");
    assert_eq!(setup.open_shards(), 8);
}

#[test]
fn fewer_when_fewer_would_do() {
    let Some(setup) = Setup::with_ledger(8, &[]) else { return };
    setup.load(0.5);
    setup.iterator_age(0.0);
    expect(&setup.decide(BY_HAND), "resize", "fewer_would_do", "done");
    assert_eq!(setup.open_shards(), 4);
    assert_eq!(entry(&setup)["own"].as_array().unwrap().len(), 1);
}

#[test]
fn shadow_mode_spends_no_call() {
    let Some(setup) = Setup::with_ledger(4, &[("TIDEGATE_MODE", "shadow")]) else { return };
    setup.load(6.0);
    expect(&setup.decide(BY_HAND), "resize", "demand_above_capacity", "shadow");
    assert_eq!(setup.open_shards(), 4);
    assert_eq!(setup.calls(), Value::Null);
    assert_eq!(entry(&setup)["own"], json!([]));
}

/// Ten calls, each as far as the owner lets it; the eleventh is not made, and that without the tag.
/// A split of all shards, which takes its place, would go beyond what the owner allows.
#[test]
fn the_eleventh_call_is_refused_by_the_ledger_alone() {
    let Some(setup) = Setup::with_ledger(1, &[]) else { return };
    setup.load(40.0);
    let allow = |shards: u64| setup.tag(json!({"tidegate:max-shards": shards.to_string()}));
    for shards in 2..=11 {
        allow(shards);
        expect(&setup.decide(BY_HAND), "resize", "demand_above_capacity", "done");
        assert_eq!(setup.open_shards(), shards);
    }
    allow(12);
    setup.untag("tidegate:calls");
    let decision = setup.decide(BY_HAND);
    expect(&decision, "hold", "policy_bounds", "nothing");
    assert_eq!(decision["calls_left"], 0);
    assert_eq!(setup.open_shards(), 11);
}

#[test]
fn a_call_of_somebody_else_is_counted() {
    let Some(setup) = Setup::with_ledger(4, &[]) else { return };
    setup.load(3.0);
    assert_eq!(setup.decide(BY_HAND)["calls_left"], 10);
    setup.resize(6);
    assert_eq!(setup.open_shards(), 6);
    let decision = setup.decide(BY_HAND);
    assert_eq!(decision["calls_left"], 9, "{decision:#}");
    let stages = decision["stages"].as_array().unwrap();
    let ledger = stages.iter().find(|stage| stage["stage"] == "ledger").unwrap();
    assert_eq!(ledger["reason"], "calls_of_others", "{decision:#}");
}

#[test]
fn tags_bound_pause_and_stop() {
    let Some(setup) = Setup::with_ledger(4, &[]) else { return };
    setup.load(6.0);
    setup.tag(json!({"tidegate:paused": "yes"}));
    expect(&setup.decide(BY_HAND), "hold", "paused", "nothing");
    setup.tag(json!({"tidegate:paused": "false", "tidegate:max-shards": "many"}));
    let decision = setup.decide(BY_HAND);
    expect(&decision, "hold", "tag_unreadable", "nothing");
    let message = decision["message"].as_str().unwrap();
    assert!(message.contains("tidegate:max-shards"), "{message}");
    setup.tag(json!({"tidegate:max-shards": "5"}));
    expect(&setup.decide(BY_HAND), "resize", "demand_above_capacity", "done");
    assert_eq!(setup.open_shards(), 5);
}

#[test]
fn two_at_once_act_once() {
    let Some(setup) = Setup::with_ledger(4, &[]) else { return };
    let Some(another) = setup.another(&[]) else { return };
    setup.load(6.0);
    let decisions = thread::scope(|scope| {
        let event = || fixture("autoscaler-alarm-direct");
        let runs = [&setup.lambda, &another]
            .map(|lambda| scope.spawn(move || lambda.respond(event()).unwrap()[0].clone()));
        runs.map(|run| run.join().unwrap())
    });
    let done = decisions.iter().filter(|decision| decision["applied"] == "done").count();
    assert_eq!(done, 1, "{decisions:#?}");
    assert_eq!(setup.open_shards(), 8);
    assert_eq!(entry(&setup)["own"].as_array().unwrap().len(), 1);
}

#[test]
fn a_heartbeat_finds_the_streams_that_opted_in() {
    let stream = |tag: &str| Stream {
        shards: 4,
        load: 0.0,
        tags: BTreeMap::from([("tidegate:autoscale".to_owned(), tag.to_owned())]),
    };
    let tagged = [(STREAM, "yes"), ("opted-out", "false"), ("gone", "yes")];
    let tagging = Account::serve(
        tagged.into_iter().map(|(name, tag)| (name.to_owned(), stream(tag))).collect(),
    );
    let endpoint = tagging.endpoint();
    let settings = [
        ("TIDEGATE_STREAMS", ""),
        ("AWS_ENDPOINT_URL_RESOURCE_GROUPS_TAGGING_API", endpoint.as_str()),
    ];
    let Some(setup) = Setup::with_ledger(4, &settings) else { return };
    setup.create("opted-out");
    setup.create("not-tagged");
    setup.tag(json!({"tidegate:autoscale": "yes"}));
    setup.load(6.0);
    let decision = setup.decide("autoscaler-heartbeat");
    assert_eq!(decision["stream"], STREAM);
    expect(&decision, "resize", "demand_above_capacity", "done");
    assert_eq!(setup.open_shards(), 8);
    let refused = setup.lambda.respond(json!({"stream": "not-tagged"})).unwrap();
    expect(&refused[0], "hold", "not_opted_in", "nothing");
}

#[test]
fn a_schedule_raises_the_floor_and_a_tag_opts_out() {
    let schedules = r#"{"always": {"cron": "0 * * * *", "time_zone": "UTC", "duration": "2h",
        "min_shards": 8, "by_default": true}, "never": {"cron": "0 0 1 1 *", "time_zone": "UTC",
        "duration": "15m", "min_shards": 40}}"#;
    let Some(setup) = Setup::with_ledger(4, &[("TIDEGATE_SCHEDULES", schedules)]) else { return };
    setup.load(0.5);
    setup.iterator_age(0.0);
    setup.tag(json!({"tidegate:schedule": "nobody"}));
    expect(&setup.decide(BY_HAND), "hold", "tag_unreadable", "nothing");
    setup.untag("tidegate:schedule");
    let decision = setup.decide(BY_HAND);
    expect(&decision, "resize", "schedule", "done");
    assert!(decision["message"].as_str().unwrap().contains("always"), "{decision:#}");
    assert_eq!(setup.open_shards(), 8);
    // Half would do, and the window is open.
    let held = setup.decide(BY_HAND);
    assert_eq!((&held["action"], &held["target"]), (&json!("hold"), &json!(8)), "{held:#}");
}

#[test]
fn each_tag_overrides_its_setting() {
    let Some(setup) = Setup::with_ledger(4, &[]) else { return };
    setup.load(0.5);
    let unset = ["min-shards", "max-shards", "mode", "missing-iterator-age", "hot-shards"];
    // tags, action, reason, applied
    let cases = [
        (json!({}), "hold", "iterator_age_unknown", "nothing"),
        (
            json!({"missing-iterator-age": "allow", "mode": "shadow"}),
            "resize",
            "fewer_would_do",
            "shadow",
        ),
        (json!({"missing-iterator-age": "allow", "min-shards": "4"}), "hold", "enough", "nothing"),
        (json!({"min-shards": "6"}), "resize", "policy_bounds", "done"),
    ];
    for (tags, action, reason, applied) in cases {
        for tag in unset {
            setup.untag(&format!("tidegate:{tag}"));
        }
        let tags = tags.as_object().unwrap().iter();
        let tags: BTreeMap<_, _> =
            tags.map(|(tag, value)| (format!("tidegate:{tag}"), value)).collect();
        if !tags.is_empty() {
            setup.tag(json!(tags));
        }
        expect(&setup.decide(BY_HAND), action, reason, applied);
    }
    assert_eq!(setup.open_shards(), 6);
}
