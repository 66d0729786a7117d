//! Whatever bytes and whatever JSON arrive: no panic, and a response that Lambda can follow.

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use tidegate_consumer::{ProcessError, Processed};

use crate::batch::{Bench, check_sums, entry, event, text, told};

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "[0-9]{0,60}(\\.[0-9]{0,12})?".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..4)
                .prop_map(|map| Value::from(map.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// An entry of which something is missing, replaced or added.
fn mutated() -> impl Strategy<Value = Value> {
    const PLACES: &[&[&str]] = &[
        &["kinesis"],
        &["kinesis", "data"],
        &["kinesis", "sequenceNumber"],
        &["kinesis", "partitionKey"],
        &["kinesis", "approximateArrivalTimestamp"],
        &["kinesis", "encryptionType"],
        &["eventID"],
        &["eventSource"],
        &["eventSourceARN"],
        &["novel"],
    ];
    let change = (prop::sample::select(PLACES), prop::option::of(any_json()));
    let some_changes = prop::collection::vec(change, 1..4).prop_map(|changes| {
        let mut entry = told(1, "deliver");
        for (path, value) in changes {
            alter(&mut entry, path, value);
        }
        entry
    });
    prop_oneof![4 => some_changes, 1 => any_json()]
}

/// Replaces or removes what is at the path, where there is such a path.
fn alter(entry: &mut Value, path: &[&str], value: Option<Value>) {
    let [parents @ .., last] = path else { return };
    let mut part = entry;
    for name in parents {
        part = &mut part[*name];
    }
    let Some(object) = part.as_object_mut() else { return };
    match value {
        Some(value) => object.insert((*last).to_owned(), value),
        None => object.remove(*last),
    };
}

/// Empty, or one identifier of this batch, and that of the first record that is not settled.
fn check_response(processed: &Processed, entries: &[Value]) {
    let response: Value = serde_json::from_str(&text(processed)).unwrap();
    let expected = match processed.report.retried {
        0 => json!({"batchItemFailures": []}),
        _ => {
            let index = entries.len() - 1 - processed.report.not_attempted as usize;
            let number = &entries[index]["kinesis"]["sequenceNumber"];
            json!({"batchItemFailures": [{"itemIdentifier": number}]})
        }
    };
    assert_eq!(response, expected);
}

proptest! {
    #[test]
    fn any_bytes_are_an_error_or_a_batch(body in prop::collection::vec(any::<u8>(), 0..200)) {
        match Bench::default().process(&body) {
            Ok(processed) => check_sums(&processed.report),
            Err(ProcessError::Event(_)) => {}
            Err(other) => prop_assert!(false, "{}", other),
        }
    }

    #[test]
    fn any_json_is_an_error_or_a_batch(body in any_json(), inside in any::<bool>()) {
        let body = if inside { json!({"Records": body}) } else { body };
        match Bench::default().process(body.to_string().as_bytes()) {
            Ok(processed) => check_sums(&processed.report),
            Err(ProcessError::Event(_)) => {}
            Err(other) => prop_assert!(false, "{}", other),
        }
    }

    #[test]
    fn any_payload_ends_somewhere(payload in prop::collection::vec(any::<u8>(), 0..64)) {
        let entries = [told(0, "deliver"), entry(1, &payload), told(2, "deliver")];
        let bench = Bench::default();
        let processed = bench.process(&event(&entries)).unwrap();
        check_sums(&processed.report);
        check_response(&processed, &entries);
        // Bytes that happen to be JSON with our own words in it aside, it is poison.
        let [envelope] = &*bench.kept() else { panic!("one poison record") };
        prop_assert_eq!(envelope.payload_bytes().unwrap(), payload);
        prop_assert_eq!(bench.delivered(), [0, 2]);
    }

    #[test]
    fn any_entry_leaves_its_neighbours_alone(bad in mutated()) {
        let entries = [told(0, "deliver"), bad, told(2, "deliver")];
        let bench = Bench::default();
        let processed = bench.process(&event(&entries)).unwrap();
        check_sums(&processed.report);
        check_response(&processed, &entries);
        let delivered = bench.delivered();
        prop_assert_eq!((delivered[0], *delivered.last().unwrap()), (0, 2));
        for envelope in bench.kept() {
            let text = serde_json::to_string(&envelope).unwrap();
            prop_assert_eq!(serde_json::from_str::<tidegate_consumer::Envelope>(&text).unwrap(), envelope);
        }
    }

    #[test]
    fn any_entry_comes_again_when_the_store_is_out(bad in mutated()) {
        let entries = [told(0, "deliver"), bad, told(2, "deliver")];
        let bench = Bench::with_outages([0]);
        match bench.process(&event(&entries)) {
            Ok(processed) => {
                check_sums(&processed.report);
                check_response(&processed, &entries);
            }
            Err(ProcessError::Unnameable { index, .. }) => {
                let number = &entries[1]["kinesis"]["sequenceNumber"];
                prop_assert_eq!(index, 1);
                prop_assert!(number.as_str().is_none_or(str::is_empty), "{}", number);
            }
            Err(other) => prop_assert!(false, "{}", other),
        }
    }
}
