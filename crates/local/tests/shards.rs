//! Hot ranges, hot keys, uneven streams and complete splits, as the function meets them: a run by
//! run in the model, with a ledger between them.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Mutex;

use jiff::{SignedDuration, Timestamp};
use rand::SeedableRng;
use rand_pcg::Pcg64Mcg;
use tidegate_autoscaler::decision::{Action, Basis, Decision};
use tidegate_autoscaler::history::{CALLS_TAG, Calls};
use tidegate_autoscaler::look::LOOK_BACK;
use tidegate_autoscaler::policy::HotShards;
use tidegate_autoscaler::run::{self, Ports};
use tidegate_autoscaler::tags::Wishes;
use tidegate_autoscaler::{Mode, Policy, Reason};
use tidegate_local::cloud::{Cloud, Service};
use tidegate_local::fluid::Volume;
use tidegate_local::keys::Keys;
use tidegate_local::ledger::Ledger;
use tidegate_local::metrics::{Delay, ITERATOR_AGE, Metrics};
use tidegate_local::shard::{HashRange, hash_key};
use tidegate_local::stream::{Offered, Put, Settings, Stream};

fn at(minute: i64) -> Timestamp {
    Timestamp::from_second(1_788_220_800 + minute * 60).unwrap()
}

/// A stream of four shards in the model, and the function that looks at it.
struct World {
    cloud: Mutex<Cloud>,
    ledger: Ledger,
    policy: Policy,
    minute: i64,
    load: f64,
    /// Partition keys, a thousand a minute: how often each comes follows from the list.
    keys: Vec<String>,
    /// What was offered in the last minute.
    offered: Offered,
    /// How long a run may take.
    timeout: SignedDuration,
}

impl World {
    fn new(load: f64, crowds: Vec<(HashRange, f64)>, keys: Vec<String>) -> Self {
        let mut stream = Stream::new(Settings {
            name: "orders".into(),
            shards: 4,
            account_shards: 100,
            per_operation: SignedDuration::from_secs(30),
            readers: 0,
        });
        stream.keys = Keys { crowds };
        let metrics = Metrics::new(Delay::default(), LOOK_BACK, Pcg64Mcg::seed_from_u64(1));
        Self {
            cloud: Mutex::new(Cloud { stream, metrics, now: at(0) }),
            ledger: Ledger::default(),
            policy: Policy { hot_shards: HotShards::Split, ..Policy::default() },
            minute: 0,
            load,
            keys,
            offered: Offered::default(),
            timeout: SignedDuration::from_secs(60),
        }
    }

    fn offer(&mut self) {
        let mut cloud = self.cloud.lock().unwrap();
        // A run may have gone on beyond this minute already.
        let later = cloud.now.max(at(self.minute));
        cloud.now = at(self.minute);
        let now = cloud.now;
        cloud.stream.advance(now);
        let volume = Volume { bytes: self.load * 6e6, records: self.load * 60_000.0 };
        let keys = self.keys.iter().cycle().take(if self.keys.is_empty() { 0 } else { 1_000 });
        let puts = keys.map(|key| Put { partition_key: key.clone(), data: vec![0; 90] });
        self.offered = cloud.stream.offer(volume, puts.collect(), 60.0, now);
        let offered = self.offered;
        cloud.report(&offered);
        cloud.metrics.put(ITERATOR_AGE, now, 0.0);
        cloud.now = later;
        self.minute += 1;
    }

    fn look(&self) -> Decision {
        let service = Service::new(&self.cloud);
        self.cloud.lock().unwrap().now = at(self.minute);
        let deadline = at(self.minute) + self.timeout;
        let ports =
            Ports { service: &service, ledger: Some(&self.ledger), clock: &service, deadline };
        let wishes = Wishes { policy: self.policy.clone(), mode: Mode::Active };
        pollster::block_on(run::run(ports, "orders", &wishes, true))
    }

    /// Some minutes with the heartbeat of five; what each look did, where it did something.
    fn pass(&mut self, minutes: i64) -> Vec<(Action, Reason)> {
        let mut done = Vec::new();
        for _ in 0..minutes {
            self.offer();
            // One run at a time.
            let busy = self.cloud.lock().unwrap().now > at(self.minute);
            if self.minute % 5 == 0 && !busy {
                let decision = self.look();
                if decision.action != Action::Hold {
                    done.push((decision.action, decision.reason));
                }
            }
        }
        done
    }

    fn stream<T>(&self, of: impl Fn(&Stream) -> T) -> T {
        of(&self.cloud.lock().unwrap().stream)
    }
}

/// The part of all keys, in sixteenths.
fn sixteenth(index: u128) -> HashRange {
    let start = index << 124;
    HashRange { start, end: start + ((1 << 124) - 1) }
}

/// Keys that hash into a range.
fn keys_in(range: HashRange, count: usize) -> impl Iterator<Item = String> {
    let keys = (0..).map(|n| format!("key-{n}"));
    keys.filter(move |key| range.contains(hash_key(key))).take(count)
}

/// Half of the load falls into a sixteenth of the keys: 1.3 shards, in one of four. The keys are as
/// the volume says.
fn hot_range() -> World {
    let range = sixteenth(5);
    let even = (0..100).map(|n| format!("even-{n}"));
    let keys = keys_in(range, 100).chain(even).collect();
    World::new(2.3, vec![(range, 0.5)], keys)
}

#[test]
fn a_hot_range_is_found_and_split_and_throttling_ends() {
    let mut world = hot_range();
    let done = world.pass(60);
    let expected = [(Action::Watch, Reason::HotShardSuspected), (Action::Split, Reason::HotShard)];
    assert_eq!(done[..2], expected, "{done:?}");
    assert!(world.stream(|stream| stream.splits_made) <= 2, "{done:?}");
    assert_eq!(world.stream(|stream| (stream.calls_made, stream.calls_rejected)), (0, 0));
    assert!(world.offered.rejected.is_empty(), "{:?}", world.offered);
    // A quiet night must not merge what was split, until a day has passed.
    world.load = 0.5;
    let open = world.stream(Stream::open_shards);
    let done = world.pass(600);
    assert_eq!((done, world.stream(Stream::open_shards)), (Vec::new(), open));
    let held = world.look();
    assert_eq!(held.reason, Reason::RecentSplit, "{}", held.message);
    // A day later the metrics of the shards are turned off, and the stream shrinks.
    let done = world.pass(1_440);
    assert!(done.contains(&(Action::Unwatch, Reason::ShardMetricsUnneeded)), "{done:?}");
    assert!(world.stream(Stream::open_shards) < open, "{done:?}");
    assert!(!world.stream(|stream| stream.has_shard_metrics));
}

#[test]
fn a_hot_key_is_reported_and_never_split() {
    let key = "everything-of-the-largest-customer".to_owned();
    let hash = hash_key(&key);
    let mut keys: Vec<_> = (0..100).map(|n| format!("even-{n}")).collect();
    keys.extend(vec![key.clone(); 100]);
    let range = HashRange { start: hash, end: hash };
    let mut world = World::new(2.3, vec![(range, 0.5)], keys);
    let done = world.pass(60);
    assert_eq!(done, [(Action::Watch, Reason::HotShardSuspected)]);
    let decision = world.look();
    assert_eq!((decision.action, decision.reason), (Action::Hold, Reason::HotKey));
    assert!(decision.message.contains("one key carries"), "{}", decision.message);
    assert!(!serde_json::to_string(&decision).unwrap().contains(&key), "the key was said");
    assert_eq!(world.stream(Stream::open_shards), 4);
}

#[test]
fn without_a_sample_a_hot_key_is_split_once() {
    let hash = hash_key("largest");
    let mut world = World::new(2.3, vec![(HashRange { start: hash, end: hash }, 0.6)], Vec::new());
    let done = world.pass(120);
    let splits = done.iter().filter(|(action, _)| *action == Action::Split).count();
    assert_eq!((splits, world.stream(|stream| stream.splits_made)), (1, 1), "{done:?}");
    let decision = world.look();
    assert_eq!(decision.reason, Reason::HotKey, "{}", decision.message);
}

#[test]
fn without_consent_nothing_is_paid_for_or_split() {
    let mut world = hot_range();
    world.policy.hot_shards = HotShards::Report;
    assert_eq!(world.pass(60), []);
    assert_eq!(world.look().reason, Reason::HotShardSuspected);
    // Somebody turned the metrics on: now the shard is named, and still nothing is done.
    world.cloud.lock().unwrap().stream.has_shard_metrics = true;
    assert_eq!(world.pass(30), []);
    let decision = world.look();
    assert_eq!((decision.action, decision.reason), (Action::Hold, Reason::HotShard));
    assert_eq!(decision.splits.len(), 1);
    assert_eq!(decision.splits[0].by, Basis::Sample);
    world.policy.hot_shards = HotShards::Off;
    assert!(!world.look().is_suspected());
    assert_eq!(world.stream(Stream::open_shards), 4);
}

#[test]
fn a_hot_shard_is_not_split_beyond_the_bounds() {
    let mut world = hot_range();
    world.policy.max_shards = 4;
    let done = world.pass(60);
    assert_eq!(done, [(Action::Watch, Reason::HotShardSuspected)]);
    assert_eq!(world.look().reason, Reason::PolicyBounds);
    assert_eq!(world.stream(Stream::open_shards), 4);
}

#[test]
fn an_uneven_stream_gets_more_shards_when_an_even_one_does_that_carries_as_much() {
    // Three of four shards are split by somebody: seven, which carry what four do.
    let grown = |splits: &[u32]| {
        let mut world = World::new(1.0, Vec::new(), Vec::new());
        for shard in splits {
            world.offer();
            let mut cloud = world.cloud.lock().unwrap();
            let now = cloud.now;
            let range = cloud.stream.shard(*shard).map(|shard| shard.range).unwrap();
            let middle = range.start + (range.end - range.start) / 2 + 1;
            cloud.stream.split_shard(*shard, middle, now).unwrap();
        }
        world.policy.min_shards = world.stream(Stream::open_shards);
        let mut load = 1.0;
        while load < 8.0 {
            load *= 1.02;
            world.load = load;
            let done = world.pass(5);
            if done.iter().any(|(action, _)| *action == Action::Resize) {
                return (load, world.stream(|stream| stream.calls_rejected));
            }
        }
        (load, 0)
    };
    let ((uneven, _), (even, _)) = (grown(&[0, 1, 2]), grown(&[]));
    assert!(uneven < 4.0, "{uneven}");
    assert!((0.9..1.1).contains(&(uneven / even)), "uneven {uneven}, four even shards {even}");
}

/// All calls of the day are spent, and the load is above what four shards take.
fn spent(timeout_secs: i64) -> World {
    let mut world = World::new(3.0, Vec::new(), Vec::new());
    world.timeout = SignedDuration::from_secs(timeout_secs);
    let calls: Calls = (0..10).map(|n| at(0) - SignedDuration::from_mins(60 + n)).collect();
    let tags = [(CALLS_TAG.to_owned(), calls.to_tag())];
    world.cloud.lock().unwrap().stream.tags.extend(tags);
    assert_eq!(world.pass(30), []);
    world.load = 6.0;
    world
}

#[test]
fn when_the_calls_are_spent_all_shards_are_split() {
    // In one run, and over many that each have time for one or two.
    for timeout in [600, 60, 12] {
        let mut world = spent(timeout);
        let done = world.pass(40);
        assert!(done.iter().all(|did| *did == (Action::Split, Reason::SplitFallback)), "{done:?}");
        assert_eq!(world.stream(Stream::open_shards), 8, "{timeout} s a run: {done:?}");
        assert_eq!(world.stream(|stream| stream.splits_made), 4, "{timeout}");
        assert_eq!(world.stream(|stream| (stream.calls_made, stream.calls_rejected)), (0, 0));
        assert!(world.offered.rejected.is_empty(), "{timeout}: {:?}", world.offered);
    }
}

#[test]
fn a_complete_split_that_has_no_room_is_not_begun() {
    let mut world = spent(600);
    world.policy.max_shards = 7;
    assert_eq!(world.pass(30), []);
    let decision = world.look();
    assert_eq!((decision.reason, decision.splits.len()), (Reason::PolicyBounds, 0));
}
