//! A stream and all that reads it, as they stand in the account, for the doctor. Only reads.

mod stack;

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::time::{Duration, SystemTime};

use serde_json::{Map, Value, json};
use tidegate_doctor::template::TemplateError;
use tidegate_doctor::{Deployment, Resource};

use crate::call::{Answer, Ask, CallError, Caller, JsonService, escaped};

/// One call may take so long.
const WITHIN: Duration = Duration::from_secs(20);

/// Pages of a list that are read at the most.
const PAGES_MAX: usize = 100;

/// Firehose streams that are described at the most: Firehose answers five such calls a second
/// ("Quota", Data Firehose Developer Guide, 2026-11).
const DELIVERIES_MAX: usize = 200;

/// CloudWatch has a JSON protocol beside its others ("Supported protocols", its API model, 2026-11).
const CLOUDWATCH: JsonService<'_> = JsonService {
    id: "CLOUDWATCH",
    name: "monitoring",
    target: "GraniteServiceVersion20100801",
    version: "1.0",
    region: None,
};

/// Why nothing could be looked at.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// A call failed.
    #[error("{operation} failed; it takes credentials that may call it")]
    Call {
        /// The operation.
        operation: &'static str,
        /// Why.
        #[source]
        source: CallError,
    },
    /// CloudFormation's answer is none.
    #[error("the answer to {operation} is no XML")]
    Answer {
        /// The operation.
        operation: &'static str,
        /// What is wrong with it.
        #[source]
        source: roxmltree::Error,
    },
    /// There is no such stack.
    #[error(
        "there is no stack {0} in this account and Region; `aws cloudformation list-stacks` names them"
    )]
    NoStack(String),
    /// The stack's template could not be read.
    #[error(transparent)]
    Template(#[from] TemplateError),
}

impl ReadError {
    fn call(operation: &'static str) -> impl Fn(CallError) -> Self {
        move |source| Self::Call { operation, source }
    }

    /// Whether a service said that there is no such thing.
    fn is_absent(&self) -> bool {
        matches!(self, Self::Call { source, .. } if source.is("ResourceNotFoundException"))
    }
}

/// What was seen in the account.
#[derive(Debug, Default)]
struct Seen {
    resources: Vec<Resource>,
    /// Functions, by their name, with the ARN or name that they were called by: a function may be
    /// named with a version and without.
    functions: BTreeMap<String, String>,
    unread: Vec<String>,
}

impl Seen {
    fn function(&mut self, arn: &str) {
        self.functions.insert(function_name(arn).to_owned(), arn.to_owned());
    }

    /// What was read; where it could not be, that is said, and the rest is looked at.
    fn of<T: Default>(&mut self, what: &str, read: Result<T, ReadError>) -> T {
        read.unwrap_or_else(|error| {
            let why = error.source().map(|source| format!(": {source}")).unwrap_or_default();
            self.unread.push(format!("{what}: {error}{why}"));
            T::default()
        })
    }

    fn delivery(&mut self, delivery: Resource) {
        for arn in lambda_arns(&delivery) {
            self.function(&arn);
        }
        self.resources.push(delivery);
    }
}

/// An account and Region, to read from.
#[derive(Debug)]
pub struct Account {
    caller: Caller,
}

impl Account {
    /// With the SDK's usual settings. `now` is the present moment, which a signature needs.
    pub async fn load(now: fn() -> SystemTime) -> Self {
        Self { caller: Caller::load(now).await }
    }

    /// A stream, the mappings and Firehose streams that read it, their functions, the alarms on any
    /// of these, and the functions that these alarms call.
    ///
    /// # Errors
    /// When the stream cannot be read. What else cannot is named in the deployment.
    pub async fn stream(&self, name: &str) -> Result<Deployment, ReadError> {
        let mut seen = Seen::default();
        self.around(name, &mut seen).await?;
        self.finish(&mut seen).await;
        Ok(Deployment::new(seen.resources, seen.unread))
    }

    /// A stream, and what reads it.
    async fn around(&self, name: &str, seen: &mut Seen) -> Result<(), ReadError> {
        let (stream, arn) = self.summary(name).await?;
        seen.resources.push(stream);
        let sources = self.sources(&arn).await;
        for source in seen.of("the consumers of enhanced fan-out", sources) {
            let mappings = self.mappings(&source).await;
            for mapping in seen.of("the event source mappings", mappings) {
                if let Some(function) = mapping["FunctionArn"].as_str() {
                    seen.function(function);
                }
                seen.resources.push(of_mapping(mapping));
            }
        }
        let deliveries = self.deliveries(&arn, seen).await;
        seen.of("the Firehose streams", deliveries);
        Ok(())
    }

    /// The alarms on what was seen, the functions, and the account's limits.
    async fn finish(&self, seen: &mut Seen) {
        let mut names: BTreeSet<_> = seen.functions.keys().cloned().collect();
        names.extend(seen.resources.iter().filter_map(|resource| resource.name.clone()));
        let alarms = self.alarms(&names).await;
        for alarm in seen.of("the alarms", alarms) {
            called(&alarm).iter().for_each(|arn| seen.function(arn));
            seen.resources.push(alarm);
        }
        for (name, arn) in seen.functions.clone() {
            let function = self.function(&arn).await;
            let function = seen.of(&format!("the function {name}"), function);
            seen.resources.extend(function);
        }
        let limits = self.json(JsonService::KINESIS, "DescribeLimits", &json!({})).await;
        let limits = seen.of("the account's limit of shards", limits);
        seen.resources.push(resource("Tidegate::Account", "account", limits));
    }

    async fn summary(&self, name: &str) -> Result<(Resource, String), ReadError> {
        let input = json!({"StreamName": name});
        let answer = self.json(JsonService::KINESIS, "DescribeStreamSummary", &input).await?;
        let mut seen = object(answer["StreamDescriptionSummary"].clone());
        let arn = seen["StreamARN"].as_str().unwrap_or_default().to_owned();
        let levels = seen["EnhancedMonitoring"].as_array().into_iter().flatten();
        let metrics = levels.filter_map(|level| level["ShardLevelMetrics"].as_array()).flatten();
        let metrics: Vec<_> = metrics.cloned().collect();
        let encryption = seen["EncryptionType"].take();
        seen["DesiredShardLevelMetrics"] = metrics.into();
        seen["ShardCount"] = seen["OpenShardCount"].clone();
        seen["StreamEncryption"] = json!({"EncryptionType": encryption});
        Ok((resource("AWS::Kinesis::Stream", name, seen), arn))
    }

    /// What mappings may read: the stream, and its consumers of enhanced fan-out.
    async fn sources(&self, arn: &str) -> Result<Vec<String>, ReadError> {
        let mut input = json!({"StreamARN": arn});
        let mut sources = vec![arn.to_owned()];
        for _ in 0..PAGES_MAX {
            let page = self.json(JsonService::KINESIS, "ListStreamConsumers", &input).await?;
            let consumers = page["Consumers"].as_array().into_iter().flatten();
            let arns = consumers.filter_map(|consumer| consumer["ConsumerARN"].as_str());
            sources.extend(arns.map(ToOwned::to_owned));
            let Some(next) = page["NextToken"].as_str() else { break };
            // With it, the stream must not be named again.
            input = json!({"NextToken": next});
        }
        Ok(sources)
    }

    async fn mappings(&self, source: &str) -> Result<Vec<Value>, ReadError> {
        let path =
            format!("/2015-03-31/event-source-mappings/?EventSourceArn={}", escaped(source, ""));
        let mut all = Vec::new();
        let mut marker = String::new();
        for _ in 0..PAGES_MAX {
            let page = self.get("ListEventSourceMappings", &format!("{path}{marker}")).await?;
            let page = page.unwrap_or_default();
            all.extend(page["EventSourceMappings"].as_array().into_iter().flatten().cloned());
            match page["NextMarker"].as_str().filter(|next| !next.is_empty()) {
                Some(next) => marker = format!("&Marker={}", escaped(next, "")),
                None => break,
            }
        }
        Ok(all)
    }

    /// The Firehose streams that read the stream.
    async fn deliveries(&self, arn: &str, seen: &mut Seen) -> Result<(), ReadError> {
        let mut names: Vec<String> = Vec::new();
        for _ in 0..PAGES_MAX {
            let mut input = json!({"Limit": 100, "DeliveryStreamType": "KinesisStreamAsSource"});
            if let Some(last) = names.last() {
                input["ExclusiveStartDeliveryStreamName"] = last.as_str().into();
            }
            let page = self.json(JsonService::FIREHOSE, "ListDeliveryStreams", &input).await?;
            let listed = page["DeliveryStreamNames"].as_array().into_iter().flatten();
            names.extend(listed.filter_map(|name| name.as_str().map(ToOwned::to_owned)));
            if page["HasMoreDeliveryStreams"] != true {
                break;
            }
        }
        for name in names.iter().take(DELIVERIES_MAX) {
            let delivery = self.delivery(name).await?;
            let source = "KinesisStreamSourceConfiguration.KinesisStreamARN";
            if delivery.text(source).known() == Some(arn) {
                seen.delivery(delivery);
            }
        }
        if let more @ 1.. = names.len().saturating_sub(DELIVERIES_MAX) {
            seen.unread.push(format!("{more} more Firehose streams"));
        }
        Ok(())
    }

    async fn delivery(&self, name: &str) -> Result<Resource, ReadError> {
        let input = json!({"DeliveryStreamName": name});
        let answer = self.json(JsonService::FIREHOSE, "DescribeDeliveryStream", &input).await?;
        let properties = delivery(&answer["DeliveryStreamDescription"]);
        Ok(resource("AWS::KinesisFirehose::DeliveryStream", name, properties))
    }

    /// The alarms on anything with one of these names.
    async fn alarms(&self, names: &BTreeSet<String>) -> Result<Vec<Resource>, ReadError> {
        let mut all = Vec::new();
        let mut input = json!({"AlarmTypes": ["MetricAlarm"], "MaxRecords": 100});
        for _ in 0..PAGES_MAX {
            let page = self.json(CLOUDWATCH, "DescribeAlarms", &input).await?;
            for alarm in page["MetricAlarms"].as_array().into_iter().flatten() {
                let name = alarm["AlarmName"].as_str().unwrap_or_default();
                let alarm = resource("AWS::CloudWatch::Alarm", name, alarm.clone());
                if dimensions(&alarm).any(|value| names.contains(value)) {
                    all.push(alarm);
                }
            }
            let Some(next) = page["NextToken"].as_str() else { break };
            input["NextToken"] = next.into();
        }
        Ok(all)
    }

    /// A function, by its ARN or name, and what becomes of its asynchronous calls.
    async fn function(&self, arn: &str) -> Result<Vec<Resource>, ReadError> {
        let name = function_name(arn);
        // arn:partition:lambda:region:account:function:name:version
        let version =
            arn.split(':').nth(7).map(|version| format!("?Qualifier={}", escaped(version, "")));
        let version = version.unwrap_or_default();
        let path = format!("/2015-03-31/functions/{name}/configuration{version}");
        let Some(seen) = self.get("GetFunctionConfiguration", &path).await? else {
            return Ok(Vec::new());
        };
        let mut seen = object(seen);
        let path = format!("/2019-09-30/functions/{name}/concurrency");
        let reserved = self.get("GetFunctionConcurrency", &path).await?.unwrap_or_default();
        seen["ReservedConcurrentExecutions"] = reserved["ReservedConcurrentExecutions"].clone();
        let mut all = vec![resource("AWS::Lambda::Function", name, seen)];
        let path = format!("/2019-09-25/functions/{name}/event-invoke-config{version}");
        if let Some(invoke) = self.get("GetFunctionEventInvokeConfig", &path).await? {
            let mut invoke = object(invoke);
            invoke["FunctionName"] = name.into();
            // Lambda shows the two places even where nothing is in them.
            let none = invoke["DestinationConfig"]["OnFailure"]["Destination"].is_null();
            if none && invoke["DestinationConfig"].is_object() {
                invoke["DestinationConfig"]["OnFailure"] = Value::Null;
            }
            all.push(resource("AWS::Lambda::EventInvokeConfig", name, invoke));
        }
        Ok(all)
    }

    async fn json(
        &self,
        service: JsonService<'_>,
        operation: &'static str,
        input: &Value,
    ) -> Result<Value, ReadError> {
        let body = input.to_string().into_bytes();
        let answer = self.caller.operation(&service, operation, body, WITHIN).await;
        answer.map_err(ReadError::call(operation))
    }

    /// Asks Lambda; `None` for what is not there.
    async fn get(&self, operation: &'static str, path: &str) -> Result<Option<Value>, ReadError> {
        let failed = ReadError::call(operation);
        let place = self.caller.endpoint("LAMBDA", "lambda", None).map_err(&failed)?;
        let url = format!("{}{path}", place.url);
        let ask = Ask { method: "GET", url: &url, headers: Vec::new(), body: Vec::new() };
        let sent = self.caller.send_signed(ask, ("lambda", &place.region), WITHIN).await;
        let answer: Answer = sent.map_err(&failed)?;
        match answer.status {
            200 => Ok(Some(answer.json())),
            404 => Ok(None),
            _ => Err(failed(CallError::of_service(&answer))),
        }
    }
}

/// What a service says of one thing; nothing, where it says something else.
fn object(said: Value) -> Value {
    if said.is_object() { said } else { Value::Object(Map::new()) }
}

fn resource(kind: &str, name: &str, properties: Value) -> Resource {
    Resource {
        place: name.to_owned(),
        kind: kind.to_owned(),
        name: Some(name.to_owned()),
        properties,
        ..Resource::default()
    }
}

/// A mapping in the words of CloudFormation, which are nearly Lambda's own.
fn of_mapping(seen: Value) -> Resource {
    let mut seen = object(seen);
    let state = seen["State"].as_str().unwrap_or_default();
    seen["Enabled"] = (state != "Disabled" && state != "Disabling").into();
    seen["FunctionName"] = seen["FunctionArn"].take();
    let id = seen["UUID"].as_str().unwrap_or_default().to_owned();
    resource("AWS::Lambda::EventSourceMapping", &id, seen)
}

/// A Firehose stream in the words of CloudFormation: what is described is called `…Description`
/// there, and `…Configuration` in a template.
fn delivery(seen: &Value) -> Value {
    let mut properties = Map::new();
    properties.insert("DeliveryStreamType".to_owned(), seen["DeliveryStreamType"].clone());
    let source = &seen["Source"]["KinesisStreamSourceDescription"];
    properties.insert("KinesisStreamSourceConfiguration".to_owned(), source.clone());
    for (name, destination) in seen["Destinations"][0].as_object().into_iter().flatten() {
        let Some(kind) = name.strip_suffix("DestinationDescription") else { continue };
        // An S3 destination is also shown in its older form.
        if kind != "S3" && destination.is_object() {
            properties.insert(format!("{kind}DestinationConfiguration"), destination.clone());
        }
    }
    Value::Object(properties)
}

/// The functions that a Firehose stream calls.
fn lambda_arns(delivery: &Resource) -> Vec<String> {
    let destinations = delivery.properties.as_object().into_iter().flatten();
    let processors = destinations
        .filter_map(|(_, destination)| {
            destination["ProcessingConfiguration"]["Processors"].as_array()
        })
        .flatten();
    let parameters = processors.filter_map(|one| one["Parameters"].as_array()).flatten();
    let arns = parameters.filter(|one| one["ParameterName"] == "LambdaArn");
    arns.filter_map(|one| Some(one["ParameterValue"].as_str()?.to_owned())).collect()
}

/// The functions that an alarm calls.
fn called(alarm: &Resource) -> Vec<String> {
    let actions = alarm.items("AlarmActions").iter().filter_map(Value::as_str);
    actions.filter(|arn| arn.contains(":lambda:")).map(ToOwned::to_owned).collect()
}

/// The values of an alarm's dimensions.
fn dimensions(alarm: &Resource) -> impl Iterator<Item = &str> {
    let queries = alarm.items("Metrics").iter();
    let metrics = queries.filter_map(|query| query.pointer("/MetricStat/Metric"));
    let all = metrics.chain(std::iter::once(&alarm.properties));
    all.filter_map(|metric| metric["Dimensions"].as_array())
        .flatten()
        .filter_map(|dimension| dimension["Value"].as_str())
}

/// The name of a function: in its ARN, or alone.
fn function_name(arn: &str) -> &str {
    arn.split(':').nth(6).unwrap_or(arn)
}
