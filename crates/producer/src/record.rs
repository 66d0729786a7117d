//! What is sent, and what became of it.

use std::sync::Arc;

/// A PUT payload unit ("Amazon Kinesis Data Streams FAQs", 2026-11).
const PUT_UNIT_BYTES: usize = 25_600;

/// The longest partition key, in characters (PutRecords, Kinesis API reference, 2026-11).
pub(crate) const KEY_CHARS_MAX: usize = 256;

/// A record that is to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its place in the input, growing: what is settled is named by it, and records of one key are
    /// sent in its order.
    pub place: u64,
    /// The partition key: 1 to 256 characters.
    pub partition_key: String,
    /// The explicit hash key, where it is not the MD5 of the partition key that chooses the shard.
    pub explicit_hash_key: Option<u128>,
    /// The payload.
    pub data: Vec<u8>,
}

impl Record {
    /// A record whose shard follows from its partition key.
    pub fn new(place: u64, partition_key: impl Into<String>, data: Vec<u8>) -> Self {
        Self { place, partition_key: partition_key.into(), explicit_hash_key: None, data }
    }

    /// What counts towards the limits of a record, a request and a shard: payload and key.
    pub fn size_bytes(&self) -> usize {
        self.partition_key.len() + self.data.len()
    }

    /// What chooses the shard.
    pub(crate) fn hash_key(&self) -> u128 {
        self.explicit_hash_key.unwrap_or_else(|| tidegate_kpl::hash_key(&self.partition_key))
    }
}

/// One entry of a PutRecords request: a record as it was offered, or an aggregate of several, whose
/// place means nothing. It is shared with what waits for its answer, since a copy of each record
/// would be the larger part of sending it.
pub type Entry = Arc<Record>;

/// An open shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shard {
    /// `ShardId`.
    pub id: String,
    /// `StartingHashKey`.
    pub start: u128,
    /// `EndingHashKey`.
    pub end: u128,
}

/// What became of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// The record's place.
    pub place: u64,
    /// `None` when it is in the stream.
    pub rejected: Option<Box<Rejection>>,
}

/// A record that will not be sent any more, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// A stable word: `too_large`, `key_empty`, `key_too_long`, `gave_up`.
    pub reason: &'static str,
    /// A sentence.
    pub message: String,
    /// The record itself.
    pub record: Record,
}

/// What was done, in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Records that are in the stream.
    pub stored: u64,
    /// Their payload.
    pub stored_bytes: u64,
    /// Entries of PutRecords that are in the stream: fewer than records where they are aggregated.
    pub entries: u64,
    /// PUT payload units of these entries, which is what is billed.
    pub payload_units: u64,
    /// Records that were rejected for good.
    pub rejected: u64,
    /// PutRecords requests that were made.
    pub requests: u64,
    /// Records that were sent again, counted each time.
    pub retried: u64,
    /// Of these, records whose request was not answered: they may be in the stream twice.
    pub unanswered: u64,
    /// Answers about a record that spoke of a shard's limits.
    pub throttled: u64,
    /// Aggregates that a reshard has put into another shard than they were packed for.
    pub misplaced: u64,
}

/// What a record of so many bytes costs: each begun 25 KB is a PUT payload unit.
pub const fn payload_units(bytes: usize) -> u64 {
    let units = bytes.div_ceil(PUT_UNIT_BYTES);
    if units == 0 { 1 } else { units as u64 }
}
