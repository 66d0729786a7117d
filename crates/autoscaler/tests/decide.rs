//! Worked examples of the decision, a case a line, and the properties that hold for any input.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use tidegate_autoscaler::decision::{Action, Decision};
use tidegate_autoscaler::history::{Calls, History};
use tidegate_autoscaler::hot::SeenShards;
use tidegate_autoscaler::limits;
use tidegate_autoscaler::observation::{
    self, Account, Capacity, Description, Metrics, Observation, Point, Status,
};
use tidegate_autoscaler::policy::{MissingIteratorAge, Mode, Policy};
use tidegate_autoscaler::{Reason, decide};

fn now() -> Timestamp {
    Timestamp::from_second(1_763_683_200).expect("a fixed moment")
}

fn ago(minutes: i64) -> Timestamp {
    now() - SignedDuration::from_mins(minutes)
}

/// A stream under a steady load, which each case changes.
#[derive(Clone)]
struct Case {
    open: u32,
    /// `(from, to, shards)`: load in minutes ago, newest last.
    load: Vec<(i64, i64, f64)>,
    /// The consumers that poll and keep up, where anybody looks at them.
    readers: Option<u8>,
    rejected: Vec<Point>,
    age_ms: Option<f64>,
    calls_ago: Vec<i64>,
    policy: Policy,
    account: Option<Account>,
    status: Status,
    capacity: Capacity,
    paused: bool,
}

impl Default for Case {
    fn default() -> Self {
        Self {
            open: 4,
            load: vec![(2, 1_560, 3.0)],
            readers: None,
            rejected: Vec::new(),
            age_ms: Some(0.0),
            calls_ago: Vec::new(),
            policy: Policy::default(),
            account: None,
            status: Status::Active,
            capacity: Capacity::Provisioned,
            paused: false,
        }
    }
}

impl Case {
    fn decide(&self) -> Decision {
        let mut metrics = Metrics { write_throttled: self.rejected.clone(), ..Metrics::default() };
        for (from, to, shards) in &self.load {
            for minute in *from..=*to {
                metrics.incoming_records.push((ago(minute), shards * 60_000.0));
                if let Some(readers) = self.readers.map(f64::from) {
                    let bytes = shards * f64::from(60 << 20);
                    metrics.incoming_bytes.push((ago(minute), bytes));
                    metrics.read_bytes.push((ago(minute), bytes * readers));
                }
            }
        }
        if let Some(age) = self.age_ms {
            metrics.iterator_age_ms.push((ago(2), age));
        }
        let (minutes, absurd_points) = observation::assemble(&metrics, now());
        let calls: Calls = self.calls_ago.iter().map(|minutes| ago(*minutes)).collect();
        let history = History::new(calls, &minutes);
        let observation = Observation {
            stream: "orders".into(),
            description: Description {
                status: self.status,
                capacity: self.capacity,
                open_shards: self.open,
            },
            account: self.account,
            paused: self.paused,
            minutes,
            shards: SeenShards::default(),
            absurd_points,
        };
        decide(&observation, &self.policy, &history, Mode::Active, now())
    }
}

fn check(case: &Case, target: u32, reason: Reason) {
    let decision = case.decide();
    assert_eq!((decision.target, decision.reason), (Some(target), reason), "{decision:#?}");
    let action = if target == case.open { Action::Hold } else { Action::Resize };
    assert_eq!(decision.action, action);
    assert_eq!(decision.stages.len(), 9);
}

#[test]
fn holds_while_the_stream_cannot_be_judged() {
    let base = Case::default();
    check(&Case { status: Status::Updating, ..base.clone() }, 4, Reason::StreamUpdating);
    check(&Case { status: Status::Creating, ..base.clone() }, 4, Reason::StreamNotActive);
    check(&Case { status: Status::Unknown, ..base.clone() }, 4, Reason::StreamNotActive);
    check(&Case { capacity: Capacity::OnDemand, ..base.clone() }, 4, Reason::OnDemand);
    check(&Case { paused: true, ..base.clone() }, 4, Reason::Paused);
    check(&Case { load: vec![], ..base.clone() }, 4, Reason::MetricsMissing);
    check(&Case { load: vec![(11, 100, 9.0)], ..base.clone() }, 4, Reason::MetricsMissing);
    check(&Case { calls_ago: vec![-1], ..base }, 4, Reason::ClockBehindCalls);
}

#[test]
fn more_shards_for_more_demand() {
    let base = Case::default();
    check(&base, 4, Reason::Enough);
    let above = Case { load: vec![(2, 6, 4.5), (7, 1_560, 3.0)], ..base.clone() };
    // Half a shard would do for what is seen, and it still rises.
    check(&above, 6, Reason::DemandAboveCapacity);
    let far_above = Case { load: vec![(2, 3, 40.0), (4, 1_560, 3.0)], ..base.clone() };
    check(&far_above, 8, Reason::DemandAboveCapacity);
    let one_point = Case { load: vec![(2, 2, 6.0)], ..base.clone() };
    check(&one_point, 8, Reason::DemandAboveCapacity);
    let morning =
        Case { load: vec![(2, 1_400, 3.0), (1_401, 1_430, 6.0), (1_431, 1_560, 3.0)], ..base };
    check(&morning, 8, Reason::ForecastAboveCapacity);
}

#[test]
fn readers_may_need_more_than_writers() {
    // A shard gives all that poll it what two of them need.
    for (readers, target, demand) in [(2, 4, 3.0), (3, 5, 4.5)] {
        let case = Case { readers: Some(readers), ..Case::default() };
        let decision = case.decide();
        let (said, reason) = match target {
            4 => (Reason::Accepted, Reason::Enough),
            _ => (Reason::ReadSide, Reason::DemandAboveCapacity),
        };
        assert_eq!((decision.stages[1].reason, decision.stages[1].value), (said, Some(demand)));
        check(&case, target, reason);
    }
}

#[test]
fn throttling_shows_what_was_asked_for() {
    let throttled =
        Case { load: vec![(2, 1_560, 3.7)], rejected: vec![(ago(2), 60_000.0)], ..Case::default() };
    let decision = throttled.decide();
    assert_eq!(decision.stages[1].reason, Reason::Rejected);
    assert_eq!(decision.stages[1].value, Some(4.7));
    check(&throttled, 6, Reason::DemandAboveCapacity);
}

#[test]
fn fewer_shards_only_when_everything_agrees() {
    let base = Case { open: 10, load: vec![(2, 1_560, 3.0)], ..Case::default() };
    check(&base, 5, Reason::FewerWouldDo);
    let busy_before =
        Case { load: vec![(2, 40, 3.0), (41, 1_000, 9.5), (1_001, 1_560, 3.0)], ..base.clone() };
    check(&busy_before, 10, Reason::Enough);
    let gaps = Case { load: vec![(2, 30, 3.0)], ..base.clone() };
    check(&gaps, 10, Reason::MetricsIncomplete);
    let behind = Case { age_ms: Some(600_000.0), ..base.clone() };
    check(&behind, 10, Reason::IteratorAge);
    let unknown = Case { age_ms: None, ..base.clone() };
    check(&unknown, 10, Reason::IteratorAgeUnknown);
    let allow = Policy { missing_iterator_age: MissingIteratorAge::Allow, ..Policy::default() };
    check(&Case { age_ms: None, policy: allow, ..base }, 5, Reason::FewerWouldDo);
}

#[test]
fn calls_are_a_budget() {
    let spent = |count: i64| (1..=count).map(|n| n * 20).collect::<Vec<_>>();
    let above = Case { load: vec![(2, 1_560, 9.8)], open: 10, ..Case::default() };
    check(&above, 11, Reason::DemandAboveCapacity);
    // Three calls left: at least a third more, which 15 reaches most cheaply.
    check(&Case { calls_ago: spent(7), ..above.clone() }, 15, Reason::DemandAboveCapacity);
    check(&Case { calls_ago: spent(9), ..above.clone() }, 20, Reason::DemandAboveCapacity);
    check(&Case { calls_ago: spent(10), ..above }, 10, Reason::CallsSpent);
    let down = Case { open: 10, ..Case::default() };
    // Five shards for a whole day are 7,200 shard-minutes: worth even the last call. One is not.
    check(&Case { calls_ago: spent(9), ..down.clone() }, 5, Reason::FewerWouldDo);
    let little = Case { open: 5, ..down.clone() };
    check(&Case { calls_ago: spent(6), ..little.clone() }, 4, Reason::FewerWouldDo);
    check(&Case { calls_ago: spent(9), ..little }, 5, Reason::CallNotWorthIt);
    // Yesterday was busy again in two hours: not worth the seventh either.
    let short =
        Case { load: vec![(2, 1_280, 3.0), (1_281, 1_300, 9.0), (1_301, 1_560, 3.0)], ..down };
    check(&Case { calls_ago: spent(6), ..short }, 10, Reason::CallNotWorthIt);
}

#[test]
fn bounds_and_limits_cut_the_target() {
    let above = Case { load: vec![(2, 1_560, 9.8)], open: 10, ..Case::default() };
    let bounded = |min_shards, max_shards| Policy { min_shards, max_shards, ..Policy::default() };
    check(&Case { policy: bounded(1, 11), ..above.clone() }, 11, Reason::DemandAboveCapacity);
    check(&Case { policy: bounded(1, 10), ..above.clone() }, 10, Reason::PolicyBounds);
    check(&Case { policy: bounded(1, 4), ..above.clone() }, 5, Reason::PolicyBounds);
    check(&Case { policy: bounded(30, 40), ..above.clone() }, 20, Reason::PolicyBounds);
    let full = Some(Account { shard_limit: 50, open_shards: 50 });
    check(&Case { account: full, ..above }, 10, Reason::AccountLimit);
}

fn any_point() -> impl Strategy<Value = Point> {
    let value = prop_oneof![
        6 => 0.0..5e7,
        2 => Just(0.0),
        1 => prop_oneof![Just(f64::NAN), Just(f64::INFINITY), Just(-1.0), Just(f64::MAX)],
    ];
    (-3_i64..1_700, value).prop_map(|(minutes, value)| (ago(minutes), value))
}

prop_compose! {
    fn any_metrics()(
        incoming_bytes in prop::collection::vec(any_point(), 0..150),
        incoming_records in prop::collection::vec(any_point(), 0..150),
        write_throttled in prop::collection::vec(any_point(), 0..20),
        iterator_age_ms in prop::collection::vec(any_point(), 0..20),
        read_bytes in prop::collection::vec(any_point(), 0..20),
    ) -> Metrics {
        Metrics { incoming_bytes, incoming_records, write_throttled, iterator_age_ms, read_bytes }
    }
}

proptest! {
    #[test]
    fn every_decision_is_legal_and_bounded(
        metrics in any_metrics(),
        open in 1_u32..12_000,
        calls in prop::collection::vec(-5_i64..3_000, 0..14),
        bounds in (1_u32..200, 0_u32..200),
        account in prop::option::of((1_u32..20_000, 0_u32..20_000)),
        paused: bool,
    ) {
        let (minutes, absurd_points) = observation::assemble(&metrics, now());
        let calls: Calls = calls.into_iter().map(ago).collect();
        let left = calls.left(now());
        let history = History::new(calls, &minutes);
        let account = account
            .map(|(shard_limit, open_shards)| Account { shard_limit, open_shards });
        let policy = Policy {
            min_shards: bounds.0,
            max_shards: bounds.0 + bounds.1,
            ..Policy::default()
        };
        let observation = Observation {
            stream: "orders".into(),
            description: Description {
                status: Status::Active,
                capacity: Capacity::Provisioned,
                open_shards: open,
            },
            account,
            paused,
            minutes,
            shards: SeenShards::default(),
            absurd_points,
        };
        let decision = decide(&observation, &policy, &history, Mode::Active, now());
        prop_assert_eq!(&decision, &decide(&observation, &policy, &history, Mode::Active, now()));
        let target = decision.target.unwrap();
        let (least, most) = limits::legal(open);
        prop_assert!(target == open || (least..=most).contains(&target));
        if decision.action == Action::Resize {
            prop_assert!(left > 0, "a call without a call left");
            prop_assert!(!paused);
            let inside = (policy.min_shards..=policy.max_shards).contains(&open);
            if inside {
                prop_assert!((policy.min_shards..=policy.max_shards).contains(&target));
            }
            if let Some(account) = account && target > open {
                let others = account.open_shards.saturating_sub(open);
                prop_assert!(others + limits::peak_open(open, target) <= account.shard_limit);
            }
            if target < open && inside {
                let age = observation.minutes.range(ago(10)..).find_map(|(_, m)| m.iterator_age_ms);
                prop_assert!(age.is_some(), "fewer shards without an iterator age");
            }
        }
        prop_assert_eq!(decision.stages.len(), 9);
        let line = serde_json::to_string(&decision).unwrap();
        prop_assert!(!line.contains("null,\"reason\":null"), "{}", line);
    }

    #[test]
    fn without_a_recent_minute_nothing_is_changed(
        metrics in any_metrics(), open in 1_u32..10_000,
    ) {
        let old = |points: &[Point]| -> Vec<Point> {
            points.iter().filter(|(at, _)| *at < ago(11)).copied().collect()
        };
        let metrics = Metrics {
            incoming_bytes: old(&metrics.incoming_bytes),
            incoming_records: old(&metrics.incoming_records),
            write_throttled: old(&metrics.write_throttled),
            iterator_age_ms: metrics.iterator_age_ms,
            read_bytes: old(&metrics.read_bytes),
        };
        let (minutes, absurd_points) = observation::assemble(&metrics, now());
        let observation = Observation {
            stream: "orders".into(),
            description: Description {
                status: Status::Active,
                capacity: Capacity::Provisioned,
                open_shards: open,
            },
            account: None,
            paused: false,
            minutes: minutes.clone(),
            shards: SeenShards::default(),
            absurd_points,
        };
        let history = History::new(Calls::default(), &minutes);
        let decision =
            decide(&observation, &Policy::default(), &history, Mode::Active, now());
        prop_assert_eq!(decision.reason, Reason::MetricsMissing);
    }

    #[test]
    fn more_demand_never_asks_for_fewer(
        load in 0.1_f64..30.0, more in 1.0_f64..3.0, open in 1_u32..64,
    ) {
        // A call that is not worth it leaves the shards as they are, whatever would do: between two
        // counts that nearly would, a little less demand may keep what a little more gives up.
        let asked = |shards: f64| {
            let case = Case { open, load: vec![(2, 1_560, shards)], ..Case::default() };
            let decision = case.decide();
            match decision.reason {
                Reason::CallNotWorthIt => decision.stage("recommend").unwrap().value.unwrap(),
                _ => f64::from(decision.target.unwrap()),
            }
        };
        prop_assert!(asked(load * more) >= asked(load), "{} {}", asked(load * more), asked(load));
    }

    #[test]
    fn events_of_any_bytes_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = tidegate_autoscaler::event::parse(&bytes);
    }
}

/// The maps of minutes are ordered by time whatever order the points came in.
#[test]
fn the_order_of_points_does_not_matter() {
    let points: Vec<Point> = (0..50).map(|n| (ago(n * 7 % 50), 1.0)).collect();
    let forward = Metrics { incoming_bytes: points.clone(), ..Metrics::default() };
    let backward =
        Metrics { incoming_bytes: points.into_iter().rev().collect(), ..Metrics::default() };
    let minutes = |metrics: &Metrics| -> BTreeMap<_, _> { observation::assemble(metrics, now()).0 };
    assert_eq!(minutes(&forward), minutes(&backward));
}
