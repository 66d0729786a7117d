//! Single shards, and the consumers that have a throughput of their own.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use aws_sdk_kinesis::types::{MetricsName, ShardFilter, ShardFilterType, ShardIteratorType};
use jiff::{SignedDuration, Timestamp};
use md5::{Digest as _, Md5};
use tidegate_autoscaler::observation::{Metrics, Point};
use tidegate_autoscaler::port::ServiceError;
use tidegate_autoscaler::shards::{Sample, Shard, ShardService};
use tokio::time::sleep;

use super::errors::{service_error, unreadable};
use super::{Aws, kinesis};

/// Pages of shards that are read at the most, of a thousand each: no stream has more than 10,000
/// open shards that UpdateShardCount made, and SplitShard can add to them.
const MAX_SHARD_PAGES: usize = 20;

/// Pages of consumers that are read at the most: a stream has 50 of them.
const MAX_CONSUMER_PAGES: usize = 5;

/// The shard metrics that are turned on and off.
const SHARD_METRICS: [MetricsName; 3] = [
    MetricsName::IncomingBytes,
    MetricsName::IncomingRecords,
    MetricsName::WriteProvisionedThroughputExceeded,
];

/// How far back a sample begins.
const SAMPLE_BACK: SignedDuration = SignedDuration::from_secs(60);

/// Records that are enough of a sample.
const SAMPLE_RECORDS: usize = 2_000;

/// Reads for one sample, and the wait between them: a shard has five reads a second for everybody.
const SAMPLE_READS: usize = 3;
const BETWEEN_READS: Duration = Duration::from_millis(500);

impl ShardService for Aws {
    async fn shards(&self, stream: &str) -> Result<Vec<Shard>, ServiceError> {
        const OPERATION: &str = "ListShards";
        let open = ShardFilter::builder().r#type(ShardFilterType::AtLatest).build();
        let open = open.map_err(|_| unreadable(OPERATION, "the filter has no type"))?;
        let mut request = self.kinesis.list_shards().stream_name(stream).shard_filter(open);
        let mut all = Vec::new();
        for _ in 0..MAX_SHARD_PAGES {
            self.tally.add(OPERATION);
            let answer = request.send().await.map_err(|error| service_error(OPERATION, &error))?;
            for shard in answer.shards() {
                all.push(read(shard).ok_or_else(|| unreadable(OPERATION, "a range is no range"))?);
            }
            // The token stands for the stream and the filter, and none may be there beside it.
            let Some(token) = answer.next_token else { return Ok(all) };
            request = self.kinesis.list_shards().next_token(token);
        }
        Err(unreadable(OPERATION, "it names more than 20,000 shards"))
    }

    async fn has_shard_metrics(&self, stream: &str) -> Result<bool, ServiceError> {
        let summary = self.summary(stream).await?;
        let on: Vec<_> =
            summary.enhanced_monitoring().iter().flat_map(|m| m.shard_level_metrics()).collect();
        Ok(on.contains(&&MetricsName::All) || SHARD_METRICS.iter().all(|name| on.contains(&name)))
    }

    async fn shard_metrics(
        &self,
        stream: &str,
        shards: &[String],
        from: Timestamp,
        to: Timestamp,
    ) -> Result<BTreeMap<String, Metrics>, ServiceError> {
        self.of_shards(stream, shards, from, to).await
    }

    async fn enable_shard_metrics(&self, stream: &str) -> Result<(), ServiceError> {
        const OPERATION: &str = "EnableEnhancedMonitoring";
        self.tally.add(OPERATION);
        let request = self.kinesis.enable_enhanced_monitoring().stream_name(stream);
        request
            .set_shard_level_metrics(Some(SHARD_METRICS.to_vec()))
            .send()
            .await
            .map_err(|error| service_error(OPERATION, &error))?;
        Ok(())
    }

    async fn disable_shard_metrics(&self, stream: &str) -> Result<(), ServiceError> {
        const OPERATION: &str = "DisableEnhancedMonitoring";
        self.tally.add(OPERATION);
        let request = self.kinesis.disable_enhanced_monitoring().stream_name(stream);
        request
            .set_shard_level_metrics(Some(SHARD_METRICS.to_vec()))
            .send()
            .await
            .map_err(|error| service_error(OPERATION, &error))?;
        Ok(())
    }

    async fn sample(&self, stream: &str, shard: &str) -> Result<Vec<Sample>, ServiceError> {
        let from = SystemTime::from((self.now)() - SAMPLE_BACK);
        self.tally.add("GetShardIterator");
        let answer = self
            .kinesis
            .get_shard_iterator()
            .stream_name(stream)
            .shard_id(shard)
            .shard_iterator_type(ShardIteratorType::AtTimestamp)
            .timestamp(from.into())
            .send()
            .await
            .map_err(|error| service_error("GetShardIterator", &error))?;
        let (mut iterator, mut samples) = (answer.shard_iterator, Vec::new());
        for read in 0..SAMPLE_READS {
            let Some(at) = iterator.take() else { break };
            if read > 0 {
                sleep(BETWEEN_READS).await;
            }
            self.tally.add("GetRecords");
            let request = self.kinesis.get_records().shard_iterator(at).limit(2_000);
            let answer =
                request.send().await.map_err(|error| service_error("GetRecords", &error))?;
            samples.extend(answer.records().iter().filter_map(|record| {
                // Without a key Kinesis chose the shard itself, and the record says nothing.
                let key = record.partition_key()?;
                let bytes = record.data().as_ref().len() + key.len();
                let hash = u128::from_be_bytes(Md5::digest(key).into());
                Some(Sample { hash, bytes: u32::try_from(bytes).unwrap_or(u32::MAX) })
            }));
            if samples.len() >= SAMPLE_RECORDS || answer.millis_behind_latest() == Some(0) {
                break;
            }
            iterator = answer.next_shard_iterator;
        }
        Ok(samples)
    }

    async fn split_shard(
        &self,
        stream: &str,
        shard: &str,
        new_starting_hash: u128,
    ) -> Result<(), ServiceError> {
        const OPERATION: &str = "SplitShard";
        self.turn(OPERATION, &self.paces.split).await;
        self.kinesis
            .split_shard()
            .stream_name(stream)
            .shard_to_split(shard)
            .new_starting_hash_key(new_starting_hash.to_string())
            .customize()
            .config_override(kinesis::once())
            .send()
            .await
            .map_err(|error| service_error(OPERATION, &error))?;
        Ok(())
    }

    async fn consumers(&self, stream: &str) -> Result<Vec<String>, ServiceError> {
        const OPERATION: &str = "ListStreamConsumers";
        // The only operation that does not know a stream by its name.
        let arn = self.summary(stream).await?.stream_arn;
        let mut pages =
            self.kinesis.list_stream_consumers().stream_arn(arn).into_paginator().send();
        let mut all = Vec::new();
        for _ in 0..MAX_CONSUMER_PAGES {
            let Some(page) = pages.next().await else { return Ok(all) };
            self.tally.add(OPERATION);
            let page = page.map_err(|error| service_error(OPERATION, &error))?;
            all.extend(page.consumers().iter().map(|consumer| consumer.consumer_name().to_owned()));
        }
        Err(unreadable(OPERATION, "it names more consumers than a stream can have"))
    }

    async fn consumer_age(
        &self,
        stream: &str,
        consumers: &[String],
        from: Timestamp,
        to: Timestamp,
    ) -> Result<BTreeMap<String, Vec<Point>>, ServiceError> {
        self.of_consumers(stream, consumers, from, to).await
    }
}

/// A shard in our words; `None` when its range cannot be read.
fn read(shard: &aws_sdk_kinesis::types::Shard) -> Option<Shard> {
    let range = shard.hash_key_range()?;
    Some(Shard {
        id: shard.shard_id().to_owned(),
        first: range.starting_hash_key().parse().ok()?,
        last: range.ending_hash_key().parse().ok()?,
        parent: shard.parent_shard_id().map(ToOwned::to_owned),
    })
}
