//! The commands around one stream's autoscaler, as a person runs them.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn tidegate(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tidegate")).args(arguments).output().unwrap()
}

fn printed(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A file in a folder, by its path as text.
fn file(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

/// Four shards, and three hours that filled them.
fn observation(decision: &str) -> String {
    let minutes: Vec<_> = (2..180)
        .map(|ago| {
            let at = 1_763_683_200 - ago * 60;
            let at = jiff::Timestamp::from_second(at).unwrap();
            format!(
                r#""{at}": {{"records": 234000, "bytes": 9, "rejected": 0, "iterator_age_ms": 0}}"#
            )
        })
        .collect();
    format!(
        r#"{{"format": 1, "at": "2025-11-21T00:00:00Z"{decision}, "observation": {{"stream": "orders",
        "description": {{"status": "active", "capacity": "provisioned", "open_shards": 4}},
        "account": null, "paused": false, "minutes": {{{}}}, "absurd_points": 0}}}}"#,
        minutes.join(", ")
    )
}

/// So many days by the minute, busy from eight to eighteen.
fn trace(days: u32) -> String {
    let mut text = "timestamp,bytes_per_s,records_per_s\n".to_owned();
    for minute in 0..days * 1_440 {
        let busy = (480..1_080).contains(&(minute % 1_440));
        let records = if busy { 7_300 + minute % 13 * 25 } else { 1_400 + minute % 7 * 30 };
        let _ = writeln!(text, "{},{},{records}", 1_788_220_800 + minute * 60, records * 300);
    }
    text
}

#[test]
fn what_was_seen_is_decided_on_again() {
    let folder = tempfile::tempdir().unwrap();
    let seen = file(folder.path(), "orders.json", &observation(""));
    let output = tidegate(&["plan", "--observation", &seen]);
    let text = printed(&output);
    for part in [
        "orders: 4 to ",
        "  demand     3.9 shards           accepted",
        "  budget     10 of 10 calls left  ok",
        "  4 shards cost $43.80 a month (us-east-1), ",
        " more",
    ] {
        assert!(text.contains(part), "{part:?} is missing: {text}");
    }
    assert_eq!(said(&output), "");
    let bounded =
        printed(&tidegate(&["plan", "--observation", &seen, "--max-shards", "4", "--json"]));
    let decision: Value = serde_json::from_str(&bounded).unwrap();
    assert_eq!((&decision["action"], &decision["target"]), (&"hold".into(), &4.into()));
    assert_eq!(decision["reason"], "policy_bounds");
    let policy =
        file(folder.path(), "policy.yaml", "max_shards: 5\ntuning:\n  missing_price: 40\n");
    let bounded =
        printed(&tidegate(&["plan", "--observation", &seen, "--policy-file", &policy, "--json"]));
    let decision: Value = serde_json::from_str(&bounded).unwrap();
    assert_eq!(decision["target"], 5);
    // What the file says of its own decision is held against the one that is made.
    let other = r#", "decision": {"action": "hold", "target": 4, "reason": "enough"}"#;
    let seen = file(folder.path(), "other.json", &observation(other));
    let output = tidegate(&["plan", "--observation", &seen]);
    assert!(said(&output).contains("was another: hold at 4, enough"), "{}", said(&output));
}

#[test]
fn decisions_are_read_from_logs_of_every_kind() {
    let folder = tempfile::tempdir().unwrap();
    let line = |minute: u32, stream: &str, rest: &str| {
        format!(
            r#"{{"timestamp":"x","level":"INFO","event":"decision","stream":"{stream}","at":"2026-11-21T09:{minute}:00Z","open_shards":4,{rest}}}"#
        )
    };
    let hold = r#""target":4,"action":"hold","reason":"enough","message":"holds at 4 shards","applied":"nothing""#;
    let resize = r#""target":6,"action":"resize","reason":"demand_above_capacity","message":"4 to 6 shards","applied":"done""#;
    let log = [
        line(50, "orders", resize),
        "START RequestId: 1".to_owned(),
        line(45, "orders", hold),
        line(46, "clicks", hold),
    ]
    .join("\n");
    let log = file(folder.path(), "log.jsonl", &log);
    let output = tidegate(&["decisions", "--file", &log, "--stream", "orders"]);
    let text = printed(&output);
    let lines: Vec<_> = text.lines().collect();
    assert!(lines[1].starts_with("2026-11-21 09:45:00Z orders               4 nothing"), "{text}");
    assert!(lines[2].contains("4 → 6 done     demand_above_capacity 4 to 6 shards"), "{text}");
    assert_eq!(lines[3], "2 decisions: 1 hold, 1 resize (done)");
    assert_eq!(said(&output), "one line is no decision and was left out\n");
    let changes = printed(&tidegate(&["decisions", "--file", &log, "--changes", "--json"]));
    let changes: Vec<Value> = serde_json::from_str(&changes).unwrap();
    assert_eq!((changes.len(), &changes[0]["target"]), (1, &6.into()));
    // A folder, and standard input.
    let named = folder.path().display().to_string();
    assert!(printed(&tidegate(&["decisions", "--file", &named])).contains("3 decisions: 2 hold"));
    let mut child = Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .args(["decisions", "--file", "-", "--changes"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(line(50, "orders", resize).as_bytes()).unwrap();
    assert!(printed(&child.wait_with_output().unwrap()).contains("4 → 6"));
}

#[test]
fn a_fitted_policy_is_a_file_that_the_simulator_takes() {
    let folder = tempfile::tempdir().unwrap();
    let history = file(folder.path(), "shop.csv", &trace(3));
    let arguments = ["tune", "--trace", &history];
    let text = printed(&tidegate(&arguments));
    assert_eq!(text, printed(&tidegate(&arguments)), "the same input gives the same bytes");
    for part in [
        "# Fitted to shop, 3 days.",
        "# held out: fitted to the first two thirds, on the rest",
        "# The first figures are in-sample",
        "# For the deployed function: ",
        "No whole week was seen",
        "\ntuning:\n  missing_price: ",
    ] {
        assert!(text.contains(part), "{part:?} is missing: {text}");
    }
    let policy = file(folder.path(), "policy.yaml", &text);
    let run = |more: &[&str]| -> f64 {
        let arguments = ["simulate", "--trace", &history, "--policy", "tidegate", "--json"];
        let json = printed(&tidegate(&[&arguments[..], more].concat()));
        serde_json::from_str::<Value>(&json).unwrap()[0]["shard_hours"].as_f64().unwrap()
    };
    let (tuned, default) = (run(&["--policy-file", &policy]), run(&[]));
    let json = printed(&tidegate(&["tune", "--trace", &history, "--json"]));
    let report: Value = serde_json::from_str(&json).unwrap();
    for (figures, expected) in [("begun", default), ("tuned", tuned)] {
        let told = report["in_sample"][figures]["shard_hours"].as_f64().unwrap();
        assert!((told - expected).abs() < 0.01, "{figures}: {told} and {expected}");
    }
    assert!(tuned <= default, "{tuned} {default}");
    let floor = file(folder.path(), "floor.yaml", "min_shards: 20\n");
    assert!(run(&["--policy-file", &floor]) > default, "the bounds of the file count");
}

#[test]
fn mistakes_are_told_with_their_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let seen = file(folder.path(), "orders.json", &observation(""));
    let short = file(folder.path(), "short.csv", &trace(1));
    let wrong = file(folder.path(), "wrong.yaml", "min_shards: 0\ntuning:\n  missing_prize: 4\n");
    let empty = file(folder.path(), "empty.log", "nothing\n");
    let cases: [(&[&str], i32, &str); 17] = [
        (&["plan"], 2, "--stream <NAME>"),
        (&["plan", "--stream", "a", "--observation", &seen], 2, "cannot be used with"),
        (&["plan", "--observation", &seen, "--apply"], 2, "cannot be used with"),
        (&["plan", "--stream", "a", "--yes"], 2, "--apply"),
        (&["plan", "--observation", &seen, "--min-shards", "0"], 2, "0 is not in 1..=10000"),
        (
            &["plan", "--observation", &seen, "--min-shards", "9", "--max-shards", "3"],
            1,
            "--min-shards 9 is above --max-shards 3",
        ),
        (
            &["plan", "--observation", &empty],
            1,
            "is no observation that can be used: it is not JSON",
        ),
        (&["plan", "--observation", "/nowhere.json"], 1, "/nowhere.json cannot be read"),
        (
            &["plan", "--observation", &seen, "--policy-file", &wrong],
            1,
            "line 1: min_shards must be a whole number from 1 to 10000; line 3: tuning.missing_prize",
        ),
        (&["pause"], 2, "--stream <NAME>"),
        (&["decisions"], 2, "--file <FILE>"),
        (&["decisions", "--log-group", "x"], 2, "--stream <NAME>"),
        (&["decisions", "--file", &empty], 1, "is that the autoscaler's log"),
        (&["decisions", "--file", &empty, "--since", "1"], 2, "a duration with its unit"),
        (&["tune"], 2, "--trace <FILE.csv>"),
        (&["tune", "--trace", &short], 1, "short has 24 hours, too few"),
        (&["tune", "--trace", &short, "--most-throttled", "11"], 2, "a percentage from 0 to 10"),
    ];
    for (arguments, code, message) in cases {
        let output = tidegate(arguments);
        let said = said(&output);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains(message), "{arguments:?}: {said}");
    }
}

/// With the AWS SDK these would ask AWS.
#[cfg(not(feature = "aws"))]
#[test]
fn without_the_aws_sdk_a_stream_names_the_build_that_has_it() {
    let cases: [&[&str]; 5] = [
        &["plan", "--stream", "orders"],
        &["pause", "--stream", "orders"],
        &["resume", "--stream", "orders"],
        &["decisions", "--stream", "orders", "--stack", "tidegate"],
        &["tune", "--stream", "orders", "--since", "3d"],
    ];
    for arguments in cases {
        let output = tidegate(arguments);
        let said = said(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        let full =
            format!("run `cargo tidegate-full {}`, or the installed binary", arguments.join(" "));
        assert!(said.contains(&full), "{said}");
    }
}
