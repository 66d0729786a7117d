//! User records as the tests write them down.

use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use tidegate_kpl::{Aggregate, Aggregated, Aggregator, Decoded, Limits, UserRecord, decode};

/// A user record as `vectors.json` and `peer.py` have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    pub partition_key: String,
    pub explicit_hash_key: Option<String>,
    /// In hexadecimal.
    pub data: String,
}

impl Written {
    pub fn new(partition_key: &str, explicit_hash_key: Option<u128>, data: &[u8]) -> Self {
        Self {
            partition_key: partition_key.to_owned(),
            explicit_hash_key: explicit_hash_key.map(|key| key.to_string()),
            data: hex(data),
        }
    }

    fn of(record: UserRecord<'_>) -> Self {
        Self::new(record.partition_key, record.explicit_hash_key, record.data)
    }

    pub fn hash_key(&self) -> Option<u128> {
        self.explicit_hash_key.as_deref().map(|key| key.parse().unwrap())
    }
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn bytes(hex: &str) -> Vec<u8> {
    hex.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// One aggregate of all of the records.
pub fn aggregated(records: &[Written]) -> Aggregated {
    let mut aggregator = Aggregator::new(usize::MAX);
    for record in records {
        let data = bytes(&record.data);
        aggregator.push(&record.partition_key, record.hash_key(), &data).unwrap();
    }
    assert_eq!(aggregator.len(), records.len());
    let size = aggregator.size_bytes();
    let aggregated = aggregator.take().unwrap();
    assert_eq!((aggregated.data.len(), aggregator.len()), (size, 0));
    aggregated
}

pub fn aggregate(data: &[u8]) -> Aggregate<'_> {
    match decode(data, &Limits::default()) {
        Ok(Decoded::Aggregate(aggregate)) => aggregate,
        other => panic!("{other:?}"),
    }
}

/// The user records of an aggregate of which no entry is malformed.
pub fn taken_apart(data: &[u8]) -> Vec<Written> {
    let aggregate = aggregate(data);
    let records = aggregate.records();
    assert_eq!(records.len(), aggregate.len());
    let numbers: Vec<_> = aggregate.records().map(|record| record.sub_sequence_number).collect();
    assert_eq!(numbers, (0..aggregate.len() as u64).collect::<Vec<_>>());
    records.map(|record| Written::of(record.content.unwrap())).collect()
}

/// Records whose keys are often the same.
pub fn any_records() -> impl Strategy<Value = Vec<Written>> {
    let key = prop_oneof![3 => "[a-d]", 1 => ".{1,40}", 1 => "[a-z]{120,130}"];
    let hash_key = prop_oneof![
        3 => Just(None),
        1 => (0_u128..4).prop_map(Some),
        1 => any::<u128>().prop_map(Some),
    ];
    let data = prop_oneof![
        20 => prop::collection::vec(any::<u8>(), 0..40),
        5 => prop::collection::vec(any::<u8>(), 100..140),
        1 => (16_370_usize..16_390).prop_map(|length| vec![7; length]),
    ];
    let record =
        (key, hash_key, data).prop_map(|(key, hash_key, data)| Written::new(&key, hash_key, &data));
    prop::collection::vec(record, 1..40)
}
