//! What was delivered before.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::Timestamp;
use serde_json::Value;
use tidegate_consumer::report::RetryCause;
use tidegate_consumer::{
    Bulk, Consumer, Dedupe, OnPoison, OnRetry, Options, Outcome, Processed, Received, Recent,
    Record, Scope, SeenError, SeenStore, Text,
};

use crate::aggregates::aggregate;
use crate::batch::{ALL_SETTLED, CALL, Memory, check_sums, entry, event, names, number, text};
use crate::policies;

type Process<'a> = dyn FnMut(&[u8]) -> Processed + 'a;

/// Of each invocation: what is delivered, and how many duplicates there are.
fn invocations(
    options: &Options,
    dedupe: Dedupe,
    bulk: bool,
    events: &[Vec<Value>],
) -> Vec<(Vec<String>, u64)> {
    let delivered = std::cell::RefCell::new(Vec::new());
    let one = |text: &str| {
        if text == "busy" {
            return Outcome::Retry("busy".into());
        }
        delivered.borrow_mut().push(text.to_owned());
        Outcome::Done
    };
    let mut process: Box<Process<'_>> = if bulk {
        let insert = async |records: &[Received<'_, &str>], _: &Scope<'_>| -> Vec<Outcome> {
            records.iter().map(|record| one(record.item)).collect()
        };
        let consumer = Consumer::new(Text, Bulk(insert), Memory::default());
        let consumer = consumer.with(options.clone()).dedupe(dedupe);
        Box::new(move |body| pollster::block_on(consumer.process(body, &CALL)).unwrap())
    } else {
        let handler = async |text: &str, _: &Record<'_>| one(text);
        let consumer = Consumer::new(Text, handler, Memory::default());
        let consumer = consumer.with(options.clone()).dedupe(dedupe);
        Box::new(move |body| pollster::block_on(consumer.process(body, &CALL)).unwrap())
    };
    let ends = events.iter().map(|entries| {
        let processed = process(&event(entries));
        let report = &processed.report;
        assert_eq!(
            report.received,
            report.delivered + report.skipped + report.retried + report.not_attempted
        );
        (delivered.take(), report.duplicates)
    });
    ends.collect()
}

fn texts(texts: &[&str]) -> Vec<Value> {
    texts.iter().enumerate().map(|(index, text)| entry(index, text.as_bytes())).collect()
}

fn by_text() -> Dedupe {
    let first = |payload: &[u8], _: &Record<'_>| {
        let text = std::str::from_utf8(payload).ok()?;
        text.strip_prefix("order ").map(|number| number.repeat(600))
    };
    Dedupe::by_key(Recent::new(100), first)
}

fn end(delivered: &[&str], duplicates: u64) -> (Vec<String>, u64) {
    (delivered.iter().map(|&text| text.to_owned()).collect(), duplicates)
}

#[test]
fn what_was_delivered_is_not_delivered_again() {
    let fence = policies::options(OnRetry::FenceKey, OnPoison::Skip);
    for bulk in [false, true] {
        // By delivery: Lambda brings what came after one that comes again.
        let batch = texts(&["a", "busy", "c"]);
        let again = [batch.clone(), batch[1..].to_vec(), batch];
        let ends = invocations(&fence, Dedupe::by_delivery(Recent::new(100)), bulk, &again);
        assert_eq!(ends, [end(&["a", "c"], 0), end(&[], 1), end(&[], 2)]);

        // Each user record of an aggregate is one of its own.
        let three = aggregate(0, [&b"a"[..], b"busy", b"c"]);
        let again = [vec![three.clone()], vec![three]];
        let ends = invocations(&fence, Dedupe::by_delivery(Recent::new(100)), bulk, &again);
        assert_eq!(ends, [end(&["a", "c"], 0), end(&[], 2)]);

        // By key: what the producer put twice, in a batch or in two; a record without one goes by
        // its delivery.
        let batches = [
            texts(&["order 1", "order 1", "note", "order 2"]),
            texts(&["order 2", "order 3", "note"]),
        ];
        let ends = invocations(&Options::default(), by_text(), bulk, &batches);
        assert_eq!(ends, [end(&["order 1", "note", "order 2"], 1), end(&["order 3"], 2)]);
    }
}

/// While a stream is resharded, a producer puts the user records of an aggregate that reached the
/// wrong shard once more, in another: what was delivered is known by a key of the user's own.
#[test]
fn what_a_reshard_brings_twice_is_known_by_its_key() {
    let before = aggregate(0, [&b"order 1"[..], b"order 2", b"order 3"]);
    let mut after = aggregate(1, [&b"order 2"[..], b"order 3", b"order 4"]);
    let id = after["eventID"].as_str().unwrap().replace("shardId-000000000006", "shardId-7");
    after["eventID"] = id.into();
    let ends = invocations(&Options::default(), by_text(), false, &[vec![before], vec![after]]);
    assert_eq!(ends, [end(&["order 1", "order 2", "order 3"], 0), end(&["order 4"], 2)]);
}

/// An invocation that ends in the middle leaves nothing that holds up what comes again.
#[test]
fn what_was_cut_off_is_delivered_when_it_comes_again() {
    let memory = Arc::new(Recent::new(100));
    let batch = event(&texts(&["a", "b", "c"]));
    let delivered = std::cell::RefCell::new(Vec::new());
    let cut = std::cell::Cell::new(true);
    let handler = async |text: &str, _: &Record<'_>| {
        if text == "b" && cut.get() {
            std::future::pending::<()>().await;
        }
        delivered.borrow_mut().push(text.to_owned());
    };
    let consumer = Consumer::new(Text, &handler, Memory::default())
        .dedupe(Dedupe::by_delivery(memory.clone()));
    let mut running = Box::pin(consumer.process(&batch, &CALL));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(running.as_mut().poll(&mut context).is_pending());
    drop(running);
    assert_eq!(delivered.take(), ["a"]);

    cut.set(false);
    let processed = pollster::block_on(consumer.process(&batch, &CALL)).unwrap();
    assert_eq!(text(&processed), ALL_SETTLED);
    // What was delivered and not yet marked is delivered once more, and none is left out.
    assert_eq!(delivered.take(), ["a", "b", "c"]);
}

#[test]
fn the_oldest_is_forgotten() {
    let batches = ["a", "b", "c", "a"].map(|text| texts(&[text]));
    let key = |payload: &[u8], _: &Record<'_>| Some(String::from_utf8(payload.to_vec()).unwrap());
    for (room, last) in [(2, end(&["a"], 0)), (3, end(&[], 1))] {
        let dedupe = Dedupe::by_key(Recent::new(room), key);
        assert_eq!(invocations(&Options::default(), dedupe, false, &batches)[3], last);
    }
}

/// Fails to remember, to know, or both, when it is told to.
#[derive(Default)]
struct Flaky {
    recent: Option<Recent>,
    seen: AtomicBool,
    mark: AtomicBool,
}

impl SeenStore for Flaky {
    async fn seen(&self, keys: &[String], now: Timestamp) -> Result<Vec<bool>, SeenError> {
        match &self.recent {
            Some(recent) if !self.seen.load(Ordering::Relaxed) => recent.seen(keys, now).await,
            _ => Err(SeenError::new("memory", "outage")),
        }
    }

    async fn mark(&self, keys: &[String], now: Timestamp) -> Result<(), SeenError> {
        match &self.recent {
            Some(recent) if !self.mark.load(Ordering::Relaxed) => recent.mark(keys, now).await,
            _ => Err(SeenError::new("memory", "outage")),
        }
    }
}

#[test]
fn an_outage_of_the_memory_delivers_nothing_unknown() {
    let store = Arc::new(Flaky { recent: Some(Recent::new(100)), ..Flaky::default() });
    let handler = async |_: &str, _: &Record<'_>| {};
    let consumer =
        Consumer::new(Text, handler, Memory::default()).dedupe(Dedupe::by_delivery(store.clone()));
    let body = event(&texts(&["a", "b"]));
    let process = || pollster::block_on(consumer.process(&body, &CALL)).unwrap();

    store.seen.store(true, Ordering::Relaxed);
    let processed = process();
    check_sums(&processed.report);
    assert_eq!(text(&processed), names(&number(0)));
    let retry = processed.report.retry.unwrap();
    assert_eq!(retry.cause, RetryCause::Seen);
    assert_eq!(retry.error, "memory, which remembers what was delivered, did not answer: outage");

    // What was delivered stays so, and is delivered again should it come again.
    store.seen.store(false, Ordering::Relaxed);
    store.mark.store(true, Ordering::Relaxed);
    let processed = process();
    assert_eq!((text(&processed), processed.report.unmarked), (ALL_SETTLED.to_owned(), 2));
    assert_eq!(processed.report.troubles.len(), 1, "{:?}", processed.report.troubles);
    store.mark.store(false, Ordering::Relaxed);
    assert_eq!(process().report.delivered, 2);
    assert_eq!(process().report.duplicates, 2);
}

#[test]
fn a_key_that_panics_is_poison() {
    let store = Memory::default();
    let handler = async |_: &str, _: &Record<'_>| {};
    let key = |payload: &[u8], _: &Record<'_>| {
        assert_ne!(payload, b"b", "told to");
        None
    };
    let consumer =
        Consumer::new(Text, handler, &store).dedupe(Dedupe::by_key(Recent::new(10), key));
    let body = event(&texts(&["a", "b", "c"]));
    let processed = pollster::block_on(consumer.process(&body, &CALL)).unwrap();
    assert_eq!((text(&processed), processed.report.delivered), (ALL_SETTLED.to_owned(), 2));
    let kept = store.kept.borrow();
    let kept: Vec<_> = kept.values().map(|kept| (&*kept.reason, &*kept.stage)).collect();
    assert_eq!(kept, [("panic", "decode")]);
}
