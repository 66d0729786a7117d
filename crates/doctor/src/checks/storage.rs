//! Queues, topics, tables and logs.

use super::mappings::RETENTION_HOURS_DEFAULT;
use super::{ALARM, Check, Found, LOG_GROUP, QUEUE, TABLE, TOPIC, each, readers, stream_of};
use crate::deployment::{Deployment, Resource, Setting};
use crate::finding::Severity;

const DESTINATION: &str = "DestinationConfig.OnFailure.Destination";

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "queue-forgets-before-stream",
        severity: Severity::Error,
        happens: "A message that says where a failed record is expires while the record is still \
                  in the stream: nobody can find it any more.",
        remedy: "Set MessageRetentionPeriod to 1209600 (14 days), and at least to the stream's \
                 retention.",
        source: "Amazon SQS API reference, SetQueueAttributes (MessageRetentionPeriod)",
        look: forgets_before_stream,
    },
    Check {
        id: "queue-not-watched",
        severity: Severity::Warning,
        happens: "Failed records wait in a queue that nobody looks into, until it forgets them.",
        remedy: "Add an alarm on ApproximateNumberOfMessagesVisible (AWS/SQS) above 0.",
        source: "Amazon SQS Developer Guide, \"Available CloudWatch metrics\"",
        look: queue_not_watched,
    },
    Check {
        id: "queue-unencrypted",
        severity: Severity::Warning,
        happens: "Messages are kept as they were sent: encryption, which queues have by default, is \
                  turned off.",
        remedy: "Take SqsManagedSseEnabled: false away, or set KmsMasterKeyId.",
        source: "Amazon SQS Developer Guide, \"Encryption at rest\"",
        look: queue_unencrypted,
    },
    Check {
        id: "topic-unencrypted",
        severity: Severity::Warning,
        happens: "Messages are kept as they were sent while they wait for delivery.",
        remedy: "Set KmsMasterKeyId; alarms need a key of your own whose policy lets \
                 cloudwatch.amazonaws.com use it.",
        source: "Amazon SNS Developer Guide, \"Securing data with server-side encryption\"",
        look: topic_unencrypted,
    },
    Check {
        id: "table-without-recovery",
        severity: Severity::Note,
        happens: "What a mistake overwrites in the table is gone: nobody decided whether it can be \
                  brought back.",
        remedy: "Set PointInTimeRecoverySpecification, to true or, where that is meant, to false.",
        source: "Amazon DynamoDB Developer Guide, \"Point-in-time backups\"",
        look: table_without_recovery,
    },
    Check {
        id: "log-never-expires",
        severity: Severity::Warning,
        happens: "Every line is kept, and paid for, for ever.",
        remedy: "Set RetentionInDays.",
        source: "CloudWatch Logs User Guide, \"Working with log groups and log streams\"",
        look: log_never_expires,
    },
];

/// Queues that mappings of streams send what failed to, with the hours that the stream keeps it.
fn destinations(deployment: &Deployment) -> impl Iterator<Item = (&Resource, Option<f64>)> {
    readers(deployment).filter_map(move |mapping| {
        let queue = deployment.target_of(mapping, DESTINATION, QUEUE)?;
        let stream = stream_of(deployment, mapping);
        let hours = stream
            .and_then(|stream| stream.number("RetentionPeriodHours").or(RETENTION_HOURS_DEFAULT));
        Some((queue, hours))
    })
}

fn forgets_before_stream(deployment: &Deployment) -> Found<'_> {
    let short = destinations(deployment).filter_map(|(queue, hours)| {
        // Four days unless told otherwise.
        let kept = queue.number("MessageRetentionPeriod").or(345_600.0)? / 3_600.0;
        let needed = hours?;
        (kept < needed)
            .then(|| (queue, format!("it keeps messages {kept} h, the stream records {needed} h")))
    });
    short.collect()
}

fn queue_not_watched(deployment: &Deployment) -> Found<'_> {
    let watched = |queue: &Resource| {
        deployment
            .of(ALARM)
            .any(|alarm| super::alarms::dimensions(alarm).any(|value| queue.is_meant_by(value)))
    };
    let alone = destinations(deployment).filter(|(queue, _)| !watched(queue));
    alone.map(|(queue, _)| (queue, "no alarm watches it".to_owned())).collect()
}

fn queue_unencrypted(deployment: &Deployment) -> Found<'_> {
    each(deployment, QUEUE, |queue| {
        let off = queue.truth("SqsManagedSseEnabled").known() == Some(false);
        (off && queue.value("KmsMasterKeyId").is_absent())
            .then(|| "SqsManagedSseEnabled is false".to_owned())
    })
}

fn topic_unencrypted(deployment: &Deployment) -> Found<'_> {
    each(deployment, TOPIC, |topic| {
        let none = matches!(topic.text("KmsMasterKeyId"), Setting::Absent | Setting::Known(""));
        none.then(|| "KmsMasterKeyId is not there".to_owned())
    })
}

fn table_without_recovery(deployment: &Deployment) -> Found<'_> {
    each(deployment, TABLE, |table| {
        table
            .value("PointInTimeRecoverySpecification")
            .is_absent()
            .then(|| "PointInTimeRecoverySpecification is not there".to_owned())
    })
}

fn log_never_expires(deployment: &Deployment) -> Found<'_> {
    each(deployment, LOG_GROUP, |group| {
        group
            .value("RetentionInDays")
            .is_absent()
            .then(|| "RetentionInDays is not there".to_owned())
    })
}
