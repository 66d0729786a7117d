use proptest::prelude::*;

use super::*;

const FUNCTION: &str = "arn:aws:lambda:us-east-1:111122223333:function:autoscaler";
const PAGER: &str = "arn:aws:sns:us-east-1:111122223333:on-call";

fn now() -> Timestamp {
    Timestamp::from_second(1_795_000_000).unwrap()
}

fn settings() -> AlarmSettings {
    AlarmSettings { prefix: "tidegate".into(), actions: vec![FUNCTION.into()] }
}

fn stand(shards: u32) -> Stand {
    Stand { stream: "orders".into(), shards, haste: true }
}

fn seen(kind: AlarmKind, expression: Option<&str>) -> AlarmSeen {
    AlarmSeen {
        name: name("tidegate", "orders", kind),
        state: AlarmState::Ok,
        state_since: Some(now() - SignedDuration::from_mins(30)),
        expression: expression.map(ToOwned::to_owned),
        actions: vec![FUNCTION.into()],
    }
}

/// The three alarms of a stream of so many shards.
fn standing(shards: u32) -> Vec<AlarmSeen> {
    let right = expression(shards);
    vec![
        seen(AlarmKind::High, Some(&right)),
        seen(AlarmKind::Low, Some(&right)),
        seen(AlarmKind::Throttled, None),
    ]
}

/// What CloudWatch has after a change.
fn carry_out(alarms: &mut Vec<AlarmSeen>, change: &AlarmChange, at: Timestamp) {
    if let AlarmChange::Create(spec) = change {
        alarms.push(AlarmSeen {
            name: spec.name.clone(),
            state: AlarmState::InsufficientData,
            state_since: Some(at),
            expression: spec.expression.clone(),
            actions: spec.actions.clone(),
        });
        return;
    }
    let alarm = alarms.iter_mut().find(|alarm| alarm.name == change.name()).unwrap();
    match change {
        AlarmChange::Patch { expression, .. } => alarm.expression = Some(expression.clone()),
        AlarmChange::Rearm { .. } => {
            (alarm.state, alarm.state_since) = (AlarmState::Ok, Some(at));
        }
        AlarmChange::Create(_) => {}
    }
}

/// The changes in short: `+high`, `high=4` and `high!`; and `?high` for one that is left alone.
fn short(plan: &AlarmPlan) -> Vec<String> {
    let end = |name: &str| name.rsplit('-').next().unwrap_or_default().to_owned();
    let mut words: Vec<_> = plan
        .changes
        .iter()
        .map(|change| match change {
            AlarmChange::Create(spec) => format!("+{}", end(&spec.name)),
            AlarmChange::Patch { name, expression } => {
                format!("{}={}", end(name), expression.rsplit(' ').next().unwrap_or_default())
            }
            AlarmChange::Rearm { name } => format!("{}!", end(name)),
        })
        .collect();
    words.extend(plan.own.iter().map(|name| format!("?{}", end(name))));
    words
}

fn check(stand: &Stand, alarms: &[AlarmSeen], expected: &[&str]) {
    assert_eq!(short(&plan(stand, alarms, &settings(), now())), expected, "{stand:?} {alarms:#?}");
}

#[test]
fn alarms_are_made_where_there_are_none() {
    check(&stand(4), &[], &["+high", "+low", "+throttled"]);
    check(&stand(1), &[], &["+high", "+throttled"]);
    check(&stand(4), &standing(4), &[]);
    // Another stream whose name goes on where this one's ends.
    let mut other = standing(4);
    for alarm in &mut other {
        alarm.name = alarm.name.replace("orders", "orders-high");
    }
    check(&stand(4), &other, &["+high", "+low", "+throttled"]);
}

#[test]
fn an_expression_follows_the_shards_and_is_somebodys_own_otherwise() {
    let right = expression(8);
    let cases = [
        (Some(right.as_str()), vec![]),
        (Some("MAX([bytes/PERIOD(bytes)/1048576,records/PERIOD(records)/1000])/8"), vec![]),
        (
            Some("MAX([bytes/PERIOD(bytes)/1048576, records/PERIOD(records)/1000]) / 4"),
            vec!["high=8"],
        ),
        (
            Some("MAX([bytes/PERIOD(bytes)/1048576, records/PERIOD(records)/1000]) / 8.0"),
            vec!["high=8"],
        ),
        (
            Some("MAX([bytes/PERIOD(bytes)/1048576, records/PERIOD(records)/1000]) / 8 * 2"),
            vec!["?high"],
        ),
        (Some("MAX([bytes/PERIOD(bytes)/1048576, records/PERIOD(records)/1000]) /"), vec!["?high"]),
        (Some("bytes / 4"), vec!["?high"]),
        (Some(""), vec!["?high"]),
        (None, vec!["?high"]),
    ];
    for (text, expected) in cases {
        let mut alarms = standing(8);
        alarms[0].expression = text.map(ToOwned::to_owned);
        check(&stand(8), &alarms, &expected);
    }
    let mut alarms = standing(8);
    alarms[2].expression = Some("throttled / puts".into());
    check(&stand(8), &alarms, &["?throttled"]);
}

#[test]
fn what_stands_in_alarm_is_made_to_fire_again() {
    let alarm = |index: usize, change: fn(&mut AlarmSeen)| {
        let mut alarms = standing(4);
        alarms[index].state = AlarmState::Alarm;
        change(&mut alarms[index]);
        alarms
    };
    check(&stand(4), &alarm(0, |_| {}), &["high!"]);
    check(&stand(4), &alarm(2, |_| {}), &["throttled!"]);
    // Nobody hurries to have fewer shards.
    check(&stand(4), &alarm(1, |_| {}), &[]);
    // It fired just now; or nobody knows when.
    check(
        &stand(4),
        &alarm(0, |a| a.state_since = Some(now() - SignedDuration::from_secs(119))),
        &[],
    );
    check(&stand(4), &alarm(0, |a| a.state_since = None), &[]);
    // Somebody else would be called again.
    check(&stand(4), &alarm(0, |a| a.actions.push(PAGER.into())), &[]);
    // Another look would say the same.
    check(&Stand { haste: false, ..stand(4) }, &alarm(0, |_| {}), &[]);
    // After a resize each of them, and whoever it calls.
    let resized = alarm(0, |a| a.actions.push(PAGER.into()));
    check(&stand(8), &resized, &["high=8", "high!", "low=8"]);
    check(&stand(8), &alarm(1, |_| {}), &["high=8", "low=8", "low!"]);
    check(&Stand { haste: false, ..stand(2) }, &alarm(1, |_| {}), &["high=2", "low=2", "low!"]);
}

#[test]
fn what_does_not_fit_in_a_run_is_counted() {
    let of = |stream: &str, shards, state| {
        let mut alarms = standing(shards);
        for alarm in &mut alarms {
            alarm.name = alarm.name.replace("orders", stream);
        }
        alarms[0].state = state;
        plan(&Stand { stream: stream.into(), ..stand(4) }, &alarms, &settings(), now())
    };
    let plans = || {
        vec![
            of("asleep", 4, AlarmState::Alarm),
            plan(&stand(4), &[], &settings(), now()),
            of("drifted", 2, AlarmState::Alarm),
        ]
    };
    let words = |budget| {
        let (changes, left) = bounded(plans(), budget);
        (short(&AlarmPlan { changes, own: vec![] }), left)
    };
    let all = ["high=4", "high!", "low=4", "+high", "+low", "+throttled", "high!"];
    for budget in [0, 3, 7, 60] {
        let (changes, left) = words(budget);
        assert_eq!(changes, all[..budget.min(7)], "{budget}");
        assert_eq!(left, 7_usize.saturating_sub(budget));
    }
}

/// "PutMetricAlarm", CloudWatch API reference, 2026-11.
#[test]
fn cloudwatch_takes_these_alarms() {
    for kind in AlarmKind::ALL {
        assert!(kind.period_secs() * kind.periods() <= 86_400);
        assert!(kind.period_secs().is_multiple_of(60));
        let name = name(&"p".repeat(64), &"s".repeat(128), kind);
        assert!(name.len() <= 255, "{}", name.len());
        let spec = spec(kind, name, &Stand { stream: "s".repeat(128), ..stand(4) }, &settings());
        assert!(spec.description.len() <= 1_024);
        let ids = kind.metrics().iter().map(|(id, _)| *id);
        match &spec.expression {
            Some(expression) => assert!(ids.clone().all(|id| expression.contains(id))),
            None => assert_eq!(ids.count(), 1),
        }
    }
}

prop_compose! {
    fn an_alarm(kind: AlarmKind)(
        state in 0_usize..3,
        ago in 0_i64..10,
        divisor in 0_u32..20,
        own in prop::bool::weighted(0.1),
        pager in any::<bool>(),
    ) -> AlarmSeen {
        let states = [AlarmState::Ok, AlarmState::Alarm, AlarmState::InsufficientData];
        let expression = (kind != AlarmKind::Throttled).then(|| expression(divisor));
        let mut alarm = seen(kind, if own { Some("bytes") } else { expression.as_deref() });
        alarm.state = states[state];
        alarm.state_since = Some(now() - SignedDuration::from_mins(ago));
        if pager {
            alarm.actions.push(PAGER.into());
        }
        alarm
    }
}

proptest! {
    /// Whatever stands there: carried out, nothing more is planned, and of what was there only
    /// state and expression differ.
    #[test]
    fn a_plan_on_its_own_result_is_empty(
        alarms in (an_alarm(AlarmKind::High), an_alarm(AlarmKind::Low), an_alarm(AlarmKind::Throttled)),
        present in prop::array::uniform3(any::<bool>()),
        shards in 1_u32..20,
        haste in any::<bool>(),
    ) {
        let alarms = <[AlarmSeen; 3]>::from(alarms);
        let before: Vec<_> =
            alarms.into_iter().zip(present).filter(|(_, there)| *there).map(|(a, _)| a).collect();
        let stand = Stand { stream: "orders".into(), shards, haste };
        let first = plan(&stand, &before, &settings(), now());
        let mut after = before.clone();
        for change in &first.changes {
            carry_out(&mut after, change, now());
        }
        let again = plan(&stand, &after, &settings(), now());
        prop_assert_eq!(again.changes, vec![]);
        prop_assert_eq!(again.own, first.own);
        for (was, is) in before.iter().zip(&after) {
            prop_assert_eq!((&was.name, &was.actions), (&is.name, &is.actions));
        }
    }
}
