//! Streams.

use super::mappings::RETENTION_HOURS_DEFAULT;
use super::{Check, DELIVERY, Found, STREAM, each, readers, stream_of};
use crate::deployment::{Deployment, Setting};
use crate::finding::Severity;

/// A shard takes 1 MB a second and gives 2 ("Quotas and limits", Kinesis Data Streams Developer
/// Guide, 2026-11).
const POLLING_MAX: usize = 2;

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "stream-unencrypted",
        severity: Severity::Warning,
        happens: "Records are kept as they were sent, for the whole retention.",
        remedy: "Set StreamEncryption: {EncryptionType: KMS, KeyId: alias/aws/kinesis}; the key \
                 that Kinesis manages needs no permission of its own.",
        source: "Kinesis Data Streams Developer Guide, \"Data protection\"",
        look: unencrypted,
    },
    Check {
        id: "stream-shortest-retention",
        severity: Severity::Note,
        happens: "A consumer that fails on Friday evening has lost records on Saturday evening.",
        remedy: "Set RetentionPeriodHours to 72 or more; what is beyond 24 hours costs by the \
                 shard-hour.",
        source: "Kinesis Data Streams Developer Guide, \"Change the data retention period\"",
        look: shortest_retention,
    },
    Check {
        id: "stream-shared-by-many",
        severity: Severity::Warning,
        happens: "A shard takes 1 MB a second and gives 2 to all who poll it together: with three \
                  or more, everybody falls behind as soon as the stream is full.",
        remedy: "Give all but two a consumer of enhanced fan-out (AWS::Kinesis::StreamConsumer).",
        source: "Kinesis Data Streams Developer Guide, \"Quotas and limits\"",
        look: shared_by_many,
    },
    Check {
        id: "stream-shard-metrics",
        severity: Severity::Note,
        happens: "The metrics of single shards cost by the shard and metric, each month, for as \
                  long as they are on.",
        remedy: "Turn them off when nobody looks at them: the autoscaler turns on what it needs for \
                 as long as it does (TIDEGATE_HOT_SHARDS=split).",
        source: "Kinesis Data Streams Developer Guide, \"Monitor the service with CloudWatch\"",
        look: shard_metrics,
    },
];

fn unencrypted(deployment: &Deployment) -> Found<'_> {
    each(deployment, STREAM, |stream| {
        let kind = stream.text("StreamEncryption.EncryptionType").or("NONE")?;
        (kind == "NONE").then(|| "StreamEncryption is not there".to_owned())
    })
}

fn shortest_retention(deployment: &Deployment) -> Found<'_> {
    each(deployment, STREAM, |stream| {
        let hours = stream.number("RetentionPeriodHours").or(RETENTION_HOURS_DEFAULT)?;
        (hours <= RETENTION_HOURS_DEFAULT).then(|| format!("it keeps records {hours} h"))
    })
}

fn shared_by_many(deployment: &Deployment) -> Found<'_> {
    each(deployment, STREAM, |stream| {
        let polls = readers(deployment).filter(|mapping| {
            let arn = mapping.text("EventSourceArn").known();
            arn.is_some_and(|arn| stream.is_meant_by(arn) && !arn.contains("/consumer/"))
                && stream_of(deployment, mapping).is_some()
        });
        let delivers = deployment.of(DELIVERY).filter(|delivery| {
            let arn = delivery.text("KinesisStreamSourceConfiguration.KinesisStreamARN").known();
            arn.is_some_and(|arn| stream.is_meant_by(arn))
        });
        let names: Vec<_> = polls.chain(delivers).map(|reader| reader.place.as_str()).collect();
        (names.len() > POLLING_MAX).then(|| format!("it is polled by {}", names.join(", ")))
    })
}

fn shard_metrics(deployment: &Deployment) -> Found<'_> {
    each(deployment, STREAM, |stream| {
        let Setting::Known(_) = stream.value("DesiredShardLevelMetrics") else { return None };
        let metrics = stream.items("DesiredShardLevelMetrics").len();
        (metrics > 0).then(|| format!("{metrics} metrics of single shards are on"))
    })
}
