//! A batch as Lambda hands it over, and what becomes of its records.

use std::fs;

use jiff::Timestamp;
use tidegate_consumer::{Call, LogOnly};
use {{crate}}::consumer;

#[test]
fn a_batch_is_settled_record_by_record() {
    let event = fs::read("events/batch.json").expect("the fixture is there");
    let call = Call {
        function_arn: "arn:aws:lambda:eu-west-1:111122223333:function:{{name}}",
        request_id: "request-1",
        now: Timestamp::UNIX_EPOCH,
        deadline: None,
    };
    let processed = pollster::block_on(consumer(LogOnly).process(&event, &call));
    let processed = processed.expect("the fixture is a batch of Kinesis records");
    // The first is an order, the second one of nothing, the third not JSON at all: it is in
    // quarantine, and Lambda need not offer any of them again.
    let report = &processed.report;
    assert_eq!((report.delivered, report.skipped, report.quarantined), (1, 1, 1));
    assert_eq!(report.poison[0].reason.code(), "parse");
    assert_eq!(processed.response.to_json(), br#"{"batchItemFailures":[]}"#);
}
