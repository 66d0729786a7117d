//! From user records to the data of a Kinesis record.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::error::Error;
use core::fmt;

use md5::{Digest, Md5};

use crate::wire::{bytes_size, number_size, write_bytes, write_length, write_number};
use crate::{MAGIC, OVERHEAD_BYTES, aggregated_record, hash_key, record};

/// Collects user records into aggregates.
///
/// ```
/// use tidegate_kpl::{Aggregator, PushError};
///
/// let mut aggregator = Aggregator::new(51_200);
/// let mut full = Vec::new();
/// for order in 0..5_000 {
///     let (key, data) = (format!("customer-{}", order % 100), format!("order {order}"));
///     if aggregator.push(&key, None, data.as_bytes()) == Err(PushError::Full) {
///         full.extend(aggregator.take());
///         aggregator.push(&key, None, data.as_bytes())?;
///     }
/// }
/// full.extend(aggregator.take());
/// assert_eq!(full.len(), 2);
/// # Ok::<(), PushError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Aggregator {
    bytes_max: usize,
    partition_keys: Table<String>,
    explicit_hash_keys: Table<u128>,
    records: Vec<u8>,
    len: usize,
    hash_key: u128,
}

/// An aggregate to be put into a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aggregated {
    /// The explicit hash key of the put: that of the first record, which therefore lies in its
    /// shard. Others may not; give an aggregator records of one shard only where consumers use KCL.
    pub explicit_hash_key: u128,
    /// The data of the put. The partition key beside it is up to the caller; the Kinesis Producer
    /// Library uses [`PARTITION_KEY`](crate::PARTITION_KEY).
    pub data: Vec<u8>,
}

/// Why a record was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PushError {
    /// It does not fit any more: take the aggregate and push again.
    Full,
    /// It does not even fit alone.
    TooLarge {
        /// The bytes of an aggregate of this record.
        bytes: usize,
        /// The bytes that an aggregate may have.
        bytes_max: usize,
    },
}

impl fmt::Display for PushError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("the aggregate is full"),
            Self::TooLarge { bytes, bytes_max } => {
                write!(
                    f,
                    "an aggregate of this record has {bytes} bytes, and {bytes_max} are allowed"
                )
            }
        }
    }
}

impl Error for PushError {}

impl Aggregator {
    /// Collects aggregates of at most so many bytes, all of them counted.
    pub const fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            partition_keys: Table::new(aggregated_record::PARTITION_KEY_TABLE),
            explicit_hash_keys: Table::new(aggregated_record::EXPLICIT_HASH_KEY_TABLE),
            records: Vec::new(),
            len: 0,
            hash_key: 0,
        }
    }

    /// How many records were pushed since the last aggregate.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing was pushed since the last aggregate.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The bytes of the aggregate as it is.
    pub const fn size_bytes(&self) -> usize {
        let tables = self.partition_keys.encoded.len() + self.explicit_hash_keys.encoded.len();
        OVERHEAD_BYTES + tables + self.records.len()
    }

    /// Adds a record, in the order in which a consumer will see it.
    ///
    /// # Errors
    /// When it does not fit; nothing is changed then.
    pub fn push(
        &mut self,
        partition_key: &str,
        explicit_hash_key: Option<u128>,
        data: &[u8],
    ) -> Result<(), PushError> {
        let key = self.partition_keys.place(partition_key);
        let text = explicit_hash_key.map(|key| key.to_string());
        let hash_key_place = explicit_hash_key.map(|key| self.explicit_hash_keys.place(&key));
        let size =
            number_size(key) + hash_key_place.map_or(0, number_size) + bytes_size(data.len());

        let added = |is_new: bool, key: &str| if is_new { bytes_size(key.len()) } else { 0 };
        let is_new = self.partition_keys.is_new(key);
        let is_new_hash = hash_key_place.is_some_and(|place| self.explicit_hash_keys.is_new(place));
        let hash_text = text.as_deref().unwrap_or_default();
        let grown = bytes_size(size) + added(is_new, partition_key) + added(is_new_hash, hash_text);
        if self.size_bytes() + grown > self.bytes_max {
            return Err(self.refused(partition_key, hash_text, data));
        }

        if is_new {
            self.partition_keys.add(partition_key.to_string(), partition_key);
        }
        if let Some(number) = explicit_hash_key.filter(|_| is_new_hash) {
            self.explicit_hash_keys.add(number, hash_text);
        }
        write_length(&mut self.records, aggregated_record::RECORDS, size);
        write_number(&mut self.records, record::PARTITION_KEY_INDEX, key);
        if let Some(place) = hash_key_place {
            write_number(&mut self.records, record::EXPLICIT_HASH_KEY_INDEX, place);
        }
        write_bytes(&mut self.records, record::DATA, data);
        if self.len == 0 {
            self.hash_key = explicit_hash_key.unwrap_or_else(|| hash_key(partition_key));
        }
        self.len += 1;
        Ok(())
    }

    /// Whether a record that does not fit would fit alone.
    fn refused(&self, partition_key: &str, hash_text: &str, data: &[u8]) -> PushError {
        let hash = if hash_text.is_empty() { (0, 0) } else { (2, bytes_size(hash_text.len())) };
        let record = bytes_size(number_size(0) + hash.0 + bytes_size(data.len()));
        let bytes = OVERHEAD_BYTES + bytes_size(partition_key.len()) + hash.1 + record;
        if bytes > self.bytes_max {
            PushError::TooLarge { bytes, bytes_max: self.bytes_max }
        } else {
            PushError::Full
        }
    }

    /// Ends the aggregate and begins the next; `None` when nothing was pushed.
    pub fn take(&mut self) -> Option<Aggregated> {
        let whole = core::mem::replace(self, Self::new(self.bytes_max));
        if whole.is_empty() {
            return None;
        }
        let mut data = Vec::with_capacity(whole.size_bytes());
        data.extend_from_slice(&MAGIC);
        data.extend_from_slice(&whole.partition_keys.encoded);
        data.extend_from_slice(&whole.explicit_hash_keys.encoded);
        data.extend_from_slice(&whole.records);
        let digest = Md5::digest(&data[MAGIC.len()..]);
        data.extend_from_slice(&digest);
        Some(Aggregated { explicit_hash_key: whole.hash_key, data })
    }
}

/// A table of keys: each once, and as it will be written.
#[derive(Debug, Clone)]
struct Table<K> {
    field: u32,
    places: BTreeMap<K, u64>,
    encoded: Vec<u8>,
}

impl<K: Ord> Table<K> {
    const fn new(field: u32) -> Self {
        Self { field, places: BTreeMap::new(), encoded: Vec::new() }
    }

    /// The place of a key, also one that is still to be added.
    fn place<Q: Ord + ?Sized>(&self, key: &Q) -> u64
    where
        K: core::borrow::Borrow<Q>,
    {
        self.places.get(key).copied().unwrap_or(self.places.len() as u64)
    }

    fn is_new(&self, place: u64) -> bool {
        place == self.places.len() as u64
    }

    fn add(&mut self, key: K, text: &str) {
        let place = self.places.len() as u64;
        self.places.insert(key, place);
        write_bytes(&mut self.encoded, self.field, text.as_bytes());
    }
}
