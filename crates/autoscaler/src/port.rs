//! What the autoscaler needs of its surroundings, in our own words: the streams, the ledger, and
//! the time.
//!
//! `tidegate-aws` implements the ports on the AWS SDK, `tidegate-local` on the embedded model.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

use crate::decision::Reason;
use crate::observation::{Account, Capacity, Description, Metrics, Status};

/// The operations on streams and their metrics.
pub trait StreamService: Sync {
    /// DescribeStreamSummary.
    fn describe(
        &self,
        stream: &str,
    ) -> impl Future<Output = Result<Description, ServiceError>> + Send;

    /// ListTagsForStream.
    fn tags(
        &self,
        stream: &str,
    ) -> impl Future<Output = Result<BTreeMap<String, String>, ServiceError>> + Send;

    /// GetMetricData: the four metrics of each stream by the minute, with as few requests as hold
    /// them, and all pages. A stream without a point may be missing in the answer.
    fn metrics(
        &self,
        streams: &[String],
        from: Timestamp,
        to: Timestamp,
    ) -> impl Future<Output = Result<BTreeMap<String, Metrics>, ServiceError>> + Send;

    /// DescribeLimits.
    fn account(&self) -> impl Future<Output = Result<Account, ServiceError>> + Send;

    /// AddTagsToStream, one tag.
    fn set_tag(
        &self,
        stream: &str,
        key: &str,
        value: &str,
    ) -> impl Future<Output = Result<(), ServiceError>> + Send;

    /// UpdateShardCount, uniform. Sent once: a call that was refused may count towards the ten of
    /// the day.
    fn update_shard_count(
        &self,
        stream: &str,
        target: u32,
    ) -> impl Future<Output = Result<(), ServiceError>> + Send;

    /// Every stream that carries the tag [`OPT_IN_TAG`] with a value other than `false`, in any
    /// order, each once.
    fn opted_in(&self) -> impl Future<Output = Result<Vec<Found>, ServiceError>> + Send;

    /// The requests that were sent.
    fn tally(&self) -> &Tally;
}

/// Requests by their operation, as they were sent: each page of an answer counts.
#[derive(Debug, Default)]
pub struct Tally(Mutex<BTreeMap<&'static str, u64>>);

impl Tally {
    /// Counts one request.
    pub fn add(&self, operation: &'static str) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(operation).or_default() += 1;
    }

    /// What was counted since the last time that this was asked.
    pub fn take(&self) -> BTreeMap<&'static str, u64> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The tag by which a stream asks to be kept the right size, with any value but `false`.
pub const OPT_IN_TAG: &str = "tidegate:autoscale";

/// A stream that opted in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The stream's name.
    pub name: String,
    /// All its tags.
    pub tags: BTreeMap<String, String>,
    /// Its state.
    pub status: Status,
    /// Its capacity mode.
    pub capacity: Capacity,
}

impl Found {
    /// Whether these tags opt a stream in.
    pub fn opts_in(tags: &BTreeMap<String, String>) -> bool {
        tags.get(OPT_IN_TAG).is_some_and(|value| value != "false")
    }
}

/// Where what is known of each stream is kept between two runs.
pub trait LedgerStore: Sync {
    /// BatchGetItem with consistent reads, as many requests as hold the streams. A stream without
    /// an item is missing in the answer; an item that could not be read is an error.
    fn read(
        &self,
        streams: &[String],
    ) -> impl Future<Output = Result<BTreeMap<String, Stored>, ServiceError>> + Send;

    /// PutItem on the condition that the revision that is stored is `expected`, where zero means
    /// that there is no item.
    fn write(
        &self,
        stream: &str,
        stored: &Stored,
        expected: u64,
    ) -> impl Future<Output = Result<Written, ServiceError>> + Send;

    /// The requests that were sent.
    fn tally(&self) -> &Tally;
}

/// For a function that has no ledger table: nobody has one of these.
#[derive(Debug, Clone, Copy)]
pub enum NoLedger {}

impl LedgerStore for NoLedger {
    async fn read(&self, _: &[String]) -> Result<BTreeMap<String, Stored>, ServiceError> {
        match *self {}
    }

    async fn write(&self, _: &str, _: &Stored, _: u64) -> Result<Written, ServiceError> {
        match *self {}
    }

    fn tally(&self) -> &Tally {
        match *self {}
    }
}

/// One item of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// One more with every write.
    pub revision: u64,
    /// The entry as text; the engine reads and writes it.
    pub text: String,
}

/// What became of a conditional write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// It stands.
    Done,
    /// Somebody else wrote since it was read; nothing was changed.
    Conflict,
}

/// The time, and waiting for it to pass.
pub trait Clock: Sync {
    /// The present moment.
    fn now(&self) -> Timestamp;

    /// Ends when that much time has passed.
    fn sleep(&self, time: SignedDuration) -> impl Future<Output = ()> + Send;
}

/// What went wrong with a call, by what follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceErrorKind {
    /// The stream does not exist.
    NotFound,
    /// The stream is being changed.
    InUse,
    /// A limit of the service or the account.
    LimitExceeded,
    /// Too many requests; the SDK's own retries are spent.
    Throttled,
    /// The function's role may not.
    Denied,
    /// The request was refused as not valid.
    Invalid,
    /// No answer, or an error of the service.
    Unavailable,
}

/// A call to AWS that failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{operation}: {message}")]
pub struct ServiceError {
    /// The operation, as in the API reference.
    pub operation: &'static str,
    /// What follows from it.
    pub kind: ServiceErrorKind,
    /// What AWS said.
    pub message: String,
}

/// What follows from a call that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Consequence {
    /// The reason to hold.
    pub reason: Reason,
    /// Whether a refused UpdateShardCount is taken to be one of the ten of the day. Where it is not
    /// known, it is.
    pub counts: bool,
    /// Whether a refused UpdateShardCount, while calls were left, says that others made them.
    pub of_others: bool,
}

impl ServiceError {
    /// The one consequence of each kind of error.
    pub const fn consequence(&self) -> Consequence {
        let (reason, counts, of_others) = match self.kind {
            // Refused before Kinesis looked at the stream: that cannot have counted.
            ServiceErrorKind::NotFound => (Reason::StreamNotFound, false, false),
            ServiceErrorKind::Denied => (Reason::AccessDenied, false, false),
            ServiceErrorKind::InUse => (Reason::StreamUpdating, true, false),
            // Also the answer to too many shards in the account. Which of the two it was shows
            // after the hour that the booked calls hold the stream for.
            ServiceErrorKind::LimitExceeded => (Reason::ServiceLimit, true, true),
            ServiceErrorKind::Throttled => (Reason::ServiceThrottled, true, false),
            ServiceErrorKind::Invalid => (Reason::ServiceRefused, true, false),
            // It may have been carried out.
            ServiceErrorKind::Unavailable => (Reason::ServiceUnavailable, true, false),
        };
        Consequence { reason, counts, of_others }
    }

    /// The reason to hold.
    pub const fn reason(&self) -> Reason {
        self.consequence().reason
    }
}
