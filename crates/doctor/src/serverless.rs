//! What SAM makes of its short forms, as far as a check looks at it ("AWS::Serverless::Function",
//! AWS SAM Developer Guide, 2026-11).

use serde_json::{Map, Value, json};

use crate::deployment::Resource;

/// Properties of an event of Kinesis that the mapping has under the same name.
const OF_A_MAPPING: [&str; 12] = [
    "BatchSize",
    "BisectBatchOnFunctionError",
    "DestinationConfig",
    "Enabled",
    "FilterCriteria",
    "FunctionResponseTypes",
    "MaximumBatchingWindowInSeconds",
    "MaximumRecordAgeInSeconds",
    "MaximumRetryAttempts",
    "ParallelizationFactor",
    "StartingPosition",
    "TumblingWindowInSeconds",
];

/// The resource, and what SAM adds beside it.
pub(crate) fn expanded(mut resource: Resource, globals: &Value) -> Vec<Resource> {
    match resource.kind.as_str() {
        "AWS::Serverless::Function" => function(resource, &globals["Function"]),
        "AWS::Serverless::SimpleTable" => {
            "AWS::DynamoDB::Table".clone_into(&mut resource.kind);
            vec![resource]
        }
        _ => vec![resource],
    }
}

fn function(mut resource: Resource, globals: &Value) -> Vec<Resource> {
    "AWS::Lambda::Function".clone_into(&mut resource.kind);
    let mut properties = globals.clone();
    merge(&mut properties, std::mem::take(&mut resource.properties));
    if let Some(queue) = properties.get("DeadLetterQueue").cloned() {
        properties["DeadLetterConfig"] = queue;
    }
    let events: Vec<_> = properties["Events"].as_object().into_iter().flatten().collect();
    let reads = |event: &Value| event["Type"] == "Kinesis";
    let arn = format!("${{{}.Arn}}", resource.place);
    let beside = |suffix: &str, kind: &str, properties: Value| Resource {
        place: format!("{}{suffix}", resource.place),
        kind: kind.to_owned(),
        properties,
        ..resource.clone()
    };
    let mut all = Vec::new();
    for (name, event) in &events {
        match event["Type"].as_str() {
            Some("Kinesis") => {
                let properties = mapping(&event["Properties"], &arn);
                all.push(beside(name, "AWS::Lambda::EventSourceMapping", properties));
            }
            Some("Schedule" | "ScheduleV2") => {
                let properties = json!({"Targets": [{"Arn": &arn}]});
                all.push(beside(name, "AWS::Events::Rule", properties));
            }
            _ => {}
        }
    }
    if properties["Role"].is_null() {
        let reads = events.iter().any(|(_, event)| reads(event));
        all.push(beside("Role", "AWS::IAM::Role", role(&properties["Policies"], reads)));
    }
    let invoke = properties.get("EventInvokeConfig").filter(|invoke| invoke.is_object());
    if let Some(mut invoke) = invoke.cloned() {
        invoke["FunctionName"] = Value::from(arn);
        all.push(beside("EventInvokeConfig", "AWS::Lambda::EventInvokeConfig", invoke));
    }
    resource.properties = properties;
    all.push(resource);
    all
}

fn mapping(event: &Value, function: &str) -> Value {
    let mut properties: Map<_, _> = OF_A_MAPPING
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), event.get(name)?.clone())))
        .collect();
    properties.insert("FunctionName".to_owned(), function.into());
    properties.insert("EventSourceArn".to_owned(), event["Stream"].clone());
    Value::Object(properties)
}

/// The role that a function without one gets. Policy templates of SAM name their resource, and are
/// left out.
fn role(policies: &Value, reads: bool) -> Value {
    let (mut managed, mut own) = (Vec::new(), Vec::new());
    let listed = match policies {
        Value::Array(items) => items.as_slice(),
        Value::Null => &[],
        one => std::slice::from_ref(one),
    };
    for policy in listed {
        match policy {
            Value::String(name) => managed.push(name.clone()),
            policy if policy.get("Statement").is_some() => {
                own.push(json!({"PolicyName": "policy", "PolicyDocument": policy}));
            }
            _ => {}
        }
    }
    if reads {
        managed.push("AWSLambdaKinesisExecutionRole".to_owned());
    }
    json!({"ManagedPolicyArns": managed, "Policies": own})
}

/// What a resource says goes before what Globals say; maps are merged, lists are joined.
fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (name, value) in from {
                merge(into.entry(name).or_insert(Value::Null), value);
            }
        }
        (Value::Array(into), Value::Array(from)) => into.extend(from),
        (into, Value::Null) if !into.is_null() => {}
        (into, from) => *into = from,
    }
}
