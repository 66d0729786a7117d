//! The alarms that the autoscaler makes, and its schedules, on the model: what wakes it is the
//! heartbeat and what these alarms say.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Mutex;

use jiff::{SignedDuration, Timestamp};
use rand::SeedableRng;
use rand_pcg::Pcg64Mcg;
use tidegate_autoscaler::alarms::{self, AlarmSettings, Upkeep, expression};
use tidegate_autoscaler::decision::{Action, Applied, Decision};
use tidegate_autoscaler::event::{self, Wake};
use tidegate_autoscaler::look::LOOK_BACK;
use tidegate_autoscaler::port::NoLedger;
use tidegate_autoscaler::run::{self, Ports};
use tidegate_autoscaler::schedule;
use tidegate_autoscaler::tags::Wishes;
use tidegate_autoscaler::{Mode, Policy, Reason};
use tidegate_local::alarms::Alarms;
use tidegate_local::cloud::{Cloud, Service};
use tidegate_local::fluid::Volume;
use tidegate_local::metrics::{
    Delay, INCOMING_BYTES, INCOMING_RECORDS, ITERATOR_AGE, Metrics, WRITE_THROTTLED,
};
use tidegate_local::stream::{Settings, Stream};

const FUNCTION: &str = "arn:aws:lambda:us-east-1:111122223333:function:autoscaler";
const PAGER: &str = "arn:aws:sns:us-east-1:111122223333:on-call";

/// 2026-09-01, a Tuesday, at midnight.
fn at(minute: i64) -> Timestamp {
    Timestamp::from_second(1_788_220_800 + minute * 60).unwrap()
}

fn cloud(shards: u32) -> Mutex<Cloud> {
    let stream = Stream::new(Settings {
        name: "orders".into(),
        shards,
        account_shards: 200,
        per_operation: SignedDuration::from_secs(30),
        readers: 0,
    });
    let metrics = Metrics::new(Delay::default(), LOOK_BACK, Pcg64Mcg::seed_from_u64(7));
    Mutex::new(Cloud { stream, metrics, now: at(0) })
}

/// A minute of load, in shards.
fn offer(cloud: &Mutex<Cloud>, minute: i64, shards: f64) {
    let mut cloud = cloud.lock().unwrap();
    cloud.now = at(minute);
    let now = cloud.now;
    cloud.stream.advance(now);
    let volume = Volume { bytes: shards * 6e6, records: shards * 60_000.0 };
    let offered = cloud.stream.offer(volume, Vec::new(), 60.0, now);
    cloud.metrics.put(INCOMING_BYTES, now, offered.accepted.bytes);
    cloud.metrics.put(INCOMING_RECORDS, now, offered.accepted.records);
    cloud.metrics.put(WRITE_THROTTLED, now, offered.rejected.records);
    cloud.metrics.put(ITERATOR_AGE, now, 0.0);
}

fn look(cloud: &Mutex<Cloud>, policy: &Policy) -> Decision {
    let service = Service::new(cloud);
    let ports = Ports {
        service: &service,
        ledger: None::<&NoLedger>,
        clock: &service,
        deadline: Timestamp::MAX,
    };
    let wishes = Wishes { policy: policy.clone(), mode: Mode::Active };
    pollster::block_on(run::run(ports, "orders", &wishes, true))
}

fn maintain(cloud: &Mutex<Cloud>, alarms: &Alarms<'_>, decision: &Decision) -> Upkeep {
    let settings = AlarmSettings { prefix: "tidegate".into(), actions: vec![FUNCTION.into()] };
    let stands: Vec<_> = alarms::stand(decision).into_iter().collect();
    let clock = Service::new(cloud);
    pollster::block_on(alarms::maintain(alarms, &clock, &stands, &settings, Timestamp::MAX))
}

/// What happened in the minutes of a run.
#[derive(Default)]
struct Told {
    /// Each alarm that fired, with its minute.
    fired: Vec<(i64, String)>,
    /// Each change of an alarm, with its minute.
    changed: Vec<(i64, String)>,
    resized: Vec<(i64, u32)>,
}

impl Told {
    fn fires(&self, kind: &str) -> usize {
        self.fired.iter().filter(|(_, name)| name.ends_with(kind)).count()
    }
}

/// The minutes of a load, with a heartbeat of five minutes and the alarms.
fn go(
    cloud: &Mutex<Cloud>,
    alarms: &Alarms<'_>,
    policy: &Policy,
    minutes: std::ops::Range<i64>,
    load: impl Fn(i64) -> f64,
    told: &mut Told,
) {
    for minute in minutes {
        offer(cloud, minute, load(minute));
        let mut looks = usize::from(minute % 5 == 0);
        for fired in alarms.evaluate() {
            assert!(fired.actions.contains(&FUNCTION.to_owned()));
            let Wake::Streams(woken) = event::parse(fired.event.as_bytes()).unwrap().wake else {
                panic!("{}", fired.event)
            };
            assert_eq!(woken[0].stream, "orders");
            looks += 1;
            told.fired.push((minute, fired.name));
        }
        for _ in 0..looks {
            let decision = look(cloud, policy);
            if decision.applied == Applied::Done {
                told.resized.push((minute, decision.target.unwrap()));
            }
            let upkeep = maintain(cloud, alarms, &decision);
            assert_eq!((upkeep.left, upkeep.failed), (0, vec![]));
            let changes = upkeep.changed.iter();
            told.changed.extend(changes.map(|c| (minute, format!("{} {}", c.change, c.alarm))));
        }
    }
}

#[test]
fn alarms_follow_the_count_fire_again_and_keep_what_is_not_ours() {
    let cloud = cloud(2);
    let alarms = Alarms::new(&cloud);
    let mut told = Told::default();
    let policy = Policy::default();
    go(&cloud, &alarms, &policy, 0..30, |_| 1.2, &mut told);
    assert_eq!(
        told.changed,
        ["high", "low", "throttled"].map(|kind| (0, format!("create tidegate-orders-{kind}")))
    );
    {
        let mut standing = alarms.standing();
        standing[0].actions.push(PAGER.to_owned());
        standing[0].alarm.threshold = 0.7;
        standing[0].description = "ours and theirs".to_owned();
    }
    // A load that doubles each half hour: each time the alarm must fire anew, on another count.
    let doubling = |minute: i64| match minute {
        ..60 => 1.9,
        60..90 => 3.9,
        _ => 7.9,
    };
    go(&cloud, &alarms, &policy, 30..150, doubling, &mut told);
    assert!(told.resized.len() >= 2, "{:?}", told.resized);
    let later = |(minute, name): &&(i64, String)| *minute > 90 && name.ends_with("high");
    assert!(told.fires("high") >= 2, "{:?}", told.fired);
    assert!(told.fired.iter().any(|fired| later(&fired)), "{:?}", told.fired);
    // A night: the low alarm, and as the shards go, again.
    go(&cloud, &alarms, &policy, 150..1_400, |_| 0.5, &mut told);
    assert!(told.fires("low") >= 2, "{:?} {:?}", told.fired, told.resized);
    let open = cloud.lock().unwrap().stream.open_shards();
    assert!(open < 16, "{:?}", told.resized);
    let standing = alarms.standing();
    assert_eq!(standing[0].expression, Some(expression(open)));
    assert_eq!(standing[1].expression, Some(expression(open)));
    assert_eq!(standing[2].expression, None);
    assert_eq!(standing[0].actions, [FUNCTION, PAGER]);
    assert_eq!((standing[0].alarm.threshold, &*standing[0].description), (0.7, "ours and theirs"));
    // The night is quiet: an alarm that stands is not made to fire at each look.
    let quiet = told.changed.iter().filter(|(minute, _)| *minute > 800).count();
    assert!(quiet <= 8, "{:?}", told.changed);
}

#[test]
fn a_breach_that_lasts_is_looked_at_again_and_again() {
    // Below the maximum each heartbeat may re-arm, unless late metrics did; at it none does.
    for (max_shards, load, rearms) in [(8, 2.4, 8..=18), (4, 4.8, 0..=0)] {
        let cloud = cloud(4);
        let alarms = Alarms::new(&cloud);
        let policy = Policy { max_shards, min_shards: 4, ..Policy::default() };
        let mut told = Told::default();
        go(&cloud, &alarms, &policy, 0..1, |_| load, &mut told);
        alarms.standing()[0].alarm.threshold = 0.3;
        go(&cloud, &alarms, &policy, 1..90, |_| load, &mut told);
        let rearmed = told.changed.iter().filter(|(_, what)| what.starts_with("rearm")).count();
        assert!(rearms.contains(&rearmed), "{max_shards}: {:?} {:?}", told.changed, told.fired);
        assert_eq!(told.resized, [], "{max_shards}");
        // Never twice within two minutes.
        for kind in ["high", "throttled"] {
            let minutes: Vec<_> = told.fired.iter().filter(|(_, n)| n.ends_with(kind)).collect();
            assert!(minutes.windows(2).all(|two| two[1].0 - two[0].0 >= 2), "{minutes:?}");
        }
    }
}

#[test]
fn shadow_mode_leaves_alarms_alone() {
    let cloud = cloud(2);
    offer(&cloud, 0, 1.0);
    let decision = look(&cloud, &Policy::default());
    assert!(alarms::stand(&decision).is_some());
    assert_eq!(alarms::stand(&Decision { mode: Mode::Shadow, ..decision.clone() }), None);
    assert_eq!(alarms::stand(&Decision { applied: Applied::Done, ..decision.clone() }), None);
    let updating = Decision { reason: Reason::StreamUpdating, ..decision };
    assert_eq!(alarms::stand(&updating), None);
}

/// Two days of a flat load, with 16 shards from 8 to 18 o'clock: the shards are there in time, and
/// no call is made that is not one of the doublings or halvings.
#[test]
fn a_schedule_is_met_in_time_and_without_a_call_too_many() {
    let schedules = r#"{"office": {"cron": "0 8 * * MON-FRI", "time_zone": "UTC",
        "duration": "10h", "min_shards": 16, "by_default": true}}"#;
    let policy = Policy {
        min_shards: 4,
        schedules: schedule::parse(schedules).unwrap(),
        ..Policy::default()
    };
    let cloud = cloud(4);
    let mut resized = Vec::new();
    for minute in 0..2 * 1_440 {
        offer(&cloud, minute, 2.5);
        if minute % 5 == 3 {
            let decision = look(&cloud, &policy);
            if decision.applied == Applied::Done {
                resized.push((minute, decision.target.unwrap(), decision.reason));
            }
            assert!(decision.action == Action::Hold || decision.applied == Applied::Done);
        }
        let open = cloud.lock().unwrap().stream.open_shards();
        let of_day = minute % 1_440;
        let is_open = (8 * 60..18 * 60).contains(&of_day);
        assert!(!is_open || open >= 16, "{minute}: {open} {resized:?}");
    }
    let ups = resized.iter().filter(|(_, to, _)| *to > 4);
    assert!(ups.clone().any(|(_, _, reason)| *reason == Reason::Schedule), "{resized:?}");
    // Not an hour too early, and never up and down again within a window.
    for (minute, _, _) in &resized {
        let of_day = minute % 1_440;
        assert!(!(8 * 60..18 * 60).contains(&of_day) && of_day >= 7 * 60, "{resized:?}");
    }
    assert!(resized.len() <= 8, "{resized:?}");
    assert_eq!(cloud.lock().unwrap().stream.calls_rejected, 0);
}
