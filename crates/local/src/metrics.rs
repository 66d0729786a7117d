//! CloudWatch metrics by the minute, which follow late.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use rand::Rng;
use rand_pcg::Pcg64Mcg;

const MINUTE_SECONDS: i64 = 60;

/// A metric: its namespace and name. The model has one stream, so the dimension is left out.
pub type Name = (&'static str, &'static str);

/// A metric of the stream, or of one of its shards.
type Series = (Name, Option<u32>);

/// `AWS/Kinesis IncomingBytes`.
pub const INCOMING_BYTES: Name = ("AWS/Kinesis", "IncomingBytes");
/// `AWS/Kinesis IncomingRecords`.
pub const INCOMING_RECORDS: Name = ("AWS/Kinesis", "IncomingRecords");
/// `AWS/Kinesis WriteProvisionedThroughputExceeded`.
pub const WRITE_THROTTLED: Name = ("AWS/Kinesis", "WriteProvisionedThroughputExceeded");
/// `AWS/Kinesis GetRecords.IteratorAgeMilliseconds`.
pub const ITERATOR_AGE: Name = ("AWS/Kinesis", "GetRecords.IteratorAgeMilliseconds");
/// `AWS/Kinesis SubscribeToShardEvent.MillisBehindLatest`, of the worst consumer.
pub const MILLIS_BEHIND: Name = ("AWS/Kinesis", "SubscribeToShardEvent.MillisBehindLatest");
/// `Tidegate OpenShards`, which the autoscaler publishes.
pub const OPEN_SHARDS: Name = ("Tidegate", "OpenShards");

/// What was reported within one minute.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reported {
    /// The sum of the values.
    pub sum: f64,
    /// The largest value.
    pub maximum: f64,
    visible_at: Timestamp,
}

/// How late and how reliable the metrics are.
#[derive(Debug, Clone, Copy)]
pub struct Delay {
    /// The shortest time from the end of a minute until it can be read.
    pub least: SignedDuration,
    /// The longest.
    pub most: SignedDuration,
    /// The share of minutes that never appear.
    pub gaps: f64,
}

impl Default for Delay {
    /// Captured alarms saw a minute 45 to 110 seconds after it had ended.
    fn default() -> Self {
        Self {
            least: SignedDuration::from_secs(45),
            most: SignedDuration::from_secs(110),
            gaps: 0.0,
        }
    }
}

/// The metrics of one stream.
pub struct Metrics {
    delay: Delay,
    random: Pcg64Mcg,
    series: BTreeMap<Series, BTreeMap<Timestamp, Reported>>,
    keep: SignedDuration,
}

impl Metrics {
    /// No metrics yet. Minutes older than `keep` are forgotten.
    pub fn new(delay: Delay, keep: SignedDuration, random: Pcg64Mcg) -> Self {
        Self { delay, random, series: BTreeMap::new(), keep }
    }

    /// Reports a value at a moment.
    pub fn put(&mut self, name: Name, at: Timestamp, value: f64) {
        self.put_series((name, None), at, value);
    }

    /// Reports a value of one shard.
    pub fn put_shard(&mut self, name: Name, shard: u32, at: Timestamp, value: f64) {
        self.put_series((name, Some(shard)), at, value);
    }

    fn put_series(&mut self, series: Series, at: Timestamp, value: f64) {
        let minute = minute_of(at);
        let series = self.series.entry(series).or_default();
        if let Some(reported) = series.get_mut(&minute) {
            reported.sum += value;
            reported.maximum = reported.maximum.max(value);
            return;
        }
        let (least, most) = (self.delay.least.as_millis(), self.delay.most.as_millis());
        let late = i64::try_from(self.random.random_range(least..=most)).unwrap_or(0);
        let lost = self.delay.gaps > 0.0 && self.random.random_bool(self.delay.gaps);
        let visible_at = if lost {
            Timestamp::MAX
        } else {
            minute + SignedDuration::from_secs(MINUTE_SECONDS) + SignedDuration::from_millis(late)
        };
        series.insert(minute, Reported { sum: value, maximum: value, visible_at });
        let horizon = minute - self.keep;
        while series.first_key_value().is_some_and(|(oldest, _)| *oldest < horizon) {
            series.pop_first();
        }
    }

    /// The minutes of a span that can be read by now.
    pub fn visible(
        &self,
        name: Name,
        from: Timestamp,
        to: Timestamp,
        now: Timestamp,
    ) -> impl Iterator<Item = (Timestamp, &Reported)> {
        self.visible_series((name, None), from, to, now)
    }

    /// The minutes of one shard that can be read by now.
    pub fn visible_shard(
        &self,
        name: Name,
        shard: u32,
        from: Timestamp,
        to: Timestamp,
        now: Timestamp,
    ) -> impl Iterator<Item = (Timestamp, &Reported)> {
        self.visible_series((name, Some(shard)), from, to, now)
    }

    fn visible_series(
        &self,
        series: Series,
        from: Timestamp,
        to: Timestamp,
        now: Timestamp,
    ) -> impl Iterator<Item = (Timestamp, &Reported)> {
        self.series
            .get(&series)
            .into_iter()
            .flat_map(move |series| series.range(from..=to))
            .filter(move |(_, reported)| reported.visible_at <= now)
            .map(|(at, reported)| (*at, reported))
    }
}

/// The minute that a moment lies in.
pub fn minute_of(at: Timestamp) -> Timestamp {
    let second = at.as_second();
    Timestamp::from_second(second - second.rem_euclid(MINUTE_SECONDS)).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn metrics(gaps: f64) -> Metrics {
        let delay = Delay { gaps, ..Delay::default() };
        Metrics::new(delay, SignedDuration::from_hours(1), Pcg64Mcg::new(7))
    }

    #[test]
    fn a_minute_is_seen_one_to_two_minutes_late() {
        let mut metrics = metrics(0.0);
        for value in [3.0, 4.0] {
            metrics.put(INCOMING_RECORDS, at(130), value);
        }
        let seen = |now| {
            let mut found = metrics.visible(INCOMING_RECORDS, at(0), at(600), at(now));
            found.next().map(|(minute, reported)| (minute, reported.sum, reported.maximum))
        };
        assert_eq!(seen(180 + 44), None);
        assert_eq!(seen(180 + 110), Some((at(120), 7.0, 4.0)));
    }

    #[test]
    fn a_lost_minute_never_appears() {
        let mut metrics = metrics(1.0);
        metrics.put(INCOMING_RECORDS, at(0), 1.0);
        assert_eq!(metrics.visible(INCOMING_RECORDS, at(0), at(60), at(90_000)).count(), 0);
    }

    #[test]
    fn old_minutes_are_forgotten() {
        let mut metrics = metrics(0.0);
        metrics.put(INCOMING_RECORDS, at(0), 1.0);
        metrics.put(INCOMING_RECORDS, at(4_000), 1.0);
        assert_eq!(metrics.visible(INCOMING_RECORDS, at(0), at(9_000), at(9_000)).count(), 1);
    }
}
