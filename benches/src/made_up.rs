//! Made-up histories, each of one trait that real ones have among others: a rhythm of the day or the
//! week, a ramp, a step, bursts, silence, hundreds of shards. Anybody has them.

use std::f64::consts::TAU;

use jiff::Timestamp;
use tidegate_local::fluid::{SHARD_PER_SECOND, Volume};
use tidegate_local::trace::Trace;

use crate::dice::Dice;

const DAY: usize = 1_440;

/// A Monday.
const START: i64 = 1_788_739_200;

/// A share of a shard's records that its bytes are.
const BYTES: f64 = 0.7;

/// By name: how many days, how far a minute may be off its load either way, and the load.
type Made = (&'static str, usize, f64, fn(&mut Shape, usize) -> f64);

const ALL: [Made; 20] = [
    ("day", 14, 0.05, |_, minute| 2.0 + 18.0 * day(minute)),
    ("small day", 14, 0.1, |_, minute| 1.0 + 3.0 * day(minute)),
    ("noisy day", 14, 0.2, |_, minute| 4.0 + 16.0 * day(minute)),
    ("large day", 5, 0.02, |_, minute| 100.0 + 300.0 * day(minute)),
    ("summer time", 21, 0.05, |_, minute| {
        2.0 + 18.0 * day(if minute > 11 * DAY { minute + 60 } else { minute }).powi(2)
    }),
    ("offices", 21, 0.07, |_, minute| if is_office(minute) { 20.0 } else { 2.0 }),
    ("soft offices", 21, 0.07, |_, minute| {
        let week = if minute / DAY % 7 < 5 { 1.0 } else { 0.3 };
        let hour = hour(minute);
        let open = logistic((hour - 8.5) * 3.0) * logistic((18.0 - hour) * 2.0);
        1.5 + 18.5 * week * open
    }),
    ("days off", 14, 0.05, |_, minute| if minute / DAY % 5 < 2 { 4.0 } else { 14.0 }),
    ("step", 10, 0.05, |_, minute| if minute < 5 * DAY + 600 { 5.0 } else { 25.0 }),
    ("ramp up", 10, 0.05, |_, minute| 2.0 + 30.0 * days(minute) / 10.0),
    ("ramp down", 10, 0.05, |_, minute| 32.0 - 30.0 * days(minute) / 10.0),
    ("ramp from zero", 7, 0.05, |_, minute| 0.02 + 24.0 * (days(minute) / 2.0).min(1.0)),
    (
        "silence first",
        7,
        0.05,
        |_, minute| {
            if minute < 3 * DAY { 0.0 } else { 2.0 + 6.0 * day(minute) }
        },
    ),
    ("flat", 7, 0.1, |_, _| 6.0),
    ("flat and small", 7, 0.2, |_, _| 0.4),
    ("on and off", 10, 0.05, |_, minute| if (minute / 180).is_multiple_of(2) { 8.0 } else { 0.5 }),
    ("hourly batch", 10, 0.05, |_, minute| if minute % 60 < 8 { 12.0 } else { 3.0 }),
    (
        "nightly batch",
        14,
        0.05,
        |_, minute| {
            if (120..200).contains(&(minute % DAY)) { 20.0 } else { 3.0 }
        },
    ),
    ("sparse bursts", 14, 0.05, Shape::sparse_bursts),
    ("random walk", 14, 0.03, Shape::walk),
];

/// All of them, always the same.
pub fn all() -> Vec<(String, Trace)> {
    let made = ALL.iter().enumerate();
    made.map(|(index, made)| (made.0.to_owned(), trace(made, index as u64))).collect()
}

fn trace((_, days, off, load): &Made, seed: u64) -> Trace {
    let mut shape = Shape::new(seed);
    let minutes = (0..days * DAY)
        .map(|minute| {
            let load = load(&mut shape, minute);
            let shards = load * (1.0 - off + 2.0 * off * shape.chance());
            Volume {
                bytes: shards * SHARD_PER_SECOND.bytes * BYTES,
                records: shards * SHARD_PER_SECOND.records,
            }
        })
        .collect();
    Trace { start: Timestamp::from_second(START).unwrap_or_default(), minutes }
}

/// What a history remembers from minute to minute.
struct Shape {
    dice: Dice,
    /// The minutes that a burst still lasts, and its load.
    burst: (u32, f64),
    level: f64,
}

impl Shape {
    fn new(seed: u64) -> Self {
        Self { dice: Dice(seed), burst: (0, 0.0), level: 8.0 }
    }

    /// From 0 to 1.
    fn chance(&mut self) -> f64 {
        self.dice.below(1_000_000) as f64 / 1e6
    }

    /// Three of 20 minutes a day, which more than double a load of three shards.
    fn sparse_bursts(&mut self, _: usize) -> f64 {
        self.burst.0 = self.burst.0.saturating_sub(1);
        if self.burst.0 == 0 && self.chance() < 0.002 {
            self.burst = (21, 4.0 + 4.0 * self.chance());
        }
        3.0 + if self.burst.0 > 0 { self.burst.1 } else { 0.0 }
    }

    fn walk(&mut self, _: usize) -> f64 {
        self.level = (self.level * (0.99 + 0.02 * self.chance())).clamp(1.0, 40.0);
        self.level
    }
}

/// From 0 at three o'clock to 1 at fifteen.
fn day(minute: usize) -> f64 {
    ((days(minute) - 0.625) * TAU).cos() / 2.0 + 0.5
}

fn days(minute: usize) -> f64 {
    minute as f64 / DAY as f64
}

fn hour(minute: usize) -> f64 {
    (minute % DAY) as f64 / 60.0
}

fn is_office(minute: usize) -> bool {
    minute / DAY % 7 < 5 && (8.0..18.0).contains(&hour(minute))
}

fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}
