//! Inputs that are taken apart or put together before they are read.

use serde_json::{Value, json};
use tidegate_kpl::Aggregator;
use tidegate_transform::{Engine, Outcome, Pipeline, Tables};

fn engine(yaml: &str) -> Engine {
    Engine::new(Pipeline::compile(yaml, Tables::default()).unwrap())
}

/// The rows of a record, or why it has none.
fn rows(engine: &mut Engine, record: &[u8]) -> Result<Vec<Value>, &'static str> {
    let mut out = Vec::new();
    match engine.convert(record, &mut out) {
        Outcome::Ok => {
            let rows = serde_json::Deserializer::from_slice(&out).into_iter();
            Ok(rows.map(Result::unwrap).collect())
        }
        Outcome::Dropped(reason) | Outcome::ProcessingFailed(reason) => Err(reason.name()),
    }
}

#[test]
fn the_groups_of_an_expression_are_fields() {
    let mut engine = engine(
        r"input:
  format: regex
  pattern: '^(?<host>\S+) (?:\[(?<at>[^\]]+)\] )?(?<code>\d+|-)(?: (?<rest>.+))?$'
  fields: {code: integer, at: timestamp}
steps:
- keep: code == null || code >= 400
",
    );
    let cases = [
        (
            "a.example [2026-11-14T09:30:00+01:00] 404 not there",
            Ok(json!({
                "host": "a.example", "at": "2026-11-14T08:30:00Z", "code": 404,
                "rest": "not there",
            })),
        ),
        ("b -", Ok(json!({"host": "b"}))),
        ("b 200", Err("not_kept")),
        ("only", Err("no_match")),
        ("b [noon] 500", Err("bad_field")),
        ("", Err("empty")),
    ];
    for (line, expected) in cases {
        let found = rows(&mut engine, line.as_bytes()).map(Value::from);
        assert_eq!(found, expected.map(|row| json!([row])), "{line}");
    }
}

#[test]
fn what_is_wrong_with_an_expression_is_said() {
    let cases = [
        ("input: {format: regex}", "there is no pattern (write pattern: "),
        ("input: {format: regex, pattern: '('}", "this is no regular expression: "),
        ("input: {format: regex, pattern: 'a'}", "it has no named group (write named groups"),
        ("input: {format: regex, pattern: '(?<A>a)'}", "\"A\" is no name of a field"),
        (
            "input: {format: regex, pattern: '(?<a>a)', fields: {b: integer}}",
            "the pattern has no group \"b\" (its groups are a)",
        ),
    ];
    for (yaml, expected) in cases {
        let error = Pipeline::compile(yaml, Tables::default()).unwrap_err().to_string();
        assert!(error.contains(expected), "{yaml}: {error}");
    }
}

#[test]
fn aggregates_are_taken_apart() {
    let mut engine = engine("input: {format: json, unwrap: kpl}\nsteps:\n- drop: n == 2\n");
    let aggregate = |data: &[&str]| {
        let mut aggregator = Aggregator::new(usize::MAX);
        data.iter().for_each(|data| aggregator.push("k", None, data.as_bytes()).unwrap());
        aggregator.take().unwrap().data
    };
    let whole = aggregate(&[r#"{"n":1}"#, r#"{"n":2}"#, r#"{"n":3}"#]);
    assert_eq!(rows(&mut engine, &whole), Ok(vec![json!({"n": 1}), json!({"n": 3})]));
    assert_eq!(rows(&mut engine, br#"{"n":4}"#), Ok(vec![json!({"n": 4})]));
    assert_eq!(rows(&mut engine, &aggregate(&[r#"{"n":1}"#, "x"])), Err("not_json"));
    assert_eq!(rows(&mut engine, &aggregate(&[r#"{"n":2}"#])), Err("drop_step"));
}

#[test]
fn a_wrapped_request_is_one_event() {
    let line =
        |path: &str| format!(r#"h - - [10/Oct/2000:13:55:36 +0000] "GET {path} HTTP/1.0" 200 5"#);
    let paths =
        |rows: Vec<Value>| -> Vec<Value> { rows.iter().map(|row| row["path"].clone()).collect() };
    // A record that holds the whole of it.
    let mut single = engine("input: {format: apache_common}");
    let found = rows(&mut single, line("/a\nb").as_bytes()).map(paths);
    assert_eq!(found, Ok(vec![json!("/a\nb")]));
    assert_eq!(
        rows(&mut single, b"h - - [10/Oct/2000:13:55:36 +0000] \"GET\n/"),
        Err("unclosed_quote")
    );
    // Lines of which two are one.
    let mut lines = engine("input: {format: apache_common, unwrap: lines}");
    let record = [line("/1"), line("/2\r\nx"), line("/3")].join("\n");
    let found = rows(&mut lines, record.as_bytes()).map(paths);
    assert_eq!(found, Ok(vec![json!("/1"), json!("/2\nx"), json!("/3")]));
}
