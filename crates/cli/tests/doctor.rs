//! `tidegate doctor` as a person runs it.

use std::fs;
use std::process::{Command, Output};

use serde_json::{Value, json};
use tidegate_tests::place::root;

fn doctor(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    command.current_dir(root()).arg("doctor").args(arguments);
    command.output().expect("the command runs")
}

fn told(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn our_template_is_looked_at_with_the_stacks_in_it() {
    let (code, text, said) = told(&doctor(&["--template", "infra/template.yaml"]));
    assert_eq!((code, said.as_str()), (Some(0), ""), "{text}");
    assert!(text.contains("0 errors, 0 warnings, 0 notes; "), "{text}");
    for nested in ["Consumer/Quarantined, ", "Lake/Delivery: ", "Stream/Stream: "] {
        assert!(text.contains(nested), "{text}");
    }
}

#[test]
fn the_exit_code_is_that_of_the_worst() {
    let folder = tempfile::tempdir().unwrap();
    let template = folder.path().join("t.yaml");
    let stream = "Type: AWS::Kinesis::Stream\n    DeletionPolicy: Delete\n    \
                  UpdateReplacePolicy: Delete\n    Properties:\n      RetentionPeriodHours: 24\n";
    let encrypted = "      StreamEncryption: {EncryptionType: KMS}\n";
    for (text, expected) in [
        (format!("Resources:\n  S:\n    {stream}{encrypted}"), 0),
        (format!("Resources:\n  S:\n    {stream}"), 3),
        ("Resources:\n  S: {Type: AWS::Kinesis::Stream}\n".to_owned(), 4),
        ("a: 1".to_owned(), 1),
    ] {
        fs::write(&template, &text).unwrap();
        let (code, shown, said) = told(&doctor(&["--template", template.to_str().unwrap()]));
        assert_eq!(code, Some(expected), "{text}{shown}{said}");
    }
    let (code, _, said) = told(&doctor(&["--template", "nowhere.yaml"]));
    assert_eq!(code, Some(1));
    assert!(said.contains("nowhere.yaml cannot be read; name a SAM or Cloud"), "{said}");
    assert_eq!(told(&doctor(&[])).0, Some(2));
    assert_eq!(told(&doctor(&["--template", "x", "--parameter", "nothing"])).0, Some(2));
}

#[test]
fn a_parameter_changes_what_is_found() {
    let arguments =
        ["--template", "infra/consumer.yaml", "--parameter", "ParallelizationFactor=10", "--json"];
    let (code, text, _) = told(&doctor(&arguments));
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (code, &report["findings"][0]["id"]),
        (Some(3), &json!("mapping-parallel-aggregates"))
    );
    let link = report["findings"][0]["link"].as_str().unwrap();
    assert!(link.ends_with("/docs/src/doctor.md#mapping-parallel-aggregates"), "{link}");
    let (code, _, said) =
        told(&doctor(&["--template", "infra/consumer.yaml", "--parameter", "Paralel=10"]));
    assert_eq!(code, Some(1));
    assert!(said.contains("has no parameter Paralel; it has Architecture, Batch"), "{said}");
}

#[cfg(feature = "aws")]
#[test]
fn a_stream_of_the_account_is_looked_at() {
    let arn = "arn:aws:kinesis:eu-central-1:111122223333:stream/orders";
    let function = "arn:aws:lambda:eu-central-1:111122223333:function:bill";
    let services = tidegate_tests::canned::Canned::start(move |asked| {
        let answer = match asked.operation.as_str() {
            "DescribeStreamSummary" => json!({"StreamDescriptionSummary": {
                "StreamARN": arn, "OpenShardCount": 2, "RetentionPeriodHours": 24,
                "EncryptionType": "NONE", "EnhancedMonitoring": [{"ShardLevelMetrics": []}]}}),
            "ListStreamConsumers" => json!({"Consumers": []}),
            "ListDeliveryStreams" => {
                json!({"DeliveryStreamNames": ["lake"], "HasMoreDeliveryStreams": false})
            }
            "DescribeDeliveryStream" => json!({"DeliveryStreamDescription": {
                "DeliveryStreamType": "KinesisStreamAsSource",
                "Source": {"KinesisStreamSourceDescription": {"KinesisStreamARN": arn}},
                "Destinations": [{"ExtendedS3DestinationDescription": {
                    "Prefix": "data/", "BufferingHints": {"SizeInMBs": 64,
                    "IntervalInSeconds": 300}, "S3BackupMode": "Disabled",
                    "CloudWatchLoggingOptions": {"Enabled": true}}}]}}),
            "DescribeLimits" => json!({"ShardLimit": 500, "OpenShardCount": 2}),
            "DescribeAlarms" => json!({"MetricAlarms": [{"AlarmName": "late",
                "Namespace": "AWS/Lambda", "MetricName": "IteratorAge",
                "Dimensions": [{"Name": "FunctionName", "Value": "bill"}],
                "EvaluationPeriods": 1, "TreatMissingData": "notBreaching",
                "ActionsEnabled": true, "AlarmActions": []},
                {"AlarmName": "of somebody else", "Dimensions": []}]}),
            _ if asked.line.contains("/event-source-mappings/") => {
                json!({"EventSourceMappings": [{"UUID": "u-1", "FunctionArn": function,
                    "EventSourceArn": arn, "BatchSize": 100, "State": "Disabled",
                    "StartingPosition": "TRIM_HORIZON", "MaximumRetryAttempts": -1,
                    "MaximumRecordAgeInSeconds": -1, "DestinationConfig": {"OnFailure": {}}}]})
            }
            _ if asked.line.contains("/configuration") => {
                json!({"FunctionName": "bill", "Timeout": 60, "MemorySize": 512,
                    "Architectures": ["arm64"], "Runtime": "provided.al2023"})
            }
            _ => return (404, json!({"Message": "none"})),
        };
        (200, answer)
    });
    let output = Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .args(["doctor", "--stream", "orders", "--json"])
        .env("AWS_ENDPOINT_URL", services.endpoint())
        .env("AWS_ACCESS_KEY_ID", "id")
        .env("AWS_SECRET_ACCESS_KEY", "secret")
        .env("AWS_REGION", "eu-central-1")
        .output()
        .unwrap();
    let (code, text, said) = told(&output);
    assert_eq!(code, Some(4), "{said}{text}");
    let report: Value = serde_json::from_str(&text).unwrap();
    let findings = report["findings"].as_array().unwrap().iter();
    let found: Vec<_> = findings
        .map(|one| (one["id"].as_str().unwrap(), one["resource"].as_str().unwrap()))
        .collect();
    assert_eq!(
        found,
        [
            ("mapping-no-destination", "u-1"),
            ("mapping-no-partial-response", "u-1"),
            ("mapping-retries-forever", "u-1"),
            ("delivery-no-error-prefix", "lake"),
            ("delivery-not-watched", "lake"),
            ("alarm-tells-nobody", "late"),
            ("stream-unencrypted", "orders"),
            ("mapping-disabled", "u-1"),
            ("mapping-no-bisect", "u-1"),
            ("stream-shortest-retention", "orders"),
        ]
    );
    let mapping = services.asked();
    let listed = mapping.iter().find(|asked| asked.line.contains("event-source-mappings")).unwrap();
    let query =
        "?EventSourceArn=arn%3Aaws%3Akinesis%3Aeu-central-1%3A111122223333%3Astream%2Forders";
    assert!(listed.line.ends_with(query), "{}", listed.line);
}
