//! Poison of each kind through the built consumer: at each position, alone, in numbers and all
//! together. The neighbours are delivered, in their order, and each envelope holds all that is needed
//! to send its record once more.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use base64_simd::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use md5::{Digest, Md5};
use serde_json::{Value, json};
use sha2::Sha256;
use tidegate_tests::canned::Canned;
use tidegate_tests::lambda::Lambda;
use tidegate_tests::place::bootstrap;

const FUNCTION: &str = "arn:aws:lambda:us-east-1:111122223333:function:under-test";

/// A kind of poison: its reason, the stage at which it is found, and what the event holds as data.
struct Kind {
    reason: &'static str,
    stage: &'static str,
    data: Value,
}

/// Every kind that the data alone make.
fn kinds() -> Vec<Kind> {
    let kind = |reason, stage, data| Kind { reason, stage, data };
    let aggregate = {
        // The digest is right, and the message is none.
        let message = [0x0a, 0x7f, b'a'];
        let digest: [u8; 16] = Md5::digest(message).into();
        [&[0xf3, 0x89, 0x9a, 0xc2][..], &message, &digest].concat()
    };
    let no_events = br#"{"messageType":"DATA_MESSAGE","logEvents":"none"}"#;
    vec![
        kind("envelope", "split", Value::Null),
        kind("base64", "base64", json!("%%% \"no\" base64 \u{fc}")),
        kind("kpl", "deaggregate", encoded(&aggregate)),
        kind("decompress", "expand", encoded(&[0x1f, 0x8b, 0x08, 0x00, 0x07])),
        kind("decompress_limit", "expand", encoded(&gzip(&vec![0; 8 << 20]))),
        kind("cloudwatch_logs", "expand", encoded(&gzip(no_events))),
        kind("utf8", "decode", encoded(&[b'"', 0xff, 0xfe, b'"'])),
        kind("parse", "decode", encoded(b"{\"open\": ")),
        kind("schema", "decode", encoded(b"[1, 2, 3]")),
    ]
}

fn encoded(bytes: &[u8]) -> Value {
    json!(STANDARD.encode_to_string(bytes))
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

fn number(place: u64) -> String {
    format!("4966{place:052}")
}

/// An entry of the event; `arrived` in seconds of the epoch.
fn entry(place: u64, data: &Value, arrived: f64) -> Value {
    json!({
        "kinesis": {
            "kinesisSchemaVersion": "1.0", "partitionKey": format!("customer-{}", place % 3),
            "sequenceNumber": number(place), "data": data,
            "approximateArrivalTimestamp": arrived
        },
        "eventSource": "aws:kinesis", "eventVersion": "1.0",
        "eventID": format!("shardId-000000000003:{}", number(place)),
        "eventName": "aws:kinesis:record", "awsRegion": "us-east-1",
        "eventSourceARN": "arn:aws:kinesis:us-east-1:111122223333:stream/clicks"
    })
}

/// 2025-11-22T00:00:00.25Z: long before the present, so that a batch of nothing but poison is no
/// outage that has to be waited for.
const LONG_AGO: f64 = 1_763_769_600.25;

/// The built consumer between its events, a server that takes what is delivered, and a folder.
struct Setup {
    lambda: Lambda,
    server: Canned,
    folder: tempfile::TempDir,
    places: u64,
    /// What went in as poison, by its sequence number.
    poison: BTreeMap<String, (&'static str, &'static str, Value)>,
}

impl Setup {
    fn start() -> Option<Self> {
        let path = bootstrap("consumer")?;
        let server = Canned::start(|_| (200, Value::Null));
        let folder = tempfile::tempdir().unwrap();
        let store = format!("file://{}", folder.path().display());
        let sink = format!("{}/in", server.endpoint());
        let settings = [("TIDEGATE_QUARANTINE", store.as_str()), ("TIDEGATE_SINK", &sink)];
        let lambda = Lambda::start(&path, &settings).unwrap();
        Some(Self { lambda, server, folder, places: 0, poison: BTreeMap::new() })
    }

    /// A batch: sound records, and poison where a kind stands. It is settled, and the sound ones are
    /// delivered, each by its name and in their order.
    fn settle(&mut self, batch: &[Option<&Kind>]) {
        let (mut records, mut sound) = (Vec::new(), Vec::new());
        for kind in batch {
            self.places += 1;
            let place = self.places;
            let good = format!("{{\"n\":{place}}}");
            let data = kind.map_or_else(|| encoded(good.as_bytes()), |kind| kind.data.clone());
            let entry = entry(place, &data, LONG_AGO);
            match kind {
                None => sound.push((format!("shardId-000000000003:{}", number(place)), good)),
                Some(kind) => {
                    let known = (kind.reason, kind.stage, entry.clone());
                    self.poison.insert(number(place), known);
                }
            }
            records.push(entry);
        }
        let before = self.poison.len() - batch.iter().flatten().count();
        let response = self.lambda.respond(json!({"Records": records})).unwrap();
        let names: Vec<_> = batch.iter().map(|kind| kind.map(|kind| kind.reason)).collect();
        assert_eq!(response, json!({"batchItemFailures": []}), "{names:?}");
        let delivered: Vec<_> = self
            .server
            .asked()
            .into_iter()
            .map(|asked| {
                let body = String::from_utf8(asked.body).unwrap();
                (asked.headers["idempotency-key"].clone(), body)
            })
            .collect();
        assert_eq!(delivered, sound, "{names:?}");
        assert_eq!(self.kept().len() - before, batch.iter().flatten().count(), "{names:?}");
    }

    fn kept(&self) -> BTreeMap<String, Value> {
        kept(self.folder.path())
    }
}

/// The envelopes in a folder, by their keys.
fn kept(root: &Path) -> BTreeMap<String, Value> {
    let (mut found, mut folders) = (BTreeMap::new(), vec![root.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let key = path.strip_prefix(root).unwrap();
                let envelope = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
                found.insert(key.to_string_lossy().into_owned(), envelope);
            }
        }
    }
    found
}

/// The event's entry that an envelope gives back, from nothing but itself.
fn entry_of(envelope: &Value) -> Value {
    let payload = envelope["payload"].as_str().unwrap();
    if envelope["payload_encoding"] == "record" {
        return serde_json::from_str(payload).unwrap();
    }
    let text = |name: &str| envelope[name].as_str().unwrap().to_owned();
    let arrived: jiff::Timestamp = text("approximate_arrival").parse().unwrap();
    let id = format!("{}:{}", text("shard_id"), text("sequence_number"));
    json!({
        "kinesis": {
            "kinesisSchemaVersion": "1.0", "partitionKey": text("partition_key"),
            "sequenceNumber": text("sequence_number"), "data": payload,
            "approximateArrivalTimestamp": arrived.as_millisecond() as f64 / 1_000.0
        },
        "eventSource": "aws:kinesis", "eventVersion": "1.0", "eventID": id,
        "eventName": "aws:kinesis:record", "awsRegion": "us-east-1",
        "eventSourceARN": text("stream_arn")
    })
}

/// Everything that an envelope has to hold, of what is known about its record.
fn complete(key: &str, envelope: &Value, reason: &str, stage: &str, entry: &Value) {
    let said = |name: &str| envelope[name].clone();
    assert_eq!((said("reason"), said("stage")), (json!(reason), json!(stage)), "{key}");
    assert_eq!((said("version"), said("redrive_count")), (json!(1), json!(0)));
    assert_eq!(said("stream_arn"), entry["eventSourceARN"]);
    assert_eq!(said("shard_id"), "shardId-000000000003");
    assert_eq!(said("sequence_number"), entry["kinesis"]["sequenceNumber"]);
    assert_eq!(said("partition_key"), entry["kinesis"]["partitionKey"]);
    assert_eq!(said("approximate_arrival"), "2025-11-22T00:00:00.25Z");
    assert_eq!(said("function_arn"), FUNCTION);
    for name in ["quarantine_id", "request_id", "first_seen"] {
        assert!(envelope[name].as_str().is_some_and(|text| !text.is_empty()), "{key}: {name}");
    }
    assert!(envelope["error"]["message"].as_str().is_some_and(|text| !text.is_empty()), "{key}");
    let payload = envelope["payload"].as_str().unwrap();
    let bytes = match envelope["payload_encoding"].as_str().unwrap() {
        "base64" => STANDARD.decode_to_vec(payload).unwrap(),
        _ => payload.as_bytes().to_vec(),
    };
    assert_eq!(said("size"), bytes.len(), "{key}");
    let digest: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(said("sha256"), digest, "{key}");
    let number = entry["kinesis"]["sequenceNumber"].as_str().unwrap();
    let expected =
        format!("function=under-test/stream=clicks/shard=shardId-000000000003/{number:0>56}.json");
    assert_eq!(Path::new(key), Path::new(&expected));
    // It gives back what came, to the letter.
    assert_eq!(entry_of(envelope), *entry, "{key}");
}

#[test]
fn poison_of_each_kind_goes_alone_wherever_it_stands() {
    let Some(mut setup) = Setup::start() else { return };
    let kinds = kinds();
    assert_eq!(kinds.iter().map(|kind| kind.reason).collect::<BTreeSet<_>>().len(), 9);
    for kind in &kinds {
        setup.settle(&[Some(kind)]);
        for place in 0..5 {
            let mut batch = [None; 5];
            batch[place] = Some(kind);
            setup.settle(&batch);
        }
        // In numbers: side by side, between sound ones, and nothing else.
        setup.settle(&[Some(kind), Some(kind), None, Some(kind), None, Some(kind), Some(kind)]);
        setup.settle(&[Some(kind); 30]);
    }
    let together: Vec<_> = kinds.iter().map(Some).collect();
    setup.settle(&together);
    let between: Vec<_> = kinds.iter().flat_map(|kind| [None, Some(kind), None]).collect();
    setup.settle(&between);

    let kept = setup.kept();
    assert_eq!(kept.len(), setup.poison.len());
    for (key, envelope) in &kept {
        let number = envelope["sequence_number"].as_str().unwrap();
        let (reason, stage, entry) = &setup.poison[number];
        complete(key, envelope, reason, stage, entry);
    }
    let ids: BTreeSet<_> = kept.values().map(|kept| kept["quarantine_id"].as_str()).collect();
    assert_eq!(ids.len(), kept.len());

    // Each line and each metric is there as often as an envelope.
    let mut reasons = BTreeMap::<String, f64>::new();
    for line in setup.lambda.events("quarantined").unwrap() {
        let reason = line["Reason"].as_str().unwrap().to_owned();
        assert_eq!(line["reason"], reason.as_str());
        *reasons.entry(reason).or_default() += line["Quarantined"].as_f64().unwrap();
    }
    // One alone, five among others, five of seven, thirty, and twice together.
    let each = f64::from(1 + 5 + 5 + 30 + 2);
    let expected: BTreeMap<_, _> =
        kinds.iter().map(|kind| (kind.reason.to_owned(), each)).collect();
    assert_eq!(reasons, expected);

    // What an envelope gives back is the same record: it changes nothing in the quarantine.
    let again: Vec<_> = kept.values().map(entry_of).collect();
    let response = setup.lambda.respond(json!({"Records": again})).unwrap();
    assert_eq!(response, json!({"batchItemFailures": []}));
    assert_eq!(setup.kept(), kept);
    assert_eq!(setup.server.asked().len(), 0);
}

/// Many fresh records that are all poison are an outage: they come again, and none is quarantined.
#[test]
fn a_fresh_batch_of_nothing_but_poison_comes_again() {
    let Some(setup) = Setup::start() else { return };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as f64;
    for kind in kinds() {
        let records: Vec<_> = (1..=20).map(|place| entry(place, &kind.data, now)).collect();
        let response = setup.lambda.respond(json!({"Records": records})).unwrap();
        let first = json!({"batchItemFailures": [{"itemIdentifier": number(1)}]});
        assert_eq!(response, first, "{}", kind.reason);
        let batch = setup.lambda.events("batch").unwrap().pop().unwrap();
        assert_eq!(batch["retry"]["cause"], "breaker", "{batch}");
    }
    assert_eq!(setup.kept(), BTreeMap::new());
}

/// An environment ends without a word, and nothing may be left to do then: what an answer settles is
/// kept before it.
#[test]
fn nothing_waits_for_the_end_of_the_environment() {
    let Some(setup) = Setup::start() else { return };
    let kinds = kinds();
    let records: Vec<_> =
        (1..).zip(&kinds).map(|(place, kind)| entry(place, &kind.data, LONG_AGO)).collect();
    let Setup { lambda, folder, .. } = setup;
    lambda.respond(json!({"Records": records})).unwrap();
    // By a signal that no process sees.
    drop(lambda);
    assert_eq!(kept(folder.path()).len(), kinds.len());
}
