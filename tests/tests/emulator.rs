//! The built autoscaler and consumer against emulators of AWS that others wrote: kinesis-local for
//! the limits of UpdateShardCount, ministack for CloudWatch and S3.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use jiff::Timestamp;
use serde_json::{Value, json};
use tidegate_tests::emulator;
use tidegate_tests::http;
use tidegate_tests::lambda::Lambda;
use tidegate_tests::place::{bootstrap, fixture};
use tidegate_tests::setup::{Setup, expect};

const ACTIVE: [(&str, &str); 1] = [("TIDEGATE_MODE", "active")];

#[test]
fn an_alarm_changes_the_shard_count() {
    let Some(setup) = Setup::start(4, 50, &ACTIVE) else { return };
    setup.load(6.0);
    let decision = setup.decide("autoscaler-alarm-direct");
    expect(&decision, "resize", "demand_above_capacity", "done");
    assert_eq!(setup.open_shards(), 8);
    assert!(setup.calls().is_string(), "the call was not written down");
    // The same alarm once more, by another way: the stream has what it needs.
    let again = setup.decide("autoscaler-alarm-sns");
    assert_eq!(again["open_shards"], 8, "{again:#}");
    assert_eq!(setup.open_shards(), 8);
}

#[test]
fn shadow_mode_is_the_default_and_changes_nothing() {
    let Some(setup) = Setup::start(4, 50, &[]) else { return };
    setup.load(6.0);
    let decision = setup.decide("autoscaler-by-hand");
    expect(&decision, "resize", "demand_above_capacity", "shadow");
    assert_eq!(decision["target"], 8);
    assert_eq!(setup.open_shards(), 4);
    assert_eq!(setup.calls(), Value::Null);
}

#[test]
fn fewer_shards_wait_for_the_consumer() {
    let Some(setup) = Setup::start(8, 50, &ACTIVE) else { return };
    setup.load(0.5);
    expect(&setup.decide("autoscaler-by-hand"), "hold", "iterator_age_unknown", "nothing");
    setup.iterator_age(3_600_000.0);
    expect(&setup.decide("autoscaler-by-hand"), "hold", "iterator_age", "nothing");
    assert_eq!(setup.open_shards(), 8);
}

#[test]
fn fewer_shards_when_the_consumer_is_up_to_date() {
    let Some(setup) = Setup::start(8, 50, &ACTIVE) else { return };
    setup.load(0.5);
    setup.iterator_age(0.0);
    expect(&setup.decide("autoscaler-by-hand"), "resize", "fewer_would_do", "done");
    assert_eq!(setup.open_shards(), 4);
}

#[test]
fn a_muted_alarm_wakes_nobody() {
    let Some(setup) = Setup::start(4, 50, &ACTIVE) else { return };
    setup.load(6.0);
    expect(&setup.decide("autoscaler-alarm-event-bridge-muted"), "hold", "muted", "nothing");
    assert_eq!(setup.open_shards(), 4);
}

/// What a run leaves in the log: the decision, and its figures as metrics of CloudWatch.
#[test]
fn a_decision_is_told_with_its_figures() {
    let Some(setup) = Setup::start(4, 50, &ACTIVE) else { return };
    setup.load(6.0);
    let decision = setup.decide("autoscaler-alarm-direct");
    let told = setup.lambda.events("decision").unwrap().pop().unwrap();
    for (key, value) in decision.as_object().unwrap() {
        assert_eq!(told[key], *value, "{key}");
    }
    setup.wait_until_active();
    setup.decide("autoscaler-alarm-direct");
    let output = setup.lambda.output().unwrap();
    let lines = output.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let metrics: Vec<_> = lines.filter(|line| !line["_aws"].is_null()).collect();
    let figures = |at: usize| {
        let keys = ["OpenShards", "DesiredShards", "CallsLeft", "Resized", "Held", "DemandShards"];
        keys.map(|key| metrics[at][key].as_f64().unwrap())
    };
    assert_eq!(metrics.len(), 2, "{output}");
    assert_eq!(figures(0), [4.0, 8.0, 10.0, 1.0, 0.0, 6.0]);
    assert_eq!(figures(1), [8.0, 8.0, 9.0, 0.0, 1.0, 6.0]);
    let reasons = ["enough", "settling", "call_not_worth_it"];
    assert!(reasons.contains(&metrics[1]["Reason"].as_str().unwrap()), "{}", metrics[1]);
    for document in &metrics {
        assert_eq!(document["StreamName"], "clicks");
        let directive = &document["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(directive["Dimensions"], json!([["StreamName"]]), "{document}");
        for metric in directive["Metrics"].as_array().unwrap() {
            assert!(document[metric["Name"].as_str().unwrap()].is_number(), "{metric}");
        }
    }
}

#[test]
fn a_limit_that_forbids_it_is_the_reason_to_hold() {
    // The account has room for the stream as it is, and for nothing more.
    let Some(setup) = Setup::start(4, 4, &ACTIVE) else { return };
    setup.load(6.0);
    expect(&setup.decide("autoscaler-alarm-event-bridge"), "hold", "account_limit", "nothing");
    assert_eq!(setup.open_shards(), 4);
}

#[test]
fn the_policys_maximum_cuts_and_then_holds() {
    let settings = [("TIDEGATE_MODE", "active"), ("TIDEGATE_MAX_SHARDS", "5")];
    let Some(setup) = Setup::start(4, 50, &settings) else { return };
    setup.load(6.0);
    let decision = setup.decide("autoscaler-by-hand");
    expect(&decision, "resize", "demand_above_capacity", "done");
    assert_eq!(setup.open_shards(), 5);
    expect(&setup.decide("autoscaler-by-hand"), "hold", "policy_bounds", "nothing");
}

#[test]
fn in_place_of_the_eleventh_call_shards_are_split() {
    let Some(setup) = Setup::start(4, 50, &ACTIVE) else { return };
    setup.load(6.0);
    let now = Timestamp::now().as_second();
    let calls: Vec<_> = (1..=10).map(|n| (now - n * 3_600).to_string()).collect();
    setup.tag(json!({"tidegate:calls": calls.join(" ")}));
    let decision = setup.decide("autoscaler-alarm-direct");
    // Demand is above what the shards carry: they are split one by one, outside of the ten.
    expect(&decision, "split", "split_fallback", "done");
    assert_eq!(decision["calls_left"], 0);
    assert_eq!(decision["complete"]["to"], 8);
    assert!(setup.open_shards() > 4);
}

#[test]
fn calls_that_are_spent_are_waited_for_without_need() {
    let Some(setup) = Setup::start(4, 50, &ACTIVE) else { return };
    setup.load(0.5);
    setup.iterator_age(0.0);
    let now = Timestamp::now().as_second();
    let calls: Vec<_> = (1..=10).map(|n| (now - n * 3_600).to_string()).collect();
    setup.tag(json!({"tidegate:calls": calls.join(" ")}));
    let decision = setup.decide("autoscaler-alarm-direct");
    expect(&decision, "hold", "calls_spent", "nothing");
    assert!(decision["message"].as_str().unwrap().contains("the next is free at"), "{decision}");
    assert_eq!(setup.open_shards(), 4);
}

#[test]
fn a_stream_that_is_updating_or_missing_is_left_alone() {
    let Some(setup) = Setup::start(4, 50, &ACTIVE) else { return };
    setup.load(6.0);
    setup.resize(6);
    expect(&setup.decide("autoscaler-by-hand"), "hold", "stream_updating", "nothing");
    let missing = setup.lambda.respond(json!({"stream": "no-such-stream"})).unwrap();
    expect(&missing[0], "hold", "stream_not_found", "nothing");
    assert_eq!(missing[0]["open_shards"], Value::Null);
}

/// Poison goes to the bucket, once, however often its batch comes again.
#[test]
fn the_consumer_quarantines_to_s3() {
    let (Some(bootstrap), Some(s3)) = (bootstrap("consumer"), emulator::ministack()) else {
        return;
    };
    let ask = |method, path| http::request(s3.port(), method, path, &[], b"").unwrap();
    assert_eq!(ask("PUT", "/poison").status, 200);
    let endpoint = s3.endpoint();
    let settings = [
        ("TIDEGATE_QUARANTINE", "s3://poison/kept"),
        ("AWS_ENDPOINT_URL_S3", endpoint.as_str()),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_REGION", "us-east-1"),
    ];
    let lambda = Lambda::start(&bootstrap, &settings).unwrap();
    for _ in 0..2 {
        let response = lambda.respond(fixture("kinesis-bad-json")).unwrap();
        assert_eq!(response, json!({"batchItemFailures": []}), "{}", lambda.output().unwrap());
    }
    let listing = ask("GET", "/poison?list-type=2&prefix=kept/").body;
    let listing = String::from_utf8_lossy(&listing);
    assert_eq!(listing.matches("<Key>kept/").count(), 1, "{listing}");
    // Without the bucket nothing is settled.
    let gone = [&settings[1..], &[("TIDEGATE_QUARANTINE", "s3://no-such-bucket/kept")]].concat();
    let lambda = Lambda::start(&bootstrap, &gone).unwrap();
    let response = lambda.respond(fixture("kinesis-bad-json")).unwrap();
    assert_eq!(response["batchItemFailures"].as_array().unwrap().len(), 1, "{response}");
}
