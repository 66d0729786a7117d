//! `tidegate simulate` as a person runs it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

/// Twelve hours with a busy third, of so many records a second at most.
fn trace(folder: &Path, name: &str, busy: u32) -> String {
    let mut text = "timestamp,bytes_per_s,records_per_s\n".to_owned();
    for minute in 0..720 {
        let records = if (240..480).contains(&minute) { busy } else { 1_500 };
        let _ = writeln!(text, "{},{},{records}", 1_788_220_800 + minute * 60, records * 500);
    }
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

fn simulate(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    command.arg("simulate").args(arguments).output().unwrap()
}

fn printed(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn every_policy_is_tried_on_every_history_of_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    trace(folder.path(), "a.csv", 9_000);
    trace(folder.path(), "b.csv", 4_000);
    let named = folder.path().display().to_string();
    let arguments = ["--trace", &named, "--json"];
    let json = printed(&simulate(&arguments));
    assert_eq!(json, printed(&simulate(&arguments)), "the same input gives the same bytes");
    let outcomes: Vec<Value> = serde_json::from_str(&json).unwrap();
    let of = |outcome: &Value, key: &str| outcome[key].as_str().unwrap().to_owned();
    let tried: Vec<_> = outcomes.iter().map(|o| (of(o, "trace"), of(o, "policy"))).collect();
    let policies = [
        "tidegate",
        "static-peak",
        "aws-sample",
        "aws-sample-1min",
        "scaling-utils",
        "target-tracking",
        "step",
        "on-demand",
        "clairvoyant",
    ];
    let expected: Vec<_> = ["a", "b"]
        .iter()
        .flat_map(|trace| policies.map(|policy| ((*trace).to_owned(), policy.to_owned())))
        .collect();
    assert_eq!(tried, expected);
    let keys: Vec<_> = outcomes[0].as_object().unwrap().keys().map(String::as_str).collect();
    let mut expected = [
        "trace",
        "policy",
        "initial_shards",
        "calls",
        "shard_hours",
        "throttled_bytes_pct",
        "throttled_minutes",
        "rejected_calls",
        "cost_usd",
    ];
    expected.sort_unstable();
    let mut keys = keys;
    keys.sort_unstable();
    assert_eq!(keys, expected);
    assert_eq!(outcomes[1]["shard_hours"], 9.0 * 12.0);
    let clairvoyant = &outcomes[8];
    assert_eq!(clairvoyant["throttled_minutes"], 0);
    let first = &clairvoyant["calls"][0];
    assert_eq!((&first["from"], &first["kind"]), (&Value::from(3), &Value::from("update")));
}

#[test]
fn the_table_names_bills_and_the_price_of_looking() {
    let folder = tempfile::tempdir().unwrap();
    let file = trace(folder.path(), "shop.csv", 9_000);
    let page = folder.path().join("report.html").display().to_string();
    let arguments = ["--trace", &file, "--policy", "tidegate", "--policy", "clairvoyant"];
    let more = ["--heartbeat", "1m", "--html", &page];
    let text = printed(&simulate(&[&arguments[..], &more].concat()));
    for part in [
        "shop: 0.5 days, peak 9 shards",
        "  tidegate ",
        "  clairvoyant ",
        "saved against:",
        "on-demand Advantage $3079.69",
        "a heartbeat of 1m reads CloudWatch for $1.75 a month",
    ] {
        assert!(text.contains(part), "{part:?} is missing: {text}");
    }
    assert!(!text.contains("medians") && !text.contains("static-peak"), "{text}");
    let page = fs::read_to_string(page).unwrap();
    assert!(page.contains("\"name\":\"shop\"") && page.contains("fewer_would_do"));
    // It stands alone: nothing is fetched.
    for outside in ["src=", "href=", "@import", "url(", "fetch("] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert!(!page.contains("TIDEGATE_"), "a slot was not filled");
}

/// With the AWS SDK the command would ask CloudWatch.
#[cfg(not(feature = "aws"))]
#[test]
fn without_the_aws_sdk_a_stream_names_the_build_that_has_it() {
    let output = simulate(&["--stream", "orders", "--since", "3d", "--save", "my orders.csv"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    let full =
        "run `cargo tidegate-full simulate --stream orders --since 3d --save 'my orders.csv'`";
    assert!(said.contains(full), "{said}");
}

#[test]
fn a_complete_split_is_tried_when_it_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let mut text = "timestamp,bytes_per_s,records_per_s\n".to_owned();
    // Demand that doubles every hour, until all calls are spent and beyond.
    for minute in 0..900 {
        let records = (f64::from(minute) / 60.0).exp2().min(4_500.0) * 1_000.0;
        let _ = writeln!(text, "{},{},{records}", 1_788_220_800 + minute * 60, records * 100.0);
    }
    let file = folder.path().join("rise.csv");
    fs::write(&file, text).unwrap();
    let file = file.display().to_string();
    let arguments =
        ["--trace", &file, "--policy", "tidegate", "--per-operation", "500ms", "--json"];
    let kinds = |more: &[&str]| -> Vec<Value> {
        let json = printed(&simulate(&[&arguments[..], more].concat()));
        let outcomes: Vec<Value> = serde_json::from_str(&json).unwrap();
        let calls = outcomes[0]["calls"].as_array().unwrap();
        calls.iter().map(|call| call["kind"].clone()).collect()
    };
    assert!(!kinds(&[]).contains(&"split".into()));
    assert!(kinds(&["--split-fallback"]).contains(&"split".into()));
}

#[test]
fn mistakes_are_told_with_their_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let file = trace(folder.path(), "t.csv", 2_000);
    let empty = folder.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let empty = empty.display().to_string();
    let twice = folder.path().display().to_string();
    let cases: [(&[&str], i32, &str); 13] = [
        (&[], 2, "--trace <FILE.csv>"),
        (&["--trace", &file, "--stream", "orders"], 2, "cannot be used with"),
        (&["--trace", &file, "--since", "3d"], 2, "cannot be used with"),
        (&["--stream", "orders", "--since", "16d"], 2, "from 1h to 15d"),
        (&["--stream", "orders", "--since", "14"], 2, "a duration with its unit"),
        (&["--trace", &file, "--save", "x.csv"], 2, "cannot be used with"),
        (&["--trace", &file, "--policy", "guess"], 2, "possible values: tidegate, static-peak"),
        (&["--trace", &file, "--heartbeat", "90s"], 2, "whole minutes from 1m to 1d"),
        (&["--trace", &file, "--heartbeat", "5"], 2, "a duration with its unit"),
        (&["--trace", &file, "--per-operation", "2h"], 2, "at most 1h"),
        (&["--trace", "/nowhere.csv"], 1, "/nowhere.csv cannot be read"),
        (&["--trace", &empty], 1, "holds no .csv file"),
        (&["--trace", &file, "--trace", &twice], 1, "are both called t"),
    ];
    for (arguments, code, message) in cases {
        let output = simulate(arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains(message), "{arguments:?}: {said}");
    }
}
