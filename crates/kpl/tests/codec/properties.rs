//! What is written is read again, within the limits, and nothing that arrives does harm.

use proptest::prelude::*;
use tidegate_kpl::{
    Aggregator, DecodeError, Decoded, Limits, MAGIC, OVERHEAD_BYTES, PushError, decode, decode_all,
    hash_key,
};

use crate::malformed::sealed;
use crate::records::{aggregate, aggregated, any_records, bytes, taken_apart};

proptest! {
    #[test]
    fn what_is_written_is_read_again(records in any_records()) {
        let aggregated = aggregated(&records);
        prop_assert_eq!(taken_apart(&aggregated.data), &records[..]);
        let first = &records[0];
        let hash_key = first.hash_key().unwrap_or_else(|| hash_key(&first.partition_key));
        prop_assert_eq!(aggregated.explicit_hash_key, hash_key);
    }

    #[test]
    fn an_aggregate_is_as_large_as_it_may_be(records in any_records(), bytes_max in 20_usize..2_000) {
        let mut aggregator = Aggregator::new(bytes_max);
        let mut found = Vec::new();
        let mut expected = Vec::new();
        for record in &records {
            let data = bytes(&record.data);
            let push = |aggregator: &mut Aggregator| {
                aggregator.push(&record.partition_key, record.hash_key(), &data)
            };
            let mut pushed = push(&mut aggregator);
            if pushed == Err(PushError::Full) {
                found.extend(taken_apart(&aggregator.take().unwrap().data));
                pushed = push(&mut aggregator);
            }
            match pushed {
                Ok(()) => expected.push(record.clone()),
                Err(PushError::TooLarge { bytes, bytes_max: max }) => {
                    let alone = aggregated(std::slice::from_ref(record));
                    prop_assert_eq!((bytes, max), (alone.data.len(), bytes_max));
                    prop_assert!(bytes > bytes_max);
                }
                Err(other) => prop_assert!(false, "{}", other),
            }
            prop_assert!(aggregator.size_bytes() <= bytes_max);
        }
        if let Some(last) = aggregator.take() {
            found.extend(taken_apart(&last.data));
        }
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn a_damaged_aggregate_is_not_taken_apart(
        records in any_records(), place in any::<prop::sample::Index>(), bit in 0_u8..8,
    ) {
        let mut data = aggregated(&records).data;
        let place = place.index(data.len());
        data[place] ^= 1 << bit;
        let expected = if place < MAGIC.len() { Decoded::Plain } else { Decoded::Unverified };
        prop_assert_eq!(decode(&data, &Limits::default()), Ok(expected));
    }

    #[test]
    fn limits_hold(records in any_records(), limit in 0_usize..40) {
        let data = aggregated(&records).data;
        let whole = aggregate(&data);
        let distinct = |keys: Vec<String>| keys.into_iter().collect::<std::collections::BTreeSet<_>>().len();
        let keys = distinct(records.iter().map(|record| record.partition_key.clone()).collect());
        let hash_keys = distinct(records.iter().filter_map(|r| r.explicit_hash_key.clone()).collect());

        let few_records = Limits { records_max: limit, ..Limits::default() };
        let expected = if records.len() > limit {
            Err(DecodeError::TooManyRecords { max: limit })
        } else {
            Ok(Decoded::Aggregate(whole.clone()))
        };
        prop_assert_eq!(decode(&data, &few_records), expected);

        let few_keys = Limits { keys_max: limit, ..Limits::default() };
        let expected = if keys.max(hash_keys) > limit {
            Err(DecodeError::TooManyKeys { max: limit })
        } else {
            Ok(Decoded::Aggregate(whole))
        };
        prop_assert_eq!(decode(&data, &few_keys), expected);
    }

    /// Cut, overwritten and extended, with the digest made right again: an error, or as many entries
    /// as it says, each with its bytes.
    #[test]
    fn any_message_is_an_error_or_entries(
        records in any_records(),
        cut in any::<prop::sample::Index>(),
        strewn in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        appended in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        let data = aggregated(&records).data;
        let mut message = data[MAGIC.len()..data.len() + MAGIC.len() - OVERHEAD_BYTES].to_vec();
        message.truncate(cut.index(message.len() + 1).max(1));
        for (place, byte) in strewn {
            let place = place.index(message.len());
            message[place] = byte;
        }
        message.extend(appended);
        let data = sealed(&message);
        match decode(&data, &Limits::default()) {
            Ok(Decoded::Aggregate(aggregate)) => {
                prop_assert_eq!(aggregate.records().count(), aggregate.len());
                for record in aggregate.records() {
                    prop_assert!(record.message.len() <= message.len());
                    if let Ok(content) = record.content {
                        prop_assert!(content.data.len() < record.message.len());
                    }
                }
            }
            other => prop_assert_eq!(other, Err(DecodeError::Message)),
        }
    }

    #[test]
    fn any_bytes_are_plain(data in prop::collection::vec(any::<u8>(), 0..100), begins in any::<bool>()) {
        let magic: &[u8] = if begins { &MAGIC } else { &[] };
        let data = [magic, &data].concat();
        let found = decode(&data, &Limits::default()).unwrap();
        prop_assert_ne!(begins && data.len() >= OVERHEAD_BYTES, found == Decoded::Plain);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn several_at_once_come_to_the_same(
        several in prop::collection::vec((any_records(), prop::option::of(0_usize..40)), 0..12),
    ) {
        let data: Vec<_> = several
            .iter()
            .map(|(records, damaged)| {
                let mut data = aggregated(records).data;
                if let Some(byte) = damaged.and_then(|place| data.get_mut(place)) {
                    *byte ^= 1;
                }
                data
            })
            .collect();
        let data: Vec<_> = data.iter().map(Vec::as_slice).collect();
        let limits = Limits::default();
        let alone: Vec<_> = data.iter().map(|data| decode(data, &limits)).collect();
        prop_assert_eq!(decode_all(&data, &limits), alone);
    }
}
