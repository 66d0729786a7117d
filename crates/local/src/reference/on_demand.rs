//! On-demand mode, from cold: capacity for twice the peak of the last 30 days ("Choose the right
//! mode to stream in", Kinesis Data Streams Developer Guide, 2026-11).

use std::collections::VecDeque;

use super::model::{Minute, Run};
use crate::trace::{self, Trace};

/// What a new stream takes: 4 MiB/s and 4,000 records/s.
const LEAST: f64 = 4.0;

/// A peak counts once it is this old: more than double within this time is throttled.
const SETTLES_AFTER_MINUTES: usize = 15;

/// A peak is remembered this long.
const REMEMBERED_MINUTES: usize = 30 * 24 * 60;

/// Runs a history in on-demand mode.
pub fn run(trace: &Trace) -> Run {
    let mut minutes: Vec<Minute> = Vec::with_capacity(trace.minutes.len());
    let mut peaks = Peaks::default();
    for (minute, offered) in trace.minutes.iter().enumerate() {
        if let Some(settled) = minute.checked_sub(SETTLES_AFTER_MINUTES) {
            peaks.push(settled, minutes[settled].accepted);
        }
        let capacity = LEAST.max(2.0 * peaks.highest(minute));
        let load = trace::shards(*offered);
        minutes.push(Minute::new(*offered, load.min(capacity), capacity, 0));
    }
    Run::new(trace, minutes, false)
}

/// The highest of a sliding span: only the minutes that no later one exceeds are kept.
#[derive(Default)]
struct Peaks(VecDeque<(usize, f64)>);

impl Peaks {
    fn push(&mut self, minute: usize, load: f64) {
        while self.0.back().is_some_and(|(_, kept)| *kept <= load) {
            self.0.pop_back();
        }
        self.0.push_back((minute, load));
    }

    fn highest(&mut self, now: usize) -> f64 {
        while self.0.front().is_some_and(|(minute, _)| now - minute > REMEMBERED_MINUTES) {
            self.0.pop_front();
        }
        self.0.front().map_or(0.0, |(_, load)| *load)
    }
}
