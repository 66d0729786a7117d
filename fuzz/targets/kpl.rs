//! Aggregates of the Kinesis Producer Library: any bytes, and any message with its digest made right,
//! which is then read by `prost` as well.

#![no_main]

use libfuzzer_sys::fuzz_target;
use md5::{Digest, Md5};
use prost::Message;
use tidegate_kpl::{DecodeError, Decoded, Limits, MAGIC, Malformed, decode, decode_all};

/// Tables of bytes: a key that is no text is the fault of the entry that uses it.
#[derive(Message)]
struct AggregatedRecord {
    #[prost(bytes = "vec", repeated, tag = "1")]
    partition_key_table: Vec<Vec<u8>>,
    #[prost(bytes = "vec", repeated, tag = "2")]
    explicit_hash_key_table: Vec<Vec<u8>>,
    #[prost(message, repeated, tag = "3")]
    records: Vec<Record>,
}

#[derive(Message)]
struct Record {
    #[prost(uint64, optional, tag = "1")]
    partition_key_index: Option<u64>,
    #[prost(uint64, optional, tag = "2")]
    explicit_hash_key_index: Option<u64>,
    #[prost(bytes = "vec", optional, tag = "3")]
    data: Option<Vec<u8>>,
}

fuzz_target!(|message: &[u8]| {
    let limits = Limits { records_max: 1_000, keys_max: 1_000 };
    let _ = decode(message, &limits);

    let sealed = [&MAGIC, message, &Md5::digest(message)[..]].concat();
    // Several at once come to the same, in whatever lane they are.
    let several = [&sealed[..], message, &sealed, &sealed[1..], &sealed];
    for (decoded, data) in decode_all(&several, &limits).iter().zip(several) {
        assert_eq!(*decoded, decode(data, &limits));
    }
    let theirs = AggregatedRecord::decode(message);
    let aggregate = match decode(&sealed, &limits) {
        Ok(Decoded::Aggregate(aggregate)) => aggregate,
        Err(DecodeError::Message) => {
            assert!(theirs.is_err(), "{theirs:?}");
            return;
        }
        Err(_) => return,
        Ok(other) => panic!("{other:?}"),
    };
    assert_eq!(aggregate.records().count(), aggregate.len());
    // It refuses the whole for one bad entry, and a known field of another kind.
    let Ok(theirs) = theirs else { return };
    assert_eq!(theirs.records.len(), aggregate.len());
    for (record, ours) in theirs.records.iter().zip(aggregate.records()) {
        compare(&theirs, record, ours.content);
    }
});

fn compare(
    aggregate: &AggregatedRecord,
    theirs: &Record,
    ours: Result<tidegate_kpl::UserRecord<'_>, Malformed>,
) {
    let entry = |table: &[Vec<u8>], index: u64| table.get(index as usize).cloned();
    let key = theirs.partition_key_index.map(|index| entry(&aggregate.partition_key_table, index));
    let expected = match (key, &theirs.data) {
        (None, _) => "no key",
        (Some(None), _) => "no such key",
        (Some(Some(key)), _) if String::from_utf8(key.clone()).is_err() => "no text",
        (Some(Some(_)), None) => "no data",
        (Some(Some(key)), Some(data)) => {
            let ours = ours.expect("a whole record");
            assert_eq!((ours.partition_key.as_bytes(), ours.data), (&key[..], &data[..]));
            let hash_key = theirs
                .explicit_hash_key_index
                .and_then(|index| entry(&aggregate.explicit_hash_key_table, index))
                .filter(|text| text.iter().all(u8::is_ascii_digit))
                .and_then(|text| String::from_utf8(text).ok()?.parse().ok());
            assert_eq!(ours.explicit_hash_key, hash_key);
            return;
        }
    };
    let found = match ours.expect_err("a malformed entry") {
        Malformed::NoPartitionKeyIndex => "no key",
        Malformed::PartitionKeyIndex { .. } => "no such key",
        Malformed::PartitionKeyNotUtf8 => "no text",
        Malformed::NoData => "no data",
        other => panic!("{other}"),
    };
    assert_eq!(found, expected);
}
