//! The autoscaler's port on the model.

mod shards;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use tidegate_autoscaler::observation::{self, Account, Capacity, Description, Point, Status};
use tidegate_autoscaler::port::{
    Clock, Found, ServiceError, ServiceErrorKind, StreamService, Tally,
};

use crate::metrics::{
    INCOMING_BYTES, INCOMING_RECORDS, ITERATOR_AGE, Metrics, Name, Reported, WRITE_THROTTLED,
};
use crate::stream::{Offered, Refused, Stream};

/// A stream and its metrics, at a moment.
pub struct Cloud {
    /// The stream.
    pub stream: Stream,
    /// Its metrics.
    pub metrics: Metrics,
    /// The present moment.
    pub now: Timestamp,
}

impl Cloud {
    /// Reports what was offered last: of the stream, and of its shards where they are watched.
    pub fn report(&mut self, offered: &Offered) {
        let now = self.now;
        self.metrics.put(INCOMING_BYTES, now, offered.accepted.bytes);
        self.metrics.put(INCOMING_RECORDS, now, offered.accepted.records);
        self.metrics.put(WRITE_THROTTLED, now, offered.rejected.records);
        if !self.stream.has_shard_metrics {
            return;
        }
        for shard in self.stream.shards().filter(|shard| shard.open) {
            let Offered { accepted, rejected, .. } = shard.offered;
            self.metrics.put_shard(INCOMING_BYTES, shard.number, now, accepted.bytes);
            self.metrics.put_shard(INCOMING_RECORDS, shard.number, now, accepted.records);
            self.metrics.put_shard(WRITE_THROTTLED, shard.number, now, rejected.records);
        }
    }

    fn description(&self) -> Description {
        Description {
            status: if self.stream.is_updating() { Status::Updating } else { Status::Active },
            capacity: Capacity::Provisioned,
            open_shards: self.stream.open_shards(),
        }
    }
}

/// The model, shared between what drives it and what is tested on it.
pub struct Service<'c> {
    cloud: &'c Mutex<Cloud>,
    tally: Tally,
}

impl<'c> Service<'c> {
    /// The ports on a model.
    pub fn new(cloud: &'c Mutex<Cloud>) -> Self {
        Self { cloud, tally: Tally::default() }
    }

    fn cloud(&self) -> MutexGuard<'_, Cloud> {
        self.cloud.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(
        &self,
        operation: &'static str,
        name: &str,
    ) -> Result<MutexGuard<'_, Cloud>, ServiceError> {
        self.tally.add(operation);
        let cloud = self.cloud();
        if cloud.stream.name() == name {
            return Ok(cloud);
        }
        let message = format!("ResourceNotFoundException: there is no stream {name}");
        Err(ServiceError { operation, kind: ServiceErrorKind::NotFound, message })
    }
}

impl StreamService for Service<'_> {
    async fn describe(&self, stream: &str) -> Result<Description, ServiceError> {
        Ok(self.known("DescribeStreamSummary", stream)?.description())
    }

    async fn metrics(
        &self,
        streams: &[String],
        from: Timestamp,
        to: Timestamp,
    ) -> Result<BTreeMap<String, observation::Metrics>, ServiceError> {
        self.tally.add("GetMetricData");
        let cloud = self.cloud();
        let read = |name: Name, statistic: fn(&Reported) -> f64| -> Vec<Point> {
            let seen = cloud.metrics.visible(name, from, to, cloud.now);
            seen.map(|(at, reported)| (at, statistic(reported))).collect()
        };
        let known = streams.iter().filter(|name| *name == cloud.stream.name());
        Ok(known
            .map(|name| {
                let metrics = observation::Metrics {
                    incoming_bytes: read(INCOMING_BYTES, |reported| reported.sum),
                    incoming_records: read(INCOMING_RECORDS, |reported| reported.sum),
                    write_throttled: read(WRITE_THROTTLED, |reported| reported.sum),
                    iterator_age_ms: read(ITERATOR_AGE, |reported| reported.maximum),
                    read_bytes: Vec::new(),
                };
                (name.clone(), metrics)
            })
            .collect())
    }

    async fn account(&self) -> Result<Account, ServiceError> {
        self.tally.add("DescribeLimits");
        let cloud = self.cloud();
        Ok(Account {
            shard_limit: cloud.stream.account_shards(),
            open_shards: cloud.stream.open_shards(),
        })
    }

    async fn tags(&self, stream: &str) -> Result<BTreeMap<String, String>, ServiceError> {
        Ok(self.known("ListTagsForStream", stream)?.stream.tags.clone())
    }

    async fn set_tag(&self, stream: &str, key: &str, value: &str) -> Result<(), ServiceError> {
        let mut cloud = self.known("AddTagsToStream", stream)?;
        cloud.stream.tags.insert(key.to_owned(), value.to_owned());
        Ok(())
    }

    async fn update_shard_count(&self, stream: &str, target: u32) -> Result<(), ServiceError> {
        let mut cloud = self.known("UpdateShardCount", stream)?;
        let now = cloud.now;
        let called = cloud.stream.update_shard_count(target, now);
        called.map_err(|refused| service_error("UpdateShardCount", refused))
    }

    async fn opted_in(&self) -> Result<Vec<Found>, ServiceError> {
        self.tally.add("ListStreams");
        let cloud = self.cloud();
        let (name, tags) = (cloud.stream.name().to_owned(), cloud.stream.tags.clone());
        let Description { status, capacity, .. } = cloud.description();
        let found = Found { name, tags, status, capacity };
        Ok(Some(found).filter(|found| Found::opts_in(&found.tags)).into_iter().collect())
    }

    fn tally(&self) -> &Tally {
        &self.tally
    }
}

impl Clock for Service<'_> {
    fn now(&self) -> Timestamp {
        self.cloud().now
    }

    /// Virtual time: it passes for everybody.
    async fn sleep(&self, time: SignedDuration) {
        let mut cloud = self.cloud();
        cloud.now += time;
        let now = cloud.now;
        cloud.stream.advance(now);
    }
}

/// A refusal as the SDK gives it.
fn service_error(operation: &'static str, refused: Refused) -> ServiceError {
    let (kind, code) = match refused {
        Refused::InUse => (ServiceErrorKind::InUse, "ResourceInUseException"),
        Refused::CallsSpent | Refused::AccountLimit => {
            (ServiceErrorKind::LimitExceeded, "LimitExceededException")
        }
        Refused::Step | Refused::Range => (ServiceErrorKind::Invalid, "InvalidArgumentException"),
    };
    ServiceError { operation, kind, message: format!("{code}: {refused}") }
}
