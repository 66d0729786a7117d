//! Records that come back from quarantine: they are what they were, and are counted.

use serde_json::{Value, json};
use tidegate_consumer::{Consumer, Dedupe, LogOnly, Raw, Recent, Record};

use crate::aggregates::aggregate;
use crate::batch::{ALL_SETTLED, Bench, CALL, check_sums, event, number, text, told};

/// What a redrive says beside a record.
fn redriven(mut entry: Value, place: Option<u64>, count: u32) -> Value {
    entry["tidegate"] =
        json!({"subSequenceNumber": place, "explicitHashKey": "7", "redriveCount": count});
    entry
}

#[test]
fn what_is_poison_again_has_an_envelope_of_its_own_that_counts_on() {
    let first = Bench::default();
    let _ = first.process(&event(&[told(0, "poison")])).unwrap();
    let again = Bench::default();
    let processed = again.process(&event(&[redriven(told(0, "poison"), Some(4), 2)])).unwrap();
    assert_eq!(text(&processed), ALL_SETTLED);
    let (before, after) = (&first.kept()[0], &again.kept()[0]);
    assert_eq!((before.redrive_count, after.redrive_count), (0, 2));
    assert_eq!(
        (after.sub_sequence_number, after.explicit_hash_key.as_deref()),
        (Some(4), Some("7"))
    );
    let expected = before.key().replace(".json", "-0000004.r2.json");
    assert_eq!(after.key(), expected);
    assert_ne!(after.quarantine_id, before.quarantine_id);
}

/// Two user records of one aggregate, each alone: neither is taken for the other, and each is known
/// by the place that it had.
#[test]
fn user_records_that_come_alone_are_what_they_were() {
    let seen = std::cell::RefCell::new(Vec::new());
    let consumer = Consumer::new(
        Raw,
        async |_: &[u8], record: &Record<'_>| {
            let of = record.sequence_number().map(ToOwned::to_owned);
            seen.borrow_mut().push((of, record.sub_sequence_number()));
        },
        LogOnly,
    )
    .dedupe(Dedupe::by_delivery(Recent::new(100)));
    // The second is an aggregate itself, as a producer's producer may make one.
    let entries = [
        redriven(told(0, "deliver"), Some(3), 1),
        redriven(aggregate(0, [&b"a"[..], b"b"]), Some(9), 1),
    ];
    for (delivered, skipped) in [(2, 0), (0, 2)] {
        let processed = pollster::block_on(consumer.process(&event(&entries), &CALL)).unwrap();
        assert_eq!(text(&processed), ALL_SETTLED);
        check_sums(&processed.report);
        assert_eq!((processed.report.delivered, processed.report.skipped), (delivered, skipped));
    }
    assert_eq!(*seen.borrow(), [(Some(number(0)), Some(3)), (Some(number(0)), Some(9))]);
}
