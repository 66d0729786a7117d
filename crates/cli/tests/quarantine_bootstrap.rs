//! Poison of a real bootstrap, put back into it after a fix. The sink is a server of our own, which
//! keeps what it gets by the key that each delivery has.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, SystemTime};

use rand::{Rng as _, SeedableRng as _};
use rand_pcg::Pcg64Mcg;
use serde_json::{Value, json};
use tidegate_tests::canned::Canned;
use tidegate_tests::emulator;
use tidegate_tests::http;
use tidegate_tests::lambda::Lambda;
use tidegate_tests::place::bootstrap;

fn entry(index: usize, payload: &[u8]) -> Value {
    let number = format!("4967120451833291746002154778309118640725531886201451{index:04}");
    json!({
        "kinesis": {
            "kinesisSchemaVersion": "1.0", "partitionKey": format!("user-{}", index % 5),
            "sequenceNumber": number, "data": base64_simd::STANDARD.encode_to_string(payload),
            "approximateArrivalTimestamp": 1_795_000_000.25,
        },
        "eventSource": "aws:kinesis", "eventVersion": "1.0", "eventName": "aws:kinesis:record",
        "eventID": format!("shardId-000000000003:{number}"), "awsRegion": "us-east-1",
        "eventSourceARN": "arn:aws:kinesis:us-east-1:111122223333:stream/clicks",
    })
}

/// Lets the bootstrap quarantine these payloads, which are no JSON, into a folder.
fn quarantine(bootstrap: &Path, store: &Path, payloads: &[String]) {
    let setting = format!("file://{}", store.display());
    let lambda = Lambda::start(bootstrap, &[("TIDEGATE_QUARANTINE", &setting)]).unwrap();
    let entries: Vec<_> =
        payloads.iter().enumerate().map(|(index, text)| entry(index, text.as_bytes())).collect();
    // Less than twenty at a time are no outage.
    for batch in entries.chunks(10) {
        let response = lambda.respond(json!({"Records": batch})).unwrap();
        assert_eq!(response, json!({"batchItemFailures": []}));
    }
}

fn redrive(bootstrap: &Path, folder: &Path, sink: &str, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    let to = format!("bootstrap:{}", bootstrap.display());
    command
        .args(["quarantine", "redrive", "--from", "q", "--json", "--to", &to])
        .args(more)
        .current_dir(folder)
        .envs([("TIDEGATE_SINK", sink), ("TIDEGATE_FORMAT", "text")]);
    command
}

#[track_caller]
fn summary(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    let told = String::from_utf8_lossy(&output.stderr);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}{told}"))
}

/// The documents below a folder, by whether they were put back.
fn documents(folder: &Path) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "json") {
                found.push(path);
            }
        }
    }
    found.into_iter().partition(|path| !path.starts_with(folder.join("redriven")))
}

/// What the sink got, by the key of the delivery: each payload and how often.
fn delivered(sink: &Canned) -> BTreeMap<String, (String, u64)> {
    let mut got: BTreeMap<String, (String, u64)> = BTreeMap::new();
    for asked in sink.asked() {
        let key = asked.headers["idempotency-key"].clone();
        let body = String::from_utf8(asked.body).unwrap();
        let (known, times) = got.entry(key).or_insert_with(|| (body.clone(), 0));
        assert_eq!(*known, body, "one key, one payload");
        *times += 1;
    }
    got
}

#[test]
fn a_fix_is_tried_without_a_trace_and_then_delivered_once() {
    let Some(bootstrap) = bootstrap("consumer") else { return };
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("q");
    let payloads: Vec<_> = (0..30).map(|n| format!("no JSON {n}")).collect();
    quarantine(&bootstrap, &store, &payloads);
    let sink = Canned::start(|_| (200, json!({})));
    let endpoint = format!("{}/in", sink.endpoint());

    // Without the fix they are poison again, and with it they are not; nothing of either stays.
    let output = redrive(&bootstrap, folder.path(), &endpoint, &["--batch", "10"])
        .env("TIDEGATE_FORMAT", "json")
        .output()
        .unwrap();
    let tried = summary(&output);
    assert_eq!((&tried["taken"], &tried["poison_again"]), (&json!(0), &json!({"parse": 30})));
    assert_eq!(output.status.code(), Some(1));
    let output = redrive(&bootstrap, folder.path(), &endpoint, &[]).output().unwrap();
    assert_eq!(summary(&output)["taken"], 30);
    assert_eq!(delivered(&sink).len(), 0);
    let (waiting, moved) = documents(&store);
    assert_eq!((waiting.len(), moved.len()), (30, 0));

    let output = redrive(&bootstrap, folder.path(), &endpoint, &["--apply"]).output().unwrap();
    assert!(output.status.success(), "{}", summary(&output));
    let got = delivered(&sink);
    assert!(got.values().all(|(_, times)| *times == 1), "{got:?}");
    let mut bodies: Vec<_> = got.into_values().map(|(body, _)| body).collect();
    bodies.sort_unstable();
    let mut expected = payloads.clone();
    expected.sort_unstable();
    assert_eq!(bodies, expected);
    let (waiting, moved) = documents(&store);
    assert_eq!((waiting.len(), moved.len()), (0, 30));
}

/// Of ten records a sink refuses one for good: it is in quarantine again, counted, until it was put
/// back as often as it may be.
#[test]
fn what_is_poison_again_counts_on_until_it_is_enough() {
    let Some(bootstrap) = bootstrap("consumer") else { return };
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("q");
    let payloads: Vec<_> = (0..10).map(|n| format!("no JSON {n}")).collect();
    quarantine(&bootstrap, &store, &payloads);
    let sink = Canned::start(|asked| {
        let refused = asked.body == b"no JSON 4";
        (if refused { 422 } else { 200 }, json!({}))
    });
    let endpoint = format!("{}/in", sink.endpoint());
    let again = |more: &[&str]| {
        let arguments = [&["--apply"], more].concat();
        summary(&redrive(&bootstrap, folder.path(), &endpoint, &arguments).output().unwrap())
    };
    // what is taken, what is poison again, what is held back
    for (taken, poison, held) in [(9, 1, 0), (0, 1, 0), (0, 1, 0), (0, 0, 1), (0, 0, 1)] {
        let summary = again(&[]);
        assert_eq!(summary["taken"], taken, "{summary}");
        assert_eq!(summary["poison_again"]["handler"].as_u64().unwrap_or(0), poison, "{summary}");
        assert_eq!(summary["held"]["redriven_too_often"].as_u64().unwrap_or(0), held, "{summary}");
    }
    let (waiting, _) = documents(&store);
    assert_eq!(waiting.len(), 1);
    assert!(waiting[0].display().to_string().ends_with(".r3.json"), "{waiting:?}");
    let envelope: Value = serde_json::from_slice(&fs::read(&waiting[0]).unwrap()).unwrap();
    assert_eq!((&envelope["redrive_count"], &envelope["reason"]), (&json!(3), &json!("handler")));
}

/// Killed again and again: in the end every record is in the sink under its one key, and none in
/// quarantine.
#[test]
fn a_redrive_that_is_killed_delivers_every_record_under_its_key() {
    const RECORDS: usize = 150;
    let Some(bootstrap) = bootstrap("consumer") else { return };
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("q");
    let payloads: Vec<_> = (0..RECORDS).map(|n| format!("no JSON {n}")).collect();
    quarantine(&bootstrap, &store, &payloads);
    let sink = Canned::start(|_| (200, json!({})));
    let endpoint = format!("{}/in", sink.endpoint());
    let seed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as u64;
    let mut dice = Pcg64Mcg::seed_from_u64(seed);
    let mut kills = 0;
    while !documents(&store).0.is_empty() && kills < 100 {
        let mut command =
            redrive(&bootstrap, folder.path(), &endpoint, &["--apply", "--batch", "7"]);
        let mut child = command.stdout(std::process::Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(dice.random_range(20..400)));
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
    }
    let last = redrive(&bootstrap, folder.path(), &endpoint, &["--apply"]).output().unwrap();
    assert!(last.status.success(), "seed {seed}: {}", summary(&last));
    let got = delivered(&sink);
    let mut bodies: Vec<_> = got.into_values().map(|(body, _)| body).collect();
    bodies.sort_unstable();
    let mut expected = payloads;
    expected.sort_unstable();
    assert_eq!(bodies, expected, "seed {seed}, {kills} kills");
    let (waiting, moved) = documents(&store);
    assert_eq!((waiting.len(), moved.len()), (0, RECORDS), "seed {seed}, {kills} kills");
}

/// Poison of a function that takes JSON for access logs, put back into one that takes JSON, whose
/// sink is a table: after kills and another run each record is one item.
#[test]
fn a_table_has_each_record_once_after_redrives_that_were_killed() {
    const RECORDS: usize = 60;
    let Some(bootstrap) = bootstrap("consumer") else { return };
    let Some(services) = emulator::ministack() else { return };
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("q");
    let setting = format!("file://{}", store.display());
    let wrong = [("TIDEGATE_QUARANTINE", setting.as_str()), ("TIDEGATE_FORMAT", "access-log")];
    let payloads: Vec<_> = (0..RECORDS).map(|n| format!("{{\"order\":{n}}}")).collect();
    let entries: Vec<_> =
        payloads.iter().enumerate().map(|(n, text)| entry(n, text.as_bytes())).collect();
    let lambda = Lambda::start(&bootstrap, &wrong).unwrap();
    for batch in entries.chunks(10) {
        let response = lambda.respond(json!({"Records": batch})).unwrap();
        assert_eq!(response, json!({"batchItemFailures": []}));
    }
    let call = |operation: &str, body: &Value| {
        let operation = format!("DynamoDB_20120810.{operation}");
        http::aws(services.port(), "dynamodb", &operation, body).json()
    };
    call(
        "CreateTable",
        &json!({"TableName": "orders", "BillingMode": "PAY_PER_REQUEST",
            "KeySchema": [{"AttributeName": "tidegate_id", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "tidegate_id", "AttributeType": "S"}]}),
    );
    let endpoint = services.endpoint();
    let start = |more: &[&str]| {
        let arguments = [&["--apply", "--batch", "3"], more].concat();
        let mut command = redrive(&bootstrap, folder.path(), "dynamodb:orders", &arguments);
        command.env("TIDEGATE_FORMAT", "json").envs([
            ("AWS_ENDPOINT_URL", endpoint.as_str()),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("AWS_REGION", "us-east-1"),
        ]);
        command
    };
    let seed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as u64;
    let mut dice = Pcg64Mcg::seed_from_u64(seed);
    for _ in 0..8 {
        let mut child = start(&[]).stdout(std::process::Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(dice.random_range(50..900)));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let last = start(&[]).output().unwrap();
    assert!(last.status.success(), "seed {seed}: {}", summary(&last));
    let found = call("Scan", &json!({"TableName": "orders"}));
    let items = found["Items"].as_array().unwrap();
    let mut orders: Vec<usize> =
        items.iter().map(|item| item["order"]["N"].as_str().unwrap().parse().unwrap()).collect();
    orders.sort_unstable();
    assert_eq!(orders, (0..RECORDS).collect::<Vec<_>>(), "seed {seed}");
    let (waiting, moved) = documents(&store);
    assert_eq!((waiting.len(), moved.len()), (0, RECORDS), "seed {seed}");
}
