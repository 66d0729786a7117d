//! The answer to a record of several events.

use super::{Around, Converted, Line};
use crate::formats::Unwrap;
use crate::moment::Moment;
use crate::outcome::{Outcome, Reason};

/// The events of a record, which has one answer: a row each, or, when one of them fails, a failure,
/// so that Firehose keeps the whole record and nothing is delivered twice.
#[derive(Default)]
pub(super) struct Several {
    events: u64,
    rows: u64,
    geoip_error: bool,
    dropped: Option<Outcome>,
    failed: Option<Outcome>,
}

impl Several {
    pub(super) fn add(
        &mut self,
        line: &mut Line,
        data: &[u8],
        around: Around<'_, '_>,
        at: Option<Moment>,
        out: &mut Vec<u8>,
        metadata: &mut Vec<u8>,
    ) {
        self.events += 1;
        if self.failed.is_some() {
            return;
        }
        let before = out.len();
        if self.rows > 0 {
            out.push(b'\n');
        }
        let mut own = std::mem::take(&mut line.metadata);
        own.clear();
        let (outcome, geoip_error) = line.event(data, around, at, out, &mut own);
        match outcome {
            Outcome::Ok if self.rows > 0 && own != *metadata => {
                self.failed = Some(Outcome::ProcessingFailed(Reason::MixedMetadata));
            }
            Outcome::Ok => {
                self.rows += 1;
                self.geoip_error |= geoip_error;
                if self.rows == 1 {
                    metadata.clear();
                    metadata.extend_from_slice(&own);
                }
            }
            Outcome::Dropped(Reason::Header) => {
                // A header is no event.
                self.events -= 1;
                self.dropped.get_or_insert(outcome);
                out.truncate(before);
            }
            Outcome::Dropped(_) => {
                if !matches!(self.dropped, Some(Outcome::Dropped(reason)) if reason != Reason::Header)
                {
                    self.dropped = Some(outcome);
                }
                out.truncate(before);
            }
            Outcome::ProcessingFailed(_) => self.failed = Some(outcome),
        }
        line.metadata = own;
    }

    pub(super) fn end(self, newline: bool, what: Unwrap, out: &mut Vec<u8>) -> Converted {
        let nothing = match what {
            Unwrap::CloudwatchLogs => Outcome::Dropped(Reason::NoEvents),
            _ => Outcome::ProcessingFailed(Reason::Empty),
        };
        let outcome = match (self.failed, self.rows) {
            (Some(failed), _) => failed,
            (None, 0) => self.dropped.unwrap_or(nothing),
            (None, _) => Outcome::Ok,
        };
        if outcome == Outcome::Ok && newline {
            out.push(b'\n');
        }
        let Self { events, rows, geoip_error, .. } = self;
        Converted { outcome, geoip_error, events, rows }
    }
}
