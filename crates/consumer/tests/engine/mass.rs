//! More poison than a batch should have.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Map, Value};
use tidegate_consumer::report::POISON_MAX;
use tidegate_consumer::{Consumer, Json, LogOnly, Options, Record, Report};
use tidegate_kpl::Aggregator;

use crate::batch::{CALL, entry, event};

/// The most records that Lambda puts into a batch.
const RECORDS: usize = 10_000;

/// The report of a batch of nothing but poison, and how much of it was told as it was found.
fn report(body: &[u8], tells: bool) -> (Report, u64) {
    let mut options = Options::default();
    options.breaker = None;
    let handler = async |_: Map<String, Value>, _: &Record<'_>| {};
    let mut consumer = Consumer::new(Json::new(), handler, LogOnly).with(options);
    let told = Arc::new(AtomicU64::new(0));
    if tells {
        let told = told.clone();
        consumer = consumer.tell_poison(move |_, _| {
            told.fetch_add(1, Ordering::Relaxed);
        });
    }
    let processed = pollster::block_on(consumer.process(body, &CALL)).unwrap();
    (processed.report, told.load(Ordering::Relaxed))
}

#[test]
fn each_is_told_and_the_report_names_the_first() {
    let plain: Vec<_> = (0..RECORDS).map(|index| entry(index, b"no JSON")).collect();
    let mut aggregator = Aggregator::new(usize::MAX);
    for _ in 0..2 * RECORDS {
        aggregator.push("k", None, b"no JSON").unwrap();
    }
    let aggregate = [entry(0, &aggregator.take().unwrap().data)];
    for (body, count) in [(event(&plain), RECORDS), (event(&aggregate), 2 * RECORDS)] {
        for (tells, named) in [(true, POISON_MAX), (false, count)] {
            let (report, told) = report(&body, tells);
            assert_eq!((report.received, report.quarantined), (count as u64, count as u64));
            assert_eq!(told, if tells { count as u64 } else { 0 });
            assert_eq!(report.poison.len(), named);
            // In the order of the batch, and without the payload.
            let first = &report.poison[0];
            assert_eq!(first.record.sub_sequence_number, (count > RECORDS).then_some(0));
            let bytes = serde_json::to_vec(&report.poison).unwrap().len();
            assert!(bytes < 1_000 * named, "{bytes} bytes for {named}");
        }
    }
}
