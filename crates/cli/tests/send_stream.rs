//! `tidegate send` as a person runs it, into streams of emulators that others wrote: one that
//! throttles each shard as the service does, and one that reshards as it does.
#![cfg(feature = "aws")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tidegate_tests::emulator::{self, Emulator};
use tidegate_tests::place;
use tidegate_tests::stream::{Stored, Stream};

/// Keys that the records have between them.
const KEYS: u64 = 5_003;

/// Every so many lines, one is no JSON and one is larger than the stream takes.
const BAD_EVERY: u64 = 1_000;

/// What a shard has to take, and in what way.
struct Case {
    arguments: &'static [&'static str],
    lines: u64,
    shards: u32,
    /// Changed to so many while it is sent.
    reshard: Option<u32>,
}

/// What came of it.
struct Sent {
    summary: Value,
    records: Vec<Stored>,
}

fn lines(count: u64) -> String {
    let line = |n: u64| match n % BAD_EVERY {
        500 => format!("line {n} is no JSON\n"),
        501 => format!("{{\"n\":{n},\"user\":\"large\",\"pad\":\"{}\"}}\n", "x".repeat(70_000)),
        _ => format!("{{\"n\":{n},\"user\":\"user-{}\",\"pad\":\"{:0300}\"}}\n", n % KEYS, n),
    };
    (0..count).map(line).collect()
}

/// The number of a line, whatever became of it.
fn number(line: &[u8]) -> u64 {
    let text = str::from_utf8(line).unwrap();
    match serde_json::from_str::<Value>(text) {
        Ok(line) => line["n"].as_u64().unwrap(),
        Err(_) => text.split(' ').nth(1).unwrap().parse().unwrap(),
    }
}

fn command(folder: &Path, kinesis: &Emulator, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    command.args(["send", "--stream", "orders"]).args(arguments).current_dir(folder);
    command.env_clear().env("HOME", folder).envs([
        ("AWS_ENDPOINT_URL_KINESIS", kinesis.endpoint().as_str()),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_REGION", "us-east-1"),
    ]);
    command
}

/// Sends lines, some of which cannot be, and holds that each is in the stream once or in the file of
/// rejected ones.
fn send(kinesis: &Emulator, case: &Case) -> Sent {
    let folder = tempfile::tempdir().unwrap();
    let stream = Stream::create(kinesis.port(), "orders", case.shards);
    fs::write(folder.path().join("lines"), lines(case.lines)).unwrap();
    let common = ["--key", "field:user", "--record-limit", "64KiB", "--json"];
    let mut command = command(folder.path(), kinesis, &[&common, case.arguments].concat());
    command.stdin(File::open(folder.path().join("lines")).unwrap());
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    if let Some(shards) = case.reshard {
        while !stream.has_records() {
            std::thread::sleep(Duration::from_millis(100));
        }
        stream.reshard(shards);
    }
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "some are rejected: {said}");
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();

    let mut seen: BTreeMap<u64, u32> = BTreeMap::new();
    let records = stream.records();
    for user in records.iter().flat_map(Stored::user_records) {
        let n = number(&user.data);
        assert_eq!(user.partition_key, format!("user-{}", n % KEYS));
        *seen.entry(n).or_default() += 1;
    }
    assert_eq!(summary["sent"], seen.values().sum::<u32>(), "{summary}");
    let rejected = fs::read_to_string(folder.path().join("tidegate-send-rejected.ndjson")).unwrap();
    for line in rejected.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let n = number(line["data"].as_str().unwrap().as_bytes());
        let reason = if n % BAD_EVERY == 500 { "not_an_object" } else { "too_large" };
        assert_eq!(line["reason"], reason, "{line}");
        *seen.entry(n).or_default() += 1;
    }
    let wrong: Vec<_> = (0..case.lines).filter(|n| seen.get(n) != Some(&1)).take(5).collect();
    assert!(wrong.is_empty(), "lines {wrong:?} are missing or there twice: {summary}");
    let bad = case.lines / BAD_EVERY;
    assert_eq!(summary["rejected"], json!({"not_an_object": bad, "too_large": bad}));
    Sent { summary, records }
}

impl Sent {
    fn count(&self, key: &str) -> u64 {
        self.summary[key].as_u64().unwrap()
    }

    /// The lines of each key are in the stream in their order: shards follow their parents, as they
    /// are named, and records each other in a shard.
    fn assert_ordered(&self) {
        let mut last: BTreeMap<String, u64> = BTreeMap::new();
        for user in self.records.iter().flat_map(Stored::user_records) {
            let n = number(&user.data);
            let before = last.insert(user.partition_key.clone(), n);
            assert!(before.is_none_or(|before| before < n), "{}: {n}", user.partition_key);
        }
    }

    fn shards(&self) -> usize {
        let mut shards: Vec<_> = self.records.iter().map(|record| &record.shard.id).collect();
        shards.dedup();
        shards.len()
    }
}

/// What the Python package `aws_kinesis_agg` finds in records: keys and payloads.
fn as_python_reads(records: &[Stored]) -> Vec<(String, Vec<u8>)> {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let bytes = |hex: &str| {
        let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        (0..hex.len()).step_by(2).map(byte).collect::<Vec<_>>()
    };
    let (aggregates, plain): (Vec<_>, Vec<_>) =
        records.iter().partition(|record| record.user_records().len() > 1);
    assert!(plain.len() * 10 < aggregates.len(), "{} of {}", plain.len(), records.len());
    let asked = |record: &Stored| format!("{}\n", json!({"decode": hex(&record.data)}));
    let folder = tempfile::tempdir().unwrap();
    let question = folder.path().join("asked");
    fs::write(&question, aggregates.iter().map(|record| asked(record)).collect::<String>())
        .unwrap();
    let output = Command::new(place::tool("kpl/bin/python").unwrap())
        .arg(place::root().join("crates/kpl/tests/codec/peer.py"))
        .stdin(File::open(question).unwrap())
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", output.status);
    let text = String::from_utf8(output.stdout).unwrap();
    let mut answers = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut found = Vec::new();
    for record in records {
        if record.user_records().len() == 1 {
            found.extend(record.user_records().into_iter().map(|u| (u.partition_key, u.data)));
            continue;
        }
        for user in answers.next().unwrap()["records"].as_array().unwrap() {
            let key = user["partition_key"].as_str().unwrap().to_owned();
            found.push((key, bytes(user["data"].as_str().unwrap())));
        }
    }
    found
}

fn throttling() -> Option<Emulator> {
    emulator::ferrokinesis(&["--enforce-limits"])
}

fn resharding() -> Option<Emulator> {
    emulator::kinesis(&[
        ("CREATE_STREAM_DURATION", "0ms"),
        ("UPDATE_SHARD_COUNT_DURATION", "300ms"),
    ])
}

#[test]
fn every_line_gets_into_a_stream_that_throttles() {
    let Some(kinesis) = throttling() else { return };
    let case = Case { arguments: &[], lines: 10_000, shards: 2, reshard: None };
    let sent = send(&kinesis, &case);
    assert!(sent.count("throttled") > 0 && sent.count("retried") > 0, "{}", sent.summary);
}

#[test]
fn order_is_kept_while_a_stream_throttles_and_is_resharded() {
    let Some(kinesis) = throttling() else { return };
    let case = Case { arguments: &["--ordered"], lines: 10_000, shards: 1, reshard: Some(2) };
    let sent = send(&kinesis, &case);
    assert!(sent.count("throttled") > 0, "{}", sent.summary);
    assert_eq!(sent.shards(), 3);
    sent.assert_ordered();
}

#[test]
fn aggregates_get_into_a_stream_that_throttles_and_is_resharded() {
    let Some(kinesis) = throttling() else { return };
    let case = Case { arguments: &["--aggregate"], lines: 30_000, shards: 1, reshard: Some(2) };
    let sent = send(&kinesis, &case);
    assert!(sent.count("throttled") > 0, "{}", sent.summary);
    assert!(sent.count("entries") < sent.count("sent") / 20, "{}", sent.summary);
    assert_eq!(sent.shards(), 3);
    // What was packed for a shard that was closed meanwhile is counted, and nothing else is astray.
    let astray = sent.records.iter().filter(|r| !r.user_records().iter().all(|u| u.is_at_home));
    assert_eq!(sent.count("misplaced_aggregates"), astray.count() as u64, "{}", sent.summary);
    let ours = sent.records.iter().flat_map(Stored::user_records);
    let ours: Vec<_> = ours.map(|user| (user.partition_key, user.data)).collect();
    assert!(as_python_reads(&sent.records) == ours, "aws_kinesis_agg reads something else");
}

#[test]
fn what_keeps_it_from_sending_is_a_sentence_with_the_remedy() {
    let Some(kinesis) = throttling() else { return };
    let folder = tempfile::tempdir().unwrap();
    // variables that are set, those that are not, arguments, a part of what is said
    type Variables = &'static [(&'static str, &'static str)];
    let nowhere: Variables = &[("AWS_ENDPOINT_URL_KINESIS", "http://127.0.0.1:1")];
    let cases: [(Variables, &[&str], &[&str], &str); 4] = [
        (&[], &[], &[], "is orders the name of a stream in us-east-1? --stream, AWS_PROFILE and"),
        (&[], &["AWS_REGION"], &[], "no Region is set: AWS_REGION, or region in the profile"),
        (
            &[("AWS_EC2_METADATA_DISABLED", "true")],
            &["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"],
            &[],
            "no credentials: log in, or choose a profile with AWS_PROFILE",
        ),
        (nowhere, &[], &["--give-up-after", "2s"], "is the Region right, and the network there?"),
    ];
    for (set, unset, arguments, part) in cases {
        let mut command = command(folder.path(), &kinesis, arguments);
        unset.iter().for_each(|name| {
            command.env_remove(name);
        });
        fs::write(folder.path().join("line"), "a\n").unwrap();
        command.envs(set.iter().copied());
        let output = command.stdin(File::open(folder.path().join("line")).unwrap()).output();
        let output = output.unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(part), "{part}: {said}");
        assert!(said.contains("left       1 records"), "{said}");
    }
}

#[test]
fn a_reshard_by_the_rules_of_the_service_loses_nothing() {
    let Some(kinesis) = resharding() else { return };
    let cases: [&[&str]; 2] = [&["--ordered"], &["--ordered", "--aggregate"]];
    for arguments in cases {
        // A rate that keeps it busy while the stream is resharded.
        let arguments: &'static [&'static str] =
            [arguments, &["--records-per-second", "400"]].concat().leak();
        let case = Case { arguments, lines: 4_000, shards: 2, reshard: Some(4) };
        let sent = send(&kinesis, &case);
        assert!(sent.shards() > 2, "{}", sent.summary);
        sent.assert_ordered();
        let gone = json!({"StreamName": "orders"});
        tidegate_tests::http::aws(
            kinesis.port(),
            "kinesis",
            "Kinesis_20131202.DeleteStream",
            &gone,
        );
        std::thread::sleep(Duration::from_secs(1));
    }
}
