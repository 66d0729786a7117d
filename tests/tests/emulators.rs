//! The emulators start, do what the other tests rely on them for, and end.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;
use tidegate_tests::{emulator, http};

#[test]
fn kinesis_refuses_more_than_double() {
    let Some(kinesis) = emulator::kinesis(&[
        ("CREATE_STREAM_DURATION", "0ms"),
        ("UPDATE_SHARD_COUNT_DURATION", "0ms"),
    ]) else {
        return;
    };
    let call = |operation: &str, body| {
        let operation = format!("Kinesis_20131202.{operation}");
        http::aws(kinesis.port(), "kinesis", &operation, &body)
    };
    assert_eq!(call("CreateStream", json!({"StreamName": "orders", "ShardCount": 4})).status, 200);
    let open = || {
        let answer = call("DescribeStreamSummary", json!({"StreamName": "orders"}));
        answer.json()["StreamDescriptionSummary"]["OpenShardCount"].clone()
    };
    assert_eq!(open(), 4);
    let resize = |target| {
        let scaling = "UNIFORM_SCALING";
        let body =
            json!({"StreamName": "orders", "TargetShardCount": target, "ScalingType": scaling});
        call("UpdateShardCount", body).status
    };
    assert_eq!(resize(9), 400);
    assert_eq!(open(), 4);
    assert_eq!(resize(8), 200);
    assert_eq!(open(), 8);
}

#[test]
fn ministack_keeps_metrics_and_objects() {
    let Some(ministack) = emulator::ministack() else { return };
    let port = ministack.port();
    let call = |operation: &str, body| {
        let operation = format!("GraniteServiceVersion20100801.{operation}");
        http::aws(port, "monitoring", &operation, &body)
    };
    // Points older than the emulator keeps them are gone at once, so the present minute it is.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_secs();
    let minute = now / 60 * 60;
    let dimensions = json!([{"Name": "StreamName", "Value": "orders"}]);
    let metric = json!({"MetricName": "IncomingBytes", "Dimensions": dimensions, "Value": 1024.0,
        "Timestamp": minute});
    let put = json!({"Namespace": "AWS/Kinesis", "MetricData": [metric]});
    assert_eq!(call("PutMetricData", put).status, 200);
    let query = json!({"Id": "bytes", "MetricStat": {"Period": 60, "Stat": "Sum", "Metric":
        {"Namespace": "AWS/Kinesis", "MetricName": "IncomingBytes", "Dimensions": dimensions}}});
    let get = json!({"MetricDataQueries": [query],
        "StartTime": minute - 60, "EndTime": minute + 60});
    assert_eq!(
        call("GetMetricData", get).json()["MetricDataResults"][0]["Values"],
        json!([1024.0])
    );

    let put = |path: &str, headers: &[(&str, &str)]| {
        http::request(port, "PUT", path, headers, b"x").expect("S3 answers").status
    };
    assert_eq!(put("/bucket", &[]), 200);
    let once = [("if-none-match", "*")];
    assert_eq!([put("/bucket/key", &once), put("/bucket/key", &once)], [200, 412]);
}
