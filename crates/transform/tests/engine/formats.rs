//! What each form of input reads, and what each step makes of it, through whole pipelines.

use std::io::Write as _;
use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use tidegate_transform::contract::{self, Verdict};
use tidegate_transform::{Engine, Outcome, Pipeline, Reason, Tables};

use crate::support;

fn engine(yaml: &str) -> Engine {
    engine_with(yaml, Tables::default())
}

fn engine_with(yaml: &str, tables: Tables) -> Engine {
    Engine::new(Pipeline::compile(yaml, tables).unwrap_or_else(|error| panic!("{error}\n{yaml}")))
}

/// The rows that a record becomes, or the reason for which there are none.
fn rows(engine: &mut Engine, record: &[u8]) -> Result<Vec<Value>, &'static str> {
    let mut out = Vec::new();
    match engine.convert(record, &mut out) {
        Outcome::Ok => {
            let text = String::from_utf8(out).unwrap();
            Ok(text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
        }
        Outcome::Dropped(reason) | Outcome::ProcessingFailed(reason) => {
            assert_eq!(out, b"");
            Err(reason.name())
        }
    }
}

/// Runs records through an input, and an object or a reason out of each.
fn check(yaml: &str, cases: &[(&str, Result<Value, &'static str>)]) {
    let mut engine = engine(yaml);
    for (record, expected) in cases {
        let expected = expected.clone().map(|row| vec![row]);
        assert_eq!(rows(&mut engine, record.as_bytes()), expected, "{yaml}: {record}");
    }
}

#[test]
fn access_logs() {
    let common = r#"h - - [10/Oct/2000:13:55:36 +0000] "GET / HTTP/1.0" 200 5"#;
    let row = json!({
        "client": "h", "time": "2000-10-10T13:55:36Z", "method": "GET", "path": "/",
        "protocol": "HTTP/1.0", "status": 200, "bytes": 5
    });
    let with = |more: Value| {
        let mut row = row.clone();
        row.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        row
    };
    check(
        "input: {format: apache_common}",
        &[(common, Ok(row.clone())), (&format!("{common} \"-\""), Err("trailing_bytes"))],
    );
    check(
        "input: {format: nginx}",
        &[
            (&format!("{common} \"-\" \"curl\""), Ok(with(json!({"user_agent": "curl"})))),
            (
                &format!("{common} \"-\" \"-\" \"1.2.3.4, 5.6.7.8\""),
                Ok(with(json!({"forwarded_for": "1.2.3.4, 5.6.7.8"}))),
            ),
            (&format!("{common} \"-\" \"-\" \"-\""), Ok(row.clone())),
            (&format!("{common} \"-\" \"-\" \"1"), Err("unclosed_quote")),
            (common, Err("missing_field")),
        ],
    );
}

#[test]
fn tables() {
    check(
        "input: {format: csv, columns: {id: integer, name: text, ratio: float, ok: boolean, at: timestamp}}",
        &[
            (
                "7,\"a \"\"b\"\", c\",0.50,true,2026-11-14T09:30:00+01:00\r\n",
                Ok(json!({"id": 7, "name": "a \"b\", c", "ratio": 0.50, "ok": true,
                    "at": "2026-11-14T08:30:00Z"})),
            ),
            (",,,,", Ok(json!({}))),
            ("ID,Name,Ratio,OK,At", Err("header")),
            ("7,a,0.5,true", Err("missing_field")),
            ("7,a,0.5,true,,", Err("trailing_bytes")),
            ("7.5,a,0.5,true,", Err("bad_field")),
            ("7,a,inf,true,", Err("bad_field")),
            ("7,a,.5,true,", Err("bad_field")),
            ("7,\"a,0.5,true,", Err("unclosed_quote")),
            ("7,\"a\"b,0.5,true,", Err("trailing_bytes")),
        ],
    );
    check("input: {format: tsv, columns: [a, b]}", &[("1\t,2", Ok(json!({"a": "1", "b": ",2"})))]);
    check(
        "input: {format: csv, delimiter: ';', columns: [a, b]}",
        &[("1;\"2\n3\"", Ok(json!({"a": "1", "b": "2\n3"})))],
    );
}

#[test]
fn json_objects() {
    check(
        "input: {format: json}",
        &[
            (
                r#"{"Status": 200, "user.name": "né \"x\"", "n": null, "f": 1.50, "l": [1, {"a": 2}], "b": true, "big": 18446744073709551616}"#,
                Ok(json!({"status": 200, "user_name": "né \"x\"", "f": 1.50, "l": [1, {"a": 2}],
                    "b": true, "big": 18446744073709551616.0})),
            ),
            (r#"{"a": 1, "b": 2, "A": 3}"#, Ok(json!({"b": 2, "a": 3}))),
            ("{\n  \"a\": {\n    \"b\": 1\n  }\n}\n", Ok(json!({"a": {"b": 1}}))),
            ("{}", Ok(json!({}))),
            ("\u{feff}{\"a\": 1}\r\n", Ok(json!({"a": 1}))),
            ("[1]", Err("not_json")),
            ("{\"a\": 1} x", Err("not_json")),
            (r#"{"a": "\ud800"}"#, Err("not_json")),
            (r#"{"a": ["\ud800"]}"#, Err("not_json")),
            (r#"{"a": 1e999}"#, Err("not_json")),
            ("text", Err("not_json")),
            ("", Err("empty")),
        ],
    );
    let many: String = (0..1_100).map(|n| format!("\"f{n}\":1,")).collect();
    check("input: {format: json}", &[(&format!("{{{many}\"x\":1}}"), Err("too_many_fields"))]);
    check(
        "input: {format: json, flatten: true, keys: as_is}",
        &[(
            r#"{"http": {"status": 404, "Req": {"path": "/"}}, "l": [{"a": 1}], "e": {}}"#,
            Ok(json!({"http_status": 404, "http_Req_path": "/", "l": [{"a": 1}]})),
        )],
    );
    check(
        "input: {format: json, other: drop, fields: {status: integer, took: float, at: timestamp, note: text, ok: boolean}}",
        &[
            (
                r#"{"status": "404", "took": 3, "at": "2026-11-14 09:30:00", "note": 1.5, "ok": "true", "more": 1}"#,
                Ok(json!({"status": 404, "took": 3, "at": "2026-11-14T09:30:00Z", "note": "1.5",
                    "ok": true})),
            ),
            (r#"{"status": ""}"#, Ok(json!({}))),
            (r#"{"status": "x"}"#, Err("bad_field")),
            (r#"{"status": 1.5}"#, Err("bad_field")),
            (r#"{"status": 404.0, "note": 12}"#, Ok(json!({"status": 404, "note": "12"}))),
            (r#"{"status": 4.04e2, "note": true}"#, Ok(json!({"status": 404, "note": "true"}))),
            (r#"{"status": 1e19}"#, Err("bad_field")),
        ],
    );
}

#[test]
fn logfmt_lines() {
    check(
        "input: {format: logfmt, fields: {status: integer}}",
        &[
            (
                r#"level=info msg="a \"b\"\u00e9" status=200  slow empty= quoted="x" path=/a=b"#,
                Ok(json!({"level": "info", "msg": "a \"b\"é", "status": 200, "slow": true,
                    "empty": "", "quoted": "x", "path": "/a=b"})),
            ),
            (r#"msg="\x41""#, Ok(json!({"msg": "A"}))),
            ("a=1\tb \t c=\"x\"\t", Ok(json!({"a": "1", "b": true, "c": "x"}))),
            ("plain words", Err("missing_field")),
            ("=x", Err("missing_field")),
            ("a=\"b", Err("unclosed_quote")),
            ("status=x", Err("bad_field")),
        ],
    );
}

#[test]
fn syslog_messages() {
    check(
        "input: {format: syslog_5424}",
        &[
            (
                r#"<13>1 2026-11-14T09:30:00.5+01:00 - app 17 - [a@1 k="x \"y\" \\ \] \z"][b] msg"#,
                Ok(json!({"facility": "user", "severity": "notice",
                    "time": "2026-11-14T08:30:00.500Z", "app": "app", "process_id": "17",
                    "structured_data": {"a@1": {"k": "x \"y\" \\ ] \\z"}, "b": {}},
                    "message": "msg"})),
            ),
            ("<0>1 - - - - - -", Ok(json!({"facility": "kern", "severity": "emergency"}))),
            (
                r#"<0>1 - - - - - [o ip="1" ip="2"][a][o v="3"]"#,
                Ok(json!({"facility": "kern", "severity": "emergency",
                    "structured_data": {"o": {"ip": ["1", "2"], "v": "3"}, "a": {}}})),
            ),
            ("<192>1 - - - - - -", Err("missing_field")),
            ("<13>1 yesterday - - - - -", Err("bad_time")),
            ("<13>1 - - - - -", Err("missing_field")),
            ("<13>1 - - - - - [a k=\"x]", Err("unclosed_quote")),
            ("<13>2 - - - - - -", Err("missing_field")),
        ],
    );
    // Without an arrival there is no year.
    check(
        "input: {format: syslog_3164}",
        &[
            ("<34>Oct 11 22:14:15 host su: x", Err("bad_time")),
            (
                "<13>2026-11-14T09:30:00.25+01:00 host cron[7]: x",
                Ok(json!({"facility": "user", "severity": "notice",
                    "time": "2026-11-14T08:30:00.250Z", "host": "host", "app": "cron",
                    "process_id": "7", "message": "x"})),
            ),
            ("2026-11-14 09:30:00 host x", Err("bad_time")),
        ],
    );
}

#[test]
fn flow_logs_of_a_format_of_ones_own() {
    check(
        "input: {format: vpc_flow, columns: [srcaddr, pkt-srcaddr, bytes, start, tcp-flags]}",
        &[
            (
                "10.0.0.1 10.0.0.2 84 1418530010 2",
                Ok(json!({"srcaddr": "10.0.0.1", "pkt_srcaddr": "10.0.0.2", "bytes": 84,
                    "start": "2014-12-14T04:06:50Z", "tcp_flags": 2})),
            ),
            ("- - - - -", Ok(json!({}))),
            ("srcaddr pkt-srcaddr bytes start tcp-flags", Err("header")),
            ("10.0.0.1 10.0.0.2 x 1418530010 2", Err("bad_field")),
            ("10.0.0.1 10.0.0.2 84 x 2", Err("bad_time")),
            ("10.0.0.1 10.0.0.2 84", Err("missing_field")),
            ("10.0.0.1 10.0.0.2 84 1418530010 2 3", Err("trailing_bytes")),
        ],
    );
}

#[test]
fn patterns() {
    check(
        "input: {format: pattern, pattern: '[{at:timestamp}] {level} {took:integer}ms {{{tag}}}: {message}'}",
        &[
            (
                "[2026-11-14 09:30:00] WARN 17ms {db}: slow: very",
                Ok(json!({"at": "2026-11-14T09:30:00Z", "level": "WARN", "took": 17, "tag": "db",
                    "message": "slow: very"})),
            ),
            ("[2026-11-14 09:30:00] - ms {}: ", Ok(json!({"at": "2026-11-14T09:30:00Z"}))),
            ("[2026-11-14 09:30:00] WARN 17 {db}: slow", Err("missing_field")),
            ("[2026-11-14 09:30:00] WARN xms {db}: slow", Err("bad_field")),
            ("2026", Err("missing_field")),
        ],
    );
}

#[test]
fn steps_change_what_comes_out() {
    let yaml = r#"
input: {format: json}
steps:
- rename: {lvl: level, took: took_ms}
- keep: level in ["WARN", "ERROR"] || ctx.debug == true
- cast: {took_ms: integer, id: text}
- timestamp: {field: at, formats: [epoch_millis, "%d.%m.%Y %H:%M", iso8601]}
- set: {slow: took_ms != null && took_ms > 100, label: 'level + "/" + id', half: 'took_ms == null ? null : double(took_ms) / 2.0'}
- lookup: {field: level, map: {WARN: 1, ERROR: 2}, into: rank}
- remove: [secret, ctx]
"#;
    check(
        yaml,
        &[
            (
                r#"{"lvl": "WARN", "took": "250", "id": 7, "at": 1794648600100, "secret": "x", "rank": 9}"#,
                Ok(json!({"level": "WARN", "took_ms": 250, "id": "7",
                    "at": "2026-11-14T09:30:00.100Z", "slow": true, "label": "WARN/7",
                    "half": 125.0, "rank": 1})),
            ),
            (
                r#"{"lvl": "INFO", "ctx": {"debug": true}, "id": "a", "at": "14.11.2026 09:30", "level": "x"}"#,
                Ok(json!({"level": "INFO", "id": "a", "at": "2026-11-14T09:30:00Z",
                    "slow": false, "label": "INFO/a"})),
            ),
            (r#"{"lvl": "INFO"}"#, Err("filter")),
            (r#"{"lvl": "WARN", "id": 1, "took": "soon"}"#, Err("cast")),
            (r#"{"lvl": "WARN", "id": 1, "at": "soon"}"#, Err("bad_time")),
            (r#"{"lvl": "WARN"}"#, Err("set")),
        ],
    );
}

#[test]
fn tables_are_looked_up() {
    let yaml = |file: &str, without: &str| {
        format!(
            "input: {{format: json}}\nsteps:\n- lookup: {{field: code, table: {file}, key: id, \
             add: {{name: team, size: size}}, without_row: {without}}}\n"
        )
    };
    let files = [
        ("t.csv", "id,name,size\n7,\"a, b\",3\n8,c,\n7,late,9\n"),
        ("t.json", r#"[{"id": 7, "name": "a, b", "size": 3}, {"id": "8", "name": "c"}]"#),
    ];
    for (file, text) in files {
        assert_eq!(Pipeline::files(&yaml(file, "fail")), [file]);
        let mut tables = Tables::default();
        tables.files.insert(file.to_owned(), Arc::new(text.as_bytes().to_vec()));
        let size = if file == "t.csv" { json!("3") } else { json!(3) };
        let mut lenient = engine_with(&yaml(file, "skip"), tables.clone());
        let mut row = |record: &str| rows(&mut lenient, record.as_bytes()).unwrap().remove(0);
        let expected = json!({"code": 7, "team": "a, b", "size": size});
        assert_eq!(row(r#"{"code": 7, "team": "own"}"#), expected);
        assert_eq!(row(r#"{"code": "8"}"#), json!({"code": "8", "team": "c"}));
        assert_eq!(row(r#"{"code": 9, "team": "own"}"#), json!({"code": 9}));
        let mut strict = engine_with(&yaml(file, "fail"), tables);
        assert_eq!(rows(&mut strict, br#"{"code": 9}"#), Err("not_in_table"));
    }
    let wrong = [
        ("id,name\n7,a\n", "the table has no column \"size\" (there are id, name)"),
        ("", "the table is empty (write a header and rows)"),
        (
            "id,name,size\n\"7",
            "row 2 of the table is not CSV (close every quote, and separate cells by commas)",
        ),
        (
            "[1]",
            "the table is not JSON: invalid type: integer `1`, expected a map at line 1 column 2 (write a list of objects)",
        ),
    ];
    for (text, expected) in wrong {
        let mut tables = Tables::default();
        tables.files.insert("t".to_owned(), Arc::new(text.as_bytes().to_vec()));
        let error = Pipeline::compile(&yaml("t", "fail"), tables).unwrap_err().to_string();
        assert!(error.ends_with(expected), "{error}");
    }
}

#[test]
fn a_sample_keeps_a_share_by_its_key() {
    let mut engine = engine("input: {format: json}\nsteps: [{sample: {percent: 25, by: user}}]");
    let mut kept = 0;
    for user in 0..2_000 {
        let [a, b] = [1, 2].map(|n| {
            rows(&mut engine, format!(r#"{{"user": "u{user}", "n": {n}}}"#).as_bytes()).is_ok()
        });
        assert_eq!(a, b, "a user is kept or dropped as a whole");
        kept += u32::from(a);
    }
    assert!((400..600).contains(&kept), "{kept}");
}

#[test]
fn inputs_are_tried_in_order_and_counted() {
    let yaml = "input: {any_of: [{format: json}, {format: logfmt}, {format: vpc_flow}]}\n\
                steps: [{remove: [version]}]";
    let mut engine = engine(yaml);
    let records = [r#"{"a": 1}"#, "a=1", "a=2", "nothing", ""];
    let (answers, report) = support::transform(&mut engine, &support::request(&records));
    let verdicts: Vec<_> = answers.iter().map(|answer| answer.verdict).collect();
    use Verdict::{Ok, ProcessingFailed};
    assert_eq!(verdicts, [Ok, Ok, Ok, ProcessingFailed, ProcessingFailed]);
    assert_eq!(
        serde_json::to_value(&report).unwrap()["inputs"],
        json!({"json": 1, "logfmt": 2, "vpc_flow": 0})
    );
    assert_eq!((report.events, report.rows), (5, 3));
    assert_eq!((report.reasons.of(Reason::NoInput), report.reasons.of(Reason::Empty)), (1, 1));
    // What one input began to read is not left to the next.
    let mut engine = self::engine(
        "input: {any_of: [{format: csv, columns: {a: text, b: integer}}, {format: text}]}",
    );
    assert_eq!(rows(&mut engine, b"x,y"), std::result::Result::Ok(vec![json!({"message": "x,y"})]));
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn envelope(messages: &[&str]) -> Vec<u8> {
    let events: Vec<_> = messages
        .iter()
        .enumerate()
        .map(|(id, message)| json!({"id": id.to_string(), "timestamp": 1_794_648_600_000_i64, "message": message}))
        .collect();
    json!({"messageType": "DATA_MESSAGE", "owner": "1", "logGroup": "g", "logStream": "s",
        "subscriptionFilters": [], "policyLevel": "x", "logEvents": events, "new": {"a": [1]}})
    .to_string()
    .into_bytes()
}

#[test]
fn a_record_of_many_events_has_one_answer() {
    let yaml =
        "input: {format: logfmt, unwrap: cloudwatch_logs}\nsteps: [{keep: level != 'debug'}]";
    let mut engine = engine(yaml);
    // An empty line that a program printed is no event.
    let good = envelope(&["level=info", "\n", "level=debug\n", "", "level=warn n=\"\\n\""]);
    let rows_of = |engine: &mut Engine, data: &[u8]| {
        rows(engine, data)
            .map(|rows| rows.iter().map(|row| row["level"].clone()).collect::<Vec<_>>())
    };
    let expected = Ok(vec![json!("info"), json!("warn")]);
    assert_eq!(rows_of(&mut engine, &good), expected);
    assert_eq!(rows_of(&mut engine, &gzip(&good)), expected);
    let odd = br#"{"messageType": "DATA_MESSAGE", "logEvents":
        [{"id": 7, "timestamp": "1794648600000", "message": "level=info"}]}"#;
    let row = json!({"log_event_id": "7", "log_time": "2026-11-14T09:30:00Z", "level": "info"});
    assert_eq!(rows(&mut engine, odd), Ok(vec![row]));
    // Several members of gzip, one after the other, are one record too.
    let (first, second) = good.split_at(100);
    assert_eq!(rows_of(&mut engine, &[gzip(first), gzip(second)].concat()), expected);
    let cases: [(Vec<u8>, &str); 8] = [
        (envelope(&["level=debug", "level=debug"]), "not_kept"),
        (envelope(&[]), "no_events"),
        (envelope(&["\r\n"]), "no_events"),
        (envelope(&["level=info", "no pairs here"]), "missing_field"),
        (br#"{"messageType": "CONTROL_MESSAGE", "logEvents": []}"#.to_vec(), "control_message"),
        (br#"{"messageType": "OTHER", "logEvents": []}"#.to_vec(), "bad_envelope"),
        (gzip(&good)[..60].to_vec(), "bad_gzip"),
        (gzip(&vec![b' '; 17 << 20]), "too_large"),
    ];
    for (record, reason) in cases {
        assert_eq!(rows_of(&mut engine, &record), Err(reason));
    }
    let records = [good.clone(), envelope(&["level=debug"]), envelope(&["x"])];
    let (_, report) = support::transform(&mut engine, &support::request(&records));
    assert_eq!((report.events, report.rows), (5, 2));
    assert_eq!((report.ok, report.dropped, report.processing_failed), (1, 1, 1));
}

#[test]
fn lines_of_one_record() {
    let mut engine = engine("input: {format: json, unwrap: lines}\noutput: {newline: false}");
    let mut out = Vec::new();
    assert_eq!(engine.convert(b"{\"a\":1}\r\n\n{\"a\":2}\n", &mut out), Outcome::Ok);
    assert_eq!(out, b"{\"a\":1}\n{\"a\":2}");
    assert_eq!(rows(&mut engine, b"\n\n"), Err("empty"));
    assert_eq!(rows(&mut engine, b"{\"a\":1}\nx"), Err("not_json"));
}

#[test]
fn metadata_routes_a_record() {
    let yaml = "input: {format: json, unwrap: lines, fields: {at: timestamp}}\noutput:\n  \
                partition_keys: {day: '{at:yyyy-MM-dd}', team: 'team={team|none}'}\n  \
                iceberg: {database: lake, table: 'log_{kind}', operation: insert}\n";
    let mut engine = engine(yaml);
    let record = |at: &str, kind: &str| format!(r#"{{"at": "{at}", "kind": "{kind}"}}"#);
    let one = record("2026-11-14T23:30:00-01:00", "a");
    let records = [
        one.clone(),
        format!("{one}\n{one}"),
        format!("{one}\n{}", record("2026-11-14", "a")),
        r#"{"at": "2026-11-14"}"#.to_owned(),
        r#"{"kind": "a"}"#.to_owned(),
    ];
    let request = support::request(&records);
    let mut out = Vec::new();
    let report = engine.transform(&request, &mut out).unwrap();
    contract::check(&request, &out).unwrap();
    let response: Value = serde_json::from_slice(&out).unwrap();
    let metadata = json!({
        "partitionKeys": {"day": "2026-11-15", "team": "team=none"},
        "otfMetadata": {"destinationDatabaseName": "lake", "destinationTableName": "log_a",
            "operation": "insert"}
    });
    assert_eq!(response["records"][0]["metadata"], metadata);
    assert_eq!(response["records"][1]["metadata"], metadata);
    let reasons = [Reason::MixedMetadata, Reason::NoMetadata].map(|r| report.reasons.of(r));
    assert_eq!((report.ok, reasons), (2, [1, 2]));
}

#[test]
fn what_was_transformed_once_is_left_as_it_is() {
    let yaml = "input: {format: json, flatten: true}\nsteps:\n- timestamp: {field: at}\n";
    let mut engine = engine(yaml);
    let record =
        br#"{"At": "2026-11-14 09:30", "User Name": "x\ty", "n": {"a": 1.50, "b": [1, null]}}"#;
    let mut once = Vec::new();
    assert_eq!(engine.convert(record, &mut once), Outcome::Ok);
    let mut twice = Vec::new();
    assert_eq!(engine.convert(&once, &mut twice), Outcome::Ok);
    let [once, twice] = [once, twice].map(|text| String::from_utf8(text).unwrap());
    assert_eq!(once, twice);
}

#[test]
fn the_schema_for_editors_is_the_one_that_is_kept() {
    let path =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/src/reference/pipeline.schema.json");
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    let remedy = "write it anew: cargo tidegate transform schema --editor";
    assert!(kept == tidegate_transform::editor_schema(), "{path} is not up to date; {remedy}");
}
