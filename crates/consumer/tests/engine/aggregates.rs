//! Aggregates of the Kinesis Producer Library: each user record is one of its own.

use std::task::Poll;

use proptest::prelude::*;
use serde_json::{Value, json};
use tidegate_consumer::envelope::PayloadEncoding;
use tidegate_consumer::{Consumer, Json, LogOnly, Options, Raw, Record, Text};
use tidegate_kpl::{Aggregator, HashRange, MAGIC};

use crate::batch::{ALL_SETTLED, Bench, CALL, check_sums, entry, event, names, number, text, told};

/// An entry of the event that is an aggregate of these payloads, each of its own key.
pub fn aggregate<'a>(index: usize, payloads: impl IntoIterator<Item = &'a [u8]>) -> Value {
    let mut aggregator = Aggregator::new(usize::MAX);
    for (place, payload) in payloads.into_iter().enumerate() {
        aggregator.push(&format!("user-{place}"), Some(7), payload).unwrap();
    }
    entry(index, &aggregator.take().unwrap().data)
}

/// The payload that the handler treats as told.
fn payload(n: u64, what: &str) -> Vec<u8> {
    json!({"n": n, "do": what}).to_string().into_bytes()
}

/// An aggregate with a right digest around any message.
fn sealed(index: usize, message: &[u8]) -> Value {
    use md5::{Digest, Md5};

    entry(index, &[&MAGIC, message, &Md5::digest(message)[..]].concat())
}

/// Three records, of which the second is an aggregate of five; the user record at `place` does this.
fn batch_with(place: usize, what: &str) -> Vec<u8> {
    let payloads: Vec<_> =
        (0..5).map(|n| payload(10 + n as u64, if n == place { what } else { "deliver" })).collect();
    let aggregate = aggregate(1, payloads.iter().map(Vec::as_slice));
    event(&[told(0, "deliver"), aggregate, told(2, "deliver")])
}

const ALL: [u64; 7] = [0, 10, 11, 12, 13, 14, 2];

#[test]
fn user_records_are_handled_in_their_order() {
    let bench = Bench::default();
    let processed = bench.process(&batch_with(0, "deliver")).unwrap();
    assert_eq!(text(&processed), ALL_SETTLED);
    assert_eq!(bench.delivered(), ALL);
    let report = &processed.report;
    check_sums(report);
    assert_eq!((report.received, report.delivered, report.aggregates), (7, 7, 1));
}

#[test]
fn a_handler_sees_the_user_record() {
    let seen = std::cell::RefCell::new(Vec::new());
    let consumer = Consumer::new(
        Raw,
        async |data: &[u8], record: &Record<'_>| {
            seen.borrow_mut().push((
                data.to_vec(),
                record.partition_key().map(ToOwned::to_owned),
                record.sub_sequence_number(),
                record.explicit_hash_key(),
                record.sequence_number().map(ToOwned::to_owned),
            ));
        },
        LogOnly,
    );
    let event = event(&[entry(0, b"x"), aggregate(1, [&b"y"[..], b""])]);
    let processed = pollster::block_on(consumer.process(&event, &CALL)).unwrap();
    assert_eq!(text(&processed), ALL_SETTLED);
    let key = |key: &str| Some(key.to_owned());
    assert_eq!(
        *seen.borrow(),
        [
            (b"x".to_vec(), key("key-0"), None, None, Some(number(0))),
            (b"y".to_vec(), key("user-0"), Some(0), Some(7), Some(number(1))),
            (b"".to_vec(), key("user-1"), Some(1), Some(7), Some(number(1))),
        ]
    );
}

/// After a split, an aggregate that was on its way lies in the child of its first record, with
/// records of both. Each is delivered: a producer that sends them again makes duplicates, and what
/// is discarded here may be sent by nobody.
#[test]
fn user_records_of_another_shard_are_kept() {
    let half = 1_u128 << 127;
    let child = HashRange { start: 0, end: half - 1 };
    let mut aggregator = Aggregator::new(usize::MAX);
    for (n, hash_key) in [0, half, u128::MAX, half - 1].into_iter().enumerate() {
        let payload = payload(10 + n as u64, "deliver");
        aggregator.push("user", Some(hash_key), &payload).unwrap();
    }
    let aggregate = aggregator.take().unwrap();
    assert!(child.contains(aggregate.explicit_hash_key));
    let bench = Bench::default();
    let processed = bench.process(&event(&[entry(0, &aggregate.data)])).unwrap();
    assert_eq!(text(&processed), ALL_SETTLED);
    assert_eq!(bench.delivered(), [10, 11, 12, 13]);
}

/// A producer puts a user record into an aggregate, whose own key is that of all of them, or alone
/// under its own. Within a batch the lanes go by the user's key either way.
#[test]
fn a_key_keeps_its_order_in_aggregates_and_beside_them() {
    let keys = ["a", "b", "c", "d", "e"];
    let mut number = 0;
    let mut next = |keys: &[&str]| {
        let mut aggregator = Aggregator::new(usize::MAX);
        for key in keys {
            aggregator.push(key, None, format!("{key} {number}").as_bytes()).unwrap();
            number += 1;
        }
        aggregator.take().unwrap()
    };
    let mut entries = Vec::new();
    for round in 0..8 {
        let index = entries.len();
        // One user record alone is no aggregate, and has its own key.
        let (data, own) = if round % 2 == 0 {
            (next(&[keys, keys].concat()).data, "a")
        } else {
            let single = next(&keys[round % 5..=round % 5]);
            (single.data, keys[round % 5])
        };
        let mut entry = entry(index, &data);
        entry["kinesis"]["partitionKey"] = json!(own);
        entries.push(entry);
    }
    let handled = std::cell::RefCell::new(Vec::new());
    let handler = async |text: &str, _: &Record<'_>| {
        // Those of one key take longer than those of another.
        let turns = text.bytes().next().map_or(0, |key| usize::from(key % 7));
        for _ in 0..turns {
            let mut waited = false;
            std::future::poll_fn(|context| {
                context.waker().wake_by_ref();
                if std::mem::replace(&mut waited, true) { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
        }
        let (key, number) = text.split_once(' ').unwrap();
        handled.borrow_mut().push((key.to_owned(), number.parse::<u32>().unwrap()));
    };
    let mut options = Options::default();
    options.lanes = std::num::NonZeroUsize::new(4).unwrap();
    let consumer = Consumer::new(Text, handler, LogOnly).with(options);
    let processed = pollster::block_on(consumer.process(&event(&entries), &CALL)).unwrap();
    assert_eq!(text(&processed), ALL_SETTLED);
    let handled = handled.take();
    assert_eq!(handled.len(), 4 * 10 + 4);
    assert!(!handled.is_sorted_by_key(|(_, number)| *number), "the lanes did not overtake");
    for key in keys {
        let own: Vec<_> = handled.iter().filter(|(of, _)| of == key).collect();
        assert!(own.is_sorted_by_key(|(_, number)| *number), "{own:?}");
    }
}

#[test]
fn a_poison_user_record_goes_to_quarantine_alone() {
    for place in 0..5 {
        let bench = Bench::default();
        let processed = bench.process(&batch_with(place, "poison")).unwrap();
        assert_eq!(text(&processed), ALL_SETTLED);
        let others: Vec<_> = ALL.into_iter().filter(|n| *n != 10 + place as u64).collect();
        assert_eq!(bench.delivered(), others);
        check_sums(&processed.report);

        let [envelope] = &*bench.kept() else { panic!("{place}") };
        assert_eq!(envelope.payload_bytes().unwrap(), payload(10 + place as u64, "poison"));
        assert_eq!(envelope.sequence_number, Some(number(1)));
        assert_eq!(envelope.sub_sequence_number, Some(place as u64));
        assert_eq!(envelope.partition_key, Some(format!("user-{place}")));
        assert_eq!(envelope.explicit_hash_key.as_deref(), Some("7"));
        let file = format!("/{}-000000{place}.json", number(1));
        assert!(envelope.key().ends_with(&file), "{}", envelope.key());
        let named = &processed.report.poison[0].record;
        assert_eq!(named.sub_sequence_number, Some(place as u64));
    }
}

#[test]
fn a_user_record_that_comes_again_brings_its_aggregate() {
    for place in 0..5 {
        let bench = Bench::default();
        let processed = bench.process(&batch_with(place, "retry")).unwrap();
        assert_eq!(text(&processed), names(&number(1)));
        assert_eq!(bench.delivered(), ALL[..=place]);
        let report = &processed.report;
        check_sums(report);
        assert_eq!((report.retried, report.not_attempted), (1, 5 - place as u64));
    }
    // Without its store, a poison one does the same.
    let bench = Bench::with_outages([0]);
    let processed = bench.process(&batch_with(2, "poison")).unwrap();
    assert_eq!(text(&processed), names(&number(1)));
    assert_eq!(bench.delivered(), ALL[..=2]);
    check_sums(&processed.report);
}

#[test]
fn a_malformed_entry_costs_itself() {
    let user = payload(10, "deliver");
    let good = [&[0x08, 0x00, 0x1A, user.len() as u8][..], &user].concat();
    let bad = b"\x08\x05\x1A\x01x";
    let entry = |bytes: &[u8]| [&[0x1A, bytes.len() as u8][..], bytes].concat();
    let message = [&b"\x0A\x01k"[..], &entry(&good), &entry(bad), &entry(&good)].concat();
    let bench = Bench::default();
    let processed = bench.process(&event(&[sealed(0, &message), told(1, "deliver")])).unwrap();
    assert_eq!(text(&processed), ALL_SETTLED);
    assert_eq!(bench.delivered(), [10, 10, 1]);
    check_sums(&processed.report);
    let [envelope] = &*bench.kept() else { panic!("one is malformed") };
    assert_eq!((&*envelope.reason, &*envelope.stage), ("kpl", "deaggregate"));
    assert_eq!(envelope.payload_encoding, PayloadEncoding::Entry);
    assert_eq!(envelope.payload_bytes().unwrap(), bad);
    assert_eq!(envelope.sub_sequence_number, Some(1));
    assert_eq!(envelope.partition_key, None);
    let error = "the entry's partition key has the index 5 of a table of 1";
    assert_eq!(envelope.error.line(), error);
}

#[test]
fn an_aggregate_that_cannot_be_taken_apart_is_kept_whole() {
    let mut options = Options::default();
    options.aggregates.records_max = 4;
    let five = [&b"{}"[..]; 5];
    let cases = [
        (sealed(0, b"\x1A\x7F"), "the aggregate's message cannot be read"),
        (aggregate(0, five), "the aggregate holds more than 4 records"),
    ];
    for (bad, error) in cases {
        let bench = Bench::with(options.clone());
        let processed = bench.process(&event(&[bad.clone(), told(1, "deliver")])).unwrap();
        assert_eq!(text(&processed), ALL_SETTLED);
        assert_eq!(bench.delivered(), [1]);
        let [envelope] = &*bench.kept() else { panic!("{error}") };
        assert_eq!((&*envelope.reason, &*envelope.stage), ("kpl", "deaggregate"));
        assert_eq!(envelope.error.line(), error);
        assert_eq!(bad["kinesis"]["data"], *envelope.payload);
        assert_eq!(envelope.sub_sequence_number, None);
    }
}

#[test]
fn with_another_digest_it_is_taken_as_it_is() {
    let seen = std::cell::RefCell::new(Vec::new());
    let handler = async |data: &[u8], _: &Record<'_>| seen.borrow_mut().push(data.to_vec());
    let consumer = Consumer::new(Raw, handler, LogOnly);
    let data = [&MAGIC[..], b"a message of some bytes that is none"].concat();
    let event = event(&[entry(0, &data)]);
    let processed = pollster::block_on(consumer.process(&event, &CALL)).unwrap();
    assert_eq!(*seen.borrow(), [data]);
    let report = &processed.report;
    assert_eq!((report.unverified_aggregates, report.aggregates), (1, 0));
}

#[test]
fn an_aggregate_of_nothing_is_skipped() {
    let bench = Bench::default();
    let processed = bench.process(&event(&[sealed(0, b"\x0A\x01k"), told(1, "deliver")])).unwrap();
    assert_eq!(text(&processed), ALL_SETTLED);
    assert_eq!((processed.report.received, processed.report.skipped), (2, 1));
    check_sums(&processed.report);
}

#[test]
fn a_batch_of_many_chunks_is_taken_whole() {
    let payloads: Vec<_> = (0..200).map(|n| payload(n, "deliver")).collect();
    let entries: Vec<_> =
        (0..40).map(|index| aggregate(index, payloads.iter().map(Vec::as_slice))).collect();
    let bench = Bench::default();
    let processed = bench.process(&event(&entries)).unwrap();
    assert_eq!(text(&processed), ALL_SETTLED);
    let expected: Vec<_> = (0..40).flat_map(|_| 0..200).collect();
    assert_eq!(bench.delivered(), expected);
}

proptest! {
    /// However a producer divides its records among aggregates, the same becomes of each.
    #[test]
    fn aggregation_changes_nothing(
        whats in prop::collection::vec(
            prop::sample::select(vec!["deliver", "deliver", "skip", "poison", "panic"]), 1..30,
        ),
        sizes in prop::collection::vec(1_usize..6, 30),
    ) {
        let payloads: Vec<_> =
            whats.iter().enumerate().map(|(n, what)| payload(n as u64, what)).collect();
        let plain: Vec<_> =
            payloads.iter().enumerate().map(|(index, payload)| entry(index, payload)).collect();
        let mut rest = &payloads[..];
        let mut aggregated = Vec::new();
        for size in sizes {
            let (taken, left) = rest.split_at(size.min(rest.len()));
            rest = left;
            match taken {
                [] => break,
                [alone] => aggregated.push(entry(aggregated.len(), alone)),
                _ => aggregated.push(aggregate(aggregated.len(), taken.iter().map(Vec::as_slice))),
            }
        }
        let (one, other) = (Bench::default(), Bench::default());
        let expected = one.process(&event(&plain)).unwrap();
        let found = other.process(&event(&aggregated)).unwrap();
        check_sums(&found.report);
        prop_assert_eq!(text(&found), text(&expected));
        prop_assert_eq!(other.delivered(), one.delivered());
        let kept = |bench: &Bench| -> Vec<_> {
            bench.kept().iter().map(|kept| kept.payload_bytes().unwrap()).collect()
        };
        prop_assert_eq!(kept(&other), kept(&one));
        let counts = |report: &tidegate_consumer::Report| {
            (report.received, report.delivered, report.skipped, report.by_reason.clone())
        };
        prop_assert_eq!(counts(&found.report), counts(&expected.report));
    }

    /// Whatever the message of an aggregate is, its neighbours are delivered.
    #[test]
    fn any_message_leaves_its_neighbours_alone(
        message in prop::collection::vec(any::<u8>(), 0..60),
    ) {
        let consumer = Consumer::new(Json::<Value>::new(), async |_: Value, _: &Record<'_>| {}, LogOnly);
        let event = event(&[told(0, "deliver"), sealed(1, &message), told(2, "deliver")]);
        let processed = pollster::block_on(consumer.process(&event, &CALL)).unwrap();
        prop_assert_eq!(text(&processed), ALL_SETTLED);
        prop_assert!(processed.report.delivered >= 2);
        check_sums(&processed.report);
    }
}
