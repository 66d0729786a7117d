//! A request through a pipeline.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::base64;
use crate::event::{self, EventError, Handed};
use crate::outcome::{Outcome, Reason, Report};
use crate::pipeline::{Converted, Pipeline};
use crate::reingest::{self, Again, Overflow, REINGEST_LIMIT, Surplus, mark};
use crate::response::{self, RESPONSE_LIMIT_BYTES, Response};

/// A pipeline with the buffers that it works in. It is made once and kept: what an invocation
/// warms up, the next finds warm.
#[derive(Debug)]
pub struct Engine {
    pipeline: Pipeline,
    scratch: Scratch,
}

/// Buffers of one record, kept from record to record.
#[derive(Debug, Default)]
struct Scratch {
    data: Vec<u8>,
    line: Vec<u8>,
    metadata: Vec<u8>,
}

impl Engine {
    /// An engine that runs a pipeline.
    pub fn new(pipeline: Pipeline) -> Self {
        Self { pipeline, scratch: Scratch::default() }
    }

    /// Transforms one request of Firehose. `out` is cleared, and holds the response afterwards;
    /// on an error it is empty.
    ///
    /// # Errors
    /// When the event is not a request of Firehose. Nothing about a record is an error.
    pub fn transform(&mut self, event: &[u8], out: &mut Vec<u8>) -> Result<Report, EventError> {
        self.run(event, out, RESPONSE_LIMIT_BYTES, None, Pipeline::convert)
    }

    /// The same, and what does not fit the response is kept aside in `overflow`, to be
    /// [put back](reingest::put_back). Until that is done it is answered as failed.
    ///
    /// # Errors
    /// As [`transform`](Self::transform).
    pub fn transform_keeping(
        &mut self,
        event: &[u8],
        out: &mut Vec<u8>,
        overflow: &mut Overflow,
    ) -> Result<Report, EventError> {
        self.run(event, out, RESPONSE_LIMIT_BYTES, Some(overflow), Pipeline::convert)
    }

    /// Converts one record on its own: its line is appended to `out`. This is what
    /// [`transform`](Self::transform) does with the decoded data of each record.
    pub fn convert(&mut self, data: &[u8], out: &mut Vec<u8>) -> Outcome {
        self.convert_at(data, None, out)
    }

    /// The same, with the record's arrival in milliseconds of the epoch: a time that names no year
    /// is near it.
    pub fn convert_at(&mut self, data: &[u8], at: Option<i64>, out: &mut Vec<u8>) -> Outcome {
        self.convert_whole(data, at, out, &mut Vec::new()).outcome
    }

    /// The same, with the record's metadata.
    pub(crate) fn convert_whole(
        &mut self,
        data: &[u8],
        at: Option<i64>,
        out: &mut Vec<u8>,
        metadata: &mut Vec<u8>,
    ) -> Converted {
        let before = out.len();
        metadata.clear();
        let (times, data) = mark::read(data);
        let converted = guarded(|| self.pipeline.convert(data, at, out, metadata));
        if times > 0 {
            let mut rows = out.split_off(before);
            mark::rows(&mut rows, times);
            out.append(&mut rows);
        }
        if converted.outcome != Outcome::Ok {
            out.truncate(before);
            metadata.clear();
        }
        if converted.outcome == Outcome::ProcessingFailed(Reason::Panic) {
            self.pipeline.reset();
        }
        converted
    }

    fn run(
        &mut self,
        event: &[u8],
        out: &mut Vec<u8>,
        limit: usize,
        mut keep: Option<&mut Overflow>,
        mut convert: impl FnMut(
            &mut Pipeline,
            &[u8],
            Option<i64>,
            &mut Vec<u8>,
            &mut Vec<u8>,
        ) -> Converted,
    ) -> Result<Report, EventError> {
        out.clear();
        let handed = event::parse(event)?;
        let ids = handed.iter().filter_map(|record| record.id.ok());
        let mut response = Response::begin(out, limit, ids);
        let mut report = Report::default();
        if let Some(overflow) = &mut keep {
            overflow.clear();
        }
        for (index, record) in handed.iter().enumerate() {
            let Scratch { data, line, metadata } = &mut self.scratch;
            line.clear();
            metadata.clear();
            let decoded = decode(record, data).map(|()| mark::read(data));
            let converted = match decoded {
                Ok((_, own)) => {
                    guarded(|| convert(&mut self.pipeline, own, record.at, line, metadata))
                }
                Err(reason) => Converted::failed(reason),
            };
            if let Ok((times @ 1.., _)) = decoded {
                mark::rows(line, times);
            }
            let mut outcome =
                answer(record, converted.outcome, (line, metadata), &mut response, &mut report);
            if outcome == Outcome::ProcessingFailed(Reason::ResponseFull)
                && let (Some(overflow), Ok((times, own)), Ok(id)) = (&mut keep, decoded, record.id)
            {
                let answer = (id, line.len(), metadata.len());
                match surplus(&self.pipeline, (times, own), answer, &response) {
                    Ok(parts) => {
                        let answer_end = response.len();
                        overflow.surplus.push(Surplus { index, answer_end, parts });
                    }
                    Err(reason) => outcome = Outcome::ProcessingFailed(reason),
                }
            }
            report.count(outcome);
            report.events += converted.events;
            if outcome == Outcome::Ok {
                report.rows += converted.rows;
                report.geoip_errors += u64::from(converted.geoip_error);
            }
            if outcome == Outcome::ProcessingFailed(Reason::Panic) {
                // What the panic left half done is not worth knowing.
                self.scratch = Scratch::default();
                self.pipeline.reset();
            }
        }
        response.end();
        if let Some(overflow) = keep.filter(|overflow| !overflow.is_empty()) {
            event::origin(event, overflow);
        }
        report.inputs = self.pipeline.take_inputs();
        report.response_bytes = out.len() as u64;
        Ok(report)
    }
}

/// The record's bytes, in `data`.
fn decode(record: &Handed<'_>, data: &mut Vec<u8>) -> Result<(), Reason> {
    // A record that cannot be answered is not worth converting.
    record.id?;
    let base64 = record.data.as_deref().map_err(|reason| *reason)?;
    if base64::decode_leniently(base64, data) { Ok(()) } else { Err(Reason::BadBase64) }
}

/// What of a record that did not fit goes back: all of it where it fits a response alone, else the
/// parts that it can be split into; or why nothing does.
fn surplus(
    pipeline: &Pipeline,
    (times, own): (u8, &[u8]),
    (id, data, metadata): (&[u8], usize, usize),
    response: &Response<'_>,
) -> Result<Vec<Again>, Reason> {
    if times >= REINGEST_LIMIT {
        return Err(Reason::ReingestLimit);
    }
    let parts = if response.fits_alone(id, data, metadata) {
        reingest::marked(&[own], times)
    } else {
        // Each is to leave room for others.
        let wanted = response::alone(id, data, metadata).div_ceil(RESPONSE_LIMIT_BYTES / 4);
        pipeline.split(own, wanted).and_then(|parts| reingest::marked(&parts, times))
    };
    parts.ok_or(Reason::ResponseFull)
}

/// A panic fails the record that it happened on, and no other.
fn guarded(convert: impl FnOnce() -> Converted) -> Converted {
    catch_unwind(AssertUnwindSafe(convert)).unwrap_or_else(|_| Converted::failed(Reason::Panic))
}

/// Answers a record with its outcome, or, where the response has no room for that, with a failure.
/// What is returned is what Firehose will make of the record.
fn answer(
    record: &Handed<'_>,
    outcome: Outcome,
    (line, metadata): (&[u8], &[u8]),
    response: &mut Response<'_>,
    report: &mut Report,
) -> Outcome {
    let Ok(id) = record.id else {
        report.unanswered += 1;
        return outcome;
    };
    response.next(id);
    let full = Outcome::ProcessingFailed(Reason::ResponseFull);
    let (answered, outcome) = match outcome {
        Outcome::Ok if response.ok(id, line, metadata) => (true, Outcome::Ok),
        Outcome::Dropped(_) if response.dropped(id) => (true, outcome),
        Outcome::Ok | Outcome::Dropped(_) => (response.failed(id), full),
        Outcome::ProcessingFailed(_) => (response.failed(id), outcome),
    };
    report.unanswered += u64::from(!answered);
    outcome
}

#[cfg(test)]
mod tests;
