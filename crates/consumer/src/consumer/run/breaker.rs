//! Whether a batch is poison or an outage, and how much of it may wait to be told.

use jiff::Timestamp;

use super::{Held, State};
use crate::envelope::Envelope;
use crate::options::Options;
use crate::outcome::PoisonReason;

/// What may wait for the breaker: more than the poison of any event of plain records, since Lambda's
/// events have 6 MB and 10,000 of them at most. What records expand to can be more.
const HELD_BYTES_MAX: usize = 32 << 20;

/// What an envelope and its account take besides the payload.
const HELD_BYTES_EACH: usize = 2 << 10;

/// What the breaker says of the batch.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    /// So far neither.
    Open,
    /// Whatever else comes, it is no outage.
    Poison,
    Outage,
}

/// What waits with an envelope.
pub(super) const fn bytes(envelope: &Envelope) -> usize {
    HELD_BYTES_EACH + envelope.payload.len()
}

impl State {
    /// What waited, which then waits no more.
    pub(super) fn take_held(&mut self) -> Vec<Held> {
        self.held_bytes = 0;
        std::mem::take(&mut self.held)
    }

    /// What the breaker says of the batch so far.
    pub(super) fn judge(&self, options: &Options, now: Timestamp) -> Judgement {
        let Some(breaker) = options.breaker else { return Judgement::Poison };
        if self.poison == 0 {
            return Judgement::Open;
        }
        let arrival = self.held.first().and_then(|held| held.seen.record.approximate_arrival);
        if arrival.is_none_or(|at| now.duration_since(at) > breaker.patience) {
            return Judgement::Poison;
        }
        let received = self.report.received;
        let least = (received * breaker.percent_min).div_ceil(100).max(breaker.records_min);
        let blocked = self.held.iter().filter(|held| held.reason == PoisonReason::BlockedBy);
        let sound = self.report.delivered + self.report.skipped + blocked.count() as u64;
        if self.held_bytes > HELD_BYTES_MAX {
            // No more can wait to be judged: what is known of the batch so far stands for all of it.
            let known = self.poison + sound;
            let most = self.poison * 100 >= known * breaker.percent_min;
            let outage = most && self.poison >= breaker.records_min;
            return if outage { Judgement::Outage } else { Judgement::Poison };
        }
        if self.poison >= least {
            Judgement::Outage
        } else if received.saturating_sub(sound) < least {
            Judgement::Poison
        } else {
            Judgement::Open
        }
    }
}
