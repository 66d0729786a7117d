//! The reader of access logs beside another of its kind, on a real log: `apachelogs` of PyPI.

use std::process::Command;

use serde_json::Value;
use tidegate_tests::place::{root, tool};
use tidegate_transform::{Engine, Outcome, Pipeline, Tables, pipelines};

#[test]
fn every_field_of_a_real_log_is_what_another_reader_says() {
    let Some(folder) = std::env::var_os("TIDEGATE_DATA") else {
        eprintln!("skipped: TIDEGATE_DATA does not name a folder with apache_combined.log");
        return;
    };
    let Some(python) = tool("lake/bin/python") else { return };
    let log = std::path::Path::new(&folder).join("apache_combined.log");
    let script = root().join("tests/access_log/parse.py");
    let said = Command::new(python).arg(script).arg(&log).output().expect("Python starts");
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    let theirs = String::from_utf8(said.stdout).expect("JSON is UTF-8");
    let ours = std::fs::read(log).expect("the log can be read");
    let yaml = pipelines::builtin("access-log").expect("it is built in");
    let pipeline = Pipeline::compile(yaml, Tables::default()).expect("it has no mistakes");
    let mut engine = Engine::new(pipeline);
    let (mut read, mut number) = (0, 0);
    for (line, theirs) in ours.split_inclusive(|byte| *byte == b'\n').zip(theirs.lines()) {
        number += 1;
        let theirs: Value = serde_json::from_str(theirs).expect("a line is JSON");
        let mut row = Vec::new();
        let outcome = engine.convert(line, &mut row);
        assert_eq!(outcome == Outcome::Ok, !theirs.is_null(), "line {number}: {outcome:?}");
        if outcome == Outcome::Ok {
            let row: Value = serde_json::from_slice(&row).expect("a row is JSON");
            assert_eq!(as_theirs(row), theirs, "line {number}");
            read += 1;
        }
    }
    assert_eq!((number, read), (10_000, 9_999));
}

/// The row with its request line in one piece, as the other reader has it.
fn as_theirs(mut row: Value) -> Value {
    let Some(members) = row.as_object_mut() else { return row };
    let parts = ["method", "path", "protocol"].map(|name| members.remove(name));
    let parts: Vec<_> = parts.iter().flatten().filter_map(Value::as_str).collect();
    let request = members.remove("request").unwrap_or_else(|| parts.join(" ").into());
    members.insert("request_line".to_owned(), request);
    row
}
