//! The built autoscaler and consumer against emulators of AWS that others wrote: kinesis-local for
//! the limits of UpdateShardCount, ministack for CloudWatch and S3.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::thread::sleep;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tidegate_tests::emulator::{self, Emulator};
use tidegate_tests::http;
use tidegate_tests::lambda::Lambda;
use tidegate_tests::place::{bootstrap, fixture};

const STREAM: &str = "clicks";

/// A stream in one emulator, its metrics in another, and the autoscaler between them.
struct Setup {
    kinesis: Emulator,
    cloudwatch: Emulator,
    lambda: Lambda,
}

impl Setup {
    /// `None` where the tools or the bootstrap are missing.
    fn start(shards: u32, account_shards: u32, settings: &[(&str, &str)]) -> Option<Self> {
        let bootstrap = bootstrap("autoscaler")?;
        let limit = account_shards.to_string();
        let kinesis = emulator::kinesis(&[
            ("SHARD_LIMIT", limit.as_str()),
            ("CREATE_STREAM_DURATION", "10ms"),
            ("UPDATE_SHARD_COUNT_DURATION", "300ms"),
        ])?;
        let cloudwatch = emulator::ministack()?;
        let endpoints = (kinesis.endpoint(), cloudwatch.endpoint());
        let mut all = vec![
            ("TIDEGATE_STREAMS", STREAM),
            ("AWS_ENDPOINT_URL_KINESIS", endpoints.0.as_str()),
            ("AWS_ENDPOINT_URL_CLOUDWATCH", endpoints.1.as_str()),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("AWS_REGION", "us-east-1"),
        ];
        all.extend(settings);
        let lambda = Lambda::start(&bootstrap, &all).unwrap();
        let setup = Self { kinesis, cloudwatch, lambda };
        setup.kinesis("CreateStream", json!({"StreamName": STREAM, "ShardCount": shards}));
        setup.wait_until_active();
        Some(setup)
    }

    /// A call of Kinesis that must be accepted.
    fn kinesis(&self, operation: &str, body: Value) -> Value {
        let operation = format!("Kinesis_20131202.{operation}");
        let answer = http::aws(self.kinesis.port(), "kinesis", &operation, &body);
        assert_eq!(answer.status, 200, "{operation}: {}", String::from_utf8_lossy(&answer.body));
        answer.json()
    }

    fn summary(&self) -> Value {
        let answer = self.kinesis("DescribeStreamSummary", json!({"StreamName": STREAM}));
        answer["StreamDescriptionSummary"].clone()
    }

    fn wait_until_active(&self) {
        for _ in 0..200 {
            if self.summary()["StreamStatus"] == "ACTIVE" {
                return;
            }
            sleep(Duration::from_millis(50));
        }
        panic!("the stream does not become active");
    }

    /// An hour of load, in shards, up to two minutes ago.
    fn load(&self, shards: f64) {
        let points = (2..=62).flat_map(|minute| {
            [
                ("IncomingRecords", minute, shards * 60_000.0),
                ("IncomingBytes", minute, shards * 6e6),
            ]
        });
        self.put(&points.collect::<Vec<_>>());
    }

    fn iterator_age(&self, milliseconds: f64) {
        self.put(&[("GetRecords.IteratorAgeMilliseconds", 2, milliseconds)]);
    }

    /// Puts points: a metric, minutes ago, a value.
    fn put(&self, points: &[(&str, i64, f64)]) {
        let now = Timestamp::now();
        let dimensions = json!([{"Name": "StreamName", "Value": STREAM}]);
        let data: Vec<_> = points
            .iter()
            .map(|(metric, minutes, value)| {
                let at = now - SignedDuration::from_mins(*minutes);
                json!({"MetricName": metric, "Dimensions": dimensions, "Value": value,
                       "Timestamp": at.as_second()})
            })
            .collect();
        let body = json!({"Namespace": "AWS/Kinesis", "MetricData": data});
        let operation = "GraniteServiceVersion20100801.PutMetricData";
        let answer = http::aws(self.cloudwatch.port(), "monitoring", operation, &body);
        assert_eq!(answer.status, 200);
    }

    fn decide(&self, event: &str) -> Value {
        let decisions = self.lambda.respond(fixture(event)).unwrap();
        assert_eq!(decisions.as_array().unwrap().len(), 1, "{decisions}");
        decisions[0].clone()
    }

    fn open_shards(&self) -> u64 {
        self.wait_until_active();
        self.summary()["OpenShardCount"].as_u64().unwrap()
    }

    fn calls(&self) -> Value {
        let answer = self.kinesis("ListTagsForStream", json!({"StreamName": STREAM}));
        let calls =
            answer["Tags"].as_array().unwrap().iter().find(|tag| tag["Key"] == "tidegate:calls");
        calls.map_or(Value::Null, |tag| tag["Value"].clone())
    }
}

#[track_caller]
fn expect(decision: &Value, action: &str, reason: &str, applied: &str) {
    let found = (&decision["action"], &decision["reason"], &decision["applied"]);
    assert_eq!(found, (&json!(action), &json!(reason), &json!(applied)), "{decision:#}");
}

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
fn the_eleventh_call_of_a_day_is_not_made() {
    let Some(setup) = Setup::start(4, 50, &ACTIVE) else { return };
    setup.load(6.0);
    let now = Timestamp::now().as_second();
    let calls: Vec<_> = (1..=10).map(|n| (now - n * 3_600).to_string()).collect();
    let tag = json!({"StreamName": STREAM, "Tags": {"tidegate:calls": calls.join(" ")}});
    setup.kinesis("AddTagsToStream", tag);
    let decision = setup.decide("autoscaler-alarm-direct");
    expect(&decision, "hold", "calls_spent", "nothing");
    assert!(decision["message"].as_str().unwrap().contains("the next is free at"), "{decision}");
    assert_eq!(setup.open_shards(), 4);
}

#[test]
fn a_stream_that_is_updating_or_missing_is_left_alone() {
    let Some(setup) = Setup::start(4, 50, &ACTIVE) else { return };
    setup.load(6.0);
    let update = json!({"StreamName": STREAM, "TargetShardCount": 6,
                        "ScalingType": "UNIFORM_SCALING"});
    setup.kinesis("UpdateShardCount", update);
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
