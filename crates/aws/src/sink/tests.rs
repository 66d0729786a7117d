//! Each sink against answers of our own: what is sent, and what an answer becomes.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::borrow::Cow;
use std::time::SystemTime;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_http_client::Connector;
use serde_json::{Value, json};
use tidegate_consumer::{BatchHandler, Event, Outcome, Received, Scope};
use tidegate_tests::canned::{Answer, Asked, Canned};

use super::*;
use crate::Config;
use crate::call::Caller;

/// Connections to a server of ours, which stands for every service.
pub(crate) fn connections(server: &Canned) -> Connections {
    let credentials = Credentials::new("id", "secret", Some("token".to_owned()), None, "test");
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .endpoint_url(server.endpoint())
        .build();
    let connector = Connector::builder().build_http();
    Connections::of(Caller::new(Config::of(config), connector, || SystemTime::UNIX_EPOCH))
}

/// What became of records with these payloads, of the keys `k0`, `k1` and so on, and what was asked.
fn deliver<S: for<'a> BatchHandler<&'a [u8]>>(
    payloads: &[&str],
    answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static,
    sink: impl FnOnce(&Canned, Connections) -> S,
) -> (Vec<String>, Vec<Asked>) {
    let server = Canned::start(answer);
    let sink = sink(&server, connections(&server));
    let records: Vec<_> = (0..payloads.len())
        .map(|number| {
            json!({
                "eventSource": "aws:kinesis",
                "eventID": format!("shardId-000000000003:{}", 70 + number),
                "eventSourceARN": "arn:aws:kinesis:eu-central-1:111122223333:stream/clicks",
                "kinesis": {
                    "partitionKey": format!("k{number}"),
                    "sequenceNumber": (70 + number).to_string(),
                    "approximateArrivalTimestamp": 1_795_000_000.25,
                    "data": "",
                },
            })
        })
        .collect();
    let event = json!({"Records": records}).to_string();
    let event = Event::parse(event.as_bytes()).unwrap();
    let records: Vec<_> = event.records().collect();
    let received: Vec<_> = records
        .iter()
        .zip(payloads)
        .map(|(record, payload)| Received::new(payload.as_bytes(), Cow::Borrowed(record)))
        .collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let outcomes = runtime.block_on(sink.handle(&received, &Scope::default()));
    let told = outcomes.iter().map(|outcome| match outcome {
        Outcome::Done => "done".to_owned(),
        Outcome::Skip => "skip".to_owned(),
        Outcome::Retry(error) => format!("retry: {error}"),
        Outcome::Poison(reason, error) => format!("{reason}: {error}"),
    });
    (told.collect(), server.asked())
}

/// Answers the first request with this and every other with that.
fn first(one: Value, others: Value) -> impl Fn(&Asked) -> Answer {
    let one = std::sync::Mutex::new(Some(one));
    move |_| (200, one.lock().unwrap().take().unwrap_or_else(|| others.clone()))
}

/// The service that a request is signed for.
fn signed_for(asked: &Asked) -> &str {
    let authorization = asked.headers.get("authorization").map_or("", String::as_str);
    let scope = authorization.split("Credential=id/19700101/eu-central-1/").nth(1);
    scope.and_then(|scope| scope.split('/').next()).unwrap_or_default()
}

#[test]
fn a_stream_is_sent_what_it_throttled_once_more() {
    let one = json!({"FailedRecordCount": 1, "Records": [{"ShardId": "s", "SequenceNumber": "1"},
        {"ErrorCode": "ProvisionedThroughputExceededException", "ErrorMessage": "slow"}]});
    let others = json!({"FailedRecordCount": 0, "Records": [{"SequenceNumber": "2"}]});
    let (outcomes, asked) = deliver(&["{}", "hi"], first(one, others), |_, connections| {
        kinesis::KinesisSink::new("copy", connections)
    });
    assert_eq!(outcomes, ["done", "done"]);
    let record = |data: &str, key: &str| json!({"Data": data, "PartitionKey": key});
    let all = json!([record("e30=", "k0"), record("aGk=", "k1")]);
    assert_eq!(asked[0].input, json!({"StreamName": "copy", "Records": all}));
    assert_eq!(asked[1].input["Records"], json!([record("aGk=", "k1")]));
    assert_eq!((asked[0].operation.as_str(), signed_for(&asked[0])), ("PutRecords", "kinesis"));
    assert_eq!(asked[0].headers["x-amz-security-token"], "token");
}

#[test]
fn a_stream_is_never_its_own_sink() {
    let (outcomes, asked) = deliver(
        &["{}"],
        |_| (200, json!({})),
        |_, connections| kinesis::KinesisSink::new("clicks", connections),
    );
    assert_eq!(
        (outcomes, asked.len()),
        (vec!["retry: the sink is the stream that is read".to_owned()], 0)
    );
}

#[test]
fn firehose_gets_lines() {
    let one = json!({"FailedPutCount": 1, "RequestResponses": [{"RecordId": "1"},
        {"ErrorCode": "ServiceUnavailableException", "ErrorMessage": "slow"}]});
    let others = json!({"FailedPutCount": 0, "RequestResponses": [{"RecordId": "2"}]});
    let large = "x".repeat(1_024_000);
    let (outcomes, asked) = deliver(&["{}", "hi", &large], first(one, others), |_, connections| {
        firehose::FirehoseSink::new("lake", connections)
    });
    let too_large = "handler: 1024001 bytes are more than the 1,000 KiB of Firehose";
    assert_eq!(outcomes, ["done", "done", too_large]);
    assert_eq!(asked[0].input["Records"], json!([{"Data": "e30K"}, {"Data": "aGkK"}]));
    assert_eq!(asked[1].input["Records"], json!([{"Data": "aGkK"}]));
    assert_eq!(signed_for(&asked[0]), "firehose");
}

#[test]
fn a_queue_says_who_is_to_blame() {
    let one = json!({"Successful": [{"Id": "0"}], "Failed": [
        {"Id": "1", "SenderFault": true, "Code": "InvalidMessageContents"},
        {"Id": "2", "SenderFault": false, "Code": "InternalError"}]});
    let others = json!({"Successful": [{"Id": "2"}]});
    let (outcomes, asked) =
        deliver(&["a", "b", "c", "\u{1}", ""], first(one, others), |server, connections| {
            sqs::SqsSink::new(format!("{}/1/work.fifo", server.endpoint()), connections)
        });
    assert_eq!(
        outcomes,
        [
            "done",
            "handler: SendMessageBatch: InvalidMessageContents",
            "done",
            "handler: a character of it cannot be in a message",
            "handler: a message is never empty",
        ]
    );
    let entry = &asked[0].input["Entries"][0];
    assert_eq!((&entry["Id"], &entry["MessageBody"]), (&json!("0"), &json!("a")));
    assert_eq!(entry["MessageGroupId"].as_str().map(str::len), Some(64));
    assert_ne!(
        entry["MessageDeduplicationId"],
        asked[0].input["Entries"][1]["MessageDeduplicationId"]
    );
    assert_eq!(asked[1].input["Entries"].as_array().map(Vec::len), Some(1));
    assert_eq!(signed_for(&asked[0]), "sqs");
}

#[test]
fn a_topic_is_published_to() {
    let answer = "<PublishBatchResponse><PublishBatchResult><Successful><member><Id>0</Id></member>\
        </Successful><Failed><member><Id>1</Id><Code>InvalidParameter</Code>\
        <SenderFault>true</SenderFault></member></Failed></PublishBatchResult></PublishBatchResponse>";
    let (outcomes, asked) = deliver(
        &["a b", "c"],
        move |_| (200, json!(answer)),
        |_, connections| {
            sns::SnsSink::new("arn:aws:sns:eu-central-1:111122223333:news", connections)
        },
    );
    assert_eq!(outcomes, ["done", "handler: PublishBatch: InvalidParameter"]);
    let body = String::from_utf8(asked[0].body.clone()).unwrap();
    assert!(body.contains("&PublishBatchRequestEntries.member.1.Message=a%20b&"), "{body}");
    assert_eq!(signed_for(&asked[0]), "sns");
}

#[test]
fn a_table_gives_back_what_it_did_not_write() {
    let given_back = |asked: &Asked| {
        let puts = asked.input["RequestItems"]["orders"].as_array().cloned().unwrap_or_default();
        let back = if puts.len() > 1 { json!({"orders": [puts[1]]}) } else { json!({}) };
        (200, json!({"UnprocessedItems": back}))
    };
    let (outcomes, asked) =
        deliver(&[r#"{"n":1.50}"#, r#"{"n":2}"#, "[]"], given_back, |_, connections| {
            dynamodb::DynamoSink::new("orders", vec![], connections)
        });
    assert_eq!(outcomes, ["done", "done", "schema: the record is not a JSON object"]);
    let item = &asked[0].input["RequestItems"]["orders"][0]["PutRequest"]["Item"];
    let identity = "shardId-000000000003:70";
    assert_eq!(*item, json!({"n": {"N": "1.50"}, "tidegate_id": {"S": identity}}));
    assert_eq!(asked.len(), 2);
    assert_eq!(signed_for(&asked[0]), "dynamodb");
}

#[test]
fn a_bucket_gets_the_batch_as_an_object() {
    let down = json!("<Error><Code>SlowDown</Code></Error>");
    let answers = std::sync::Mutex::new(vec![(200, json!("")), (503, down)]);
    let (outcomes, asked) = deliver(
        &["{\"a\":\n1}", "line"],
        move |_| answers.lock().unwrap().pop().unwrap(),
        |_, connections| s3::S3Sink::new("lake", "/in/", connections),
    );
    assert_eq!(outcomes, ["done", "done"]);
    let key = "stream=clicks/date=2026-11-18/hour=11/shard=shardId-000000000003/70-71.ndjson.gz";
    let escaped = key.replace('=', "%3D");
    for request in &asked {
        assert_eq!(request.line, format!("PUT /lake/in/{escaped}"));
        assert_eq!(request.headers["content-encoding"], "gzip");
    }
    let mut text = String::new();
    let mut lines = flate2::read::GzDecoder::new(asked[1].body.as_slice());
    std::io::Read::read_to_string(&mut lines, &mut text).unwrap();
    assert_eq!(text, "{\"a\": 1}\nline\n");
    assert_eq!((asked.len(), signed_for(&asked[0])), (2, "s3"));
    assert_eq!(asked[0].headers["x-amz-content-sha256"].len(), 64);
}

#[test]
fn an_object_that_is_too_large_loses_the_record_at_fault() {
    let answer = |asked: &Asked| {
        let mut text = String::new();
        let mut lines = flate2::read::GzDecoder::new(asked.body.as_slice());
        std::io::Read::read_to_string(&mut lines, &mut text).unwrap();
        let large = json!("<Error><Code>EntityTooLarge</Code></Error>");
        if text.contains("large") { (400, large) } else { (200, json!("")) }
    };
    let payloads = ["a", "b", "large", "d", "e"];
    let sink = |_: &Canned, connections| s3::S3Sink::new("lake", "", connections);
    let (outcomes, asked) = deliver(&payloads, answer, sink);
    let refused = "handler: it was answered 400 EntityTooLarge";
    assert_eq!(outcomes, ["done", "done", refused, "done", "done"]);
    // Whole, in halves, and until it is alone.
    let names: Vec<_> =
        asked.iter().filter_map(|asked| asked.line.rsplit('/').next()?.split('.').next()).collect();
    assert_eq!(names, ["70-74", "70-71", "72-74", "72-72", "73-74"]);
}

#[test]
fn a_server_is_posted_each_record() {
    let answer = |asked: &Asked| match asked.body.as_slice() {
        b"bad" => (422, json!("no")),
        _ => (204, json!("")),
    };
    let sink = |records| {
        move |server: &Canned, connections| {
            let url = format!("{}/in?x=1", server.endpoint());
            http::HttpSink::new(url, Some("Bearer t".to_owned()), records, connections)
        }
    };
    let (outcomes, asked) = deliver(&["{}", "bad", "hi"], answer, sink(1));
    assert_eq!(outcomes, ["done", "handler: it was answered 422 ", "done"]);
    assert_eq!((asked.len(), asked[0].line.as_str()), (3, "POST /in?x=1"));
    assert_eq!(asked[0].headers["authorization"], "Bearer t");
    // Together: the one at fault is found, and the others are posted without it.
    let answer = |asked: &Asked| {
        let bad = asked.body.windows(3).any(|part| part == b"bad");
        (if bad { 400 } else { 200 }, json!(""))
    };
    let (outcomes, asked) = deliver(&["{}", "bad", "hi"], answer, sink(10));
    assert_eq!(outcomes, ["done", "handler: it was answered 400 ", "done"]);
    assert_eq!(asked.last().unwrap().body, b"hi\n");
}

#[test]
fn an_index_answers_for_each_document() {
    let answer = |asked: &Asked| {
        let lines = asked.body.split(|byte| *byte == b'\n').count() / 2;
        let mut items = vec![json!({"create": {"status": 201}}); lines];
        if lines > 1 {
            items[1] = json!({"create": {"status": 429, "error": {"type": "rejected"}}});
            items[2] =
                json!({"create": {"status": 400, "error": {"type": "mapper_parsing_exception"}}});
        }
        (200, json!({"items": items}))
    };
    let (outcomes, asked) =
        deliver(&["{}", "{\"a\":1}", "{\"a\":[]}"], answer, |server, connections| {
            opensearch::OpenSearchSink::new(server.endpoint(), "logs", None, None, connections)
        });
    let refused = "handler: the document was answered 400 mapper_parsing_exception";
    assert_eq!(outcomes, ["done", "done", refused]);
    assert!(asked[0].line.starts_with("POST /logs/_bulk?filter_path="), "{}", asked[0].line);
    let again = "{\"create\":{\"_id\":\"shardId-000000000003:71\"}}\n{\"a\":1}\n";
    assert_eq!(String::from_utf8_lossy(&asked[1].body), again);
}
