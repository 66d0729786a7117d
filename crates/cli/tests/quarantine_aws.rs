//! `tidegate quarantine` with the services of AWS: stores and streams of emulators that others
//! wrote, and a function of our own.
#![cfg(feature = "aws")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Mutex;

use serde_json::{Map, Value, json};
use tidegate_consumer::{Call, Consumer, Folder, Json, Outcome, Record};
use tidegate_tests::canned::Canned;
use tidegate_tests::{emulator, http};

const CALL: Call<'_> = Call {
    function_arn: "arn:aws:lambda:us-east-1:111122223333:function:bill",
    request_id: "r-1",
    now: jiff::Timestamp::UNIX_EPOCH,
    deadline: None,
};

const STREAM: &str = "arn:aws:kinesis:us-east-1:000000000000:stream/orders";

/// Six envelopes of three keys, by the keys that a store has them under.
fn envelopes() -> Vec<(String, String)> {
    let folder = tempfile::tempdir().unwrap();
    let entries: Vec<_> = (0..6)
        .map(|index| {
            let number = format!("4967120451833291746002154778309118640725531886201451{index:04}");
            let data = base64_simd::STANDARD.encode_to_string(format!("no JSON {index}"));
            json!({
                "kinesis": {"partitionKey": format!("user-{}", index % 3), "data": data,
                    "sequenceNumber": number, "approximateArrivalTimestamp": 1_763_683_200.25},
                "eventSource": "aws:kinesis", "eventID": format!("shardId-000000000000:{number}"),
                "eventSourceARN": STREAM,
            })
        })
        .collect();
    let done = async |_: Map<String, Value>, _: &Record<'_>| Outcome::Done;
    let consumer = Consumer::new(Json::new(), done, Folder::create(folder.path()).unwrap());
    let event = json!({"Records": entries}).to_string();
    let _ = pollster::block_on(consumer.process(event.as_bytes(), &CALL)).unwrap();
    let shard = folder.path().join("function=bill/stream=orders/shard=shardId-000000000000");
    let mut found: Vec<_> = fs::read_dir(shard)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let key = path.strip_prefix(folder.path()).unwrap().display().to_string();
            (key, fs::read_to_string(path).unwrap())
        })
        .collect();
    found.sort();
    assert_eq!(found.len(), 6);
    found
}

fn write(folder: &Path, envelopes: &[(String, String)]) {
    for (key, envelope) in envelopes {
        let path = folder.join(key);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, envelope).unwrap();
    }
}

/// Runs the command with nothing else of this process' environment; an empty variable is none.
fn quarantine(folder: &Path, vars: &[(&str, &str)], arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    command
        .arg("quarantine")
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .envs([("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test")])
        .env("AWS_REGION", "us-east-1")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .envs(vars.iter().copied());
    for (name, _) in vars.iter().filter(|(_, value)| value.is_empty()) {
        command.env_remove(name);
    }
    command.output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[track_caller]
fn printed(output: &Output) -> String {
    assert!(output.status.success(), "{}{}", String::from_utf8_lossy(&output.stdout), said(output));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Lists six records, puts back those of one key, and lists the other four.
#[track_caller]
fn put_back(folder: &Path, endpoint: &str, from: &str, more: &[&str]) {
    let vars = [("AWS_ENDPOINT_URL", endpoint)];
    let list = || lines(&printed(&quarantine(folder, &vars, &["list", "--json", "--from", from])));
    assert_eq!(list().len(), 6, "{from}");
    let to = "file:again.ndjson";
    let apply = ["redrive", "--from", from, "--to", to, "--key", "user-1", "--apply"];
    let done = printed(&quarantine(folder, &vars, &[&apply[..], more].concat()));
    assert_eq!(done, "redriven   2 of 2 records to file:again.ndjson\n", "{from}");
    let left = list();
    assert_eq!(left.len(), 4, "{from}");
    assert!(left.iter().all(|line| line["partition_key"] != "user-1"));
    let id = left[0]["id"].as_str().unwrap();
    let shown = printed(&quarantine(folder, &vars, &["show", id, "--from", from, "--out", "-"]));
    assert!(shown.starts_with("no JSON "), "{shown}");
    let written = fs::read_to_string(folder.join("again.ndjson")).unwrap();
    assert_eq!(lines(&written).len(), 2);
    fs::remove_file(folder.join("again.ndjson")).unwrap();
}

#[test]
fn buckets_tables_and_queues_are_read_and_marked() {
    let Some(services) = emulator::ministack() else { return };
    let folder = tempfile::tempdir().unwrap();
    let envelopes = envelopes();
    let endpoint = services.endpoint();

    let s3 = |method: &str, path: &str, body: &str| {
        let response = http::request(services.port(), method, path, &[], body.as_bytes()).unwrap();
        assert!(response.status < 300, "{method} {path}: {}", response.status);
        String::from_utf8(response.body).unwrap()
    };
    s3("PUT", "/poison", "");
    for (key, envelope) in &envelopes {
        s3("PUT", &format!("/poison/kept/{}", key.replace('=', "%3D")), envelope);
    }
    put_back(folder.path(), &endpoint, "s3://poison/kept", &[]);
    let listing = s3("GET", "/poison?list-type=2", "");
    assert_eq!(listing.matches("<Key>kept/redriven/function=bill/").count(), 2, "{listing}");

    let call = |service: &str, operation: &str, body: Value| {
        let response = http::aws(services.port(), service, operation, &body);
        assert_eq!(
            response.status,
            200,
            "{operation}: {}",
            String::from_utf8_lossy(&response.body)
        );
        response.json()
    };
    let key = "quarantine_key";
    call(
        "dynamodb",
        "DynamoDB_20120810.CreateTable",
        json!({"TableName": "poison", "KeySchema": [{"AttributeName": key, "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": key, "AttributeType": "S"}],
            "BillingMode": "PAY_PER_REQUEST"}),
    );
    for (at, envelope) in &envelopes {
        let item = json!({key: {"S": at}, "envelope": {"S": envelope}});
        let put = json!({"TableName": "poison", "Item": item});
        call("dynamodb", "DynamoDB_20120810.PutItem", put);
    }
    put_back(folder.path(), &endpoint, "dynamodb:poison", &[]);

    let made = call("sqs", "AmazonSQS.CreateQueue", json!({"QueueName": "poison"}));
    let url = made["QueueUrl"].as_str().unwrap();
    for (_, envelope) in &envelopes {
        call("sqs", "AmazonSQS.SendMessage", json!({"QueueUrl": url, "MessageBody": envelope}));
    }
    let from = format!("sqs:{url}");
    let refused = ["redrive", "--from", &from, "--to", "file:a", "--apply"];
    let output = quarantine(folder.path(), &[("AWS_ENDPOINT_URL", &endpoint)], &refused);
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("a queue keeps no marks"), "{}", said(&output));
    put_back(folder.path(), &endpoint, &from, &["--delete"]);
}

/// A function that answers as told: what it was called with, and what became of the records.
#[test]
fn a_function_is_called_as_a_mapping_calls_it() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join("q"), &envelopes());
    let calls = Mutex::new(0);
    // The first call fails, the second asks for the third record again, then all is well but that.
    let function = Canned::start(move |asked| {
        let mut calls = calls.lock().unwrap();
        *calls += 1;
        let records = asked.input["Records"].as_array().unwrap();
        let third = "49671204518332917460021547783091186407255318862014510002";
        let named = records.iter().any(|record| record["kinesis"]["sequenceNumber"] == third);
        match (*calls, named) {
            (1, _) => (500, json!({"message": "try again"})),
            (_, true) => (200, json!({"batchItemFailures": [{"itemIdentifier": third}]})),
            _ => (200, json!({"batchItemFailures": []})),
        }
    });
    let endpoint = function.endpoint();
    let vars = [("AWS_ENDPOINT_URL_LAMBDA", endpoint.as_str())];
    let redrive = |more: &[&str]| {
        let arguments = ["redrive", "--from", "q", "--to", "function:bill:live", "--json"];
        quarantine(folder.path(), &vars, &[&arguments[..], more].concat())
    };
    assert!(redrive(&[]).status.success());
    assert!(function.asked().is_empty(), "a dry run calls nothing");
    let output = redrive(&["--apply"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    // Of its key there is one more behind it.
    let left =
        json!({"the function asks for it again": 1, "behind one of its key that is left": 1});
    assert_eq!((&summary["taken"], &summary["left"]), (&json!(4), &left), "{summary}");
    let asked = function.asked();
    assert_eq!(asked[0].line, "POST /2015-03-31/functions/bill:live/invocations");
    assert_eq!(asked[0].headers["x-amz-invocation-type"], "RequestResponse");
    let first = &asked[0].input["Records"][0];
    assert_eq!(
        first["eventID"],
        format!("shardId-000000000000:{}", first["kinesis"]["sequenceNumber"].as_str().unwrap())
    );
    assert_eq!(first["eventSourceARN"], STREAM);
    assert_eq!(first["kinesis"]["approximateArrivalTimestamp"], 1_763_683_200.25);
    assert_eq!(first["tidegate"]["redriveCount"], 1);
    let vars = [("AWS_ENDPOINT_URL", endpoint.as_str())];
    let left = quarantine(folder.path(), &vars, &["list", "--from", "q", "--json"]);
    assert_eq!(lines(&printed(&left)).len(), 2);
}

/// A stream takes records again, and gives those that a destination was only told of.
#[test]
fn a_stream_takes_records_and_gives_those_that_a_message_only_names() {
    let Some(kinesis) = emulator::kinesis(&[("CREATE_STREAM_DURATION", "10ms")]) else { return };
    let call = |operation: &str, body: Value| {
        let operation = format!("Kinesis_20131202.{operation}");
        let response = http::aws(kinesis.port(), "kinesis", &operation, &body);
        assert_eq!(
            response.status,
            200,
            "{operation}: {}",
            String::from_utf8_lossy(&response.body)
        );
        response.json()
    };
    call("CreateStream", json!({"StreamName": "orders", "ShardCount": 1}));
    while call("DescribeStreamSummary", json!({"StreamName": "orders"}))["StreamDescriptionSummary"]
        ["StreamStatus"]
        != "ACTIVE"
    {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join("q"), &envelopes());
    let endpoint = kinesis.endpoint();
    let vars = [("AWS_ENDPOINT_URL_KINESIS", endpoint.as_str())];
    let run = |arguments: &[&str]| quarantine(folder.path(), &vars, arguments);
    let apply = ["redrive", "--from", "q", "--to", "stream:orders", "--apply"];
    assert_eq!(printed(&run(&apply)), "redriven   6 of 6 records to stream:orders\n");

    let iterator = call(
        "GetShardIterator",
        json!({"StreamName": "orders", "ShardId": "shardId-000000000000",
            "ShardIteratorType": "TRIM_HORIZON"}),
    )["ShardIterator"]
        .clone();
    let records = call("GetRecords", json!({"ShardIterator": iterator}))["Records"].clone();
    let text = |record: &Value, name: &str| record[name].as_str().unwrap().to_owned();
    let records = records.as_array().unwrap();
    let data = |record: &Value| {
        let data = base64_simd::STANDARD.decode_to_vec(text(record, "Data")).unwrap();
        String::from_utf8(data).unwrap()
    };
    let of_key: Vec<_> =
        records.iter().filter(|r| r["PartitionKey"] == "user-2").map(data).collect();
    assert_eq!((records.len(), of_key), (6, vec!["no JSON 2".to_owned(), "no JSON 5".to_owned()]));

    // What a queue is told of a batch that Lambda gave up.
    let told = |last: &Value, size: u64| {
        json!({
            "requestContext": {"requestId": "r-2", "functionArn": CALL.function_arn,
                "condition": "RetryAttemptsExhausted", "approximateInvokeCount": 4},
            "responseContext": {"statusCode": 200, "executedVersion": "$LATEST",
                "functionError": null},
            "version": "1.0", "timestamp": "2026-11-21T09:00:00.123Z",
            "KinesisBatchInfo": {"shardId": "shardId-000000000000", "streamArn": STREAM,
                "startSequenceNumber": records[1]["SequenceNumber"],
                "endSequenceNumber": last["SequenceNumber"], "batchSize": size,
                "approximateArrivalOfFirstRecord": "2026-11-21T08:00:00Z",
                "approximateArrivalOfLastRecord": "2026-11-21T08:00:00Z"},
        })
        .to_string()
    };
    fs::create_dir(folder.path().join("told")).unwrap();
    fs::write(folder.path().join("told/a"), told(&records[4], 4)).unwrap();
    fs::write(folder.path().join("told/b"), told(&records[4], 9)).unwrap();
    let output = run(&["redrive", "--from", "told", "--to", "file:again.ndjson", "--apply"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1));
    assert!(text.starts_with("redriven   1 of 2 records to file:again.ndjson\n"), "{text}");
    assert!(text.contains("the stream has 4 of its 9 records: the retention"), "{text}");
    let written = lines(&fs::read_to_string(folder.path().join("again.ndjson")).unwrap());
    let payloads: Vec<_> = written.iter().map(|line| line["data"].as_str().unwrap()).collect();
    assert_eq!(payloads, records[1..5].iter().map(data).collect::<Vec<_>>());
}

#[test]
fn what_aws_refuses_is_a_sentence_with_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join("q"), &envelopes());
    let denied = Canned::start(|_| {
        (403, json!({"__type": "AccessDeniedException", "message": "not authorized"}))
    });
    let endpoint = denied.endpoint();
    let there = [("AWS_ENDPOINT_URL", endpoint.as_str())];
    let nobody = [
        ("AWS_ENDPOINT_URL", endpoint.as_str()),
        ("AWS_ACCESS_KEY_ID", ""),
        ("AWS_SECRET_ACCESS_KEY", ""),
    ];
    // variables, arguments, exit code, a part of what is said
    type Vars<'v> = &'v [(&'v str, &'v str)];
    let cases: [(Vars, &[&str], i32, &str); 6] = [
        (&there, &["list", "--from", "s3://b/p"], 1, "a permission is wrong: ListObjectsV2 failed"),
        (&there, &["list", "--from", "dynamodb:t"], 1, "a permission is wrong: Scan failed"),
        (&there, &["list", "--from", "sqs:http://q"], 1, "wrong: ReceiveMessage failed"),
        (&there, &["list", "--from", "s3://"], 2, "s3:// names nothing"),
        (&nobody, &["list", "--from", "dynamodb:t"], 1, "log in, or set AWS_PROFILE"),
        (&[("AWS_REGION", "")], &["list", "--from", "dynamodb:t"], 1, "set AWS_REGION"),
    ];
    for (vars, arguments, code, part) in cases {
        let output = quarantine(folder.path(), vars, arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", said(&output));
        assert!(said(&output).contains(part), "{arguments:?}: {}", said(&output));
    }
    let apply = ["redrive", "--from", "q", "--to", "function:bill", "--apply"];
    let output = quarantine(folder.path(), &there, &apply);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1));
    assert!(text.contains("stopped    function:bill, where the name, the account"), "{text}");
    assert!(text.contains("the same command goes on from here"), "{text}");
}
