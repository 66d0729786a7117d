//! `tidegate quarantine redrive` beside another one, on stores of an emulator.
#![cfg(feature = "aws")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tidegate_tests::canned::Canned;
use tidegate_tests::emulator::{self, Emulator};
use tidegate_tests::http;

/// Records in each store.
const RECORDS: usize = 12;

/// The attribute that is the key of a table of envelopes.
const KEY: &str = "quarantine_key";

/// An envelope, and the key that it has.
fn envelope(index: usize) -> (String, String) {
    let number = format!("4967120451833291746002154778309118640725531886201451{index:04}");
    // The SHA-256 of the payload.
    let digest = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb";
    let envelope = json!({
        "version": 1, "quarantine_id": format!("{index:032}"), "reason": "parse",
        "stage": "decode", "stream_arn": "arn:aws:kinesis:us-east-1:111122223333:stream/orders",
        "shard_id": "shardId-000000000000", "sequence_number": number, "partition_key": "k",
        "approximate_arrival": "2026-11-21T09:00:00Z", "first_seen": "2026-11-21T09:00:00Z",
        "error": {"message": "it is no JSON", "chain": []}, "request_id": "r-1",
        "function_arn": "arn:aws:lambda:us-east-1:111122223333:function:bill",
        "payload_encoding": "base64", "payload": "YQ==", "size": 1, "sha256": digest,
        "redrive_count": 0,
    });
    (
        format!("function=bill/stream=orders/shard=shardId-000000000000/{number}.json"),
        envelope.to_string(),
    )
}

fn s3(services: &Emulator, path: &str, body: &str) {
    let answer = http::request(services.port(), "PUT", path, &[], body.as_bytes()).unwrap();
    assert!(answer.status < 300, "{path}: {}", answer.status);
}

fn dynamodb(services: &Emulator, operation: &str, body: &Value) {
    let operation = format!("DynamoDB_20120810.{operation}");
    let answer = http::aws(services.port(), "dynamodb", &operation, body);
    assert_eq!(answer.status, 200, "{operation}: {}", String::from_utf8_lossy(&answer.body));
}

/// A bucket and a table with the same records.
fn fill(services: &Emulator) {
    s3(services, "/poison", "");
    dynamodb(
        services,
        "CreateTable",
        &json!({"TableName": "poison", "KeySchema": [{"AttributeName": KEY, "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": KEY, "AttributeType": "S"}],
            "BillingMode": "PAY_PER_REQUEST"}),
    );
    for (key, envelope) in (0..RECORDS).map(envelope) {
        s3(services, &format!("/poison/{}", key.replace('=', "%3D")), &envelope);
        put(services, &key, &envelope);
    }
}

fn put(services: &Emulator, key: &str, text: &str) {
    let item = json!({KEY: {"S": key}, "envelope": {"S": text}});
    dynamodb(services, "PutItem", &json!({"TableName": "poison", "Item": item}));
}

fn redrive(folder: &Path, endpoint: &str, from: &str, to: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    command
        .args(["quarantine", "redrive", "--from", from, "--to", to, "--apply"])
        .current_dir(folder)
        .env_clear()
        .envs([("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test")])
        .envs([("AWS_REGION", "us-east-1"), ("AWS_ENDPOINT_URL", endpoint)])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// What it said, on both outputs.
fn said(child: Child) -> String {
    let output = child.wait_with_output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    String::from_utf8(text).unwrap()
}

/// Whoever is quicker takes them all, and no record is taken twice.
#[test]
fn two_redrives_at_once_put_no_record_back_twice() {
    let Some(services) = emulator::ministack() else { return };
    fill(&services);
    for from in ["s3://poison", "dynamodb:poison"] {
        let folder = tempfile::tempdir().unwrap();
        let start = |to: &str| {
            let mut command = redrive(folder.path(), &services.endpoint(), from, to);
            command.args(["--batch", "1", "--rate", "1"]).spawn().unwrap()
        };
        let all = [start("file:a.ndjson"), start("file:b.ndjson")].map(said);
        let busy = format!("another redrive is at work on {from}");
        assert!(all.iter().any(|text| text.contains(&busy)), "{all:?}");
        let done = format!("redriven   {RECORDS} of {RECORDS} records");
        assert!(all.iter().any(|text| text.contains(&done)), "{all:?}");
        let mut seen: BTreeMap<String, u32> = BTreeMap::new();
        for name in ["a.ndjson", "b.ndjson"] {
            let text = fs::read_to_string(folder.path().join(name)).unwrap_or_default();
            for line in text.lines() {
                let line: Value = serde_json::from_str(line).unwrap();
                *seen.entry(line["id"].to_string()).or_default() += 1;
            }
        }
        assert_eq!((seen.len(), seen.values().max()), (RECORDS, Some(&1)), "{from}: {seen:?}");
    }
}

/// A lock of a redrive that was killed is taken over, and is not there any more in the end.
#[test]
fn the_lock_of_one_that_was_killed_is_taken_over() {
    let Some(services) = emulator::ministack() else { return };
    fill(&services);
    s3(&services, "/poison/redriven/lock", "{\"lock\":\"of nobody\"}");
    put(&services, "redriven/lock", "{\"lock\":\"of nobody\"}");
    let folder = tempfile::tempdir().unwrap();
    let started = Instant::now();
    let start = |from, to| redrive(folder.path(), &services.endpoint(), from, to).spawn().unwrap();
    let both = [start("s3://poison", "file:a.ndjson"), start("dynamodb:poison", "file:b.ndjson")]
        .map(said);
    assert!(started.elapsed() >= Duration::from_secs(30), "it is not waited");
    for text in &both {
        assert!(text.contains("is locked by another redrive, or by one that was killed"), "{text}");
        assert!(text.contains(&format!("redriven   {RECORDS} of {RECORDS} records")), "{text}");
    }
    // Nothing is to be done, and nobody to be waited for.
    let started = Instant::now();
    let again = [start("s3://poison", "file:a.ndjson"), start("dynamodb:poison", "file:b.ndjson")];
    for text in again.map(said) {
        assert!(text.starts_with("redriven   nothing"), "{text}");
    }
    assert!(started.elapsed() < Duration::from_secs(20), "the locks were not removed");
}

#[test]
fn a_list_of_shards_that_is_throttled_is_asked_for_again() {
    let folder = tempfile::tempdir().unwrap();
    for (key, envelope) in (0..RECORDS).map(envelope) {
        let path = folder.path().join("q").join(key);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, envelope).unwrap();
    }
    let lists = std::sync::atomic::AtomicU32::new(0);
    let stream = Canned::start(move |asked| {
        let entries = asked.input["Records"].as_array().map_or(0, Vec::len);
        match asked.operation.as_str() {
            "PutRecords" => {
                let stored = json!({"ShardId": "shardId-000000000000", "SequenceNumber": "1"});
                (200, json!({"FailedRecordCount": 0, "Records": vec![stored; entries]}))
            }
            _ if lists.fetch_add(1, std::sync::atomic::Ordering::Relaxed) < 2 => {
                (400, json!({"__type": "LimitExceededException", "message": "slow down"}))
            }
            _ => {
                let range = json!({"StartingHashKey": "0", "EndingHashKey": u128::MAX.to_string()});
                let numbers = json!({"StartingSequenceNumber": "1"});
                let shard = json!({"ShardId": "shardId-000000000000", "HashKeyRange": range,
                    "SequenceNumberRange": numbers});
                (200, json!({"Shards": [shard]}))
            }
        }
    });
    let child = redrive(folder.path(), &stream.endpoint(), "q", "stream:orders").spawn().unwrap();
    let text = said(child);
    assert!(text.contains(&format!("redriven   {RECORDS} of {RECORDS} records")), "{text}");
    let asked = stream.asked();
    assert_eq!(asked.iter().filter(|asked| asked.operation == "ListShards").count(), 3);
}
