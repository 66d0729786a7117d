//! The ports against answers of our own: what is sent, how often, and what an answer becomes.

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_kinesis::config::{Credentials, SharedCredentialsProvider};
use serde_json::{Value, json};
use tidegate_autoscaler::alarms::{AlarmChange, AlarmKind, AlarmService, AlarmSpec, AlarmState};
use tidegate_autoscaler::port::{
    LedgerStore, ServiceError, ServiceErrorKind, Stored, StreamService, Written,
};
use tidegate_autoscaler::shards::{Sample, ShardService};
use tidegate_tests::canned::{Answer, Asked, Canned};

use super::*;

/// Lets `ask` talk to services that answer with `answer`; what came of it, and what was asked.
fn with<T>(
    answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static,
    ask: impl AsyncFnOnce(Aws, Ledger) -> T,
) -> (T, Vec<Asked>) {
    let services = Canned::start(answer);
    let credentials = Credentials::new("id", "secret", None, None, "test");
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .endpoint_url(services.endpoint())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build();
    let config = Config::of(config);
    let now = || Timestamp::UNIX_EPOCH;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime can be made");
    let aws = Aws::new(&config, now);
    let came = runtime.block_on(ask(aws, Ledger::new(&config, "ledger".to_owned(), now)));
    (came, services.asked())
}

fn refused(code: &str) -> Answer {
    (400, json!({"__type": code, "message": "it is refused here"}))
}

fn operations(asked: &[Asked]) -> Vec<&str> {
    asked.iter().map(|asked| asked.operation.as_str()).collect()
}

#[test]
fn a_change_of_shards_is_sent_once_and_a_read_again() {
    let (error, asked) = with(
        |_| refused("LimitExceededException"),
        async |aws, _| {
            let error = aws.update_shard_count("orders", 8).await.unwrap_err();
            aws.split_shard("orders", "shardId-0", 7).await.unwrap_err();
            aws.describe("orders").await.unwrap_err();
            error
        },
    );
    assert_eq!(error.kind, ServiceErrorKind::LimitExceeded);
    let times = |operation| asked.iter().filter(|asked| asked.operation == operation).count();
    assert_eq!([times("UpdateShardCount"), times("SplitShard")], [1, 1]);
    assert_eq!(times("DescribeStreamSummary"), 3);
}

#[test]
fn pages_of_shards_are_asked_for_by_their_token_alone() {
    let shard = |id: &str, first: &str, last: &str| {
        json!({"ShardId": id, "ParentShardId": "shardId-0",
            "HashKeyRange": {"StartingHashKey": first, "EndingHashKey": last},
            "SequenceNumberRange": {"StartingSequenceNumber": "0"}})
    };
    let answer = move |asked: &Asked| match asked.input["NextToken"].as_str() {
        None => (200, json!({"Shards": [shard("shardId-1", "0", "9")], "NextToken": "more"})),
        Some(_) => (200, json!({"Shards": [shard("shardId-2", "10", "19")]})),
    };
    let (shards, asked) = with(answer, async |aws, _| aws.shards("orders").await.unwrap());
    let ranges: Vec<_> = shards.iter().map(|shard| (shard.first, shard.last)).collect();
    assert_eq!(ranges, [(0, 9), (10, 19)]);
    assert_eq!(shards[1].parent.as_deref(), Some("shardId-0"));
    let filter = json!({"Type": "AT_LATEST"});
    assert_eq!(asked[0].input, json!({"StreamName": "orders", "ShardFilter": filter}));
    assert_eq!(asked[1].input, json!({"NextToken": "more"}));
}

#[test]
fn a_sample_is_the_digest_of_the_key_and_never_the_key() {
    let answer = |asked: &Asked| match asked.operation.as_str() {
        "GetShardIterator" => (200, json!({"ShardIterator": "here"})),
        // "QUFB" is three bytes. The second record was written without a key.
        _ => {
            let records = json!([
                {"SequenceNumber": "1", "PartitionKey": "hot", "Data": "QUFB"},
                {"SequenceNumber": "2", "Data": "QUFB"},
            ]);
            (
                200,
                json!({"Records": records, "MillisBehindLatest": 0,
                "NextShardIterator": "there"}),
            )
        }
    };
    let (samples, asked) =
        with(answer, async |aws, _| aws.sample("orders", "shardId-0").await.unwrap());
    // `printf hot | md5sum`
    assert_eq!(samples, [Sample { hash: 0x2736_9b3b_f448_3e8d_cfd8_5ba9_a39a_947f, bytes: 6 }]);
    assert_eq!(operations(&asked), ["GetShardIterator", "GetRecords"]);
    assert_eq!(asked[0].input["Timestamp"], -60);
}

/// What GetMetricData answers for two streams.
fn metrics(asked: &Asked, second: &str) -> Answer {
    let result = |id: &str, code: &str| json!({"Id": id, "StatusCode": code, "Values": [7.0], "Timestamps": [{"@": 60}]});
    let mut results = vec![result("t0m0", "PartialData"), result("t1m0", second)];
    if asked.input["NextToken"].is_string() {
        results = vec![result("t0m0", "Complete"), result("t9m9", "Complete")];
        return (200, json!({"MetricDataResults": results}));
    }
    (200, json!({"MetricDataResults": results, "NextToken": "more"}))
}

#[test]
fn what_is_known_of_a_stream_in_part_is_not_known() {
    for (second, known) in [("Complete", 2), ("InternalError", 1), ("Forbidden", 1)] {
        let (metrics, asked) = with(
            move |asked| metrics(asked, second),
            async |aws, _| {
                let streams = ["orders".to_owned(), "payments".to_owned()];
                let to = Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_mins(3);
                aws.metrics(&streams, Timestamp::UNIX_EPOCH, to).await.unwrap()
            },
        );
        assert_eq!(metrics.len(), known, "{second}");
        assert_eq!(metrics["orders"].incoming_bytes.len(), 2, "both pages");
        assert_eq!(asked.len(), 2);
    }
}

#[test]
fn pages_without_end_are_not_read_to_the_end() {
    // A token that comes again would end it.
    let endless = |asked: &Asked| {
        let token = format!("{}.", asked.input["NextToken"].as_str().unwrap_or_default());
        (200, json!({"MetricDataResults": [], "NextToken": token}))
    };
    let (error, asked) = with(endless, async |aws, _| {
        let streams = ["orders".to_owned()];
        aws.metrics(&streams, Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH).await.unwrap_err()
    });
    assert_eq!((error.kind, asked.len()), (ServiceErrorKind::Unavailable, 3), "{error}");
}

#[test]
fn the_ledger_tells_who_was_quicker() {
    let stored = |revision| Stored { revision, text: "{}".to_owned() };
    let write = |code: Option<&'static str>, expected: u64| {
        let (came, asked) = with(
            move |_| code.map_or((200, json!({})), refused),
            async |_, ledger| ledger.write("orders", &stored(expected + 1), expected).await,
        );
        (came.map_err(|error: ServiceError| error.kind), asked)
    };
    let (came, asked) = write(None, 0);
    assert_eq!(came, Ok(Written::Done));
    assert_eq!(asked[0].input["ConditionExpression"], "attribute_not_exists(#stream)");
    let item = json!({"stream": {"S": "orders"}, "revision": {"N": "1"}, "entry": {"S": "{}"},
        "expires": {"N": (40 * 86_400).to_string()}});
    assert_eq!(asked[0].input["Item"], item);
    let (came, asked) = write(Some("ConditionalCheckFailedException"), 4);
    assert_eq!(came, Ok(Written::Conflict));
    assert_eq!(asked[0].input["ExpressionAttributeValues"], json!({":expected": {"N": "4"}}));
    assert_eq!(write(Some("ResourceNotFoundException"), 4).0, Err(ServiceErrorKind::Invalid));
}

#[test]
fn keys_that_stay_unprocessed_are_an_error() {
    let answer = |asked: &Asked| {
        (200, json!({"Responses": {}, "UnprocessedKeys": asked.input["RequestItems"]}))
    };
    let (error, asked) = with(answer, async |_, ledger| {
        let streams = ["orders".to_owned(), "orders".to_owned()];
        ledger.read(&streams).await.unwrap_err()
    });
    assert_eq!((error.kind, asked.len()), (ServiceErrorKind::Throttled, 6));
    let keys = asked[0].input["RequestItems"]["ledger"]["Keys"].clone();
    assert_eq!(keys, json!([{"stream": {"S": "orders"}}]), "a key that is named twice is refused");
}

/// An alarm of which the owner changed what can be changed.
fn owned() -> Value {
    let dimensions = json!([{"Name": "StreamName", "Value": "orders"}]);
    let metric = json!({"Namespace": "AWS/Kinesis", "MetricName": "IncomingBytes",
        "Dimensions": dimensions});
    json!({
        "AlarmName": "tidegate-orders-high",
        "AlarmDescription": "ours now",
        "ActionsEnabled": false,
        "OKActions": ["arn:ok"],
        "AlarmActions": ["arn:page", "arn:tidegate"],
        "InsufficientDataActions": ["arn:unknown"],
        "EvaluationPeriods": 7,
        "DatapointsToAlarm": 5,
        "Threshold": 0.65,
        "ComparisonOperator": "GreaterThanOrEqualToThreshold",
        "TreatMissingData": "ignore",
        "WarmUpConfiguration": {"WarmUpPeriodDurationInMinutes": 5},
        "Metrics": [
            {"Id": "use", "Label": "Use", "Expression": "bytes / 4", "ReturnData": true},
            {"Id": "bytes", "ReturnData": false,
             "MetricStat": {"Metric": metric, "Period": 120, "Stat": "Sum"}},
        ],
    })
}

/// The alarm as DescribeAlarms shows it.
fn shown(_: &Asked) -> Answer {
    let mut alarm = owned();
    alarm["StateValue"] = "ALARM".into();
    alarm["StateUpdatedTimestamp"] = json!({"@": 60});
    alarm["AlarmArn"] = "arn:aws:cloudwatch:us-east-1:111122223333:alarm:x".into();
    (200, json!({"MetricAlarms": [alarm], "CompositeAlarms": []}))
}

#[test]
fn a_patched_alarm_keeps_all_that_its_owner_set() {
    let change = AlarmChange::Patch {
        name: "tidegate-orders-high".to_owned(),
        expression: "bytes / 8".to_owned(),
    };
    let (seen, asked) = with(shown, async |aws, _| {
        aws.change(&change).await.unwrap();
        aws.alarms("tidegate-").await.unwrap()
    });
    let mut wanted = owned();
    wanted["Metrics"][0]["Expression"] = "bytes / 8".into();
    assert_eq!(operations(&asked), ["DescribeAlarms", "PutMetricAlarm", "DescribeAlarms"]);
    assert_eq!(asked[1].input, wanted);
    assert_eq!(asked[2].input["AlarmNamePrefix"], "tidegate-");
    assert_eq!((seen[0].state, seen[0].actions.len()), (AlarmState::Alarm, 4));
}

#[test]
fn an_alarm_that_is_there_is_not_made_again() {
    let spec = AlarmSpec {
        name: "tidegate-orders-throttled".to_owned(),
        stream: "orders".to_owned(),
        kind: AlarmKind::Throttled,
        description: "wakes Tidegate".to_owned(),
        expression: None,
        actions: vec!["arn:tidegate".to_owned()],
    };
    let create = AlarmChange::Create(spec);
    let (_, asked) = with(shown, async |aws, _| aws.change(&create).await.unwrap());
    assert_eq!(operations(&asked), ["DescribeAlarms"]);

    let none = |_: &Asked| (200, json!({"MetricAlarms": []}));
    let (_, asked) = with(none, async |aws, _| aws.change(&create).await.unwrap());
    let put = &asked[1].input;
    let returned = &put["Metrics"][0];
    assert_eq!((&returned["ReturnData"], &put["Metrics"][1]), (&json!(true), &Value::Null));
    assert_eq!(
        returned["MetricStat"]["Metric"]["MetricName"],
        "WriteProvisionedThroughputExceeded"
    );
    assert_eq!(put["TreatMissingData"], "notBreaching");

    let rearm = AlarmChange::Rearm { name: "tidegate-orders-throttled".to_owned() };
    let (_, asked) = with(none, async |aws, _| aws.change(&rearm).await.unwrap());
    assert_eq!(
        (asked[0].operation.as_str(), &asked[0].input["StateValue"]),
        ("SetAlarmState", &json!("OK"))
    );
}
