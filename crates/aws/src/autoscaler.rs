//! The autoscaler's ports on AWS, a file a service.

mod alarms;
mod cloudwatch;
mod discovery;
mod errors;
mod kinesis;
mod ledger;
mod pace;
mod shards;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use jiff::Timestamp;
use tidegate_autoscaler::port::Tally;

pub use ledger::Ledger;

use self::pace::{Pace, Paces};
use crate::Config;

/// Kinesis, CloudWatch, and the tags of all streams.
#[derive(Debug, Clone)]
pub struct Aws {
    kinesis: aws_sdk_kinesis::Client,
    cloudwatch: aws_sdk_cloudwatch::Client,
    tagging: aws_sdk_resourcegroupstagging::Client,
    paces: Arc<Paces>,
    tally: Arc<Tally>,
    now: fn() -> Timestamp,
    /// Whether the readers' side of streams is asked for.
    reads: bool,
}

impl Aws {
    /// Makes the clients; no call is made. `now` says where a sample of records begins.
    pub fn new(config: &Config, now: fn() -> Timestamp) -> Self {
        Self {
            kinesis: aws_sdk_kinesis::Client::new(config.sdk()),
            cloudwatch: aws_sdk_cloudwatch::Client::new(config.sdk()),
            tagging: aws_sdk_resourcegroupstagging::Client::new(config.sdk()),
            paces: Arc::default(),
            tally: Arc::default(),
            now,
            reads: false,
        }
    }

    /// Whether what consumers read counts as demand: one more metric a stream at each look.
    #[must_use]
    pub fn with_reads(self, reads: bool) -> Self {
        Self { reads, ..self }
    }

    /// Before each request of an operation that an account has few of: waits for its turn, and
    /// counts it.
    async fn turn(&self, operation: &'static str, pace: &Pace) {
        pace.turn().await;
        self.tally.add(operation);
    }
}
