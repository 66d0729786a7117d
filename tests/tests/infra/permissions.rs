//! The proof of least privilege: the built functions run with the settings that their templates give
//! them, every request that they make is allowed by the role beside, and every call that a role
//! allows is made, but for those that are listed here as somebody else's.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tidegate_tests::account::{Account, Stream};
use tidegate_tests::canned::{Answer, Asked, Canned};
use tidegate_tests::lambda::{Ended, Lambda};
use tidegate_tests::place::fixture;

use crate::policy::{ACCOUNT, Deployment, REGION};
use crate::proof::{Proof, start};

/// What Lambda does in the name of each role: it writes the log, puts the function into a VPC, and
/// sends traces ("Giving Lambda functions access to resources in an Amazon VPC" and "Visualize Lambda
/// function invocations using AWS X-Ray", AWS Lambda Developer Guide, 2026-11).
const OF_LAMBDA: [(&str, &str); 10] = [
    ("logs:CreateLogStream", "arn:aws:logs:us-east-1:111122223333:log-group:loggroup:*"),
    ("logs:PutLogEvents", "arn:aws:logs:us-east-1:111122223333:log-group:loggroup:*"),
    ("ec2:AssignPrivateIpAddresses", "*"),
    ("ec2:CreateNetworkInterface", "*"),
    ("ec2:DeleteNetworkInterface", "*"),
    ("ec2:DescribeNetworkInterfaces", "*"),
    ("ec2:DescribeSubnets", "*"),
    ("ec2:UnassignPrivateIpAddresses", "*"),
    ("xray:PutTelemetryRecords", "*"),
    ("xray:PutTraceSegments", "*"),
];

/// What Kinesis does with the key of a stream, in the name of who reads it or writes it.
const KEY: &str = "arn:aws:kms:us-east-1:111122223333:key/k";
const OF_A_READER: (&str, &str) = ("kms:Decrypt", KEY);
const OF_A_WRITER: (&str, &str) = ("kms:GenerateDataKey", KEY);

/// What Lambda does for the consumer's mapping: it reads the stream, and writes what it gives up to
/// the destination, which it looks at first ("How Lambda processes records from Amazon Kinesis Data
/// Streams" and "Retaining discarded records", AWS Lambda Developer Guide, 2026-11).
const ORDERS: &str = "arn:aws:kinesis:us-east-1:111122223333:stream/orders";
const FAN_OUT: &str = "arn:aws:kinesis:us-east-1:111122223333:stream/x/consumer/fanoutconsumer:1";
const OF_THE_MAPPING: [(&str, &str); 9] = [
    ("kinesis:DescribeStream", ORDERS),
    ("kinesis:DescribeStreamSummary", ORDERS),
    ("kinesis:GetRecords", ORDERS),
    ("kinesis:GetShardIterator", ORDERS),
    ("kinesis:ListShards", ORDERS),
    ("kinesis:DescribeStreamConsumer", FAN_OUT),
    ("kinesis:SubscribeToShard", FAN_OUT),
    ("s3:PutObject", "arn:aws:s3:::quarantine/aws/lambda/*"),
    ("s3:ListBucket", "arn:aws:s3:::quarantine"),
];

/// Parameters by which every statement is there that no code of ours asks for.
const EVERYWHERE: [(&str, &str); 3] =
    [("StreamKeyArn", KEY), ("Tracing", "Active"), ("VpcSubnetIds", "subnet-1")];

/// Whatever it answers, it must.
fn answers(lambda: &Lambda, event: Value, within: Duration) -> Option<Value> {
    match lambda.invoke_within(event, within) {
        Ok(Ended::Response(answer)) => Some(answer),
        Ok(Ended::Error(..)) => None,
        Err(error) => panic!("{error}\n{}", lambda.output().unwrap_or_default()),
    }
}

fn tags(all: &[(&str, &str)]) -> BTreeMap<String, String> {
    all.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// An account with one stream of four shards, and how an answer of it is changed.
fn account(
    load: f64,
    tags: BTreeMap<String, String>,
    change: impl Fn(&Asked, Answer) -> Answer + Send + Sync + 'static,
) -> (Arc<Account>, Canned) {
    let stream = Stream { shards: 4, load, tags };
    let account = Arc::new(Account::new(BTreeMap::from([("orders".to_owned(), stream)])));
    let served = account.clone();
    let server = Canned::start(move |asked| match asked.operation.as_str() {
        "SplitShard" | "EnableEnhancedMonitoring" | "DisableEnhancedMonitoring" => {
            change(asked, (200, json!({})))
        }
        _ => change(asked, served.answer(asked)),
    });
    (account, server)
}

#[test]
fn the_autoscaler_calls_what_it_may_and_may_what_it_calls() {
    let one = [("StreamName", "orders"), ("Mode", "active"), ("MissingIteratorAge", "allow")];
    let all = [("Mode", "active"), ("Alarms", "manage")];
    let (one, all) = ([&one[..], &EVERYWHERE].concat(), [&all[..], &EVERYWHERE].concat());
    let topic =
        [&one[..], &[("Notices", "sns:arn:aws:sns:us-east-1:111122223333:people")]].concat();
    let bus = "events:arn:aws:events:us-east-1:111122223333:event-bus/tools";
    let bus = [&one[..], &[("Notices", bus)]].concat();
    let by_hand = json!({"stream": "orders"});
    let now = jiff::Timestamp::now().as_second();
    let calls: Vec<_> = (1..=10).map(|n| (now - n * 3_600).to_string()).collect();
    let spent = tags(&[("tidegate:calls", &calls.join(" "))]);
    let opted_in = tags(&[("tidegate:autoscale", "yes")]);
    let scenes = [
        // More is wanted, less is, of which people and tools are told, and more when the calls of the
        // day are spent.
        (&topic, 6.0, tags(&[]), &by_hand),
        (&bus, 0.2, tags(&[]), &by_hand),
        (&one, 6.0, spent, &by_hand),
        (&all, 3.0, opted_in, &json!({})),
    ];
    let mut proof = Proof::default();
    for (parameters, load, tags, event) in scenes {
        let Some(deployment) = Deployment::of("autoscaler", parameters) else { return };
        let (account, server) = account(load, tags, |_, answer| answer);
        let Some(lambda) = start("autoscaler", &deployment, &server) else { return };
        // An alarm that is made at the first look, and has lasted at the second, is set back.
        for _ in 0..2 {
            answers(&lambda, event.clone(), Duration::from_secs(20));
            let since = (now - 600).unsigned_abs();
            account.set_alarm_state("tidegate-orders-throttled", "ALARM", since);
        }
        proof.hold(&deployment, &server.asked());
    }
    if hot_shards(&mut proof, &one).is_none() {
        return;
    }
    proof.complete(&[&OF_LAMBDA[..], &[OF_A_READER]].concat());
}

/// A stream that rejects records while it has room: the metrics of its shards are turned on, a
/// sample is read, a shard is split, and a day later the metrics are turned off.
fn hot_shards(proof: &mut Proof, parameters: &[(&str, &str)]) -> Option<()> {
    let parameters = [parameters, &[("HotShards", "split")]].concat();
    let deployment = Deployment::of("autoscaler", &parameters)?;
    let (measured, calm) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let is_calm = calm.clone();
    let (_, server) = account(1.6, tags(&[]), move |asked, (status, mut body)| {
        match asked.operation.as_str() {
            "EnableEnhancedMonitoring" => measured.store(true, Ordering::Relaxed),
            "DescribeStreamSummary" if measured.load(Ordering::Relaxed) => {
                body["StreamDescriptionSummary"]["EnhancedMonitoring"] =
                    json!([{"ShardLevelMetrics": ["ALL"]}]);
            }
            "GetShardIterator" => return (200, json!({"ShardIterator": "orders"})),
            "GetRecords" => {
                let record = |n| {
                    json!({"PartitionKey": format!("customer-{n}"), "Data": "YQ==",
                    "SequenceNumber": "1"})
                };
                let records: Vec<_> = (0..500).map(record).collect();
                return (200, json!({"Records": records, "MillisBehindLatest": 0}));
            }
            "GetMetricData" if !is_calm.load(Ordering::Relaxed) => reject(asked, &mut body),
            "BatchGetItem" if is_calm.load(Ordering::Relaxed) => a_day_later(&mut body),
            _ => {}
        }
        (status, body)
    });
    let lambda = start("autoscaler", &deployment, &server)?;
    for action in ["watch", "split", "unwatch"] {
        calm.store(action == "unwatch", Ordering::Relaxed);
        let event = json!({"stream": "orders"});
        let decisions = answers(&lambda, event, Duration::from_secs(20)).unwrap_or_default();
        assert_eq!(decisions[0]["action"], action, "{decisions:#}");
    }
    proof.hold(&deployment, &server.asked());
    Some(())
}

/// Ten records of each minute are rejected.
fn reject(asked: &Asked, answer: &mut Value) {
    let queries = asked.input["MetricDataQueries"].as_array().into_iter().flatten();
    let rejected = queries.filter(|query| {
        query["MetricStat"]["Metric"]["MetricName"] == "WriteProvisionedThroughputExceeded"
    });
    let ids: Vec<_> = rejected.map(|query| &query["Id"]).collect();
    for result in answer["MetricDataResults"].as_array_mut().into_iter().flatten() {
        if ids.contains(&&result["Id"]) {
            result["Values"]["@repeat"][0] = 10.0.into();
        }
    }
}

/// What the ledger remembers of the shards is two days old.
fn a_day_later(answer: &mut Value) {
    let before = (jiff::Timestamp::now() - jiff::SignedDuration::from_hours(48)).to_string();
    for items in answer["Responses"].as_object_mut().into_iter().flatten().map(|(_, items)| items) {
        let text = items[0]["entry"]["S"].as_str().unwrap_or("null");
        let mut entry: Value = serde_json::from_str(text).expect("an entry is JSON");
        entry["shards"]["watching_since"] = before.as_str().into();
        entry["shards"]["suspected_at"] = before.as_str().into();
        items[0]["entry"]["S"] = entry.to_string().into();
    }
}

#[test]
fn the_consumer_calls_what_it_may_and_may_what_it_calls() {
    // DynamoDB takes what it is given; whatever else is asked is refused: it was asked, and is not
    // asked twice.
    let server = Canned::start(|asked| match asked.operation.as_str() {
        "BatchGetItem" | "BatchWriteItem" => (200, json!({})),
        _ => (403, json!({"__type": "AccessDeniedException"})),
    });
    let queue = |name: &str| format!("sqs:https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{name}");
    let search = format!("opensearch:{}/records", server.endpoint());
    let domain = format!("arn:aws:es:{REGION}:{ACCOUNT}:domain/records");
    let topic = format!("sns:arn:aws:sns:{REGION}:{ACCOUNT}:records");
    let (sink, quarantine) = (queue("records"), queue("quarantine"));
    let scenes: [&[(&str, &str)]; 9] = [
        &[("Sink", "dynamodb:records"), ("Dedupe", "table")],
        &[("Sink", "firehose:records")],
        &[("Sink", "kinesis:others")],
        &[("Sink", "s3://records/all")],
        &[("Sink", &topic)],
        &[("Sink", &sink)],
        &[("Sink", &search), ("OpenSearchArn", &domain)],
        &[("QuarantineTo", "dynamodb:quarantine"), ("Dedupe", "dynamodb:delivered-before")],
        &[("QuarantineTo", &quarantine), ("FanOut", "true")],
    ];
    let mut proof = Proof::default();
    for parameters in scenes {
        let given = [&[("StreamName", "orders")], &EVERYWHERE[..], parameters].concat();
        let Some(deployment) = Deployment::of("consumer", &given) else { return };
        let Some(lambda) = start("consumer", &deployment, &server) else { return };
        for event in ["kinesis-json", "kinesis-bad-json"] {
            // What is refused is tried again as long as there is time, so there is little.
            answers(&lambda, fixture(event), Duration::from_secs(4));
        }
        proof.hold(&deployment, &server.asked());
    }
    proof.complete(&[&OF_LAMBDA[..], &OF_THE_MAPPING, &[OF_A_READER]].concat());
}

#[test]
fn the_transform_calls_what_it_may_and_may_what_it_calls() {
    let pipeline = "input: {format: apache_combined}\noutput: {newline: true}\n";
    let server = Canned::start(move |asked| match asked.line.starts_with("GET ") {
        true => (200, pipeline.into()),
        false => (400, json!({"__type": "AccessDeniedException"})),
    });
    let reingest = ("Overflow", "reingest");
    let scenes: [(&[(&str, &str)], &str); 3] = [
        (&[("Pipeline", "s3://files/p.yaml"), ("FilesBucket", "files")], "firehose-kinesis"),
        (&[reingest, ("SourceStreamName", "access-log")], "firehose-kinesis"),
        (&[reingest, ("DeliveryStreamName", "access-log")], "firehose-direct-put"),
    ];
    let mut proof = Proof::default();
    for (parameters, event) in scenes {
        let given = [&EVERYWHERE[..], parameters].concat();
        let Some(deployment) = Deployment::of("transform", &given) else { return };
        let Some(lambda) = start("transform", &deployment, &server) else { return };
        answers(&lambda, too_much(fixture(event)), Duration::from_secs(30));
        proof.hold(&deployment, &server.asked());
    }
    proof.complete(&[&OF_LAMBDA[..], &[OF_A_WRITER]].concat());
}

/// The event with more than an answer holds: rows of 96 KiB that come out as long as they went in.
fn too_much(mut event: Value) -> Value {
    let stream = format!("arn:aws:kinesis:{REGION}:{ACCOUNT}:stream/access-log");
    let delivery = format!("arn:aws:firehose:{REGION}:{ACCOUNT}:deliverystream/access-log");
    for (key, arn) in [("deliveryStreamArn", delivery), ("sourceKinesisStreamArn", stream)] {
        if !event[key].is_null() {
            event[key] = arn.into();
        }
    }
    event["region"] = REGION.into();
    let path = "x".repeat(96 << 10);
    let line = format!(
        r#"192.0.2.7 - - [14/Nov/2026:09:30:00 +0000] "GET /{path} HTTP/1.1" 200 5 "-" "-""#
    );
    let data = base64_simd::STANDARD.encode_to_string(line.as_bytes());
    let first = event["records"][0].clone();
    let records = (0..60).map(|at| {
        let mut record = first.clone();
        record["recordId"] = format!("{at}").into();
        record["data"] = data.clone().into();
        record
    });
    event["records"] = records.collect();
    event
}
