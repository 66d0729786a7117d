//! What became of a batch, in numbers and, for what went wrong, by name. It holds no payload: all of
//! it may be logged.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use crate::envelope::{Envelope, hashed};
use crate::event::Record;
use crate::outcome::PoisonReason;

/// How many poison records a report names where each was told already: a batch of aggregates can hold
/// hundreds of thousands.
pub const POISON_MAX: usize = 1_000;

/// What became of a batch.
///
/// Every record is counted once: `received = delivered + skipped + quarantined + retried +
/// not_attempted`. Of an aggregate each user record is counted, and of an envelope each log event,
/// once it was taken apart.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Records in the batch.
    pub received: u64,
    /// The handler took them.
    pub delivered: u64,
    /// The handler had no interest in them, or they are aggregates or envelopes of nothing.
    pub skipped: u64,
    /// Poison that the quarantine store keeps.
    pub quarantined: u64,
    /// Records that come again because of themselves.
    pub retried: u64,
    /// Records that come again because of another, or for want of time.
    pub not_attempted: u64,
    /// Of those skipped, the ones that were delivered before.
    #[serde(skip_serializing_if = "is_none")]
    pub duplicates: u64,
    /// Of those delivered, the ones of which nobody remembers that, and that are delivered again
    /// should they come again.
    #[serde(skip_serializing_if = "is_none")]
    pub unmarked: u64,
    /// Aggregates of the Kinesis Producer Library.
    pub aggregates: u64,
    /// Records that begin like such an aggregate and have another digest. They are processed as
    /// they are.
    pub unverified_aggregates: u64,
    /// Records that were decompressed; see [`Options`](crate::Options).
    pub decompressed: u64,
    /// Envelopes of CloudWatch Logs that hold no log event but ask whether the stream can be
    /// written.
    pub control_messages: u64,
    /// How `quarantined` divides among the reasons.
    pub by_reason: BTreeMap<PoisonReason, u64>,
    /// What did not work beside the records, and did not keep them: the journal, or remembering what
    /// was delivered. The first of each kind.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub troubles: Vec<String>,
    /// Each poison record, also one that the store did not keep. A host logs every one, whatever the
    /// store: it is the one trace that no outage of a store takes away. Logged from here, it is lost
    /// with an invocation that does not end, and a batch of nothing but poison takes about 1 KB for
    /// each of its records; where [`Consumer::tell_poison`](crate::Consumer::tell_poison) is told of
    /// each, the first [`POISON_MAX`] are here.
    #[serde(skip)]
    pub poison: Vec<PoisonRecord>,
    /// Why not all of the batch is settled, if it is not: the first cause.
    #[serde(skip)]
    pub retry: Option<Retry>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
const fn is_none(count: &u64) -> bool {
    *count == 0
}

impl Report {
    /// Names a poison record, unless it was told already and there are many of them.
    pub(crate) fn name(&mut self, poison: PoisonRecord, told: bool) {
        if !told || self.poison.len() < POISON_MAX {
            self.poison.push(poison);
        }
    }

    /// The record comes again, and why; the first of a batch is named.
    pub(crate) fn again(&mut self, record: Identity, cause: RetryCause, error: String) {
        self.retry.get_or_insert(Retry { record, cause, error });
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
    /// Of a user record of an aggregate, or of a log event of an envelope, its place there, counted
    /// from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sub_sequence_number: Option<u64>,
    /// The first 64 bits of the partition key's SHA-256: the same key gives the same text.
    pub partition_key_hash: Option<String>,
    /// When the stream took the record.
    pub approximate_arrival: Option<Timestamp>,
}

impl Identity {
    pub(crate) fn of(record: &Record<'_>) -> Self {
        Self {
            stream_arn: record.stream_arn().map(ToOwned::to_owned),
            shard_id: record.shard_id().map(ToOwned::to_owned),
            sequence_number: record.sequence_number().map(ToOwned::to_owned),
            sub_sequence_number: record.sub_sequence_number(),
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
    pub(crate) fn new(record: &Record<'_>, reason: PoisonReason, envelope: &Envelope) -> Self {
        Self {
            record: Identity::of(record),
            reason,
            stage: envelope.stage.clone(),
            error: envelope.log_line(),
            size_bytes: envelope.size,
            sha256: envelope.sha256.clone(),
            quarantine_id: envelope.quarantine_id.clone(),
            key: envelope.key(),
            store_error: None,
        }
    }
}

/// Why not all of a batch is settled.
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
    /// The handler did not end within its time.
    Timeout,
    /// It is not known whether the record was delivered before.
    Seen,
    /// The record is poison and the quarantine store did not keep it.
    Quarantine,
    /// The record is poison, and [`OnPoison::StopShard`](crate::OnPoison::StopShard) is chosen.
    Poison,
    /// So much of the batch is poison that it is an outage: see [`Breaker`](crate::Breaker).
    Breaker,
    /// The time was up.
    Deadline,
}
