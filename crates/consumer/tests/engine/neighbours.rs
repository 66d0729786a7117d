//! One bad record of every kind at every position: its neighbours are delivered.

use serde_json::{Value, json};
use tidegate_consumer::envelope::PayloadEncoding;
use tidegate_consumer::{PoisonReason, ProcessError};

use crate::batch::{
    ALL_SETTLED, Bench, FAULTS, altered, check_sums, event, names, number, text, told,
};

const RECORDS: usize = 4;

fn batch_with(place: usize, bad: Value) -> Vec<u8> {
    let entries: Vec<_> = (0..RECORDS)
        .map(|index| if index == place { bad.clone() } else { told(index, "deliver") })
        .collect();
    event(&entries)
}

fn others(place: usize) -> Vec<u64> {
    (0..RECORDS as u64).filter(|index| *index != place as u64).collect()
}

#[test]
fn a_poison_record_goes_to_quarantine_alone() {
    for fault in FAULTS {
        for place in 0..RECORDS {
            let bad = (fault.make)(place);
            let bench = Bench::default();
            let processed = bench.process(&batch_with(place, bad.clone())).unwrap();
            let report = &processed.report;

            assert_eq!(text(&processed), ALL_SETTLED, "{fault:?} at {place}");
            assert_eq!(bench.delivered(), others(place), "{fault:?} at {place}");
            check_sums(report);
            assert_eq!(report.by_reason.get(&fault.reason), Some(&1), "{fault:?} at {place}");

            let [envelope] = &*bench.kept() else { panic!("{fault:?} at {place}") };
            assert_eq!(envelope.reason, fault.reason.code());
            assert_eq!(envelope.stage, fault.stage);
            assert_eq!(serde_json::to_value(envelope.payload_encoding).unwrap(), fault.encoding);
            assert_eq!(envelope.sequence_number, Some(number(place)));
            // Everything that the event said is there to be processed again.
            let payload = envelope.payload_bytes().unwrap();
            assert_eq!(envelope.size, payload.len() as u64);
            match envelope.payload_encoding {
                PayloadEncoding::Base64 | PayloadEncoding::Entry => {
                    assert_eq!(bad["kinesis"]["data"], *envelope.payload);
                }
                PayloadEncoding::Verbatim => {
                    assert_eq!(bad["kinesis"]["data"], String::from_utf8(payload).unwrap());
                }
                PayloadEncoding::Record => {
                    assert_eq!(bad, serde_json::from_slice::<Value>(&payload).unwrap());
                }
            }

            let [poison] = &*report.poison else { panic!("{fault:?} at {place}") };
            assert_eq!(poison.key, envelope.key());
            assert_eq!(poison.reason, fault.reason);
            assert_eq!(poison.store_error, None);
        }
    }
}

#[test]
fn without_its_store_a_poison_record_comes_again_with_those_after_it() {
    for fault in FAULTS {
        for place in 0..RECORDS {
            // The first write fails; then, the same with a store that panics.
            for outages in [vec![0], vec![1]] {
                let panics = outages == [1];
                let bench = Bench::with_outages(outages);
                if panics {
                    let _ = bench.process(&batch_with(0, told(0, "poison"))).unwrap();
                    bench.handler.delivered.borrow_mut().clear();
                }
                let processed = bench.process(&batch_with(place, (fault.make)(place))).unwrap();
                assert_eq!(text(&processed), names(&number(place)), "{fault:?} at {place}");
                assert_eq!(bench.delivered(), (0..place as u64).collect::<Vec<_>>());
                check_sums(&processed.report);
                assert_eq!(processed.report.not_attempted, (RECORDS - 1 - place) as u64);
                let error = processed.report.poison[0].store_error.clone().unwrap();
                let expected = if panics {
                    "the store did not take the envelope: it panicked"
                } else {
                    "memory did not take the envelope: outage"
                };
                assert_eq!(error, expected);
                assert_eq!(processed.report.retry.unwrap().error, expected);
            }
        }
    }
}

#[test]
fn after_a_retry_nothing_is_attempted() {
    for place in 0..RECORDS {
        let bench = Bench::default();
        let processed = bench.process(&batch_with(place, told(place, "retry"))).unwrap();
        assert_eq!(text(&processed), names(&number(place)));
        assert_eq!(bench.delivered(), (0..place as u64).collect::<Vec<_>>());
        assert_eq!(processed.report.not_attempted, (RECORDS - 1 - place) as u64);
        let retry = processed.report.retry.clone().unwrap();
        assert_eq!(retry.record.sequence_number, Some(number(place)));
        assert_eq!(retry.error, "busy");
        check_sums(&processed.report);
    }
}

#[test]
fn a_skipped_record_is_settled() {
    let bench = Bench::default();
    let processed = bench.process(&batch_with(1, told(1, "skip"))).unwrap();
    assert_eq!(text(&processed), ALL_SETTLED);
    assert_eq!((processed.report.skipped, processed.report.delivered), (1, 3));
    check_sums(&processed.report);
}

#[test]
fn a_record_without_a_number_is_kept_or_fails_the_invocation() {
    for place in 0..RECORDS {
        for unusable in [json!(null), json!(""), json!(7), json!({})] {
            let bad = altered(place, &["kinesis", "sequenceNumber"], unusable);

            let bench = Bench::default();
            let processed = bench.process(&batch_with(place, bad.clone())).unwrap();
            assert_eq!(text(&processed), ALL_SETTLED);
            assert_eq!(bench.delivered(), others(place));
            assert_eq!(bench.kept()[0].reason, PoisonReason::Envelope.code());

            let bench = Bench::with_outages([0]);
            match bench.process(&batch_with(place, bad)).unwrap_err() {
                ProcessError::Unnameable { index, report } => {
                    assert_eq!(index, place);
                    assert_eq!(report.poison.len(), 1, "it is named to the log all the same");
                    check_sums(&report);
                }
                other => panic!("{other}"),
            }
        }
    }
}

#[test]
fn what_surrounds_the_payload_may_be_anything() {
    let cases: &[(&[&str], Value)] = &[
        (&["kinesis", "encryptionType"], json!("NOVEL")),
        (&["kinesis", "approximateArrivalTimestamp"], json!(null)),
        (&["kinesis", "approximateArrivalTimestamp"], json!(1e300)),
        (&["kinesis", "approximateArrivalTimestamp"], json!("soon")),
        (&["kinesis", "approximateArrivalTimestamp"], json!(1_763_683_200.123_456_8)),
        (&["kinesis", "partitionKey"], json!(null)),
        (&["kinesis", "kinesisSchemaVersion"], json!([])),
        (&["eventID"], json!("no colon")),
        (&["eventSource"], json!("aws:novel")),
        (&["eventSourceARN"], json!(false)),
        (&["novel"], json!({"deep": [[[[]]]]})),
    ];
    for (path, value) in cases {
        let bench = Bench::default();
        let processed = bench.process(&event(&[altered(0, path, value.clone())])).unwrap();
        assert_eq!(processed.report.delivered, 1, "{path:?} = {value}");
    }
}

#[test]
fn base64_may_lack_its_padding() {
    for data in ["eyJuIjo3fQ==", "eyJuIjo3fQ", "eyJu\nIjo3fQ=="] {
        let bench = Bench::default();
        let entry = altered(0, &["kinesis", "data"], json!(data));
        let processed = bench.process(&event(&[entry])).unwrap();
        assert_eq!(processed.report.delivered, 1, "{data:?}");
        assert_eq!(bench.delivered(), [7]);
    }
}

#[test]
fn the_log_gets_no_payload() {
    let bench = Bench::default();
    let secret = "hunter2";
    let entries = [
        altered(0, &["kinesis", "data"], json!(format!("%{secret}"))),
        altered(1, &["kinesis"], json!({"partitionKey": secret, "data": secret})),
        crate::batch::entry(2, format!("\"{secret}\"").as_bytes()),
        crate::batch::entry(3, secret.as_bytes()),
        crate::batch::entry(4, format!(r#"{{"do":"panic","secret":"{secret}"}}"#).as_bytes()),
    ];
    let processed = bench.process(&event(&entries)).unwrap();
    assert_eq!(processed.report.quarantined, 5);
    for poison in &processed.report.poison {
        let line = serde_json::to_string(poison).unwrap();
        assert!(!line.contains(secret) && !line.contains("the payload was"), "{line}");
    }
    // The envelope has what the log has not.
    let envelopes = bench.kept();
    let panicked = envelopes.iter().find(|envelope| envelope.reason == "panic").unwrap();
    assert_eq!(panicked.error.chain, [r#"the payload was "panic""#]);
}
