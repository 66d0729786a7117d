//! Each store against answers of our own: what is sent, and when a record counts as kept.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::json;
use tidegate_consumer::{Call, Consumer, Outcome, PoisonReason, Processed, Record, Text};
use tidegate_tests::canned::{Answer, Asked, Canned};

use super::dynamodb::DynamoQuarantine;
use super::sqs::SqsQuarantine;
use super::*;
use crate::call::Connections;
use crate::sink::tests::connections;

/// Quarantines one record of that many bytes; what came of it, and what was asked.
fn put<Q: tidegate_consumer::Quarantine>(
    size: usize,
    answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static,
    store: impl FnOnce(&Canned, Connections) -> Q,
) -> (Processed, Vec<Asked>) {
    let server = Canned::start(answer);
    let store = store(&server, connections(&server));
    let data = base64_simd::STANDARD.encode_to_string("x".repeat(size));
    let event = json!({"Records": [{
        "eventSource": "aws:kinesis", "eventID": "shardId-000000000000:7",
        "eventSourceARN": "arn:aws:kinesis:eu-central-1:111122223333:stream/orders",
        "kinesis": {"sequenceNumber": "7", "partitionKey": "k", "data": data}}]});
    let refuse =
        async |_: &str, _: &Record<'_>| Outcome::Poison(PoisonReason::Handler, "refused".into());
    let consumer = Consumer::new(Text, refuse, store);
    let call = Call {
        function_arn: "arn:aws:lambda:eu-central-1:111122223333:function:bill",
        request_id: "r-1",
        now: "2026-11-21T00:00:00Z".parse().unwrap(),
        deadline: None,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let processed = runtime.block_on(consumer.process(event.to_string().as_bytes(), &call));
    (processed.unwrap(), server.asked())
}

fn kept(processed: &Processed) -> bool {
    processed.report.quarantined == 1 && processed.response.first_unsettled().is_none()
}

fn key() -> String {
    format!("function=bill/stream=orders/shard=shardId-000000000000/{:0>56}.json", 7)
}

fn bucket(prefix: &'static str) -> impl FnOnce(&Canned, Connections) -> S3Quarantine {
    move |_, connections| S3Quarantine::new("kept", prefix, connections)
}

#[test]
fn a_bucket_gets_one_object_a_record_and_only_once() {
    for (prefix, path) in [("", ""), ("/a/b/", "a/b/")] {
        for status in [200, 412] {
            let (processed, asked) = put(1, move |_| (status, json!("")), bucket(prefix));
            assert!(kept(&processed), "{status}");
            let escaped = key().replace('=', "%3D");
            assert_eq!(asked[0].line, format!("PUT /kept/{path}{escaped}"));
            assert_eq!(asked[0].headers["if-none-match"], "*");
            assert_eq!(asked[0].headers["content-type"], "application/json");
            let envelope: Envelope = serde_json::from_slice(&asked[0].body).unwrap();
            assert_eq!(envelope.payload_bytes().unwrap(), b"x");
        }
    }
}

#[test]
fn what_was_not_kept_comes_again() {
    let slow = "<Error><Code>SlowDown</Code><Message>Reduce your rate.</Message></Error>";
    let denied = "<Error><Code>AccessDenied</Code><Message>No.</Message></Error>";
    let cases = [
        (503, slow, 3, "503 SlowDown: Reduce your rate."),
        (403, denied, 1, "403 AccessDenied: No."),
        (409, "<Error><Code>ConditionalRequestConflict</Code></Error>", 3, "409 Conditional"),
    ];
    for (status, body, calls, error) in cases {
        let (processed, asked) = put(1, move |_| (status, json!(body)), bucket(""));
        assert_eq!(processed.response.first_unsettled(), Some("7"));
        let said = processed.report.retry.unwrap().error;
        let start = "s3://kept did not take the envelope: PutObject failed: it was answered ";
        assert!(said.starts_with(&format!("{start}{error}")), "{said}");
        assert_eq!(asked.len(), calls);
    }
}

#[test]
fn a_table_keeps_the_first_account() {
    let exists = json!({"__type": "com.amazonaws#ConditionalCheckFailedException", "message": "x"});
    for answer in [(200, json!({})), (400, exists)] {
        let (processed, asked) = put(
            1,
            move |_| answer.clone(),
            |_, connections| DynamoQuarantine::new("kept", None, connections),
        );
        assert!(kept(&processed));
        let input = &asked[0].input;
        assert_eq!((asked.len(), asked[0].operation.as_str()), (1, "PutItem"));
        assert_eq!(input["ConditionExpression"], "attribute_not_exists(#key)");
        assert_eq!(input["Item"]["quarantine_key"]["S"], key());
        let envelope = input["Item"]["envelope"]["S"].as_str().unwrap();
        let envelope: Envelope = serde_json::from_str(envelope).unwrap();
        assert_eq!(envelope.sequence_number.as_deref(), Some("7"));
    }
}

#[test]
fn a_queue_gets_the_envelope_or_where_it_is() {
    let queue = |large: bool| {
        move |server: &Canned, connections: Connections| {
            let bucket = S3Quarantine::new("large", "", connections.clone());
            let url = format!("{}/1/kept.fifo", server.endpoint());
            SqsQuarantine::new(url, large.then_some(bucket), connections)
        }
    };
    let (processed, asked) = put(1, |_| (200, json!({})), queue(false));
    assert!(kept(&processed));
    let body = |asked: &Asked| {
        let body = asked.input["MessageBody"].as_str().unwrap();
        serde_json::from_str::<serde_json::Value>(body).unwrap()
    };
    assert_eq!(body(&asked[0])["payload"], "eA==");
    assert_eq!(asked[0].input["MessageDeduplicationId"], body(&asked[0])["quarantine_id"]);

    // 1 MiB of base64 and its envelope are more than a message.
    let (processed, asked) = put(1 << 20, |_| (200, json!("{}")), queue(true));
    assert!(kept(&processed));
    assert!(asked[0].line.starts_with("PUT /large/function%3Dbill/"), "{}", asked[0].line);
    let short = body(&asked[1]);
    let place =
        json!({"bucket": "large", "key": key(), "size": 1 << 20, "sha256": short["sha256"]});
    assert_eq!((&short["payload"], &short["payload_ref"]), (&json!(""), &place));
    assert_eq!(serde_json::from_value::<Envelope>(short).unwrap().size, 1 << 20);

    let (processed, asked) = put(1 << 20, |_| (200, json!({})), queue(false));
    let error = processed.report.retry.unwrap().error;
    assert!(error.contains("set TIDEGATE_QUARANTINE_BUCKET"), "{error}");
    assert_eq!(asked.len(), 0);
}
