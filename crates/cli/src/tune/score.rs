//! What a policy did to a part of a history.

use serde::Serialize;
use tidegate_local::reference::Run;
use tidegate_local::reference::price::{self, HOURS_PER_MONTH};
use tidegate_local::trace::Trace;

/// Sums over one history or several.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Score {
    /// Shard-hours billed.
    pub shard_hours: f64,
    /// Minutes with more than 0.01 % throttled.
    pub throttled_minutes: usize,
    /// The bill of a month, in dollars.
    pub month_usd: f64,
    offered_bytes: f64,
    lost_bytes: f64,
}

/// A score as it is printed.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Figures {
    /// Shard-hours billed.
    pub shard_hours: f64,
    /// The bill of a month, in dollars.
    pub month_usd: f64,
    /// Bytes throttled, in percent.
    pub throttled_bytes_pct: f64,
    /// Minutes with more than 0.01 % throttled.
    pub throttled_minutes: usize,
}

impl Score {
    /// Adds what came of a history from a minute on.
    pub fn add(&mut self, trace: &Trace, run: &Run, from: usize) {
        let minutes = run.minutes.get(from..).unwrap_or_default();
        let mut usd = 0.0;
        for (rate, minute) in trace.minutes.iter().skip(from).zip(minutes) {
            self.shard_hours += minute.capacity / 60.0;
            self.throttled_minutes += usize::from(minute.is_throttled());
            self.offered_bytes += rate.bytes;
            self.lost_bytes += rate.bytes * minute.throttled;
            usd += price::provisioned(minute);
        }
        #[expect(clippy::cast_precision_loss, reason = "minutes of a history")]
        let hours = minutes.len() as f64 / 60.0;
        if hours > 0.0 {
            self.month_usd += usd * HOURS_PER_MONTH / hours;
        }
    }

    /// Bytes throttled, in percent of those offered.
    pub fn throttled_pct(&self) -> f64 {
        if self.offered_bytes > 0.0 { 100.0 * self.lost_bytes / self.offered_bytes } else { 0.0 }
    }

    /// For print.
    pub fn figures(&self) -> Figures {
        let round = |value: f64, factor: f64| (value * factor).round() / factor;
        Figures {
            shard_hours: round(self.shard_hours, 1e3),
            month_usd: round(self.month_usd, 1e2),
            throttled_bytes_pct: round(self.throttled_pct(), 1e6),
            throttled_minutes: self.throttled_minutes,
        }
    }
}
