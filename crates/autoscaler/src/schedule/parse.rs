//! Schedules from their text.

use std::fmt;

use jiff::SignedDuration;
use jiff::tz::TimeZoneDatabase;
use serde_json::{Map, Value};

use super::Schedule;
use super::cron::Cron;
use crate::limits::MAX_SHARDS;

/// The shortest and the longest window: a reshard takes minutes, and a week is always.
const SHORTEST: SignedDuration = SignedDuration::from_mins(15);
const LONGEST: SignedDuration = SignedDuration::from_hours(7 * 24);

/// The fields of a schedule.
const FIELDS: [&str; 5] = ["cron", "time_zone", "duration", "min_shards", "by_default"];

/// Everything that is wrong with the schedules, each with its schedule and field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleErrors(pub Vec<String>);

impl std::error::Error for ScheduleErrors {}

impl fmt::Display for ScheduleErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("; "))
    }
}

/// Reads schedules: a JSON object with one field a schedule, such as
///
/// ```
/// let text = r#"{"office": {"cron": "0 8 * * MON-FRI", "time_zone": "Europe/Berlin",
///     "duration": "10h", "min_shards": 16, "by_default": true}}"#;
/// let schedules = tidegate_autoscaler::schedule::parse(text).unwrap();
/// assert_eq!((schedules[0].name.as_str(), schedules[0].min_shards), ("office", 16));
/// ```
///
/// # Errors
/// Everything that is wrong in it.
pub fn parse(text: &str) -> Result<Vec<Schedule>, ScheduleErrors> {
    let all = match serde_json::from_str(text) {
        Ok(Value::Object(all)) => all,
        Ok(_) => return Err(ScheduleErrors(vec!["a JSON object of schedules".to_owned()])),
        Err(error) => {
            return Err(ScheduleErrors(vec![format!("a JSON object of schedules ({error})")]));
        }
    };
    let mut problems = Vec::new();
    let mut schedules = Vec::new();
    for (name, value) in &all {
        if !is_name(name) {
            problems.push(format!(
                "{name:?}: a name of 1 to 64 letters, digits and _ . -, other than none"
            ));
        }
        let mut wrong = |field: &str, wanted: String| {
            problems.push(format!("{name}: {field}: {wanted}"));
        };
        match value {
            Value::Object(fields) => schedules.extend(schedule(name, fields, &mut wrong)),
            _ => wrong("all of it", format!("an object with {}", FIELDS.join(", "))),
        }
    }
    if problems.is_empty() { Ok(schedules) } else { Err(ScheduleErrors(problems)) }
}

/// Whether a schedule may be called so: what fits in a tag, between blanks. `none` is how a stream
/// takes part in none.
fn is_name(name: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    (1..=64).contains(&name.len()) && name.bytes().all(fits) && name != super::NONE
}

fn schedule(
    name: &str,
    fields: &Map<String, Value>,
    wrong: &mut impl FnMut(&str, String),
) -> Option<Schedule> {
    for field in fields.keys().filter(|field| !FIELDS.contains(&field.as_str())) {
        wrong(field, format!("one of {}", FIELDS.join(", ")));
    }
    let read = |field: &str| {
        let found = fields.get(field);
        (found.and_then(Value::as_str), found.map_or("missing".to_owned(), Value::to_string))
    };
    let (cron, seen) = read("cron");
    let cron = match cron.map(Cron::parse) {
        Some(Ok(cron)) => Some(cron),
        Some(Err(wanted)) => {
            wrong("cron", format!("{wanted}, not {seen}"));
            None
        }
        None => {
            wrong("cron", format!("a text such as \"0 8 * * MON-FRI\", not {seen}"));
            None
        }
    };
    let (zone, seen) = read("time_zone");
    let zone = zone.and_then(|zone| TimeZoneDatabase::bundled().get(zone).ok());
    if zone.is_none() {
        wrong(
            "time_zone",
            format!("a name of the IANA database such as Europe/Berlin, not {seen}"),
        );
    }
    let (duration, seen) = read("duration");
    let duration = duration.and_then(span).filter(|span| (SHORTEST..=LONGEST).contains(span));
    if duration.is_none() {
        wrong("duration", format!("15m to 7d with its unit, such as 10h, not {seen}"));
    }
    let (_, seen) = read("min_shards");
    let min_shards = fields
        .get("min_shards")
        .and_then(Value::as_u64)
        .and_then(|count| u32::try_from(count).ok())
        .filter(|count| (1..=MAX_SHARDS).contains(count));
    if min_shards.is_none() {
        wrong("min_shards", format!("a whole number from 1 to {MAX_SHARDS}, not {seen}"));
    }
    let (_, seen) = read("by_default");
    let by_default = match fields.get("by_default") {
        None => Some(false),
        Some(value) => value.as_bool(),
    };
    if by_default.is_none() {
        wrong("by_default", format!("true or false, not {seen}"));
    }
    Some(Schedule {
        name: name.to_owned(),
        cron: cron?,
        zone: zone?,
        duration: duration?,
        min_shards: min_shards?,
        by_default: by_default?,
    })
}

/// A duration with its unit: `90m`, `10h`, `2d`.
fn span(text: &str) -> Option<SignedDuration> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let minutes = match unit {
        "m" => 1,
        "h" => 60,
        "d" => 24 * 60,
        _ => return None,
    };
    let number: i64 = number.parse().ok()?;
    number.checked_mul(minutes).filter(|minutes| *minutes < 100_000).map(SignedDuration::from_mins)
}
