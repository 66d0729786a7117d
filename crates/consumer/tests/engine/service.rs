//! The consumer as a service of `lambda_runtime`.

use std::cell::RefCell;
use std::rc::Rc;

use jiff::Timestamp;
use lambda_runtime::{Context, LambdaEvent, tower::Service};
use serde_json::value::RawValue;
use tidegate_consumer::{Consumer, LambdaService, LogOnly, Outcome, Raw, Record, Report};

use crate::batch::{ALL_SETTLED, altered, entry, event, names, number};

const CLOCK: fn() -> Timestamp = || Timestamp::UNIX_EPOCH;

/// What the service answers, or why it fails; and what it told.
fn answer(body: &[u8], deadline: u64) -> (Result<String, String>, Vec<Report>) {
    let handler = async |data: &[u8], _: &Record<'_>| match data {
        b"later" => Outcome::Retry("busy".into()),
        _ => Outcome::Done,
    };
    let told = Rc::new(RefCell::new(Vec::new()));
    let tell = {
        let told = told.clone();
        move |report: &Report| told.borrow_mut().push(report.clone())
    };
    let mut service = LambdaService::new(Consumer::new(Raw, handler, LogOnly), CLOCK, tell);
    let payload: Box<RawValue> = serde_json::from_slice(body).unwrap();
    let mut context = Context::default();
    context.deadline = deadline;
    let answer = pollster::block_on(async {
        std::future::poll_fn(|cx| {
            Service::<LambdaEvent<Box<RawValue>>>::poll_ready(&mut service, cx)
        })
        .await?;
        service.call(LambdaEvent::new(payload, context)).await
    });
    let answer = answer
        .map(|response| serde_json::to_string(&response).unwrap())
        .map_err(|error| error.to_string());
    (answer, told.take())
}

#[test]
fn a_batch_is_answered_and_told() {
    let batch = event(&[entry(0, b"now"), entry(1, b"later"), entry(2, b"now")]);
    // With a deadline, with one that has passed, and with none that can be read.
    for deadline in [60_000, 0, u64::MAX] {
        let (answer, told) = answer(&batch, deadline);
        assert_eq!(answer, Ok(names(&number(1))));
        let [report] = &told[..] else { panic!("{told:?}") };
        assert_eq!((report.delivered, report.retried, report.not_attempted), (1, 1, 1));
    }
    let (empty, told) = answer(&event(&[]), 60_000);
    assert_eq!((empty, told.len()), (Ok(ALL_SETTLED.to_owned()), 1));
}

#[test]
fn an_entry_that_a_typed_event_would_fail_at_costs_itself() {
    // `aws_lambda_events` 1.2 refuses the whole batch for each.
    let damages = [
        (&["kinesis", "encryptionType"][..], "NOVEL".into()),
        (&["kinesis", "approximateArrivalTimestamp"], serde_json::Value::Null),
        (&["kinesis", "approximateArrivalTimestamp"], 1e300.into()),
        (&["kinesis", "data"], "bm8".into()),
        (&["kinesis", "partitionKey"], 7.into()),
    ];
    for (path, value) in damages {
        let batch = event(&[entry(0, b"now"), altered(1, path, value), entry(2, b"now")]);
        let (answer, told) = answer(&batch, 60_000);
        assert_eq!(answer, Ok(ALL_SETTLED.to_owned()), "{path:?}");
        assert_eq!(told[0].delivered, 3, "{path:?}");
    }
}

#[test]
fn what_is_no_batch_fails_the_invocation() {
    let (answer, told) = answer(b"{}", 60_000);
    assert_eq!(answer, Err("the event is not a batch of Kinesis records".to_owned()));
    assert!(told.is_empty());
}
