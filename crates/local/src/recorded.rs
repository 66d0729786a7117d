//! A history of traffic from what CloudWatch recorded of a stream.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use tidegate_autoscaler::demand::demand_of;
use tidegate_autoscaler::observation::{MINUTE, Minute};
use tidegate_autoscaler::units::MilliShards;

use crate::fluid::{SHARD_PER_SECOND, Volume};
use crate::trace::{Trace, shards};

/// A gap of up to so many minutes is taken for points that were lost: the larger of the minutes
/// beside it stands in for them. A longer one is taken for silence, since Kinesis publishes nothing
/// of a stream that nobody writes to.
pub const SHORT_GAP_MINUTES: usize = 5;

/// What was recorded, and what had to be made up for.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    /// The demand, minute by minute, from the first to the last that is known.
    pub trace: Trace,
    /// Minutes of short gaps.
    pub filled_minutes: usize,
    /// The long gaps: the start of each, and its minutes.
    pub silences: Vec<(Timestamp, usize)>,
    /// Minutes in which records were rejected, so that the demand is rebuilt and not measured.
    pub rebuilt_minutes: usize,
}

impl Recorded {
    /// From the minutes of a stream; `None` when nothing is known of its load.
    pub fn new(minutes: &BTreeMap<Timestamp, Minute>) -> Option<Self> {
        let mut known = minutes.iter().filter(|(_, minute)| minute.has_load());
        let (start, first) = known.next()?;
        let start = whole_minute(*start);
        let mut recorded = Self {
            trace: Trace { start, minutes: vec![offered(first)] },
            filled_minutes: 0,
            silences: Vec::new(),
            rebuilt_minutes: usize::from(is_rebuilt(first)),
        };
        for (at, minute) in known {
            let index = at.duration_since(start).as_secs() / MINUTE.as_secs();
            let Ok(index) = usize::try_from(index) else { continue };
            recorded.fill(index, offered(minute));
            recorded.rebuilt_minutes += usize::from(is_rebuilt(minute));
        }
        Some(recorded)
    }

    /// Adds a minute, and what is missing before it.
    fn fill(&mut self, index: usize, rate: Volume) {
        let rates = &mut self.trace.minutes;
        let Some(missing) = index.checked_sub(rates.len()) else { return };
        let before = rates.last().copied().unwrap_or_default();
        let stands_in = if missing > SHORT_GAP_MINUTES {
            self.silences.push((self.trace.start + minutes_of(rates.len()), missing));
            Volume::default()
        } else {
            self.filled_minutes += missing;
            if shards(before) > shards(rate) { before } else { rate }
        };
        rates.extend(std::iter::repeat_n(stands_in, missing));
        rates.push(rate);
    }

    /// Minutes of long gaps.
    pub fn silent_minutes(&self) -> usize {
        self.silences.iter().map(|(_, minutes)| minutes).sum()
    }
}

/// What producers offered in a minute, by the second: what was accepted, and of what was rejected
/// as much as the engine believes in.
fn offered(minute: &Minute) -> Volume {
    let (bytes, records) = (minute.bytes.unwrap_or(0), minute.records.unwrap_or(0));
    #[expect(clippy::cast_precision_loss, reason = "a volume")]
    let accepted = Volume { bytes: bytes as f64, records: records as f64 }.times(1.0 / 60.0);
    let measured = MilliShards::of_minute(bytes, records);
    let demand = demand_of(minute);
    if demand == measured {
        return accepted;
    }
    let load = shards(accepted);
    if load > 0.0 {
        return accepted.times(demand.as_shards() / load);
    }
    // Nothing was accepted that could tell a size.
    Volume { bytes: 0.0, records: demand.as_shards() * SHARD_PER_SECOND.records }
}

fn is_rebuilt(minute: &Minute) -> bool {
    minute.rejected.unwrap_or(0) > 0
}

fn whole_minute(at: Timestamp) -> Timestamp {
    let second = at.as_second();
    Timestamp::from_second(second - second.rem_euclid(MINUTE.as_secs())).unwrap_or(at)
}

fn minutes_of(count: usize) -> SignedDuration {
    SignedDuration::from_mins(i64::try_from(count).unwrap_or(i64::MAX / 60))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_763_683_200 + minute * 60).unwrap()
    }

    fn minute(records: u64, rejected: u64) -> Minute {
        let bytes = Some(records * 100);
        Minute { bytes, records: Some(records), rejected: Some(rejected), ..Minute::default() }
    }

    #[test]
    fn gaps_are_filled_or_taken_for_silence_and_counted() {
        let minutes = BTreeMap::from([
            (at(0), minute(60, 0)),
            (at(3), minute(600, 0)),
            // An age alone says nothing of the load.
            (at(5), Minute { iterator_age_ms: Some(9), ..Minute::default() }),
            (at(10), minute(120, 0)),
        ]);
        let recorded = Recorded::new(&minutes).unwrap();
        let records: Vec<_> = recorded.trace.minutes.iter().map(|rate| rate.records).collect();
        let silent = [0.0; 6];
        assert_eq!(records, [&[1.0, 10.0, 10.0, 10.0][..], &silent, &[2.0]].concat());
        assert_eq!(recorded.trace.start, at(0));
        assert_eq!(recorded.filled_minutes, 2);
        assert_eq!(recorded.silences, [(at(4), 6)]);
        assert_eq!(recorded.silent_minutes(), 6);
        assert_eq!(Recorded::new(&BTreeMap::new()), None);
    }

    #[test]
    fn what_was_rejected_is_rebuilt_as_the_engine_does() {
        // records accepted, records rejected, shards
        let cases = [
            (60_000, 0, 1.0),
            (60_000, 30_000, 1.5),
            (60_000, 900_000_000, 4.0),
            (0, 900_000, 1.0),
        ];
        for (accepted, rejected, expected) in cases {
            let minutes = BTreeMap::from([(at(0), minute(accepted, rejected))]);
            let recorded = Recorded::new(&minutes).unwrap();
            let load = shards(recorded.trace.minutes[0]);
            assert!((load - expected).abs() < 1e-9, "{accepted} {rejected}: {load}");
            assert_eq!(recorded.rebuilt_minutes, usize::from(rejected > 0));
        }
    }
}
