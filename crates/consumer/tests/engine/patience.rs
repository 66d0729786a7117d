//! How long and how often a record is tried.

use std::cell::Cell;
use std::future::{pending, ready};
use std::num::NonZeroU32;
use std::time::Duration;

use jiff::SignedDuration;
use serde_json::{Map, Value};
use tidegate_consumer::report::RetryCause;
use tidegate_consumer::{
    Breaker, Bulk, Call, Consumer, Json, Options, Outcome, Received, Record, Scope,
};

use crate::batch::{ALL_SETTLED, CALL, Memory, event, names, number, text, told};

type Item = Map<String, Value>;

async fn handle(item: &Item) -> Outcome {
    match item["do"].as_str() {
        Some("hang") => pending().await,
        Some("retry") => Outcome::Retry("busy".into()),
        _ => Outcome::Done,
    }
}

fn options(max_attempts: Option<u32>, max_age_mins: Option<i64>) -> Options {
    let mut options = Options::default();
    options.max_attempts = max_attempts.map(|most| NonZeroU32::new(most).unwrap());
    options.max_age = max_age_mins.map(SignedDuration::from_mins);
    options
}

/// Of a batch that comes again and again: the answer of each time, and the reasons of what is kept.
fn tries(
    options: &Options,
    call: &Call<'_>,
    what: &str,
    times: usize,
) -> (Vec<String>, Vec<String>) {
    let store = Memory::default();
    let handler = async |item: Item, _: &Record<'_>| handle(&item).await;
    // Time is up as soon as somebody waits for it.
    let consumer = Consumer::new(Json::new(), handler, &store)
        .with(options.clone())
        .time_limit(Duration::from_secs(5), |_| ready(()));
    let body = event(&[told(0, "deliver"), told(1, what), told(2, "deliver")]);
    let answers = (0..times).map(|_| {
        let processed = pollster::block_on(consumer.process(&body, call)).unwrap();
        if let Some(retry) = &processed.report.retry {
            let (cause, error) = match what {
                "hang" => (RetryCause::Timeout, "the handler did not end within 5s"),
                _ => (RetryCause::Handler, "busy"),
            };
            assert_eq!((retry.cause, &*retry.error), (cause, error));
        }
        text(&processed)
    });
    let answers = answers.collect();
    let kept = store.kept.borrow().values().map(|kept| kept.reason.clone()).collect();
    (answers, kept)
}

#[test]
fn a_record_is_tried_as_often_and_as_long_as_it_may() {
    let arrival = "2025-11-21T00:00:00.5Z".parse().unwrap();
    let young = Call { now: arrival, ..CALL };
    let old = Call { now: arrival + SignedDuration::from_mins(31), ..CALL };
    // The options, the time, what the record does, how often it comes again, and why it is kept.
    type Case<'a> = (Options, &'a Call<'a>, &'a str, usize, Option<&'a str>);
    let cases: &[Case<'_>] = &[
        (options(None, None), &old, "hang", 5, None),
        (options(None, None), &old, "retry", 5, None),
        (options(Some(3), None), &young, "retry", 2, Some("attempts")),
        (options(Some(1), None), &young, "retry", 0, Some("attempts")),
        (options(Some(3), None), &young, "hang", 2, Some("timeout")),
        (options(None, Some(30)), &young, "retry", 5, None),
        (options(None, Some(30)), &old, "retry", 0, Some("age")),
        (options(None, Some(31)), &old, "retry", 5, None),
        (options(None, Some(30)), &old, "hang", 0, Some("timeout")),
        // A record that is old and works is no poison.
        (options(Some(1), Some(30)), &old, "deliver", 0, None),
    ];
    for (options, call, what, again, reason) in cases {
        let (answers, kept) = tries(options, call, what, 5);
        let expected: Vec<_> = (0..5)
            .map(|turn| if turn < *again { names(&number(1)) } else { ALL_SETTLED.to_owned() })
            .collect();
        assert_eq!(answers, expected, "{options:?}, {what}");
        assert_eq!(kept, Vec::from_iter(*reason), "{options:?}, {what}");
    }
}

#[test]
fn who_never_waits_needs_no_timer() {
    let asked = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    let counted = asked.clone();
    let handler = async |item: Item, _: &Record<'_>| handle(&item).await;
    let consumer = Consumer::new(Json::new(), handler, Memory::default()).time_limit(
        Duration::MAX,
        move |_| {
            counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            ready(())
        },
    );
    let body = event(&[told(0, "deliver"), told(1, "hang")]);
    let processed = pollster::block_on(consumer.process(&body, &CALL)).unwrap();
    assert_eq!(text(&processed), names(&number(1)));
    assert_eq!(asked.load(std::sync::atomic::Ordering::Relaxed), 1);
}

/// Of a bulk that took too long it is not known which record it was, until each is handled alone.
#[test]
fn a_bulk_that_takes_too_long_is_handled_one_by_one() {
    let store = Memory::default();
    let calls = Cell::new(0);
    let insert = async |records: &[Received<'_, Item>], _: &Scope<'_>| -> Vec<Outcome> {
        calls.set(calls.get() + 1);
        let mut outcomes = Vec::new();
        for record in records {
            outcomes.push(handle(&record.item).await);
        }
        outcomes
    };
    let consumer = Consumer::new(Json::new(), Bulk(insert), &store)
        .with(options(Some(2), None))
        .time_limit(Duration::from_secs(5), |_| ready(()));
    let body = event(&[told(0, "deliver"), told(1, "hang"), told(2, "deliver")]);
    let expected = [(names(&number(0)), 1), (ALL_SETTLED.to_owned(), 4)];
    for (answer, made) in expected {
        let processed = pollster::block_on(consumer.process(&body, &CALL)).unwrap();
        assert_eq!((text(&processed), calls.get()), (answer, made));
    }
    let kept = store.kept.borrow();
    let kept: Vec<_> =
        kept.values().map(|kept| (&*kept.reason, kept.sequence_number.clone())).collect();
    assert_eq!(kept, [("timeout", Some(number(1)))]);
}

/// A sink that is out for long is no poison as long as the breaker has patience.
#[test]
fn an_outage_is_still_none() {
    let mut options = options(Some(1), None);
    options.breaker = Some(Breaker { records_min: 2, ..Breaker::default() });
    let store = Memory::default();
    let handler = async |_: Item, _: &Record<'_>| Outcome::Retry("the sink is out".into());
    let consumer = Consumer::new(Json::new(), handler, &store).with(options);
    let body = event(&[told(0, "deliver"), told(1, "deliver")]);
    let processed = pollster::block_on(consumer.process(&body, &CALL)).unwrap();
    assert_eq!(processed.report.retry.unwrap().cause, RetryCause::Breaker);
    assert_eq!(store.kept.borrow().len(), 0);
}
