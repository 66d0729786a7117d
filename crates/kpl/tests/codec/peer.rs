//! Beside `aws_kinesis_agg`, the codec of awslabs/kinesis-aggregation for Python: aggregates that it
//! made, and where it is installed, both ways.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::records::{Written, aggregated, any_records, bytes, hex, taken_apart};

/// An entry of `vectors.json`, which `peer.py` made of its records.
#[derive(Deserialize)]
struct Vector {
    name: String,
    records: Vec<Written>,
    aggregate: String,
}

fn vectors() -> Vec<Vector> {
    serde_json::from_str(include_str!("vectors.json")).unwrap()
}

#[test]
fn what_it_wrote_is_read() {
    let vectors = vectors();
    assert!(vectors.len() > 10);
    for Vector { name, records, aggregate } in vectors {
        assert_eq!(taken_apart(&bytes(&aggregate)), records, "{name}");
    }
}

#[test]
fn the_same_is_written_byte_by_byte() {
    for Vector { name, records, aggregate } in vectors() {
        assert_eq!(hex(&aggregated(&records).data), aggregate, "{name}");
    }
}

/// The interpreter that has the package, and a word when there is none.
#[expect(clippy::print_stderr, reason = "a test that was skipped says so")]
fn python() -> Option<PathBuf> {
    let Some(tools) = std::env::var_os("TIDEGATE_TOOLS") else {
        eprintln!("skipped: TIDEGATE_TOOLS is not set (run `cargo xtask test`)");
        return None;
    };
    let python = PathBuf::from(tools).join("kpl/bin/python");
    assert!(python.exists(), "TIDEGATE_TOOLS is set, but {} is not there", python.display());
    Some(python)
}

/// Asks `peer.py`, a line a request.
fn ask(python: &Path, requests: &[Value]) -> Vec<Value> {
    let lines: String = requests.iter().map(|request| format!("{request}\n")).collect();
    let mut peer = Command::new(python)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/codec/peer.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = peer.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(lines.as_bytes()).unwrap());
    let output = peer.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success(), "{}", output.status);
    let answers: Vec<_> = str::from_utf8(&output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(answers.len(), requests.len());
    answers
}

#[test]
fn it_writes_and_reads_the_same() {
    let Some(python) = python() else { return };
    let mut runner = TestRunner::deterministic();
    let sets: Vec<Vec<Written>> =
        (0..200).map(|_| any_records().new_tree(&mut runner).unwrap().current()).collect();
    let ours: Vec<_> = sets.iter().map(|records| hex(&aggregated(records).data)).collect();

    let written = ask(&python, &sets.iter().map(|set| json!({"encode": set})).collect::<Vec<_>>());
    let read = ask(&python, &ours.iter().map(|data| json!({"decode": data})).collect::<Vec<_>>());
    for (((records, ours), written), read) in sets.iter().zip(&ours).zip(&written).zip(&read) {
        assert_eq!(written["aggregate"], **ours);
        let read: Vec<Written> = serde_json::from_value(read["records"].clone()).unwrap();
        assert_eq!(read, as_it_reads(records));
    }
}

/// Where some records of an aggregate have a hash key, it gives those without one the first of all.
fn as_it_reads(records: &[Written]) -> Vec<Written> {
    let first = records.iter().find_map(|record| record.explicit_hash_key.clone());
    let filled = |record: &Written| Written {
        explicit_hash_key: record.explicit_hash_key.clone().or_else(|| first.clone()),
        ..record.clone()
    };
    records.iter().map(filled).collect()
}
