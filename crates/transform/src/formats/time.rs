//! The timestamp of the common log format, `10/Oct/2000:13:55:36 -0700`, as a moment in UTC.

use std::fmt;

use super::calendar::{civil_from_days, days_from_civil, days_in_month, month_by_name};

/// A moment, to the second, between the years 0000 and 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogTime {
    epoch_secs: i64,
}

/// The length of the timestamp between its brackets.
pub(crate) const LOG_TIME_LEN: usize = 26;

const DAY_SECS: i64 = 86_400;
/// 0000-01-01T00:00:00Z and 9999-12-31T23:59:59Z: the years that four digits hold.
const RANGE: std::ops::RangeInclusive<i64> = -62_167_219_200..=253_402_300_799;

impl LogTime {
    /// Reads exactly `dd/Mon/yyyy:HH:MM:SS ±hhmm`. A leap second is the next minute's first.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let text: &[u8; LOG_TIME_LEN] = text.try_into().ok()?;
        let punctuation = [(2, b'/'), (6, b'/'), (11, b':'), (14, b':'), (17, b':'), (20, b' ')];
        if punctuation.iter().any(|(at, byte)| text[*at] != *byte) {
            return None;
        }
        let month = month_by_name(&text[3..6])?;
        let year = number::<4>(text, 7, 9_999)?;
        let day = number::<2>(text, 0, days_in_month(year, month))?;
        let hour = number::<2>(text, 12, 23)?;
        let minute = number::<2>(text, 15, 59)?;
        let second = number::<2>(text, 18, 60)?;
        let offset = number::<2>(text, 22, 23)? * 3_600 + number::<2>(text, 24, 59)? * 60;
        let offset = match text[21] {
            b'+' => offset,
            b'-' => -offset,
            _ => return None,
        };
        if day == 0 {
            return None;
        }
        let epoch_secs =
            days_from_civil(year, month, day) * DAY_SECS + hour * 3_600 + minute * 60 + second
                - offset;
        RANGE.contains(&epoch_secs).then_some(Self { epoch_secs })
    }

    /// Seconds since the epoch.
    pub const fn epoch_secs(self) -> i64 {
        self.epoch_secs
    }

    /// The moment as `yyyy-MM-ddTHH:mm:ssZ`, the form that a lake's JSON reader takes as a
    /// timestamp.
    pub(crate) fn utc(self) -> [u8; 20] {
        let (days, secs) =
            (self.epoch_secs.div_euclid(DAY_SECS), self.epoch_secs.rem_euclid(DAY_SECS));
        let (year, month, day) = civil_from_days(days);
        let mut text = *b"0000-00-00T00:00:00Z";
        let parts = [
            (0, 4, year),
            (5, 2, month),
            (8, 2, day),
            (11, 2, secs / 3_600),
            (14, 2, secs / 60 % 60),
            (17, 2, secs % 60),
        ];
        for (at, width, mut value) in parts {
            for digit in text[at..at + width].iter_mut().rev() {
                *digit = b'0' + (value % 10) as u8;
                value /= 10;
            }
        }
        text
    }
}

impl fmt::Display for LogTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.utc().iter().try_for_each(|byte| fmt::Write::write_char(f, char::from(*byte)))
    }
}

/// The minute that was read last: the lines of a log are of the same one for a while.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Minute {
    /// Its text, with zeros for the seconds.
    text: [u8; LOG_TIME_LEN],
    epoch_secs: i64,
}

/// Where a timestamp has its seconds.
const SECONDS: std::ops::Range<usize> = 18..20;

impl Default for Minute {
    /// None: no text has ones where the seconds are cleared.
    fn default() -> Self {
        Self { text: [1; LOG_TIME_LEN], epoch_secs: 0 }
    }
}

impl Minute {
    /// What [`LogTime::parse`] reads.
    pub(crate) fn parse(&mut self, text: &[u8]) -> Option<LogTime> {
        let text: &[u8; LOG_TIME_LEN] = text.try_into().ok()?;
        let mut minute = *text;
        minute[SECONDS].fill(0);
        let second = number::<2>(text, SECONDS.start, 59);
        if let (Some(second), true) = (second, minute == self.text) {
            return Some(LogTime { epoch_secs: self.epoch_secs + second });
        }
        let time = LogTime::parse(text)?;
        // All of a minute is in the range, but for a leap second after the last.
        if let Some(second) = second {
            *self = Self { text: minute, epoch_secs: time.epoch_secs - second };
        }
        Some(time)
    }
}

/// A number of digits only, not above `most`.
#[inline(always)]
fn number<const DIGITS: usize>(text: &[u8; LOG_TIME_LEN], at: usize, most: i64) -> Option<i64> {
    let mut value = 0;
    let mut odd = false;
    for place in 0..DIGITS {
        let digit = text[at + place].wrapping_sub(b'0');
        odd |= digit > 9;
        value = value * 10 + i64::from(digit);
    }
    (value <= most && !odd).then_some(value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_the_common_log_format_and_nothing_else() {
        let cases: &[(&str, Option<&str>)] = &[
            ("10/Oct/2000:13:55:36 -0700", Some("2000-10-10T20:55:36Z")),
            ("17/May/2015:10:05:03 +0000", Some("2015-05-17T10:05:03Z")),
            ("01/Jan/2024:00:30:00 +0530", Some("2023-12-31T19:00:00Z")),
            ("29/Feb/2024:23:59:59 +0000", Some("2024-02-29T23:59:59Z")),
            ("31/Dec/2016:23:59:60 +0000", Some("2017-01-01T00:00:00Z")),
            ("01/Jan/0000:00:00:00 +0000", Some("0000-01-01T00:00:00Z")),
            ("31/Dec/9999:23:59:59 -0001", None),
            ("01/Jan/0000:00:00:00 +0001", None),
            ("29/Feb/2023:00:00:00 +0000", None),
            ("29/Feb/1900:00:00:00 +0000", None),
            ("00/Jan/2024:00:00:00 +0000", None),
            ("32/Jan/2024:00:00:00 +0000", None),
            ("10/oct/2000:13:55:36 -0700", None),
            ("10/Oct/2000:24:55:36 -0700", None),
            ("10/Oct/2000:13:60:36 -0700", None),
            ("10/Oct/2000:13:55:61 -0700", None),
            ("10/Oct/2000:13:55:36 -2400", None),
            ("10/Oct/2000:13:55:36 -0060", None),
            ("10/Oct/2000:13:55:36 00700", None),
            ("10/Oct/2000 13:55:36 -0700", None),
            ("1 /Oct/2000:13:55:36 -0700", None),
            ("1/Oct/2000:13:55:36 -0700", None),
            ("", None),
        ];
        for (text, expected) in cases {
            let read = LogTime::parse(text.as_bytes()).map(|time| time.to_string());
            assert_eq!(read.as_deref(), *expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn agrees_with_another_calendar(
            epoch_secs in -62_100_000_000_i64..253_400_000_000,
            offset_mins in -1_439_i32..=1_439,
        ) {
            let zone = jiff::tz::Offset::from_seconds(offset_mins * 60).unwrap();
            let moment = jiff::Timestamp::from_second(epoch_secs).unwrap();
            let local = zone.to_datetime(moment);
            let sign = if offset_mins < 0 { '-' } else { '+' };
            let text = format!(
                "{} {sign}{:02}{:02}",
                local.strftime("%d/%b/%Y:%H:%M:%S"),
                offset_mins.abs() / 60,
                offset_mins.abs() % 60,
            );
            let read = LogTime::parse(text.as_bytes()).unwrap();
            prop_assert_eq!(read.epoch_secs(), epoch_secs);
            // In the same minute, or after another.
            let mut minute = Minute::default();
            for second in ["59", "00", &text[18..20], "60", "6x", "07"] {
                let text = format!("{}{second}{}", &text[..18], &text[20..]);
                let again = minute.parse(text.as_bytes());
                prop_assert_eq!(again, LogTime::parse(text.as_bytes()), "{}", text);
            }
            prop_assert_eq!(read.to_string(), moment.to_string());
        }
    }
}
