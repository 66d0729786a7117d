//! The consumers with enhanced fan-out: they publish no iterator age of their stream, and say how
//! far they are behind in a metric each.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::observation::{Point, plausible};
use crate::policy::{MAX_ITERATOR_AGE, STALE_AFTER};
use crate::shards::ShardService;

/// How far the consumers with enhanced fan-out are behind, as far as anybody asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FanOut {
    /// Nobody asked: it is only asked where fewer shards would do.
    #[default]
    Unasked,
    /// The stream has no such consumer.
    Absent,
    /// It has some, or could have, and of one nothing is known. Missing is unknown, not zero.
    Unknown,
    /// The one that is furthest behind, in milliseconds
    /// (`SubscribeToShardEvent.MillisBehindLatest`, Maximum).
    Behind(u64),
}

/// Asks for the consumers, and for the last minutes of those that there are.
pub async fn read<S: ShardService>(service: &S, stream: &str, now: Timestamp) -> FanOut {
    let Ok(consumers) = service.consumers(stream).await else { return FanOut::Unknown };
    if consumers.is_empty() {
        return FanOut::Absent;
    }
    match service.consumer_age(stream, &consumers, now - STALE_AFTER, now).await {
        Ok(ages) => worst(&consumers, &ages, now),
        Err(_) => FanOut::Unknown,
    }
}

/// The one that is furthest behind; unless another says nothing, which may have died, and nobody is
/// behind who would hold a scale-down anyway.
fn worst(consumers: &[String], ages: &BTreeMap<String, Vec<Point>>, now: Timestamp) -> FanOut {
    let age = |consumer| {
        let points = ages.get(consumer)?.iter().filter(|(at, _)| *at <= now);
        points.filter_map(|(_, age)| plausible(*age)).max()
    };
    let ages: Vec<Option<u64>> = consumers.iter().map(age).collect();
    match ages.iter().flatten().max() {
        Some(worst) if is_behind(*worst) || ages.iter().all(Option::is_some) => {
            FanOut::Behind(*worst)
        }
        _ => FanOut::Unknown,
    }
}

/// Whether an iterator age holds a scale-down.
pub fn is_behind(age_ms: u64) -> bool {
    u128::from(age_ms) > MAX_ITERATOR_AGE.as_millis()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observation::MINUTE;

    #[test]
    fn one_that_says_nothing_is_unknown_whatever_the_others_say() {
        let now = Timestamp::UNIX_EPOCH;
        let point = |age| vec![(now, age)];
        let later = vec![(now + MINUTE, 1.0)];
        let cases = [
            (vec![("a", point(1.0)), ("b", point(2.0))], FanOut::Behind(2)),
            (vec![("a", point(1.0))], FanOut::Unknown),
            (vec![("a", point(1.0)), ("b", vec![])], FanOut::Unknown),
            (vec![("a", point(1.0)), ("b", later)], FanOut::Unknown),
            (vec![("a", point(f64::NAN)), ("b", point(-1.0))], FanOut::Unknown),
            (vec![("b", point(900_000.0))], FanOut::Behind(900_000)),
        ];
        for (ages, expected) in cases {
            let ages = ages.iter().map(|(name, points)| ((*name).to_owned(), points.clone()));
            let found = worst(&["a".to_owned(), "b".to_owned()], &ages.clone().collect(), now);
            assert_eq!(found, expected, "{:?}", ages.collect::<Vec<_>>());
        }
    }
}
