//! The autoscaler's run on the model: calls that fail at any step, late and missing metrics, and
//! what stands on the stream afterwards.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64Mcg;
use tidegate_autoscaler::decision::{Action, Applied, Decision};
use tidegate_autoscaler::history::CALLS_TAG;
use tidegate_autoscaler::look::LOOK_BACK;
use tidegate_autoscaler::observation::{Account, Description, Metrics as Points, Point};
use tidegate_autoscaler::port::{
    Clock, Found, NoLedger, ServiceError, ServiceErrorKind, Stored, StreamService, Tally,
};
use tidegate_autoscaler::run::{self, Ports};
use tidegate_autoscaler::shards::{Sample, Shard, ShardService};
use tidegate_autoscaler::tags::{PAUSED_TAG, Wishes};
use tidegate_autoscaler::{Mode, Policy, Reason};
use tidegate_local::cloud::{Cloud, Service};
use tidegate_local::fluid::Volume;
use tidegate_local::ledger::Ledger;
use tidegate_local::metrics::{Delay, ITERATOR_AGE, MILLIS_BEHIND, Metrics};
use tidegate_local::stream::{Settings, Stream};

fn at(minute: i64) -> Timestamp {
    Timestamp::from_second(1_788_220_800 + minute * 60).unwrap()
}

fn cloud(shards: u32, gaps: f64, seed: u64) -> Mutex<Cloud> {
    let stream = Stream::new(Settings {
        name: "orders".into(),
        shards,
        account_shards: 200,
        per_operation: SignedDuration::from_secs(30),
        readers: 0,
    });
    let delay = Delay { gaps, ..Delay::default() };
    let metrics = Metrics::new(delay, LOOK_BACK, Pcg64Mcg::seed_from_u64(seed));
    Mutex::new(Cloud { stream, metrics, now: at(0) })
}

/// A minute of load, in shards, with a consumer that keeps up.
fn offer(cloud: &Mutex<Cloud>, minute: i64, shards: f64) {
    offer_unread(cloud, minute, shards);
    cloud.lock().unwrap().metrics.put(ITERATOR_AGE, at(minute), 0.0);
}

/// A minute of load, in shards, that nobody reads.
fn offer_unread(cloud: &Mutex<Cloud>, minute: i64, shards: f64) {
    let mut cloud = cloud.lock().unwrap();
    cloud.now = at(minute);
    let now = cloud.now;
    cloud.stream.advance(now);
    let volume = Volume { bytes: shards * 6e6, records: shards * 60_000.0 };
    let offered = cloud.stream.offer(volume, Vec::new(), 60.0, now);
    cloud.report(&offered);
}

fn look<S: StreamService + ShardService + Clock>(service: &S, mode: Mode) -> Decision {
    let ports =
        Ports { service, ledger: None::<&NoLedger>, clock: service, deadline: Timestamp::MAX };
    let wishes = Wishes { policy: Policy::default(), mode };
    pollster::block_on(run::run(ports, "orders", &wishes, true))
}

/// Four shards under a load of six for half an hour.
fn overloaded() -> Mutex<Cloud> {
    let cloud = cloud(4, 0.0, 1);
    (0..30).for_each(|minute| offer(&cloud, minute, 6.0));
    cloud.lock().unwrap().now = at(30);
    cloud
}

#[test]
fn more_shards_are_asked_for_and_written_down() {
    let cloud = overloaded();
    let decision = look(&Service::new(&cloud), Mode::Active);
    assert_eq!((decision.action, decision.applied), (Action::Resize, Applied::Done));
    assert_eq!(decision.target, Some(8));
    let cloud = cloud.lock().unwrap();
    assert_eq!(cloud.stream.tags[CALLS_TAG], at(30).as_second().to_string());
    assert_eq!((cloud.stream.calls_made, cloud.stream.calls_rejected), (1, 0));
}

/// A function that was rolled back meets what the newer one left behind.
#[test]
fn an_item_of_a_later_version_is_left_alone_and_only_an_emergency_is_acted_on() {
    let quiet = cloud(8, 0.0, 1);
    (0..180).for_each(|minute| offer(&quiet, minute, 0.3));
    quiet.lock().unwrap().now = at(180);
    let cases = [
        (overloaded(), Action::Resize, Reason::DemandAboveCapacity),
        (quiet, Action::Hold, Reason::LedgerUnreadable),
    ];
    for (cloud, action, reason) in cases {
        let later = Stored { revision: 7, text: r#"{"format":2,"calls":[]}"#.to_owned() };
        let ledger = Ledger::default();
        ledger.set("orders", Some(later.clone()));
        let service = Service::new(&cloud);
        let deadline = Timestamp::MAX;
        let ports = Ports { service: &service, ledger: Some(&ledger), clock: &service, deadline };
        let wishes = Wishes { policy: Policy::default(), mode: Mode::Active };
        let decision = pollster::block_on(run::run(ports, "orders", &wishes, true));
        assert_eq!((decision.action, decision.reason), (action, reason), "{decision:?}");
        assert_eq!(ledger.item("orders"), Some(later), "it may be worth more than ours");
    }
}

#[test]
fn shadow_mode_changes_nothing() {
    let cloud = overloaded();
    let decision = look(&Service::new(&cloud), Mode::Shadow);
    assert_eq!((decision.action, decision.applied), (Action::Resize, Applied::Shadow));
    let cloud = cloud.lock().unwrap();
    assert_eq!(cloud.stream.calls_made, 0);
    assert!(cloud.stream.tags.is_empty());
}

#[test]
fn a_second_look_holds_while_the_first_is_carried_out() {
    let cloud = overloaded();
    let _ = look(&Service::new(&cloud), Mode::Active);
    let second = look(&Service::new(&cloud), Mode::Active);
    assert_eq!((second.action, second.reason), (Action::Hold, Reason::StreamUpdating));
    assert_eq!(cloud.lock().unwrap().stream.calls_rejected, 0);
}

#[test]
fn tags_pause_and_guard() {
    let cases = [
        (PAUSED_TAG, "until the release", Reason::Paused),
        (CALLS_TAG, "yesterday", Reason::CallsUnreadable),
        (CALLS_TAG, "99999999999", Reason::ClockBehindCalls),
    ];
    for (tag, value, reason) in cases {
        let cloud = overloaded();
        cloud.lock().unwrap().stream.tags.insert(tag.to_owned(), value.to_owned());
        let decision = look(&Service::new(&cloud), Mode::Active);
        assert_eq!((decision.action, decision.reason), (Action::Hold, reason), "{tag}={value}");
    }
    let cloud = overloaded();
    cloud.lock().unwrap().stream.tags.insert(PAUSED_TAG.to_owned(), "false".to_owned());
    assert_eq!(look(&Service::new(&cloud), Mode::Active).action, Action::Resize);
}

/// Sixteen shards under a load of one, with the ages that are published each minute: of the
/// consumer that polls, and of the one with enhanced fan-out.
fn idle(polled: Option<f64>, fan_out: Option<Option<f64>>) -> Mutex<Cloud> {
    let cloud = cloud(16, 0.0, 1);
    for minute in 0..180 {
        offer_unread(&cloud, minute, 1.0);
        let mut cloud = cloud.lock().unwrap();
        let ages = [(ITERATOR_AGE, polled), (MILLIS_BEHIND, fan_out.flatten())];
        for (name, age) in ages {
            if let Some(age) = age {
                cloud.metrics.put(name, at(minute), age);
            }
        }
    }
    let mut seen = cloud.lock().unwrap();
    seen.stream.fan_out.extend(fan_out.map(|_| "reports".to_owned()));
    seen.now = at(180);
    drop(seen);
    cloud
}

#[test]
fn a_consumer_that_is_behind_or_unknown_holds_a_scale_down() {
    const FRESH: Option<f64> = Some(0.0);
    const BEHIND: Option<f64> = Some(900_000.0);
    let cases = [
        ("one that polls", FRESH, None, Ok(())),
        ("one that polls, behind", BEHIND, None, Err(Reason::IteratorAge)),
        ("nobody", None, None, Err(Reason::IteratorAgeUnknown)),
        ("fan-out alone", None, Some(FRESH), Ok(())),
        ("fan-out alone, behind", None, Some(BEHIND), Err(Reason::IteratorAge)),
        ("fan-out alone, silent", None, Some(None), Err(Reason::IteratorAgeUnknown)),
        ("both", FRESH, Some(FRESH), Ok(())),
        ("both, fan-out behind", FRESH, Some(BEHIND), Err(Reason::IteratorAge)),
        ("both, fan-out silent", FRESH, Some(None), Err(Reason::IteratorAgeUnknown)),
    ];
    for (name, polled, fan_out, expected) in cases {
        let cloud = idle(polled, fan_out);
        let decision = look(&Service::new(&cloud), Mode::Active);
        let fewer = decision.target < decision.open_shards;
        let found = if fewer { Ok(()) } else { Err(decision.reason) };
        assert_eq!(found, expected, "{name}: {}", decision.message);
    }
}

/// The model behind a line that fails at the calls that are named, counted from zero.
struct Faulty<'c> {
    inner: Service<'c>,
    fails: Vec<usize>,
    calls: AtomicUsize,
}

impl Faulty<'_> {
    fn call(&self, operation: &'static str) -> Result<(), ServiceError> {
        let number = self.calls.fetch_add(1, Ordering::Relaxed);
        if self.fails.contains(&number) {
            let message = "it failed".to_owned();
            return Err(ServiceError { operation, kind: ServiceErrorKind::Unavailable, message });
        }
        Ok(())
    }
}

impl StreamService for Faulty<'_> {
    async fn describe(&self, stream: &str) -> Result<Description, ServiceError> {
        self.call("DescribeStreamSummary")?;
        self.inner.describe(stream).await
    }

    async fn metrics(
        &self,
        streams: &[String],
        from: Timestamp,
        to: Timestamp,
    ) -> Result<BTreeMap<String, Points>, ServiceError> {
        self.call("GetMetricData")?;
        self.inner.metrics(streams, from, to).await
    }

    async fn account(&self) -> Result<Account, ServiceError> {
        self.call("DescribeLimits")?;
        self.inner.account().await
    }

    async fn tags(&self, stream: &str) -> Result<BTreeMap<String, String>, ServiceError> {
        self.call("ListTagsForStream")?;
        self.inner.tags(stream).await
    }

    async fn set_tag(&self, stream: &str, key: &str, value: &str) -> Result<(), ServiceError> {
        self.call("AddTagsToStream")?;
        self.inner.set_tag(stream, key, value).await
    }

    async fn update_shard_count(&self, stream: &str, target: u32) -> Result<(), ServiceError> {
        self.call("UpdateShardCount")?;
        self.inner.update_shard_count(stream, target).await
    }

    async fn opted_in(&self) -> Result<Vec<Found>, ServiceError> {
        self.call("ListStreams")?;
        self.inner.opted_in().await
    }

    fn tally(&self) -> &Tally {
        self.inner.tally()
    }
}

impl ShardService for Faulty<'_> {
    async fn shards(&self, stream: &str) -> Result<Vec<Shard>, ServiceError> {
        self.call("ListShards")?;
        self.inner.shards(stream).await
    }

    async fn has_shard_metrics(&self, stream: &str) -> Result<bool, ServiceError> {
        self.call("DescribeStreamSummary")?;
        self.inner.has_shard_metrics(stream).await
    }

    async fn shard_metrics(
        &self,
        stream: &str,
        shards: &[String],
        from: Timestamp,
        to: Timestamp,
    ) -> Result<BTreeMap<String, Points>, ServiceError> {
        self.call("GetMetricData")?;
        self.inner.shard_metrics(stream, shards, from, to).await
    }

    async fn enable_shard_metrics(&self, stream: &str) -> Result<(), ServiceError> {
        self.call("EnableEnhancedMonitoring")?;
        self.inner.enable_shard_metrics(stream).await
    }

    async fn disable_shard_metrics(&self, stream: &str) -> Result<(), ServiceError> {
        self.call("DisableEnhancedMonitoring")?;
        self.inner.disable_shard_metrics(stream).await
    }

    async fn sample(&self, stream: &str, shard: &str) -> Result<Vec<Sample>, ServiceError> {
        self.call("GetRecords")?;
        self.inner.sample(stream, shard).await
    }

    async fn split_shard(
        &self,
        stream: &str,
        shard: &str,
        new_starting_hash: u128,
    ) -> Result<(), ServiceError> {
        self.call("SplitShard")?;
        self.inner.split_shard(stream, shard, new_starting_hash).await
    }

    async fn consumers(&self, stream: &str) -> Result<Vec<String>, ServiceError> {
        self.call("ListStreamConsumers")?;
        self.inner.consumers(stream).await
    }

    async fn consumer_age(
        &self,
        stream: &str,
        consumers: &[String],
        from: Timestamp,
        to: Timestamp,
    ) -> Result<BTreeMap<String, Vec<Point>>, ServiceError> {
        self.call("GetMetricData")?;
        self.inner.consumer_age(stream, consumers, from, to).await
    }
}

impl Clock for Faulty<'_> {
    fn now(&self) -> Timestamp {
        self.inner.now()
    }

    async fn sleep(&self, time: SignedDuration) {
        self.inner.sleep(time).await;
    }
}

/// Eight calls make a run that resizes without a ledger. Whichever fails, nothing is resized that is not written
/// down, and the answer is a hold with its reason; only the account's limit and the shards' ranges can be
/// done without.
#[test]
fn a_run_survives_each_of_its_calls() {
    const RUN: [&str; 9] = [
        "DescribeStreamSummary",
        "ListTagsForStream",
        "ListShards",
        "GetMetricData",
        "DescribeLimits",
        "DescribeStreamSummary",
        "ListTagsForStream",
        "AddTagsToStream",
        "UpdateShardCount",
    ];
    for (number, operation) in RUN.into_iter().enumerate() {
        let cloud = overloaded();
        let faulty =
            Faulty { inner: Service::new(&cloud), fails: vec![number], calls: AtomicUsize::new(0) };
        let decision = look(&faulty, Mode::Active);
        let cloud = cloud.lock().unwrap();
        let written = cloud.stream.tags.contains_key(CALLS_TAG);
        if matches!(operation, "DescribeLimits" | "ListShards") {
            assert_eq!(decision.applied, Applied::Done);
            continue;
        }
        assert_eq!(decision.action, Action::Hold, "{operation}");
        assert_eq!(decision.reason, Reason::ServiceUnavailable, "{operation}");
        assert!(decision.message.contains(operation), "{}", decision.message);
        assert_eq!(cloud.stream.calls_made, 0, "{operation}");
        assert_eq!(written, operation == "UpdateShardCount", "{operation}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// A day and more of wild load with gaps in the metrics, failing calls and looks at any time:
    /// no call is illegal, and no shard is taken away while nothing is known.
    #[test]
    fn no_call_is_ever_illegal(seed: u64, gaps in 0.0_f64..0.4, failing in 0.0_f64..0.3) {
        let cloud = cloud(4, gaps, seed);
        let mut random = Pcg64Mcg::seed_from_u64(seed);
        let mut load: f64 = 3.0;
        for minute in 0..1_600 {
            load = (load * random.random_range(0.9..1.112)).clamp(0.1, 60.0);
            if random.random_ratio(1, 300) {
                load = random.random_range(0.1..60.0);
            }
            offer(&cloud, minute, load);
            let looks = u32::from(minute % 5 == 0) + u32::from(random.random_ratio(1, 20));
            for _ in 0..looks {
                let fails = (0..8).filter(|_| random.random_bool(failing)).collect();
                let faulty =
                    Faulty { inner: Service::new(&cloud), fails, calls: AtomicUsize::new(0) };
                let decision = look(&faulty, Mode::Active);
                prop_assert!(decision.reason != Reason::ServiceLimit, "{}", decision.message);
                prop_assert!(decision.reason != Reason::ServiceRefused, "{}", decision.message);
            }
        }
        prop_assert_eq!(cloud.lock().unwrap().stream.calls_rejected, 0);
    }
}
