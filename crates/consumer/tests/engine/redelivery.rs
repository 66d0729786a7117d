//! What Lambda does with the responses: from the named record on, the batch comes again. Until all
//! is settled, nothing may be lost and nothing overtaken.

use std::cell::{Cell, RefCell};

use proptest::prelude::*;
use serde_json::{Map, Value};
use tidegate_consumer::{Consumer, Json, Options, Outcome, PoisonReason, Record};

use crate::batch::{CALL, FAULTS, Memory, check_sums, event, number, told};

/// What a record does.
#[derive(Debug, Clone, Copy)]
enum Script {
    Deliver,
    Skip,
    /// Is delivered at this attempt, counted from 0.
    DeliverAt(usize),
    /// Is poison, in one of the ways that do not need the handler.
    Poison(usize),
}

fn script() -> impl Strategy<Value = Script> {
    prop_oneof![
        4 => Just(Script::Deliver),
        1 => Just(Script::Skip),
        1 => (1_usize..4).prop_map(Script::DeliverAt),
        2 => (0_usize..6).prop_map(Script::Poison),
    ]
}

proptest! {
    #[test]
    fn every_record_ends_somewhere_and_in_order(
        scripts in prop::collection::vec(script(), 0..24),
        outages in prop::collection::btree_set(0_usize..24, 0..12),
    ) {
        let delivered = RefCell::new(Vec::new());
        let attempts: Vec<_> = scripts.iter().map(|_| Cell::new(0)).collect();
        let handler = async |item: Map<String, Value>, _: &Record<'_>| -> Outcome {
            let Some(index) = item.get("n").and_then(Value::as_u64) else {
                return Outcome::Poison(PoisonReason::Schema, "no number".into());
            };
            let index = usize::try_from(index).unwrap();
            match scripts[index] {
                Script::Skip => Outcome::Skip,
                Script::DeliverAt(turn) if attempts[index].get() < turn => {
                    attempts[index].set(attempts[index].get() + 1);
                    Outcome::Retry("busy".into())
                }
                _ => {
                    delivered.borrow_mut().push(index);
                    Outcome::Done
                }
            }
        };
        let store = Memory::with_outages(outages.iter().copied());
        // While the breaker waits for more of a batch, some of it is delivered, and again when the
        // store then fails. Here each record is counted.
        let mut options = Options::default();
        options.breaker = None;
        let consumer = Consumer::new(Json::new(), handler, &store).with(options);
        let entries: Vec<_> = scripts
            .iter()
            .enumerate()
            .map(|(index, script)| match script {
                Script::Poison(way) => (FAULTS[*way].make)(index),
                _ => told(index, "deliver"),
            })
            .collect();

        let mut from = 0;
        let mut settled = 0;
        // Each round ends one attempt or one outage, of which there are so many at most.
        for _ in 0..=4 * scripts.len() + outages.len() {
            let processed =
                pollster::block_on(consumer.process(&event(&entries[from..]), &CALL)).unwrap();
            let report = &processed.report;
            check_sums(report);
            settled += report.delivered + report.skipped + report.quarantined;
            match processed.response.first_unsettled() {
                None => {
                    from = entries.len();
                    break;
                }
                Some(name) => {
                    let next = (from..entries.len()).find(|index| number(*index) == name);
                    from = next.expect("an identifier of this batch");
                }
            }
        }
        prop_assert_eq!(from, entries.len(), "it never ends");
        prop_assert_eq!(settled, entries.len() as u64);

        let expected: Vec<_> = (0..scripts.len())
            .filter(|index| matches!(scripts[*index], Script::Deliver | Script::DeliverAt(_)))
            .collect();
        prop_assert_eq!(&*delivered.borrow(), &expected, "each once, in order");
        let poison: Vec<_> = (0..scripts.len())
            .filter(|index| matches!(scripts[*index], Script::Poison(_)))
            .map(|index| Some(number(index)))
            .collect();
        let kept: Vec<_> =
            store.kept.borrow().values().map(|kept| kept.sequence_number.clone()).collect();
        prop_assert_eq!(kept, poison);
    }
}
