//! What fits into a request, and records as its entries.

use std::sync::Arc;

use tidegate_kpl::{Aggregator, PARTITION_KEY};

use crate::lanes::{Lane, Pending};
use crate::record::{Entry, Record};

/// Records of a PutRecords request at the most (PutRecords, Kinesis API reference, 2026-11).
pub(crate) const ENTRIES_MAX: usize = 500;

/// Bytes of a request at the most, keys counted. The service takes ten MiB since records may be
/// larger than one ("Quotas and limits", 2026-11); twice as many small requests cost the same, and
/// lose less to a connection that breaks. A record that is larger travels alone.
pub(crate) const REQUEST_BYTES_MAX: usize = 5 << 20;

/// What a request still takes.
pub(crate) struct Room {
    pub(crate) entries: usize,
    pub(crate) bytes: usize,
    is_empty: bool,
}

impl Room {
    /// All that a request takes.
    pub(crate) const fn new() -> Self {
        Self { entries: ENTRIES_MAX, bytes: REQUEST_BYTES_MAX, is_empty: true }
    }

    pub(crate) const fn takes(&self, bytes: usize) -> bool {
        self.entries > 0 && (bytes <= self.bytes || self.is_empty)
    }

    pub(crate) const fn spend(&mut self, bytes: usize) {
        self.entries = self.entries.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
        self.is_empty = false;
    }
}

/// What one entry carries: a record, and in an aggregate those behind it.
pub(crate) struct Packed {
    pub(crate) first: Pending,
    pub(crate) rest: Vec<Pending>,
    pub(crate) entry: Entry,
}

/// The record at the head of a lane, as it is.
pub(crate) fn plain(lane: &mut Lane) -> Option<Packed> {
    let first = lane.pop_front()?;
    Some(Packed { entry: first.record.clone(), first, rest: Vec::new() })
}

/// As many records from the head of a lane as an aggregate takes. One alone goes as it is, as the
/// Kinesis Producer Library sends it.
pub(crate) fn aggregate(lane: &mut Lane, most: usize, record_most: usize) -> Option<Packed> {
    let mut aggregator = Aggregator::new(most.min(record_most - PARTITION_KEY.len()));
    let (mut first, mut rest) = (None, Vec::new());
    while let Some(pending) = lane.queue.front() {
        let record = &pending.record;
        let pushed = aggregator.push(&record.partition_key, record.explicit_hash_key, &record.data);
        if pushed.is_err() {
            break;
        }
        match first {
            None => first = lane.pop_front(),
            Some(_) => rest.extend(lane.pop_front()),
        }
    }
    // What does not fit into one alone goes as it is, too.
    let Some(first) = first else { return plain(lane) };
    let aggregated = if rest.is_empty() { None } else { aggregator.take() };
    let entry = aggregated.map_or_else(
        || first.record.clone(),
        |aggregated| {
            Arc::new(Record {
                place: first.record.place,
                partition_key: PARTITION_KEY.to_owned(),
                explicit_hash_key: Some(aggregated.explicit_hash_key),
                data: aggregated.data,
            })
        },
    );
    Some(Packed { first, rest, entry })
}
