//! The engine: a batch in, a response and a report out.

mod build;
mod bulk;
mod chunk;
mod known;
mod run;

use std::fmt;
use std::future::Future;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};

use futures_util::FutureExt;
use futures_util::future::join_all;
use jiff::Timestamp;

use self::chunk::{Size, Unit, Units};
use self::run::{Admission, Run};
use crate::decode::Decoder;
use crate::envelope::{Envelope, ErrorText};
use crate::event::{Event, EventError, Record};
use crate::handler::{BulkLimits, RecordHandler};
use crate::journal::Journal;
use crate::options::{OnPoison, Options};
use crate::outcome::{BoxError, Outcome, Panicked, PoisonReason, Stage};
use crate::patience::{Attempts, TimeLimit, TimedOut};
use crate::report::{PoisonRecord, Report, RetryCause};
use crate::seen::Dedupe;
use crate::settle::Response;
use crate::store::{Quarantine, QuarantineError};
use crate::window::Windows;

/// The invocation that a batch came with.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// The ARN by which the function was invoked.
    pub function_arn: &'a str,
    /// Lambda's identifier of the invocation.
    pub request_id: &'a str,
    /// The present moment. The library reads no clock.
    pub now: Timestamp,
    /// When Lambda ends the invocation. Without it, records are started whatever the time: a batch
    /// that takes too long comes again as a whole.
    pub deadline: Option<Deadline<'a>>,
}

/// The end of an invocation, and a clock to see it come.
#[derive(Clone, Copy)]
pub struct Deadline<'a> {
    /// When Lambda ends the invocation.
    pub at: Timestamp,
    /// The present moment, whenever it is asked.
    pub clock: &'a (dyn Fn() -> Timestamp + Sync),
}

impl fmt::Debug for Deadline<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Deadline({})", self.at)
    }
}

type Tell = dyn Fn(&PoisonRecord, &Call<'_>) + Send + Sync;

/// Who is told of poison as it is found.
struct Told(Box<Tell>);

impl Told {
    /// A panic of it loses what it had to say, and no record.
    fn tell(&self, poison: &PoisonRecord, call: &Call<'_>) {
        let _ = catch_unwind(AssertUnwindSafe(|| (self.0)(poison, call)));
    }
}

impl fmt::Debug for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Told")
    }
}

/// What became of a batch.
#[must_use = "the response goes to Lambda, the report to the log"]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Processed {
    /// What Lambda is answered.
    pub response: Response,
    /// What happened.
    pub report: Report,
}

/// Why an invocation has to fail as a whole. Lambda then delivers the whole batch again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProcessError {
    /// The event is not a batch of Kinesis records.
    #[error("the event is not a batch of Kinesis records")]
    Event(#[source] EventError),
    /// What the next invocation of the window begins with is not known.
    #[error("the batch is processed, but the state of its window is not known")]
    Window {
        /// What happened.
        source: BoxError,
        /// What became of the batch.
        report: Box<Report>,
    },
    /// A record is not settled and has no sequence number by which a response could name it.
    #[error(
        "record {index} of the batch has no sequence number and the quarantine store did not keep \
         it, so only the whole batch can come again"
    )]
    Unnameable {
        /// The record's place in the batch, counted from 0.
        index: usize,
        /// What happened until then.
        report: Box<Report>,
    },
}

/// Processes batches: takes aggregates apart, decodes each record, hands it to the handler, and puts
/// poison into quarantine.
///
/// As long as nothing else is [chosen](Options), records are handled one after the other in the order
/// of the batch. After the first [`Outcome::Retry`] nothing is attempted any more, so that no record
/// overtakes another of its shard; a poison record is settled by its quarantine and the next one is
/// handled.
///
/// Between batches it remembers how often records failed, and what its parts remember. No task is
/// spawned and no runtime assumed: the future runs
/// wherever it is polled, and may change its thread when the three parts may.
#[derive(Debug)]
pub struct Consumer<D, H, Q> {
    decoder: D,
    handler: H,
    quarantine: Q,
    options: Options,
    time_limit: Option<TimeLimit>,
    attempts: Attempts,
    journal: Option<Journal>,
    dedupe: Option<Dedupe>,
    windows: Option<Windows>,
    told: Option<Told>,
}

impl<D, H, Q> Consumer<D, H, Q>
where
    D: Decoder,
    H: for<'a> RecordHandler<D::Item<'a>>,
    Q: Quarantine,
{
    /// Processes one batch: the body of an invocation, as it came.
    ///
    /// Dropped before its end, it leaves nothing half done: what was not answered comes again.
    ///
    /// # Errors
    /// Those by which an invocation has to fail. No single record is among them, unless it cannot be
    /// named and not be kept either.
    pub async fn process(&self, event: &[u8], call: &Call<'_>) -> Result<Processed, ProcessError> {
        let event = Event::parse(event).map_err(ProcessError::Event)?;
        let (entry, trouble) = match self.journal.as_ref().map(|journal| journal.begin(&event)) {
            None => (None, None),
            Some(Ok(entry)) => (entry, None),
            Some(Err(error)) => (None, Some(error)),
        };
        let run = Run::new(event.len(), &self.options, call, entry.as_ref());
        if let Some(error) = trouble {
            run.trouble("journal", &error);
        }
        let bulk = self.handler.bulk();
        let size = Size::of(bulk, self.options.lanes.get());
        let (mut next, mut data) = (0, Vec::new());
        #[cfg(feature = "expand")]
        let mut expander = chunk::parts::Expander::new(self.options.expand);
        while next < event.len() && !run.stopped() {
            let mut opened = chunk::open(&event, next, size, &mut data);
            next += opened.len();
            let found = Units::of(&mut opened, &data, &self.options.aggregates);
            #[cfg(feature = "expand")]
            let found = expander.expand(found, &mut next);
            run.divide(&found);
            let mut units = found.units;
            if let Some(dedupe) = &self.dedupe {
                Box::pin(known::recognise(dedupe, &mut units, &run)).await;
            }
            self.handle_all(units, bulk, &run).await;
            if let Some(dedupe) = &self.dedupe {
                Box::pin(known::remember(dedupe, &run)).await;
            }
        }
        Box::pin(self.store_held(&run, true)).await;

        let (first_unsettled, report) = run.end();
        let record = first_unsettled.and_then(|index| event.record(index));
        let number = record.as_ref().and_then(Record::sequence_number);
        if let Some(entry) = entry {
            entry.answered(number);
        }
        let response = match (first_unsettled, number) {
            (None, _) => Response::all_settled(),
            (Some(_), Some(number)) => Response::again_from(number),
            // Without a number of its own the record cannot be named, and no other will do: an empty
            // one fails the whole batch as well, but says nothing; that of a later record settles
            // this one, which loses it; an earlier record need not be there. So the invocation
            // fails, and says why: Lambda delivers all of it again.
            (Some(index), None) => {
                return Err(ProcessError::Unnameable { index, report: Box::new(report) });
            }
        };
        let Some(window) = event.window() else { return Ok(Processed { response, report }) };
        match Box::pin(self.next_state(window)).await {
            Ok(state) => Ok(Processed { response: response.with_state(state), report }),
            Err(source) => Err(ProcessError::Window { source, report: Box::new(report) }),
        }
    }

    /// Handles the records of a chunk, those of a key in their order.
    async fn handle_all(&self, units: Vec<Unit<'_>>, bulk: Option<BulkLimits>, run: &Run<'_>) {
        let lanes = self.options.lanes.get();
        if lanes == 1 || run.is_careful() {
            return self.handle_lane(units, bulk, run).await;
        }
        let mut queues: Vec<Vec<Unit<'_>>> = (0..lanes.min(units.len())).map(|_| vec![]).collect();
        let count = queues.len().max(1) as u64;
        for unit in units {
            let mut hasher = DefaultHasher::new();
            unit.key().hash(&mut hasher);
            if let Some(queue) = queues.get_mut((hasher.finish() % count) as usize) {
                queue.push(unit);
            }
        }
        join_all(queues.into_iter().map(|queue| self.handle_lane(queue, bulk, run))).await;
    }

    async fn handle_lane(&self, mut units: Vec<Unit<'_>>, bulk: Option<BulkLimits>, run: &Run<'_>) {
        if let Some(limits) = bulk {
            return Box::pin(self.handle_in_bulks(units, limits, run)).await;
        }
        let mut last = None;
        for unit in &mut units {
            let record = unit.record_in(&mut last);
            let (stage, outcome) = match (run.admit(record, unit.key()), unit.fault.take()) {
                (Admission::Leave, _) => continue,
                (_, Some(fault)) => fault.into(),
                (Admission::BlockedBy(by), None) => blocked(&by),
                (Admission::Start, None) => self.attempt(unit, record, run).await,
            };
            self.settle(unit, record, stage, outcome, run).await;
        }
    }

    /// Counts what became of a record, and keeps it where it is poison.
    async fn settle(
        &self,
        unit: &Unit<'_>,
        record: &Record<'_>,
        stage: Stage,
        outcome: Outcome,
        run: &Run<'_>,
    ) {
        let waits = match self.attempts.judge(outcome, record, &self.options, run.call.now) {
            Outcome::Done => run.delivered(unit.index, unit.known_by.as_ref()),
            Outcome::Skip => run.skipped(unit.index, unit.known_by.as_ref()),
            Outcome::Retry(error) => {
                let timed_out = TimedOut::caused(&error);
                let cause = if timed_out { RetryCause::Timeout } else { RetryCause::Handler };
                run.left(record, unit.key(), cause, ErrorText::of(&*error).line());
                false
            }
            Outcome::Poison(reason, error) => {
                let kept = unit.kept();
                let payload = (&*kept, unit.encoding);
                let envelope = Envelope::pack(record, payload, (reason, stage), &*error, run.call);
                if self.options.on_poison == OnPoison::StopShard {
                    let error = format!("{reason}: {}", envelope.log_line());
                    return run.left(record, unit.key(), RetryCause::Poison, error);
                }
                run.hold(unit.index, record, unit.key(), reason, envelope);
                true
            }
        };
        if waits {
            // Rare, and a store's future may be large: it does not belong into that of every record.
            Box::pin(self.store_held(run, false)).await;
        }
    }

    /// Decodes and handles one record.
    async fn attempt(
        &self,
        unit: &Unit<'_>,
        record: &Record<'_>,
        run: &Run<'_>,
    ) -> (Stage, Outcome) {
        let item = match self.prepare(unit, record, run) {
            Ok(item) => item,
            Err(ended) => return ended,
        };
        let call = catch(async { self.handler.handle(item, record).await });
        let outcome = match self.in_time(call).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(panicked)) => panicked.into(),
            Err(timed_out) => timed_out.into(),
        };
        (Stage::Handle, outcome)
    }

    /// What the handler is to take, unless the record's end is known before.
    fn prepare<'u>(
        &self,
        unit: &Unit<'u>,
        record: &Record<'_>,
        run: &Run<'_>,
    ) -> Result<D::Item<'u>, (Stage, Outcome)> {
        match run.beforehand(unit, record) {
            Some(ended) => Err(ended),
            None => self.decode(record, unit.payload).map_err(|outcome| (Stage::Decode, outcome)),
        }
    }

    async fn in_time<T>(&self, call: impl Future<Output = T>) -> Result<T, TimedOut> {
        match &self.time_limit {
            None => Ok(call.await),
            Some(limit) => limit.within(call).await,
        }
    }

    fn decode<'u>(&self, record: &Record<'_>, data: &'u [u8]) -> Result<D::Item<'u>, Outcome> {
        match catch_unwind(AssertUnwindSafe(|| self.decoder.decode(data, record))) {
            Ok(decoded) => decoded.map_err(Outcome::from),
            Err(panic) => Err(Panicked::new(&*panic).into()),
        }
    }

    /// Stores the poison that the breaker has let go; at the end of the batch, all of it.
    async fn store_held(&self, run: &Run<'_>, at_the_end: bool) {
        for held in run.release(at_the_end) {
            let stored = self.store(&held.envelope).await;
            let error = stored.err().map(|error| ErrorText::of(&error).line());
            if !run.stored(held, error, self.told.as_ref()) {
                return;
            }
        }
    }

    /// A store that panics did not keep the envelope. What it said may quote the envelope, and the
    /// error is logged.
    async fn store(&self, envelope: &Envelope) -> Result<(), QuarantineError> {
        catch(async { self.quarantine.put(envelope).await })
            .await
            .unwrap_or_else(|_: Panicked| Err(QuarantineError::new("the store", "it panicked")))
    }
}

/// What becomes of a record whose key is parked.
fn blocked(by: &str) -> (Stage, Outcome) {
    let error = format!("the record {by} of its partition key is poison");
    (Stage::Handle, Outcome::Poison(PoisonReason::BlockedBy, error.into()))
}

/// Runs a future to its end or to its panic. What it does when it is made must be inside of it.
async fn catch<T>(future: impl Future<Output = T>) -> Result<T, Panicked> {
    AssertUnwindSafe(future).catch_unwind().await.map_err(|panic| Panicked::new(&*panic))
}
