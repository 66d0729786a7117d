//! The books of the proof: what a role allows, what was asked, and how a request is named in a
//! policy.

use std::collections::{BTreeMap, BTreeSet};

use tidegate_tests::canned::{Asked, Canned};
use tidegate_tests::lambda::Lambda;
use tidegate_tests::place::bootstrap;

use crate::policy::{ACCOUNT, Deployment, REGION, covers};

/// A grant: the statement as its template writes it, the action, and which of its resources.
type Grant = (String, String, usize);

/// What the role of a function allows, in all deployments that were tried, and what was done with
/// it.
#[derive(Default)]
pub struct Proof {
    /// Every grant, and the resource that it came to when its statement was last there.
    allowed: BTreeMap<Grant, String>,
    used: BTreeSet<Grant>,
    /// Statements that the template can make, whether or not these parameters do.
    written: BTreeSet<String>,
}

impl Proof {
    /// Holds requests against the role of a deployment.
    pub fn hold(&mut self, deployment: &Deployment, asked: &[Asked]) {
        assert!(!asked.is_empty(), "the function asked for nothing");
        self.written.extend(deployment.written());
        let statements = deployment.statements();
        for statement in statements.iter().filter(|statement| statement.allows) {
            for action in &statement.actions {
                for (at, resource) in statement.resources.iter().enumerate() {
                    let grant = (statement.written.clone(), action.clone(), at);
                    self.allowed.insert(grant, resource.clone());
                }
            }
        }
        for (action, resource) in asked.iter().flat_map(named) {
            let by = statements.iter().find_map(|statement| {
                let covering = |pattern: &String| covers(pattern, &resource);
                let at = statement.resources.iter().position(covering)?;
                // A statement with a condition is not worked out here: it neither allows nor denies.
                let applies = !statement.conditional && statement.actions.contains(&action);
                applies.then(|| (statement.allows, statement.written.clone(), at))
            });
            match by {
                Some((true, written, at)) => self.used.insert((written, action, at)),
                _ => panic!("the role does not allow {action} on {resource}"),
            };
        }
    }

    /// What is allowed and was not done is exactly `elsewhere`: an action, and what it is allowed on.
    pub fn complete(&self, elsewhere: &[(&str, &str)]) {
        let met: BTreeSet<_> = self.allowed.keys().map(|(written, ..)| written.clone()).collect();
        let unmet: Vec<_> = self.written.difference(&met).collect();
        assert!(unmet.is_empty(), "no scene has the statements {unmet:#?}");
        let unused: BTreeSet<_> = self
            .allowed
            .iter()
            .filter(|(grant, _)| !self.used.contains(grant))
            .map(|((_, action, _), resource)| (action.as_str(), resource.as_str()))
            .collect();
        let elsewhere: BTreeSet<_> = elsewhere.iter().copied().collect();
        let of = |some: &BTreeSet<(&str, &str)>, others| {
            some.difference(others).map(|(action, on)| format!("{action} on {on}")).collect()
        };
        let (nobody, gone): (Vec<_>, Vec<_>) = (of(&unused, &elsewhere), of(&elsewhere, &unused));
        assert!(nobody.is_empty(), "allowed, and nobody asks for it: {nobody:#?}");
        assert!(gone.is_empty(), "listed as others' calls, and not allowed, or ours: {gone:#?}");
    }
}

/// A request as a policy names it: the action, and each thing that it is done to.
fn named(asked: &Asked) -> Vec<(String, String)> {
    let of = |service: &str| format!("arn:aws:{service}:{REGION}:{ACCOUNT}");
    let text = |key: &str| asked.input[key].as_str().unwrap_or_default();
    let (operation, target) = (asked.operation.as_str(), asked.headers.get("x-amz-target"));
    let service = target.and_then(|target| target.split('.').next()).unwrap_or_default();
    let (action, resource) = match service.split('_').next().unwrap_or_default() {
        "Kinesis" => {
            // An iterator here is the name of its stream.
            let names = ["StreamName", "ShardIterator"].map(text);
            let stream = match names.into_iter().find(|name| !name.is_empty()) {
                Some(name) => format!("{}:stream/{name}", of("kinesis")),
                None => text("StreamARN").to_owned(),
            };
            let whole = ["DescribeLimits", "ListStreams"].contains(&operation);
            (format!("kinesis:{operation}"), if whole { "*".into() } else { stream })
        }
        "DynamoDB" => {
            let tables = asked.input["RequestItems"].as_object().into_iter().flatten();
            let mut tables: Vec<_> = tables.map(|(name, _)| name.as_str()).collect();
            tables.extend(asked.input["TableName"].as_str());
            let arn = |name| format!("{}:table/{name}", of("dynamodb"));
            let on = |name| (format!("dynamodb:{operation}"), arn(name));
            return tables.into_iter().map(on).collect();
        }
        "Firehose" => {
            let name = text("DeliveryStreamName");
            (format!("firehose:{operation}"), format!("{}:deliverystream/{name}", of("firehose")))
        }
        // Batches are allowed as their single form is.
        "AmazonSQS" => {
            let name = text("QueueUrl").rsplit('/').next().unwrap_or_default().to_owned();
            ("sqs:SendMessage".into(), format!("{}:{name}", of("sqs")))
        }
        "AWSEvents" => {
            let bus = asked.input["Entries"][0]["EventBusName"].as_str().unwrap_or_default();
            (format!("events:{operation}"), bus.to_owned())
        }
        "ResourceGroupsTaggingAPI" => (format!("tag:{operation}"), "*".into()),
        _ => by_path(asked),
    };
    vec![(action, resource)]
}

/// The same of the services whose operation is no header.
fn by_path(asked: &Asked) -> (String, String) {
    let (method, path) = asked.line.split_once(' ').unwrap_or_default();
    let path = path.split('?').next().unwrap_or_default();
    if path.starts_with("/service/GraniteServiceVersion20100801/") {
        let name = match asked.input["AlarmName"].as_str() {
            _ if asked.operation == "GetMetricData" => "*".to_owned(),
            Some(name) => format!("arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:{name}"),
            // A list is of all of them, whatever it asks for.
            None => format!("arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:*"),
        };
        return (format!("cloudwatch:{}", asked.operation), name);
    }
    if path.ends_with("/_bulk") {
        let domain = format!("arn:aws:es:{REGION}:{ACCOUNT}:domain/records");
        return ("es:ESHttpPost".into(), format!("{domain}{path}"));
    }
    let body = String::from_utf8_lossy(&asked.body);
    if body.contains("Action=Publish") {
        let topic = body.split('&').find_map(|pair| pair.strip_prefix("TopicArn="));
        return ("sns:Publish".into(), topic.unwrap_or_default().replace("%3A", ":"));
    }
    let object = format!("arn:aws:s3:::{}", path.trim_start_matches('/'));
    match method {
        "PUT" => ("s3:PutObject".into(), object),
        "GET" => ("s3:GetObject".into(), object),
        _ => panic!("{} is no request that is known here", asked.line),
    }
}

/// Starts a deployed function; what it asks goes to `server`.
pub fn start(function: &str, deployment: &Deployment, server: &Canned) -> Option<Lambda> {
    let bootstrap = bootstrap(function)?;
    let mut settings = deployment.settings();
    let endpoint = server.endpoint();
    // The journal of another function at the same time is not this one's.
    settings.remove("TIDEGATE_JOURNAL");
    for (key, value) in [
        ("AWS_ENDPOINT_URL", endpoint.as_str()),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_REGION", REGION),
    ] {
        settings.insert(key.into(), value.into());
    }
    let settings: Vec<_> = settings.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    Some(Lambda::start(&bootstrap, &settings).expect("the bootstrap starts"))
}
