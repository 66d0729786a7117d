//! aws-samples/kinesis-auto-scaling at e1e52f8: double on a busy 25 minutes, halve on quiet hours.

use super::policy::{Change, Policy, Seen};

/// Points that are looked at before halving, and how many of them must be quiet.
const QUIET_OF: (usize, usize) = (57, 60);

/// Use below this is quiet.
const QUIET: f64 = 0.25;

/// Points in a row that must be busy.
const BUSY_POINTS: usize = 5;

/// The sample, with the alarm that it ships or a faster one.
#[derive(Debug, Clone, Copy)]
pub struct AwsSample {
    busy: f64,
    by_the_minute: bool,
}

impl AwsSample {
    /// As it is shipped: 75 % in five of five points of five minutes.
    pub const fn shipped() -> Self {
        Self { busy: 0.75, by_the_minute: false }
    }

    /// With the period of its alarm for more set to one minute, and 80 %.
    pub const fn by_the_minute() -> Self {
        Self { busy: 0.8, by_the_minute: true }
    }

    fn is_busy(self, seen: &Seen<'_>, shards: f64) -> bool {
        let busy = |load: &f64| *load / shards >= self.busy;
        let points = if self.by_the_minute {
            seen.newest().map(|minute| minute.accepted).take(BUSY_POINTS).filter(busy).count()
        } else {
            seen.five_minute_loads().take(BUSY_POINTS).filter(busy).count()
        };
        points == BUSY_POINTS
    }
}

impl Policy for AwsSample {
    /// It only doubles and halves.
    fn start(&self, usual: u32) -> u32 {
        usual.next_power_of_two()
    }

    fn look(&mut self, seen: &Seen<'_>) -> Option<Change> {
        // Its alarms divide by the count that was written into them after the last call, for past
        // points too.
        let open = seen.reshard.map_or(seen.open, |reshard| reshard.to);
        let shards = f64::from(open);
        if self.is_busy(seen, shards) {
            let message = format!("use was at least {:.0} % in 5 of 5 points", self.busy * 100.0);
            return Some(Change::more(open * 2, message));
        }
        let (quiet, of) = QUIET_OF;
        let (known, low) = seen.five_minute_loads().take(of).fold((0, 0), |(known, low), load| {
            (known + 1, low + usize::from(load / shards < QUIET))
        });
        if open > 1 && known == of && low >= quiet {
            let message = "use was below 25 % in 57 of 60 points of five minutes".to_owned();
            return Some(Change::fewer(open / 2, message));
        }
        None
    }
}
