//! The step sample of Application Auto Scaling (aws-samples/aws-application-auto-scaling-kinesis):
//! one shard more, or one fewer.

use super::policy::{Change, Policy, Seen};

/// One minute above this asks for one more.
const BUSY: f64 = 0.8;

/// Its alarm for fewer compares a sum of five minutes with what one minute takes, so it fires only
/// below this.
const QUIET: f64 = 0.16;

/// Points of five minutes that must be quiet.
const QUIET_POINTS: usize = 3;

/// Minutes of pause after the minute of a call.
const PAUSE: usize = 10;

/// Until when it pauses.
#[derive(Debug, Clone, Copy, Default)]
pub struct Step {
    pauses_until: usize,
}

impl Policy for Step {
    fn look(&mut self, seen: &Seen<'_>) -> Option<Change> {
        if seen.reshard.is_some() || seen.minute < self.pauses_until {
            return None;
        }
        // Its alarms hold the count that the last call asked for.
        let used = || seen.newest().map(|minute| minute.accepted / f64::from(minute.target));
        if used().next().is_some_and(|used| used > BUSY) {
            let message = "use was above 80 % in one minute".to_owned();
            return Some(Change::more(seen.open + 1, message));
        }
        let points: Vec<f64> = used().take(5 * QUIET_POINTS).collect();
        let quiet = points.chunks_exact(5).filter(|five| five.iter().sum::<f64>() / 5.0 < QUIET);
        if quiet.count() == QUIET_POINTS && seen.open > 1 {
            let message = "use was below 16 % in three points of five minutes".to_owned();
            return Some(Change::fewer(seen.open - 1, message));
        }
        None
    }

    fn accepted(&mut self, _change: &Change, began: usize, _ends: usize) {
        self.pauses_until = began + PAUSE + 1;
    }
}
