//! The autoscaler's port on the model.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tidegate_autoscaler::observation::{self, Account, Capacity, Description, Point, Status};
use tidegate_autoscaler::port::{Found, ServiceError, ServiceErrorKind, StreamService};

use crate::metrics::{
    INCOMING_BYTES, INCOMING_RECORDS, ITERATOR_AGE, Metrics, Name, Reported, WRITE_THROTTLED,
};
use crate::stream::{Refused, Stream};

/// A stream and its metrics, at a moment.
pub struct Cloud {
    /// The stream.
    pub stream: Stream,
    /// Its metrics.
    pub metrics: Metrics,
    /// The present moment.
    pub now: Timestamp,
}

/// The model, shared between what drives it and what is tested on it.
pub struct Service<'c>(pub &'c Mutex<Cloud>);

impl Service<'_> {
    fn cloud(&self) -> MutexGuard<'_, Cloud> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(
        &self,
        operation: &'static str,
        name: &str,
    ) -> Result<MutexGuard<'_, Cloud>, ServiceError> {
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
        let cloud = self.known("DescribeStreamSummary", stream)?;
        Ok(Description {
            status: if cloud.stream.is_updating() { Status::Updating } else { Status::Active },
            capacity: Capacity::Provisioned,
            open_shards: cloud.stream.open_shards(),
        })
    }

    async fn metrics(
        &self,
        streams: &[String],
        from: Timestamp,
        to: Timestamp,
    ) -> Result<BTreeMap<String, observation::Metrics>, ServiceError> {
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
                };
                (name.clone(), metrics)
            })
            .collect())
    }

    async fn account(&self) -> Result<Account, ServiceError> {
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
        cloud.stream.update_shard_count(target, now).map_err(|refused| {
            let (kind, code) = match refused {
                Refused::InUse => (ServiceErrorKind::InUse, "ResourceInUseException"),
                Refused::CallsSpent | Refused::AccountLimit => {
                    (ServiceErrorKind::LimitExceeded, "LimitExceededException")
                }
                Refused::Step => (ServiceErrorKind::Invalid, "InvalidArgumentException"),
            };
            let message = format!("{code}: {refused}");
            ServiceError { operation: "UpdateShardCount", kind, message }
        })
    }

    async fn opted_in(&self) -> Result<Vec<Found>, ServiceError> {
        let (name, tags) = {
            let cloud = self.cloud();
            (cloud.stream.name().to_owned(), cloud.stream.tags.clone())
        };
        if !Found::opts_in(&tags) {
            return Ok(Vec::new());
        }
        let Description { status, capacity, .. } = self.describe(&name).await?;
        Ok(vec![Found { name, tags, status, capacity }])
    }
}
