//! Cron expressions, on the clock of a time zone.

use croner::parser::{CronParser, Seconds, Year};
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// When something begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cron(croner::Cron);

impl Cron {
    /// From five fields (minute, hour, day of the month, month, day of the week), or from the six of
    /// EventBridge between `cron(` and `)`, where days of the week are 1 to 7 from Sunday and a year
    /// follows ("Setting a schedule pattern", EventBridge User Guide, 2026-11).
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let inner = text.strip_prefix("cron(").and_then(|rest| rest.strip_suffix(')'));
        let fields: Vec<&str> = inner.unwrap_or(text).split_whitespace().collect();
        let (wanted, form) = match inner {
            Some(_) => (6, "six fields between cron( and )"),
            None => (5, "five fields, or six between cron( and )"),
        };
        if fields.len() != wanted {
            return Err(format!("{form}, and it has {}", fields.len()));
        }
        let parser = CronParser::builder().sloppy_ranges(true);
        let parsed = if inner.is_some() {
            // Seconds come first there, and cannot be left out where a year stands.
            let parser = parser.seconds(Seconds::Required).year(Year::Required);
            let parser = parser.alternative_weekdays(true).build();
            parser.parse(&format!("0 {}", fields.join(" ")))
        } else {
            let parser = parser.seconds(Seconds::Disallowed).year(Year::Disallowed).build();
            parser.parse(&fields.join(" "))
        };
        let cron = Self(parsed.map_err(|error| format!("a cron expression ({error})"))?);
        // The thirtieth of February never comes.
        let some_day = Timestamp::UNIX_EPOCH.to_zoned(TimeZone::UTC);
        let comes = cron.0.find_next_occurrence(&some_day, false).is_ok();
        if comes { Ok(cron) } else { Err("a cron expression of a day that comes".to_owned()) }
    }

    /// The first start after a moment.
    ///
    /// A time of day that the clock skips begins when the clock goes on, one that it repeats begins
    /// once.
    pub(super) fn next(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let after = after.to_zoned(zone.clone());
        self.0.find_next_occurrence(&after, false).ok().map(|at| at.timestamp())
    }

    /// The last start up to a moment.
    pub(super) fn last(&self, until: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let until = until.to_zoned(zone.clone());
        self.0.find_previous_occurrence(&until, true).ok().map(|at| at.timestamp())
    }
}
