//! Lambda's event source mapping for Kinesis: batches of one shard, in order, with partial
//! responses, retries, bisecting and an on-failure destination ("How Lambda processes records from
//! stream and queue-based event sources" and "Using Lambda with Kinesis", Lambda Developer Guide,
//! 2026-11; the response table was recorded against AWS in 2025).

mod body;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

pub use self::body::event;
use self::body::{Condition, failure, failure_key};
use crate::objects::Objects;
use crate::shard::{Record, hash_key, shard_id};
use crate::stream::Stream;

/// The most bytes of a synchronous event ("Lambda quotas", Lambda Developer Guide, 2026-11).
pub const EVENT_LIMIT: usize = 6_291_556;

/// How a mapping is set up, in the words of CreateEventSourceMapping.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `BatchSize`.
    pub batch_size: usize,
    /// `MaximumBatchingWindowInSeconds`.
    pub window: SignedDuration,
    /// `MaximumRetryAttempts`; `None` is without limit.
    pub retries: Option<u32>,
    /// `MaximumRecordAgeInSeconds`; `None` is without limit.
    pub record_age: Option<SignedDuration>,
    /// `ParallelizationFactor`: lanes of a shard, each with the partition keys that hash to it.
    pub lanes: usize,
    /// `BisectBatchOnFunctionError`.
    pub bisect: bool,
    /// `FunctionResponseTypes: [ReportBatchItemFailures]`.
    pub report_failures: bool,
    /// The time until a failed batch is tried again. Lambda does not document its backoff.
    pub backoff: SignedDuration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            batch_size: 100,
            window: SignedDuration::ZERO,
            retries: None,
            record_age: None,
            lanes: 1,
            bisect: true,
            report_failures: true,
            backoff: SignedDuration::from_secs(30),
        }
    }
}

/// Batches of one shard that are handed over in one step: the function is fast, but not infinitely.
const BATCHES_PER_STEP: usize = 64;

/// What the mapping did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Invocations.
    pub invocations: u64,
    /// Invocations that ended in an error, or whose response failed the whole batch.
    pub failed: u64,
    /// Records that were handed over again.
    pub redelivered: u64,
    /// Records that went to the on-failure destination.
    pub given_up: u64,
}

/// A function as the mapping sees it: an event in, a response or an error out.
pub type Invoke<'a> = dyn FnMut(&[u8]) -> Result<Vec<u8>, String> + 'a;

/// A mapping between a stream and a function.
pub struct Mapping {
    settings: Settings,
    reader: usize,
    shards: BTreeMap<u32, Vec<Lane>>,
    /// What it did.
    pub counts: Counts,
    /// The oldest record that the newest poll returned, in milliseconds.
    pub iterator_age_ms: u64,
}

/// What is read of a shard: all of it, or the partition keys of one lane.
#[derive(Default)]
struct Lane {
    polled: VecDeque<Arc<Record>>,
    since: Option<Timestamp>,
    retrying: VecDeque<Batch>,
}

impl Lane {
    fn in_hand(&self) -> usize {
        self.polled.len() + self.retrying.iter().map(|batch| batch.records.len()).sum::<usize>()
    }
}

struct Batch {
    records: Vec<Arc<Record>>,
    attempts: u32,
    not_before: Timestamp,
}

/// Where a batch is from, and when it is handed over.
#[derive(Clone, Copy)]
struct Place<'s> {
    shard: &'s str,
    arn: &'s str,
    now: Timestamp,
}

/// What a response says of a batch.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Settled,
    From(usize),
    Failed,
}

impl Mapping {
    /// A mapping that reads a stream as its reader number `reader`.
    pub const fn new(settings: Settings, reader: usize) -> Self {
        let counts = Counts { invocations: 0, failed: 0, redelivered: 0, given_up: 0 };
        Self { settings, reader, shards: BTreeMap::new(), counts, iterator_age_ms: 0 }
    }

    /// Records that were polled and are not settled.
    pub fn in_hand(&self) -> u64 {
        self.shards.values().flatten().map(|lane| lane.in_hand() as u64).sum()
    }

    /// Polls every shard that may be read, and invokes the function with what is ready.
    ///
    /// # Errors
    /// When the on-failure destination cannot be written.
    pub fn step(
        &mut self,
        stream: &mut Stream,
        now: Timestamp,
        invoke: &mut Invoke<'_>,
        on_failure: &mut dyn Objects,
    ) -> io::Result<()> {
        self.iterator_age_ms = 0;
        let arn = stream.arn();
        for number in self.readable(stream) {
            let age = stream.shard(number).and_then(|shard| shard.oldest_unread(self.reader));
            // A lane that retries does not poll: its records grow old in the shard.
            if let Some(oldest) = age {
                let age = u64::try_from(now.duration_since(oldest).as_millis()).unwrap_or(0);
                self.iterator_age_ms = self.iterator_age_ms.max(age);
            }
            let shard = shard_id(number);
            let place = Place { shard: &shard, arn: &arn, now };
            let mut lanes = self.shards.remove(&number).unwrap_or_default();
            lanes.resize_with(self.settings.lanes.max(1), Lane::default);
            for _ in 0..BATCHES_PER_STEP {
                let handed = self.counts.invocations;
                self.poll(&mut lanes, stream, number, now);
                for lane in &mut lanes {
                    self.drive(lane, place, invoke, on_failure)?;
                }
                if self.counts.invocations == handed {
                    break;
                }
            }
            if lanes.iter().any(|lane| lane.in_hand() > 0) {
                self.shards.insert(number, lanes);
            }
        }
        Ok(())
    }

    /// Shards whose parents are read to their end: a child waits for both parents of a merge, and a
    /// grandchild for a parent that was empty and waits itself.
    fn readable(&self, stream: &Stream) -> Vec<u32> {
        let mut unfinished: BTreeSet<_> = self.shards.keys().copied().collect();
        let mut readable = Vec::new();
        // By their numbers, that is, parents first.
        for shard in stream.shards() {
            let waits = shard.parents.iter().any(|parent| unfinished.contains(parent));
            if waits || shard.open || shard.unread(self.reader) > 0 {
                unfinished.insert(shard.number);
            }
            if !waits {
                readable.push(shard.number);
            }
        }
        let forgotten = self.shards.keys().filter(|number| stream.shard(**number).is_none());
        readable.extend(forgotten);
        readable
    }

    /// Reads on, each record into the lane of its key, until one of them is full: a shard is read in
    /// its order. Lambda does not document how far it reads beyond a lane that stands still; alone,
    /// such a lane is not read beyond at all.
    fn poll(&self, lanes: &mut [Lane], stream: &mut Stream, number: u32, now: Timestamp) {
        let count = lanes.len();
        let room = lanes.iter().map(|lane| {
            let waits = count == 1 && !lane.retrying.is_empty();
            if waits { 0 } else { self.settings.batch_size.saturating_sub(lane.polled.len()) }
        });
        let room = room.min().unwrap_or_default();
        for record in stream.take(self.reader, number, room) {
            let lane = hash_key(&record.partition_key) % count as u128;
            if let Some(lane) = usize::try_from(lane).ok().and_then(|lane| lanes.get_mut(lane)) {
                lane.polled.push_back(record);
            }
        }
        for lane in lanes.iter_mut().filter(|lane| !lane.polled.is_empty()) {
            lane.since.get_or_insert(now);
        }
    }

    fn drive(
        &mut self,
        lane: &mut Lane,
        place: Place<'_>,
        invoke: &mut Invoke<'_>,
        on_failure: &mut dyn Objects,
    ) -> io::Result<()> {
        if let Some(mut batch) = lane.retrying.pop_front() {
            if batch.not_before > place.now {
                lane.retrying.push_front(batch);
                return Ok(());
            }
            self.expire(&mut batch, place, on_failure)?;
            if batch.records.is_empty() {
                return Ok(());
            }
            self.counts.redelivered += batch.records.len() as u64;
            return self.attempt(batch, lane, place, invoke, on_failure);
        }
        let full = lane.polled.len() >= self.settings.batch_size;
        let waited =
            lane.since.is_some_and(|at| place.now.duration_since(at) >= self.settings.window);
        if lane.polled.is_empty() || !(full || waited) {
            return Ok(());
        }
        let records = fitting(&mut lane.polled);
        lane.since = (!lane.polled.is_empty()).then_some(place.now);
        let mut batch = Batch { records, attempts: 0, not_before: place.now };
        self.expire(&mut batch, place, on_failure)?;
        if batch.records.is_empty() {
            return Ok(());
        }
        self.attempt(batch, lane, place, invoke, on_failure)
    }

    /// Gives up the records that are too old, and them alone (recorded against AWS: one of them
    /// among five that are not).
    fn expire(
        &mut self,
        batch: &mut Batch,
        place: Place<'_>,
        on_failure: &mut dyn Objects,
    ) -> io::Result<()> {
        let Some(most) = self.settings.record_age else { return Ok(()) };
        let old = |record: &&Arc<Record>| place.now.duration_since(record.arrival) > most;
        let count = batch.records.iter().take_while(old).count();
        let expired: Vec<_> = batch.records.drain(..count).collect();
        if expired.is_empty() {
            return Ok(());
        }
        self.counts.given_up += expired.len() as u64;
        let body = (&expired[..], batch.attempts);
        let body = failure(body, Condition::RecordAgeExceeded, place.shard, place.arn);
        on_failure.put(&failure_key(place.shard, place.now, &expired), &body)
    }

    fn attempt(
        &mut self,
        mut batch: Batch,
        lane: &mut Lane,
        place: Place<'_>,
        invoke: &mut Invoke<'_>,
        on_failure: &mut dyn Objects,
    ) -> io::Result<()> {
        let Place { shard, arn, now } = place;
        let event = event(&batch.records, shard, arn);
        self.counts.invocations += 1;
        let answer = invoke(&event);
        let error = answer.is_err();
        let verdict = match answer {
            Ok(body) if self.settings.report_failures => verdict(&body, &batch.records),
            Ok(_) => Verdict::Settled,
            Err(_) => Verdict::Failed,
        };
        batch.not_before = now + self.settings.backoff;
        match verdict {
            Verdict::Settled => return Ok(()),
            // Progress gives the rest its attempts back (recorded against AWS).
            Verdict::From(first) if first > 0 => {
                batch.records.drain(..first);
                batch.attempts = 0;
            }
            Verdict::From(_) | Verdict::Failed => {
                self.counts.failed += 1;
                batch.attempts += 1;
            }
        }
        if self.settings.retries.is_some_and(|most| batch.attempts > most) {
            self.counts.given_up += batch.records.len() as u64;
            let condition = Condition::RetryAttemptsExhausted { error };
            let body = failure((&batch.records, batch.attempts), condition, shard, arn);
            return on_failure.put(&failure_key(shard, now, &batch.records), &body);
        }
        if verdict == Verdict::Failed && self.settings.bisect && batch.records.len() > 1 {
            // Splitting does not use up attempts.
            let second = batch.records.split_off(batch.records.len() / 2);
            let attempts = batch.attempts.saturating_sub(1);
            batch.attempts = attempts;
            let second = Batch { records: second, attempts, not_before: batch.not_before };
            lane.retrying.push_front(second);
        }
        lane.retrying.push_front(batch);
        Ok(())
    }
}

/// What fits one event, from the front.
fn fitting(polled: &mut VecDeque<Arc<Record>>) -> Vec<Arc<Record>> {
    const ENVELOPE: usize = 600;
    let mut bytes = 0;
    let mut records = Vec::new();
    while let Some(record) = polled.front() {
        bytes += record.data.len().div_ceil(3) * 4 + record.partition_key.len() + ENVELOPE;
        if bytes > EVENT_LIMIT && !records.is_empty() {
            break;
        }
        records.extend(polled.pop_front());
    }
    records
}

/// Reads a partial batch response as Lambda does.
fn verdict(body: &[u8], batch: &[Arc<Record>]) -> Verdict {
    let Ok(response) = serde_json::from_slice::<Value>(body) else { return Verdict::Settled };
    let Some(Value::Array(failures)) = response.get("batchItemFailures") else {
        return Verdict::Settled;
    };
    let place = |failure: &Value| {
        let identifier = failure.get("itemIdentifier")?.as_str()?;
        batch.iter().position(|record| record.sequence_number == identifier)
    };
    let places: Option<Vec<_>> = failures.iter().map(place).collect();
    match places {
        // One identifier that is empty, or not of this batch, fails all of it.
        None => Verdict::Failed,
        Some(places) => places.into_iter().min().map_or(Verdict::Settled, Verdict::From),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(count: usize) -> Vec<Arc<Record>> {
        let record = |n: usize| Record {
            sequence_number: format!("{n}"),
            partition_key: "k".into(),
            data: vec![],
            arrival: Timestamp::UNIX_EPOCH,
        };
        (1..=count).map(|n| Arc::new(record(n))).collect()
    }

    #[test]
    fn responses_are_read_as_recorded_against_aws() {
        let cases = [
            ("\"\"", Verdict::Settled),
            ("null", Verdict::Settled),
            ("{}", Verdict::Settled),
            ("[]", Verdict::Settled),
            (r#"{"batchItemFailures":[]}"#, Verdict::Settled),
            (r#"{"batchItemFailures":null}"#, Verdict::Settled),
            (r#"{"failedItems":[{"itemIdentifier":"1"}]}"#, Verdict::Settled),
            (r#"{"batchItemFailures":[{"itemIdentifier":""}]}"#, Verdict::Failed),
            (r#"{"batchItemFailures":[{"itemIdentifier":null}]}"#, Verdict::Failed),
            (r#"{"batchItemFailures":[{"foo":123}]}"#, Verdict::Failed),
            (r#"{"batchItemFailures":[{"itemIdentifier":123}]}"#, Verdict::Failed),
            (r#"{"batchItemFailures":[{"itemIdentifier":"9"}]}"#, Verdict::Failed),
            (r#"{"batchItemFailures":[{"itemIdentifier":"2"}]}"#, Verdict::From(1)),
            (
                r#"{"batchItemFailures":[{"itemIdentifier":"3"},{"itemIdentifier":"2"}]}"#,
                Verdict::From(1),
            ),
        ];
        for (body, expected) in cases {
            assert_eq!(verdict(body.as_bytes(), &batch(3)), expected, "{body}");
        }
    }
}
