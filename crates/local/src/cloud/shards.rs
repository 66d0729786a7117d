//! The operations on single shards.

use std::collections::BTreeMap;

use jiff::Timestamp;
use tidegate_autoscaler::observation::{Metrics, Point};
use tidegate_autoscaler::port::{ServiceError, ServiceErrorKind};
use tidegate_autoscaler::shards::{Sample, Shard, ShardService};

use super::{Service, service_error};
use crate::metrics::{INCOMING_BYTES, INCOMING_RECORDS, MILLIS_BEHIND, Name, WRITE_THROTTLED};
use crate::shard::shard_id;
use crate::stream::{Refused, Stream};

impl ShardService for Service<'_> {
    async fn shards(&self, stream: &str) -> Result<Vec<Shard>, ServiceError> {
        let cloud = self.known("ListShards", stream)?;
        let open = cloud.stream.shards().filter(|shard| shard.open);
        Ok(open
            .map(|shard| Shard {
                id: shard.id(),
                first: shard.range.start,
                last: shard.range.end,
                parent: shard.parent.map(shard_id),
            })
            .collect())
    }

    async fn has_shard_metrics(&self, stream: &str) -> Result<bool, ServiceError> {
        Ok(self.known("DescribeStreamSummary", stream)?.stream.has_shard_metrics)
    }

    async fn shard_metrics(
        &self,
        stream: &str,
        shards: &[String],
        from: Timestamp,
        to: Timestamp,
    ) -> Result<BTreeMap<String, Metrics>, ServiceError> {
        let cloud = self.known("GetMetricData", stream)?;
        let read = |name: Name, shard| -> Vec<Point> {
            let seen = cloud.metrics.visible_shard(name, shard, from, to, cloud.now);
            seen.map(|(at, reported)| (at, reported.sum)).collect()
        };
        let metrics = |id: &String| {
            let shard = number(&cloud.stream, id)?;
            let metrics = Metrics {
                incoming_bytes: read(INCOMING_BYTES, shard),
                incoming_records: read(INCOMING_RECORDS, shard),
                write_throttled: read(WRITE_THROTTLED, shard),
                ..Metrics::default()
            };
            Some((id.clone(), metrics))
        };
        Ok(shards.iter().filter_map(metrics).collect())
    }

    async fn enable_shard_metrics(&self, stream: &str) -> Result<(), ServiceError> {
        self.known("EnableEnhancedMonitoring", stream)?.stream.has_shard_metrics = true;
        Ok(())
    }

    async fn disable_shard_metrics(&self, stream: &str) -> Result<(), ServiceError> {
        self.known("DisableEnhancedMonitoring", stream)?.stream.has_shard_metrics = false;
        Ok(())
    }

    async fn sample(&self, stream: &str, shard: &str) -> Result<Vec<Sample>, ServiceError> {
        let cloud = self.known("GetRecords", stream)?;
        let found = number(&cloud.stream, shard).and_then(|number| cloud.stream.shard(number));
        found.map(crate::shard::Shard::sample).ok_or_else(|| ServiceError {
            operation: "GetShardIterator",
            kind: ServiceErrorKind::NotFound,
            message: format!("ResourceNotFoundException: there is no shard {shard}"),
        })
    }

    async fn split_shard(
        &self,
        stream: &str,
        shard: &str,
        new_starting_hash: u128,
    ) -> Result<(), ServiceError> {
        let mut cloud = self.known("SplitShard", stream)?;
        let now = cloud.now;
        let refuse = |refused| service_error("SplitShard", refused);
        let shard = number(&cloud.stream, shard).ok_or(Refused::Range).map_err(refuse)?;
        cloud.stream.split_shard(shard, new_starting_hash, now).map_err(refuse)
    }

    async fn consumers(&self, stream: &str) -> Result<Vec<String>, ServiceError> {
        Ok(self.known("ListStreamConsumers", stream)?.stream.fan_out.clone())
    }

    async fn consumer_age(
        &self,
        stream: &str,
        consumers: &[String],
        from: Timestamp,
        to: Timestamp,
    ) -> Result<BTreeMap<String, Vec<Point>>, ServiceError> {
        let cloud = self.known("GetMetricData", stream)?;
        let seen = cloud.metrics.visible(MILLIS_BEHIND, from, to, cloud.now);
        let ages: Vec<_> = seen.map(|(at, reported)| (at, reported.maximum)).collect();
        Ok(consumers.iter().map(|consumer| (consumer.clone(), ages.clone())).collect())
    }
}

fn number(stream: &Stream, id: &str) -> Option<u32> {
    stream.shards().find(|shard| shard.id() == id).map(|shard| shard.number)
}
