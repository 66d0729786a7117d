//! The built consumer between a stream and its sinks, both of an emulator: what is put into the
//! stream is found in the table, the bucket (also by way of Firehose), the queue, the topic's queue and
//! the other stream, and what is poison in the quarantine. Between the two stands a server of our own
//! where a service is to be throttled or out, which no emulator is on demand; and one of our own is
//! what takes posts.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Read;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::Duration;

use flate2::read::GzDecoder;
use serde_json::{Value, json};
use tidegate_tests::canned::{Answer, Asked, Canned};
use tidegate_tests::emulator::{self, Emulator};
use tidegate_tests::http;
use tidegate_tests::lambda::{Ended, Lambda};
use tidegate_tests::place::bootstrap;

/// A consumer beside an emulator that has a stream of four records, the third of which is poison.
struct Setup {
    aws: Emulator,
    event: Value,
}

impl Setup {
    fn new() -> Option<Self> {
        let aws = emulator::ministack()?;
        let mut setup = Self { aws, event: Value::Null };
        setup.kinesis("CreateStream", json!({"StreamName": "clicks", "ShardCount": 1}));
        let record = |data: &str, key: &str| {
            let data = base64_simd::STANDARD.encode_to_string(data);
            json!({"Data": data, "PartitionKey": key})
        };
        let records = [
            record(r#"{"order":1,"price":12.50}"#, "a"),
            record(r#"{"order":2,"price":7}"#, "b"),
            record("no json", "a"),
            record(r#"{"order":3,"price":0.1}"#, "c"),
        ];
        setup.kinesis("PutRecords", json!({"StreamName": "clicks", "Records": records}));
        let records = setup.read("clicks");
        assert_eq!(records.len(), 4);
        setup.event = event(&records);
        Some(setup)
    }

    /// Calls an operation that must be accepted.
    fn call(&self, service: &str, operation: &str, body: Value) -> Value {
        let answer = http::aws(self.aws.port(), service, operation, &body);
        let said = String::from_utf8_lossy(&answer.body);
        assert_eq!(answer.status, 200, "{operation}: {said}");
        answer.json()
    }

    fn kinesis(&self, operation: &str, body: Value) -> Value {
        self.call("kinesis", &format!("Kinesis_20131202.{operation}"), body)
    }

    fn dynamodb(&self, operation: &str, body: Value) -> Value {
        self.call("dynamodb", &format!("DynamoDB_20120810.{operation}"), body)
    }

    fn sqs(&self, operation: &str, body: Value) -> Value {
        self.call("sqs", &format!("AmazonSQS.{operation}"), body)
    }

    /// A table whose key is that text.
    fn table(&self, name: &str, key: &str) {
        self.dynamodb(
            "CreateTable",
            json!({"TableName": name, "BillingMode": "PAY_PER_REQUEST",
                "KeySchema": [{"AttributeName": key, "KeyType": "HASH"}],
                "AttributeDefinitions": [{"AttributeName": key, "AttributeType": "S"}]}),
        );
    }

    fn queue(&self, name: &str) -> String {
        let answer = self.sqs("CreateQueue", json!({"QueueName": name}));
        answer["QueueUrl"].as_str().unwrap().to_owned()
    }

    /// The bodies of a queue's messages, in no order.
    fn messages(&self, url: &str) -> Vec<String> {
        let mut bodies = Vec::new();
        loop {
            let body = json!({"QueueUrl": url, "MaxNumberOfMessages": 10});
            let answer = self.sqs("ReceiveMessage", body);
            let Some(found) = answer["Messages"].as_array().filter(|found| !found.is_empty())
            else {
                bodies.sort();
                return bodies;
            };
            for message in found {
                bodies.push(message["Body"].as_str().unwrap().to_owned());
                let handle = &message["ReceiptHandle"];
                self.sqs("DeleteMessage", json!({"QueueUrl": url, "ReceiptHandle": handle}));
            }
        }
    }

    /// The records of a stream's first shard.
    fn read(&self, stream: &str) -> Vec<Value> {
        let iterator = self.kinesis(
            "GetShardIterator",
            json!({"StreamName": stream, "ShardId": "shardId-000000000000",
                "ShardIteratorType": "TRIM_HORIZON"}),
        );
        let records = json!({"ShardIterator": iterator["ShardIterator"]});
        self.kinesis("GetRecords", records)["Records"].as_array().unwrap().clone()
    }

    fn bucket(&self, name: &str) {
        let made = http::request(self.aws.port(), "PUT", &format!("/{name}"), &[], b"");
        assert_eq!(made.unwrap().status, 200);
    }

    /// The keys of a bucket.
    fn keys(&self, bucket: &str) -> Vec<String> {
        let path = format!("/{bucket}?list-type=2");
        let answer = http::request(self.aws.port(), "GET", &path, &[], b"").unwrap();
        let text = String::from_utf8(answer.body).unwrap();
        let keys = text.split("<Key>").skip(1).filter_map(|rest| rest.split("</Key>").next());
        keys.map(ToOwned::to_owned).collect()
    }

    fn object(&self, bucket: &str, key: &str) -> Vec<u8> {
        let path = format!("/{bucket}/{key}").replace('=', "%3D");
        let answer = http::request(self.aws.port(), "GET", &path, &[], b"").unwrap();
        assert_eq!(answer.status, 200, "{path}");
        answer.body
    }

    /// The built consumer with these settings, with AWS at this address.
    fn start(sink: &str, more: &[(&str, &str)], endpoint: &str) -> Option<Lambda> {
        let path = bootstrap("consumer")?;
        let aws = [
            ("TIDEGATE_SINK", sink),
            ("AWS_ENDPOINT_URL", endpoint),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("AWS_REGION", "us-east-1"),
        ];
        Some(Lambda::start(&path, &[&aws[..], more].concat()).unwrap())
    }

    /// Delivers the stream's records twice, as after a crash, with these settings.
    fn deliver(&self, sink: &str, quarantine: &str) -> bool {
        let quarantine = [("TIDEGATE_QUARANTINE", quarantine)];
        let Some(lambda) = Self::start(sink, &quarantine, &self.aws.endpoint()) else {
            return false;
        };
        for _ in 0..2 {
            self.settle(&lambda);
        }
        true
    }

    /// An invocation that delivers three and keeps one.
    fn settle(&self, lambda: &Lambda) {
        let response = lambda.respond(self.event.clone()).unwrap();
        let output = lambda.output().unwrap();
        assert_eq!(response, json!({"batchItemFailures": []}), "{output}");
        let batch = lambda.events("batch").unwrap().pop().unwrap();
        assert_eq!((&batch["delivered"], &batch["quarantined"]), (&json!(3), &json!(1)));
    }

    /// The sequence number of the record at a place.
    fn number(&self, place: usize) -> &Value {
        &self.event["Records"][place]["kinesis"]["sequenceNumber"]
    }

    /// A server between a function and the emulator, which answers in its place where it wants to.
    fn between(&self, fails: impl Fn(&Asked) -> Option<Answer> + Send + Sync + 'static) -> Canned {
        let port = self.aws.port();
        Canned::start(move |asked| {
            if let Some(answer) = fails(asked) {
                return answer;
            }
            let (method, path) = asked.line.split_once(' ').unwrap();
            let own = ["host", "content-length", "connection"];
            let headers: Vec<_> = asked
                .headers
                .iter()
                .filter(|(name, _)| !own.contains(&name.as_str()))
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .collect();
            let answer = http::request(port, method, path, &headers, &asked.body).unwrap();
            let text = || Value::from(String::from_utf8_lossy(&answer.body));
            (answer.status, serde_json::from_slice(&answer.body).unwrap_or_else(|_| text()))
        })
    }
}

/// Records of a stream as Lambda's event.
fn event(records: &[Value]) -> Value {
    let records: Vec<_> = records
        .iter()
        .map(|record| {
            let number = record["SequenceNumber"].as_str().unwrap();
            json!({
                "kinesis": {
                    "kinesisSchemaVersion": "1.0", "partitionKey": record["PartitionKey"],
                    "sequenceNumber": number, "data": record["Data"],
                    "approximateArrivalTimestamp": record["ApproximateArrivalTimestamp"]
                },
                "eventSource": "aws:kinesis", "eventVersion": "1.0",
                "eventID": format!("shardId-000000000000:{number}"),
                "eventName": "aws:kinesis:record", "awsRegion": "us-east-1",
                "eventSourceARN": "arn:aws:kinesis:us-east-1:000000000000:stream/clicks"
            })
        })
        .collect();
    json!({"Records": records})
}

#[test]
fn records_reach_a_table_once_and_poison_another() {
    let Some(setup) = Setup::new() else { return };
    setup.table("orders", "tidegate_id");
    setup.table("kept", "quarantine_key");
    if !setup.deliver("dynamodb:orders", "dynamodb:kept") {
        return;
    }
    let scan = |table| setup.dynamodb("Scan", json!({"TableName": table}))["Items"].clone();
    let items = scan("orders");
    let mut prices: Vec<_> =
        items.as_array().unwrap().iter().map(|item| item["price"]["N"].as_str().unwrap()).collect();
    prices.sort_unstable();
    // An emulator may write a number shorter than it came; it is the same.
    assert_eq!(prices.len(), 3, "{prices:?}");
    let price: f64 = prices[1].parse().unwrap();
    assert_eq!((prices[0], price, prices[2]), ("0.1", 12.5, "7"));
    let kept = scan("kept");
    assert_eq!(kept.as_array().unwrap().len(), 1);
    let envelope: Value = serde_json::from_str(kept[0]["envelope"]["S"].as_str().unwrap()).unwrap();
    assert_eq!((&envelope["partition_key"], &envelope["reason"]), (&json!("a"), &json!("parse")));
    assert_eq!(envelope["payload"], base64_simd::STANDARD.encode_to_string("no json"));
}

#[test]
fn records_reach_a_bucket_once_and_poison_another() {
    let Some(setup) = Setup::new() else { return };
    setup.bucket("lake");
    setup.bucket("kept");
    if !setup.deliver("s3://lake/in", "s3://kept/quarantine") {
        return;
    }
    // The records before the poison, and those after it; written twice, they are the same objects.
    let keys = setup.keys("lake");
    assert_eq!(keys.len(), 2, "{keys:?}");
    assert!(keys.iter().all(|key| key.starts_with("in/stream=clicks/date=")), "{keys:?}");
    let mut text = String::new();
    for key in &keys {
        let object = setup.object("lake", key);
        GzDecoder::new(object.as_slice()).read_to_string(&mut text).unwrap();
    }
    let orders: Vec<_> =
        text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect();
    assert_eq!(orders.iter().map(|order| &order["order"]).collect::<Vec<_>>(), [1, 2, 3]);
    let kept = setup.keys("kept");
    assert_eq!(kept.len(), 1, "{kept:?}");
    let envelope: Value = serde_json::from_slice(&setup.object("kept", &kept[0])).unwrap();
    assert_eq!(envelope["reason"], "parse");
}

#[test]
fn records_reach_a_queue_and_poison_another() {
    let Some(setup) = Setup::new() else { return };
    let (work, kept) = (setup.queue("work"), setup.queue("kept"));
    if !setup.deliver(&format!("sqs:{work}"), &format!("sqs:{kept}")) {
        return;
    }
    let bodies = setup.messages(&work);
    let all =
        [r#"{"order":1,"price":12.50}"#, r#"{"order":2,"price":7}"#, r#"{"order":3,"price":0.1}"#];
    // A standard queue has each as often as it was delivered.
    assert_eq!(bodies, all.iter().flat_map(|body| [*body, *body]).collect::<Vec<_>>());
    let envelopes = setup.messages(&kept);
    assert_eq!(envelopes.len(), 2);
    assert!(envelopes[0].contains(r#""reason":"parse""#), "{envelopes:?}");
}

#[test]
fn records_reach_a_topic_and_another_stream() {
    let Some(setup) = Setup::new() else { return };
    setup.kinesis("CreateStream", json!({"StreamName": "copy", "ShardCount": 1}));
    if !setup.deliver("kinesis:copy", "log") {
        return;
    }
    let copied = setup.read("copy");
    assert_eq!(copied.len(), 6);
    let keys: Vec<_> = copied[..3].iter().map(|record| &record["PartitionKey"]).collect();
    assert_eq!(keys, ["a", "b", "c"]);

    let queue = setup.queue("news");
    let form = |text: String| {
        let scope = "test/20261101/us-east-1/sns/aws4_request";
        let authorization =
            format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0");
        let headers = [
            ("authorization", authorization.as_str()),
            ("content-type", "application/x-www-form-urlencoded"),
        ];
        let answer = http::request(setup.aws.port(), "POST", "/", &headers, text.as_bytes());
        String::from_utf8(answer.unwrap().body).unwrap()
    };
    let made = form("Action=CreateTopic&Version=2010-03-31&Name=news".to_owned());
    let arn = made.split("<TopicArn>").nth(1).and_then(|rest| rest.split('<').next());
    let arn = arn.unwrap_or_else(|| panic!("{made}"));
    let queue_arn = format!("arn:aws:sqs:us-east-1:{}:news", arn.split(':').nth(4).unwrap());
    form(format!(
        "Action=Subscribe&Version=2010-03-31&TopicArn={arn}&Protocol=sqs&Endpoint={queue_arn}"
    ));
    assert!(setup.deliver(&format!("sns:{arn}"), "log"));
    let bodies = setup.messages(&queue);
    assert_eq!(bodies.len(), 6, "{bodies:?}");
    assert!(bodies.iter().any(|body| body.contains("order")), "{bodies:?}");
}

#[test]
fn what_firehose_throttles_is_put_again_and_nothing_else() {
    let Some(setup) = Setup::new() else { return };
    setup.bucket("lake");
    setup.call(
        "firehose",
        "Firehose_20150804.CreateDeliveryStream",
        json!({"DeliveryStreamName": "clicks", "ExtendedS3DestinationConfiguration": {
            "BucketARN": "arn:aws:s3:::lake", "RoleARN": "arn:aws:iam::000000000000:role/lake"}}),
    );
    let first = AtomicBool::new(true);
    let between = setup.between(move |asked| {
        let throttled = asked.operation == "PutRecordBatch" && first.swap(false, Ordering::Relaxed);
        let code = "ServiceUnavailableException";
        throttled.then(|| {
            // Of the two before the poison.
            let results = json!([{"RecordId": "1"}, {"ErrorCode": code, "ErrorMessage": "busy"}]);
            (200, json!({"FailedPutCount": 1, "RequestResponses": results}))
        })
    });
    let Some(lambda) = Setup::start("firehose:clicks", &[], &between.endpoint()) else { return };
    // The emulator does not get the first, which the other server took.
    let orders = ["{\"order\":1,\"price\":12.50}\n", "{\"order\":2,\"price\":7}\n"];
    let third = "{\"order\":3,\"price\":0.1}\n";
    for expected in [vec![orders[1], third], vec![orders[0], orders[1], orders[1], third, third]] {
        setup.settle(&lambda);
        // It writes them a moment after it answered.
        let keys = (0..100).map(|_| setup.keys("lake")).find(|keys| {
            sleep(Duration::from_millis(50));
            keys.len() >= expected.len()
        });
        let object = |key: &String| String::from_utf8(setup.object("lake", key)).unwrap();
        let mut objects: Vec<_> = keys.unwrap_or_default().iter().map(object).collect();
        objects.sort_unstable();
        assert_eq!(objects, expected);
    }
}

#[test]
fn a_server_has_what_it_takes_and_what_it_refuses_is_poison() {
    let Some(setup) = Setup::new() else { return };
    for records in ["1", "10"] {
        let (turn, taken) = (AtomicUsize::new(0), Arc::new(Mutex::new(Vec::new())));
        let bodies = taken.clone();
        let server = Canned::start(move |asked| {
            let body = String::from_utf8(asked.body.clone()).unwrap();
            match turn.fetch_add(1, Ordering::Relaxed) {
                0 => return (429, json!("too many requests")),
                1 => return (503, json!("out")),
                _ if body.contains(r#""order":2"#) => return (422, json!("no such order")),
                _ => {}
            }
            let id = asked.headers["idempotency-key"].clone();
            let mut bodies = bodies.lock().unwrap();
            bodies.extend(body.lines().map(|line| (line.to_owned(), id.clone())));
            (200, json!(""))
        });
        let settings = [("TIDEGATE_SINK_RECORDS", records)];
        let sink = format!("{}/orders", server.endpoint());
        let Some(lambda) = Setup::start(&sink, &settings, &setup.aws.endpoint()) else { return };
        let response = lambda.respond(setup.event.clone()).unwrap();
        assert_eq!(response, json!({"batchItemFailures": []}), "{}", lambda.output().unwrap());
        let batch = lambda.events("batch").unwrap().pop().unwrap();
        assert_eq!(batch["by_reason"], json!({"handler": 1, "parse": 1}), "{batch}");
        let id = |place| format!("shardId-000000000000:{}", setup.number(place).as_str().unwrap());
        let expected =
            [(r#"{"order":1,"price":12.50}"#, id(0)), (r#"{"order":3,"price":0.1}"#, id(3))];
        let expected = expected.map(|(line, id)| (line.to_owned(), id));
        assert_eq!(*taken.lock().unwrap(), expected, "{records} a request");
    }
}

#[test]
fn a_throttled_table_has_every_item_in_the_end() {
    let Some(setup) = Setup::new() else { return };
    setup.table("orders", "tidegate_id");
    let turn = AtomicUsize::new(0);
    let between = setup.between(move |asked| {
        if asked.operation != "BatchWriteItem" {
            return None;
        }
        match turn.fetch_add(1, Ordering::Relaxed) {
            0 => {
                let kind =
                    "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException";
                Some((400, json!({"__type": kind, "message": "slow down"})))
            }
            // Nothing of it is taken.
            1 => Some((200, json!({"UnprocessedItems": asked.input["RequestItems"]}))),
            2 => Some((500, json!({"__type": "InternalServerError"}))),
            _ => None,
        }
    });
    let Some(lambda) = Setup::start("dynamodb:orders", &[], &between.endpoint()) else { return };
    setup.settle(&lambda);
    let items = setup.dynamodb("Scan", json!({"TableName": "orders"}))["Items"].clone();
    assert_eq!(items.as_array().unwrap().len(), 3, "{items}");
}

#[test]
fn what_a_bucket_that_is_out_did_not_take_comes_again() {
    let Some(setup) = Setup::new() else { return };
    setup.bucket("lake");
    setup.bucket("kept");
    // The sink is out, then the quarantine, then neither.
    for (out, first) in [("/lake/", 0), ("/kept/", 2)] {
        let down = Arc::new(AtomicBool::new(true));
        let is_down = down.clone();
        let between = setup.between(move |asked| {
            let hit = asked.line.contains(out) && is_down.load(Ordering::Relaxed);
            let slow = "<Error><Code>SlowDown</Code><Message>Reduce your rate.</Message></Error>";
            hit.then(|| (503, json!(slow)))
        });
        let quarantine = [("TIDEGATE_QUARANTINE", "s3://kept/quarantine")];
        let lambda = Setup::start("s3://lake/in", &quarantine, &between.endpoint());
        let Some(lambda) = lambda else { return };
        let ended = lambda.invoke_within(setup.event.clone(), Duration::from_secs(5)).unwrap();
        let again = json!({"batchItemFailures": [{"itemIdentifier": setup.number(first)}]});
        assert_eq!(ended, Ended::Response(again), "{out}");
        let batch = lambda.events("batch").unwrap().pop().unwrap();
        assert!(batch["retry"]["error"].as_str().unwrap().contains("SlowDown"), "{batch}");
        down.store(false, Ordering::Relaxed);
        setup.settle(&lambda);
    }
    assert_eq!(setup.keys("kept").len(), 1);
}
