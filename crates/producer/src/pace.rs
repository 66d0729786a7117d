//! How fast the caller wants to send at the most.

use std::time::Duration;

/// Records and bytes a second; `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Limit {
    /// Records a second.
    pub records_per_second: Option<f64>,
    /// Bytes a second, keys counted.
    pub bytes_per_second: Option<f64>,
}

/// A budget that a second fills, and that a request may overdraw: the next one waits for it.
#[derive(Debug)]
struct Bucket {
    rate: Option<f64>,
    level: f64,
    filled_at: Duration,
}

impl Bucket {
    const fn new(rate: Option<f64>) -> Self {
        let level = match rate {
            Some(rate) => rate,
            None => 0.0,
        };
        Self { rate, level, filled_at: Duration::ZERO }
    }

    fn fill(&mut self, now: Duration) {
        let Some(rate) = self.rate else { return };
        let elapsed = now.saturating_sub(self.filled_at).as_secs_f64();
        self.level = rate.min(self.level + elapsed * rate);
        self.filled_at = self.filled_at.max(now);
    }

    fn spend(&mut self, amount: f64) {
        if self.rate.is_some() {
            self.level -= amount;
        }
    }

    /// How long until something may be sent again.
    fn wait(&self) -> Duration {
        match self.rate {
            Some(rate) if self.level <= 0.0 => {
                // One part in a thousand more than the debt, so that the level is above zero then.
                Duration::try_from_secs_f64((1.0 - self.level * 1.001) / rate.max(1e-3) + 1e-3)
                    .unwrap_or(Duration::MAX)
            }
            _ => Duration::ZERO,
        }
    }
}

/// The two budgets of a limit.
#[derive(Debug)]
pub(crate) struct Pace {
    records: Bucket,
    bytes: Bucket,
}

impl Pace {
    pub(crate) const fn new(limit: Limit) -> Self {
        Self {
            records: Bucket::new(limit.records_per_second),
            bytes: Bucket::new(limit.bytes_per_second),
        }
    }

    /// How long nothing may be sent.
    pub(crate) fn wait(&mut self, now: Duration) -> Duration {
        self.records.fill(now);
        self.bytes.fill(now);
        self.records.wait().max(self.bytes.wait())
    }

    /// Whether one more record of this request is within what the second allows.
    pub(crate) fn has_room(&self) -> bool {
        self.records.rate.is_none_or(|_| self.records.level > 0.0)
            && self.bytes.rate.is_none_or(|_| self.bytes.level > 0.0)
    }

    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    pub(crate) fn spend(&mut self, records: usize, bytes: usize) {
        self.records.spend(records as f64);
        self.bytes.spend(bytes as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_allows_what_the_limit_says() {
        let limit = Limit { records_per_second: Some(100.0), bytes_per_second: Some(1_000.0) };
        // bytes of a record, records that ten seconds let through: the first second is saved up
        for (bytes, expected) in [(1, 1_100), (100, 110), (5_000, 3)] {
            let mut pace = Pace::new(limit);
            let (mut now, mut sent) = (Duration::ZERO, 0_i32);
            while now <= Duration::from_secs(10) {
                while pace.wait(now).is_zero() && pace.has_room() {
                    pace.spend(1, bytes);
                    sent += 1;
                }
                now += pace.wait(now).max(Duration::from_millis(1));
            }
            let off = f64::from(sent - expected).abs() / f64::from(expected);
            assert!(off <= 0.02 || (sent - expected).abs() <= 1, "{bytes} bytes: {sent}");
        }
    }
}
