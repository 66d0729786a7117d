//! The alarms that the built autoscaler makes and maintains.
//!
//! ministack takes them, but forgets the metrics of a metric-math alarm, so that what is patched and
//! re-armed is held against answers of our own.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};
use tidegate_tests::account::{Account, Stream};
use tidegate_tests::canned::{Asked, Canned};
use tidegate_tests::setup::{STREAM, Setup, expect};

const BY_HAND: &str = "autoscaler-by-hand";

/// Alarms are those of streams that opted in by tag.
const MANAGE: [(&str, &str); 2] = [("TIDEGATE_STREAMS", ""), ("TIDEGATE_ALARMS", "manage")];

const FUNCTION: &str = "arn:aws:lambda:us-east-1:111122223333:function:under-test";
const SHARE: &str = "MAX([bytes/PERIOD(bytes)/1048576, records/PERIOD(records)/1000])";

fn name(kind: &str) -> String {
    format!("tidegate-{STREAM}-{kind}")
}

#[test]
fn another_cloudwatch_takes_the_alarms() {
    let Some(setup) = Setup::with_ledger(4, &MANAGE) else { return };
    setup.tag(json!({"tidegate:autoscale": "yes"}));
    setup.load(3.0);
    expect(&setup.decide(BY_HAND), "hold", "enough", "nothing");
    let told = setup.lambda.events("alarms").unwrap().pop().unwrap();
    assert_eq!(told["failed"], json!([]), "{told}");
    let alarms = setup.cloudwatch("DescribeAlarms", json!({"AlarmNamePrefix": "tidegate-"}));
    let alarms = alarms["MetricAlarms"].as_array().unwrap();
    let seen: BTreeMap<_, _> = alarms
        .iter()
        .map(|alarm| {
            let keys = ["ComparisonOperator", "Threshold", "EvaluationPeriods"];
            (alarm["AlarmName"].as_str().unwrap(), keys.map(|key| alarm[key].clone()))
        })
        .collect();
    let (above, below) = ("GreaterThanThreshold", "LessThanThreshold");
    let wanted = [
        ("high", [json!(above), json!(0.8), json!(1)]),
        ("low", [json!(below), json!(0.4), json!(12)]),
        ("throttled", [json!(above), json!(0.0), json!(1)]),
    ];
    let wanted = wanted.map(|(kind, alarm)| (name(kind), alarm));
    assert!(seen.into_iter().eq(wanted.iter().map(|(name, alarm)| (name.as_str(), alarm.clone()))));
    assert!(alarms.iter().all(|alarm| alarm["AlarmActions"] == json!([FUNCTION])), "{alarms:?}");
}

/// A stream in the emulator, and alarms in an account of our own.
struct Managed {
    setup: Setup,
    account: Arc<Account>,
    cloudwatch: Canned,
}

impl Managed {
    fn start() -> Option<Self> {
        let stream = Stream { shards: 4, load: 3.0, tags: BTreeMap::new() };
        let account = Arc::new(Account::new(BTreeMap::from([(STREAM.to_owned(), stream)])));
        let served = account.clone();
        let cloudwatch = Canned::start(move |asked| served.answer(asked));
        let endpoint = cloudwatch.endpoint();
        let settings = [&MANAGE[..], &[("AWS_ENDPOINT_URL_CLOUDWATCH", &endpoint)]].concat();
        let setup = Setup::with_ledger(4, &settings)?;
        setup.tag(json!({"tidegate:autoscale": "yes"}));
        Some(Self { setup, account, cloudwatch })
    }

    fn alarm(&self, kind: &str) -> Value {
        self.account.alarm(&name(kind))
    }

    /// What a look changes of the alarms: the operations, and the ends of the names.
    fn look(&self) -> Vec<(String, String)> {
        self.setup.decide(BY_HAND);
        let ours = |asked: &Asked| asked.operation.contains("Alarm");
        let mut asked = self.cloudwatch.asked();
        asked.retain(|asked| ours(asked) && asked.operation != "DescribeAlarms");
        let end = |name: &Value| name.as_str().unwrap().rsplit('-').next().unwrap().to_owned();
        let change = |asked: &Asked| (asked.operation.clone(), end(&asked.input["AlarmName"]));
        asked.iter().map(change).collect()
    }

    /// Does to an alarm what its owner would, by the whole definition.
    fn edit(&self, kind: &str, change: impl FnOnce(&mut Value)) {
        let mut alarm = self.alarm(kind);
        change(&mut alarm);
        let operation = "PutMetricAlarm".to_owned();
        self.account.answer(&Asked {
            at: std::time::Instant::now(),
            operation,
            input: alarm,
            line: "POST /".to_owned(),
            headers: std::collections::BTreeMap::new(),
            body: Vec::new(),
        });
    }

    /// Puts an alarm into ALARM, minutes ago.
    fn alarm_since(&self, kind: &str, minutes: i64) {
        let since = jiff::Timestamp::now().as_second() - minutes * 60;
        self.account.set_alarm_state(&name(kind), "ALARM", since.unsigned_abs()).unwrap();
    }
}

fn changes(of: &[(&str, &str)]) -> Vec<(String, String)> {
    of.iter().map(|(operation, kind)| ((*operation).to_owned(), (*kind).to_owned())).collect()
}

fn expression(alarm: &Value) -> &Value {
    &alarm["Metrics"][0]["Expression"]
}

#[test]
fn a_resize_patches_the_expression_and_nothing_of_the_owners() {
    let Some(managed) = Managed::start() else { return };
    let put = |kind| ("PutMetricAlarm", kind);
    assert_eq!(managed.look(), changes(&[put("high"), put("low"), put("throttled")]));
    for kind in ["high", "low"] {
        assert_eq!(*expression(&managed.alarm(kind)), format!("{SHARE} / 4"), "{kind}");
    }
    assert_eq!(managed.look(), changes(&[]));
    // The owner is told too, later, and by other words.
    managed.edit("high", |alarm| {
        alarm["AlarmActions"] = json!(["arn:aws:sns:us-east-1:111122223333:people", FUNCTION]);
        alarm["OKActions"] = json!(["arn:aws:sns:us-east-1:111122223333:people"]);
        alarm["Threshold"] = json!(0.9);
        alarm["EvaluationPeriods"] = json!(3);
        alarm["AlarmDescription"] = json!("wakes us all");
    });
    assert_eq!(managed.look(), changes(&[]));
    let mut wanted = managed.alarm("high");
    managed.setup.resize(8);
    managed.setup.wait_until_active();
    assert_eq!(managed.look(), changes(&[put("high"), put("low")]));
    wanted["Metrics"][0]["Expression"] = json!(format!("{SHARE} / 8"));
    let patched = managed.alarm("high");
    for (key, value) in wanted.as_object().unwrap() {
        assert_eq!(patched[key], *value, "{key}");
    }
    assert_eq!(*expression(&managed.alarm("low")), format!("{SHARE} / 8"));
    // An expression of the owner's is not ours to patch.
    managed.edit("low", |alarm| alarm["Metrics"][0]["Expression"] = json!("bytes / 7"));
    managed.setup.resize(6);
    managed.setup.wait_until_active();
    assert_eq!(managed.look(), changes(&[put("high")]));
    let told = managed.setup.lambda.events("alarms").unwrap().pop().unwrap();
    assert_eq!(told["own"], json!([name("low")]), "{told}");
}

#[test]
fn an_alarm_that_lasts_fires_again() {
    let Some(managed) = Managed::start() else { return };
    managed.look();
    // One that has just fired woke us; one that lasts would not.
    managed.alarm_since("throttled", 1);
    assert_eq!(managed.look(), changes(&[]));
    managed.alarm_since("throttled", 5);
    managed.alarm_since("high", 5);
    managed.alarm_since("low", 5);
    let rearm = |kind| ("SetAlarmState", kind);
    assert_eq!(managed.look(), changes(&[rearm("high"), rearm("throttled")]));
    assert_eq!(managed.alarm("throttled")["StateValue"], "OK");
    assert_eq!(managed.look(), changes(&[]));
    // Whoever else it calls would be called again.
    managed.edit("high", |alarm| {
        alarm["AlarmActions"] = json!(["arn:aws:sns:us-east-1:111122223333:people", FUNCTION]);
    });
    managed.alarm_since("high", 5);
    assert_eq!(managed.look(), changes(&[]));
    // A patched alarm keeps its state, and is set back to fire on what it watches now.
    managed.setup.resize(8);
    managed.setup.wait_until_active();
    let put = |kind| ("PutMetricAlarm", kind);
    let wanted = [put("high"), rearm("high"), put("low"), rearm("low")];
    assert_eq!(managed.look(), changes(&wanted));
}
