use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::Value;
use tidegate_consumer::Envelope;
use tidegate_tests::canned::Canned;

use super::*;

const ALL_SETTLED: &str = r#"{"batchItemFailures":[]}"#;
/// Of the second record of every fixture.
const NUMBER: &str = "49671204518332917460021547783092395333074933491189219330";
const KEY: &str = "function=orders-consumer/stream=orders/shard=shardId-000000000006/\
                   49671204518332917460021547783092395333074933491189219330.json";

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

type Answer = Result<String, FunctionError>;

/// A function and what it logs.
struct Bench {
    function: StreamConsumer,
    captured: Captured,
}

impl Bench {
    /// Starts the function with these settings, at a level of the log.
    fn start(level: Level, settings: &[(&str, &str)]) -> Self {
        let vars: BTreeMap<String, String> =
            settings.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        let captured = Captured::default();
        let log = Arc::new(Log::new(level, Box::new(captured.clone())));
        let function = StreamConsumer::new(Settings::read(&vars).unwrap(), log);
        Self { function, captured }
    }

    /// Invokes it; returns its answer and the lines since the last look.
    fn invoke(&self, event: Vec<u8>) -> (Answer, Vec<Value>) {
        let (answer, lines) = self.invoke_for(Duration::from_secs(60), event);
        (answer.unwrap(), lines)
    }

    /// The same; no answer when there is none within this time.
    fn invoke_for(&self, time: Duration, event: Vec<u8>) -> (Option<Answer>, Vec<Value>) {
        let start = std::mem::take(&mut *self.captured.0.lock().unwrap());
        assert!(start.starts_with(b"{") || start.is_empty());
        let invocation = Invocation {
            body: Bytes::from(event),
            request_id: "r-1".to_owned(),
            function_arn: "arn:aws:lambda:eu-central-1:123456789012:function:orders-consumer:live"
                .into(),
            trace_id: None,
            deadline: Timestamp::MAX,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let answer = runtime.block_on(async {
            tokio::time::timeout(time, Box::pin(self.function.invoke(invocation))).await.ok()
        });
        let text =
            String::from_utf8(std::mem::take(&mut *self.captured.0.lock().unwrap())).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        (answer.map(|answer| answer.map(|body| String::from_utf8(body).unwrap())), lines)
    }
}

fn invoke(settings: &[(&str, &str)], event: Vec<u8>) -> (String, Vec<Value>) {
    let (answer, lines) = Bench::start(Level::Info, settings).invoke(event);
    (answer.unwrap(), lines)
}

fn fixture(name: &str) -> Vec<u8> {
    let path = format!("{}/../../tests/events/kinesis-{name}.json", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn names(line: &Value, names: [&str; 6]) -> Vec<u64> {
    names.iter().map(|name| line[*name].as_f64().unwrap() as u64).collect()
}

/// How many records of each reason the lines count as metrics.
fn measured_by_reason(lines: &[Value]) -> BTreeMap<String, u64> {
    let mut reasons = BTreeMap::new();
    for line in lines.iter().filter(|line| line["_aws"].is_object()) {
        if let Some(count) = line["Quarantined"].as_f64() {
            let directive = &line["_aws"]["CloudWatchMetrics"][0];
            let sets = json!([["FunctionName"], ["FunctionName", "Reason"]]);
            assert_eq!(directive["Dimensions"], sets);
            assert_eq!(directive["Metrics"], json!([{"Name": "Quarantined", "Unit": "Count"}]));
            assert_eq!(line["FunctionName"], "orders-consumer");
            let reason = line["Reason"].as_str().unwrap().to_owned();
            *reasons.entry(reason).or_default() += count as u64;
        }
    }
    reasons
}

/// The counts of the last two lines, which are the batch and its metrics, and say the same with those
/// of the poison records before them.
fn counts(lines: &[Value]) -> Vec<u64> {
    let [.., batch, metrics] = lines else { panic!("{lines:?}") };
    assert_eq!(batch["event"], "batch");
    let said = ["received", "delivered", "skipped", "quarantined", "retried", "not_attempted"];
    let measured = ["Received", "Delivered", "Skipped", "Received", "Retried", "NotAttempted"];
    assert_eq!(metrics["FunctionName"], "orders-consumer");
    let dimensions = &metrics["_aws"]["CloudWatchMetrics"][0]["Dimensions"];
    assert_eq!(*dimensions, json!([["FunctionName"]]));
    let by_reason = measured_by_reason(lines);
    assert_eq!(batch["by_reason"], json!(by_reason));
    let mut measured = names(metrics, measured);
    measured[3] = by_reason.values().sum();
    assert_eq!(names(batch, said), measured);
    names(batch, said)
}

#[test]
fn every_fixture_leads_to_its_lines() {
    // The format, the fixture, how many are delivered, and the reason and stage of each poison.
    type Poison = &'static [(&'static str, &'static str)];
    let cases: &[(&str, &str, u64, Poison)] = &[
        ("json", "json", 3, &[]),
        ("json", "empty", 0, &[]),
        ("json", "enhanced-fan-out", 3, &[]),
        ("json", "bad-base64", 2, &[("base64", "base64")]),
        ("json", "bad-utf8", 2, &[("utf8", "decode")]),
        ("json", "bad-json", 2, &[("parse", "decode")]),
        ("json", "bad-shape", 2, &[("schema", "decode")]),
        ("json", "no-data", 2, &[("envelope", "split")]),
        ("json", "access-log", 0, &[("parse", "decode"); 3]),
        ("text", "bad-json", 3, &[]),
        ("text", "bad-utf8", 2, &[("utf8", "decode")]),
        ("access-log", "access-log", 3, &[]),
        (
            "access-log",
            "bad-utf8",
            0,
            &[("parse", "decode"), ("utf8", "decode"), ("parse", "decode")],
        ),
    ];
    for (format, name, delivered, poison) in cases {
        let (answer, lines) = invoke(&[("TIDEGATE_FORMAT", format)], fixture(name));
        assert_eq!(answer, ALL_SETTLED, "{name}");
        let kept = poison.len() as u64;
        assert_eq!(counts(&lines), [delivered + kept, *delivered, 0, kept, 0, 0], "{name}");
        assert_eq!(lines.len(), poison.len() + 2, "{name}: {lines:?}");
        assert_eq!(lines[poison.len()]["level"], "INFO");
        for ((reason, stage), line) in poison.iter().zip(&lines) {
            assert_eq!((&line["event"], &line["level"]), (&json!("quarantined"), &json!("WARN")));
            assert_eq!((&line["reason"], &line["stage"]), (&json!(reason), &json!(stage)));
        }
    }
}

#[test]
fn envelopes_of_cloudwatch_logs_are_expanded_as_far_as_is_chosen() {
    // The setting, the counts, and the reason and place of each poison.
    type Poison<'a> = &'a [(&'a str, Option<u64>)];
    let cases: [(&str, [u64; 6], Poison<'_>); 3] = [
        ("auto", [5, 3, 1, 1, 0, 0], &[("parse", Some(1))]),
        ("compressed", [3, 3, 0, 0, 0, 0], &[]),
        ("none", [3, 1, 0, 2, 0, 0], &[("utf8", None), ("utf8", None)]),
    ];
    for (expand, expected, poison) in cases {
        let settings = [("TIDEGATE_EXPAND", expand)];
        let (answer, lines) = invoke(&settings, fixture("cloudwatch-logs"));
        assert_eq!(answer, ALL_SETTLED, "{expand}");
        assert_eq!(counts(&lines), expected, "{expand}");
        let told: Vec<_> = lines[..lines.len() - 2]
            .iter()
            .map(|line| (line["reason"].as_str().unwrap(), line["sub_sequence_number"].as_u64()))
            .collect();
        assert_eq!(told, poison, "{expand}");
        let batch = &lines[lines.len() - 2];
        let said = (batch["decompressed"].as_u64(), batch["control_messages"].as_u64());
        let expected = match expand {
            "auto" => (Some(2), Some(1)),
            "compressed" => (Some(2), Some(0)),
            _ => (Some(0), Some(0)),
        };
        assert_eq!(said, expected, "{expand}");
    }
}

#[test]
fn a_record_follows_its_schema() {
    let schema = r#"{"required": ["order"], "properties": {"total": {"maximum": 50}}}"#;
    let (answer, lines) = invoke(&[("TIDEGATE_SCHEMA", schema)], fixture("json"));
    assert_eq!(answer, ALL_SETTLED);
    let totals: Vec<_> = lines.iter().filter(|line| line["event"] == "quarantined").collect();
    assert_eq!(totals.len(), 1, "{lines:?}");
    assert_eq!((&totals[0]["reason"], &totals[0]["stage"]), (&json!("schema"), &json!("decode")));
    assert_eq!(totals[0]["error"], "/properties/total/maximum of the schema does not hold");
}

#[test]
fn a_line_names_the_record() {
    let (_, lines) = invoke(&[], fixture("bad-json"));
    let line = &lines[0];
    assert_eq!(line["sequence_number"], NUMBER);
    assert_eq!(line["shard_id"], "shardId-000000000006");
    assert_eq!(line["error"], "expected value at line 1 column 1");
    assert_eq!(line["size_bytes"], 30);
    assert_eq!(line["key"], KEY);
    assert_eq!(lines[1]["by_reason"], json!({"parse": 1}));
}

#[test]
fn no_payload_is_logged() {
    for name in [
        "json",
        "bad-base64",
        "bad-utf8",
        "bad-json",
        "bad-shape",
        "no-data",
        "access-log",
        "cloudwatch-logs",
    ] {
        for format in ["json", "text", "access-log"] {
            let bench = Bench::start(Level::Debug, &[("TIDEGATE_FORMAT", format)]);
            let (_, lines) = bench.invoke(fixture(name));
            let text = serde_json::to_string(&lines).unwrap();
            for part in
                ["customer", "order 1001", "%%%", "the usual", "203.0.113", "anna", "J\u{fc}"]
            {
                assert!(!text.contains(part), "{part} in {text}");
            }
        }
    }
}

#[test]
fn what_is_delivered_can_be_seen() {
    let (_, lines) = Bench::start(Level::Debug, &[]).invoke(fixture("json"));
    let [first, ..] = &lines[..] else { panic!("nothing was logged") };
    assert_eq!((&first["event"], &first["level"]), (&json!("delivered"), &json!("DEBUG")));
    assert_eq!(first["shard_id"], "shardId-000000000006");
    assert_eq!(first["size_bytes"], 51);
    assert_eq!(lines.len(), 3 + 2);
}

#[test]
fn what_is_kept_is_told_though_the_batch_does_not_end() {
    let root = tempfile::tempdir().unwrap();
    let store = folder(root.path());
    // The record after the poison is never answered.
    let silent = Canned::start(|_| {
        loop {
            std::thread::park();
        }
    });
    let sink = format!("{}/in", silent.endpoint());
    let settings = [("TIDEGATE_QUARANTINE", store.as_str()), ("TIDEGATE_SINK", &sink)];
    let bench = Bench::start(Level::Info, &settings);
    let mut event: Value = serde_json::from_slice(&fixture("bad-json")).unwrap();
    event["Records"].as_array_mut().unwrap().remove(0);
    let event = event.to_string().into_bytes();
    let (answer, lines) = bench.invoke_for(Duration::from_millis(500), event);
    assert_eq!(answer, None);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!(lines[0]["event"], "quarantined");
    assert_eq!(measured_by_reason(&lines), BTreeMap::from([("parse".to_owned(), 1)]));
}

#[test]
fn records_that_people_want_to_hear_of_are_counted() {
    let json = |order: u64| format!(r#"{{"order":{order}}}"#);
    let event = |payloads: &[String]| {
        let records: Vec<_> = payloads
            .iter()
            .enumerate()
            .map(|(place, payload)| {
                let data = base64_simd::STANDARD.encode_to_string(payload);
                json!({"kinesis": {"partitionKey": "a", "sequenceNumber": place.to_string(),
                    "data": data, "approximateArrivalTimestamp": 1.5},
                    "eventID": format!("shardId-000000000000:{place}")})
            })
            .collect();
        json!({"Records": records}).to_string().into_bytes()
    };
    let settings = [("TIDEGATE_NOTIFY", "order >= 500")];
    let bench = Bench::start(Level::Info, &settings);
    let payloads = [json(499), json(500), json(501), "{}".to_owned(), "no json".to_owned()];
    let (_, lines) = bench.invoke(event(&payloads));
    let [_, batch, metrics] = &lines[..] else { panic!("{lines:?}") };
    assert_eq!(batch["notify"], json!({"matched": 2, "unclear": 1}));
    assert_eq!(metrics["Matched"], 2.0);
    // Counted anew with each batch, and said though there are none.
    let (_, lines) = bench.invoke(event(&payloads[..1]));
    assert_eq!(lines[0]["notify"], json!({"matched": 0, "unclear": 0}));
    assert_eq!(lines[1]["Matched"], 0.0);
    // Nobody wants to hear of any.
    let (_, lines) = invoke(&[], event(&payloads[..1]));
    assert_eq!((&lines[0]["notify"], &lines[1]["Matched"]), (&Value::Null, &Value::Null));
}

#[test]
fn a_record_is_counted_when_it_is_delivered() {
    for (status, expected) in [(404, 0), (200, 3)] {
        let server = Canned::start(move |_| (status, Value::Null));
        let sink = format!("{}/in", server.endpoint());
        let settings = [("TIDEGATE_NOTIFY", "true"), ("TIDEGATE_SINK", sink.as_str())];
        let (_, lines) = Bench::start(Level::Info, &settings).invoke(fixture("json"));
        assert_eq!(lines[0]["notify"]["matched"], expected, "{lines:?}");
    }
}

#[test]
fn a_poison_record_is_told_at_any_level() {
    let (_, lines) = Bench::start(Level::Error, &[]).invoke(fixture("bad-json"));
    assert_eq!(lines[0]["event"], "quarantined");
}

#[test]
fn the_start_says_what_is_configured() {
    let bench = Bench::start(Level::Info, &[("TIDEGATE_QUARANTINE", "s3://my-bucket/prefix")]);
    let line: Value = serde_json::from_slice(&bench.captured.0.lock().unwrap()).unwrap();
    let said = ["event", "format", "sink", "quarantine", "on_retry", "on_poison", "expand"]
        .map(|name| line[name].clone());
    let store = "s3://my-bucket/prefix";
    let expected = ["consumer", "json", "log", store, "stop-shard", "skip", "auto"];
    assert_eq!(said, expected);
    assert_eq!(line["lanes"], 1);
}

fn folder(root: &Path) -> String {
    format!("file://{}", root.display())
}

#[test]
fn a_folder_keeps_the_envelope() {
    let root = tempfile::tempdir().unwrap();
    let store = folder(root.path());
    let (answer, lines) = invoke(&[("TIDEGATE_QUARANTINE", &store)], fixture("bad-json"));
    assert_eq!(answer, ALL_SETTLED);
    assert_eq!(lines[0]["event"], "quarantined");
    let kept = std::fs::read(root.path().join(KEY)).unwrap();
    let envelope: Envelope = serde_json::from_slice(&kept).unwrap();
    assert_eq!(envelope.payload_bytes().unwrap(), b"order 1001, seven of the usual");
    assert_eq!((&*envelope.request_id, &*envelope.reason), ("r-1", "parse"));
}

#[test]
fn a_folder_that_cannot_be_written_brings_the_record_back() {
    let root = tempfile::tempdir().unwrap();
    let store = folder(&root.path().join("folder"));
    let bench = Bench::start(Level::Info, &[("TIDEGATE_QUARANTINE", &store)]);
    // A file in its place: permissions do not stop everybody.
    std::fs::remove_dir(root.path().join("folder")).unwrap();
    std::fs::write(root.path().join("folder"), "").unwrap();
    let (answer, lines) = bench.invoke(fixture("bad-json"));
    assert_eq!(
        answer.unwrap(),
        format!(r#"{{"batchItemFailures":[{{"itemIdentifier":"{NUMBER}"}}]}}"#)
    );
    assert_eq!(counts(&lines), [3, 1, 0, 0, 1, 1]);
    let [poison, batch, _] = &lines[..] else { panic!("{lines:?}") };
    let path = root.path().join("folder").display().to_string();
    let error = format!("{path} did not take the envelope: Not a directory (os error 20)");
    assert_eq!((&poison["event"], &poison["store_error"]), (&json!("quarantined"), &json!(error)));
    assert_eq!(batch["level"], "WARN");
    assert_eq!(batch["retry"]["cause"], "quarantine");
    assert_eq!(batch["retry"]["error"], json!(error));
    assert_eq!(batch["retry"]["sequence_number"], NUMBER);

    // Once it can be written, the same batch settles.
    std::fs::remove_file(root.path().join("folder")).unwrap();
    let (answer, lines) = bench.invoke(fixture("bad-json"));
    assert_eq!(answer.unwrap(), ALL_SETTLED);
    assert_eq!(counts(&lines), [3, 2, 0, 1, 0, 0]);
}

#[test]
fn the_log_holds_a_payload_only_when_told_to() {
    for (store, envelopes) in [("log", 0), ("log:payload", 1)] {
        let (answer, lines) = invoke(&[("TIDEGATE_QUARANTINE", store)], fixture("bad-json"));
        assert_eq!(answer, ALL_SETTLED);
        let kept: Vec<Envelope> =
            lines.iter().filter_map(|line| serde_json::from_value(line.clone()).ok()).collect();
        assert_eq!(kept.len(), envelopes, "{store}: {lines:?}");
        for envelope in kept {
            assert_eq!(envelope.payload_bytes().unwrap(), b"order 1001, seven of the usual");
        }
        assert_eq!(lines.len(), 3 + envelopes);
    }
}

#[test]
fn what_cannot_be_answered_fails_the_invocation() {
    let bench = Bench::start(Level::Info, &[]);
    let (answer, lines) = bench.invoke(b"{\"messages\":[]}".to_vec());
    let error = answer.unwrap_err();
    assert_eq!(error.kind, "EventNotUnderstood");
    let message = "the event is not a batch of Kinesis records: the event has no `Records`";
    assert_eq!(error.message, message);
    assert_eq!(lines, [] as [Value; 0]);

    // A record without a number that the store does not keep; what happened is told all the same.
    let root = tempfile::tempdir().unwrap();
    let bench =
        Bench::start(Level::Info, &[("TIDEGATE_QUARANTINE", &folder(&root.path().join("folder")))]);
    std::fs::remove_dir(root.path().join("folder")).unwrap();
    std::fs::write(root.path().join("folder"), "").unwrap();
    let (answer, lines) = bench.invoke(br#"{"Records":[{"kinesis":{"data":"e30="}}]}"#.to_vec());
    assert_eq!(answer.unwrap_err().kind, "RecordNotNameable");
    assert_eq!(counts(&lines), [1, 0, 0, 0, 1, 0]);
}
