//! The autoscaler's settings, from the environment.

use jiff::SignedDuration;
use tidegate_autoscaler::alarms::AlarmSettings;
use tidegate_autoscaler::event::is_stream_name;
use tidegate_autoscaler::limits::MAX_SHARDS;
use tidegate_autoscaler::notice;
use tidegate_autoscaler::policy::{HotShards, MissingIteratorAge, Mode, Policy, Tuning};
use tidegate_autoscaler::schedule;
use tidegate_autoscaler::tags::Wishes;
use tidegate_aws::notices::Destination;
use tidegate_runtime::settings::{self, SettingsError, Vars};

/// What the function is configured to do.
#[derive(Debug, PartialEq, Eq)]
pub struct Settings {
    /// What holds for a stream whose tags say nothing else.
    pub wishes: Wishes,
    /// The streams that need not opt in.
    pub streams: Vec<String>,
    /// Whether the heartbeat finds the streams that opted in.
    pub discover: bool,
    /// The DynamoDB table of the ledger.
    pub ledger_table: Option<String>,
    /// How the alarms of streams that opted in are made; `None` when they are somebody else's.
    pub alarms: Option<AlarmSettings>,
    /// Whether what consumers read counts as demand.
    pub reads: bool,
    /// Who is told of changes and of holds that last; `None` when nobody is.
    pub notices: Option<NoticeSettings>,
}

/// Who is told, and of what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoticeSettings {
    /// Where notices go.
    pub to: Destination,
    /// How long a hold lasts before it is told.
    pub after: SignedDuration,
}

impl Settings {
    /// Reads the settings.
    ///
    /// # Errors
    /// All of them that cannot be used.
    pub fn read(vars: &dyn Vars) -> Result<Self, SettingsError> {
        let mut settings = settings::Settings::new(vars);
        let defaults = Policy::default();
        let min_shards = settings.or("TIDEGATE_MIN_SHARDS", defaults.min_shards, shards);
        let max_shards = settings.or("TIDEGATE_MAX_SHARDS", defaults.max_shards, shards);
        if min_shards > max_shards {
            settings.reject(
                "TIDEGATE_MAX_SHARDS",
                format!("at least TIDEGATE_MIN_SHARDS, which is {min_shards}"),
            );
        }
        let missing_iterator_age = settings.or(
            "TIDEGATE_MISSING_ITERATOR_AGE",
            defaults.missing_iterator_age,
            missing_iterator_age,
        );
        let hot_shards = settings.or("TIDEGATE_HOT_SHARDS", defaults.hot_shards, hot_shards);
        let mode = settings.or("TIDEGATE_MODE", Mode::Shadow, mode);
        let streams = settings.or("TIDEGATE_STREAMS", Vec::new(), streams);
        // Whoever names streams means these.
        let discover = settings.or("TIDEGATE_DISCOVER", streams.is_empty(), on_or_off);
        let ledger_table = settings.optional("TIDEGATE_LEDGER_TABLE", table);
        let schedules = settings.or("TIDEGATE_SCHEDULES", Vec::new(), |text| {
            schedule::parse(text).map_err(|errors| errors.to_string())
        });
        let manage = settings.or("TIDEGATE_ALARMS", false, alarms);
        let prefix = settings.or("TIDEGATE_ALARM_PREFIX", "tidegate".to_owned(), alarm_prefix);
        let actions = settings.or("TIDEGATE_ALARM_ACTIONS", Vec::new(), alarm_actions);
        let reads = settings.or("TIDEGATE_READ_DEMAND", false, on_or_off);
        let alarms = manage.then_some(AlarmSettings { prefix, actions });
        let tuning = settings.or("TIDEGATE_TUNING", defaults.tuning, tuning);
        let after = settings.or("TIDEGATE_NOTICE_AFTER", notice::AFTER, notice_after);
        let notices = settings.optional("TIDEGATE_NOTICES", Destination::parse);
        let notices = notices.map(|to| NoticeSettings { to, after });
        let policy = Policy {
            min_shards,
            max_shards,
            missing_iterator_age,
            hot_shards,
            schedules,
            tuning,
            ..defaults
        };
        let wishes = Wishes { policy, mode };
        settings.finish(Self { wishes, streams, discover, ledger_table, alarms, reads, notices })
    }
}

fn shards(text: &str) -> Result<u32, String> {
    settings::count(text)
        .ok()
        .filter(|count| *count <= MAX_SHARDS)
        .ok_or_else(|| format!("a whole number of shards from 1 to {MAX_SHARDS}"))
}

fn hot_shards(text: &str) -> Result<HotShards, String> {
    HotShards::from_word(text).ok_or_else(|| "split, report or off".to_owned())
}

fn mode(text: &str) -> Result<Mode, String> {
    match text {
        "shadow" => Ok(Mode::Shadow),
        "active" => Ok(Mode::Active),
        _ => Err("shadow or active".to_owned()),
    }
}

/// A table's name (API reference of CreateTable, 2026-11).
fn table(text: &str) -> Result<String, String> {
    let known = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    if (3..=255).contains(&text.len()) && text.bytes().all(known) {
        Ok(text.to_owned())
    } else {
        Err("the name of a DynamoDB table".to_owned())
    }
}

fn on_or_off(text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("on or off".to_owned()),
    }
}

fn alarms(text: &str) -> Result<bool, String> {
    match text {
        "manage" => Ok(true),
        "off" => Ok(false),
        _ => Err("manage or off".to_owned()),
    }
}

/// An alarm's name has 255 characters, of which a stream's name takes 128.
fn alarm_prefix(text: &str) -> Result<String, String> {
    let known = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    if text.len() <= 64 && text.bytes().all(known) {
        Ok(text.to_owned())
    } else {
        Err("at most 64 letters, digits and _ . -".to_owned())
    }
}

/// An alarm takes five actions a state (API reference of PutMetricAlarm, 2026-11).
fn alarm_actions(text: &str) -> Result<Vec<String>, String> {
    let arns: Vec<_> = text.split(',').map(|arn| arn.trim().to_owned()).collect();
    if arns.len() <= 5 && arns.iter().all(|arn| arn.starts_with("arn:")) {
        Ok(arns)
    } else {
        Err("one to five ARNs, separated by commas".to_owned())
    }
}

/// A hold of a look or two is none that lasts, and one of more than a month is forgotten.
fn notice_after(text: &str) -> Result<SignedDuration, String> {
    let expected = || "a duration from 5m to 14d, such as 30m".to_owned();
    let after = settings::duration(text).map_err(|_| expected())?;
    let after = SignedDuration::try_from(after).map_err(|_| expected())?;
    let fits = SignedDuration::from_mins(5) <= after && after <= SignedDuration::from_hours(336);
    if fits { Ok(after) } else { Err(expected()) }
}

fn missing_iterator_age(text: &str) -> Result<MissingIteratorAge, String> {
    match text {
        "hold" => Ok(MissingIteratorAge::Hold),
        "allow" => Ok(MissingIteratorAge::Allow),
        _ => Err("hold or allow".to_owned()),
    }
}

/// What `tidegate tune` prints for the function.
fn tuning(text: &str) -> Result<Tuning, String> {
    text.parse()
        .map_err(|error| format!("settings such as missing_price=40,call_price=20 ({error})"))
}

fn streams(text: &str) -> Result<Vec<String>, String> {
    let names: Vec<_> = text.split(',').map(|name| name.trim().to_owned()).collect();
    if names.iter().all(|name| is_stream_name(name)) {
        Ok(names)
    } else {
        Err("names of streams, separated by commas".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Settings, String> {
        let vars: BTreeMap<String, String> =
            pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        Settings::read(&vars).map_err(|error| error.to_string())
    }

    #[test]
    fn the_default_only_looks() {
        let settings = read(&[]).unwrap();
        assert_eq!(settings.wishes.mode, Mode::Shadow);
        assert_eq!(settings.wishes.policy, Policy::default());
        assert_eq!(settings.streams, Vec::<String>::new());
    }

    #[test]
    fn the_tuning_names_what_differs() {
        let settings = read(&[("TIDEGATE_TUNING", "missing_price=40")]).unwrap();
        let tuning = Tuning { missing_price: 40, ..Tuning::default() };
        assert_eq!(settings.wishes.policy.tuning, tuning);
    }

    #[test]
    fn streams_are_a_list() {
        let settings = read(&[("TIDEGATE_STREAMS", "orders, clicks")]).unwrap();
        assert_eq!(settings.streams, ["orders", "clicks"]);
    }

    #[test]
    fn who_names_streams_means_these_alone() {
        let streams = ("TIDEGATE_STREAMS", "orders");
        let (on, off) = (("TIDEGATE_DISCOVER", "on"), ("TIDEGATE_DISCOVER", "off"));
        let cases: [(&[_], bool); 5] = [
            (&[], true),
            (&[streams], false),
            (&[streams, on], true),
            (&[off], false),
            (&[streams, off], false),
        ];
        for (pairs, discover) in cases {
            assert_eq!(read(pairs).unwrap().discover, discover, "{pairs:?}");
        }
    }

    #[test]
    fn alarms_are_managed_on_request() {
        assert_eq!(read(&[("TIDEGATE_ALARM_PREFIX", "kinesis")]).unwrap().alarms, None);
        let settings = read(&[("TIDEGATE_ALARMS", "manage")]).unwrap();
        let expected = AlarmSettings { prefix: "tidegate".to_owned(), actions: vec![] };
        assert_eq!(settings.alarms, Some(expected));
        let settings = read(&[
            ("TIDEGATE_ALARMS", "manage"),
            ("TIDEGATE_ALARM_PREFIX", "kinesis"),
            ("TIDEGATE_ALARM_ACTIONS", "arn:a, arn:b"),
        ]);
        let actions = vec!["arn:a".to_owned(), "arn:b".to_owned()];
        let expected = AlarmSettings { prefix: "kinesis".to_owned(), actions };
        assert_eq!(settings.unwrap().alarms, Some(expected));
    }

    #[test]
    fn somebody_is_told_on_request() {
        assert_eq!(read(&[("TIDEGATE_NOTICE_AFTER", "2h")]).unwrap().notices, None);
        let to = Destination::Bus("tools".to_owned());
        let notices = ("TIDEGATE_NOTICES", "events:tools");
        for (after, expected) in [("", notice::AFTER), ("2h", SignedDuration::from_hours(2))] {
            let settings = read(&[notices, ("TIDEGATE_NOTICE_AFTER", after)]).unwrap();
            let expected = NoticeSettings { to: to.clone(), after: expected };
            assert_eq!(settings.notices, Some(expected));
        }
    }

    #[test]
    fn mistakes_are_named() {
        let cases = [
            (&[("TIDEGATE_MODE", "on")][..], "TIDEGATE_MODE=\"on\": expected shadow or active"),
            (&[("TIDEGATE_MAX_SHARDS", "20000")], "a whole number of shards from 1 to 10000"),
            (
                &[("TIDEGATE_MIN_SHARDS", "8"), ("TIDEGATE_MAX_SHARDS", "4")],
                "TIDEGATE_MAX_SHARDS=\"4\": expected at least TIDEGATE_MIN_SHARDS, which is 8",
            ),
            (&[("TIDEGATE_READ_DEMAND", "1")], "TIDEGATE_READ_DEMAND=\"1\": expected on or off"),
            (&[("TIDEGATE_ALARMS", "on")], "TIDEGATE_ALARMS=\"on\": expected manage or off"),
            (&[("TIDEGATE_ALARM_PREFIX", "a b")], "at most 64 letters"),
            (&[("TIDEGATE_ALARM_ACTIONS", "autoscaler")], "one to five ARNs"),
            (
                &[("TIDEGATE_ALARM_ACTIONS", "arn:a,arn:b,arn:c,arn:d,arn:e,arn:f")],
                "one to five ARNs",
            ),
            (&[("TIDEGATE_SCHEDULES", r#"{"office": 7}"#)], "office: all of it: an object"),
            (&[("TIDEGATE_TUNING", "missing_prize=40")], "missing_prize means nothing"),
            (&[("TIDEGATE_TUNING", "missing_price=0")], "missing_price is 0 and must be from"),
            (&[("TIDEGATE_STREAMS", "a b")], "names of streams, separated by commas"),
            (&[("TIDEGATE_MISSING_ITERATOR_AGE", "0")], "hold or allow"),
            (&[("TIDEGATE_HOT_SHARDS", "on")], "split, report or off"),
            (&[("TIDEGATE_NOTICES", "people")], "sns: and the ARN of a topic"),
            (&[("TIDEGATE_NOTICE_AFTER", "4m")], "a duration from 5m to 14d"),
            (&[("TIDEGATE_NOTICE_AFTER", "15d")], "a duration from 5m to 14d"),
            (&[("TIDEGATE_DISCOVER", "yes")], "on or off"),
            (&[("TIDEGATE_LEDGER_TABLE", "my table")], "the name of a DynamoDB table"),
        ];
        for (pairs, message) in cases {
            let error = read(pairs).unwrap_err();
            assert!(error.contains(message), "{error}");
        }
    }
}
