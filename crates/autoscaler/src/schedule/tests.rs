use super::*;
use crate::forecast::Way;

const OFFICE: &str = r#""office": {"cron": "0 8 * * MON-FRI", "time_zone": "Europe/Berlin",
    "duration": "10h", "min_shards": 16, "by_default": true}"#;

fn read(text: &str) -> Vec<Schedule> {
    parse(&format!("{{{text}}}")).unwrap()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// The windows of a cron expression in a zone, as `from/until`.
fn windows(cron: &str, zone: &str, duration: &str, now: &str) -> Vec<String> {
    let text = format!(
        r#""s": {{"cron": "{cron}", "time_zone": "{zone}", "duration": "{duration}", "min_shards": 2}}"#
    );
    let windows = read(&text)[0].windows(at(now));
    windows.iter().map(|window| format!("{}/{}", window.from, window.until)).collect()
}

#[test]
fn cron_of_both_forms_in_a_time_zone() {
    let berlin = "Europe/Berlin";
    let cases = [
        // Friday: open now; Monday is more than a day away.
        (
            "0 8 * * MON-FRI",
            "10h",
            "2026-11-20T12:00:00Z",
            vec!["2026-11-20T07:00:00Z/2026-11-20T17:00:00Z"],
        ),
        (
            "cron(0 8 ? * MON-FRI *)",
            "10h",
            "2026-11-20T12:00:00Z",
            vec!["2026-11-20T07:00:00Z/2026-11-20T17:00:00Z"],
        ),
        // EventBridge counts from Sunday, cron from Monday.
        (
            "cron(0 8 ? * 6 *)",
            "1h",
            "2026-11-20T00:00:00Z",
            vec!["2026-11-20T07:00:00Z/2026-11-20T08:00:00Z"],
        ),
        (
            "0 8 * * 5",
            "1h",
            "2026-11-20T00:00:00Z",
            vec!["2026-11-20T07:00:00Z/2026-11-20T08:00:00Z"],
        ),
        (
            "cron(0/30 9 20 11 ? 2026)",
            "15m",
            "2026-11-20T00:00:00Z",
            vec![
                "2026-11-20T08:00:00Z/2026-11-20T08:15:00Z",
                "2026-11-20T08:30:00Z/2026-11-20T08:45:00Z",
            ],
        ),
        ("cron(0 9 20 11 ? 2027)", "15m", "2026-11-20T00:00:00Z", vec![]),
        // The last Friday.
        (
            "cron(0 18 ? 11 6L *)",
            "6h",
            "2026-11-27T12:00:00Z",
            vec!["2026-11-27T17:00:00Z/2026-11-27T23:00:00Z"],
        ),
        // The last day of the year.
        (
            "0 0 L 12 *",
            "1d",
            "2026-12-31T12:00:00Z",
            vec!["2026-12-30T23:00:00Z/2026-12-31T23:00:00Z"],
        ),
        // Over midnight, begun yesterday; and the one of today.
        (
            "0 20 * * *",
            "8h",
            "2026-11-20T01:00:00Z",
            vec![
                "2026-11-19T19:00:00Z/2026-11-20T03:00:00Z",
                "2026-11-20T19:00:00Z/2026-11-21T03:00:00Z",
            ],
        ),
        // Windows that touch are one.
        (
            "0 */6 * * *",
            "6h",
            "2026-11-20T01:00:00Z",
            vec!["2026-11-19T23:00:00Z/2026-11-21T05:00:00Z"],
        ),
    ];
    for (cron, duration, now, expected) in cases {
        assert_eq!(windows(cron, berlin, duration, now), expected, "{cron} {now}");
    }
}

/// The clock of Berlin goes on from 2:00 to 3:00 at 2026-03-29T01:00Z, and back from 3:00 to 2:00 at
/// 2026-10-25T01:00Z.
#[test]
fn a_change_of_the_clock() {
    let cases = [
        // The morning stays the morning.
        (
            "0 8 * * *",
            "2h",
            "2026-03-28T05:00:00Z",
            vec!["2026-03-28T07:00:00Z/2026-03-28T09:00:00Z"],
        ),
        (
            "0 8 * * *",
            "2h",
            "2026-03-29T05:00:00Z",
            vec!["2026-03-29T06:00:00Z/2026-03-29T08:00:00Z"],
        ),
        // Half past two does not come: it begins when the clock goes on.
        (
            "30 2 * * *",
            "1h",
            "2026-03-28T12:00:00Z",
            vec!["2026-03-29T01:00:00Z/2026-03-29T02:00:00Z"],
        ),
        // It comes twice: it begins once.
        (
            "30 2 * * *",
            "1h",
            "2026-10-24T12:00:00Z",
            vec!["2026-10-25T00:30:00Z/2026-10-25T01:30:00Z"],
        ),
        // Ten hours are ten hours.
        (
            "0 20 * * *",
            "10h",
            "2026-10-24T18:00:00Z",
            vec!["2026-10-24T18:00:00Z/2026-10-25T04:00:00Z"],
        ),
    ];
    for (cron, duration, now, expected) in cases {
        assert_eq!(windows(cron, "Europe/Berlin", duration, now), expected, "{cron} {now}");
    }
}

#[test]
fn the_lead_is_calls_and_splits() {
    let minutes = |from, to| lead_from(from, to).as_mins();
    // 8 splits take 4 minutes, and the looks around them 7.
    assert_eq!(minutes(8, 16), 11);
    // 4 -> 8 -> 16: 6 minutes of splits, two heartbeats, and the delay of the metrics.
    assert_eq!(minutes(4, 16), 18);
    assert_eq!(minutes(100, 200), 57);
    assert_eq!(minutes(16, 16), 0);
    assert_eq!(minutes(20, 16), 0);
    assert_eq!(minutes(5_000, 10_000), 24 * 60);
    assert_eq!(minutes(0, 10_000), 24 * 60);
}

/// What is asked of a stream with so many shards, at each moment of a day.
#[test]
fn a_floor_begins_before_its_window_and_ends_with_it() {
    let office = read(OFFICE);
    let cases = [
        // From 4 shards it takes 18 minutes to have 16 at 7:00 UTC.
        (4, "2026-11-20T06:41:59Z", 4),
        (4, "2026-11-20T06:42:00Z", 16),
        (4, "2026-11-20T07:00:00Z", 16),
        // From 8 it takes 11; shards that are there are kept, since from 4 it would take longer.
        (8, "2026-11-20T06:42:00Z", 8),
        (8, "2026-11-20T06:49:00Z", 16),
        (16, "2026-11-20T06:48:00Z", 0),
        (16, "2026-11-20T06:49:00Z", 16),
        (30, "2026-11-20T06:49:00Z", 16),
        // In the window; and when it is over before the shards are there.
        (4, "2026-11-20T16:41:59Z", 16),
        (4, "2026-11-20T16:42:00Z", 4),
        (16, "2026-11-20T16:59:59Z", 16),
        (16, "2026-11-20T17:00:00Z", 0),
        // Saturday.
        (4, "2026-11-21T07:00:00Z", 0),
    ];
    for (open, now, expected) in cases {
        let floor = floor(&office, open, at(now));
        assert_eq!(floor.now, expected, "{open} at {now}");
        assert_eq!(floor.by.as_deref(), (expected > 0).then_some("office"), "{open} at {now}");
    }
}

#[test]
fn the_need_of_each_block() {
    let schedules = read(&format!(
        r#"{OFFICE}, "sale": {{"cron": "0 12 20 11 *", "time_zone": "UTC", "duration": "1h", "min_shards": 40}}"#
    ));
    // The shards of each block of the forecast, where they change, and why the next hour needs them.
    let needs = |schedules: &[Schedule], now: &str, most| {
        let now = at(now);
        let mut starts = [now; BLOCKS];
        for (index, start) in (0_i32..).zip(starts.iter_mut()) {
            *start += BLOCK * index;
        }
        let way = |load| Way { weight: 500, blocks: [MilliShards(load); BLOCKS] };
        let forecast = Forecast::of(starts, vec![way(2_000), way(1_000)], Reason::RecentPeak);
        let forecast = floor(schedules, 4, now).lift(forecast, most);
        let blocks: Vec<_> = forecast.ways[1].blocks.iter().map(|need| need.shards()).collect();
        let changes: Vec<_> = (0..BLOCKS)
            .filter(|index| *index == 0 || blocks[*index] != blocks[index - 1])
            .map(|index| (index, blocks[index]))
            .collect();
        (changes, forecast.reason)
    };
    // 6:50, 11:50, 13:10 and 17:10 are the first blocks after each change.
    let day = vec![(0, 1), (1, 16), (16, 40), (20, 16), (32, 1)];
    assert_eq!(needs(&schedules, "2026-11-20T06:30:00Z", 100), (day, Reason::Schedule));
    let bounded = vec![(0, 1), (1, 12), (32, 1)];
    assert_eq!(needs(&schedules, "2026-11-20T06:30:00Z", 12), (bounded, Reason::Schedule));
    // The last minutes of a window, without the shards: no need that brings them.
    let late = (vec![(0, 4), (1, 1)], Reason::Schedule);
    assert_eq!(needs(&schedules[..1], "2026-11-20T16:50:00Z", 100), late);
    let far = (vec![(0, 1), (24, 16), (54, 1)], Reason::RecentPeak);
    assert_eq!(needs(&schedules[..1], "2026-11-19T23:00:00Z", 100), far);
}

#[test]
fn a_stream_takes_part_by_its_tag() {
    let all = read(&format!(
        r#"{OFFICE}, "sale": {{"cron": "0 12 * * *", "time_zone": "UTC", "duration": "1h", "min_shards": 40}}"#
    ));
    let cases = [
        (None, Ok(vec!["office"])),
        (Some("none"), Ok(vec![])),
        (Some("sale"), Ok(vec!["sale"])),
        (Some(" sale  office "), Ok(vec!["office", "sale"])),
        (Some(""), Err("none, or names separated by blanks of office, sale")),
        (Some("sales"), Err("none, or names separated by blanks of office, sale")),
        (Some("none sale"), Err("none, or names separated by blanks of office, sale")),
    ];
    for (tag, expected) in cases {
        let mut schedules = all.clone();
        let taken = take_part(&mut schedules, tag)
            .map(|()| schedules.iter().map(|schedule| schedule.name.clone()).collect::<Vec<_>>());
        let expected = expected
            .map(|names: Vec<&str>| names.into_iter().map(ToOwned::to_owned).collect::<Vec<_>>())
            .map_err(ToOwned::to_owned);
        assert_eq!(taken, expected, "{tag:?}");
    }
    assert!(take_part(&mut Vec::new(), Some("sale")).unwrap_err().contains("has none"));
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let text = r#"{"a b": {"cron": "0 8 * * MON-FRI", "time_zone": "UTC", "duration": "1h", "min_shards": 1},
        "office": {"cron": "0 25 * * *", "time_zone": "Europe/Berln", "duration": "10", "min_shards": 0,
            "by_default": "yes", "timezone": "UTC"},
        "never": {"cron": "0 0 30 2 *", "time_zone": "UTC", "duration": "8d", "min_shards": 10001},
        "six": {"cron": "0 0 8 * * *", "time_zone": 1, "duration": "5m"},
        "five": {"cron": "cron(0 8 * * *)", "time_zone": "UTC", "duration": "99999999999999999999d", "min_shards": 1},
        "short": 7}"#;
    let error = parse(text).unwrap_err().to_string();
    let parts = [
        "\"a b\": a name of 1 to 64 letters",
        "office: cron: a cron expression (",
        "office: time_zone: a name of the IANA database such as Europe/Berlin, not \"Europe/Berln\"",
        "office: duration: 15m to 7d with its unit, such as 10h, not \"10\"",
        "office: min_shards: a whole number from 1 to 10000, not 0",
        "office: by_default: true or false, not \"yes\"",
        "office: timezone: one of cron, time_zone",
        "never: cron: a cron expression of a day that comes, not \"0 0 30 2 *\"",
        "never: duration: 15m to 7d",
        "never: min_shards: a whole number from 1 to 10000, not 10001",
        "six: cron: five fields, or six between cron( and ), and it has 6, not",
        "six: time_zone: a name of the IANA database such as Europe/Berlin, not 1",
        "six: duration: 15m to 7d with its unit, such as 10h, not \"5m\"",
        "six: min_shards: a whole number from 1 to 10000, not missing",
        "five: cron: six fields between cron( and ), and it has 5",
        "five: duration: 15m to 7d",
        "short: all of it: an object with cron, time_zone",
    ];
    for part in parts {
        assert!(error.contains(part), "{part} in {error}");
    }
    assert_eq!(error.matches("; ").count() + 1, parts.len(), "{error}");
    for text in ["[]", "{", "7"] {
        assert!(parse(text).unwrap_err().to_string().starts_with("a JSON object of schedules"));
    }
}
