//! `tidegate doctor --stack` on stacks that an emulator deployed: a sound one, and each fault that it
//! can hold, planted in the template or by hand in what stands.

#![cfg(feature = "aws")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../doctor/tests/planted/faults.rs"]
mod planted;

use std::fs;
use std::process::{Command, Output};
use std::thread::sleep;
use std::time::{Duration, Instant};

use planted::FAULTS;
use serde_json::{Value, json};
use tidegate_tests::emulator::{self, Emulator};
use tidegate_tests::http;
use tidegate_tests::place::{root, text, tool};

/// How long a deployment may take.
const DEPLOYED_WITHIN: Duration = Duration::from_secs(120);

/// Parameters of a template.
type Given<'a> = &'a [(&'a str, &'a str)];

struct Cloud {
    emulator: Emulator,
}

impl Cloud {
    /// With a bucket that holds the code of every function; nothing without the tools.
    fn start() -> Option<Self> {
        let emulator = emulator::ministack_with_sam()?;
        // An archive with nothing in it.
        let empty = [b"PK\x05\x06".as_slice(), &[0; 18]].concat();
        for (path, body) in [("/code", &[][..]), ("/code/code.zip", &empty)] {
            let answer = http::request(emulator.port(), "PUT", path, &[], body).unwrap();
            assert_eq!(answer.status, 200, "{path}");
        }
        Some(Self { emulator })
    }

    /// CloudFormation, which speaks forms.
    fn form(&self, stack: &str, action: &str, fields: &[(&str, &str)]) -> (u16, String) {
        let escaped = |value: &str| {
            value.bytes().map(|byte| format!("%{byte:02X}")).collect::<Vec<_>>().concat()
        };
        let mut body = format!("Action={action}&Version=2010-05-15&StackName={stack}");
        for (name, value) in fields {
            body += &format!("&{name}={}", escaped(value));
        }
        let scope = "test/20261101/us-east-1/cloudformation/aws4_request";
        let signature =
            format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0");
        let headers = [
            ("authorization", signature.as_str()),
            ("content-type", "application/x-www-form-urlencoded"),
        ];
        let answer =
            http::request(self.emulator.port(), "POST", "/", &headers, body.as_bytes()).unwrap();
        (answer.status, String::from_utf8(answer.body).unwrap())
    }

    /// Creates a stack; what went wrong, if it did.
    fn deploy(&self, stack: &str, template: &str, given: Given<'_>) -> Result<(), String> {
        let given = (1..).zip(given).flat_map(|(number, (name, value))| {
            let of = |field| format!("Parameters.member.{number}.Parameter{field}");
            [(of("Key"), *name), (of("Value"), *value)]
        });
        let given: Vec<_> = given.collect();
        let mut fields = vec![
            ("TemplateBody", template),
            ("Capabilities.member.1", "CAPABILITY_IAM"),
            ("Capabilities.member.2", "CAPABILITY_AUTO_EXPAND"),
        ];
        fields.extend(given.iter().map(|(name, value)| (name.as_str(), *value)));
        let (status, said) = self.form(stack, "CreateStack", &fields);
        if status != 200 {
            return Err(said);
        }
        let began = Instant::now();
        loop {
            assert!(began.elapsed() < DEPLOYED_WITHIN, "{stack} takes too long");
            let (_, said) = self.form(stack, "DescribeStacks", &[]);
            match within(&said, "StackStatus") {
                "CREATE_COMPLETE" => break,
                state if state.ends_with("_IN_PROGRESS") => sleep(Duration::from_millis(50)),
                _ => return Err(self.emulator.log()),
            }
        }
        Ok(())
    }

    /// Deploys a template with the fault-free one's parameters and stream.
    fn deploy_sound(&self, stack: &str, template: &str) -> Result<(), String> {
        let topic = "arn:aws:sns:us-east-1:000000000000:people";
        self.deploy(stack, &deployable(template), &[("TopicArn", topic)])?;
        self.encrypt(stack);
        Ok(())
    }

    /// Encrypts a stack's stream, which the emulator does not do for a template.
    fn encrypt(&self, stack: &str) {
        let encrypted = json!({"StreamName": self.physical(stack, "Stream"),
            "EncryptionType": "KMS", "KeyId": "alias/aws/kinesis"});
        let operation = "Kinesis_20131202.StartStreamEncryption";
        let answer = http::aws(self.emulator.port(), "kinesis", operation, &encrypted);
        assert_eq!(answer.status, 200, "{stack}");
    }

    /// What the account calls a resource.
    fn physical(&self, stack: &str, logical: &str) -> String {
        let named = [("LogicalResourceId", logical)];
        let (_, said) = self.form(stack, "DescribeStackResource", &named);
        within(&said, "PhysicalResourceId").to_owned()
    }

    fn doctor(&self, stack: &str) -> Output {
        Command::new(env!("CARGO_BIN_EXE_tidegate"))
            .args(["doctor", "--json", "--stack", stack])
            .env("AWS_ENDPOINT_URL", self.emulator.endpoint())
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .env("AWS_REGION", "us-east-1")
            .output()
            .unwrap()
    }

    fn report(&self, stack: &str) -> Value {
        let output = self.doctor(stack);
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)))
    }

    /// What is found in a stack.
    fn found(&self, stack: &str) -> Vec<(String, String)> {
        let report = self.report(stack);
        let of = |finding: &Value, key: &str| finding[key].as_str().unwrap().to_owned();
        let findings = report["findings"].as_array().unwrap().iter();
        findings.map(|one| (of(one, "id"), of(one, "resource"))).collect()
    }
}

/// Faults that no stack of the emulator can have, and why. Those that are planted by hand stand here
/// too.
const NOT_HELD: &[(&str, &[&str])] = &[
    (
        "alarms on metric math are refused",
        &["alarm-outage-shrinks-stream", "alarm-drifts-from-shards"],
    ),
    (
        "alarms without a comparison are refused",
        &["alarm-cannot-fire-again", "queue-forgets-before-stream", "queue-not-watched"],
    ),
    (
        "variables that are numbers stay numbers",
        &["autoscaler-bounds-crossed", "autoscaler-shards-outside-bounds"],
    ),
    ("SAM refuses the template", &["autoscaler-no-heartbeat"]),
    ("what another stack exports is not there", &["stream-shared-by-many"]),
    (
        "the property is dropped",
        &[
            "function-dead-letters-unused",
            "function-too-few-at-once",
            "mapping-disabled",
            "mapping-window-and-resharding",
            "stream-shard-metrics",
            "stream-unencrypted",
        ],
    ),
];

#[test]
fn faults_are_found_in_what_is_deployed() {
    let Some(cloud) = Cloud::start() else { return };
    let sound = text("crates/doctor/tests/sound.yaml");
    cloud.deploy_sound("sound", &sound).unwrap();
    assert_eq!(cloud.found("sound"), []);
    let not_held: Vec<_> = NOT_HELD.iter().flat_map(|(_, ids)| *ids).collect();
    let mut wrong = Vec::new();
    for (id, place, edits) in FAULTS.iter().filter(|(id, ..)| !not_held.contains(&id)) {
        let edited = edits.iter().fold(sound.clone(), |text, (from, to)| text.replace(from, to));
        cloud.deploy_sound(id, &edited).unwrap_or_else(|why| panic!("{id}: {why}"));
        let found = cloud.found(id);
        if found != [((*id).to_owned(), (*place).to_owned())] {
            wrong.push(format!("{id} at {place}, and found {found:?}"));
        }
        cloud.form(id, "DeleteStack", &[]);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(FAULTS.len() - not_held.len(), 66);
}

#[test]
fn nothing_is_found_in_what_is_ours() {
    let (Some(cloud), Some(python)) = (Cloud::start(), tool("sam/bin/python")) else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut expand = Command::new(python);
    expand.current_dir(root()).arg("tests/infra/emulated.py");
    assert!(expand.arg(folder.path()).arg(folder.path()).status().unwrap().success());
    // As `sam deploy` does it: what is nested lies in a bucket.
    let mut outermost = String::new();
    for file in fs::read_dir(folder.path()).unwrap() {
        let (path, name) = (file.as_ref().unwrap().path(), file.unwrap().file_name());
        let name = name.into_string().unwrap();
        let mut template: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        for resource in template["Resources"].as_object_mut().unwrap().values_mut() {
            let properties = &mut resource["Properties"];
            if let Some(nested) = properties["TemplateURL"].as_str() {
                properties["TemplateURL"] =
                    format!("https://s3.amazonaws.com/code/{nested}").into();
            }
            if resource["Type"] == "AWS::Lambda::Function" {
                let code = json!({"S3Bucket": "code", "S3Key": "code.zip"});
                resource["Properties"]["Code"] = code;
            }
        }
        let text = template.to_string();
        let path = format!("/code/{name}");
        let port = cloud.emulator.port();
        let answer = http::request(port, "PUT", &path, &[], text.as_bytes()).unwrap();
        assert_eq!(answer.status, 200, "{path}");
        if name == "template.json" {
            outermost = text;
        }
    }
    cloud.deploy("tidegate", &outermost, &[("Architecture", "arm64")]).unwrap();
    cloud.encrypt(&cloud.physical("tidegate", "Stream"));
    // `emulated.py` takes the number of shards out of this alarm, since the emulator refuses the
    // expression that it is in.
    let found = ("alarm-drifts-from-shards".to_owned(), "Autoscaler/Busy".to_owned());
    assert_eq!(cloud.found("tidegate"), [found]);
}

#[test]
fn what_was_changed_by_hand_is_found() {
    let Some(cloud) = Cloud::start() else { return };
    let sound = text("crates/doctor/tests/sound.yaml");
    cloud.deploy_sound("orders", &sound).unwrap();
    let stream = cloud.physical("orders", "Stream");
    let kinesis = |operation: &str, with: Value| {
        let mut input = json!({"StreamName": stream});
        input.as_object_mut().unwrap().extend(with.as_object().unwrap().clone());
        let operation = format!("Kinesis_20131202.{operation}");
        let answer = http::aws(cloud.emulator.port(), "kinesis", &operation, &input);
        assert_eq!(answer.status, 200, "{operation}");
    };
    let key = json!({"EncryptionType": "KMS", "KeyId": "alias/aws/kinesis"});
    kinesis("StopStreamEncryption", key);
    kinesis("DecreaseStreamRetentionPeriod", json!({"RetentionPeriodHours": 24}));
    let mapping = cloud.physical("orders", "Mapping");
    let path = format!("/2015-03-31/event-source-mappings/{mapping}");
    let less = json!({"FunctionResponseTypes": [], "MaximumRecordAgeInSeconds": -1}).to_string();
    let port = cloud.emulator.port();
    let answer = http::request(port, "PUT", &path, &[], less.as_bytes()).unwrap();
    assert!(answer.status < 300, "{}", answer.status);
    let found = [
        ("mapping-no-partial-response", "Mapping"),
        ("mapping-retries-forever", "Mapping"),
        ("stream-unencrypted", "Stream"),
        ("stream-shortest-retention", "Stream"),
    ];
    assert_eq!(cloud.found("orders"), found.map(|(id, at)| (id.to_owned(), at.to_owned())));

    kinesis("DeleteStream", json!({"EnforceConsumerDeletion": true}));
    let report = cloud.report("orders");
    let unread = format!("the stream {stream}, which is not there any more");
    assert_eq!(report["unread"][0], unread.as_str(), "{report}");

    let output = cloud.doctor("nowhere");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("there is no stack nowhere in this account and Region"), "{said}");
    assert_eq!(output.status.code(), Some(1));
}

/// The text of an element.
fn within<'t>(said: &'t str, element: &str) -> &'t str {
    let (_, rest) = said.split_once(&format!("<{element}>")).unwrap_or_else(|| panic!("{said}"));
    rest.split('<').next().unwrap_or_default()
}

/// The template with what `sam deploy` puts there, and without what the emulator refuses: alarms on
/// metric math.
fn deployable(template: &str) -> String {
    let code = "    Properties: &function\n      CodeUri: s3://code/code.zip\n";
    let template = template.replace("    Properties: &function\n", code);
    let Some((before, rest)) = template.split_once("      Metrics:\n") else { return template };
    let (_, after) = rest.split_once("      EvaluationPeriods: 10\n").unwrap();
    let plain = "      Namespace: AWS/Kinesis\n      MetricName: WriteProvisionedThroughputExceeded\n      \
                 Dimensions: [{Name: StreamName, Value: !Ref Stream}]\n      Statistic: Sum\n      \
                 Period: 60\n      EvaluationPeriods: 10\n";
    [before, plain, after].concat()
}
