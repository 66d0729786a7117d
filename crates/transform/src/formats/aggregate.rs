//! Aggregates of the Kinesis Producer Library that Firehose hands over whole: it takes apart those
//! of up to 500 user records ("Use Kinesis Data Streams as a source with KPL", Firehose Developer
//! Guide, 2026-11).

use tidegate_kpl::{Aggregate, Aggregator, Decoded, Limits};

use super::failed;
use crate::outcome::{Outcome, Reason};

/// The user records of a record; the record itself where it is none of the producer library.
pub(crate) fn user_records(data: &[u8]) -> Result<Vec<&[u8]>, Outcome> {
    let Some(aggregate) = decode(data)? else { return Ok(vec![data]) };
    let malformed = failed(Reason::BadAggregate);
    aggregate.records().map(|entry| Ok(entry.content.map_err(|_| malformed)?.data)).collect()
}

/// The aggregate in so many parts; `None` when it is none, or one that cannot be read.
pub(crate) fn split(data: &[u8], wanted: usize) -> Option<Vec<Vec<u8>>> {
    let aggregate = decode(data).ok()??;
    let each = aggregate.len().div_ceil(wanted.max(1)).max(1);
    let mut parts = Vec::new();
    let mut part = Aggregator::new(usize::MAX);
    for (index, entry) in aggregate.records().enumerate() {
        if index > 0 && index % each == 0 {
            parts.push(part.take()?.data);
        }
        let user = entry.content.ok()?;
        part.push(user.partition_key, user.explicit_hash_key, user.data).ok()?;
    }
    parts.extend(part.take().map(|aggregated| aggregated.data));
    Some(parts)
}

fn decode(data: &[u8]) -> Result<Option<Aggregate<'_>>, Outcome> {
    match tidegate_kpl::decode(data, &Limits::default()) {
        Ok(Decoded::Aggregate(aggregate)) => Ok(Some(aggregate)),
        // A digest that is not its own: KCL takes such data as they are.
        Ok(_) => Ok(None),
        Err(_) => Err(failed(Reason::BadAggregate)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_aggregate_is_taken_apart_and_put_together_in_parts() {
        let mut aggregator = Aggregator::new(usize::MAX);
        let data: Vec<_> = (0..10).map(|index| format!("record {index}")).collect();
        for (index, data) in data.iter().enumerate() {
            let explicit = (index % 2 == 0).then_some(index as u128);
            aggregator.push(&format!("k{index}"), explicit, data.as_bytes()).unwrap();
        }
        let whole = aggregator.take().unwrap().data;
        assert_eq!(
            user_records(&whole).unwrap(),
            data.iter().map(String::as_bytes).collect::<Vec<_>>()
        );
        let parts = split(&whole, 3).unwrap();
        assert_eq!(parts.len(), 3);
        let again: Vec<_> = parts.iter().flat_map(|part| user_records(part).unwrap()).collect();
        assert_eq!(again, user_records(&whole).unwrap());
        assert_eq!(user_records(b"plain").unwrap(), [b"plain"]);
        assert_eq!(split(b"plain", 2), None);
        let mut damaged = whole.clone();
        *damaged.last_mut().unwrap() ^= 1;
        assert_eq!(user_records(&damaged).unwrap(), [&damaged[..]]);
    }
}
