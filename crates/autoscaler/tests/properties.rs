//! What holds for any traffic and any past: the calls of a day, the direction of a change, and what
//! a decision says of its own result.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, VecDeque};

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use tidegate_autoscaler::decision::{Action, Decision};
use tidegate_autoscaler::history::{self, Calls, History};
use tidegate_autoscaler::hot::SeenShards;
use tidegate_autoscaler::limits;
use tidegate_autoscaler::observation::{
    self, Account, Capacity, Description, Metrics, Minute, Observation, Status,
};
use tidegate_autoscaler::policy::{Mode, Policy, Tuning};
use tidegate_autoscaler::tuning::RANGES;
use tidegate_autoscaler::{Reason, decide};

fn start() -> Timestamp {
    Timestamp::from_second(1_763_683_200).expect("a fixed moment")
}

fn at(minute: i64) -> Timestamp {
    start() + SignedDuration::from_mins(minute)
}

/// A stream as the engine sees it, which time goes by for.
#[derive(Clone)]
struct Stream {
    observation: Observation,
    history: History,
    policy: Policy,
    now: i64,
}

impl Stream {
    fn new(open: u32) -> Self {
        let description = Description {
            status: Status::Active,
            capacity: Capacity::Provisioned,
            open_shards: open,
        };
        let observation = Observation {
            stream: "orders".into(),
            description,
            account: None,
            paused: false,
            minutes: BTreeMap::new(),
            shards: SeenShards::default(),
            absurd_points: 0,
        };
        Self { observation, history: History::default(), policy: Policy::default(), now: 0 }
    }

    /// A minute with such a load, in thousandths of a shard.
    fn pass(&mut self, milli: u64, iterator_age_ms: Option<u64>) {
        let load = milli * 60;
        let minute = Minute { records: Some(load), iterator_age_ms, ..Minute::default() };
        let block = self.history.blocks.entry(history::block_of(at(self.now))).or_default();
        block.0 = block.0.max(milli);
        self.observation.minutes.insert(at(self.now), minute);
        self.now += 1;
        while self.observation.minutes.len() > 26 * 60 {
            self.observation.minutes.pop_first();
        }
    }

    fn open(&self) -> u32 {
        self.observation.description.open_shards
    }

    fn decide(&self) -> Decision {
        let now = at(self.now + 1);
        decide(&self.observation, &self.policy, &self.history, Mode::Active, now)
    }

    /// As if the reshard were done at once.
    fn resize(&mut self, to: u32) {
        self.observation.description.open_shards = to;
        self.history.calls = self.history.calls.with(at(self.now + 1));
    }
}

/// Days of traffic as pieces of `(minutes, thousandths of a shard)`, with noise by the minute.
fn any_days(most_minutes: usize) -> impl Strategy<Value = Vec<u64>> {
    let piece = (1_usize..300, 0_u64..40_000, 0_u64..30);
    prop::collection::vec(piece, 1..60).prop_map(move |pieces| {
        let mut minutes: Vec<u64> = pieces
            .iter()
            .flat_map(|(length, milli, noise)| {
                let wobble =
                    move |minute: usize| u64::try_from(minute * 7 % 11).unwrap_or(0) * noise;
                (0..*length).map(move |minute| milli + milli * wobble(minute) / 1_000)
            })
            .collect();
        minutes.truncate(most_minutes);
        minutes
    })
}

fn any_tuning() -> impl Strategy<Value = Tuning> {
    let share = prop::collection::vec(0_u32..=1_000, 8);
    prop_oneof![
        Just(Tuning::default()),
        share.prop_map(|shares| {
            let mut values = [0; 8];
            for ((value, share), (_, least, most)) in values.iter_mut().zip(shares).zip(RANGES) {
                *value = least + (most - least) * share / 1_000;
            }
            let tuning = Tuning::from_values(values);
            // An emergency takes one call: nothing else is valid.
            let growth_percent =
                tuning.growth_percent.max(10_000_u32.div_ceil(tuning.emergency_percent));
            Tuning { growth_percent, ..tuning }
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn never_more_than_ten_calls_in_any_day(
        days in any_days(3 * 1_440), open in 1_u32..64, tuning in any_tuning(),
        reshard_minutes in 0_i64..30,
    ) {
        prop_assert_eq!(tuning.validate(), Ok(()));
        let mut stream = Stream::new(open);
        stream.policy.tuning = tuning;
        let mut made: VecDeque<i64> = VecDeque::new();
        let mut busy_until = 0;
        for milli in days {
            stream.pass(milli, Some(0));
            if stream.now % 5 != 0 || stream.now < busy_until {
                continue;
            }
            let decision = stream.decide();
            let Some(plan) = decision.plan() else { continue };
            let (least, most) = limits::legal(stream.open());
            prop_assert!((least..=most).contains(&plan.to) && plan.to != plan.from);
            made.retain(|call| stream.now - call < 1_440);
            made.push_back(stream.now);
            prop_assert!(made.len() <= 10, "{made:?}");
            stream.resize(plan.to);
            busy_until = stream.now + reshard_minutes;
        }
    }

    #[test]
    fn bounds_are_kept_or_moved_towards_and_never_block(
        days in any_days(1_440), open in 1_u32..200, min in 1_u32..60, more in 0_u32..60,
        spent in 0_usize..10,
    ) {
        let mut stream = Stream::new(open);
        for milli in days {
            stream.pass(milli, Some(0));
        }
        let (min, max) = (min, min + more);
        stream.policy.min_shards = min;
        stream.policy.max_shards = max;
        let earlier = (1..=spent).map(|n| at(stream.now - 30 * i64::try_from(n).unwrap()));
        stream.history.calls = earlier.collect::<Calls>();
        let decision = stream.decide();
        let target = decision.target.unwrap();
        let allowed = if open < min {
            open + 1..=max
        } else if open > max {
            // Fewer wait for the last hour to be known, and for the last call.
            min..=if stream.now < 60 || spent > 0 { open } else { open - 1 }
        } else {
            min..=max
        };
        prop_assert!(allowed.contains(&target), "{min} to {max}: {decision:#?}");
    }

    #[test]
    fn the_limits_allow_more_where_more_is_wanted(
        open in 1_u32..10_000, wanted in 1_u32..20_000, more in 0_u32..10_000,
        min in 1_u32..200, bounds in 0_u32..9_000, others in 0_u32..5_000, limit in 1_u32..20_000,
    ) {
        let policy =
            Policy { min_shards: min, max_shards: min + bounds, ..Policy::default() };
        let account =
            Some(Account { shard_limit: limit, open_shards: open.saturating_add(others) });
        for account in [None, account] {
            let target = |wanted| limits::clamp(open, wanted, &policy, account).0;
            prop_assert!(target(wanted) <= target(wanted + more));
            let (least, most) = limits::legal(open);
            prop_assert!((least.min(open)..=most.max(open)).contains(&target(wanted)));
        }
    }

    #[test]
    fn the_same_input_has_the_same_decision(
        days in any_days(2 * 1_440), open in 1_u32..200, tuning in any_tuning(),
    ) {
        let mut stream = Stream::new(open);
        stream.policy.tuning = tuning;
        for milli in days {
            stream.pass(milli, Some(0));
        }
        let read_again = |history: &History| -> History {
            serde_json::from_str(&serde_json::to_string(history).unwrap()).unwrap()
        };
        let mut twin = stream.clone();
        twin.history = read_again(&stream.history);
        prop_assert_eq!(stream.decide(), twin.decide());
    }

    #[test]
    fn a_decision_repeated_on_its_own_result_holds(
        days in any_days(2 * 1_440), open in 1_u32..64, spent in 0_usize..9,
    ) {
        let mut stream = Stream::new(open);
        for milli in days {
            stream.pass(milli, Some(0));
        }
        let earlier = (1..=spent).map(|n| at(stream.now - 120 * i64::try_from(n).unwrap()));
        stream.history.calls = earlier.collect::<Calls>();
        let decision = stream.decide();
        let cut = decision.stages.iter().any(|stage| stage.reason == Reason::StepLimit);
        let (least, most) = limits::legal(stream.open());
        if let Some(plan) = decision.plan()
            && !cut && plan.to != most && plan.to != least
        {
            stream.resize(plan.to);
            let again = stream.decide();
            prop_assert_eq!(again.action, Action::Hold, "{:#?} then {:#?}", decision, again);
        }
    }

    #[test]
    fn an_emergency_stays_one_with_more_demand(
        days in any_days(1_440), open in 1_u32..64, newest in 0_u64..80_000, more in 0_u64..40_000,
        spent in 0_usize..10,
    ) {
        let after = |newest: u64| {
            let mut stream = Stream::new(open);
            for milli in &days {
                stream.pass(*milli, Some(0));
            }
            for _ in 0..3 {
                stream.pass(newest, Some(0));
            }
            let now = stream.now;
            let earlier = (1..=spent).map(|n| at(now - 20 * i64::try_from(n).unwrap()));
            stream.history.calls = earlier.collect::<Calls>();
            stream.decide()
        };
        let (less, more) = (after(newest), after(newest + more));
        let emergency = |decision: &Decision| decision.reason == Reason::DemandAboveCapacity;
        if emergency(&less) {
            prop_assert!(emergency(&more), "{:#?} then {:#?}", less, more);
            // Of targets near by the one that reshards most cheaply is taken, up to a quarter more.
            let (less, more) = (less.target.unwrap(), more.target.unwrap());
            prop_assert!(less <= more + more.div_ceil(4), "{} then {}", less, more);
        }
    }

    #[test]
    fn missing_minutes_and_old_iterators_never_argue_for_fewer(
        days in any_days(2 * 1_440), open in 1_u32..64, known_minutes in 0_usize..40,
        age in prop_oneof![Just(None), (300_001_u64..u64::MAX).prop_map(Some)],
    ) {
        let mut stream = Stream::new(open);
        for milli in &days {
            stream.pass(*milli, age);
        }
        prop_assert!(stream.decide().target.unwrap() >= open, "an old iterator");
        let mut stream = Stream::new(open);
        for milli in days {
            stream.pass(milli, Some(0));
        }
        let (now, last) = (stream.now, stream.now - 70);
        let kept = |minute: i64| minute < last || minute % 70 < known_minutes.try_into().unwrap();
        stream.observation.minutes.retain(|start, _| {
            kept(start.duration_since(self::start()).as_mins())
        });
        let hour = at(now + 1) - SignedDuration::from_mins(60);
        if stream.observation.minutes.range(hour..).count() < 45 {
            prop_assert!(stream.decide().target.unwrap() >= open, "an hour with gaps");
        }
    }

    #[test]
    fn absurd_points_hold_with_a_reason(
        value in prop_oneof![
            Just(f64::NAN), Just(f64::INFINITY), Just(f64::NEG_INFINITY), Just(f64::MAX),
            (f64::MIN..-0.001),
        ],
        open in 1_u32..10_000,
    ) {
        let points: Vec<_> = (0..120).map(|minute| (at(minute), value)).collect();
        let metrics = Metrics {
            incoming_bytes: points.clone(),
            incoming_records: points.clone(),
            write_throttled: points.clone(),
            iterator_age_ms: Vec::new(),
            read_bytes: points,
        };
        let mut stream = Stream::new(open);
        stream.now = 120;
        let (minutes, absurd) = observation::assemble(&metrics, at(121));
        stream.observation.minutes = minutes;
        stream.observation.absurd_points = absurd;
        prop_assert_eq!(absurd, 480);
        let decision = stream.decide();
        prop_assert_eq!((decision.action, decision.reason), (Action::Hold, Reason::MetricsMissing));
    }
}
