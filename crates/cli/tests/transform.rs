//! `tidegate transform` as a person runs it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

const LOG: &str = concat!(
    r#"192.0.2.7 - - [10/Oct/2000:13:55:36 -0700] "GET /a HTTP/1.1" 200 12 "-" "curl/8""#,
    "\n",
    r#"192.0.2.8 - - [10/Oct/2000:13:55:37 -0700] "GET /b HTTP/1.1" 404 - "-" "curl/8""#,
    "\n",
    r#"192.0.2.9 - - [10/Oct/2000:13:55:38 -0700] "GET /c HTTP/1.1" 200 1 "-" "cut"#,
    "\n",
);

fn transform(arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    command.arg("transform").args(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A program that reads no input may be gone already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn said(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_log_becomes_rows_and_a_summary() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    fs::write(&path, LOG).unwrap();
    let name = path.to_str().unwrap();
    let output = transform(&["run", name], "");
    assert!(output.status.success());
    let (rows, summary) = said(&output);
    let paths: Vec<_> = rows
        .lines()
        .map(|row| serde_json::from_str::<Value>(row).unwrap()["path"].clone())
        .collect();
    assert_eq!(paths, [json!("/a"), json!("/b")]);
    for part in [
        "records    3 = 2 Ok + 0 Dropped + 1 ProcessingFailed\n",
        &format!("unclosed_quote       1 at {name}:3\n"),
        "rows       2 of 3 events;",
        "Firehose   1 invocations;",
        "S3         1 objects of 64 MiB at most",
    ] {
        assert!(summary.contains(part), "{part:?} is missing: {summary}");
    }
    // The same from standard input, and through a request of Firehose and back.
    assert_eq!(said(&transform(&["run"], LOG)).0, rows);
    let (event, _) = said(&transform(&["run", "--output", "event"], LOG));
    assert_eq!(said(&transform(&["run", "--input", "event"], &event)).0, rows);
    // As one of AWS's own samples is padded.
    let padded = event.replacen("Igo=\"", "Igo==\"", 1);
    assert_ne!(padded, event);
    assert_eq!(said(&transform(&["run", "--input", "event"], &padded)).0, rows);
    let (response, _) = said(&transform(&["run", "--output", "response"], LOG));
    let answers = tidegate_transform::contract::check(event.as_bytes(), response.as_bytes());
    assert_eq!(answers.unwrap().len(), 3);
    let (json, _) = said(&transform(&["run", "--output", "nothing", "--json"], LOG));
    let summary: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(summary["report"]["reasons"], json!({"unclosed_quote": 1}));
    assert_eq!(summary["failed_at"], json!({"unclosed_quote": ["-:3"]}));
}

#[test]
fn each_record_is_explained() {
    let arguments = ["run", "--config", "builtin:access-log-errors", "--explain"];
    let (text, _) = said(&transform(&arguments, LOG));
    let first: Vec<_> = text.lines().map(|line| line.get(..24).unwrap_or(line)).collect();
    assert_eq!(
        first,
        [
            "-:1: Dropped (not_kept)",
            "  192.0.2.7 - - [10/Oct/",
            "-:2: Ok",
            "  {\"client\":\"192.0.2.8\",",
            "-:3: ProcessingFailed (u",
            "  192.0.2.9 - - [10/Oct/",
        ]
    );
}

#[test]
fn what_is_no_text_is_shown_by_its_escapes_and_not_whole() {
    let long = "x".repeat(3_000);
    let log = format!("a\u{1b}[2J\r\n{long}\n");
    let (text, _) = said(&transform(&["run", "--explain"], &log));
    let lines: Vec<_> = text.lines().collect();
    let missing =
        ["-:1: ProcessingFailed (missing_field)", "-:2: ProcessingFailed (missing_field)"];
    let cut = format!("  {} … (3001 bytes)", &long[..2 << 10]);
    assert_eq!(lines, [missing[0], "  a\\u{1b}[2J", missing[1], &cut]);
}

#[test]
fn a_table_is_read_row_by_row_with_its_header() {
    let csv = "\u{feff}id,Note\r\n1,\"two\nlines\"\r\n\r\n2,\"never closed\n3,c\n4\n";
    let (rows, told) = said(&transform(&["run", "--config", "builtin:csv-to-json"], csv));
    assert_eq!(rows, "{\"id\":\"1\",\"note\":\"two\\nlines\"}\n{\"id\":\"3\",\"note\":\"c\"}\n");
    for part in [
        "records    4 = 2 Ok + 0 Dropped + 2 ProcessingFailed\n",
        "unclosed_quote       1 at -:5\n",
        "missing_field        1 at -:7\n",
    ] {
        assert!(told.contains(part), "{part:?} is missing: {told}");
    }
}

#[test]
fn cases_are_run_and_failures_have_their_own_exit_code() {
    let (out, told) = said(&transform(&["test"], ""));
    assert_eq!(out, "");
    assert!(told.ends_with(" cases of 8 pipelines, 0 failed\n"), "{told}");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("own.yaml");
    fs::write(folder.path().join("teams.csv"), "code,team\n7,lake\n").unwrap();
    let yaml = "input: {format: json}\nsteps:\n\
                - lookup: {field: code, table: teams.csv, key: code, add: {team: team}}\n\
                cases:\n\
                - {name: known, input: '{\"code\": 7}', fields: {team: lake}}\n\
                - {name: unknown, input: '{\"code\": 8}', fields: {team: sea}}\n\
                - {name: text, input: 'x', result: Dropped}\n\
                - {name: why, input: 'x', result: ProcessingFailed, reason: empty}\n";
    fs::write(&path, yaml).unwrap();
    let name = path.to_str().unwrap();
    let output = transform(&["test", name], "");
    let (out, told) = said(&output);
    assert_eq!(output.status.code(), Some(4));
    assert_eq!(
        out,
        format!(
            "{name}:6: unknown: team is null instead of \"sea\"\n\
             {name}:7: text: the result is ProcessingFailed (not_json) instead of Dropped\n\
             {name}:8: why: the reason is not_json instead of empty\n"
        )
    );
    assert_eq!(told, "4 cases of 1 pipelines, 3 failed\n");
}

#[test]
fn the_table_has_the_columns_of_the_rows() {
    let (table, _) = said(&transform(&["schema", "--table", "access"], ""));
    for part in [
        "Type: AWS::Glue::Table",
        "      Name: access\n",
        "          - {Name: \"time\", Type: timestamp}\n",
        "          - {Name: \"status\", Type: bigint}\n",
        "          - {Name: \"geo_latitude\", Type: double}",
        "          - {Name: \"reingested\", Type: bigint}",
    ] {
        assert!(table.contains(part), "{part:?} is missing: {table}");
    }
    let (schema, _) = said(&transform(&["schema", "--editor"], ""));
    assert_eq!(schema, tidegate_transform::editor_schema());
}

#[cfg(feature = "parquet")]
#[test]
fn a_parquet_file_is_read_by_another_reader() {
    use std::path::PathBuf;

    let folder = tempfile::tempdir().unwrap();
    let pipeline = folder.path().join("own.yaml");
    fs::write(
        &pipeline,
        "input: {format: json, fields: {at: timestamp, n: integer, x: float, ok: boolean}}\n\
         steps: [{drop: n == 3}, {rename: {other: any}}]\n",
    )
    .unwrap();
    let records = concat!(
        r#"{"at": "2026-11-14T10:30:00+01:00", "n": 1, "x": 0.5, "ok": true, "other": "a"}"#,
        "\n",
        r#"{"n": 2, "x": 3, "other": {"b": [1]}, "more": "no column"}"#,
        "\n",
        r#"{"n": 3}"#,
        "\n",
    );
    let out = folder.path().join("out.parquet");
    let name = out.to_str().unwrap();
    let arguments = ["run", "--config", pipeline.to_str().unwrap(), "--parquet", name];
    let (rows, summary) = said(&transform(&arguments, records));
    assert_eq!(rows, "");
    assert!(summary.contains(&format!("\nParquet    {name}: 2 rows, 5 columns, ")), "{summary}");
    let tools = std::env::var_os("TIDEGATE_TOOLS").map(PathBuf::from);
    let Some(python) = tools.map(|tools| tools.join("lake/bin/python")) else {
        eprintln!("skipped: TIDEGATE_TOOLS does not name the folder of tools");
        return;
    };
    let script = "import duckdb, json, sys\n\
                  found = duckdb.sql(f\"select * from '{sys.argv[1]}' order by n\")\n\
                  print(json.dumps([found.columns, [str(t) for t in found.types]]))\n\
                  print(json.dumps(found.fetchall(), default=str))\n";
    let read = Command::new(python).args(["-c", script, name]).output().unwrap();
    let (text, error) = said(&read);
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        lines,
        [
            json!([
                ["at", "n", "x", "ok", "any"],
                ["TIMESTAMP", "BIGINT", "DOUBLE", "BOOLEAN", "VARCHAR"]
            ]),
            json!([
                ["2026-11-14 09:30:00", 1, 0.5, true, "a"],
                [null, 2, 3.0, null, "{\"b\":[1]}"]
            ]),
        ],
        "{error}"
    );
    // The columns are those of the Glue table.
    let (table, _) = said(&transform(&["schema", "--config", pipeline.to_str().unwrap()], ""));
    for column in ["\"at\", Type: timestamp", "\"n\", Type: bigint", "\"x\", Type: double"] {
        assert!(table.contains(column), "{column}: {table}");
    }
}

/// Every kind of output, where there is no room for it.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_said_with_what_could_not_be_written() {
    let cases: &[&[&str]] = &[&["run"], &["run", "--explain"], &["schema"]];
    for arguments in cases {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
        command.arg("transform").args(*arguments).stdin(Stdio::piped()).stderr(Stdio::piped());
        command.stdout(fs::File::options().write(true).open("/dev/full").unwrap());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(LOG.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let (_, told) = said(&output);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {told}");
        let expected = "error: standard output cannot be written: No space left on device";
        assert!(told.starts_with(expected), "{arguments:?}: {told}");
    }
    #[cfg(feature = "parquet")]
    {
        let output = transform(&["run", "--parquet", "/dev/full"], LOG);
        let (_, told) = said(&output);
        assert_eq!(output.status.code(), Some(1), "{told}");
        let expected =
            "error: /dev/full cannot be written: No space left on device (os error 28)\n";
        assert_eq!(told, expected);
    }
}

#[test]
fn what_cannot_be_done_is_said_with_its_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("wrong.yaml");
    fs::write(&path, "input: {format: xml}\nsteps: [{keep: a ==}]\n").unwrap();
    let wrong = path.to_str().unwrap();
    let unread = folder.path().join("unread.yaml");
    let yaml = "input: {format: csv, columns: [a]}\n\
                steps: [{lookup: {field: a, table: none.csv, key: k, add: {b: b}}}, {keep: c == 1}]\n";
    fs::write(&unread, yaml).unwrap();
    let unread = unread.to_str().unwrap();
    let cases: [(&[&str], i32, &str); 10] = [
        (&["run", "/none.log"], 1, "/none.log cannot be read"),
        (&["run", "--config", "/none.yaml"], 1, "/none.yaml cannot be read"),
        (
            &["run", "--config", "builtin:none"],
            1,
            "no built-in pipeline \"none\": known are access",
        ),
        (&["run", "--config", wrong], 1, "\n  line 2, steps[0].keep: not an expression"),
        (
            &["run", "--config", unread],
            1,
            "\n  line 2, steps[0].lookup.table: the table \"none.csv\"",
        ),
        (&["run", "--config", unread], 1, "\n  line 2, steps[1].keep: there is no field \"c\""),
        (&["run", "--config", unread], 1, "none.csv cannot be read: No such file"),
        (&["run", "--buffer-mb", "4"], 1, "outside of what Firehose allows: 0.2 to 3"),
        (&["run", "--geoip-db", wrong], 1, "wrong.yaml cannot be used: it is not a MaxMind"),
        (&["run", "--output", "xml"], 2, "possible values: rows, event, response, nothing"),
    ];
    for (arguments, code, message) in cases {
        let output = transform(arguments, "");
        let (_, told) = said(&output);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {told}");
        assert!(told.contains(message), "{arguments:?}: {told}");
    }
}
