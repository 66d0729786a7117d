//! What fits into a request, and records as its entries.

use tidegate_kpl::{Aggregator, PARTITION_KEY, PushError};

use crate::lanes::{Lane, Pending};
use crate::record::Entry;

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

/// A record as it is.
pub(crate) fn plain(pending: &Pending) -> Entry {
    Entry {
        partition_key: pending.record.partition_key.clone(),
        explicit_hash_key: pending.record.explicit_hash_key,
        data: pending.record.data.clone(),
    }
}

/// As many records from the head of a lane as an aggregate takes. One alone goes as it is, as the
/// Kinesis Producer Library sends it.
pub(crate) fn aggregate(
    lane: &mut Lane,
    most: usize,
    record_most: usize,
) -> (Vec<Pending>, Option<Entry>) {
    let mut aggregator = Aggregator::new(most.min(record_most - PARTITION_KEY.len()));
    let mut records: Vec<Pending> = Vec::new();
    while let Some(pending) = lane.queue.front() {
        let record = &pending.record;
        match aggregator.push(&record.partition_key, record.explicit_hash_key, &record.data) {
            Ok(()) => records.extend(lane.pop_front()),
            Err(PushError::TooLarge { .. }) if records.is_empty() => {
                return (lane.pop_front().into_iter().collect(), None);
            }
            Err(_) => break,
        }
    }
    if records.len() < 2 {
        return (records, None);
    }
    let entry = aggregator.take().map(|aggregated| Entry {
        partition_key: PARTITION_KEY.to_owned(),
        explicit_hash_key: Some(aggregated.explicit_hash_key),
        data: aggregated.data,
    });
    (records, entry)
}
