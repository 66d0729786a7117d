//! Events of the consumer: whatever arrives is an error of the whole or a batch whose sum is right
//! and whose answer Lambda can follow. White space before it says nothing, but has it read by another
//! part of the parser.

#![no_main]

use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;
use tidegate_consumer::{Call, Consumer, Event, Json, LogOnly, Outcome, Record};

fuzz_target!(|event: &[u8]| {
    assert_eq!(told(event), told(&[&b" "[..], event].concat()));

    // A third of the records is delivered, comes again or is skipped, by what they say.
    let handler = async |item: Box<RawValue>, _: &Record<'_>| match item.get().len() % 3 {
        0 => Outcome::Done,
        1 => Outcome::Retry("busy".into()),
        _ => Outcome::Skip,
    };
    let consumer = Consumer::new(Json::<Box<RawValue>>::new(), handler, LogOnly);
    let call = Call {
        function_arn: "arn:aws:lambda:eu-central-1:123456789012:function:fuzz",
        request_id: "r-1",
        now: Timestamp::UNIX_EPOCH,
        deadline: None,
    };
    let Ok(processed) = pollster::block_on(consumer.process(event, &call)) else { return };
    let report = &processed.report;
    let settled = report.delivered + report.skipped + report.quarantined;
    assert_eq!(report.received, settled + report.retried + report.not_attempted, "{report:?}");
    assert_eq!(processed.response.first_unsettled().is_some(), report.retried == 1);
    if let Some(number) = processed.response.first_unsettled() {
        let event = Event::parse(event).expect("it was read before");
        let known = event.records().any(|record| record.sequence_number() == Some(number));
        assert!(known, "{number} is not of the batch");
    }
});

/// Everything that an event says.
fn told(event: &[u8]) -> Option<(String, Vec<String>)> {
    let event = Event::parse(event).ok()?;
    let records = event.records().map(|record| format!("{record:?}")).collect();
    Some((format!("{:?}", event.window()), records))
}
