//! Moments in UTC, and the forms that logs write them in.

use crate::formats::LogTime;
use crate::formats::calendar::{civil_from_days, days_from_civil, days_in_month, month_by_name};

/// A moment, to the nanosecond, between the years 0000 and 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Moment {
    epoch_secs: i64,
    nanos: u32,
}

const DAY_SECS: i64 = 86_400;
/// 0000-01-01T00:00:00Z and 9999-12-31T23:59:59Z: the years that four digits hold.
const RANGE: std::ops::RangeInclusive<i64> = -62_167_219_200..=253_402_300_799;

/// The form in which a timestamp is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TimeFormat {
    /// ISO 8601 and RFC 3339, with `T` or a space; without an offset it is UTC.
    Iso8601,
    /// `10/Oct/2000:13:55:36 -0700`.
    Apache,
    /// Seconds of the epoch, with a fraction or without.
    EpochSeconds,
    /// Milliseconds of the epoch.
    EpochMillis,
    /// A pattern of `strptime`; without an offset it is UTC.
    Strptime(String),
}

impl TimeFormat {
    /// The forms that have a name.
    pub(crate) const NAMED: &[(&str, Self)] = &[
        ("iso8601", Self::Iso8601),
        ("apache", Self::Apache),
        ("epoch_seconds", Self::EpochSeconds),
        ("epoch_millis", Self::EpochMillis),
    ];

    /// The moment that a text of this form names.
    pub(crate) fn parse(&self, text: &str) -> Option<Moment> {
        match self {
            Self::Iso8601 => Moment::iso8601(text.as_bytes()),
            Self::Apache => LogTime::parse(text.as_bytes()).map(Moment::from),
            Self::EpochSeconds => Moment::epoch_seconds(text),
            Self::EpochMillis => Moment::from_millis(text.parse().ok()?),
            Self::Strptime(pattern) => {
                let mut broken = jiff::fmt::strtime::parse(pattern, text).ok()?;
                if broken.offset().is_none() {
                    broken.set_offset(Some(jiff::tz::Offset::UTC));
                }
                let at = broken.to_timestamp().ok()?;
                Moment::new(at.as_second(), at.subsec_nanosecond())
            }
        }
    }
}

/// The minute that was written last: the lines of a log are of the same one for a while.
#[derive(Debug)]
pub(crate) struct LastMinute {
    epoch_secs: i64,
    /// Its first second, in quotes.
    text: [u8; 22],
}

impl Default for LastMinute {
    fn default() -> Self {
        Self { epoch_secs: 0, text: *b"\"1970-01-01T00:00:00Z\"" }
    }
}

impl From<LogTime> for Moment {
    fn from(time: LogTime) -> Self {
        Self { epoch_secs: time.epoch_secs(), nanos: 0 }
    }
}

impl Moment {
    pub(crate) const EPOCH: Self = Self { epoch_secs: 0, nanos: 0 };

    fn new(epoch_secs: i64, nanos: i32) -> Option<Self> {
        let (epoch_secs, nanos) = if nanos < 0 {
            (epoch_secs.checked_sub(1)?, nanos + 1_000_000_000)
        } else {
            (epoch_secs, nanos)
        };
        let nanos = u32::try_from(nanos).ok()?;
        RANGE.contains(&epoch_secs).then_some(Self { epoch_secs, nanos })
    }

    pub(crate) fn from_secs(epoch_secs: i64) -> Option<Self> {
        Self::new(epoch_secs, 0)
    }

    pub(crate) fn from_millis(epoch_millis: i64) -> Option<Self> {
        let nanos = epoch_millis.rem_euclid(1_000) as i32 * 1_000_000;
        Self::new(epoch_millis.div_euclid(1_000), nanos)
    }

    pub(crate) fn to_millis(self) -> Option<i64> {
        self.epoch_secs.checked_mul(1_000)?.checked_add(i64::from(self.nanos / 1_000_000))
    }

    /// `1794648600`, `1794648600.123`.
    pub(crate) fn epoch_seconds(text: &str) -> Option<Self> {
        let (secs, fraction) = text.split_once('.').unwrap_or((text, ""));
        let nanos = fraction_nanos(fraction.as_bytes())? as i32;
        let nanos = if secs.starts_with('-') { -nanos } else { nanos };
        Self::new(secs.parse().ok()?, nanos)
    }

    /// `2026-11-14[T ]09:30[:01[.123]][Z|±hh[:]mm]`, or the date alone.
    pub(crate) fn iso8601(text: &[u8]) -> Option<Self> {
        let (date, rest) = text.split_at_checked(10)?;
        if date[4] != b'-' || date[7] != b'-' {
            return None;
        }
        let (year, month) = (number(&date[..4], 9_999)?, number(&date[5..7], 12)?);
        if month == 0 {
            return None;
        }
        let day = number(&date[8..], days_in_month(year, month))?;
        if day == 0 {
            return None;
        }
        let midnight = days_from_civil(year, month, day) * DAY_SECS;
        let [b'T' | b't' | b' ', clock @ ..] = rest else {
            return rest.is_empty().then(|| Self::from_secs(midnight)).flatten();
        };
        let (clock, zone) = clock.split_at_checked(5)?;
        if clock[2] != b':' {
            return None;
        }
        let (hour, minute) = (number(&clock[..2], 23)?, number(&clock[3..], 59)?);
        let (mut second, mut nanos, mut zone) = (0, 0, zone);
        if let [b':', a, b, rest @ ..] = zone {
            second = number(&[*a, *b], 60)?;
            zone = rest;
            if let [b'.' | b',', rest @ ..] = zone {
                let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
                if digits == 0 {
                    return None;
                }
                nanos = fraction_nanos(&rest[..digits])? as i32;
                zone = &rest[digits..];
            }
        }
        Self::new(midnight + hour * 3_600 + minute * 60 + second - offset(zone)?, nanos)
    }

    /// `Oct 11 22:14:15`, which names no year: the one that brings it nearest to another moment.
    pub(crate) fn syslog(text: &str, near: Self) -> Option<Self> {
        let text = text.as_bytes();
        let (date, clock) = text.split_at_checked(7)?;
        if date[3] != b' ' || date[6] != b' ' || clock.len() != 8 {
            return None;
        }
        let month = month_by_name(&date[..3])?;
        let day = if date[4] == b' ' { number(&date[5..6], 9) } else { number(&date[4..6], 31) }?;
        if clock[2] != b':' || clock[5] != b':' || day == 0 {
            return None;
        }
        let secs = number(&clock[..2], 23)? * 3_600
            + number(&clock[3..5], 59)? * 60
            + number(&clock[6..], 60)?;
        let (year, ..) = civil_from_days(near.epoch_secs.div_euclid(DAY_SECS));
        [year - 1, year, year + 1]
            .into_iter()
            .filter(|year| day <= days_in_month(*year, month))
            .filter_map(|year| Self::from_secs(days_from_civil(year, month, day) * DAY_SECS + secs))
            .min_by_key(|at| at.epoch_secs.abs_diff(near.epoch_secs))
    }

    /// Appends `yyyy-MM-ddTHH:mm:ss[.fff]Z`, the form that a lake's JSON reader takes as a
    /// timestamp.
    pub(crate) fn write(self, out: &mut Vec<u8>) {
        let [days, secs] =
            [self.epoch_secs.div_euclid(DAY_SECS), self.epoch_secs.rem_euclid(DAY_SECS)];
        let (year, month, day) = civil_from_days(days);
        let mut text = *b"0000-00-00T00:00:00Z";
        digits(&mut text[..4], year);
        digits(&mut text[5..7], month);
        digits(&mut text[8..10], day);
        digits(&mut text[11..13], secs / 3_600);
        digits(&mut text[14..16], secs / 60 % 60);
        digits(&mut text[17..19], secs % 60);
        if self.nanos == 0 {
            out.extend_from_slice(&text);
            return;
        }
        out.extend_from_slice(&text[..19]);
        let mut fraction = *b".000000000";
        digits(&mut fraction[1..], i64::from(self.nanos));
        // Milliseconds, microseconds or nanoseconds, as many as it takes.
        let len = match self.nanos {
            nanos if nanos % 1_000_000 == 0 => 4,
            nanos if nanos % 1_000 == 0 => 7,
            _ => 10,
        };
        out.extend_from_slice(&fraction[..len]);
        out.push(b'Z');
    }

    /// The same in quotes, where it is a whole second.
    pub(crate) fn quoted(self, last: &mut LastMinute) -> Option<[u8; 22]> {
        if self.nanos != 0 {
            return None;
        }
        let mut second = self.epoch_secs - last.epoch_secs;
        if !(0..60).contains(&second) {
            second = self.epoch_secs.rem_euclid(60);
            let minute = Self { epoch_secs: self.epoch_secs - second, nanos: 0 };
            let mut text = vec![b'"'];
            minute.write(&mut text);
            text.push(b'"');
            *last = LastMinute { epoch_secs: minute.epoch_secs, text: text.try_into().ok()? };
        }
        let mut text = last.text;
        text[18..20].copy_from_slice(&[b'0' + (second / 10) as u8, b'0' + (second % 10) as u8]);
        Some(text)
    }

    pub(crate) fn to_text(self) -> String {
        let mut out = Vec::with_capacity(30);
        self.write(&mut out);
        out.into_iter().map(char::from).collect()
    }

    /// The parts that Firehose's own prefixes name: `yyyy`, `MM`, `dd`, `HH`, `mm`.
    pub(crate) fn part(self, name: &str, out: &mut String) -> bool {
        let secs = self.epoch_secs.rem_euclid(DAY_SECS);
        let (year, month, day) = civil_from_days(self.epoch_secs.div_euclid(DAY_SECS));
        let (width, value) = match name {
            "yyyy" => (4, year),
            "MM" => (2, month),
            "dd" => (2, day),
            "HH" => (2, secs / 3_600),
            "mm" => (2, secs / 60 % 60),
            _ => return false,
        };
        out.push_str(&format!("{value:0width$}"));
        true
    }
}

fn digits(text: &mut [u8], mut value: i64) {
    for digit in text.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

/// A number of digits only, not above `most`.
fn number(digits: &[u8], most: i64) -> Option<i64> {
    let mut value = 0;
    for digit in digits {
        value = value * 10 + i64::from(digit.checked_sub(b'0').filter(|digit| *digit <= 9)?);
    }
    (value <= most).then_some(value)
}

/// Digits after the point; what is finer than nanoseconds is cut off.
fn fraction_nanos(digits: &[u8]) -> Option<u32> {
    let mut nanos = 0;
    for place in 0..9 {
        let digit = digits.get(place).copied().unwrap_or(b'0');
        nanos = nanos * 10 + u32::from(digit.checked_sub(b'0').filter(|digit| *digit <= 9)?);
    }
    digits.iter().all(u8::is_ascii_digit).then_some(nanos)
}

/// Seconds east of UTC.
fn offset(zone: &[u8]) -> Option<i64> {
    let (sign, hours, minutes) = match zone {
        [] | [b'Z' | b'z'] => return Some(0),
        [sign, a, b] => (sign, [*a, *b], [b'0', b'0']),
        [sign, a, b, c, d] => (sign, [*a, *b], [*c, *d]),
        [sign, a, b, b':', c, d] => (sign, [*a, *b], [*c, *d]),
        _ => return None,
    };
    let secs = number(&hours, 23)? * 3_600 + number(&minutes, 59)? * 60;
    match sign {
        b'+' => Some(secs),
        b'-' => Some(-secs),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_form_is_read_and_nothing_like_it() {
        use TimeFormat::{Apache, EpochMillis, EpochSeconds, Iso8601};
        let day_month = TimeFormat::Strptime("%d.%m.%Y %H:%M".to_owned());
        let zoned = TimeFormat::Strptime("%Y/%m/%d %H:%M:%S %z".to_owned());
        let cases = [
            (&Iso8601, "2026-11-14T09:30:01Z", Some("2026-11-14T09:30:01Z")),
            (&Iso8601, "2026-11-14 09:30:01.5", Some("2026-11-14T09:30:01.500Z")),
            (&Iso8601, "2026-11-14T09:30:01,123456+01:00", Some("2026-11-14T08:30:01.123456Z")),
            (
                &Iso8601,
                "2026-11-14T09:30:01.1234567891-0130",
                Some("2026-11-14T11:00:01.123456789Z"),
            ),
            (&Iso8601, "2026-11-14T09:30+01", Some("2026-11-14T08:30:00Z")),
            (&Iso8601, "2026-11-14", Some("2026-11-14T00:00:00Z")),
            (&Iso8601, "2026-02-29T00:00:00Z", None),
            (&Iso8601, "2026-00-10T00:00:00Z", None),
            (&Iso8601, "2026-01-00T00:00:00Z", None),
            (&Iso8601, "2026-11-14T09:30:01.Z", None),
            (&Iso8601, "2026-11-14T09:30:01 UTC", None),
            (&Iso8601, "2026-11-14T", None),
            (&Iso8601, "0000-01-01T00:00:00+01:00", None),
            (&Iso8601, "", None),
            (&Apache, "10/Oct/2000:13:55:36 -0700", Some("2000-10-10T20:55:36Z")),
            (&EpochSeconds, "1794648600", Some("2026-11-14T09:30:00Z")),
            (&EpochSeconds, "1794648600.25", Some("2026-11-14T09:30:00.250Z")),
            (&EpochSeconds, "-1.5", Some("1969-12-31T23:59:58.500Z")),
            (&EpochSeconds, "1e9", None),
            (&EpochSeconds, "999999999999", None),
            (&EpochMillis, "1794648600100", Some("2026-11-14T09:30:00.100Z")),
            (&EpochMillis, "-1", Some("1969-12-31T23:59:59.999Z")),
            (&EpochMillis, "9223372036854775807", None),
            (&day_month, "14.11.2026 09:30", Some("2026-11-14T09:30:00Z")),
            (&day_month, "2026-11-14", None),
            (&zoned, "2026/11/14 09:30:01 +0100", Some("2026-11-14T08:30:01Z")),
        ];
        for (format, text, expected) in cases {
            let read = format.parse(text).map(Moment::to_text);
            assert_eq!(read.as_deref(), expected, "{format:?}: {text}");
        }
    }

    #[test]
    fn a_time_without_a_year_is_near_its_arrival() {
        let near = |text| Moment::iso8601(text).unwrap();
        let cases = [
            ("Oct 11 22:14:15", &b"2026-10-11T22:14:20Z"[..], Some("2026-10-11T22:14:15Z")),
            ("Dec 31 23:59:59", b"2027-01-01T00:00:02Z", Some("2026-12-31T23:59:59Z")),
            ("Jan  1 00:00:01", b"2026-12-31T23:59:59Z", Some("2027-01-01T00:00:01Z")),
            ("Feb 29 12:00:00", b"2025-01-01T00:00:00Z", Some("2024-02-29T12:00:00Z")),
            ("Feb 30 12:00:00", b"2025-01-01T00:00:00Z", None),
            ("oct 11 22:14:15", b"2025-01-01T00:00:00Z", None),
            ("Oct 11 22:14", b"2025-01-01T00:00:00Z", None),
            ("", b"2025-01-01T00:00:00Z", None),
        ];
        for (text, arrival, expected) in cases {
            let read = Moment::syslog(text, near(arrival)).map(Moment::to_text);
            assert_eq!(read.as_deref(), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn agrees_with_another_calendar(
            millis in -62_100_000_000_000_i64..253_400_000_000_000,
            any in "[0-9TZ:+. -]{0,32}|\\PC{0,32}",
        ) {
            let moment = Moment::from_millis(millis).unwrap();
            let other = jiff::Timestamp::from_millisecond(millis).unwrap();
            prop_assert_eq!(Moment::iso8601(other.to_string().as_bytes()), Some(moment));
            let text = moment.to_text();
            prop_assert_eq!(text.parse::<jiff::Timestamp>().unwrap(), other);
            // Twice in the same minute, to the millisecond and to the second.
            let mut last = LastMinute::default();
            let second = Moment::from_secs(millis.div_euclid(1_000)).unwrap();
            for moment in [moment, second, second] {
                let expected = format!("\"{}\"", moment.to_text());
                let whole = moment.nanos == 0;
                let quoted = moment.quoted(&mut last).map(Vec::from);
                prop_assert_eq!(quoted, whole.then(|| expected.into_bytes()));
            }
            for (_, format) in TimeFormat::NAMED {
                let _ = format.parse(&any);
            }
            let _ = Moment::syslog(&any, moment);
        }
    }
}
