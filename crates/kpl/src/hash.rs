//! Which shard a record belongs to.

use md5::{Digest, Md5};

/// The hash key of a partition key: its MD5, as Kinesis computes it ("Kinesis Data Streams
/// terminology and concepts", 2026-11).
pub fn hash_key(partition_key: &str) -> u128 {
    u128::from_be_bytes(Md5::digest(partition_key).into())
}

/// The hash keys of a shard, both ends included, as ListShards gives them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HashRange {
    /// `StartingHashKey`.
    pub start: u128,
    /// `EndingHashKey`.
    pub end: u128,
}

impl HashRange {
    /// Whether a hash key belongs to the shard.
    pub const fn contains(&self, hash_key: u128) -> bool {
        self.start <= hash_key && hash_key <= self.end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_that_of_kinesis() {
        // MD5("a") = 0cc175b9c0f1b6a831c399e269772661 (RFC 1321, appendix A.5).
        assert_eq!(hash_key("a"), 0x0cc1_75b9_c0f1_b6a8_31c3_99e2_6977_2661);
        assert_eq!(hash_key(""), 0xd41d_8cd9_8f00_b204_e980_0998_ecf8_427e);
    }

    #[test]
    fn both_ends_belong_to_the_shard() {
        let range = HashRange { start: 5, end: 7 };
        let inside = [4, 5, 6, 7, 8].map(|key| range.contains(key));
        assert_eq!(inside, [false, true, true, true, false]);
    }
}
