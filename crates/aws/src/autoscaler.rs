//! The autoscaler's port on Kinesis and CloudWatch.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::SystemTime;

use aws_sdk_cloudwatch::types::{Dimension, Metric, MetricDataQuery, MetricStat, ScanBy};
use aws_sdk_kinesis::config::retry::RetryConfig;
use aws_sdk_kinesis::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_kinesis::types::{ScalingType, StreamMode, StreamModeDetails, StreamStatus};
use jiff::Timestamp;
use tidegate_autoscaler::observation::{Account, Capacity, Description, Metrics, Point, Status};
use tidegate_autoscaler::port::{Found, ServiceError, ServiceErrorKind, StreamService, Tally};

use crate::Config;

/// A metric's name, its statistic, and where its points go.
type Query = (&'static str, &'static str, fn(&mut Metrics) -> &mut Vec<Point>);

/// The metrics that are read, in the order of their query ids (`m0`, `m1`, …).
const QUERIES: [Query; 4] = [
    ("IncomingBytes", "Sum", |metrics| &mut metrics.incoming_bytes),
    ("IncomingRecords", "Sum", |metrics| &mut metrics.incoming_records),
    ("WriteProvisionedThroughputExceeded", "Sum", |metrics| &mut metrics.write_throttled),
    ("GetRecords.IteratorAgeMilliseconds", "Maximum", |metrics| &mut metrics.iterator_age_ms),
];

/// Pages of one GetMetricData answer that are read at the most. A day of four metrics by the minute
/// is 6,240 points, and a page holds 100,800.
const MAX_PAGES: usize = 10;

/// Kinesis and CloudWatch.
#[derive(Debug, Clone)]
pub struct Aws {
    kinesis: aws_sdk_kinesis::Client,
    cloudwatch: aws_sdk_cloudwatch::Client,
    tally: Arc<Tally>,
}

impl Aws {
    /// Makes the clients; no call is made.
    pub fn new(config: &Config) -> Self {
        Self {
            kinesis: aws_sdk_kinesis::Client::new(config.sdk()),
            cloudwatch: aws_sdk_cloudwatch::Client::new(config.sdk()),
            tally: Arc::default(),
        }
    }
}

impl Aws {
    async fn metrics_of(
        &self,
        stream: &str,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Metrics, ServiceError> {
        const OPERATION: &str = "GetMetricData";
        let mut pages = self
            .cloudwatch
            .get_metric_data()
            .set_metric_data_queries(Some(queries(stream)))
            .start_time(SystemTime::from(from).into())
            .end_time(SystemTime::from(to).into())
            .scan_by(ScanBy::TimestampAscending)
            .into_paginator()
            .send();
        let mut metrics = Metrics::default();
        for _ in 0..MAX_PAGES {
            self.tally.add(OPERATION);
            let Some(page) = pages.next().await else { break };
            let page = page.map_err(|error| service_error(OPERATION, &error))?;
            for result in page.metric_data_results() {
                let index = result.id().and_then(|id| id.strip_prefix('m')?.parse::<usize>().ok());
                let Some((_, _, field)) = index.and_then(|index| QUERIES.get(index)) else {
                    continue;
                };
                let points = result.timestamps().iter().zip(result.values());
                field(&mut metrics).extend(points.filter_map(|(at, value)| {
                    Some((Timestamp::from_second(at.secs()).ok()?, *value))
                }));
            }
        }
        Ok(metrics)
    }
}

impl StreamService for Aws {
    async fn describe(&self, stream: &str) -> Result<Description, ServiceError> {
        const OPERATION: &str = "DescribeStreamSummary";
        self.tally.add(OPERATION);
        let answer = self
            .kinesis
            .describe_stream_summary()
            .stream_name(stream)
            .send()
            .await
            .map_err(|error| service_error(OPERATION, &error))?;
        let summary = answer
            .stream_description_summary()
            .ok_or_else(|| unreadable(OPERATION, "it has no description of the stream"))?;
        Ok(Description {
            status: status(Some(summary.stream_status())),
            capacity: capacity(summary.stream_mode_details()),
            open_shards: count(OPERATION, summary.open_shard_count())?,
        })
    }

    async fn metrics(
        &self,
        streams: &[String],
        from: Timestamp,
        to: Timestamp,
    ) -> Result<BTreeMap<String, Metrics>, ServiceError> {
        let mut all = BTreeMap::new();
        for stream in streams {
            all.insert(stream.clone(), self.metrics_of(stream, from, to).await?);
        }
        Ok(all)
    }

    async fn account(&self) -> Result<Account, ServiceError> {
        const OPERATION: &str = "DescribeLimits";
        self.tally.add(OPERATION);
        let answer = self
            .kinesis
            .describe_limits()
            .send()
            .await
            .map_err(|error| service_error(OPERATION, &error))?;
        Ok(Account {
            shard_limit: count(OPERATION, answer.shard_limit())?,
            open_shards: count(OPERATION, answer.open_shard_count())?,
        })
    }

    async fn tags(&self, stream: &str) -> Result<BTreeMap<String, String>, ServiceError> {
        self.tally.add("ListTagsForStream");
        // A stream has at most 50 tags, which is also the most that one answer holds.
        let answer = self
            .kinesis
            .list_tags_for_stream()
            .stream_name(stream)
            .limit(50)
            .send()
            .await
            .map_err(|error| service_error("ListTagsForStream", &error))?;
        let tags = answer.tags().iter();
        Ok(tags
            .map(|tag| (tag.key().to_owned(), tag.value().unwrap_or_default().to_owned()))
            .collect())
    }

    async fn set_tag(&self, stream: &str, key: &str, value: &str) -> Result<(), ServiceError> {
        self.tally.add("AddTagsToStream");
        self.kinesis
            .add_tags_to_stream()
            .stream_name(stream)
            .tags(key, value)
            .send()
            .await
            .map_err(|error| service_error("AddTagsToStream", &error))?;
        Ok(())
    }

    async fn update_shard_count(&self, stream: &str, target: u32) -> Result<(), ServiceError> {
        const OPERATION: &str = "UpdateShardCount";
        let target = i32::try_from(target)
            .map_err(|_| unreadable(OPERATION, "the target is out of range"))?;
        // Not repeated by the SDK: a refused call may count towards the ten of the day.
        self.tally.add(OPERATION);
        let once = aws_sdk_kinesis::Config::builder().retry_config(RetryConfig::disabled());
        self.kinesis
            .update_shard_count()
            .stream_name(stream)
            .target_shard_count(target)
            .scaling_type(ScalingType::UniformScaling)
            .customize()
            .config_override(once)
            .send()
            .await
            .map_err(|error| service_error(OPERATION, &error))?;
        Ok(())
    }

    async fn opted_in(&self) -> Result<Vec<Found>, ServiceError> {
        let mut pages = self.kinesis.list_streams().into_paginator().send();
        let mut found = Vec::new();
        while let Some(page) = pages.next().await {
            self.tally.add("ListStreams");
            let page = page.map_err(|error| service_error("ListStreams", &error))?;
            for stream in page.stream_summaries() {
                let tags = self.tags(stream.stream_name()).await?;
                if Found::opts_in(&tags) {
                    found.push(Found {
                        name: stream.stream_name().to_owned(),
                        tags,
                        status: status(Some(stream.stream_status())),
                        capacity: capacity(stream.stream_mode_details()),
                    });
                }
            }
        }
        Ok(found)
    }

    fn tally(&self) -> &Tally {
        &self.tally
    }
}

/// The state in our words.
fn status(status: Option<&StreamStatus>) -> Status {
    match status {
        Some(StreamStatus::Active) => Status::Active,
        Some(StreamStatus::Updating) => Status::Updating,
        Some(StreamStatus::Creating) => Status::Creating,
        Some(StreamStatus::Deleting) => Status::Deleting,
        _ => Status::Unknown,
    }
}

/// The capacity mode in our words.
fn capacity(mode: Option<&StreamModeDetails>) -> Capacity {
    match mode.map(StreamModeDetails::stream_mode) {
        Some(StreamMode::OnDemand) => Capacity::OnDemand,
        _ => Capacity::Provisioned,
    }
}

fn queries(stream: &str) -> Vec<MetricDataQuery> {
    let dimension = Dimension::builder().name("StreamName").value(stream).build();
    let query = |(index, (name, statistic, _)): (usize, &Query)| {
        let metric = Metric::builder()
            .namespace("AWS/Kinesis")
            .metric_name(*name)
            .dimensions(dimension.clone())
            .build();
        let stat = MetricStat::builder().metric(metric).period(60).stat(*statistic).build();
        MetricDataQuery::builder().id(format!("m{index}")).metric_stat(stat).build()
    };
    QUERIES.iter().enumerate().map(query).collect()
}

fn count(operation: &'static str, number: i32) -> Result<u32, ServiceError> {
    u32::try_from(number).map_err(|_| unreadable(operation, "a number of shards is negative"))
}

fn unreadable(operation: &'static str, message: &str) -> ServiceError {
    ServiceError {
        operation,
        kind: ServiceErrorKind::Unavailable,
        message: format!("the answer cannot be read: {message}"),
    }
}

/// Puts an error of the SDK into our words.
fn service_error<E, R>(operation: &'static str, error: &SdkError<E, R>) -> ServiceError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    R: Debug,
{
    let kind = match error {
        SdkError::ServiceError(_) => kind_of(operation, error.code().unwrap_or_default()),
        _ => ServiceErrorKind::Unavailable,
    };
    let message = match (error.code(), error.message()) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(code), None) => code.to_owned(),
        _ => DisplayErrorContext(error).to_string(),
    };
    ServiceError { operation, kind, message }
}

/// What follows from an error code ("Common errors" and the operations' pages of the Kinesis and
/// CloudWatch API references, 2026-11).
fn kind_of(operation: &str, code: &str) -> ServiceErrorKind {
    match code {
        "ResourceNotFoundException" => ServiceErrorKind::NotFound,
        "ResourceInUseException" => ServiceErrorKind::InUse,
        // The operations that read answer it when they are asked too often.
        "LimitExceededException" if operation == "UpdateShardCount" => {
            ServiceErrorKind::LimitExceeded
        }
        "LimitExceededException"
        | "LimitExceeded"
        | "Throttling"
        | "ThrottlingException"
        | "RequestLimitExceeded"
        | "TooManyRequestsException" => ServiceErrorKind::Throttled,
        "AccessDenied"
        | "AccessDeniedException"
        | "ExpiredTokenException"
        | "IncompleteSignature"
        | "InvalidClientTokenId"
        | "InvalidSignatureException"
        | "MissingAuthenticationToken"
        | "NotAuthorized"
        | "OptInRequired"
        | "UnrecognizedClientException" => ServiceErrorKind::Denied,
        "InvalidArgumentException" | "ValidationException" | "InvalidParameterValue" => {
            ServiceErrorKind::Invalid
        }
        _ => ServiceErrorKind::Unavailable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_limit_only_where_shards_are_changed() {
        let cases = [
            ("UpdateShardCount", "LimitExceededException", ServiceErrorKind::LimitExceeded),
            ("DescribeStreamSummary", "LimitExceededException", ServiceErrorKind::Throttled),
            ("UpdateShardCount", "ResourceInUseException", ServiceErrorKind::InUse),
            ("UpdateShardCount", "InvalidArgumentException", ServiceErrorKind::Invalid),
            ("GetMetricData", "InternalServiceFault", ServiceErrorKind::Unavailable),
        ];
        for (operation, code, kind) in cases {
            assert_eq!(kind_of(operation, code), kind, "{operation} {code}");
        }
    }
}
