//! Shards: hash ranges, lineage, and the records that readers have not yet taken.

use std::collections::VecDeque;
use std::sync::Arc;

use jiff::Timestamp;
use md5::{Digest, Md5};
use tidegate_autoscaler::shards::Sample;

use crate::stream::Offered;

/// Records of a shard that a sample holds at the most.
const MOST_SAMPLED: usize = 2_000;

/// One record, as it is kept in a shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its place in the shard: 56 digits, growing over the whole stream.
    pub sequence_number: String,
    /// The producer's key.
    pub partition_key: String,
    /// The payload.
    pub data: Vec<u8>,
    /// When it was accepted.
    pub arrival: Timestamp,
}

/// An inclusive range of the 128-bit space of hashed partition keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HashRange {
    /// The first key.
    pub start: u128,
    /// The last key.
    pub end: u128,
}

impl HashRange {
    /// Whether a key belongs here.
    pub const fn contains(&self, key: u128) -> bool {
        self.start <= key && key <= self.end
    }

    /// The share of all keys.
    #[expect(clippy::cast_precision_loss, reason = "a share; shards are far wider than 2^75 keys")]
    pub fn share(&self) -> f64 {
        ((self.end - self.start) as f64 + 1.0) / (u128::MAX as f64 + 1.0)
    }
}

/// The identifier of a shard.
pub fn shard_id(number: u32) -> String {
    format!("shardId-{number:012}")
}

/// The hash key of a partition key: MD5, read as an unsigned number ("PartitionKey" in the API
/// reference of PutRecord, 2026-11).
pub fn hash_key(partition_key: &str) -> u128 {
    u128::from_be_bytes(Md5::digest(partition_key.as_bytes()).into())
}

/// A shard, open or closed.
#[derive(Debug, Clone)]
pub struct Shard {
    /// Its number; Kinesis writes it as `shardId-` and twelve digits.
    pub number: u32,
    /// Its keys.
    pub range: HashRange,
    /// The shards it was made from: one after a split, two after a merge. In the place of one that
    /// was closed before it took a record stand those that it was made from.
    pub parents: Vec<u32>,
    /// The first of them as ListShards names it, whatever became of it.
    pub parent: Option<u32>,
    /// Whether it still takes records.
    pub open: bool,
    /// What each reader has not yet taken.
    unread: Vec<VecDeque<Arc<Record>>>,
    /// Whether it never took a record.
    pub(crate) unused: bool,
    /// How much of a rejected record is owed: records stand for a volume, and are rejected in the
    /// proportion in which the volume is.
    pub(crate) owed: f64,
    /// What was offered to it last.
    pub offered: Offered,
    /// The newest records that it took.
    sampled: VecDeque<Sample>,
}

impl Shard {
    pub(crate) fn new(number: u32, range: HashRange, parents: Vec<u32>, readers: usize) -> Self {
        Self {
            number,
            range,
            parent: parents.first().copied(),
            parents,
            open: true,
            unread: vec![VecDeque::new(); readers],
            unused: true,
            owed: 0.0,
            offered: Offered::default(),
            sampled: VecDeque::new(),
        }
    }

    /// Its identifier.
    pub fn id(&self) -> String {
        shard_id(self.number)
    }

    /// The newest records that it took.
    pub fn sample(&self) -> Vec<Sample> {
        self.sampled.iter().copied().collect()
    }

    pub(crate) fn push(&mut self, record: &Arc<Record>) {
        self.unused = false;
        if self.sampled.len() == MOST_SAMPLED {
            self.sampled.pop_front();
        }
        let bytes = record.data.len() + record.partition_key.len();
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.sampled.push_back(Sample { hash: hash_key(&record.partition_key), bytes });
        for queue in &mut self.unread {
            queue.push_back(record.clone());
        }
    }

    /// Takes up to `most` records for a reader, oldest first.
    pub(crate) fn take(&mut self, reader: usize, most: usize) -> Vec<Arc<Record>> {
        let queue = &mut self.unread[reader];
        let count = most.min(queue.len());
        queue.drain(..count).collect()
    }

    /// What a reader has not yet taken.
    pub fn unread(&self, reader: usize) -> usize {
        self.unread[reader].len()
    }

    /// When the oldest record that a reader has not yet taken was accepted.
    pub fn oldest_unread(&self, reader: usize) -> Option<Timestamp> {
        self.unread[reader].front().map(|record| record.arrival)
    }
}
