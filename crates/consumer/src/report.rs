//! What became of a batch, in numbers and, for what went wrong, by name. It holds no payload: all of
//! it may be logged.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use crate::envelope::{Envelope, ErrorText, hashed};
use crate::event::Record;
use crate::outcome::PoisonReason;
use crate::store::QuarantineError;

/// What became of a batch.
///
/// Every record is counted once: `received = delivered + skipped + quarantined + retried +
/// not_attempted`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Records in the batch.
    pub received: u64,
    /// The handler took them.
    pub delivered: u64,
    /// The handler had no interest in them.
    pub skipped: u64,
    /// Poison that the quarantine store keeps.
    pub quarantined: u64,
    /// Records that come again because of themselves: one at most, since nothing is attempted after
    /// it.
    pub retried: u64,
    /// Records that come again because of the one before them.
    pub not_attempted: u64,
    /// How `quarantined` divides among the reasons.
    pub by_reason: BTreeMap<PoisonReason, u64>,
    /// Each poison record, also one that the store did not keep. A host logs every one, whatever the
    /// store: it is the one trace that no outage of a store takes away.
    #[serde(skip)]
    pub poison: Vec<PoisonRecord>,
    /// Why the batch stopped before its end, if it did.
    #[serde(skip)]
    pub retry: Option<Retry>,
}

impl Report {
    pub(crate) fn of(received: usize) -> Self {
        Self { received: received as u64, ..Self::default() }
    }

    /// Counts a poison record; says whether it is settled.
    pub(crate) fn poison(
        &mut self,
        record: &Record<'_>,
        reason: PoisonReason,
        envelope: &Envelope,
        stored: Result<(), QuarantineError>,
    ) -> bool {
        let store_error = stored.err().map(|error| ErrorText::of(&error).line());
        self.poison.push(PoisonRecord::new(record, reason, envelope, store_error.clone()));
        match store_error {
            None => {
                self.quarantined += 1;
                *self.by_reason.entry(reason).or_default() += 1;
                true
            }
            Some(error) => {
                self.retry(record, RetryCause::Quarantine, error);
                false
            }
        }
    }

    /// Counts a record that comes again.
    pub(crate) fn retry(&mut self, record: &Record<'_>, cause: RetryCause, error: String) {
        self.retried += 1;
        self.retry = Some(Retry { record: Identity::of(record), cause, error });
    }
}

/// Which record, without what it says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Identity {
    /// The stream.
    pub stream_arn: Option<String>,
    /// The shard.
    pub shard_id: Option<String>,
    /// The sequence number.
    pub sequence_number: Option<String>,
    /// The first 64 bits of the partition key's SHA-256: the same key gives the same text.
    pub partition_key_hash: Option<String>,
    /// When the stream took the record.
    pub approximate_arrival: Option<Timestamp>,
}

impl Identity {
    fn of(record: &Record<'_>) -> Self {
        Self {
            stream_arn: record.stream_arn().map(ToOwned::to_owned),
            shard_id: record.shard_id().map(ToOwned::to_owned),
            sequence_number: record.sequence_number().map(ToOwned::to_owned),
            partition_key_hash: record.partition_key().map(hashed),
            approximate_arrival: record.arrived_at(),
        }
    }
}

/// A poison record: what the log says of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PoisonRecord {
    /// Which record.
    #[serde(flatten)]
    pub record: Identity,
    /// Why.
    pub reason: PoisonReason,
    /// The code of the stage at which it was found.
    pub stage: String,
    /// The error and its causes. Of a panic only that there was one: its text is in the envelope,
    /// since it may quote the payload.
    pub error: String,
    /// The length of the payload in bytes.
    pub size_bytes: u64,
    /// The SHA-256 of the payload, in hexadecimal.
    pub sha256: String,
    /// The envelope's identifier.
    pub quarantine_id: String,
    /// The envelope's key in the store.
    pub key: String,
    /// Why the store did not keep it; the record then comes again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store_error: Option<String>,
}

impl PoisonRecord {
    fn new(
        record: &Record<'_>,
        reason: PoisonReason,
        envelope: &Envelope,
        store_error: Option<String>,
    ) -> Self {
        let error = match reason {
            PoisonReason::Panic => envelope.error.message.clone(),
            _ => envelope.error.line(),
        };
        Self {
            record: Identity::of(record),
            reason,
            stage: envelope.stage.clone(),
            error,
            size_bytes: envelope.size,
            sha256: envelope.sha256.clone(),
            quarantine_id: envelope.quarantine_id.clone(),
            key: envelope.key(),
            store_error,
        }
    }
}

/// Why a batch stopped before its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Retry {
    /// The record that comes again.
    #[serde(flatten)]
    pub record: Identity,
    /// Who could not finish it.
    pub cause: RetryCause,
    /// The error and its causes.
    pub error: String,
}

/// Who could not finish a record for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RetryCause {
    /// The handler said so, or returned an error.
    Handler,
    /// The record is poison and the quarantine store did not keep it.
    Quarantine,
}
