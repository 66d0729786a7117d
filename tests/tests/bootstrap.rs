//! The built functions on a Runtime API that is not ours: every fixture, a bad record at every
//! position, bad settings, and what the log may not hold.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::{Value, json};
use tidegate_tests::lambda::{Ended, Lambda};
use tidegate_tests::place::{bootstrap, files, fixture, tool};
use tidegate_transform::contract::{self, Verdict};

const LINE: &str = "203.0.113.9 - - [21/Nov/2026:09:41:00 +0000] \"GET /cart HTTP/1.1\" 200 512 \
                    \"-\" \"agent of a customer\"";

/// Settings, name and value.
type Vars = &'static [(&'static str, &'static str)];

fn base64(bytes: &[u8]) -> String {
    base64_simd::STANDARD.encode_to_string(bytes)
}

fn kinesis_record(number: usize, data: &str) -> Value {
    json!({
        "kinesis": {
            "kinesisSchemaVersion": "1.0", "partitionKey": "customer-17",
            "sequenceNumber": format!("4966{number:052}"), "data": data,
            "approximateArrivalTimestamp": 1_795_000_000.25
        },
        "eventSource": "aws:kinesis", "eventVersion": "1.0",
        "eventID": format!("shardId-000000000003:4966{number:052}"),
        "eventName": "aws:kinesis:record", "awsRegion": "us-east-1",
        "eventSourceARN": "arn:aws:kinesis:us-east-1:111122223333:stream/clicks"
    })
}

#[test]
fn the_consumer_answers_every_fixture() {
    let Some(path) = bootstrap("consumer") else { return };
    let plain = Lambda::start(&path, &[]).unwrap();
    let access = Lambda::start(&path, &[("TIDEGATE_FORMAT", "access-log")]).unwrap();
    let cases = [
        (&plain, "kinesis-json", 0),
        (&plain, "kinesis-empty", 0),
        (&plain, "kinesis-enhanced-fan-out", 0),
        (&plain, "kinesis-bad-base64", 1),
        (&plain, "kinesis-bad-json", 1),
        (&plain, "kinesis-bad-shape", 1),
        (&plain, "kinesis-bad-utf8", 1),
        (&plain, "kinesis-no-data", 1),
        (&plain, "kinesis-cloudwatch-logs", 1),
        (&access, "kinesis-access-log", 0),
    ];
    for (lambda, name, poison) in cases {
        let before = lambda.events("quarantined").unwrap().len();
        let response = lambda.respond(fixture(name)).unwrap();
        assert_eq!(response, json!({"batchItemFailures": []}), "{name}");
        assert_eq!(lambda.events("quarantined").unwrap().len() - before, poison, "{name}");
    }
}

/// A record of each bad kind, at each place of a batch of five: the neighbours are delivered, and
/// the bad one lies in the quarantine folder.
#[test]
fn the_consumer_settles_a_bad_record_at_every_position() {
    let Some(path) = bootstrap("consumer") else { return };
    let folder = tempfile::tempdir().unwrap();
    let store = format!("file://{}", folder.path().display());
    let lambda = Lambda::start(&path, &[("TIDEGATE_QUARANTINE", &store)]).unwrap();
    let bad = [
        ("base64", "%%% not base64 %%%".to_owned()),
        ("decompress", base64(&[0x1f, 0x8b, 0x08, 0x00, 0x07])),
        ("utf8", base64(&[0xff, 0xfe, 0x80])),
        ("parse", base64(b"{\"open\": ")),
        ("schema", base64(b"[1, 2, 3]")),
    ];
    let mut number = 0;
    for (reason, data) in &bad {
        for place in 0..5 {
            let records: Vec<_> = (0..5)
                .map(|index| {
                    number += 1;
                    let good = base64(format!("{{\"n\":{number}}}").as_bytes());
                    kinesis_record(number, if index == place { data } else { &good })
                })
                .collect();
            let response = lambda.respond(json!({"Records": records})).unwrap();
            assert_eq!(response, json!({"batchItemFailures": []}), "{reason} at {place}");
            let batch = lambda.events("batch").unwrap().pop().unwrap();
            assert_eq!((&batch["delivered"], &batch["quarantined"]), (&json!(4), &json!(1)));
            let line = lambda.events("quarantined").unwrap().pop().unwrap();
            assert_eq!(line["reason"], *reason);
        }
    }
    let mut envelopes = Vec::new();
    let mut folders = vec![folder.path().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let bytes = std::fs::read(path).unwrap();
                envelopes.push(serde_json::from_slice::<Value>(&bytes).unwrap());
            }
        }
    }
    assert_eq!(envelopes.len(), bad.len() * 5);
    for envelope in envelopes {
        assert_eq!(envelope["shard_id"], "shardId-000000000003");
        assert_eq!(envelope["partition_key"], "customer-17");
        assert!(envelope["payload"].is_string(), "{envelope}");
    }
}

/// A quarantine that cannot be written settles nothing: the record comes again.
#[test]
fn the_consumer_asks_again_for_what_it_could_not_quarantine() {
    let Some(path) = bootstrap("consumer") else { return };
    let folder = tempfile::tempdir().unwrap();
    let store = format!("file://{}", folder.path().join("quarantine").display());
    let lambda = Lambda::start(&path, &[("TIDEGATE_QUARANTINE", &store)]).unwrap();
    let good = |number| kinesis_record(number, &base64(b"{}"));
    assert!(lambda.respond(json!({"Records": [good(1)]})).is_ok());
    // The folder becomes a file, so that nothing can be written into it.
    std::fs::remove_dir_all(folder.path().join("quarantine")).unwrap();
    std::fs::write(folder.path().join("quarantine"), "in the way").unwrap();
    let records = [good(2), kinesis_record(3, &base64(b"poison")), good(4)];
    let response = lambda.respond(json!({"Records": records})).unwrap();
    let identifier = format!("4966{:052}", 3);
    assert_eq!(response, json!({"batchItemFailures": [{"itemIdentifier": identifier}]}));
}

#[test]
fn the_transform_answers_every_fixture_within_the_contract() {
    let Some(path) = bootstrap("transform") else { return };
    let lambda = Lambda::start(&path, &[]).unwrap();
    let names = ["kinesis", "direct-put", "bad-record", "string-timestamps", "empty"];
    for name in names {
        let event = fixture(&format!("firehose-{name}"));
        let response = lambda.respond(event.clone()).unwrap();
        let answers =
            contract::check(event.to_string().as_bytes(), response.to_string().as_bytes());
        let answers = answers.unwrap();
        assert_eq!(answers.len(), event["records"].as_array().unwrap().len(), "{name}");
        let failed = answers.iter().filter(|answer| answer.verdict == Verdict::ProcessingFailed);
        assert_eq!(failed.count() > 0, name == "bad-record", "{name}");
    }
}

/// The events that AWS itself publishes, as SAM makes them: times as numbers and as text, a
/// partition key or none, an identifier that is there twice, padding that is one too long.
#[test]
fn the_transform_answers_the_sample_events_of_aws() {
    let (Some(path), Some(sam)) = (bootstrap("transform"), tool("sam/bin/sam")) else { return };
    let home = tempfile::tempdir().unwrap();
    let pipeline = home.path().join("pipeline.yaml");
    let yaml = "input: {any_of: [{format: apache_common}, {format: text}]}";
    std::fs::write(&pipeline, yaml).unwrap();
    let own = pipeline.to_str().unwrap();
    let samples = [
        ("kinesis-firehose", own, 1),
        ("apachelog", own, 1),
        ("streams-as-source", own, 1),
        // Both records have the same identifier, so that one answer is all that there can be.
        ("syslog", own, 1),
        ("cloudwatch-logs-processor", "builtin:cloudwatch-logs", 4),
    ];
    for (name, pipeline, answered) in samples {
        let mut generate = Command::new(&sam);
        generate.args(["local", "generate-event", "kinesis", name]);
        generate.env("SAM_CLI_TELEMETRY", "0").env("__SAM_CLI_APP_DIR", home.path());
        let event: Value = serde_json::from_slice(&generate.output().unwrap().stdout).unwrap();
        let lambda = Lambda::start(&path, &[("TIDEGATE_PIPELINE", pipeline)]).unwrap();
        let response = lambda.respond(event.clone()).unwrap();
        let answers =
            contract::check(event.to_string().as_bytes(), response.to_string().as_bytes());
        let answers = answers.unwrap();
        assert_eq!(answers.len(), answered, "{name}: {response}");
        let failed = answers.iter().any(|answer| answer.verdict == Verdict::ProcessingFailed);
        assert!(!failed, "{name}: {response}");
    }
}

#[test]
fn the_transform_answers_a_bad_record_at_every_position() {
    let Some(path) = bootstrap("transform") else { return };
    let lambda = Lambda::start(&path, &[]).unwrap();
    let bad = [json!("%%%"), json!(base64(b"no access line")), json!(base64(&[0xff])), Value::Null];
    for data in &bad {
        for place in 0..5 {
            let records: Vec<_> = (0..5)
                .map(|index| {
                    let good = json!(base64(LINE.as_bytes()));
                    let data = if index == place { data.clone() } else { good };
                    json!({"recordId": format!("id-{index}"), "data": data,
                           "approximateArrivalTimestamp": 1_795_000_000_000_i64})
                })
                .collect();
            let event = json!({"invocationId": "i", "records": records});
            let response = lambda.respond(event.clone()).unwrap();
            let results: Vec<_> = response["records"]
                .as_array()
                .unwrap()
                .iter()
                .map(|answer| (answer["recordId"].clone(), answer["result"].clone()))
                .collect();
            let expected: Vec<_> = (0..5)
                .map(|index| {
                    let result = if index == place { "ProcessingFailed" } else { "Ok" };
                    (json!(format!("id-{index}")), json!(result))
                })
                .collect();
            assert_eq!(results, expected, "{data} at {place}");
        }
    }
}

/// What the autoscaler makes of each fixture, without AWS in reach: the reasons of what it answers.
/// `unavailable` is that of a look that was taken.
const AUTOSCALER: &[(&str, &[&str])] = &[
    ("alarm-composite", &["unavailable"]),
    ("alarm-direct", &["unavailable"]),
    ("alarm-direct-day", &["unavailable"]),
    ("alarm-direct-metrics-insights", &["unavailable"]),
    ("alarm-direct-ok", &["not_in_alarm"]),
    ("alarm-direct-other-service", &["other_service"]),
    ("alarm-direct-promql", &["unavailable"]),
    ("alarm-direct-single-metric", &["unavailable"]),
    ("alarm-event-bridge", &["unavailable"]),
    ("alarm-event-bridge-anomaly", &["unavailable"]),
    ("alarm-event-bridge-configuration", &["no_transition"]),
    ("alarm-event-bridge-contributor", &["unavailable"]),
    ("alarm-event-bridge-muted", &["muted"]),
    ("alarm-event-bridge-suppressed", &["muted"]),
    ("alarm-sns", &["unavailable"]),
    ("alarm-sns-event-bridge", &["unavailable"]),
    ("alarm-sns-insufficient", &["not_in_alarm"]),
    ("alarm-sns-old", &["unavailable"]),
    ("alarm-sns-reordered", &["unavailable", "not_in_alarm", "not_understood"]),
    ("alarm-sns-several", &["unavailable"]),
    ("by-hand", &["unavailable"]),
    ("heartbeat", &["unavailable"]),
    ("scheduled-event", &["unavailable"]),
];

/// Each event is answered with a decision or with why none was made, and one that is not understood
/// with an error that names the part. Delivered once more, it is answered alike.
#[test]
fn the_autoscaler_answers_every_fixture() {
    let fixtures = files(&["json"]).into_iter().filter_map(|path| {
        let name = path.strip_prefix("tests/events").ok()?.file_stem()?.to_str()?.to_owned();
        Some(name.strip_prefix("autoscaler-")?.to_owned())
    });
    let rows: BTreeSet<_> = AUTOSCALER.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(fixtures.collect::<BTreeSet<_>>(), rows, "the fixtures (left) and the rows (right)");
    let Some(path) = bootstrap("autoscaler") else { return };
    let lambda = Lambda::start(
        &path,
        &[
            ("TIDEGATE_STREAMS", "clicks"),
            ("AWS_ENDPOINT_URL", "http://127.0.0.1:9"),
            ("AWS_MAX_ATTEMPTS", "1"),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("AWS_REGION", "us-east-1"),
        ],
    )
    .unwrap();
    for (name, wanted) in AUTOSCALER.iter().flat_map(|row| [row, row]) {
        let answer = lambda.respond(fixture(&format!("autoscaler-{name}"))).unwrap();
        let parts = answer.as_array().unwrap().iter();
        let reasons: Vec<_> = parts
            .map(|part| part["reason"].as_str().unwrap().trim_start_matches("service_"))
            .collect();
        assert_eq!(reasons, *wanted, "{name}: {answer}");
        for part in answer.as_array().unwrap() {
            let ignored = part["action"] == "ignore";
            assert_eq!(part["stream"].as_str(), (!ignored).then_some("clicks"), "{name}: {part}");
            let event = if ignored { "ignored" } else { "decision" };
            let told = lambda.events(event).unwrap();
            let same =
                |line: &Value| ["reason", "message"].iter().all(|key| line[key] == part[key]);
            assert!(told.iter().any(same), "{name}: the log has no {part}");
        }
    }
    let ended = lambda.invoke(json!({"detail-type": "AWS Health Event"})).unwrap();
    let Ended::Error(kind, message) = ended else { panic!("{ended:?}") };
    assert_eq!(kind, "EventNotUnderstood");
    assert!(message.contains("AWS Health Event"), "{message}");
}

#[test]
fn settings_that_cannot_be_used_are_reported_together() {
    let cases: [(&str, Vars, &[&str]); 3] = [
        (
            "autoscaler",
            &[("TIDEGATE_MODE", "on"), ("TIDEGATE_MAX_SHARDS", "none")],
            &["TIDEGATE_MODE", "shadow or active", "TIDEGATE_MAX_SHARDS"],
        ),
        (
            "consumer",
            &[("TIDEGATE_QUARANTINE", "ftp://x"), ("TIDEGATE_SINK", "nowhere")],
            &["TIDEGATE_QUARANTINE", "s3://", "TIDEGATE_SINK"],
        ),
        (
            "transform",
            &[("TIDEGATE_PIPELINE", "builtin:nothing"), ("TIDEGATE_GEOIP_DB", "/none.mmdb")],
            &["TIDEGATE_PIPELINE", "access-log", "TIDEGATE_GEOIP_DB", "/none.mmdb"],
        ),
    ];
    for (function, settings, parts) in cases {
        let Some(path) = bootstrap(function) else { return };
        let mut lambda = Lambda::start(&path, settings).unwrap();
        assert_eq!(lambda.exit_code().unwrap(), 1, "{function}");
        let line = lambda.events("start_failed").unwrap().pop().unwrap();
        let error = line["error"].as_str().unwrap();
        assert!(parts.iter().all(|part| error.contains(part)), "{function}: {error}");
    }
}

/// Payloads, keys and what is made of them stay out of the log, whatever becomes of the record.
#[test]
fn no_payload_appears_in_a_log() {
    const SECRET: &str = "card 4111-1111";
    for (function, settings) in [
        ("consumer", [("TIDEGATE_QUARANTINE", "log")]),
        ("transform", [("TIDEGATE_PIPELINE", "builtin:access-log")]),
    ] {
        let Some(path) = bootstrap(function) else { return };
        let lambda = Lambda::start(&path, &settings).unwrap();
        let payloads = [
            format!("{{\"pay\":\"{SECRET}\"}}"),
            format!("{SECRET} is not a record"),
            LINE.replace("agent of a customer", SECRET),
        ];
        let mut kinesis = Vec::new();
        let mut firehose = Vec::new();
        for (number, payload) in payloads.iter().enumerate() {
            kinesis.push(kinesis_record(number, &base64(payload.as_bytes())));
            firehose
                .push(json!({"recordId": number.to_string(), "data": base64(payload.as_bytes())}));
        }
        let event = if function == "consumer" {
            json!({"Records": kinesis})
        } else {
            json!({"records": firehose})
        };
        let _ = lambda.respond(event).unwrap();
        let output = lambda.output().unwrap();
        assert!(output.contains("batch"), "{output}");
        for secret in ["4111", "customer-17", &base64(SECRET.as_bytes())] {
            assert!(!output.contains(secret), "{function} wrote {secret}: {output}");
        }
    }
}
