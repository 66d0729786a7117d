//! Target tracking, as Application Auto Scaling does it for other services: towards 70 %.

use tidegate_autoscaler::limits;

use super::model;
use super::policy::{Change, Pauses, Policy, Seen};

const TARGET: f64 = 0.7;

/// Fewer only below nine tenths of the target.
const LOW: f64 = 0.63;

/// Minutes in a row above the target before more.
const MORE_POINTS: usize = 3;

/// Minutes in a row below before fewer.
const FEWER_POINTS: usize = 15;

/// Minutes of pause after a reshard.
const PAUSE: usize = 5;

/// Its pauses.
#[derive(Debug, Clone, Copy, Default)]
pub struct TargetTracking {
    pauses: Pauses,
}

impl Policy for TargetTracking {
    fn look(&mut self, seen: &Seen<'_>) -> Option<Change> {
        if seen.reshard.is_some() {
            return None;
        }
        let newest = |points| seen.utilizations().take(points);
        let all = |points, is: fn(&f64) -> bool| newest(points).filter(is).count() == points;
        let change = if self.pauses.allow_more(seen.minute) && all(MORE_POINTS, |u| *u > TARGET) {
            let mean = newest(MORE_POINTS).sum::<f64>() / model::as_f64(MORE_POINTS);
            let percent = mean * 100.0;
            let message = format!("use was above 70 % for 3 minutes, {percent:.0} % on average");
            Change::more(sized(seen.open, mean), message)
        } else if self.pauses.allow_fewer(seen.minute) && all(FEWER_POINTS, |u| *u < LOW) {
            let highest = newest(FEWER_POINTS).fold(0.0, f64::max);
            let percent = highest * 100.0;
            let message = format!("use was below 63 % for 15 minutes, {percent:.0} % at most");
            Change::fewer(sized(seen.open, highest), message)
        } else {
            return None;
        };
        (change.to != seen.open).then_some(change)
    }

    fn accepted(&mut self, change: &Change, _began: usize, ends: usize) {
        self.pauses.after(change, ends + PAUSE);
    }
}

/// The count that brings use to the target, as far as one call goes.
fn sized(open: u32, used: f64) -> u32 {
    let (least, most) = limits::legal(open);
    model::count(f64::from(open) * used / TARGET).clamp(least, most)
}
