//! A history of traffic: a rate for each minute, read from a CSV file or made from a seed.

use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use rand::Rng;
use rand::SeedableRng;
use rand_pcg::Pcg64Mcg;

use crate::fluid::{SHARD_PER_SECOND, Volume};

/// The header of the file.
pub const HEADER: &str = "timestamp,bytes_per_s,records_per_s";

/// A history.
#[derive(Debug, Clone, PartialEq)]
pub struct Trace {
    /// The start of its first minute.
    pub start: Timestamp,
    /// The rate per second in each minute.
    pub minutes: Vec<Volume>,
}

/// A trace that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// The file cannot be read.
    #[error("{path} cannot be read")]
    Read {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The first line is not the header.
    #[error("{path}: the first line must be {HEADER:?}")]
    Header {
        /// The file.
        path: String,
    },
    /// A line is not a row.
    #[error("{path}, line {line}: {text:?} is not a row: {expected}")]
    Row {
        /// The file.
        path: String,
        /// The line, counted from one.
        line: usize,
        /// What it holds.
        text: String,
        /// What it should hold.
        expected: &'static str,
    },
    /// There are no rows.
    #[error("{path} has no rows: a trace needs at least one minute")]
    Empty {
        /// The file.
        path: String,
    },
}

impl Trace {
    /// Reads a CSV file with one row a minute: the start of the minute in seconds of the epoch,
    /// bytes per second and records per second.
    ///
    /// # Errors
    /// When the file cannot be read, or a row cannot be used; the error names the line.
    pub fn read(path: &Path) -> Result<Self, TraceError> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|source| TraceError::Read { path: name.clone(), source })?;
        Self::parse(&text, &name)
    }

    /// Parses the text of such a file; `name` stands in errors.
    ///
    /// # Errors
    /// As [`Trace::read`].
    pub fn parse(text: &str, name: &str) -> Result<Self, TraceError> {
        let path = || name.to_owned();
        let mut lines = text.lines().enumerate();
        if lines.next().map(|(_, line)| line.trim_start_matches('\u{feff}').trim()) != Some(HEADER)
        {
            return Err(TraceError::Header { path: path() });
        }
        let mut start: Option<Timestamp> = None;
        let mut minutes = Vec::new();
        for (index, line) in lines.filter(|(_, line)| !line.trim().is_empty()) {
            let wrong = |expected| TraceError::Row {
                path: path(),
                line: index + 1,
                text: line.to_owned(),
                expected,
            };
            let (at, rate) =
                row(line).ok_or_else(|| wrong("three numbers, none of them negative"))?;
            let first = *start.get_or_insert(at);
            let minute = i64::try_from(minutes.len()).unwrap_or(i64::MAX);
            if at != first + SignedDuration::from_mins(minute) {
                return Err(wrong("its timestamp must be a minute after the row before"));
            }
            minutes.push(rate);
        }
        match start {
            Some(start) => Ok(Self { start, minutes }),
            None => Err(TraceError::Empty { path: path() }),
        }
    }

    /// The text of such a file.
    pub fn to_csv(&self) -> String {
        use std::fmt::Write;

        let mut text = format!("{HEADER}\n");
        let mut at = self.start.as_second();
        for rate in &self.minutes {
            let _ = writeln!(text, "{at},{},{}", rate.bytes, rate.records);
            at += 60;
        }
        text
    }

    /// Two days of a web shop, made from a seed: quiet nights, a busy afternoon, noise, and on the
    /// second evening a crowd that comes within minutes.
    pub fn generated(seed: u64) -> Self {
        let mut random = Pcg64Mcg::seed_from_u64(seed ^ 0x7469_6465);
        let mut wander = 1.0_f64;
        let minutes = (0..2 * 1_440)
            .map(|minute| {
                wander = (wander * random.random_range(0.985..1.0155)).clamp(0.8, 1.25);
                let noise = random.random_range(0.94..1.06);
                let shards = (daily(minute) * wander + crowd(minute)) * noise;
                Volume {
                    bytes: shards * SHARD_PER_SECOND.bytes * 0.62,
                    records: shards * SHARD_PER_SECOND.records,
                }
            })
            .collect();
        Self { start: Timestamp::from_second(1_788_220_800).unwrap_or_default(), minutes }
    }

    /// The volume of one minute.
    pub fn volume(&self, minute: usize) -> Volume {
        self.minutes.get(minute).copied().unwrap_or_default().times(60.0)
    }

    /// The volume of all.
    pub fn total(&self) -> Volume {
        let mut total = Volume::default();
        self.minutes.iter().for_each(|rate| total.add(rate.times(60.0)));
        total
    }

    /// The highest load of the first hour, in shards.
    pub fn first_hour_peak(&self) -> f64 {
        self.minutes.iter().take(60).map(|rate| shards(*rate)).fold(0.0, f64::max)
    }
}

/// A rate per second, in shards.
pub fn shards(rate: Volume) -> f64 {
    (rate.bytes / SHARD_PER_SECOND.bytes).max(rate.records / SHARD_PER_SECOND.records)
}

fn row(line: &str) -> Option<(Timestamp, Volume)> {
    let mut fields = line.split(',').map(str::trim);
    let at = Timestamp::from_second(fields.next()?.parse().ok()?).ok()?;
    let bytes: f64 = fields.next()?.parse().ok()?;
    let records: f64 = fields.next()?.parse().ok()?;
    let usable = |number: f64| number.is_finite() && number >= 0.0;
    let row = (at, Volume { bytes, records });
    (fields.next().is_none() && usable(bytes) && usable(records)).then_some(row)
}

/// The rhythm of a day, in shards: quietest at four, busiest at fifteen o'clock.
fn daily(minute: u32) -> f64 {
    let hour = f64::from(minute % 1_440) / 60.0;
    let angle = (hour - 15.0) / 24.0 * std::f64::consts::TAU;
    let day = (angle.cos() + 1.0) / 2.0;
    0.6 + 6.2 * day * day
}

/// A crowd on the second evening: it comes within ten minutes and leaves within two hours.
fn crowd(minute: u32) -> f64 {
    let since = f64::from(minute) - f64::from(1_440 + 20 * 60);
    if since < 0.0 { 0.0 } else { 7.0 * (since / 10.0).min(1.0) * (-since / 50.0).exp() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_by_the_minute() {
        let text = format!("{HEADER}\n60,1048576,10\n120,0,2000.5\n\n");
        let trace = Trace::parse(&text, "t.csv").unwrap();
        assert_eq!(trace.start, Timestamp::from_second(60).unwrap());
        assert_eq!(trace.minutes[1], Volume { bytes: 0.0, records: 2000.5 });
        assert_eq!(trace.total().records, 60.0 * 2010.5);
        assert!((trace.first_hour_peak() - 2.0005).abs() < 1e-9);
        assert_eq!(Trace::parse(&trace.to_csv(), "t.csv").unwrap(), trace);
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let cases = [
            ("time,load\n", "t.csv: the first line must be"),
            (&format!("{HEADER}\n"), "t.csv has no rows"),
            (&format!("{HEADER}\n60,1,1\n120,-1,1\n"), "line 3: \"120,-1,1\" is not a row"),
            (&format!("{HEADER}\n60,NaN,1\n"), "line 2"),
            (&format!("{HEADER}\n60,1\n"), "line 2"),
            (&format!("{HEADER}\n60,1,1\n180,1,1\n"), "a minute after the row before"),
        ];
        for (text, message) in cases {
            let error = Trace::parse(text, "t.csv").unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }

    #[test]
    fn the_generated_history_is_the_same_for_the_same_seed() {
        assert_eq!(Trace::generated(3), Trace::generated(3));
        assert_ne!(Trace::generated(3), Trace::generated(4));
        let peak = Trace::generated(3).minutes.into_iter().map(shards).fold(0.0, f64::max);
        assert!((8.0..20.0).contains(&peak), "{peak}");
    }
}
