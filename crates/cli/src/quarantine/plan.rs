//! What is put back, in which order, and what is not.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use tidegate_consumer::envelope::Envelope;

use super::document::{Payload, Record};

/// What a batch holds at the most.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub records: usize,
    pub bytes: u64,
}

/// Batches in the order in which they are sent, and how many records stay, by the reason.
#[derive(Debug, Default)]
pub struct Plan {
    pub batches: Vec<Vec<Record>>,
    pub held: BTreeMap<String, u64>,
}

impl Plan {
    /// Records that are sent.
    pub fn records(&self) -> usize {
        self.batches.iter().map(Vec::len).sum()
    }
}

/// Batches of one shard each, as an event source mapping makes them: in the order of the sequence
/// numbers, and a parent before its children, whose names have higher numbers. So the records of a
/// key are sent in the order in which its producer wrote them.
pub fn plan(
    records: Vec<Record>,
    limits: Limits,
    redrives_max: u32,
    refuses: &dyn Fn(&Record) -> Option<&'static str>,
) -> Plan {
    let mut plan = Plan::default();
    let mut sent = Vec::with_capacity(records.len());
    for record in records {
        let too_often =
            (record.envelope.redrive_count >= redrives_max).then_some("redriven_too_often");
        match too_often.or_else(|| refuses(&record)) {
            Some(why) => *plan.held.entry(why.to_owned()).or_default() += 1,
            None => sent.push(record),
        }
    }
    sent.sort_by(|a, b| order(&a.envelope, &b.envelope).then_with(|| a.key.cmp(&b.key)));
    let mut bytes = 0;
    for record in sent {
        let size = record.envelope.size;
        let fits = plan.batches.last().is_some_and(|batch| {
            // The records of a batch that is in the stream alone are not known yet.
            let is_alone = |record: &Record| matches!(record.payload, Payload::Stream { .. });
            batch.len() < limits.records
                && bytes + size <= limits.bytes
                && !is_alone(&record)
                && batch.last().is_some_and(|last| {
                    !is_alone(last) && is_of_one_shard(&last.envelope, &record.envelope)
                })
        });
        match plan.batches.last_mut().filter(|_| fits) {
            Some(batch) => {
                bytes += size;
                batch.push(record);
            }
            None => {
                bytes = size;
                plan.batches.push(vec![record]);
            }
        }
    }
    plan
}

fn is_of_one_shard(a: &Envelope, b: &Envelope) -> bool {
    (&a.stream_arn, &a.shard_id, &a.function_arn) == (&b.stream_arn, &b.shard_id, &b.function_arn)
}

fn order(a: &Envelope, b: &Envelope) -> Ordering {
    let place = |envelope: &Envelope| {
        (
            envelope.function_arn.clone(),
            envelope.stream_arn.clone(),
            envelope.shard_id.clone(),
            // Whole numbers of up to 129 digits, without zeros in front: the longer is the larger.
            envelope.sequence_number.as_ref().map(String::len),
            envelope.sequence_number.clone(),
            envelope.sub_sequence_number,
            envelope.redrive_count,
        )
    };
    place(a).cmp(&place(b))
}

#[cfg(test)]
mod tests {
    use tidegate_consumer::envelope::{ErrorText, PayloadEncoding};

    use super::*;

    pub fn record(shard: u32, number: &str, place: Option<u64>, size: u64, count: u32) -> Record {
        let envelope = Envelope {
            version: 1,
            quarantine_id: String::new(),
            stream_arn: Some("arn:aws:kinesis:eu-central-1:111122223333:stream/orders".to_owned()),
            shard_id: Some(format!("shardId-{shard:012}")),
            sequence_number: Some(number.to_owned()),
            sub_sequence_number: place,
            partition_key: Some("k".to_owned()),
            explicit_hash_key: None,
            approximate_arrival: None,
            reason: "parse".to_owned(),
            stage: "decode".to_owned(),
            error: ErrorText { message: String::new(), chain: Vec::new() },
            first_seen: jiff::Timestamp::UNIX_EPOCH,
            function_arn: String::new(),
            request_id: String::new(),
            payload_encoding: PayloadEncoding::Base64,
            payload: String::new(),
            size,
            sha256: String::new(),
            redrive_count: count,
        };
        let id = format!("{number}{place:?}");
        Record { id: id.clone(), key: id, index: 0, of: 1, envelope, payload: Payload::Here }
    }

    fn numbers(plan: &Plan) -> Vec<Vec<String>> {
        let number = |record: &Record| {
            let place = record.envelope.sub_sequence_number;
            let place = place.map_or_else(String::new, |place| format!("-{place}"));
            format!("{}{place}", record.envelope.sequence_number.as_deref().unwrap_or("?"))
        };
        plan.batches.iter().map(|batch| batch.iter().map(number).collect()).collect()
    }

    #[test]
    fn batches_are_of_one_shard_and_in_its_order() {
        let records = vec![
            record(11, "30", None, 1, 0),
            record(2, "100", None, 1, 0),
            record(2, "99", Some(10), 1, 0),
            record(2, "99", Some(9), 1, 0),
            record(2, "101", None, 50, 0),
            record(2, "102", None, 60, 0),
            record(2, "7", None, 1, 3),
            record(2, "8", None, 999, 0),
        ];
        let limits = Limits { records: 3, bytes: 100 };
        let refuses = |record: &Record| (record.envelope.size > 500).then_some("too_large");
        let plan = plan(records, limits, 3, &refuses);
        let expected: [&[&str]; 4] = [&["99-9", "99-10", "100"], &["101"], &["102"], &["30"]];
        assert_eq!(numbers(&plan), expected);
        let held = [("redriven_too_often".to_owned(), 1), ("too_large".to_owned(), 1)];
        assert_eq!(plan.held, BTreeMap::from(held));
        assert_eq!(plan.records(), 6);
    }
}
