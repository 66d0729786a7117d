//! awslabs/amazon-kinesis-scaling-utils with the percentages of its README: half as many more, a
//! quarter fewer.

use super::model::Kind;
use super::policy::{Change, Pauses, Policy, Refused, Seen};

/// Minutes from one look to the next.
const EVERY: usize = 5;

/// Minutes that are looked at.
const POINTS: usize = 15;

/// Of them, how many must be busy.
const BUSY_POINTS: usize = 5;

const BUSY: f64 = 0.75;
const QUIET: f64 = 0.25;

/// Minutes of pause after a reshard for more, and for fewer.
const PAUSE_AFTER_MORE: usize = 15;
const PAUSE_AFTER_FEWER: usize = 60;

/// Its pauses; everything else it reads anew.
#[derive(Debug, Clone, Copy, Default)]
pub struct ScalingUtils {
    pauses: Pauses,
}

impl Policy for ScalingUtils {
    fn look(&mut self, seen: &Seen<'_>) -> Option<Change> {
        if seen.reshard.is_some() || !seen.minute.is_multiple_of(EVERY) {
            return None;
        }
        let used = || seen.utilizations().take(POINTS);
        let busy = used().filter(|used| *used > BUSY).count() >= BUSY_POINTS;
        if busy && self.pauses.allow_more(seen.minute) {
            let more = seen.open + seen.open.div_ceil(2);
            let message = "use was above 75 % in 5 of 15 minutes".to_owned();
            return Some(Change::more(more, message));
        }
        // A minute that is missing counts as quiet.
        let fewer = seen.open - seen.open / 4;
        let quiet = used().all(|used| used < QUIET) && fewer < seen.open;
        if quiet && self.pauses.allow_fewer(seen.minute) {
            let message = "use was below 25 % in 15 of 15 minutes".to_owned();
            return Some(Change::fewer(fewer, message));
        }
        None
    }

    fn accepted(&mut self, change: &Change, _began: usize, ends: usize) {
        let pause = if change.is_more() { PAUSE_AFTER_MORE } else { PAUSE_AFTER_FEWER };
        self.pauses.after(change, ends + pause);
    }

    /// With the ten calls spent it goes on shard by shard.
    fn refused(&mut self, change: &Change, why: Refused) -> Option<Change> {
        let kind = if change.is_more() { Kind::Split } else { Kind::Merge };
        let again = change.kind == Kind::Update && why == Refused::Spent;
        again.then(|| Change { kind, ..change.clone() })
    }
}
