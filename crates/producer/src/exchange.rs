//! What the caller and the producer tell each other.

use std::sync::Arc;
use std::time::Duration;

use crate::pace::Limit;
use crate::record::Entry;

/// How to send.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Sends a record only when every earlier one of its key is settled.
    pub ordered: bool,
    /// Packs records of one shard into aggregates of at most so many bytes. The Kinesis Producer
    /// Library makes 51,200 of it.
    pub aggregate_bytes: Option<usize>,
    /// How long a record waits for others to travel with.
    pub linger: Duration,
    /// Requests in flight at the same time.
    pub requests_max: usize,
    /// Bytes that wait here at the most, before [`Producer::offer`](crate::Producer::offer) takes no more.
    pub buffer_bytes: usize,
    /// The stream's limit on a record, key counted: 1 MiB unless it was raised, up to 10 MiB
    /// ("Quotas and limits", 2026-11).
    pub record_bytes_max: usize,
    /// How long a record is tried before it is rejected.
    pub give_up_after: Duration,
    /// What the caller allows.
    pub limit: Limit,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            ordered: false,
            aggregate_bytes: None,
            linger: Duration::from_millis(100),
            requests_max: 4,
            buffer_bytes: 32 << 20,
            record_bytes_max: 1 << 20,
            give_up_after: Duration::from_mins(5),
            limit: Limit::default(),
        }
    }
}

/// A PutRecords request to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What [`Producer::answered`](crate::Producer::answered) is told it by.
    pub id: u64,
    /// What to put, in this order.
    pub entries: Vec<Entry>,
}

/// What the service answered about one entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It is in the stream.
    Stored {
        /// The shard.
        shard_id: Arc<str>,
    },
    /// It is not.
    Refused {
        /// `ErrorCode`.
        code: String,
        /// `ErrorMessage`.
        message: String,
    },
}

/// Why a whole request was not answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// Nothing of it is in the stream, and the next time may go well: throttled.
    Refused(String),
    /// It may go well the next time, and whether it did this time nobody knows: no answer, or the
    /// service's own trouble. What is sent again may be in the stream twice.
    Unanswered(String),
    /// It will not: the caller is to stop, and finds what is left in [`Producer::left`](crate::Producer::left).
    Lasting,
}

/// What the caller does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Call PutRecords, and [`Producer::answered`](crate::Producer::answered) with what became of it. More may be asked for
    /// meanwhile.
    Put(Request),
    /// Call ListShards for the open shards, and [`Producer::shards`](crate::Producer::shards) with them.
    ListShards,
    /// Wait for an answer, for another record, or for so long; then ask again.
    Wait(Option<Duration>),
    /// Everything is settled, and nothing more will come.
    Done,
}
