//! The built autoscaler among emulators: a stream in one, its metrics and its ledger in another.

use std::thread::sleep;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::emulator::{self, Emulator};
use crate::http;
use crate::lambda::{Ended, Lambda};
use crate::place::{bootstrap, fixture};

/// The stream that the events of `tests/events/` name.
pub const STREAM: &str = "clicks";

/// The table of the ledger.
const TABLE: &str = "ledger";

/// Settings of an autoscaler that may change the stream and has a ledger.
const LEDGER: [(&str, &str); 2] = [("TIDEGATE_MODE", "active"), ("TIDEGATE_LEDGER_TABLE", TABLE)];

/// A stream in one emulator, its metrics in another, and the autoscaler between them.
pub struct Setup {
    kinesis: Emulator,
    cloudwatch: Emulator,
    /// The autoscaler.
    pub lambda: Lambda,
}

impl Setup {
    /// Without a ledger; `None` where the tools or the bootstrap are missing.
    pub fn start(shards: u32, account_shards: u32, settings: &[(&str, &str)]) -> Option<Self> {
        let limit = account_shards.to_string();
        let kinesis = emulator::kinesis(&[
            ("SHARD_LIMIT", limit.as_str()),
            ("CREATE_STREAM_DURATION", "10ms"),
            ("UPDATE_SHARD_COUNT_DURATION", "300ms"),
        ])?;
        let cloudwatch = emulator::ministack()?;
        let lambda = autoscaler(&kinesis, &cloudwatch, settings)?;
        let setup = Self { kinesis, cloudwatch, lambda };
        setup.kinesis("CreateStream", json!({"StreamName": STREAM, "ShardCount": shards}));
        setup.wait_until_active();
        Some(setup)
    }

    /// In active mode, with the table of a ledger.
    pub fn with_ledger(shards: u32, settings: &[(&str, &str)]) -> Option<Self> {
        let settings = [&LEDGER[..], settings].concat();
        let setup = Self::start(shards, 100, &settings)?;
        let key = json!([{"AttributeName": "stream", "KeyType": "HASH"}]);
        let attribute = json!([{"AttributeName": "stream", "AttributeType": "S"}]);
        setup.dynamodb(
            "CreateTable",
            json!({"TableName": TABLE, "KeySchema": key,
            "AttributeDefinitions": attribute, "BillingMode": "PAY_PER_REQUEST"}),
        );
        Some(setup)
    }

    /// One more autoscaler beside the first, as Lambda starts one for each invocation at the same
    /// time.
    pub fn another(&self, settings: &[(&str, &str)]) -> Option<Lambda> {
        autoscaler(&self.kinesis, &self.cloudwatch, &[&LEDGER[..], settings].concat())
    }

    /// A call of DynamoDB that must be accepted.
    pub fn dynamodb(&self, operation: &str, body: Value) -> Value {
        let operation = format!("DynamoDB_20120810.{operation}");
        accepted(self.cloudwatch.port(), "dynamodb", &operation, &body)
    }

    /// The ledger's item of the stream; null when there is none.
    pub fn ledger(&self) -> Value {
        let key = json!({"TableName": TABLE, "Key": {"stream": {"S": STREAM}}});
        self.dynamodb("GetItem", key)["Item"].clone()
    }

    /// Sets tags of the stream.
    pub fn tag(&self, tags: Value) {
        self.kinesis("AddTagsToStream", json!({"StreamName": STREAM, "Tags": tags}));
    }

    /// Removes a tag of the stream.
    pub fn untag(&self, key: &str) {
        self.kinesis("RemoveTagsFromStream", json!({"StreamName": STREAM, "TagKeys": [key]}));
    }

    /// One more stream, of one shard.
    pub fn create(&self, stream: &str) {
        self.kinesis("CreateStream", json!({"StreamName": stream, "ShardCount": 1}));
    }

    /// Changes the number of shards as somebody else would.
    pub fn resize(&self, target: u32) {
        let scaling = "UNIFORM_SCALING";
        let body =
            json!({"StreamName": STREAM, "TargetShardCount": target, "ScalingType": scaling});
        self.kinesis("UpdateShardCount", body);
    }

    /// A call of Kinesis that must be accepted.
    pub fn kinesis(&self, operation: &str, body: Value) -> Value {
        let operation = format!("Kinesis_20131202.{operation}");
        accepted(self.kinesis.port(), "kinesis", &operation, &body)
    }

    /// A call of CloudWatch that must be accepted.
    pub fn cloudwatch(&self, operation: &str, body: Value) -> Value {
        let operation = format!("GraniteServiceVersion20100801.{operation}");
        accepted(self.cloudwatch.port(), "monitoring", &operation, &body)
    }

    /// What the stream says of itself.
    pub fn summary(&self) -> Value {
        let answer = self.kinesis("DescribeStreamSummary", json!({"StreamName": STREAM}));
        answer["StreamDescriptionSummary"].clone()
    }

    /// Waits until the stream is active.
    pub fn wait_until_active(&self) {
        for _ in 0..200 {
            if self.summary()["StreamStatus"] == "ACTIVE" {
                return;
            }
            sleep(Duration::from_millis(50));
        }
        panic!("the stream does not become active");
    }

    /// An hour of load, in shards, up to two minutes ago.
    pub fn load(&self, shards: f64) {
        let points = (2..=62).flat_map(|minute| {
            [
                ("IncomingRecords", minute, shards * 60_000.0),
                ("IncomingBytes", minute, shards * 6e6),
            ]
        });
        self.put(None, &points.collect::<Vec<_>>());
    }

    /// The newest age of a record that was read.
    pub fn iterator_age(&self, milliseconds: f64) {
        self.put(None, &[("GetRecords.IteratorAgeMilliseconds", 2, milliseconds)]);
    }

    /// Records that the stream rejected in each of the last minutes.
    pub fn rejected(&self, records: f64) {
        let minutes = 2..=8;
        let points = minutes.map(|ago| ("WriteProvisionedThroughputExceeded", ago, records));
        self.put(None, &points.collect::<Vec<_>>());
    }

    /// What one shard took and rejected in each of the last minutes, in shards and in records.
    pub fn load_of_shard(&self, shard: &str, load: f64, rejected: f64) {
        let points = (2..=8).flat_map(|minute| {
            [
                ("IncomingRecords", minute, load * 60_000.0),
                ("IncomingBytes", minute, load * 6e6),
                ("WriteProvisionedThroughputExceeded", minute, rejected),
            ]
        });
        self.put(Some(shard), &points.collect::<Vec<_>>());
    }

    /// Writes a record for each of the keys, at most 500; the shards that took them.
    pub fn write(&self, keys: &[String]) -> Vec<String> {
        let record = |key: &String| json!({"PartitionKey": key, "Data": "eyJhIjoxfQ=="});
        let records: Vec<_> = keys.iter().map(record).collect();
        let answer = self.kinesis("PutRecords", json!({"StreamName": STREAM, "Records": records}));
        let taken = answer["Records"].as_array().expect("it is as this setup needs it").iter();
        taken.map(|record| record["ShardId"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// The open shards by their names.
    pub fn shards(&self) -> Vec<Value> {
        let filter = json!({"Type": "AT_LATEST"});
        let answer =
            self.kinesis("ListShards", json!({"StreamName": STREAM, "ShardFilter": filter}));
        answer["Shards"].as_array().expect("it is as this setup needs it").clone()
    }

    /// Puts points of the stream or of one shard: a metric, minutes ago, a value.
    fn put(&self, shard: Option<&str>, points: &[(&str, i64, f64)]) {
        let now = Timestamp::now();
        let of = [("StreamName", Some(STREAM)), ("ShardId", shard)].into_iter();
        let dimensions: Vec<_> =
            of.filter_map(|(name, of)| Some(json!({"Name": name, "Value": of?}))).collect();
        let data: Vec<_> = points
            .iter()
            .map(|(metric, minutes, value)| {
                let at = now - SignedDuration::from_mins(*minutes);
                json!({"MetricName": metric, "Dimensions": dimensions, "Value": value,
                       "Timestamp": at.as_second()})
            })
            .collect();
        let body = json!({"Namespace": "AWS/Kinesis", "MetricData": data});
        self.cloudwatch("PutMetricData", body);
    }

    /// The one decision that a fixture's event is answered with.
    pub fn decide(&self, event: &str) -> Value {
        only(self.lambda.respond(fixture(event)).expect("it is as this setup needs it"))
    }

    /// The same, where the function has no more than so much time.
    pub fn decide_within(&self, event: &str, timeout: Duration) -> Value {
        match self.lambda.invoke_within(fixture(event), timeout) {
            Ok(Ended::Response(decisions)) => only(decisions),
            ended => panic!("{ended:?}"),
        }
    }

    /// The open shards, once the stream is active.
    pub fn open_shards(&self) -> u64 {
        self.wait_until_active();
        self.summary()["OpenShardCount"].as_u64().expect("it is as this setup needs it")
    }

    /// What the tag says of the calls; null when it is not there.
    pub fn calls(&self) -> Value {
        let answer = self.kinesis("ListTagsForStream", json!({"StreamName": STREAM}));
        let calls = answer["Tags"]
            .as_array()
            .expect("it is as this setup needs it")
            .iter()
            .find(|tag| tag["Key"] == "tidegate:calls");
        calls.map_or(Value::Null, |tag| tag["Value"].clone())
    }
}

/// Starts an autoscaler between the emulators; `None` where the bootstrap is missing.
fn autoscaler(
    kinesis: &Emulator,
    cloudwatch: &Emulator,
    settings: &[(&str, &str)],
) -> Option<Lambda> {
    let (kinesis, others) = (kinesis.endpoint(), cloudwatch.endpoint());
    let mut all = vec![
        ("TIDEGATE_STREAMS", STREAM),
        ("AWS_ENDPOINT_URL_KINESIS", kinesis.as_str()),
        ("AWS_ENDPOINT_URL", others.as_str()),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_REGION", "us-east-1"),
    ];
    all.extend(settings);
    Some(Lambda::start(&bootstrap("autoscaler")?, &all).expect("the autoscaler starts"))
}

/// The one decision of an answer.
fn only(decisions: Value) -> Value {
    match decisions.as_array().map(Vec::as_slice) {
        Some([decision]) => decision.clone(),
        _ => panic!("{decisions} is not one decision"),
    }
}

/// A call that must be accepted.
fn accepted(port: u16, service: &str, operation: &str, body: &Value) -> Value {
    let answer = http::aws(port, service, operation, body);
    let said = String::from_utf8_lossy(&answer.body);
    assert_eq!(answer.status, 200, "{operation}: {said}");
    answer.json()
}

/// Holds a decision against its action, its reason, and what was applied.
#[track_caller]
pub fn expect(decision: &Value, action: &str, reason: &str, applied: &str) {
    let found = (&decision["action"], &decision["reason"], &decision["applied"]);
    assert_eq!(found, (&json!(action), &json!(reason), &json!(applied)), "{decision:#}");
}
