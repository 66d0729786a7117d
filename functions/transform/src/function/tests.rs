use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::Mutex;

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::Value;
use tidegate_transform::contract;
use tidegate_transform::reingest::{Again, ReingestError, Source};

use super::*;

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

/// A stream that takes every second record back.
struct Half;

impl Reingest for Half {
    async fn put(&self, _: &Source, records: &[&Again]) -> Result<Vec<bool>, ReingestError> {
        Ok(records.iter().map(|record| record.data.last() == Some(&b'a')).collect())
    }
}

/// Invokes the default function; returns its answer and its log lines after the start.
fn invoke(event: Vec<u8>) -> (Result<Vec<u8>, FunctionError>, Vec<Value>) {
    invoke_with(event, &BTreeMap::new(), Timestamp::MAX)
}

fn invoke_with(
    event: Vec<u8>,
    vars: &BTreeMap<String, String>,
    deadline: Timestamp,
) -> (Result<Vec<u8>, FunctionError>, Vec<Value>) {
    let captured = Captured::default();
    let log = Arc::new(Log::new(Level::Info, Box::new(captured.clone())));
    let settings = Settings::read(vars, &Files::default()).unwrap();
    let transform = Transform::new(settings, Files::default(), Half, log);
    let invocation = Invocation {
        body: Bytes::from(event),
        request_id: "r-1".to_owned(),
        function_arn: "arn:aws:lambda:eu-west-1:111122223333:function:lake-transform:live".into(),
        trace_id: None,
        deadline,
    };
    let answer = pollster::block_on(transform.invoke(invocation));
    let text = String::from_utf8(captured.0.lock().unwrap().clone()).unwrap();
    let mut lines: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let start = lines.remove(0);
    let pipeline = vars.get("TIDEGATE_PIPELINE").map_or("builtin:access-log", String::as_str);
    assert_eq!((&start["event"], &start["pipeline"]), (&json!("pipeline"), &json!(pipeline)));
    (answer, lines)
}

fn fixture(name: &str) -> Vec<u8> {
    let path = format!("{}/../../tests/events/{name}.json", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(path).unwrap()
}

#[test]
fn an_invocation_is_one_line_and_one_set_of_metrics() {
    let request = fixture("firehose-bad-record");
    let (answer, lines) = invoke(request.clone());
    let answer = answer.unwrap();
    contract::check(&request, &answer).unwrap();
    let [batch, metrics] = &lines[..] else { panic!("{lines:?}") };
    assert_eq!(batch["event"], "batch");
    assert_eq!(batch["level"], "INFO");
    assert_eq!(batch["handed"], 3);
    assert_eq!(batch["ok"], 2);
    assert_eq!(batch["processing_failed"], 1);
    assert_eq!(batch["reasons"], json!({"unclosed_quote": 1}));
    assert_eq!(metrics["FunctionName"], "lake-transform");
    let figures: Vec<_> = ["Records", "Ok", "Dropped", "ProcessingFailed", "GeoipErrors"]
        .iter()
        .map(|name| metrics[name].as_f64().unwrap())
        .collect();
    assert_eq!(figures, [3.0, 2.0, 0.0, 1.0, 0.0]);
    assert_eq!(metrics["ResponseBytes"], answer.len() as f64);
}

#[test]
fn overflow_is_put_back_where_that_is_asked_for_and_there_is_time() {
    // Four of these fit a response: of the two others the first is taken back.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("text.yaml");
    std::fs::write(&path, "input: {format: text}").unwrap();
    let records: Vec<_> = (0..6)
        .map(|index| {
            let data = vec![if index == 5 { b'b' } else { b'a' }; 1_000_000];
            let data = base64_simd::STANDARD.encode_to_string(data);
            json!({"recordId": index.to_string(), "data": data})
        })
        .collect();
    let stream = "arn:aws:firehose:eu-west-1:111122223333:deliverystream/lake";
    let event = json!({"deliveryStreamArn": stream, "records": records}).to_string().into_bytes();
    let put_back = |records, calls, left| {
        let facts = ["records", "calls", "left"].iter().zip([records, calls, left]);
        facts.map(|(name, fact)| ((*name).to_owned(), json!(fact))).collect::<BTreeMap<_, _>>()
    };
    let cases = [
        ("fail", Timestamp::MAX, None, json!({"response_full": 2})),
        (
            "reingest",
            Timestamp::MAX,
            Some(put_back(1, 3, 1)),
            json!({"reingested": 1, "response_full": 1}),
        ),
        // Too late for a call.
        (
            "reingest",
            clock::now() + SignedDuration::from_secs(20),
            Some(put_back(0, 0, 2)),
            json!({"response_full": 2}),
        ),
    ];
    for (overflow, deadline, expected, reasons) in cases {
        let vars = BTreeMap::from([
            ("TIDEGATE_OVERFLOW".to_owned(), overflow.to_owned()),
            ("TIDEGATE_PIPELINE".to_owned(), path.to_str().unwrap().to_owned()),
        ]);
        let (answer, lines) = invoke_with(event.clone(), &vars, deadline);
        contract::check(&event, &answer.unwrap()).unwrap();
        let batch = lines.iter().find(|line| line["event"] == "batch").unwrap();
        assert_eq!(batch["reasons"], reasons, "{overflow}");
        let told = lines.iter().find(|line| line["event"] == "put_back");
        assert_eq!(told.is_some(), expected.is_some(), "{overflow}");
        for (name, fact) in expected.unwrap_or_default() {
            assert_eq!(told.unwrap()[&name], fact, "{overflow}: {name}");
        }
    }
}

#[test]
fn no_payload_is_logged() {
    let (_, lines) = invoke(fixture("firehose-kinesis"));
    let text = serde_json::to_string(&lines).unwrap();
    for part in ["192.0.2.17", "maria", "index.html", "curl", "shardId"] {
        assert!(!text.contains(part), "{part} in {text}");
    }
}

#[test]
fn what_is_no_request_fails_the_invocation() {
    let (answer, lines) = invoke(b"{\"Records\": []}".to_vec());
    let error = answer.unwrap_err();
    assert_eq!(error.kind, "EventNotUnderstood");
    assert!(error.message.starts_with("the event has no records"), "{}", error.message);
    assert_eq!(lines, [] as [Value; 0]);
}

#[test]
fn the_function_is_named_by_its_arn() {
    let cases = [
        ("arn:aws:lambda:eu-west-1:111122223333:function:lake-transform", "lake-transform"),
        ("arn:aws:lambda:eu-west-1:111122223333:function:lake-transform:live", "lake-transform"),
        ("arn:aws:lambda:eu-west-1:111122223333:function:", "transform"),
        ("", "transform"),
    ];
    for (arn, name) in cases {
        assert_eq!(function_name(arn), name, "{arn}");
    }
}
