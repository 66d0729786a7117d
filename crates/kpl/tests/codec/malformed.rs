//! Aggregates that no producer should write, each with what comes of it.

use md5::{Digest, Md5};
use tidegate_kpl::{
    DecodeError, Decoded, Limits, MAGIC, Malformed, OVERHEAD_BYTES, UserRecord, decode,
};

use crate::records::aggregate;

/// The aggregate of a message, with its digest.
pub fn sealed(message: &[u8]) -> Vec<u8> {
    [&MAGIC, message, &Md5::digest(message)[..]].concat()
}

/// A field of bytes, of fewer than 128.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let length = u8::try_from(bytes.len()).unwrap();
    assert!(length < 128);
    [&[number << 3 | 2, length], bytes].concat()
}

fn user_record<'a>(hash_key: Option<u128>, data: &'a [u8]) -> UserRecord<'a> {
    UserRecord { partition_key: "k", explicit_hash_key: hash_key, data }
}

/// The key `k`, the hash keys `7` and `x`, and two good entries around this one.
fn around(entry: &[u8]) -> Vec<u8> {
    let good = b"\x08\x00\x1A\x04good";
    let message = [
        field(1, b"k"),
        field(1, b"\xFF"),
        field(2, b"7"),
        field(2, b"x"),
        field(3, good),
        field(3, entry),
        field(3, good),
    ];
    sealed(&message.concat())
}

#[test]
fn an_entry_is_good_or_bad_alone() {
    let index = |index| Malformed::PartitionKeyIndex { index, keys: 2 };
    let cases: &[(&[u8], Result<UserRecord<'_>, Malformed>)] = &[
        (b"\x08\x00\x1A\x01x", Ok(user_record(None, b"x"))),
        (b"\x08\x00\x1A\x00", Ok(user_record(None, b""))),
        // In another order, with a tag, with a field of the future, given twice.
        (b"\x1A\x01x\x08\x00", Ok(user_record(None, b"x"))),
        (b"\x08\x00\x1A\x01x\x22\x03\x0A\x01t", Ok(user_record(None, b"x"))),
        (b"\x08\x00\x1A\x01x\x78\x05", Ok(user_record(None, b"x"))),
        (b"\x08\x01\x1A\x01x\x08\x00\x1A\x01y", Ok(user_record(None, b"y"))),
        // Hash keys: one, an index that leads nowhere, one that is no number.
        (b"\x08\x00\x10\x00\x1A\x01x", Ok(user_record(Some(7), b"x"))),
        (b"\x08\x00\x10\x02\x1A\x01x", Ok(user_record(None, b"x"))),
        (b"\x08\x00\x10\x01\x1A\x01x", Ok(user_record(None, b"x"))),
        (b"\x08\x02\x1A\x01x", Err(index(2))),
        (b"\x08\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01\x1A\x01x", Err(index(u64::MAX))),
        (b"\x08\x01\x1A\x01x", Err(Malformed::PartitionKeyNotUtf8)),
        (b"\x1A\x01x", Err(Malformed::NoPartitionKeyIndex)),
        // As text instead of a number, it is a field that nobody knows.
        (b"\x0A\x01\x00\x1A\x01x", Err(Malformed::NoPartitionKeyIndex)),
        (b"\x08\x00", Err(Malformed::NoData)),
        (b"", Err(Malformed::NoPartitionKeyIndex)),
        (b"\x08\x00\x1A\x05x", Err(Malformed::Message)),
        (b"\xFF", Err(Malformed::Message)),
    ];
    for (entry, expected) in cases {
        let data = around(entry);
        let aggregate = aggregate(&data);
        let found: Vec<_> = aggregate.records().collect();
        let [before, found, after] = &found[..] else { panic!("{found:?}") };
        assert_eq!(found.content, *expected, "{entry:02x?}");
        assert_eq!((found.message, found.sub_sequence_number), (*entry, 1));
        for neighbour in [before, after] {
            assert_eq!(neighbour.content, Ok(user_record(None, b"good")), "{entry:02x?}");
        }
    }
}

#[test]
fn what_is_wrong_is_said_without_the_data() {
    let cases: [(&dyn core::error::Error, &str); 8] = [
        (&Malformed::Message, "the aggregate's entry cannot be read"),
        (&Malformed::NoPartitionKeyIndex, "the aggregate's entry has no partition key"),
        (
            &Malformed::PartitionKeyIndex { index: 7, keys: 2 },
            "the entry's partition key has the index 7 of a table of 2",
        ),
        (&Malformed::PartitionKeyNotUtf8, "the entry's partition key is not UTF-8"),
        (&Malformed::NoData, "the aggregate's entry has no data"),
        (&DecodeError::Message, "the aggregate's message cannot be read"),
        (&DecodeError::TooManyRecords { max: 3 }, "the aggregate holds more than 3 records"),
        (&DecodeError::TooManyKeys { max: 3 }, "the aggregate holds more than 3 keys"),
    ];
    for (error, expected) in cases {
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn tables_may_stand_behind_the_records_and_repeat_themselves() {
    let entry = b"\x08\x01\x10\x00\x1A\x01x";
    let message =
        [field(3, entry), field(1, b"k"), field(2, b"7"), field(1, b"k"), b"\x20\x01".into()];
    let data = sealed(&message.concat());
    let found: Vec<_> = aggregate(&data).records().map(|record| record.content).collect();
    assert_eq!(found, [Ok(user_record(Some(7), b"x"))]);
}

#[test]
fn nothing_is_copied() {
    let mut aggregator = tidegate_kpl::Aggregator::new(usize::MAX);
    for place in 0..3 {
        aggregator.push(&format!("key-{place}"), None, b"some data").unwrap();
    }
    let data = aggregator.take().unwrap().data;
    let whole = data.as_ptr_range();
    for record in crate::records::aggregate(&data).records() {
        let record = record.content.unwrap();
        for part in [record.partition_key.as_bytes(), record.data] {
            let part = part.as_ptr_range();
            assert!(whole.start < part.start && part.end < whole.end, "{part:?} of {whole:?}");
        }
    }
}

#[test]
fn an_aggregate_may_be_empty() {
    for message in [&b""[..], b"\x0A\x01k", b"\x78\x05"] {
        let data = sealed(message);
        assert!(aggregate(&data).is_empty());
        assert_eq!(aggregate(&data).records().next(), None);
    }
}

#[test]
fn a_message_that_cannot_be_read_is_an_error() {
    for message in [&b"\x1A\x7F\x08\x00"[..], b"\xFF", b"\x0A\x01k\x00", b"\x0C"] {
        let data = sealed(message);
        let found = decode(&data, &Limits::default());
        assert_eq!(found, Err(DecodeError::Message), "{message:02x?}");
    }
}

#[test]
fn short_data_is_plain() {
    let whole = sealed(b"");
    assert_eq!(whole.len(), OVERHEAD_BYTES);
    for length in 0..whole.len() {
        let found = decode(&whole[..length], &Limits::default());
        assert_eq!(found, Ok(Decoded::Plain), "{length} bytes");
    }
}
