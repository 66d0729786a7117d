//! What templates mean: functions, conditions, nested stacks, parameters; and our own.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::{fs, io};

use tidegate_doctor::template::{self, TemplateError};
use tidegate_doctor::{Deployment, Report, Setting, diagnose};

type Given<'a> = &'a [(&'a str, &'a str)];

fn given(parameters: Given<'_>) -> BTreeMap<String, String> {
    parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Reads a template; the nested ones are those named beside it.
fn read(
    text: &str,
    parameters: Given<'_>,
    nested: &[(&str, &str)],
) -> Result<Deployment, TemplateError> {
    template::read("t.yaml", text, &given(parameters), &mut |_, location| {
        let found = nested.iter().find(|(name, _)| *name == location);
        found.map(|(_, text)| Some((*text).to_owned())).ok_or(io::ErrorKind::NotFound.into())
    })
}

#[test]
fn properties_are_evaluated() {
    let text = r#"
Parameters:
  Env: {Type: String, Default: dev}
  Needed: {Type: String}
  Secret: {Type: String, NoEcho: true, Default: hidden}
  Names: {Type: CommaDelimitedList, Default: "a, b"}
Mappings:
  Sizes: {dev: {Memory: 128}, prod: {Memory: 512}}
Conditions:
  Prod: !Equals [!Ref Env, prod]
  Named: !Not [!Equals [!Ref Needed, ""]]
  Both: !And [!Condition Prod, !Condition Named]
  Either: !Or [!Condition Prod, !Condition Named]
  Itself: !Condition Itself
Resources:
  R:
    Type: T
    Properties:
      Plain: !Ref Env
      Chosen: !If [Prod, 1, 2]
      Left: !If [Prod, 1, !Ref AWS::NoValue]
      Both: !If [Both, yes, no]
      Either: !If [Either, yes, no]
      Itself: !If [Itself, yes, no]
      Mapped: !FindInMap [Sizes, !Ref Env, Memory]
      Other: !GetAtt Other.Arn
      Own: !Sub ["${A}-${Env}-${Other}-${!b}", {A: x}]
      First: !Select [0, !Split [":", !Sub "${Env}:c"]]
      Needed: !Ref Needed
      Secret: !Ref Secret
      Names: !Ref Names
      Imported: !ImportValue x
      List: [!Ref Env, !Ref AWS::NoValue, !If [Prod, a, !Ref AWS::NoValue]]
  Other: {Type: T, Condition: Named}
  Off: {Type: T, Condition: Prod}
"#;
    let deployment = read(text, &[], &[]).unwrap();
    let places: Vec<_> = deployment.resources().iter().map(|r| r.place.as_str()).collect();
    assert_eq!(places, ["Other", "R"]);
    let resource = &deployment.resources()[1];
    for (path, expected) in [
        ("Plain", Setting::Known("dev")),
        ("Left", Setting::Absent),
        ("Both", Setting::Known("no")),
        ("Either", Setting::Known("yes")),
        ("Itself", Setting::Known("no")),
        ("Other", Setting::Known("${Other.Arn}")),
        ("Own", Setting::Known("x-dev-${Other}-${!b}")),
        ("First", Setting::Known("dev")),
        ("Needed", Setting::Unknown),
        ("Secret", Setting::Unknown),
        ("Imported", Setting::Unknown),
        ("Needed.Within", Setting::Unknown),
    ] {
        assert_eq!(resource.text(path), expected, "{path}");
    }
    assert_eq!(resource.number("Chosen"), Setting::Known(2.0));
    assert_eq!(resource.number("Mapped"), Setting::Known(128.0));
    assert_eq!(resource.items("Names").len(), 2);
    assert_eq!(resource.items("List"), ["dev"]);
    let prod = read(text, &[("Env", "prod"), ("Needed", "")], &[]).unwrap();
    assert_eq!(prod.resources()[1].number("Mapped"), Setting::Known(512.0));
    assert_eq!(prod.resources().len(), 2, "Off is on, and Other is off");
}

#[test]
fn nested_stacks_know_one_another() {
    let root = r"
Resources:
  Stream: {Type: AWS::Serverless::Application, Properties: {Location: stream.yaml}}
  Reader:
    Type: AWS::CloudFormation::Stack
    Properties:
      TemplateURL: reader.yaml
      Parameters: {StreamArn: !GetAtt Stream.Outputs.Arn, Loop: !GetAtt Reader.Outputs.Arn}
";
    let stream = r"
Resources: {Stream: {Type: AWS::Kinesis::Stream}}
Outputs: {Arn: {Value: !GetAtt Stream.Arn}}
";
    let reader = r"
Parameters: {StreamArn: {Type: String}, Loop: {Type: String}}
Resources:
  Mapping:
    Type: AWS::Lambda::EventSourceMapping
    Properties: {EventSourceArn: !Ref StreamArn, FunctionName: !Ref Loop}
Outputs: {Arn: {Value: !Ref Mapping}}
";
    let nested = [("stream.yaml", stream), ("reader.yaml", reader)];
    let deployment = read(root, &[], &nested).unwrap();
    let mapping = deployment.of("AWS::Lambda::EventSourceMapping").next().unwrap();
    assert_eq!(mapping.place, "Reader/Mapping");
    let found = deployment.target_of(mapping, "EventSourceArn", "AWS::Kinesis::Stream");
    assert_eq!(found.map(|stream| stream.place.as_str()), Some("Stream/Stream"));
    assert_eq!(mapping.text("FunctionName"), Setting::Unknown);
    let error = read(root, &[], &[]).unwrap_err().to_string();
    assert_eq!(error, "the template reader.yaml of Reader cannot be read");
    let own = "Resources: {Self: {Type: AWS::CloudFormation::Stack, Properties: {TemplateURL: t}}}";
    let error = read(own, &[], &[("t", own)]).unwrap_err().to_string();
    assert!(error.contains("nested deeper than 8"), "{error}");
}

#[test]
fn what_sam_makes_of_short_forms_is_looked_at() {
    let text = r"
Transform: AWS::Serverless-2016-10-31
Globals: {Function: {Timeout: 30, Runtime: go1.x}}
Resources:
  Handler:
    Type: AWS::Serverless::Function
    Properties:
      Policies: [AmazonKinesisFullAccess, {Statement: {Effect: Allow, Action: 's3:*', Resource: '*'}}]
      Events:
        Records:
          Type: Kinesis
          Properties: {Stream: 'arn:aws:kinesis:us-east-1:123456789012:stream/orders', BatchSize: 10}
";
    let deployment = read(text, &[], &[]).unwrap();
    let report = diagnose(&deployment, "page");
    let found: BTreeSet<_> =
        report.findings.iter().map(|one| (one.id, one.resource.as_str())).collect();
    for expected in [
        ("mapping-no-partial-response", "HandlerRecords"),
        ("mapping-retries-forever", "HandlerRecords"),
        ("policy-any-action", "HandlerRole"),
        ("policy-managed-wide", "HandlerRole"),
        ("policy-every-stream", "HandlerRole"),
        ("function-retired-runtime", "Handler"),
    ] {
        assert!(found.contains(&expected), "{expected:?} is not in {found:?}");
    }
    assert!(!found.iter().any(|(id, _)| *id == "function-default-timeout"), "30 s are global");
}

#[test]
fn what_is_no_template_is_refused() {
    for (text, parameters, expected) in [
        ("a: 1", &[][..], "t.yaml is no template: it has no Resources"),
        ("{", &[], "t.yaml: line "),
        ("Resources: {}", &[("X", "1")], "t.yaml has no parameter X; it has none"),
        (
            "Parameters: {A: {Type: String}, B: {Type: String}}\nResources: {}",
            &[("X", "1")],
            "t.yaml has no parameter X; it has A, B",
        ),
    ] {
        let error = read(text, parameters, &[]).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn ours(path: &Path, parameters: &BTreeMap<String, String>) -> Report {
    let folder = path.parent().expect("a template is in a folder");
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    let mut open = |_: &str, location: &str| fs::read_to_string(folder.join(location)).map(Some);
    let deployment = template::read(&path.display().to_string(), &text, parameters, &mut open);
    diagnose(&deployment.unwrap_or_else(|error| panic!("{error}")), "page")
}

fn assert_clean(what: &str, report: &Report) {
    let found: Vec<_> = report
        .findings
        .iter()
        .map(|one| format!("{} at {}: {}", one.id, one.resource, one.found))
        .collect();
    assert!(found.is_empty(), "{what}: mend it, or say in place why not:\n{}", found.join("\n"));
    assert_eq!(report.unread, [""; 0], "{what}");
}

#[test]
fn nothing_is_found_in_our_templates() {
    let mut seen = 0;
    for entry in fs::read_dir(root().join("infra")).expect("there are templates") {
        let path = entry.expect("a folder can be listed").path();
        if path.extension().is_some_and(|end| end == "yaml") {
            let report = ours(&path, &BTreeMap::new());
            assert_clean(&path.display().to_string(), &report);
            seen += report.resources;
        }
    }
    assert!(seen > 40, "{seen} resources");
}

#[test]
fn nothing_is_found_in_any_environment() {
    let text = fs::read_to_string(root().join("samconfig.toml")).expect("there are environments");
    let environments: toml::Table = text.parse().expect("it is TOML");
    let mut seen = 0;
    for (name, environment) in &environments {
        let part = |command: &str, key: &str| -> Option<toml::Value> {
            environment.get(command)?.get("parameters")?.get(key).cloned()
        };
        let Some(template) = part("build", "template_file") else { continue };
        let template = template.as_str().expect("a path").to_owned();
        let parameters = match part("deploy", "parameter_overrides") {
            Some(toml::Value::String(all)) => {
                all.split_whitespace().map(ToOwned::to_owned).collect()
            }
            Some(toml::Value::Array(all)) => {
                all.iter().filter_map(|one| Some(one.as_str()?.to_owned())).collect()
            }
            _ => Vec::new(),
        };
        let pairs = parameters.iter().filter_map(|pair| pair.split_once('='));
        let parameters = pairs
            .map(|(name, value)| (name.to_owned(), value.trim_matches(['"', '\'']).to_owned()));
        let report = ours(&root().join(template), &parameters.collect());
        assert_clean(name, &report);
        seen += 1;
    }
    // The section that is valid for all has no template of its own.
    assert!(seen >= 2, "{seen} environments");
}

#[test]
fn the_page_has_every_check() {
    let page = fs::read_to_string(root().join("docs/src/doctor.md")).expect("there is a page");
    let mut missing = String::new();
    for check in tidegate_doctor::checks::all() {
        let severity = format!("{:?}", check.severity).to_lowercase();
        let section = format!(
            "### {}\n\n**{severity}**: {}\n\nRemedy: {}\n\nSource: {}\n",
            check.id, check.happens, check.remedy, check.source
        );
        if !page.contains(&section) {
            missing.push_str(&section);
            missing.push('\n');
        }
    }
    assert!(missing.is_empty(), "docs/src/doctor.md lacks, or says otherwise:\n\n{missing}");
    let headings = page.lines().filter(|line| line.starts_with("### ")).count();
    assert_eq!(headings, tidegate_doctor::checks::all().count(), "a heading a check");
}
