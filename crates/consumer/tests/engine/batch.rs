//! Batches to order, a handler that does what its records say, and a store with outages.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tidegate_consumer::{
    Call, Consumer, Envelope, Json, Options, Outcome, PoisonReason, ProcessError, Processed,
    Quarantine, QuarantineError, Record, RecordHandler, Report,
};

pub const CALL: Call<'_> = Call {
    function_arn: "arn:aws:lambda:eu-central-1:123456789012:function:bill",
    request_id: "r-1",
    now: Timestamp::UNIX_EPOCH,
    deadline: None,
};

/// The sequence number of the record at a place.
pub fn number(index: usize) -> String {
    format!("4967120451833291746002154778309118640725531886201451{index:04}")
}

/// A proper entry of the event with a payload.
pub fn entry(index: usize, payload: &[u8]) -> Value {
    json!({
        "kinesis": {
            "kinesisSchemaVersion": "1.0",
            "partitionKey": format!("key-{index}"),
            "sequenceNumber": number(index),
            "data": base64_simd::STANDARD.encode_to_string(payload),
            "approximateArrivalTimestamp": 1_763_683_200.5,
        },
        "eventSource": "aws:kinesis",
        "eventVersion": "1.0",
        "eventID": format!("shardId-000000000006:{}", number(index)),
        "eventName": "aws:kinesis:record",
        "eventSourceARN": "arn:aws:kinesis:eu-central-1:123456789012:stream/orders",
    })
}

/// An entry that the handler treats as told: `deliver`, `skip`, `retry`, `poison`, `panic` (while
/// polled) or `panic at once` (in the call).
pub fn told(index: usize, what: &str) -> Value {
    entry(index, json!({"n": index, "do": what}).to_string().as_bytes())
}

pub fn event(entries: &[Value]) -> Vec<u8> {
    json!({"Records": entries}).to_string().into_bytes()
}

/// One way to be poison.
#[derive(Debug, Clone, Copy)]
pub struct Fault {
    pub reason: PoisonReason,
    pub stage: &'static str,
    pub encoding: &'static str,
    pub make: fn(usize) -> Value,
}

/// Every way to be poison that has a sequence number.
pub const FAULTS: &[Fault] = &[
    Fault {
        reason: PoisonReason::Envelope,
        stage: "split",
        encoding: "record",
        make: |index| altered(index, &["kinesis", "data"], Value::Null),
    },
    Fault {
        reason: PoisonReason::Base64,
        stage: "base64",
        encoding: "verbatim",
        make: |index| altered(index, &["kinesis", "data"], json!("§ \"no\\ base64")),
    },
    Fault {
        reason: PoisonReason::Utf8,
        stage: "decode",
        encoding: "base64",
        make: |index| entry(index, b"{\"name\":\"J\xfcrgen\"}"),
    },
    Fault {
        reason: PoisonReason::Parse,
        stage: "decode",
        encoding: "base64",
        make: |index| entry(index, b"not JSON"),
    },
    Fault {
        reason: PoisonReason::Parse,
        stage: "decode",
        encoding: "base64",
        make: |index| entry(index, b""),
    },
    Fault {
        reason: PoisonReason::Schema,
        stage: "decode",
        encoding: "base64",
        make: |index| entry(index, b"[1]"),
    },
    Fault {
        reason: PoisonReason::Handler,
        stage: "handle",
        encoding: "base64",
        make: |index| told(index, "poison"),
    },
    Fault {
        reason: PoisonReason::Panic,
        stage: "handle",
        encoding: "base64",
        make: |index| told(index, "panic"),
    },
    Fault {
        reason: PoisonReason::Panic,
        stage: "handle",
        encoding: "base64",
        make: |index| told(index, "panic at once"),
    },
];

/// A proper entry with one part replaced.
pub fn altered(index: usize, path: &[&str], value: Value) -> Value {
    let mut entry = told(index, "deliver");
    let mut part = &mut entry;
    for name in path {
        part = &mut part[*name];
    }
    *part = value;
    entry
}

/// Does what its records say and remembers what it delivered, by place.
#[derive(Default)]
pub struct Scripted {
    pub delivered: RefCell<Vec<u64>>,
}

impl RecordHandler<Map<String, Value>> for Scripted {
    fn handle(&self, item: Map<String, Value>, _: &Record<'_>) -> impl Future<Output = Outcome> {
        let what = item.get("do").and_then(Value::as_str).unwrap_or("deliver").to_owned();
        assert_ne!(what, "panic at once", "told to");
        async move {
            match &*what {
                "skip" => Outcome::Skip,
                "retry" => Outcome::Retry("busy".into()),
                "poison" => Outcome::Poison(PoisonReason::Handler, "refused".into()),
                "panic" => panic!("the payload was {what:?}"),
                _ => {
                    let place = item.get("n").unwrap_or_else(|| &item["order"]);
                    self.delivered.borrow_mut().push(place.as_u64().unwrap());
                    Outcome::Done
                }
            }
        }
    }
}

/// Keeps envelopes, except at the writes that are told to fail.
#[derive(Default)]
pub struct Memory {
    pub kept: RefCell<BTreeMap<String, Envelope>>,
    outages: Vec<usize>,
    writes: Cell<usize>,
}

impl Memory {
    /// The writes at these turns, counted from 0, fail: the even ones with an error, the odd ones
    /// with a panic.
    pub fn with_outages(outages: impl IntoIterator<Item = usize>) -> Self {
        Self { outages: outages.into_iter().collect(), ..Self::default() }
    }
}

impl Quarantine for Memory {
    async fn put(&self, envelope: &Envelope) -> Result<(), QuarantineError> {
        let write = self.writes.replace(self.writes.get() + 1);
        if self.outages.contains(&write) {
            assert_eq!(write % 2, 0, "the payload was {}", envelope.payload);
            return Err(QuarantineError::new("memory", "outage"));
        }
        self.kept.borrow_mut().entry(envelope.key()).or_insert_with(|| envelope.clone());
        Ok(())
    }
}

/// A consumer of JSON objects with everything it did.
#[derive(Default)]
pub struct Bench {
    pub handler: Scripted,
    pub store: Memory,
    pub options: Options,
}

impl Bench {
    /// Of the writes to the store, those at these turns fail.
    pub fn with_outages(outages: impl IntoIterator<Item = usize>) -> Self {
        Self { store: Memory::with_outages(outages), ..Self::default() }
    }

    /// With other options.
    pub fn with(options: Options) -> Self {
        Self { options, ..Self::default() }
    }

    pub fn process(&self, event: &[u8]) -> Result<Processed, ProcessError> {
        self.process_in(event, &CALL)
    }

    pub fn process_in(&self, event: &[u8], call: &Call<'_>) -> Result<Processed, ProcessError> {
        let consumer = Consumer::new(Json::new(), &self.handler, &self.store);
        pollster::block_on(consumer.with(self.options.clone()).process(event, call))
    }

    pub fn delivered(&self) -> Vec<u64> {
        self.handler.delivered.borrow().clone()
    }

    pub fn kept(&self) -> Vec<Envelope> {
        self.store.kept.borrow().values().cloned().collect()
    }
}

impl RecordHandler<Map<String, Value>> for &Scripted {
    fn handle(
        &self,
        item: Map<String, Value>,
        record: &Record<'_>,
    ) -> impl Future<Output = Outcome> {
        (**self).handle(item, record)
    }
}

pub fn text(processed: &Processed) -> String {
    String::from_utf8(processed.response.to_json()).unwrap()
}

/// The response that names this record.
pub fn names(number: &str) -> String {
    format!(r#"{{"batchItemFailures":[{{"itemIdentifier":"{number}"}}]}}"#)
}

pub const ALL_SETTLED: &str = r#"{"batchItemFailures":[]}"#;

/// Every record is counted once, and every poison record is named; where one that has to come again
/// stops the shard, there is one of them at most.
pub fn check_sums(report: &Report) {
    let Report { received, delivered, skipped, quarantined, retried, not_attempted, .. } = *report;
    assert_eq!(received, delivered + skipped + quarantined + retried + not_attempted, "{report:?}");
    assert_eq!(report.by_reason.values().sum::<u64>(), quarantined, "{report:?}");
    assert_eq!(report.retry.is_some(), retried + not_attempted > 0, "{report:?}");
    assert!(retried <= 1, "{report:?}");
    check_poison(report);
}

/// Every poison record that is kept is named.
pub fn check_poison(report: &Report) {
    let quarantined = report.quarantined;
    let kept = report.poison.iter().filter(|poison| poison.store_error.is_none()).count();
    assert_eq!(kept as u64, quarantined, "{report:?}");
}
