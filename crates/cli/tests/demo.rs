//! `tidegate demo` as a person runs it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

/// Three hours: a quiet one, a busy one, a quiet one.
fn trace(folder: &Path) -> String {
    let mut text = "timestamp,bytes_per_s,records_per_s\n".to_owned();
    for minute in 0..180 {
        let records = if (60..120).contains(&minute) { 9_000 } else { 1_500 };
        let _ = writeln!(text, "{},{},{records}", 1_788_220_800 + minute * 60, records * 500);
    }
    let path = folder.join("trace.csv");
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

fn tidegate(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tidegate")).args(arguments).output().unwrap()
}

fn files(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(root).unwrap().display().to_string();
                found.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    found
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_every_record_is_accounted_for() {
    let folder = tempfile::tempdir().unwrap();
    let trace = trace(folder.path());
    let run = |out: &Path, seed: &str| {
        let out = out.display().to_string();
        let output = tidegate(&[
            "demo", "--trace", &trace, "--out", &out, "--seed", seed, "--sample", "20000", "--json",
        ]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let (first, second) = (folder.path().join("a"), folder.path().join("b"));
    let summary = run(&first, "5");
    let again = run(&second, "5");
    assert_eq!(summary, again);
    assert_eq!(files(&first), files(&second));
    assert_ne!(summary, run(&second, "6"));

    let count = |pointer: &str| summary.pointer(pointer).and_then(Value::as_u64).unwrap();
    assert_eq!(count("/records_offered"), count("/records_accepted") + count("/records_throttled"));
    assert_eq!(
        count("/records_accepted"),
        count("/consumer/delivered")
            + count("/consumer/skipped")
            + count("/consumer/quarantined")
            + count("/consumer/pending")
    );
    assert_eq!(
        count("/transform/handed"),
        count("/transform/ok")
            + count("/transform/dropped")
            + count("/transform/processing_failed")
    );
    assert!(count("/consumer/quarantined") > 0);
    assert!(count("/records_throttled") > 0);
    assert_eq!(count("/calls/rejected"), 0);
    assert!(count("/calls/made") > 0);
    assert!(count("/shards/max") >= 9);
    let cost = summary["cost_usd"].as_f64().unwrap();
    assert!(cost > 0.0, "{cost}");
    assert!(summary["checks"].as_array().unwrap().iter().all(|check| check["holds"] == true));
}

/// What the demo wrote, read back: decisions a line, rows with their fields, envelopes.
#[test]
fn the_files_hold_what_the_summary_says() {
    let folder = tempfile::tempdir().unwrap();
    let (trace, out) = (trace(folder.path()), folder.path().join("out"));
    let to = out.display().to_string();
    let output =
        tidegate(&["demo", "--trace", &trace, "--out", &to, "--sample", "20000", "--json"]);
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    let files = files(&out);
    let lines = |prefix: &str| -> Vec<Value> {
        let text = files.iter().filter(|(name, _)| name.starts_with(prefix));
        text.flat_map(|(_, body)| body.split(|byte| *byte == b'\n'))
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect()
    };
    let decisions = lines("decisions.jsonl");
    assert_eq!(decisions.len() as u64, summary["decisions"].as_u64().unwrap());
    for field in ["stream", "open_shards", "target", "action", "reason", "stages"] {
        assert!(!decisions[0][field].is_null(), "{field}: {}", decisions[0]);
    }
    let rows = lines("s3/data/year=2026/month=09/day=01/hour=");
    assert_eq!(rows.len() as u64, summary["transform"]["ok"].as_u64().unwrap());
    assert!(rows.iter().all(|row| row["status"].is_u64() && row["path"] != "/healthz"));
    let failed = lines("s3/errors/processing-failed/");
    assert!(failed.iter().all(|line| line["errorCode"] == "Lambda.ProcessingFailedStatus"));
    let envelopes = lines("quarantine/");
    assert_eq!(envelopes.len() as u64, summary["consumer"]["quarantined"].as_u64().unwrap());
    assert!(envelopes.iter().all(|envelope| envelope["payload"].is_string()));
    let report = String::from_utf8(files["report.html"].clone()).unwrap();
    assert!(!report.contains("http://") || report.matches("http://").count() == 1, "the SVG name");
    assert!(!report.contains("https://"));
}

#[test]
fn what_cannot_be_done_is_said_in_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    fs::write(path("bad.csv"), "when,how much\n1,2\n").unwrap();
    fs::create_dir(path("mine")).unwrap();
    fs::write(path("mine/thesis.txt"), "x").unwrap();
    let cases: [(&[&str], i32, &str); 6] = [
        (&["demo", "--trace", &path("none.csv")], 1, "none.csv cannot be read"),
        (&["demo", "--trace", &path("bad.csv")], 1, "the first line must be"),
        (&["demo", "--logs", &path("none.log")], 1, "none.log cannot be read"),
        (&["demo", "--out", &path("mine")], 1, "was not made by the demo"),
        (&["demo", "--seed", "many"], 2, "--seed"),
        (&["unknown"], 2, "unknown"),
    ];
    for (arguments, code, message) in cases {
        let output = tidegate(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains(message), "{arguments:?}: {said}");
        assert!(output.stdout.is_empty());
    }
    assert!(fs::exists(path("mine/thesis.txt")).unwrap());
}
