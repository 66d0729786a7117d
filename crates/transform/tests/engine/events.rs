//! The fixtures under `tests/events/`, each with what becomes of its records.

use serde_json::{Value, json};
use tidegate_transform::contract::{Answer, Verdict};
use tidegate_transform::{Engine, Report, Tables};

use crate::support;

fn fixture(engine: &mut Engine, name: &str) -> (Vec<Answer>, Report) {
    let path = format!("{}/../../tests/events/{name}.json", env!("CARGO_MANIFEST_DIR"));
    support::transform(engine, &std::fs::read(path).unwrap())
}

fn verdicts(answers: &[Answer]) -> String {
    let letter = |answer: &Answer| match answer.verdict {
        Verdict::Ok => 'o',
        Verdict::Dropped => 'd',
        Verdict::ProcessingFailed => 'f',
    };
    answers.iter().map(letter).collect()
}

#[test]
fn each_fixture_has_its_outcome() {
    let cases = [
        ("firehose-kinesis", "oooo", "ddoo", json!({"not_kept": 2})),
        ("firehose-direct-put", "ooo", "ddo", json!({"not_kept": 2})),
        ("firehose-bad-record", "ofo", "dfo", json!({"not_kept": 1, "unclosed_quote": 1})),
        ("firehose-string-timestamps", "oo", "do", json!({"not_kept": 1})),
        ("firehose-empty", "", "", json!({})),
    ];
    for (name, all, errors, reasons) in cases {
        let (answers, _) = fixture(&mut support::builtin("access-log", Tables::default()), name);
        assert_eq!(verdicts(&answers), all, "{name}");
        let mut engine = support::builtin("access-log-errors", Tables::default());
        let (answers, report) = fixture(&mut engine, name);
        assert_eq!(verdicts(&answers), errors, "{name}");
        assert_eq!(serde_json::to_value(&report.reasons).unwrap(), reasons, "{name}");
    }
}

#[test]
fn every_field_comes_out() {
    let mut engine = support::builtin("access-log", Tables::default());
    let (answers, _) = fixture(&mut engine, "firehose-kinesis");
    let objects: Vec<_> = answers.iter().map(|answer| answer.object().unwrap()).collect();
    assert_eq!(
        Value::from(objects),
        json!([
            {
                "client": "192.0.2.17", "time": "2026-11-14T09:30:00Z", "method": "GET",
                "path": "/index.html", "protocol": "HTTP/1.1", "status": 200, "bytes": 5120,
                "user_agent":
                    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
            },
            {
                "client": "198.51.100.8", "user": "maria", "time": "2026-11-14T09:30:01Z",
                "method": "POST", "path": "/api/orders?draft=1", "protocol": "HTTP/2.0",
                "status": 201, "bytes": 312, "referer": "https://shop.example.com/cart",
                "user_agent": "curl/8.9.1"
            },
            {
                "client": "crawler.example.net", "time": "2026-11-14T09:30:02Z", "method": "GET",
                "path": "/café \"menu\".html", "protocol": "HTTP/1.1", "status": 404,
                "user_agent": "ExampleBot/1.0 (+https://bot.example.net/)"
            },
            {
                "client": "203.0.113.40", "time": "2026-11-14T09:30:03Z", "request": "-",
                "status": 408
            }
        ])
    );
}

#[test]
fn a_database_adds_places_and_a_damaged_one_is_counted() {
    let tables = support::made_database();
    let line = |client: &str| {
        format!(r#"{client} - - [10/Oct/2000:13:55:36 -0700] "GET / HTTP/1.1" 200 5 "-" "-""#)
    };
    let data = ["89.160.20.112", "192.0.2.7", "host.example.com"].map(line);
    let mut engine = support::builtin("access-log", tables);
    let (answers, report) = support::transform(&mut engine, &support::request(&data));
    assert_eq!((report.ok, report.geoip_errors), (3, 1));
    let countries: Vec<_> =
        answers.iter().map(|answer| answer.object().unwrap().get("geo_country").cloned()).collect();
    assert_eq!(countries, [Some(json!("SE")), None, None]);
    // What a filter drops, or the response has no room for, is no gap in what is delivered.
    let mut engine = support::builtin("access-log-errors", support::made_database());
    let (_, report) = support::transform(&mut engine, &support::request(&data));
    assert_eq!((report.dropped, report.geoip_errors), (3, 0));
}
