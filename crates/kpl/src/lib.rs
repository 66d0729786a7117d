#![doc = include_str!("../README.md")]
#![no_std]

extern crate alloc;

mod decode;
mod digest;
mod encode;
mod hash;
mod wire;

pub use decode::{
    Aggregate, DecodeError, Decoded, Limits, Malformed, Records, SubRecord, UserRecord, decode,
    decode_all,
};
pub use encode::{Aggregated, Aggregator, PushError};
pub use hash::{HashRange, hash_key};

/// What every aggregate begins with (`aggregation-format.md` of awslabs/amazon-kinesis-producer,
/// 2026-11, as everything about the format here).
pub const MAGIC: [u8; 4] = [0xF3, 0x89, 0x9A, 0xC2];

/// The MD5 digest of the message, at the end of every aggregate.
const DIGEST_BYTES: usize = 16;

/// Bytes of an aggregate that are not the message: the magic bytes and the digest.
pub const OVERHEAD_BYTES: usize = MAGIC.len() + DIGEST_BYTES;

/// The partition key under which the Kinesis Producer Library puts every aggregate of more than one
/// record; the explicit hash key beside it chooses the shard.
pub const PARTITION_KEY: &str = "a";

/// `AggregatedRecord` of the format's `messages.proto`.
mod aggregated_record {
    pub(crate) const PARTITION_KEY_TABLE: u32 = 1;
    pub(crate) const EXPLICIT_HASH_KEY_TABLE: u32 = 2;
    pub(crate) const RECORDS: u32 = 3;
}

/// `Record` of the format's `messages.proto`. Its `tags` (4) nobody writes; they are skipped.
mod record {
    pub(crate) const PARTITION_KEY_INDEX: u32 = 1;
    pub(crate) const EXPLICIT_HASH_KEY_INDEX: u32 = 2;
    pub(crate) const DATA: u32 = 3;
}
