//! What did not fit a response goes back to where it came from, and comes again in a later batch.
//!
//! The engine answers such a record as failed and keeps it aside ([`Overflow`]); [`put_back`] puts
//! it back through a port and turns the answer into `Dropped` where that was accepted. So a record
//! that could not be put back, for whatever reason, stays failed, and Firehose keeps it: nothing
//! is lost.
//!
//! A record that goes back carries a [mark](mark) before its bytes: how many times it was put back.
//! It ends after [`REINGEST_LIMIT`] times, and its rows say it in the field
//! [`REINGESTED`]: only such rows can be there twice, when Firehose calls the
//! function again for a batch of which a part was put back already.

pub(crate) mod mark;
pub(crate) mod split;

use std::future::Future;

pub use self::mark::REINGESTED;
use crate::outcome::Report;
use crate::response;

/// How many times a record is put back at most.
pub const REINGEST_LIMIT: u8 = 5;

/// Records in one call, of PutRecordBatch and of PutRecords alike ("Quotas" of the Firehose and of
/// the Kinesis Data Streams Developer Guide, 2026-11).
const CALL_RECORDS: usize = 500;

/// Bytes in one call: 4 MiB for PutRecordBatch. PutRecords takes more.
const CALL_BYTES: usize = 4 << 20;

/// Bytes of one record, before base64: 1,000 KiB for Firehose. Kinesis takes more.
const RECORD_BYTES: usize = 1_000 << 10;

/// How often what a call refused is offered again. There is no wait between: it would be billed.
const ROUNDS: usize = 3;

/// Where the records of a request came from, and go back to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A stream of Kinesis, by its ARN. Firehose refuses records for a delivery stream that reads
    /// one, so that they go back there.
    Stream(String),
    /// The delivery stream itself, by its name.
    Delivery(String),
}

/// A record on its way back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Again {
    /// Its bytes, with the mark.
    pub data: Vec<u8>,
    /// The partition key that it came with; for a stream only.
    pub key: Option<String>,
}

/// The service that takes records back.
pub trait Reingest {
    /// One call: PutRecords or PutRecordBatch with these records, at most 500 and 4 MiB. Says of
    /// each, in order, whether it was accepted.
    fn put(
        &self,
        to: &Source,
        records: &[&Again],
    ) -> impl Future<Output = Result<Vec<bool>, ReingestError>>;
}

/// Why a call failed as a whole.
#[derive(Debug, thiserror::Error)]
#[error("{operation} failed: {message}")]
pub struct ReingestError {
    /// The operation of the service.
    pub operation: &'static str,
    /// What it said.
    pub message: String,
}

/// The records of one request that did not fit its response.
#[derive(Debug, Default)]
pub struct Overflow {
    pub(crate) source: Option<Source>,
    pub(crate) surplus: Vec<Surplus>,
}

/// One of them.
#[derive(Debug)]
pub(crate) struct Surplus {
    /// Its place in the request.
    pub(crate) index: usize,
    /// Where its answer, a failure, ends in the response.
    pub(crate) answer_end: usize,
    /// What goes back: the record, or what it was split into.
    pub(crate) parts: Vec<Again>,
}

impl Overflow {
    /// Whether everything fitted.
    pub fn is_empty(&self) -> bool {
        self.surplus.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        self.source = None;
        self.surplus.clear();
    }
}

/// What became of an [`Overflow`].
#[derive(Debug, Default)]
pub struct PutBack {
    /// Calls made.
    pub calls: u64,
    /// Records that went back whole, or in parts all of which did.
    pub records: u64,
    /// Records of which a part went back before another was refused. They stay failed, since
    /// what is missing must be kept somewhere; the rows of the parts carry the mark.
    pub in_part: u64,
    /// Records that stay failed for another reason.
    pub left: u64,
    /// What ended the calls before their time.
    pub error: Option<ReingestError>,
}

/// Puts records back, and says so in the response and in the report. Before each call `go_on` says
/// whether there is time for another.
pub async fn put_back<P: Reingest>(
    overflow: Overflow,
    port: &P,
    go_on: impl Fn() -> bool,
    response: &mut [u8],
    report: &mut Report,
) -> PutBack {
    let mut done = PutBack::default();
    let Overflow { source, surplus } = overflow;
    let Some(source) = source else {
        done.left = surplus.len() as u64;
        return done;
    };
    let mut waiting: Vec<(usize, &Again)> = surplus
        .iter()
        .enumerate()
        .flat_map(|(index, surplus)| surplus.parts.iter().map(move |part| (index, part)))
        .collect();
    let mut accepted = vec![0; surplus.len()];
    'rounds: for _ in 0..ROUNDS {
        let mut refused = Vec::new();
        let mut rest = &waiting[..];
        while !rest.is_empty() {
            let (call, later) = rest.split_at(first_call(rest));
            if !go_on() {
                break 'rounds;
            }
            done.calls += 1;
            let records: Vec<_> = call.iter().map(|(_, record)| *record).collect();
            match port.put(&source, &records).await {
                Ok(taken) => {
                    for (place, (index, record)) in call.iter().enumerate() {
                        if taken.get(place) == Some(&true) {
                            accepted[*index] += 1;
                        } else {
                            refused.push((*index, *record));
                        }
                    }
                }
                Err(error) => {
                    done.error = Some(error);
                    break 'rounds;
                }
            }
            rest = later;
        }
        waiting = refused;
    }
    for (surplus, accepted) in surplus.iter().zip(accepted) {
        if accepted == surplus.parts.len() {
            done.records += 1;
            response::failed_into_dropped(response, surplus.answer_end);
            report.put_back();
        } else if accepted > 0 {
            done.in_part += 1;
        } else {
            done.left += 1;
        }
    }
    done
}

/// How many of the records, one at least, fit into a call.
fn first_call(records: &[(usize, &Again)]) -> usize {
    let mut bytes = 0;
    let fit = records.iter().take(CALL_RECORDS).take_while(|(_, record)| {
        bytes += record.data.len() + record.key.as_ref().map_or(0, String::len);
        bytes <= CALL_BYTES
    });
    fit.count().max(1)
}

/// The record, or its parts, with the mark of one time more; `None` when one is larger than a
/// record can be.
pub(crate) fn marked(parts: &[impl AsRef<[u8]>], times: u8) -> Option<Vec<Again>> {
    parts
        .iter()
        .map(|part| {
            let data = mark::write(part.as_ref(), times + 1);
            (data.len() <= RECORD_BYTES).then_some(Again { data, key: None })
        })
        .collect()
}

#[cfg(test)]
mod tests;
