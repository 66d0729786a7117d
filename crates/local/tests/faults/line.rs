//! The ports as one invocation has them: each call waits for its turn, and may fail before it is
//! carried out or after.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll};

use jiff::{SignedDuration, Timestamp};
use rand::Rng;
use rand_pcg::Pcg64Mcg;
use tidegate_autoscaler::observation::{Account, Description, Metrics, Point};
use tidegate_autoscaler::port::{
    Clock, Found, LedgerStore, ServiceError, ServiceErrorKind, Stored, StreamService, Tally,
    Written,
};
use tidegate_autoscaler::shards::{Sample, Shard, ShardService};
use tidegate_local::cloud::Service;
use tidegate_local::ledger::Ledger;

/// What the calls of all invocations share.
pub struct Wire<'c> {
    pub service: Service<'c>,
    pub ledger: &'c Ledger,
    pub random: Mutex<Pcg64Mcg>,
    /// The share of calls that fail.
    pub failing: Mutex<f64>,
    /// Every UpdateShardCount that reached Kinesis: by which invocation, and why it was refused.
    pub updates: Mutex<Vec<(u32, Result<(), ServiceError>)>>,
    pub failed: Mutex<u64>,
}

/// The ports of one invocation.
pub struct Line<'w> {
    pub wire: &'w Wire<'w>,
    pub invocation: u32,
    /// How wrong its clock is.
    pub skew: SignedDuration,
}

/// Gives the scheduler a turn.
struct Turn(bool);

impl Future for Turn {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Line<'_> {
    /// Waits for a turn, and carries a call out, or not, or without telling so.
    async fn call<T>(
        &self,
        operation: &'static str,
        carry_out: impl AsyncFnOnce() -> Result<T, ServiceError>,
    ) -> Result<T, ServiceError> {
        Turn(false).await;
        let (fails, before, kind) = {
            let mut random = self.wire.random.lock().unwrap();
            let fails = random.random_bool(*self.wire.failing.lock().unwrap());
            let kinds = [
                ServiceErrorKind::Unavailable,
                ServiceErrorKind::Throttled,
                ServiceErrorKind::Denied,
                ServiceErrorKind::Invalid,
            ];
            let before = random.random_bool(0.5);
            // An answer that is lost is one that nobody gave.
            let kind = if before { random.random_range(0..kinds.len()) } else { 0 };
            (fails, before, kinds[kind])
        };
        let error = || {
            *self.wire.failed.lock().unwrap() += 1;
            Err(ServiceError { operation, kind, message: "it failed".to_owned() })
        };
        if fails && before {
            return error();
        }
        let done = pollster::block_on(carry_out());
        if fails { error() } else { done }
    }
}

impl StreamService for Line<'_> {
    async fn describe(&self, stream: &str) -> Result<Description, ServiceError> {
        self.call("DescribeStreamSummary", async || self.wire.service.describe(stream).await).await
    }

    async fn tags(&self, stream: &str) -> Result<BTreeMap<String, String>, ServiceError> {
        self.call("ListTagsForStream", async || self.wire.service.tags(stream).await).await
    }

    async fn metrics(
        &self,
        streams: &[String],
        from: Timestamp,
        to: Timestamp,
    ) -> Result<BTreeMap<String, Metrics>, ServiceError> {
        let read = async || self.wire.service.metrics(streams, from, to).await;
        self.call("GetMetricData", read).await
    }

    async fn account(&self) -> Result<Account, ServiceError> {
        self.call("DescribeLimits", async || self.wire.service.account().await).await
    }

    async fn set_tag(&self, stream: &str, key: &str, value: &str) -> Result<(), ServiceError> {
        let write = async || self.wire.service.set_tag(stream, key, value).await;
        self.call("AddTagsToStream", write).await
    }

    async fn update_shard_count(&self, stream: &str, target: u32) -> Result<(), ServiceError> {
        let update = async || {
            let done = self.wire.service.update_shard_count(stream, target).await;
            self.wire.updates.lock().unwrap().push((self.invocation, done.clone()));
            done
        };
        self.call("UpdateShardCount", update).await
    }

    async fn opted_in(&self) -> Result<Vec<Found>, ServiceError> {
        self.call("ListStreams", async || self.wire.service.opted_in().await).await
    }

    fn tally(&self) -> &Tally {
        self.wire.service.tally()
    }
}

impl ShardService for Line<'_> {
    async fn shards(&self, stream: &str) -> Result<Vec<Shard>, ServiceError> {
        self.call("ListShards", async || self.wire.service.shards(stream).await).await
    }

    async fn has_shard_metrics(&self, stream: &str) -> Result<bool, ServiceError> {
        let read = async || self.wire.service.has_shard_metrics(stream).await;
        self.call("DescribeStreamSummary", read).await
    }

    async fn shard_metrics(
        &self,
        stream: &str,
        shards: &[String],
        from: Timestamp,
        to: Timestamp,
    ) -> Result<BTreeMap<String, Metrics>, ServiceError> {
        let read = async || self.wire.service.shard_metrics(stream, shards, from, to).await;
        self.call("GetMetricData", read).await
    }

    async fn enable_shard_metrics(&self, stream: &str) -> Result<(), ServiceError> {
        let enable = async || self.wire.service.enable_shard_metrics(stream).await;
        self.call("EnableEnhancedMonitoring", enable).await
    }

    async fn disable_shard_metrics(&self, stream: &str) -> Result<(), ServiceError> {
        let disable = async || self.wire.service.disable_shard_metrics(stream).await;
        self.call("DisableEnhancedMonitoring", disable).await
    }

    async fn sample(&self, stream: &str, shard: &str) -> Result<Vec<Sample>, ServiceError> {
        self.call("GetRecords", async || self.wire.service.sample(stream, shard).await).await
    }

    async fn split_shard(
        &self,
        stream: &str,
        shard: &str,
        new_starting_hash: u128,
    ) -> Result<(), ServiceError> {
        let split = async || self.wire.service.split_shard(stream, shard, new_starting_hash).await;
        self.call("SplitShard", split).await
    }

    async fn consumers(&self, stream: &str) -> Result<Vec<String>, ServiceError> {
        self.call("ListStreamConsumers", async || self.wire.service.consumers(stream).await).await
    }

    async fn consumer_age(
        &self,
        stream: &str,
        consumers: &[String],
        from: Timestamp,
        to: Timestamp,
    ) -> Result<BTreeMap<String, Vec<Point>>, ServiceError> {
        let read = async || self.wire.service.consumer_age(stream, consumers, from, to).await;
        self.call("GetMetricData", read).await
    }
}

impl LedgerStore for Line<'_> {
    async fn read(&self, streams: &[String]) -> Result<BTreeMap<String, Stored>, ServiceError> {
        self.call("BatchGetItem", async || self.wire.ledger.read(streams).await).await
    }

    async fn write(
        &self,
        stream: &str,
        stored: &Stored,
        expected: u64,
    ) -> Result<Written, ServiceError> {
        let write = async || self.wire.ledger.write(stream, stored, expected).await;
        self.call("PutItem", write).await
    }

    fn tally(&self) -> &Tally {
        LedgerStore::tally(self.wire.ledger)
    }
}

impl Clock for Line<'_> {
    fn now(&self) -> Timestamp {
        self.wire.service.now() + self.skew
    }

    async fn sleep(&self, time: SignedDuration) {
        Turn(false).await;
        self.wire.service.sleep(time).await;
    }
}
