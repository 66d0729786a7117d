//! The consumer on the modelled stream and event source mapping, with everything that can go wrong
//! there: over many seeds, every record ends somewhere and nothing overtakes.
//!
//! In some of the worlds the function keeps a journal, and its mapping gives nothing up: there, a
//! record at which the process is lost each time ends in quarantine, and nothing goes round for ever.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::print_stderr,
    reason = "a test fails by panicking"
)]

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::atomic::{AtomicI64, Ordering};

use futures_util::FutureExt;
use jiff::{SignedDuration, Timestamp};
use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64Mcg;
use serde_json::Value;
use tidegate_consumer::{
    Call, Consumer, Deadline, Envelope, Journal, OnPoison, OnRetry, Options, Outcome, PoisonReason,
    Quarantine, QuarantineError, Record, Text,
};
use tidegate_kpl::{Aggregator, Decoded, Limits};
use tidegate_local::fluid::Volume;
use tidegate_local::mapping::{Mapping, Settings};
use tidegate_local::stream::{Put, Stream};

/// How many worlds there are.
const SEEDS: u64 = 10_000;
/// Names the one seed that is to be run, where it is set.
const SEED: &str = "TIDEGATE_SEED";
/// So many of the worlds have a journal.
const JOURNAL_SHARE: f64 = 0.25;
/// Time passes in steps of this.
const STEP: SignedDuration = SignedDuration::from_secs(30);
/// How long an invocation may take, and the longest that a record that is not slow takes.
const TIMEOUT: SignedDuration = SignedDuration::from_secs(10);
const RECORD_MS_MOST: i64 = 1_500;
/// Records are put for so many steps, and read for more.
const STEPS_OF_PUTS: i64 = 8;
const STEPS: i64 = 400;

/// A store that fails now and then, or for a time.
#[derive(Default)]
struct Store {
    kept: RefCell<BTreeMap<String, Envelope>>,
    random: RefCell<Option<Pcg64Mcg>>,
    outage: Cell<bool>,
}

impl Quarantine for &Store {
    async fn put(&self, envelope: &Envelope) -> Result<(), QuarantineError> {
        let fails = self.random.borrow_mut().as_mut().is_some_and(|random| random.random_bool(0.3));
        if fails || self.outage.get() {
            return Err(QuarantineError::new("memory", "outage"));
        }
        self.kept.borrow_mut().insert(envelope.key(), envelope.clone());
        Ok(())
    }
}

/// What was put, under its key, and what became of it.
struct World {
    random: Pcg64Mcg,
    stream: Stream,
    /// The payloads of each key, in the order in which they were put.
    put: BTreeMap<String, Vec<String>>,
    /// The payloads of each key in the order of their first deliveries.
    first: RefCell<BTreeMap<String, Vec<String>>>,
    store: Store,
    given_up: BTreeMap<String, Vec<u8>>,
}

fn one_of<T: Copy>(random: &mut Pcg64Mcg, values: &[T]) -> T {
    values[random.random_range(0..values.len())]
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Pcg64Mcg::seed_from_u64(seed);
        let stream = Stream::new(tidegate_local::stream::Settings {
            name: "orders".into(),
            shards: random.random_range(1..4),
            account_shards: 1_000,
            per_operation: STEP,
            readers: 1,
        });
        let store = Store::default();
        if random.random_bool(0.3) {
            *store.random.borrow_mut() = Some(Pcg64Mcg::seed_from_u64(seed + 1));
        }
        let first = RefCell::default();
        Self { random, stream, put: BTreeMap::new(), first, store, given_up: BTreeMap::new() }
    }

    /// A record of this key: its payload says what the handler does with it.
    fn payload(&mut self, key: &str) -> String {
        let what = match self.random.random_range(0..40) {
            0 => "poison",
            1 => "panic",
            2 => "skip",
            3 | 4 => "retry",
            5 => "crash",
            6 => "slow",
            7 => "kill",
            _ => "deliver",
        };
        let payloads = self.put.entry(key.to_owned()).or_default();
        let payload = format!("{key} {} {what}", payloads.len());
        payloads.push(payload.clone());
        payload
    }

    /// Some records, each alone or with others of its key in an aggregate.
    fn put(&mut self, now: Timestamp) {
        let mut puts = Vec::new();
        for _ in 0..self.random.random_range(1..6) {
            let key = one_of(&mut self.random, &["red", "green", "blue", "white", "black"]);
            let mut payloads = Vec::new();
            for _ in 0..one_of(&mut self.random, &[1, 1, 2, 5]) {
                payloads.push(self.payload(key));
            }
            let data = match &payloads[..] {
                [alone] => alone.clone().into_bytes(),
                many => {
                    let mut aggregator = Aggregator::new(usize::MAX);
                    for payload in many {
                        aggregator.push(key, None, payload.as_bytes()).unwrap();
                    }
                    aggregator.take().unwrap().data
                }
            };
            puts.push(Put { partition_key: key.into(), data });
        }
        let count = puts.len() as u64;
        let offered = self.stream.offer(Volume::default(), puts, 1.0, now);
        assert_eq!(offered.records_accepted, count);
    }
}

/// The payloads in the records of an event, whether they lie in aggregates or not.
fn payloads(event: &Value) -> Vec<String> {
    let mut found = Vec::new();
    for record in event["Records"].as_array().unwrap() {
        let data = record["kinesis"]["data"].as_str().unwrap();
        let data = base64_simd::STANDARD.decode_to_vec(data).unwrap();
        match tidegate_kpl::decode(&data, &Limits::default()).unwrap() {
            Decoded::Aggregate(aggregate) => found.extend(
                aggregate
                    .records()
                    .map(|entry| String::from_utf8(entry.content.unwrap().data.to_vec()).unwrap()),
            ),
            _ => found.push(String::from_utf8(data).unwrap()),
        }
    }
    found
}

/// The answer is empty, or names one record of the batch.
fn check_answer(answer: &[u8], event: &[u8]) {
    let (answer, event): (Value, Value) =
        (serde_json::from_slice(answer).unwrap(), serde_json::from_slice(event).unwrap());
    let failures = answer["batchItemFailures"].as_array().unwrap();
    assert!(failures.len() <= 1, "{answer}");
    for failure in failures {
        let records = event["Records"].as_array().unwrap();
        let number = &failure["itemIdentifier"];
        assert!(records.iter().any(|record| record["kinesis"]["sequenceNumber"] == *number));
    }
}

fn options(random: &mut Pcg64Mcg) -> Options {
    let mut options = Options::default();
    options.on_retry = one_of(random, &[OnRetry::StopShard, OnRetry::FenceKey]);
    options.on_poison = one_of(random, &[OnPoison::Skip, OnPoison::ParkKey, OnPoison::StopShard]);
    options.lanes = NonZeroUsize::new(one_of(random, &[1, 1, 2, 8])).unwrap();
    options
}

/// Steps in which something does not work; none in most worlds.
fn outage(random: &mut Pcg64Mcg) -> Range<i64> {
    if random.random_bool(0.8) {
        return 0..0;
    }
    let from = random.random_range(0..STEPS_OF_PUTS);
    from..from + random.random_range(1..12)
}

fn mapping(random: &mut Pcg64Mcg, gives_up: bool) -> Mapping {
    let minutes = SignedDuration::from_mins;
    let mut settings = Settings {
        batch_size: random.random_range(1..20),
        lanes: one_of(random, &[1, 1, 2, 10]),
        retries: one_of(random, &[Some(2), Some(8)]),
        record_age: one_of(random, &[None, None, Some(minutes(2)), Some(minutes(30))]),
        bisect: random.random_bool(0.7),
        ..Settings::default()
    };
    if !gives_up {
        (settings.retries, settings.record_age) = (None, None);
    }
    Mapping::new(settings, 0)
}

/// Execution environments with their scratch space, which outlives the processes in them.
struct Environments(Vec<tempfile::TempDir>);

impl Environments {
    fn new(count: usize) -> Self {
        Self((0..count).map(|_| tempfile::tempdir().unwrap()).collect())
    }

    /// The scratch space of one of them, where there are any.
    fn any(&self, random: &mut Pcg64Mcg) -> Option<&Path> {
        (!self.0.is_empty()).then(|| self.0[random.random_range(0..self.0.len())].path())
    }
}

/// The notes in a journal's folder, to be put back.
struct Notes(Vec<(PathBuf, Vec<u8>)>);

impl Notes {
    fn of(folder: &Path) -> Self {
        let paths = fs::read_dir(folder).unwrap().map(|note| note.unwrap().path());
        Self(paths.map(|path| (path.clone(), fs::read(path).unwrap())).collect())
    }

    fn put_back(self) {
        self.0.into_iter().for_each(|(path, bytes)| fs::write(path, bytes).unwrap());
    }
}

/// A world in which everything is put, read and settled, or the seed says what is not.
fn run(seed: u64) {
    let mut world = World::new(seed);
    let options = options(&mut world.random);
    let on_poison = options.on_poison;
    // What is never quarantined needs a mapping that gives it up.
    let journal = on_poison != OnPoison::StopShard && world.random.random_bool(JOURNAL_SHARE);
    let count = if journal { world.random.random_range(1..3) } else { 0 };
    let environments = Environments::new(count);
    let mut mapping = mapping(&mut world.random, !journal);
    let (no_sink, no_store) = (outage(&mut world.random), outage(&mut world.random));
    let random = RefCell::new(Pcg64Mcg::seed_from_u64(seed + 2));
    for step in 0..STEPS {
        let now = Timestamp::UNIX_EPOCH + STEP * (step as i32);
        world.stream.advance(now);
        world.store.outage.set(no_store.contains(&step));
        if step < STEPS_OF_PUTS {
            if step % 3 == 2 {
                let _ = world.stream.update_shard_count(world.random.random_range(1..6), now);
            }
            world.put(now);
        } else if world.stream.unread(0) + mapping.in_hand() == 0 {
            break;
        }
        let World { stream, first, store, given_up, .. } = &mut world;
        let (first, store) = (&*first, &*store);
        // Milliseconds since the beginning of the step.
        let time = AtomicI64::new(0);
        let chance = |share| random.borrow_mut().random_bool(share);
        let handler = async |text: &str, record: &Record<'_>| -> Outcome {
            let what = text.rsplit(' ').next().unwrap();
            let most = if what == "slow" { 12 * RECORD_MS_MOST } else { RECORD_MS_MOST };
            let takes = random.borrow_mut().random_range(0..most);
            let spent = time.fetch_add(takes, Ordering::Relaxed) + takes;
            // The process is lost with the record in hand: at the timeout, now and then, and each
            // time with a record that crashes it, computes for ever or wants all memory.
            if spent > TIMEOUT.as_millis() as i64 || what == "kill" || chance(0.003) {
                return std::future::pending().await;
            }
            let outcome = match what {
                _ if no_sink.contains(&step) => Outcome::Retry("the sink is down".into()),
                "poison" => Outcome::Poison(PoisonReason::Handler, "refused".into()),
                "panic" => panic!("told to"),
                "skip" => Outcome::Skip,
                "retry" if chance(0.7) => Outcome::Retry("busy".into()),
                _ => Outcome::Done,
            };
            if matches!(outcome, Outcome::Done | Outcome::Skip) {
                let key = record.partition_key().unwrap().to_owned();
                let mut first = first.borrow_mut();
                let seen = first.entry(key).or_default();
                if !seen.iter().any(|payload| payload == text) {
                    seen.push(text.to_owned());
                }
            }
            outcome
        };
        let mut invoke = |event: &[u8]| {
            // The function dies now and then, and mostly where a record makes it; before the batch
            // is touched, or when all of it is done.
            let crashes = payloads(&serde_json::from_slice(event).unwrap())
                .iter()
                .any(|payload| payload.ends_with("crash"));
            let dies = chance(if crashes { 0.6 } else { 0.03 });
            if dies && chance(0.5) {
                return Err("crashed".to_owned());
            }
            time.store(0, Ordering::Relaxed);
            let clock = || now + SignedDuration::from_millis(time.load(Ordering::Relaxed));
            let call = Call {
                function_arn: "arn:aws:lambda:eu-central-1:123456789012:function:orders",
                request_id: "r-1",
                now,
                deadline: Some(Deadline { at: now + TIMEOUT, clock: &clock }),
            };
            // A process of its own, which knows of those before it what the journal says.
            let mut consumer = Consumer::new(Text, &handler, store).with(options.clone());
            let scratch = environments.any(&mut random.borrow_mut());
            if let Some(folder) = scratch {
                consumer = consumer.journal(Journal::open(folder).unwrap());
            }
            let (processed, notes) = {
                let mut processing = pin!(consumer.process(event, &call));
                let processed = processing.as_mut().now_or_never();
                // Dropped, it takes its notes back; a process that is lost does not.
                let lost = scratch.filter(|_| processed.is_none());
                (processed, lost.map(Notes::of))
            };
            let Some(processed) = processed else {
                notes.into_iter().for_each(Notes::put_back);
                return Err("the process is lost".to_owned());
            };
            let processed = processed.unwrap();
            let report = &processed.report;
            let ended = report.delivered + report.skipped + report.quarantined;
            assert_eq!(report.received, ended + report.retried + report.not_attempted);
            let answer = processed.response.to_json();
            check_answer(&answer, event);
            if dies { Err("crashed".to_owned()) } else { Ok(answer) }
        };
        mapping.step(stream, now, &mut invoke, given_up).unwrap();
    }
    check(seed, &world, &mapping, on_poison);
    if journal {
        check_quarantined(seed, &world);
    }
}

/// With a journal nothing is given up, and what the process is always lost with is in quarantine: it
/// was in hand, or it waited behind a poison record of its key.
fn check_quarantined(seed: u64, world: &World) {
    const REASONS: [&str; 2] = ["crash_suspect", "blocked_by"];
    assert!(world.given_up.is_empty(), "seed {seed}: {:?}", world.given_up.keys());
    let kept = world.store.kept.borrow();
    for payload in world.put.values().flatten().filter(|payload| payload.ends_with("kill")) {
        let reasons =
            kept.values().filter(|kept| kept.payload_bytes().unwrap() == payload.as_bytes());
        let known = reasons.map(|kept| &*kept.reason).find(|reason| REASONS.contains(reason));
        assert!(known.is_some(), "seed {seed}: {payload} is not in quarantine");
    }
}

fn check(seed: u64, world: &World, mapping: &Mapping, on_poison: OnPoison) {
    assert_eq!(world.stream.unread(0) + mapping.in_hand(), 0, "seed {seed}: it never ends");
    let kept = |reason: Option<&str>| -> BTreeSet<_> {
        let kept = world.store.kept.borrow();
        let those = kept.values().filter(|kept| reason.is_none_or(|reason| kept.reason == reason));
        those.map(|kept| String::from_utf8(kept.payload_bytes().unwrap()).unwrap()).collect()
    };
    let (kept, suspects) = (kept(None), kept(Some("crash_suspect")));
    let given_up: BTreeSet<_> = world
        .given_up
        .values()
        .flat_map(|body| payloads(&serde_json::from_slice::<Value>(body).unwrap()["payload"]))
        .collect();
    let first = world.first.borrow();
    for (key, put) in &world.put {
        let delivered = first.get(key).map_or(&[][..], Vec::as_slice);
        for payload in put {
            let ended =
                delivered.contains(payload) || kept.contains(payload) || given_up.contains(payload);
            assert!(ended, "seed {seed}: {payload} is lost");
        }
        // In the order in which they were put; one that is in quarantine for a crash stands in no
        // order any more, should its batch come again and it work this time.
        let in_order = delivered.iter().filter(|payload| !suspects.contains(*payload));
        let places: Vec<_> = in_order.map(|p| put.iter().position(|x| x == p)).collect();
        assert!(places.is_sorted(), "seed {seed}: {delivered:?}");
        if on_poison == OnPoison::StopShard {
            assert!(kept.is_empty(), "seed {seed}: {kept:?}");
        }
    }
}

#[test]
fn every_record_ends_somewhere_and_none_overtakes() {
    // Panics of handlers are part of it, and say nothing.
    std::panic::set_hook(Box::new(|panic| {
        if panic.payload_as_str() != Some("told to") {
            eprintln!("{panic}");
        }
    }));
    if let Ok(seed) = std::env::var(SEED) {
        return run(seed.parse().expect("TIDEGATE_SEED is the number of a world"));
    }
    let threads = std::thread::available_parallelism().map_or(2, usize::from) as u64;
    std::thread::scope(|scope| {
        let worlds = |first| (first..SEEDS).step_by(threads as usize).for_each(replayable);
        let all: Vec<_> = (0..threads).map(|first| scope.spawn(move || worlds(first))).collect();
        for thread in all {
            thread.join().expect("the seed that it printed fails");
        }
    });
}

/// Runs a world, and says how to run it again if it fails: its seed alone makes it.
fn replayable(seed: u64) {
    if let Err(panic) = std::panic::catch_unwind(|| run(seed)) {
        eprintln!("replay: {SEED}={seed} cargo test -p tidegate-local --test consumer");
        std::panic::resume_unwind(panic);
    }
}
