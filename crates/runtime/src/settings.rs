//! Configuration from environment variables: parsed once, every mistake reported together.
//!
//! ```
//! use tidegate_runtime::settings::{self, Settings};
//! # use std::collections::BTreeMap;
//! let vars = BTreeMap::from([("TIDEGATE_MIN_SHARDS".to_owned(), "2".to_owned())]);
//! let mut settings = Settings::new(&vars);
//! let min_shards = settings.or("TIDEGATE_MIN_SHARDS", 1, settings::count);
//! assert_eq!(settings.finish(min_shards).unwrap(), 2);
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// Every variable that Tidegate reads. `docs/src/reference/settings.md` describes each; a test
/// holds the two, the code and the templates against each other.
pub const KEYS: &[&str] = &[
    "TIDEGATE_ALARMS",
    "TIDEGATE_ALARM_ACTIONS",
    "TIDEGATE_ALARM_PREFIX",
    "TIDEGATE_ASN_DB",
    "TIDEGATE_DEDUPE",
    "TIDEGATE_DEDUPE_FOR",
    "TIDEGATE_DEDUPE_KEY",
    "TIDEGATE_DISCOVER",
    "TIDEGATE_EXPAND",
    "TIDEGATE_FORMAT",
    "TIDEGATE_GEOIP_DB",
    "TIDEGATE_HOT_SHARDS",
    "TIDEGATE_JOURNAL",
    "TIDEGATE_LANES",
    "TIDEGATE_LEDGER_TABLE",
    "TIDEGATE_MAX_AGE",
    "TIDEGATE_MAX_ATTEMPTS",
    "TIDEGATE_MAX_SHARDS",
    "TIDEGATE_MIN_SHARDS",
    "TIDEGATE_MISSING_ITERATOR_AGE",
    "TIDEGATE_MODE",
    "TIDEGATE_NOTICES",
    "TIDEGATE_NOTICE_AFTER",
    "TIDEGATE_NOTIFY",
    "TIDEGATE_ON_BAD_DB",
    "TIDEGATE_ON_POISON",
    "TIDEGATE_ON_RETRY",
    "TIDEGATE_OVERFLOW",
    "TIDEGATE_PIPELINE",
    "TIDEGATE_QUARANTINE",
    "TIDEGATE_QUARANTINE_BUCKET",
    "TIDEGATE_READ_DEMAND",
    "TIDEGATE_RECORD_TIMEOUT",
    "TIDEGATE_REFRESH",
    "TIDEGATE_SCHEDULES",
    "TIDEGATE_SCHEMA",
    "TIDEGATE_SINK",
    "TIDEGATE_SINK_AUTHORIZATION",
    "TIDEGATE_SINK_KEY",
    "TIDEGATE_SINK_RECORDS",
    "TIDEGATE_STREAMS",
    "TIDEGATE_TUNING",
];

/// Those of them whose values no message shows.
const SECRETS: &[&str] = &["TIDEGATE_SINK_AUTHORIZATION"];

/// Where variables come from: the process environment, or a map in tests.
pub trait Vars {
    /// The value of a variable; `None` when it is unset.
    fn get(&self, key: &str) -> Option<String>;
    /// The names of all variables.
    fn names(&self) -> Vec<String>;
}

/// The environment of this process.
#[derive(Debug, Clone, Copy)]
pub struct Environment;

impl Vars for Environment {
    fn get(&self, key: &str) -> Option<String> {
        std::env::var_os(key).map(|value| value.to_string_lossy().into_owned())
    }

    fn names(&self) -> Vec<String> {
        std::env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned()).collect()
    }
}

impl Vars for BTreeMap<String, String> {
    fn get(&self, key: &str) -> Option<String> {
        BTreeMap::get(self, key).cloned()
    }

    fn names(&self) -> Vec<String> {
        self.keys().cloned().collect()
    }
}

/// Reads variables and collects what is wrong with them.
///
/// An empty value counts as unset: a template parameter that defaults to the empty string is how
/// "not given" reaches a function.
pub struct Settings<'v> {
    vars: &'v dyn Vars,
    problems: Vec<Problem>,
}

impl<'v> Settings<'v> {
    /// Starts reading.
    pub fn new(vars: &'v dyn Vars) -> Self {
        Self { vars, problems: Vec::new() }
    }

    /// A variable that may be unset.
    pub fn optional<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        debug_assert!(KEYS.contains(&key), "{key} is not in settings::KEYS");
        let value = self.vars.get(key).filter(|value| !value.trim().is_empty())?;
        match parse(value.trim()) {
            Ok(parsed) => Some(parsed),
            Err(expected) => {
                self.problems.push(Problem { key, value, expected });
                None
            }
        }
    }

    /// A variable with a default.
    pub fn or<T>(
        &mut self,
        key: &'static str,
        default: T,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> T {
        self.optional(key, parse).unwrap_or(default)
    }

    /// Reports a mistake that shows only when variables are seen together, or when what one names
    /// is opened.
    pub fn reject(&mut self, key: &'static str, expected: impl Into<String>) {
        let value = self.vars.get(key).unwrap_or_default();
        self.problems.push(Problem { key, value, expected: expected.into() });
    }

    /// The finished value, or all mistakes.
    ///
    /// # Errors
    /// When at least one variable could not be used.
    pub fn finish<T>(self, value: T) -> Result<T, SettingsError> {
        if self.problems.is_empty() { Ok(value) } else { Err(SettingsError(self.problems)) }
    }
}

/// One variable that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The variable.
    pub key: &'static str,
    /// What it holds.
    pub value: String,
    /// What it should hold.
    pub expected: String,
}

/// Every variable that cannot be used, together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsError(pub Vec<Problem>);

impl std::error::Error for SettingsError {}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => f.write_str("a setting cannot be used")?,
            n => write!(f, "{n} settings cannot be used")?,
        }
        for (index, problem) in self.0.iter().enumerate() {
            let Problem { key, value, expected } = problem;
            let separator = if index == 0 { ": " } else { "; " };
            if SECRETS.contains(key) {
                write!(f, "{separator}{key}: expected {expected}")?;
            } else {
                write!(f, "{separator}{key}={value:?}: expected {expected}")?;
            }
        }
        Ok(())
    }
}

/// The variables that begin with `TIDEGATE_` but mean nothing, each with the nearest known name:
/// a misspelt bound is a bound that is not there.
pub fn unknown(vars: &dyn Vars) -> Vec<(String, Option<&'static str>)> {
    let mut names: Vec<_> = vars
        .names()
        .into_iter()
        .filter(|name| name.starts_with("TIDEGATE_") && !KEYS.contains(&name.as_str()))
        .map(|name| {
            let near = KEYS
                .iter()
                .map(|key| (distance(&name, key), *key))
                .min()
                .filter(|(distance, _)| *distance <= 3)
                .map(|(_, key)| key);
            (name, near)
        })
        .collect();
    names.sort();
    names
}

/// Levenshtein's distance between two short names.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[b.len()]
}

/// A whole number of shards, at least one.
///
/// # Errors
/// What was expected, when the text is something else.
pub fn count(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("a whole number from 1 on, such as 4".to_owned()),
        Ok(number) => Ok(number),
    }
}

/// A duration with its unit: `250ms`, `30s`, `5m`, `12h`, `14d`.
///
/// # Errors
/// What was expected, when the text is something else.
pub fn duration(text: &str) -> Result<Duration, String> {
    const UNITS: &[(&str, u64)] =
        &[("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
    with_unit(text, UNITS)
        .map(Duration::from_millis)
        .ok_or_else(|| "a duration with its unit, such as 30s, 5m, 12h or 14d".to_owned())
}

/// A size in bytes with its unit: `512B`, `64KiB`, `2MiB`, `1GiB`.
///
/// # Errors
/// What was expected, when the text is something else.
pub fn size(text: &str) -> Result<u64, String> {
    const UNITS: &[(&str, u64)] = &[("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];
    with_unit(text, UNITS)
        .ok_or_else(|| "a size with its unit, such as 512B, 64KiB or 2MiB".to_owned())
}

fn with_unit(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit.trim_start())?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vars(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn all_mistakes_are_reported_together() {
        let vars = vars(&[("TIDEGATE_MIN_SHARDS", "none"), ("TIDEGATE_MAX_SHARDS", "0")]);
        let mut settings = Settings::new(&vars);
        let min = settings.or("TIDEGATE_MIN_SHARDS", 1, count);
        let max = settings.or("TIDEGATE_MAX_SHARDS", 9, count);
        assert_eq!(
            settings.finish((min, max)).unwrap_err().to_string(),
            "2 settings cannot be used: TIDEGATE_MIN_SHARDS=\"none\": expected a whole number from \
             1 on, such as 4; TIDEGATE_MAX_SHARDS=\"0\": expected a whole number from 1 on, such as 4"
        );
    }

    #[test]
    fn a_secret_is_not_shown() {
        let vars = vars(&[("TIDEGATE_SINK_AUTHORIZATION", "Basic secret")]);
        let mut settings = Settings::new(&vars);
        let refused = |_: &str| Err::<(), _>("another".to_owned());
        assert_eq!(settings.optional("TIDEGATE_SINK_AUTHORIZATION", refused), None);
        assert_eq!(
            settings.finish(()).unwrap_err().to_string(),
            "a setting cannot be used: TIDEGATE_SINK_AUTHORIZATION: expected another"
        );
    }

    #[test]
    fn an_empty_value_is_unset() {
        let vars = vars(&[("TIDEGATE_MIN_SHARDS", " ")]);
        let mut settings = Settings::new(&vars);
        assert_eq!(settings.or("TIDEGATE_MIN_SHARDS", 3, count), 3);
        assert_eq!(settings.finish(()), Ok(()));
    }

    #[test]
    fn units_are_required() {
        let cases: &[(&str, Option<u64>)] = &[
            ("250ms", Some(250)),
            ("30s", Some(30_000)),
            ("5m", Some(300_000)),
            ("5 m", Some(300_000)),
            ("14d", Some(1_209_600_000)),
            ("30", None),
            ("s", None),
            ("-5s", None),
            ("99999999999999999999s", None),
            ("18446744073709551615d", None),
        ];
        for (text, millis) in cases {
            assert_eq!(duration(text).ok(), millis.map(Duration::from_millis), "{text}");
        }
        assert_eq!(size("2MiB"), Ok(2 << 20));
        assert!(size("2MB").unwrap_err().contains("2MiB"));
    }

    #[test]
    fn a_misspelt_name_is_recognised() {
        let vars = vars(&[("TIDEGATE_MAX_SHARD", "4"), ("TIDEGATE_MODE", "active"), ("HOME", "/")]);
        assert_eq!(
            unknown(&vars),
            [("TIDEGATE_MAX_SHARD".to_owned(), Some("TIDEGATE_MAX_SHARDS"))]
        );
    }
}
