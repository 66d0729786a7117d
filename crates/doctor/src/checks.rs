//! The checks: one table, in groups as the page has them.

mod alarms;
mod autoscaler;
mod buckets;
mod delivery;
mod functions;
mod mappings;
mod policies;
mod settings;
mod storage;
mod streams;

use crate::deployment::{Deployment, Resource, Setting};
use crate::finding::Severity;

pub(crate) const ALARM: &str = "AWS::CloudWatch::Alarm";
pub(crate) const BUCKET: &str = "AWS::S3::Bucket";
pub(crate) const DELIVERY: &str = "AWS::KinesisFirehose::DeliveryStream";
pub(crate) const FUNCTION: &str = "AWS::Lambda::Function";
pub(crate) const LOG_GROUP: &str = "AWS::Logs::LogGroup";
pub(crate) const MAPPING: &str = "AWS::Lambda::EventSourceMapping";
pub(crate) const QUEUE: &str = "AWS::SQS::Queue";
pub(crate) const ROLE: &str = "AWS::IAM::Role";
pub(crate) const STREAM: &str = "AWS::Kinesis::Stream";
pub(crate) const TABLE: &str = "AWS::DynamoDB::Table";
pub(crate) const TOPIC: &str = "AWS::SNS::Topic";

/// What a check found: where, and what was seen there.
pub type Found<'d> = Vec<(&'d Resource, String)>;

/// One thing that is looked for.
#[derive(Debug)]
pub struct Check {
    /// Its name, and its anchor on the page.
    pub id: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What happens because of it.
    pub happens: &'static str,
    /// What to do.
    pub remedy: &'static str,
    /// Where what it stands on is written; read 2026-11.
    pub source: &'static str,
    /// Looks for it. A property that nobody knows is none that is wrong.
    pub look: for<'d> fn(&'d Deployment) -> Found<'d>,
}

/// Checks about one kind of thing.
#[derive(Debug)]
pub struct Group {
    /// What they are about.
    pub about: &'static str,
    /// The checks.
    pub checks: &'static [Check],
}

/// Every check.
pub const CHECKS: &[Group] = &[
    Group { about: "Event source mappings", checks: mappings::CHECKS },
    Group { about: "Functions", checks: functions::CHECKS },
    Group { about: "Settings of the consumer", checks: settings::CHECKS },
    Group { about: "The autoscaler", checks: autoscaler::CHECKS },
    Group { about: "Streams", checks: streams::CHECKS },
    Group { about: "Firehose", checks: delivery::CHECKS },
    Group { about: "Alarms", checks: alarms::CHECKS },
    Group { about: "Buckets", checks: buckets::CHECKS },
    Group { about: "Queues, topics, tables and logs", checks: storage::CHECKS },
    Group { about: "Permissions", checks: policies::CHECKS },
];

/// Every check, without its group.
pub fn all() -> impl Iterator<Item = &'static Check> {
    CHECKS.iter().flat_map(|group| group.checks)
}

/// The resources of a type of which `seen` has something to say.
fn each<'d>(
    deployment: &'d Deployment,
    kind: &'static str,
    seen: impl Fn(&'d Resource) -> Option<String>,
) -> Found<'d> {
    let of = deployment.resources().iter().filter(|resource| resource.kind == kind);
    of.filter_map(|resource| Some((resource, seen(resource)?))).collect()
}

/// The mappings that read a Kinesis stream. The ARN of one that is a parameter is unknown, but only
/// streams have a position to start at.
fn readers(deployment: &Deployment) -> impl Iterator<Item = &Resource> {
    deployment.of(MAPPING).filter(move |mapping| match mapping.text("EventSourceArn") {
        Setting::Known(arn) => {
            arn.contains(":kinesis:")
                || deployment.target(arn, STREAM).is_some()
                || deployment.target(arn, "AWS::Kinesis::StreamConsumer").is_some()
        }
        Setting::Unknown | Setting::Absent => !mapping.value("StartingPosition").is_absent(),
    })
}

/// The same, with something to say.
fn each_reader<'d>(
    deployment: &'d Deployment,
    seen: impl Fn(&'d Resource) -> Option<String>,
) -> Found<'d> {
    readers(deployment).filter_map(|mapping| Some((mapping, seen(mapping)?))).collect()
}

/// The stream that a mapping reads, by polling or through a consumer of its own.
fn stream_of<'d>(deployment: &'d Deployment, mapping: &Resource) -> Option<&'d Resource> {
    let arn = mapping.text("EventSourceArn").known()?;
    deployment.target(arn, STREAM).or_else(|| {
        let consumer = deployment.target(arn, "AWS::Kinesis::StreamConsumer")?;
        deployment.target_of(consumer, "StreamARN", STREAM)
    })
}

/// The function that a mapping calls.
fn function_of<'d>(deployment: &'d Deployment, mapping: &Resource) -> Option<&'d Resource> {
    deployment.target_of(mapping, "FunctionName", FUNCTION)
}

/// Whether a function is Tidegate's autoscaler.
fn is_autoscaler(function: &Resource) -> bool {
    function.has_variable(&["TIDEGATE_MODE", "TIDEGATE_LEDGER_TABLE", "TIDEGATE_MAX_SHARDS"])
}

/// Whether a function is Tidegate's consumer.
fn is_consumer(function: &Resource) -> bool {
    function.has_variable(&["TIDEGATE_FORMAT", "TIDEGATE_QUARANTINE", "TIDEGATE_SINK"])
}
