//! A sound template, one fault at a time: exactly that is found.

#[path = "planted/faults.rs"]
mod planted;

use std::collections::{BTreeMap, BTreeSet};

use planted::FAULTS;
use serde_json::{Value, json};
use tidegate_doctor::checks::all;
use tidegate_doctor::{Deployment, Report, Resource, diagnose, template};

const SOUND: &str = include_str!("sound.yaml");

fn report(text: &str) -> Report {
    let deployment = template::read("sound", text, &BTreeMap::new(), &mut |_, _| Ok(None));
    diagnose(&deployment.unwrap_or_else(|error| panic!("{error}\n{text}")), "page")
}

fn edited(edits: &[(&str, &str)]) -> String {
    edits.iter().fold(SOUND.to_owned(), |text, (from, to)| {
        assert_eq!(text.matches(from).count(), 1, "{from:?} stands there once");
        text.replace(from, to)
    })
}

fn ids(report: &Report) -> Vec<(&str, &str)> {
    report.findings.iter().map(|finding| (finding.id, finding.resource.as_str())).collect()
}

#[test]
fn nothing_is_found_in_what_is_sound() {
    let report = report(SOUND);
    assert_eq!(ids(&report), []);
    assert!(report.resources > 15 && report.checks > 60, "{report:?}");
}

#[test]
fn each_fault_is_found_and_nothing_else() {
    let mut wrong = Vec::new();
    for (id, place, edits) in FAULTS {
        let report = report(&edited(edits));
        if ids(&report) != [(*id, *place)] {
            wrong.push(format!("{id} at {place}, and found {:#?}", report.findings));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_check_has_its_fault() {
    let planted: BTreeSet<_> = FAULTS.iter().map(|(id, ..)| *id).collect();
    // What a template cannot show; see the next test.
    let live = BTreeSet::from(["alarm-drifted-from-shards", "autoscaler-above-quota"]);
    let known: BTreeSet<_> = all().map(|check| check.id).collect();
    assert_eq!(known.difference(&live).copied().collect::<BTreeSet<_>>(), planted);
    assert_eq!(all().count(), known.len(), "each has a name of its own");
}

#[test]
fn what_stands_in_an_account_is_compared() {
    let resource = |kind: &str, name: &str, properties: Value| Resource {
        place: name.to_owned(),
        kind: kind.to_owned(),
        name: Some(name.to_owned()),
        properties,
        ..Resource::default()
    };
    let shares = "MAX([bytes/PERIOD(bytes)/1048576, records/PERIOD(records)/1000])";
    let found = |divisor: u32, limit: u32| {
        let stream = json!({"OpenShardCount": 4, "RetentionPeriodHours": 48,
            "StreamEncryption": {"EncryptionType": "KMS"}});
        let metric = json!({"Metric": {"Namespace": "AWS/Kinesis", "MetricName": "IncomingBytes",
            "Dimensions": [{"Name": "StreamName", "Value": "orders"}]}});
        let alarm = json!({"EvaluationPeriods": 1, "Threshold": 0.8,
            "ComparisonOperator": "GreaterThanThreshold", "TreatMissingData": "notBreaching",
            "AlarmActions": ["arn:aws:lambda:us-east-1:123456789012:function:scaler"],
            "Metrics": [{"Id": "e", "Expression": format!("{shares} / {divisor}")},
                {"Id": "bytes", "MetricStat": metric}]});
        let function = json!({"Timeout": 300, "MemorySize": 256, "Architectures": ["arm64"],
            "Environment": {"Variables": {"TIDEGATE_MAX_SHARDS": "16",
                "TIDEGATE_LEDGER_TABLE": "ledger"}}});
        let account = json!({"ShardLimit": limit, "OpenShardCount": 10});
        let deployment = Deployment::new(
            vec![
                resource("AWS::Kinesis::Stream", "orders", stream),
                resource("AWS::CloudWatch::Alarm", "tidegate-orders-high", alarm),
                resource("AWS::Lambda::Function", "scaler", function),
                resource("Tidegate::Account", "account", account),
            ],
            Vec::new(),
        );
        let report = diagnose(&deployment, "page");
        report.findings.iter().map(|finding| finding.id).collect::<Vec<_>>()
    };
    assert_eq!(found(4, 22), [""; 0]);
    assert_eq!(found(2, 22), ["alarm-drifted-from-shards"]);
    // Six are of other streams: fifteen are left.
    assert_eq!(found(4, 21), ["autoscaler-above-quota"]);
}

#[test]
fn what_is_meant_so_is_not_reported() {
    let encryption = "      StreamEncryption: {EncryptionType: KMS, KeyId: alias/aws/kinesis}\n";
    let stream = "  Stream:\n    Type: AWS::Kinesis::Stream\n";
    let ignore = |reason: &str| {
        let ignored = format!("{{Id: stream-unencrypted, Reason: {reason}}}");
        let metadata = format!("{stream}    Metadata: {{Tidegate: {{Ignore: [{ignored}]}}}}\n");
        report(&edited(&[(encryption, ""), (stream, &metadata)]))
    };
    let meant = ignore("the data is public");
    assert_eq!(ids(&meant), []);
    assert_eq!(meant.ignored[0].ignored.as_deref(), Some("the data is public"));
    let unexplained = ignore("''");
    let expected = [("ignore-without-reason", "Stream"), ("stream-unencrypted", "Stream")];
    assert_eq!(ids(&unexplained), expected);
}
