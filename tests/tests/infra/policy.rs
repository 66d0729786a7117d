//! What a deployed role allows: a template's own conditions and references, worked out for one choice
//! of parameters.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::templates::{EXPANDED, branches, list};

/// Where everything is deployed.
pub const REGION: &str = "us-east-1";
pub const ACCOUNT: &str = "111122223333";

/// A template with its parameters.
pub struct Deployment {
    template: &'static Value,
    parameters: BTreeMap<String, Value>,
}

/// A statement of a role: how the template writes it, and what it comes to.
pub struct Statement {
    /// Tells it from others, whatever the parameters.
    pub written: String,
    /// Or it denies.
    pub allows: bool,
    /// Whether it says when it applies.
    pub conditional: bool,
    pub actions: Vec<String>,
    pub resources: Vec<String>,
}

impl Deployment {
    /// A part with these parameters, and its defaults; nothing when the tools are not there.
    pub fn of(part: &str, given: &[(&str, &str)]) -> Option<Self> {
        let expanded = EXPANDED.as_ref()?;
        let template = &expanded[std::path::Path::new(&format!("infra/{part}.yaml"))];
        let mut parameters = BTreeMap::new();
        for (name, parameter) in template["Parameters"].as_object().into_iter().flatten() {
            parameters.insert(name.clone(), parameter["Default"].clone());
        }
        for (name, value) in given {
            assert!(parameters.contains_key(*name), "{part} has no parameter {name}");
            parameters.insert((*name).to_owned(), (*value).into());
        }
        Some(Self { template, parameters })
    }

    /// The settings of its function.
    pub fn settings(&self) -> BTreeMap<String, String> {
        let variables =
            &self.template["Resources"]["Function"]["Properties"]["Environment"]["Variables"];
        let variables = variables.as_object().into_iter().flatten();
        variables.map(|(name, value)| (name.clone(), self.text(value))).collect()
    }

    /// The statements of its role that the parameters leave.
    pub fn statements(&self) -> Vec<Statement> {
        let policies = list(&self.template["Resources"]["Role"]["Properties"]["Policies"]);
        let written = policies.iter().flat_map(|p| list(&p["PolicyDocument"]["Statement"]));
        written.filter_map(|written| self.statement(written)).collect()
    }

    /// How the statements are written that allow something, for some parameters if not for these.
    pub fn written(&self) -> Vec<String> {
        let policies = list(&self.template["Resources"]["Role"]["Properties"]["Policies"]);
        let all = policies.iter().flat_map(|p| list(&p["PolicyDocument"]["Statement"]));
        let allowing =
            all.filter(|written| branches(written).iter().any(|one| one["Effect"] == "Allow"));
        allowing.map(ToString::to_string).collect()
    }

    fn statement(&self, written: &Value) -> Option<Statement> {
        let chosen = self.chosen(written);
        let effect = chosen["Effect"].as_str()?;
        let texts = |value: &Value| -> Vec<String> {
            list(self.chosen(value)).iter().map(|one| self.text(self.chosen(one))).collect()
        };
        Some(Statement {
            written: written.to_string(),
            allows: effect == "Allow",
            conditional: !chosen["Condition"].is_null(),
            actions: texts(&chosen["Action"]),
            resources: texts(&chosen["Resource"]),
        })
    }

    /// What a choice comes to; the value itself, when it is none.
    fn chosen<'v>(&self, value: &'v Value) -> &'v Value {
        match value["Fn::If"].as_array() {
            Some(choice) => {
                let condition = choice[0].as_str().unwrap_or_default();
                self.chosen(&choice[if self.named(condition) { 1 } else { 2 }])
            }
            None => value,
        }
    }

    fn named(&self, condition: &str) -> bool {
        self.holds(&self.template["Conditions"][condition])
    }

    fn holds(&self, condition: &Value) -> bool {
        let Some((operation, operands)) = condition.as_object().and_then(|all| all.iter().next())
        else {
            panic!("{condition} is no condition");
        };
        match (operation.as_str(), list(operands)) {
            ("Condition", [name]) => self.named(name.as_str().unwrap_or_default()),
            ("Fn::Not", [one]) => !self.holds(one),
            ("Fn::And", all) => all.iter().all(|one| self.holds(one)),
            ("Fn::Or", all) => all.iter().any(|one| self.holds(one)),
            ("Fn::Equals", [one, other]) => self.text(one) == self.text(other),
            _ => panic!("{condition} is not understood here"),
        }
    }

    /// A value as the text that it comes to.
    fn text(&self, value: &Value) -> String {
        match value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Bool(yes) => yes.to_string(),
            Value::Object(_) => self.call(self.chosen(value)),
            _ => String::new(),
        }
    }

    fn call(&self, value: &Value) -> String {
        let Some((function, of)) = value.as_object().and_then(|all| all.iter().next()) else {
            return self.text(value);
        };
        match (function.as_str(), list(of)) {
            ("Ref", [name]) => self.reference(name.as_str().unwrap_or_default()),
            ("Fn::GetAtt", [name, attribute]) => {
                self.attribute(&self.text(name), &self.text(attribute))
            }
            ("Fn::Sub", [Value::String(text)]) => self.filled(text, &Value::Null),
            ("Fn::Sub", [Value::String(text), names]) => self.filled(text, names),
            ("Fn::Join", [by, parts]) => {
                let parts: Vec<_> = self.parts(parts);
                parts.join(&self.text(by))
            }
            ("Fn::Select", [at, parts]) => {
                let at: usize = self.text(at).parse().unwrap_or_default();
                self.parts(parts).into_iter().nth(at).unwrap_or_default()
            }
            _ => panic!("{value} is not understood here"),
        }
    }

    /// A list, or what splits a text into one.
    fn parts(&self, value: &Value) -> Vec<String> {
        if let Some([by, text]) = value["Fn::Split"].as_array().map(Vec::as_slice) {
            return self.text(text).split(&self.text(by)).map(ToOwned::to_owned).collect();
        }
        if value["Ref"].is_null() {
            list(value).iter().map(|one| self.text(one)).collect()
        } else {
            self.text(value).split(',').map(ToOwned::to_owned).collect()
        }
    }

    fn filled(&self, text: &str, names: &Value) -> String {
        let mut filled = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let (name, after) = after.split_once('}').expect("a brace is closed");
            filled += before;
            filled += &match (names.get(name), name.split_once('.')) {
                (Some(value), _) => self.text(value),
                (None, Some((resource, attribute))) => self.attribute(resource, attribute),
                (None, None) => self.reference(name),
            };
            rest = after;
        }
        filled + rest
    }

    fn reference(&self, name: &str) -> String {
        match name {
            "AWS::Region" => REGION.into(),
            "AWS::AccountId" => ACCOUNT.into(),
            "AWS::Partition" => "aws".into(),
            "AWS::NoValue" => String::new(),
            // A resource is called as the template calls it, in small letters, as a bucket must be.
            _ => match self.parameters.get(name) {
                Some(value) => self.text(value),
                None => name.to_lowercase(),
            },
        }
    }

    fn attribute(&self, resource: &str, attribute: &str) -> String {
        let kind = self.template["Resources"][resource]["Type"].as_str().unwrap_or_default();
        let (name, here) = (resource.to_lowercase(), format!("{REGION}:{ACCOUNT}"));
        match (kind, attribute) {
            ("AWS::S3::Bucket", "Arn") => format!("arn:aws:s3:::{name}"),
            ("AWS::DynamoDB::Table", "Arn") => format!("arn:aws:dynamodb:{here}:table/{name}"),
            ("AWS::Logs::LogGroup", "Arn") => format!("arn:aws:logs:{here}:log-group:{name}:*"),
            ("AWS::Kinesis::StreamConsumer", "ConsumerARN") => {
                format!("arn:aws:kinesis:{here}:stream/x/consumer/{name}:1")
            }
            ("AWS::Lambda::Function", "Arn") => format!("arn:aws:lambda:{here}:function:{name}"),
            ("AWS::SNS::Topic", "TopicArn") => format!("arn:aws:sns:{here}:{name}"),
            _ => panic!("{resource} of {kind} has no {attribute} here"),
        }
    }
}

/// Whether a pattern of a policy, in which `*` is any text, covers a resource.
pub fn covers(pattern: &str, resource: &str) -> bool {
    let pieces: Vec<_> = pattern.split('*').collect();
    let [first, middle @ .., last] = &pieces[..] else { return pattern == resource };
    let Some(mut rest) = resource.strip_prefix(first) else { return false };
    for piece in middle {
        let Some((_, after)) = rest.split_once(piece) else { return false };
        rest = after;
    }
    rest.ends_with(last)
}

#[test]
fn a_pattern_covers_what_it_says() {
    let cases = [
        ("*", "arn:x", true),
        ("arn:aws:s3:::b/*", "arn:aws:s3:::b/k", true),
        ("arn:aws:s3:::b/*", "arn:aws:s3:::bb/k", false),
        ("arn:aws:s3:::b", "arn:aws:s3:::b/k", false),
        ("a*c", "abc", true),
        ("a*c", "abcc", true),
        ("a*c", "abcd", false),
        ("a*b*c", "a-b-c", true),
    ];
    for (pattern, resource, covered) in cases {
        assert_eq!(covers(pattern, resource), covered, "{pattern} {resource}");
    }
}
