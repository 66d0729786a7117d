//! What the next hour will ask for: the recent peak, the growth of the moment, and yesterday.

use jiff::{SignedDuration, Timestamp};

use crate::decision::Reason;
use crate::demand::{self, Demand};
use crate::history::{BLOCK, History};
use crate::observation::Observation;
use crate::policy::{AHEAD, GROWTH_PERCENT, RECENT_WINDOW, SURGE_GROWTH_PERCENT, SURGE_PERCENT};
use crate::units::MilliShards;

const DAY: SignedDuration = SignedDuration::from_hours(24);
const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// Yesterday is read this much wider than the span asked for: people are not punctual.
const WIDEN: SignedDuration = SignedDuration::from_mins(10);

/// The load expected in the next hour, and what that rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forecast {
    /// The expected peak.
    pub peak: MilliShards,
    /// Which of the three parts is the largest.
    pub reason: Reason,
    /// Today's level against yesterday's, in percent; `None` without a yesterday.
    pub level_percent: Option<u64>,
}

/// The expected peak of the next hour.
pub fn forecast(
    observation: &Observation,
    history: &History,
    demand: &Demand,
    now: Timestamp,
) -> Forecast {
    let minutes = &observation.minutes;
    let (recent, _) = demand::peak(minutes, now - RECENT_WINDOW, now);
    let (earlier, known) =
        demand::peak(minutes, now - HOUR, demand.newest - SignedDuration::from_mins(5));
    let surging = known > 0 && demand.now > earlier.percent(SURGE_PERCENT);
    let growth = if surging { SURGE_GROWTH_PERCENT } else { GROWTH_PERCENT };
    let grown = demand.now.percent(growth);
    let level_percent = level(history, now);
    let seasonal = level_percent
        .and_then(|level| {
            Some((level, history.peak(now - DAY - WIDEN, now - DAY + AHEAD + WIDEN)?))
        })
        .map(|(level, peak)| peak.percent(level));
    let parts = [
        (seasonal.unwrap_or_default(), Reason::SameTimeYesterday),
        (recent, Reason::RecentPeak),
        (grown, if surging { Reason::Surge } else { Reason::UsualGrowth }),
    ];
    let (peak, reason) = parts
        .into_iter()
        .reduce(|best, part| if part.0 > best.0 { part } else { best })
        .unwrap_or((recent, Reason::RecentPeak));
    Forecast { peak, reason, level_percent }
}

/// How today compares with yesterday, from the last hour of each, between 80 % and 150 %: a quiet
/// hour does not promise a quiet day, and a crowd does not promise the same crowd all day.
fn level(history: &History, now: Timestamp) -> Option<u64> {
    let today = history.peak(now - HOUR, now)?;
    let yesterday = history.peak(now - DAY - HOUR, now - DAY)?;
    let percent = today.0.saturating_mul(100).checked_div(yesterday.0)?;
    Some(percent.clamp(80, 150))
}

/// How long demand is expected to stay within a capacity, read from yesterday's curve; `None`
/// without one. At most the 24 hours that the curve covers.
pub fn quiet_for(
    history: &History,
    forecast: &Forecast,
    capacity: MilliShards,
    now: Timestamp,
) -> Option<SignedDuration> {
    let level = forecast.level_percent?;
    let yesterday = now - DAY;
    let above = history
        .blocks
        .range(yesterday - BLOCK..now)
        .find(|(_, peak)| peak.percent(level) > capacity)
        .map(|(at, _)| at.duration_since(yesterday));
    Some(above.unwrap_or(DAY).max(SignedDuration::ZERO))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::history::Calls;
    use crate::observation::{Capacity, Description, Minute, Status};

    /// Minutes of whole shards, `(minutes before now, shards)`.
    fn seen(points: &[(i64, u64)]) -> (Observation, History, Demand, Timestamp) {
        let now = Timestamp::from_second(1_763_683_200).unwrap();
        let minutes: BTreeMap<_, _> = points
            .iter()
            .map(|(ago, shards)| {
                let minute = Minute { records: Some(shards * 60_000), ..Minute::default() };
                (now - SignedDuration::from_mins(*ago), minute)
            })
            .collect();
        let history = History::new(Calls::default(), &minutes);
        let demand = demand::demand(&minutes, SignedDuration::from_mins(3)).unwrap();
        let observation = Observation {
            stream: "orders".into(),
            description: Description {
                status: Status::Active,
                capacity: Capacity::Provisioned,
                open_shards: 4,
            },
            account: None,
            paused: false,
            minutes,
            absurd_points: 0,
        };
        (observation, history, demand, now)
    }

    #[test]
    fn the_largest_part_wins() {
        let steady: Vec<_> = (2..=70).map(|ago| (ago, 10)).collect();
        let mut fading = steady.clone();
        fading[0] = (2, 5);
        fading[1] = (3, 5);
        fading[2] = (4, 5);
        let mut surging = steady.clone();
        surging[0] = (2, 20);
        let mut morning = steady.clone();
        morning.extend((1_440..=1_500).map(|ago| (ago, 10)));
        morning.extend((1_400..1_440).map(|ago| (ago, 30)));
        let cases = [
            (steady, 11_500, Reason::UsualGrowth),
            (fading, 10_000, Reason::RecentPeak),
            (surging, 32_000, Reason::Surge),
            (morning, 30_000, Reason::SameTimeYesterday),
        ];
        for (points, peak, reason) in cases {
            let (observation, history, demand, now) = seen(&points);
            let found = forecast(&observation, &history, &demand, now);
            assert_eq!((found.peak.0, found.reason), (peak, reason));
        }
    }

    #[test]
    fn yesterday_says_how_long_it_stays_quiet() {
        let mut points: Vec<_> = (2..=60).map(|ago| (ago, 10)).collect();
        points.extend((1_260..=1_500).map(|ago| (ago, 10)));
        points.extend((1_200..1_260).map(|ago| (ago, 30)));
        let (observation, history, demand, now) = seen(&points);
        let forecast = forecast(&observation, &history, &demand, now);
        let quiet =
            |shards| quiet_for(&history, &forecast, MilliShards::capacity(shards), now).unwrap();
        assert_eq!(quiet(20).as_mins(), 180);
        assert_eq!(quiet(40).as_mins(), 1_440);
        assert_eq!(quiet(5).as_mins(), 0);
    }
}
