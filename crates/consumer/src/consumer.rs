//! The engine: a batch in, a response and a report out.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};

use futures_util::FutureExt;
use jiff::Timestamp;

use crate::decode::Decoder;
use crate::envelope::{Envelope, ErrorText};
use crate::event::{Event, EventError, Record};
use crate::handler::RecordHandler;
use crate::outcome::{BoxError, Outcome, Panicked, PoisonReason, Stage};
use crate::report::{Report, RetryCause};
use crate::settle::{Response, Settlement};
use crate::store::{Quarantine, QuarantineError};

/// The invocation that a batch came with.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// The ARN by which the function was invoked.
    pub function_arn: &'a str,
    /// Lambda's identifier of the invocation.
    pub request_id: &'a str,
    /// The present moment. The library reads no clock.
    pub now: Timestamp,
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

/// Processes batches: decodes each record, hands it to the handler, and puts poison into
/// quarantine.
///
/// Records are handled one after the other in the order of the batch. After the first
/// [`Outcome::Retry`] nothing is attempted any more, so that no record overtakes another of its
/// shard; a poison record is settled by its quarantine and the next one is handled.
///
/// There is no state between batches, no task is spawned and no runtime assumed: the future runs
/// wherever it is polled, and may change its thread when the three parts may.
#[derive(Debug)]
pub struct Consumer<D, H, Q> {
    decoder: D,
    handler: H,
    quarantine: Q,
}

impl<D, H, Q> Consumer<D, H, Q>
where
    D: Decoder,
    H: for<'a> RecordHandler<D::Item<'a>>,
    Q: Quarantine,
{
    /// A consumer of three parts.
    pub const fn new(decoder: D, handler: H, quarantine: Q) -> Self {
        Self { decoder, handler, quarantine }
    }

    /// Processes one batch: the body of an invocation, as it came.
    ///
    /// Dropped before its end, it leaves nothing half done: what was not answered comes again.
    ///
    /// # Errors
    /// Those by which an invocation has to fail. No single record is among them, unless it cannot be
    /// named and not be kept either.
    pub async fn process(&self, event: &[u8], call: &Call<'_>) -> Result<Processed, ProcessError> {
        let event = Event::parse(event).map_err(ProcessError::Event)?;
        let mut settlement = Settlement::new(event.len());
        let mut report = Report::of(event.len());
        let mut data = Vec::new();
        for (index, record) in event.records().enumerate() {
            if !self.settle(&record, &mut data, &mut report, call).await {
                break;
            }
            settlement.settle(index);
        }
        let Some(index) = settlement.first_unsettled() else {
            return Ok(Processed { response: Response::all_settled(), report });
        };
        report.not_attempted = (event.len() - index - 1) as u64;
        // Without a number of its own the record cannot be named, and no other will do: an empty one
        // fails the whole batch as well, but says nothing; that of a later record settles this one,
        // which loses it; an earlier record need not be there. So the invocation fails, and says
        // why: Lambda delivers all of it again.
        match event.record(index).as_ref().and_then(Record::sequence_number) {
            Some(number) => Ok(Processed { response: Response::again_from(number), report }),
            None => Err(ProcessError::Unnameable { index, report: Box::new(report) }),
        }
    }

    /// Takes one record to its end and counts it; says whether it is settled.
    async fn settle(
        &self,
        record: &Record<'_>,
        data: &mut Vec<u8>,
        report: &mut Report,
        call: &Call<'_>,
    ) -> bool {
        let (stage, outcome) = self.attempt(record, data).await;
        match outcome {
            Outcome::Done => {
                report.delivered += 1;
                true
            }
            Outcome::Skip => {
                report.skipped += 1;
                true
            }
            Outcome::Retry(error) => {
                report.retry(record, RetryCause::Handler, ErrorText::of(&*error).line());
                false
            }
            Outcome::Poison(reason, error) => {
                let envelope = Envelope::pack(record, data, (reason, stage), &*error, call);
                let stored = self.store(&envelope).await;
                report.poison(record, reason, &envelope, stored)
            }
        }
    }

    /// Decodes and handles one record. `data` is a buffer for its payload, one for the whole batch.
    async fn attempt(&self, record: &Record<'_>, data: &mut Vec<u8>) -> (Stage, Outcome) {
        data.clear();
        let encoded = match usable(record) {
            Ok(encoded) => encoded,
            Err(error) => return (Stage::Split, poison(PoisonReason::Envelope, error)),
        };
        if let Err(error) = decode_base64(encoded, data) {
            return (Stage::Base64, poison(PoisonReason::Base64, error));
        }
        let decoded = catch_unwind(AssertUnwindSafe(|| self.decoder.decode(data, record)));
        let item = match decoded {
            Ok(Ok(item)) => item,
            Ok(Err(error)) => return (Stage::Decode, error.into()),
            Err(panic) => return (Stage::Decode, Panicked::new(&*panic).into()),
        };
        let outcome = catch(async { self.handler.handle(item, record).await }).await;
        (Stage::Handle, outcome.unwrap_or_else(Outcome::from))
    }

    /// A store that panics did not keep the envelope. What it said may quote the envelope, and the
    /// error is logged.
    async fn store(&self, envelope: &Envelope) -> Result<(), QuarantineError> {
        catch(async { self.quarantine.put(envelope).await })
            .await
            .unwrap_or_else(|_: Panicked| Err(QuarantineError::new("the store", "it panicked")))
    }
}

/// Runs a future to its end or to its panic. What it does when it is made must be inside of it.
async fn catch<T>(future: impl Future<Output = T>) -> Result<T, Panicked> {
    AssertUnwindSafe(future).catch_unwind().await.map_err(|panic| Panicked::new(&*panic))
}

fn poison(reason: PoisonReason, error: impl Into<BoxError>) -> Outcome {
    Outcome::Poison(reason, error.into())
}

/// The data of a record that can be handled and, should it have to come again, be named.
fn usable<'r>(record: &'r Record<'_>) -> Result<&'r str, &'static str> {
    if record.sequence_number().is_none() {
        return Err("the record has no sequence number");
    }
    record.encoded().ok_or("the record has no data")
}

/// Standard base64; where that fails, also without its padding or with white space.
fn decode_base64(encoded: &str, data: &mut Vec<u8>) -> Result<(), base64_simd::Error> {
    use base64_simd::AppendBase64Decode as _;

    let encoded = encoded.as_bytes();
    if Vec::append_base64_decode(&base64_simd::STANDARD, encoded, data).is_err() {
        *data = base64_simd::forgiving_decode_to_vec(encoded)?;
    }
    Ok(())
}
