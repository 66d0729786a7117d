//! The templates: what the linters say of them, and what no linter looks at.
//!
//! Each template is held in two forms, as it is written and as the CloudFormation that SAM makes of
//! it, since in the short form nobody checks what a function's properties become.

#[path = "infra/alarms.rs"]
mod alarms;
#[path = "infra/lake.rs"]
mod lake;
#[path = "infra/permissions.rs"]
mod permissions;
#[path = "infra/policy.rs"]
mod policy;
#[path = "infra/proof.rs"]
mod proof;
#[path = "infra/stream.rs"]
mod stream;
#[path = "infra/templates.rs"]
mod templates;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tidegate_runtime::settings::KEYS;
use tidegate_tests::place::{text, tool};

use crate::templates::{EXPANDED, branches, each, list, possible, run, templates};

#[test]
fn cfn_lint_has_nothing_to_say() {
    let Some(lint) = tool("sam/bin/cfn-lint") else { return };
    let Some(expanded) = &*EXPANDED else { return };
    let folder = tempfile::tempdir().expect("a folder can be made");
    let mut command = Command::new(lint);
    command.args(templates());
    for (path, template) in expanded {
        let name = path.file_stem().expect("a template has a name").to_string_lossy();
        let path = folder.path().join(format!("{name}.expanded.json"));
        std::fs::write(&path, template.to_string()).expect("a template can be written");
        command.arg(path);
    }
    assert_eq!(run(&mut command), "");
}

/// What it finds is mended, or explained in the resource's `Metadata`.
#[test]
fn the_policy_linter_has_nothing_to_say() {
    let Some(linter) = tool("policy/bin/checkov") else { return };
    let mut command = Command::new(linter);
    command.args(["--framework", "cloudformation", "--directory", "infra", "--output", "json"]);
    // Its rules are in it; more of them would come from its maker's server.
    let said = run(command.args(["--skip-download", "--compact", "--quiet"]));
    let said: Value = serde_json::from_str(&said).expect("the linter prints JSON");
    let of = |key: &str| said["summary"][key].as_u64().unwrap_or_default();
    assert_eq!((of("failed"), of("parsing_errors")), (0, 0), "{said:#}");
    assert!(of("passed") > 90, "{said:#}");
    // An exception that nothing needs any more is a gap for what comes next.
    let exceptions = templates().into_iter().map(|path| text(path).matches("- id: CKV_").count());
    assert_eq!(of("skipped"), exceptions.sum::<usize>() as u64, "{said:#}");
}

#[test]
fn sam_validates_every_environment() {
    let config: toml::Table = text("samconfig.toml").parse().expect("samconfig.toml is TOML");
    let environments: Vec<_> = config.keys().filter(|name| *name != "version").collect();
    let wanted = ["autoscaler-only", "default", "dev", "lake-only", "prod"];
    assert_eq!(environments, wanted, "samconfig.toml (left)");
    let page = text("docs/src/operating/deploying.md");
    let Some(sam) = tool("sam/bin/sam") else { return };
    let home = tempfile::tempdir().expect("a folder can be made");
    for name in environments {
        assert!(page.contains(&format!("| `{name}` | ")), "{name} is not described");
        let mut command = Command::new(&sam);
        command.args(["validate", "--region", "us-east-1", "--config-env", name]);
        // Without a word to anyone, and without a trace in the home of whoever runs it.
        command.env("SAM_CLI_TELEMETRY", "0").env("__SAM_CLI_APP_DIR", home.path());
        let said = run(&mut command);
        assert!(said.contains("is a valid SAM Template"), "{name}: {said}");
    }
}

/// A name that no template has is refused only in the middle of a deployment.
#[test]
fn an_environment_sets_what_its_template_has() {
    let Some(expanded) = &*EXPANDED else { return };
    let config: toml::Table = text("samconfig.toml").parse().expect("samconfig.toml is TOML");
    for (name, environment) in config.iter().filter(|(name, _)| *name != "version") {
        let of = |command: &str, key: &str| {
            environment.get(command)?.get("parameters")?.get(key)?.as_str().map(ToOwned::to_owned)
        };
        let template = of("build", "template_file").expect("it names its template");
        assert_eq!(of("validate", "template_file").as_ref(), Some(&template), "{name}");
        let parameters = &expanded[Path::new(&template)]["Parameters"];
        let overrides = of("deploy", "parameter_overrides").unwrap_or_default();
        for (key, value) in overrides.split(' ').filter_map(|pair| pair.split_once('=')) {
            let parameter = &parameters[key];
            assert!(!parameter.is_null(), "{name}: {template} has no {key}");
            let allowed = list(&parameter["AllowedValues"]);
            let known = |allowed: &Value| allowed.to_string().trim_matches('"') == value;
            assert!(allowed.is_empty() || allowed.iter().any(known), "{name}: {key}={value}");
        }
    }
}

#[test]
fn an_alarm_can_fire() {
    each("AWS::CloudWatch::Alarm", 9, |_, properties| {
        let number = |key: &str| properties[key].as_u64().ok_or(format!("{key} is no number"));
        let (points, periods) = (number("DatapointsToAlarm")?, number("EvaluationPeriods")?);
        if points == 0 || points > periods {
            return Err(format!("{points} of {periods} points are never there"));
        }
        if properties["TreatMissingData"].is_null() || properties["AlarmActions"].is_null() {
            return Err("it leaves to a default what missing data mean, or tells nobody".into());
        }
        let returned = |metric: &&Value| metric["ReturnData"] == true;
        match properties["Metrics"].as_array() {
            Some(metrics) if metrics.iter().filter(returned).count() != 1 => {
                Err("it watches one metric".into())
            }
            _ => Ok(()),
        }
    });
}

#[test]
fn who_is_woken_lets_itself_be_woken() {
    // "Using Lambda functions as alarm actions", Amazon CloudWatch User Guide, 2026-11.
    let principals = ["lambda.alarms.cloudwatch.amazonaws.com"];
    each("AWS::Lambda::Permission", 2, |_, properties| {
        let principal = properties["Principal"].as_str().unwrap_or_default();
        if !principals.contains(&principal) {
            return Err(format!("{principal:?} is not a principal that calls these functions"));
        }
        let narrow = ["SourceAccount", "SourceArn"].iter().all(|key| !properties[*key].is_null());
        if narrow { Ok(()) } else { Err("it admits every account or every alarm".into()) }
    });
    // Each alarm that calls a function of its own template is let in there.
    each("AWS::CloudWatch::Alarm", 9, |here, properties| {
        let target = properties["AlarmActions"].pointer("/0/Fn::GetAtt/0");
        let Some(function) = target.and_then(Value::as_str) else { return Ok(()) };
        let admitted =
            here.template["Resources"].as_object().into_iter().flatten().any(|(_, r)| {
                let of = |key: &str| r["Properties"][key].pointer("/Fn::GetAtt/0");
                r["Type"] == "AWS::Lambda::Permission"
                    && of("FunctionName").is_some_and(|name| name == function)
                    && of("SourceArn").is_some_and(|name| name == here.name)
            });
        if admitted { Ok(()) } else { Err(format!("no permission lets it call {function}")) }
    });
}

#[test]
fn a_mapping_loses_nothing() {
    each("AWS::Lambda::EventSourceMapping", 1, |here, properties| {
        if properties["FunctionResponseTypes"] != serde_json::json!(["ReportBatchItemFailures"]) {
            return Err("a partial answer would count as a success".into());
        }
        if properties["BisectBatchOnFunctionError"] != true {
            return Err("a record that crashes the function would take its batch with it".into());
        }
        if properties["DestinationConfig"]["OnFailure"]["Destination"].is_null() {
            return Err("what Lambda gives up would be gone".into());
        }
        // LATEST and TRIM_HORIZON are complete; AT_TIMESTAMP wants a time beside it.
        let positions = possible(here.template, &properties["StartingPosition"]);
        let valid = |value: &Value| value == "TRIM_HORIZON" || value == "LATEST";
        if positions.is_empty() || !positions.iter().all(valid) {
            return Err(format!("{positions:?} are not all positions to start at"));
        }
        Ok(())
    });
}

#[test]
fn nothing_has_a_fixed_name() {
    // A name of one's own cannot be deployed twice, nor replaced by an update. `None`: has no name.
    let names = BTreeMap::from([
        // It must have a name, and has the stack's.
        ("AWS::Athena::WorkGroup", None),
        ("AWS::Athena::NamedQuery", None),
        ("AWS::CloudFormation::Stack", None),
        ("AWS::CloudFormation::WaitConditionHandle", None),
        ("AWS::CloudWatch::Alarm", Some("AlarmName")),
        ("AWS::CloudWatch::Dashboard", Some("DashboardName")),
        ("AWS::DynamoDB::Table", Some("TableName")),
        // Its name ends with a piece of the stack's own number.
        ("AWS::Glue::Database", None),
        // It has a name in a database of its own.
        ("AWS::Glue::Table", None),
        ("AWS::EC2::SecurityGroup", Some("GroupName")),
        ("AWS::EC2::VPCEndpoint", None),
        ("AWS::IAM::Role", Some("RoleName")),
        ("AWS::Kinesis::Stream", Some("Name")),
        // The stack's, too.
        ("AWS::Kinesis::StreamConsumer", None),
        ("AWS::KinesisFirehose::DeliveryStream", Some("DeliveryStreamName")),
        ("AWS::Lambda::Alias", None),
        ("AWS::Lambda::EventInvokeConfig", None),
        ("AWS::Lambda::EventSourceMapping", None),
        ("AWS::Lambda::Function", Some("FunctionName")),
        ("AWS::Lambda::Permission", None),
        ("AWS::Lambda::Version", None),
        ("AWS::Logs::LogGroup", Some("LogGroupName")),
        ("AWS::Logs::LogStream", Some("LogStreamName")),
        ("AWS::Logs::SubscriptionFilter", Some("FilterName")),
        ("AWS::S3::Bucket", Some("BucketName")),
        ("AWS::S3::BucketPolicy", None),
        ("AWS::SNS::Subscription", None),
        ("AWS::SNS::Topic", Some("TopicName")),
        ("AWS::Scheduler::Schedule", Some("Name")),
    ]);
    each("", 30, |here, properties| match names.get(here.kind) {
        None => Err(format!("say here which property names a {}", here.kind)),
        Some(Some(name)) if !properties[*name].is_null() => Err(format!("{name} is fixed")),
        Some(_) => Ok(()),
    });
}

#[test]
fn buckets_outlive_their_stack_and_are_closed() {
    each("AWS::S3::Bucket", 2, |here, properties| {
        if here.resource["DeletionPolicy"] != "Retain"
            || here.resource["UpdateReplacePolicy"] != "Retain"
        {
            return Err("the data would go with the stack".into());
        }
        let block = properties["PublicAccessBlockConfiguration"].as_object();
        let closed =
            block.is_some_and(|block| block.len() == 4 && block.values().all(|v| v == true));
        if closed { Ok(()) } else { Err("it is not closed to the public".into()) }
    });
}

#[test]
fn the_ledger_is_what_the_function_writes() {
    let Some(expanded) = &*EXPANDED else { return };
    let resources = &expanded[Path::new("infra/autoscaler.yaml")]["Resources"];
    let table = &resources["Ledger"]["Properties"];
    let code = text("crates/aws/src/autoscaler/ledger.rs");
    let attributes = [
        &table["KeySchema"][0]["AttributeName"],
        &table["AttributeDefinitions"][0]["AttributeName"],
        &table["TimeToLiveSpecification"]["AttributeName"],
    ];
    for attribute in attributes {
        let written = format!(".item({attribute},");
        assert!(code.contains(&written), "the function writes no {attribute}");
    }
    assert_eq!(table["TimeToLiveSpecification"]["Enabled"], true);
    assert_eq!(table["BillingMode"], "PAY_PER_REQUEST");
}

#[test]
fn the_table_of_what_was_delivered_is_what_the_function_writes() {
    let Some(expanded) = &*EXPANDED else { return };
    let table = &expanded[Path::new("infra/consumer.yaml")]["Resources"]["Delivered"]["Properties"];
    let code = text("crates/aws/src/seen.rs");
    for (name, attribute) in [
        ("KEY", &table["KeySchema"][0]["AttributeName"]),
        ("KEY", &table["AttributeDefinitions"][0]["AttributeName"]),
        ("EXPIRES", &table["TimeToLiveSpecification"]["AttributeName"]),
    ] {
        let written = format!("const {name}: &str = {attribute};");
        assert!(code.contains(&written), "the function writes no {attribute}");
    }
    assert_eq!(table["TimeToLiveSpecification"]["Enabled"], true);
    assert_eq!(table["BillingMode"], "PAY_PER_REQUEST");
}

#[test]
fn functions_are_told_what_they_read() {
    each("AWS::Lambda::Function", 3, |_, properties| {
        let variables = properties["Environment"]["Variables"].as_object();
        let variables = variables.ok_or("it has no settings")?;
        match variables.keys().find(|key| !KEYS.contains(&key.as_str())) {
            Some(key) => Err(format!("no function reads {key}")),
            None => Ok(()),
        }
    });
}

#[test]
fn roles_reach_no_further_than_they_must() {
    // What cannot be limited to a resource ("Actions, resources, and condition keys", Service
    // Authorization Reference, 2026-11).
    let unlimited = [
        "cloudwatch:GetMetricData",
        "ec2:AssignPrivateIpAddresses",
        "ec2:CreateNetworkInterface",
        "ec2:DeleteNetworkInterface",
        "ec2:DescribeNetworkInterfaces",
        "ec2:DescribeSubnets",
        "ec2:UnassignPrivateIpAddresses",
        "kinesis:DescribeLimits",
        "kinesis:ListStreams",
        "tag:GetResources",
        "xray:PutTelemetryRecords",
        "xray:PutTraceSegments",
    ];
    each("AWS::IAM::Role", 5, |_, properties| {
        if properties["ManagedPolicyArns"].as_array().is_some_and(|arns| !arns.is_empty()) {
            return Err(format!("{} reach further", properties["ManagedPolicyArns"]));
        }
        let policies = properties["Policies"].as_array().ok_or("it allows nothing")?;
        let statements = policies.iter().flat_map(|p| list(&p["PolicyDocument"]["Statement"]));
        for statement in statements.flat_map(branches) {
            for action in list(&statement["Action"]) {
                let action = action.as_str().unwrap_or_default();
                let mut resources = list(&statement["Resource"]).iter().flat_map(branches);
                let wide = resources.any(|resource| resource == "*");
                if action.contains('*') || wide && !unlimited.contains(&action) {
                    return Err(format!("{action} on {}", statement["Resource"]));
                }
            }
        }
        Ok(())
    });
}

/// Numbers in different places that mean something together.
#[test]
fn numbers_fit_together() {
    let Some(expanded) = &*EXPANDED else { return };
    let of = |part: &str, pointer: &str| {
        let found = expanded[&PathBuf::from(format!("infra/{part}.yaml"))].pointer(pointer);
        found.unwrap_or_else(|| panic!("infra/{part}.yaml has no {pointer}")).clone()
    };
    let number = |value: Value| value.as_i64().unwrap_or_else(|| panic!("{value} is no number"));
    // The alarm on utilization divides by the function's own metric, a point a run: one heartbeat may
    // fail, and the alarm still finds a point in the minutes that it looks at.
    let slowest = list(&of("autoscaler", "/Parameters/Heartbeat/AllowedValues"))
        .iter()
        .filter_map(|rate| rate.as_str()?.strip_prefix("rate(")?.split(' ').next()?.parse().ok())
        .max();
    let minutes = number(of("autoscaler", "/Resources/Busy/Properties/EvaluationPeriods"));
    assert!(slowest.is_some_and(|slowest: i64| 2 * slowest <= minutes), "{slowest:?} of {minutes}");
    // Lambda gives a record up, and keeps it, before the stream forgets it.
    let age_secs = number(of("consumer", "/Parameters/MaximumRecordAgeSeconds/Default"));
    let retention_hours = number(of("stream", "/Parameters/RetentionHours/MinValue"));
    assert!(age_secs < retention_hours * 3_600, "{age_secs} s of {retention_hours} h");
    // Firehose gives an invocation up after five minutes.
    assert!(number(of("transform", "/Parameters/TimeoutSeconds/MaxValue")) <= 300);
}

/// A part that is not given what it wants fails in the middle of a deployment.
#[test]
fn the_root_gives_each_part_what_it_wants() {
    let Some(expanded) = &*EXPANDED else { return };
    each("AWS::CloudFormation::Stack", 6, |here, properties| {
        let part = PathBuf::from(format!("infra/{}.yaml", here.name.to_lowercase()));
        let wanted = expanded[&part]["Parameters"].as_object().ok_or("it has no parameters")?;
        let given = properties["Parameters"].as_object().ok_or("it is given nothing")?;
        if let Some(name) = given.keys().find(|name| !wanted.contains_key(*name)) {
            return Err(format!("{name} is not a parameter of {}", part.display()));
        }
        let missing = wanted
            .iter()
            .find(|(name, parameter)| parameter["Default"].is_null() && !given.contains_key(*name));
        missing.map_or(Ok(()), |(name, _)| Err(format!("it is not given {name}")))
    });
}

#[test]
fn the_root_and_the_parts_have_the_same_defaults() {
    let Some(expanded) = &*EXPANDED else { return };
    let whole = &expanded[Path::new("infra/template.yaml")]["Parameters"];
    let mut problems = Vec::new();
    for (path, template) in expanded {
        for (name, parameter) in template["Parameters"].as_object().into_iter().flatten() {
            // The whole lands access logs; a consumer alone is more likely to meet JSON.
            let differs = whole.get(name).is_some_and(|of_whole| {
                ["Type", "Default", "AllowedValues", "AllowedPattern", "MinValue", "MaxValue"]
                    .iter()
                    .any(|key| of_whole[*key] != parameter[*key])
            });
            if differs && name != "Format" {
                problems.push(format!("{}: {name}: not as in the root", path.display()));
            }
        }
    }
    assert!(problems.is_empty(), "\n  {}\n", problems.join("\n  "));
}
