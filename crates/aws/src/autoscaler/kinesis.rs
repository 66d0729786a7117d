//! What is asked about one stream, and the calls that change it.

use std::collections::BTreeMap;

use aws_sdk_kinesis::config::retry::RetryConfig;
use aws_sdk_kinesis::types::{
    ScalingType, StreamDescriptionSummary, StreamMode, StreamModeDetails, StreamStatus,
};
use jiff::Timestamp;
use tidegate_autoscaler::observation::{Account, Capacity, Description, Metrics, Status};
use tidegate_autoscaler::port::{Found, ServiceError, StreamService, Tally};

use super::Aws;
use super::errors::{service_error, unreadable};

const SUMMARY: &str = "DescribeStreamSummary";

impl StreamService for Aws {
    async fn describe(&self, stream: &str) -> Result<Description, ServiceError> {
        let summary = self.summary(stream).await?;
        Ok(Description {
            status: status(summary.stream_status()),
            capacity: capacity(summary.stream_mode_details()),
            open_shards: count(SUMMARY, summary.open_shard_count())?,
        })
    }

    async fn tags(&self, stream: &str) -> Result<BTreeMap<String, String>, ServiceError> {
        const OPERATION: &str = "ListTagsForStream";
        self.turn(OPERATION, &self.paces.tags).await;
        // A stream has at most 50 tags, which is also the most that one answer holds.
        let request = self.kinesis.list_tags_for_stream().stream_name(stream).limit(50);
        let answer = request.send().await.map_err(|error| service_error(OPERATION, &error))?;
        let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
        Ok(answer.tags().iter().map(|tag| (tag.key().to_owned(), text(tag.value()))).collect())
    }

    async fn metrics(
        &self,
        streams: &[String],
        from: Timestamp,
        to: Timestamp,
    ) -> Result<BTreeMap<String, Metrics>, ServiceError> {
        self.of_streams(streams, from, to).await
    }

    async fn account(&self) -> Result<Account, ServiceError> {
        const OPERATION: &str = "DescribeLimits";
        self.turn(OPERATION, &self.paces.account).await;
        let request = self.kinesis.describe_limits();
        let answer = request.send().await.map_err(|error| service_error(OPERATION, &error))?;
        Ok(Account {
            shard_limit: count(OPERATION, answer.shard_limit())?,
            open_shards: count(OPERATION, answer.open_shard_count())?,
        })
    }

    async fn set_tag(&self, stream: &str, key: &str, value: &str) -> Result<(), ServiceError> {
        const OPERATION: &str = "AddTagsToStream";
        self.turn(OPERATION, &self.paces.set_tag).await;
        let request = self.kinesis.add_tags_to_stream().stream_name(stream).tags(key, value);
        request.send().await.map_err(|error| service_error(OPERATION, &error))?;
        Ok(())
    }

    async fn update_shard_count(&self, stream: &str, target: u32) -> Result<(), ServiceError> {
        const OPERATION: &str = "UpdateShardCount";
        let target = i32::try_from(target)
            .map_err(|_| unreadable(OPERATION, "the target is out of range"))?;
        self.turn(OPERATION, &self.paces.update).await;
        self.kinesis
            .update_shard_count()
            .stream_name(stream)
            .target_shard_count(target)
            .scaling_type(ScalingType::UniformScaling)
            .customize()
            .config_override(once())
            .send()
            .await
            .map_err(|error| service_error(OPERATION, &error))?;
        Ok(())
    }

    async fn opted_in(&self) -> Result<Vec<Found>, ServiceError> {
        self.discover().await
    }

    fn tally(&self) -> &Tally {
        &self.tally
    }
}

impl Aws {
    /// All that DescribeStreamSummary says.
    pub(super) async fn summary(
        &self,
        stream: &str,
    ) -> Result<StreamDescriptionSummary, ServiceError> {
        self.turn(SUMMARY, &self.paces.describe).await;
        let request = self.kinesis.describe_stream_summary().stream_name(stream);
        let answer = request.send().await.map_err(|error| service_error(SUMMARY, &error))?;
        answer
            .stream_description_summary
            .ok_or_else(|| unreadable(SUMMARY, "it has no description of the stream"))
    }
}

/// For calls that are not repeated by the SDK: one that was refused may count towards the ten of the
/// day, and one whose answer was lost would meet a stream that is changed already.
pub(super) fn once() -> aws_sdk_kinesis::config::Builder {
    aws_sdk_kinesis::Config::builder().retry_config(RetryConfig::disabled())
}

/// The state in our words.
pub(super) fn status(status: &StreamStatus) -> Status {
    match status {
        StreamStatus::Active => Status::Active,
        StreamStatus::Updating => Status::Updating,
        StreamStatus::Creating => Status::Creating,
        StreamStatus::Deleting => Status::Deleting,
        _ => Status::Unknown,
    }
}

/// The capacity mode in our words.
pub(super) fn capacity(mode: Option<&StreamModeDetails>) -> Capacity {
    match mode.map(StreamModeDetails::stream_mode) {
        Some(StreamMode::OnDemand) => Capacity::OnDemand,
        _ => Capacity::Provisioned,
    }
}

fn count(operation: &'static str, number: i32) -> Result<u32, ServiceError> {
    u32::try_from(number).map_err(|_| unreadable(operation, "a number of shards is negative"))
}
