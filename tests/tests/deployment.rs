//! `sam deploy` of every template, with the bootstraps that were built, into an emulator that runs
//! them: what is deployed works, an update leaves the stream alone, and what was promised stays when
//! a stack is deleted.
//!
//! What the emulator cannot hold is changed by `infra/emulated.py`, which says what it is; the
//! expansion and the linters look at it in `infra.rs`. Nor does the emulator keep what a nested stack
//! retains, update a nested stack with a table, or call a function when its alarm changes.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use tidegate_tests::emulator::{self, Emulator};
use tidegate_tests::http;
use tidegate_tests::place::{bootstrap, files, root, tool};

/// Where code and templates are uploaded to.
const UPLOADS: &str = "uploads";

/// How long a record, or the end of a stack, is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// Parameters of a template.
type Given<'a> = &'a [(&'a str, &'a str)];

/// An account of the emulator, and what is deployed into it.
struct Cloud {
    aws: Emulator,
    sam: PathBuf,
    folder: TempDir,
}

impl Cloud {
    /// Nothing where the tools or the bootstraps are missing.
    fn new() -> Option<Self> {
        let (sam, python) = (tool("sam/bin/sam")?, tool("sam/bin/python")?);
        let folder = TempDir::new().unwrap();
        let (templates, code) = (folder.path().join("templates"), folder.path().join("code"));
        fs::create_dir(&templates).unwrap();
        for function in ["autoscaler", "consumer", "transform"] {
            let built = bootstrap(function)?;
            fs::create_dir_all(code.join(function)).unwrap();
            fs::copy(built, code.join(function).join("bootstrap")).unwrap();
        }
        run(Command::new(python).arg("tests/infra/emulated.py").arg(&templates).arg(&code));
        let cloud = Self { aws: emulator::ministack()?, sam, folder };
        let made = http::request(cloud.aws.port(), "PUT", &format!("/{UPLOADS}"), &[], b"");
        assert_eq!(made.unwrap().status, 200);
        Some(cloud)
    }

    /// SAM, which knows the emulator and nothing of whoever runs it.
    fn sam(&self) -> Command {
        let mut command = Command::new(&self.sam);
        command.env("AWS_ENDPOINT_URL", self.aws.endpoint()).env("HOME", self.folder.path());
        command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test");
        command.env("AWS_DEFAULT_REGION", "us-east-1").env("SAM_CLI_POLL_DELAY", "1");
        command.env("SAM_CLI_TELEMETRY", "0").env("__SAM_CLI_APP_DIR", self.folder.path());
        command
    }

    /// Deploys a part, or deploys it again, and gives the outputs of its stack.
    fn deploy(&self, part: &str, stack: &str, given: Given<'_>) -> BTreeMap<String, String> {
        let mut sam = self.sam();
        let template = self.folder.path().join("templates").join(format!("{part}.json"));
        sam.args(["deploy", "--stack-name", stack, "--s3-bucket", UPLOADS, "--template-file"]);
        sam.arg(template).args(["--capabilities", "CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]);
        sam.args(["--no-confirm-changeset", "--no-progressbar"]);
        if !given.is_empty() {
            sam.arg("--parameter-overrides");
            sam.args(given.iter().map(|(name, value)| format!("{name}={value}")));
        }
        run(&mut sam);
        let described = self.cloudformation("DescribeStacks", stack);
        let outputs = described.split("<OutputKey>").skip(1).filter_map(|output| {
            let (key, rest) = output.split_once("</OutputKey><OutputValue>")?;
            Some((key.to_owned(), rest.split_once("</OutputValue>")?.0.to_owned()))
        });
        outputs.collect()
    }

    /// Deletes a stack, and waits until it is.
    fn delete(&self, stack: &str) {
        self.cloudformation("DeleteStack", stack);
        until(|| {
            let described = self.cloudformation("DescribeStacks", stack);
            let gone =
                described.contains("does not exist") || described.contains("DELETE_COMPLETE");
            gone.then_some(())
        });
    }

    fn cloudformation(&self, operation: &str, stack: &str) -> String {
        let form = format!("Action={operation}&Version=2010-05-15&StackName={stack}");
        let headers = signed("cloudformation");
        let kind = ("content-type", "application/x-www-form-urlencoded");
        let headers = [("authorization", headers.as_str()), kind];
        let answer = http::request(self.aws.port(), "POST", "/", &headers, form.as_bytes());
        String::from_utf8(answer.unwrap().body).unwrap()
    }

    fn kinesis(&self, operation: &str, body: Value) -> Value {
        let operation = format!("Kinesis_20131202.{operation}");
        let answer = http::aws(self.aws.port(), "kinesis", &operation, &body);
        let said = String::from_utf8_lossy(&answer.body);
        assert_eq!(answer.status, 200, "{operation}: {said}");
        answer.json()
    }

    fn put(&self, stream: &str, data: &[&str]) {
        let record = |data: &&str| {
            json!({"Data": base64_simd::STANDARD.encode_to_string(data.as_bytes()),
                "PartitionKey": "a"})
        };
        let records: Vec<_> = data.iter().map(record).collect();
        self.kinesis("PutRecords", json!({"StreamName": stream, "Records": records}));
    }

    /// What a stream says of itself.
    fn summary(&self, stream: &str) -> Value {
        let body = json!({"StreamName": stream});
        self.kinesis("DescribeStreamSummary", body)["StreamDescriptionSummary"].clone()
    }

    /// A path of S3 or Lambda.
    fn request(&self, service: &str, method: &str, path: &str, body: &str) -> String {
        let signed = signed(service);
        let headers = [("authorization", signed.as_str())];
        let answer =
            http::request(self.aws.port(), method, path, &headers, body.as_bytes()).unwrap();
        let text = String::from_utf8(answer.body).unwrap();
        assert_eq!(answer.status, 200, "{method} {path}: {text}");
        text
    }

    fn get(&self, service: &str, path: &str) -> String {
        self.request(service, "GET", path, "")
    }

    /// The buckets, without the one of the uploads.
    fn buckets(&self) -> Vec<String> {
        let mut buckets = between(&self.get("s3", "/"), "<Name>", "</Name>");
        buckets.retain(|bucket| bucket != UPLOADS);
        buckets
    }

    /// The first object of a bucket whose key begins so, as soon as there is one.
    fn first(&self, bucket: &str, prefix: &str) -> String {
        let key = until(|| {
            let listed = self.get("s3", &format!("/{bucket}?list-type=2"));
            let keys = between(&listed, "<Key>", "</Key>");
            keys.into_iter().find(|key| key.starts_with(prefix))
        });
        self.get("s3", &format!("/{bucket}/{key}").replace('=', "%3D"))
    }
}

/// The header by which the emulator tells the services apart.
fn signed(service: &str) -> String {
    let scope = format!("test/20261101/us-east-1/{service}/aws4_request");
    format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0")
}

fn between(text: &str, open: &str, close: &str) -> Vec<String> {
    let found = text.split(open).skip(1).filter_map(|rest| rest.split(close).next());
    found.map(ToOwned::to_owned).collect()
}

/// What is there, as soon as it is.
fn until<T>(found: impl Fn() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "it does not come");
        thread::sleep(Duration::from_millis(200));
    }
}

fn run(command: &mut Command) {
    let output = command.current_dir(root()).output();
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (said, complained) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{said}{complained}", output.status);
}

#[test]
fn a_record_goes_through_all_that_was_deployed() {
    let Some(cloud) = Cloud::new() else { return };
    let outputs = cloud.deploy("template", "tidegate", &[]);
    let stream = &outputs["StreamName"];
    let line = r#"192.0.2.7 - - [14/Nov/2026:09:30:00 +0000] "GET /a HTTP/1.1" 200 5 "-" "-""#;
    cloud.put(stream, &[line, "poison"]);

    let landed = cloud.first(&outputs["LakeBucket"], "data/year=");
    let row: Value = serde_json::from_str(&landed).unwrap();
    assert_eq!((&row["path"], &row["status"]), (&json!("/a"), &json!(200)), "{row}");
    let kept = cloud.first(&outputs["QuarantineBucket"], "quarantine/function=");
    let envelope: Value = serde_json::from_str(&kept).unwrap();
    assert_eq!(envelope["payload"], base64_simd::STANDARD.encode_to_string("poison"));

    let function = &outputs["AutoscalerFunctionName"];
    let path = format!("/2015-03-31/functions/{function}/invocations");
    let decisions = cloud.request("lambda", "POST", &path, "{}");
    let decisions: Value = serde_json::from_str(&decisions).unwrap();
    let [decision] = decisions.as_array().unwrap().as_slice() else { panic!("{decisions}") };
    assert_eq!((&decision["stream"], &decision["mode"]), (&json!(stream), &json!("shadow")));
    // Nobody measures a stream of the emulator.
    assert_eq!(decision["reason"], "metrics_missing", "{decision:#}");

    cloud.delete("tidegate");
    // It stays, but the emulator keeps nothing of a nested stack.
    let streams = cloud.kinesis("ListStreams", json!({}))["StreamNames"].clone();
    assert_eq!(streams, json!([]));
}

#[test]
fn a_deployment_leaves_the_stream_and_its_shards_alone() {
    let Some(cloud) = Cloud::new() else { return };
    let before = cloud.deploy("stream", "clicks", &[("InitialShards", "2")]);
    let stream = &before["StreamName"];
    let made = cloud.summary(stream);
    assert_eq!(made["OpenShardCount"], 2);
    cloud.kinesis(
        "UpdateShardCount",
        json!({"StreamName": stream, "TargetShardCount": 3, "ScalingType": "UNIFORM_SCALING"}),
    );
    let given = [("InitialShards", "2"), ("RetentionHours", "48")];
    let after = cloud.deploy("stream", "clicks", &given);
    assert_eq!(before, after);
    let now = cloud.summary(stream);
    assert_eq!(now["RetentionPeriodHours"], 48, "the deployment did what it was for");
    assert_eq!(now["OpenShardCount"], 3);
    assert_eq!(now["StreamCreationTimestamp"], made["StreamCreationTimestamp"]);
    run(cloud.sam().args(["delete", "--no-prompts", "--stack-name", "clicks"]));
    // With its records, until somebody deletes it.
    assert_eq!(cloud.kinesis("ListStreams", json!({}))["StreamNames"], json!([stream]));
}

/// Templates of parts, what they want, what a later deployment changes, and how many buckets stay.
const PARTS: [(&str, Given<'_>, Given<'_>, usize); 13] = [
    ("autoscaler", &[("StreamName", "orders")], &[("MaxShards", "8")], 0),
    (
        "consumer",
        &[("StreamName", "orders"), ("Dedupe", "table"), ("NotifyWhen", "true")],
        &[("BatchSize", "200"), ("LogRetentionDays", "7")],
        1,
    ),
    ("transform", &[], &[("Overflow", "reingest"), ("SourceStreamName", "orders")], 0),
    (
        "lake",
        &[("StreamName", "orders"), ("TransformArn", FUNCTION)],
        &[("ExpireAfterDays", "9")],
        1,
    ),
    ("catalog", &[("Bucket", UPLOADS)], &[], 0),
    // Its bucket is that of a nested stack, which the emulator does not keep.
    ("landing", &[], &[], 0),
    ("deliver-http", &[("Endpoint", "https://logs.example/x"), ("SecretArn", SECRET)], &[], 1),
    ("deliver-opensearch", &[("DomainArn", DOMAIN), ("IndexName", "logs")], &[], 1),
    (
        "deliver-redshift",
        &[
            ("JdbcUrl", "jdbc:redshift://c.a.us-east-1.redshift.amazonaws.com:5439/dev"),
            ("SecretArn", SECRET),
            ("TableName", "logs"),
        ],
        &[],
        1,
    ),
    (
        "deliver-iceberg",
        &[("IcebergDatabase", "d"), ("IcebergTable", "t"), ("WarehouseBucket", UPLOADS)],
        &[],
        1,
    ),
    ("logs", &[("LogGroupName", "/shop"), ("StreamName", "orders")], &[], 0),
    (
        "network",
        &[("VpcId", "vpc-1"), ("SubnetIds", "subnet-1"), ("RouteTableIds", "rtb-1")],
        &[],
        0,
    ),
    (
        "observability",
        &[
            ("StreamName", "orders"),
            ("AutoscalerFunctionName", "a"),
            ("ConsumerFunctionName", "c"),
            ("TransformFunctionName", "t"),
            ("DeliveryStreamName", "d"),
        ],
        &[],
        0,
    ),
];
const FUNCTION: &str = "arn:aws:lambda:us-east-1:000000000000:function:transform:live";
const SECRET: &str = "arn:aws:secretsmanager:us-east-1:000000000000:secret:token-abcdef";
const DOMAIN: &str = "arn:aws:es:us-east-1:000000000000:domain/logs";

#[test]
fn every_part_is_deployed_and_leaves_what_it_promises() {
    let templates = files(&["yaml"]).into_iter().filter(|path| path.starts_with("infra"));
    let stems: BTreeSet<_> =
        templates.map(|path| path.file_stem().unwrap().to_string_lossy().into_owned()).collect();
    let parts = PARTS.iter().map(|(part, ..)| *part).chain(["stream", "template"]);
    assert_eq!(stems, parts.map(ToOwned::to_owned).collect());

    let Some(cloud) = Cloud::new() else { return };
    cloud.kinesis("CreateStream", json!({"StreamName": "orders", "ShardCount": 1}));
    let group = json!({"logGroupName": "/shop"});
    http::aws(cloud.aws.port(), "logs", "Logs_20140328.CreateLogGroup", &group);
    // SAM mostly waits, so that four at a time take not much longer than one.
    thread::scope(|scope| {
        for some in PARTS.chunks(PARTS.len().div_ceil(4)) {
            let cloud = &cloud;
            scope.spawn(move || some.iter().for_each(|part| deployed_and_deleted(cloud, *part)));
        }
    });
    let functions = cloud.get("lambda", "/2015-03-31/functions/");
    let functions: Value = serde_json::from_str(&functions).unwrap();
    assert_eq!(functions["Functions"], json!([]));
    let stays: usize = PARTS.iter().map(|(.., stays)| stays).sum();
    assert_eq!(cloud.buckets().len(), stays, "{:?}", cloud.buckets());
    assert_eq!(cloud.summary("orders")["OpenShardCount"], 1, "a stream that is not the stack's");
}

fn deployed_and_deleted(cloud: &Cloud, part: (&str, Given<'_>, Given<'_>, usize)) {
    let (part, given, later, stays) = part;
    let before = cloud.deploy(part, part, given);
    if !later.is_empty() {
        let after = cloud.deploy(part, part, &[given, later].concat());
        assert_eq!(before, after, "{part}: an update replaced something");
    }
    cloud.delete(part);
    let begins = format!("{part}-");
    let kept = cloud.buckets().into_iter().filter(|bucket| bucket.starts_with(&begins));
    assert_eq!(kept.count(), stays, "{part}");
}
