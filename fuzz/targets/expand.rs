//! What records expand to: any bytes as gzip, zstd or neither, and any text as what gzip holds, such
//! as the envelopes of CloudWatch Logs. Nothing grows beyond its bound, each record ends somewhere,
//! and what the quarantine keeps of it ends there again when it is sent back.

#![no_main]

use std::cell::{Cell, RefCell};
use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;
use serde_json::json;
use tidegate_consumer::envelope::PayloadEncoding;
use tidegate_consumer::{
    Call, Consumer, DecodeError, Envelope, Expand, Options, Outcome, PoisonReason, Quarantine,
    QuarantineError, Record, Report,
};

const BYTES_MAX: usize = 1 << 18;

#[derive(Default)]
struct Kept(RefCell<Vec<Envelope>>);

impl Quarantine for Kept {
    async fn put(&self, envelope: &Envelope) -> Result<(), QuarantineError> {
        self.0.borrow_mut().push(envelope.clone());
        Ok(())
    }
}

/// Processes one record.
fn process(data: &[u8]) -> (Report, Vec<Envelope>) {
    let mut options = Options::default();
    options.expand = Expand::auto();
    options.expand.bytes_max = BYTES_MAX;
    options.expand.events_max = 1_000;
    options.breaker = None;
    let seen = Cell::new(0);
    let handler = async |item: Vec<u8>, _: &Record<'_>| {
        seen.set(seen.get() + item.len());
        // By what it says, so that it is the same when it comes again.
        if item.first().is_some_and(|byte| byte % 2 == 1) {
            return Outcome::Poison(PoisonReason::Handler, "odd".into());
        }
        Outcome::Done
    };
    let raw = |data: &[u8]| Ok::<_, DecodeError>(data.to_vec());
    let store = Kept::default();
    let consumer = Consumer::new(raw, handler, &store).with(options);
    let event = json!({"Records": [{
        "eventID": "shardId-000000000000:1",
        "kinesis": {"sequenceNumber": "1", "data": base64_simd::STANDARD.encode_to_string(data)},
    }]});
    let call = Call {
        function_arn: "arn:aws:lambda:eu-central-1:123456789012:function:fuzz",
        request_id: "r-1",
        now: Timestamp::UNIX_EPOCH,
        deadline: None,
    };
    let event = event.to_string();
    let processed = pollster::block_on(consumer.process(event.as_bytes(), &call));
    let processed = processed.expect("a proper event");
    assert_eq!(processed.response.first_unsettled(), None);
    assert!(seen.get() <= BYTES_MAX.max(data.len()), "{} bytes", seen.get());
    let kept = store.0.take();
    let report = processed.report;
    assert_eq!(report.received, report.delivered + report.skipped + report.quarantined);
    assert_eq!(report.quarantined, kept.len() as u64);
    (report, kept)
}

fuzz_target!(|data: &[u8]| {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(data).expect("memory can be written");
    let compressed = encoder.finish().expect("memory can be written");
    for record in [data, &compressed] {
        let (_, kept) = process(record);
        let whole = |kept: &&Envelope| kept.payload_encoding == PayloadEncoding::Base64;
        for envelope in kept.iter().filter(whole).take(3) {
            let payload = envelope.payload_bytes().expect("it was just made");
            let (again, back) = process(&payload);
            // An envelope whose events contradict it about its kind may be taken for another
            // object when they are gone; it is still one record with one end.
            assert_eq!(again.received, 1, "{envelope:?}");
            assert!(back.len() <= 1, "{envelope:?}");
        }
    }
});
