//! A story: three hours of a stream in a bad world, and an hour of quiet in which what is needed
//! must be done.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use jiff::{SignedDuration, Timestamp};
use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64Mcg;
use tidegate_autoscaler::decision::{Applied, Decision};
use tidegate_autoscaler::history::{CALLS_TAG, Calls};
use tidegate_autoscaler::ledger::REMEMBERED;
use tidegate_autoscaler::port::{ServiceErrorKind, Stored};
use tidegate_autoscaler::run::{self, Ports};
use tidegate_autoscaler::tags::Wishes;
use tidegate_autoscaler::{Mode, Policy, Reason};
use tidegate_local::cloud::{Cloud, Service};
use tidegate_local::fluid::Volume;
use tidegate_local::ledger::Ledger;
use tidegate_local::metrics::{
    Delay, INCOMING_BYTES, INCOMING_RECORDS, ITERATOR_AGE, Metrics, WRITE_THROTTLED,
};
use tidegate_local::stream::{Settings, Stream};

use crate::line::{Line, Wire};

const BAD_MINUTES: i64 = 180;
const QUIET_MINUTES: i64 = 60;
const ACCOUNT_SHARDS: u32 = 200;

/// What happened in stories.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    /// Invocations that ended by themselves.
    pub looks: u64,
    /// Calls that Kinesis accepted from us.
    pub accepted: u64,
    /// Calls that it accepted from others.
    pub by_others: u64,
    /// Calls of all kinds that failed.
    pub failed: u64,
    /// Invocations that were cut off.
    pub died: u64,
    /// Invocations that found another at work.
    pub contended: u64,
    /// Stories whose demand was above the shards when the quiet began, and was met.
    pub saved: u64,
}

impl Counts {
    pub const fn plus(self, other: Self) -> Self {
        Self {
            looks: self.looks + other.looks,
            accepted: self.accepted + other.accepted,
            by_others: self.by_others + other.by_others,
            failed: self.failed + other.failed,
            died: self.died + other.died,
            contended: self.contended + other.contended,
            saved: self.saved + other.saved,
        }
    }
}

/// A story by its seed.
pub struct Story {
    random: Pcg64Mcg,
    cloud: Mutex<Cloud>,
    ledger: Ledger,
    /// How bad the world is.
    world: World,
    loud: bool,
    counts: Counts,
    /// When calls were accepted, ours and those of others.
    accepted: Vec<Timestamp>,
}

#[derive(Debug)]
struct World {
    has_ledger: bool,
    failing: f64,
    dying: f64,
    others: bool,
    losing: bool,
    wrong_clocks: bool,
}

fn at(minute: i64) -> Timestamp {
    Timestamp::from_second(1_788_220_800 + minute * 60).unwrap()
}

impl Story {
    pub fn new(seed: u64, loud: bool) -> Self {
        let mut random = Pcg64Mcg::seed_from_u64(seed);
        let world = World {
            has_ledger: random.random_bool(0.8),
            failing: if random.random_bool(0.5) { random.random_range(0.0..0.2) } else { 0.0 },
            dying: random.random_range(0.0..0.15),
            others: random.random_bool(0.3),
            losing: random.random_bool(0.1),
            wrong_clocks: random.random_bool(0.3),
        };
        let stream = Stream::new(Settings {
            name: "orders".into(),
            shards: random.random_range(1..12),
            account_shards: ACCOUNT_SHARDS,
            per_operation: SignedDuration::from_secs(5),
            readers: 0,
        });
        let late = random.random_range(110..500);
        let delay = Delay {
            most: SignedDuration::from_secs(late),
            gaps: random.random_range(0.0..0.3),
            ..Delay::default()
        };
        let metrics = Metrics::new(delay, REMEMBERED, Pcg64Mcg::seed_from_u64(seed + 1));
        let cloud = Mutex::new(Cloud { stream, metrics, now: at(-24 * 60) });
        let (counts, accepted) = (Counts::default(), Vec::new());
        let ledger = Ledger::default();
        let mut story = Self { random, cloud, ledger, world, loud, counts, accepted };
        story.earlier_calls();
        story
    }

    /// Calls of the day before, as a tag tells of them.
    fn earlier_calls(&mut self) {
        let calls = self.random.random_range(0..10);
        let cloud = self.cloud.get_mut().unwrap();
        let mut tag = Calls::default();
        for number in 0..calls {
            cloud.now = at(-24 * 60 + 1 + number * 120);
            let now = cloud.now;
            cloud.stream.advance(now);
            let open = cloud.stream.open_shards();
            let to = if open > 6 { open - 1 } else { open + 1 };
            cloud.stream.update_shard_count(to, now).unwrap();
            tag = tag.with(now);
            self.accepted.push(now);
        }
        cloud.stream.tags.insert(CALLS_TAG.to_owned(), tag.to_tag());
    }

    pub fn tell(mut self) -> Result<Counts, String> {
        let mut load = self.random.random_range(0.5..8.0);
        for minute in 0..BAD_MINUTES {
            load = (load * self.random.random_range(0.9..1.112_f64)).clamp(0.1, 40.0);
            if self.random.random_ratio(1, 60) {
                load = self.random.random_range(0.1..40.0);
            }
            self.offer(minute, load);
            self.mischief(minute);
            let at_once =
                u32::from(minute % 5 == 0) + u32::from(self.random.random_ratio(1, 8)) * 2;
            self.look(at_once, true)?;
        }
        self.quiet()
    }

    /// Nothing fails any more, and demand is above the shards: it must be met, or the ten calls of
    /// the day be spent.
    fn quiet(mut self) -> Result<Counts, String> {
        let open = self.cloud.get_mut().unwrap().stream.open_shards();
        let load = (f64::from(open) * 1.7).clamp(2.0, 45.0);
        let mut last = None;
        for minute in BAD_MINUTES..BAD_MINUTES + QUIET_MINUTES {
            self.offer(minute, load);
            let at_once = u32::from(minute % 5 == 0);
            last = self.look(at_once, false)?.or(last);
        }
        let last = last.ok_or("no look in the hour of quiet")?;
        let open = self.cloud.get_mut().unwrap().stream.open_shards();
        if f64::from(open) >= load {
            self.counts.saved += 1;
            return Ok(self.counts);
        }
        let excused = match last.reason {
            Reason::CallsSpent | Reason::LedgerUnreadable => true,
            // A clock was wrong when a call was written down.
            Reason::ClockBehindCalls => self.world.wrong_clocks,
            _ => false,
        };
        if excused {
            return Ok(self.counts);
        }
        Err(format!("a demand of {load:.1} shards is not met by {open}: {}", last.message))
    }

    /// A minute of load, in shards.
    fn offer(&mut self, minute: i64, shards: f64) {
        let cloud = self.cloud.get_mut().unwrap();
        cloud.now = cloud.now.max(at(minute));
        let now = cloud.now;
        cloud.stream.advance(now);
        let volume = Volume { bytes: shards * 6e6, records: shards * 60_000.0 };
        let offered = cloud.stream.offer(volume, Vec::new(), 60.0, now);
        cloud.metrics.put(INCOMING_BYTES, now, offered.accepted.bytes);
        cloud.metrics.put(INCOMING_RECORDS, now, offered.accepted.records);
        cloud.metrics.put(WRITE_THROTTLED, now, offered.rejected.records);
        cloud.metrics.put(ITERATOR_AGE, now, 0.0);
    }

    /// What others do to the stream and to the ledger.
    fn mischief(&mut self, minute: i64) {
        let cloud = self.cloud.get_mut().unwrap();
        if self.world.others && self.random.random_ratio(1, 60) {
            let open = cloud.stream.open_shards();
            let to = self.random.random_range(open.div_ceil(2)..=open * 2);
            let now = cloud.now;
            if cloud.stream.update_shard_count(to, now).is_ok() {
                self.counts.by_others += 1;
                self.accepted.push(now);
            }
        }
        if self.world.losing && self.random.random_ratio(1, 90) {
            let text = "mislaid".to_owned();
            let garbage = self.random.random_bool(0.5).then_some(Stored { revision: 7, text });
            self.ledger.set("orders", garbage);
            if self.loud {
                eprintln!("minute {minute}: the ledger's item is lost");
            }
        }
    }

    /// As many invocations at once, each step of which comes when the scheduler says so.
    fn look(&mut self, at_once: u32, bad: bool) -> Result<Option<Decision>, String> {
        if at_once == 0 {
            return Ok(None);
        }
        let wire = Wire {
            service: Service::new(&self.cloud),
            ledger: &self.ledger,
            random: Mutex::new(Pcg64Mcg::seed_from_u64(self.random.random())),
            failing: Mutex::new(if bad { self.world.failing } else { 0.0 }),
            updates: Mutex::default(),
            failed: Mutex::default(),
        };
        let lines: Vec<_> = (0..at_once)
            .map(|invocation| {
                let wrong = bad && self.world.wrong_clocks && self.random.random_ratio(1, 10);
                let skew = if wrong { self.random.random_range(-3_600..3) } else { 0 };
                Line { wire: &wire, invocation, skew: SignedDuration::from_secs(skew) }
            })
            .collect();
        let wishes = Wishes { policy: Policy::default(), mode: Mode::Active };
        let mut runs: BTreeMap<u32, Pin<Box<dyn Future<Output = Decision>>>> = BTreeMap::new();
        for line in &lines {
            let ledger = self.world.has_ledger.then_some(line);
            let ports = Ports { service: line, ledger, clock: line, deadline: Timestamp::MAX };
            let run = run::run(ports, "orders", &wishes, true);
            runs.insert(line.invocation, Box::pin(run));
        }
        let waker = Waker::from(Arc::new(Nobody));
        let mut last = None;
        while !runs.is_empty() {
            let chosen = self.random.random_range(0..runs.len());
            let invocation = *runs.keys().nth(chosen).unwrap();
            if bad && self.random.random_bool(self.world.dying / 8.0) {
                runs.remove(&invocation);
                self.counts.died += 1;
                continue;
            }
            // Two invocations seldom walk in step: one may stall between any two calls.
            let stall = if bad && self.random.random_ratio(1, 25) { 60 } else { 1 };
            pass(&self.cloud, self.random.random_range(0..=stall));
            let run = runs.get_mut(&invocation).unwrap();
            if let Poll::Ready(decision) = run.as_mut().poll(&mut Context::from_waker(&waker)) {
                runs.remove(&invocation);
                self.counts.looks += 1;
                self.counts.contended += u64::from(decision.reason == Reason::ActedMeanwhile);
                if self.loud {
                    let now = self.cloud.lock().unwrap().now;
                    eprintln!("{now} {invocation}: {} {:?}", decision.message, decision.applied);
                }
                if decision.applied == Applied::Planned {
                    return Err("a plan was neither carried out nor refused".to_owned());
                }
                last = Some(decision);
            }
        }
        drop(runs);
        self.counts.failed += *wire.failed.lock().unwrap();
        let updates = wire.updates.into_inner().unwrap();
        self.judge(&updates)?;
        Ok(last)
    }

    /// The rules that every call must keep.
    fn judge(
        &mut self,
        updates: &[(u32, Result<(), tidegate_autoscaler::port::ServiceError>)],
    ) -> Result<(), String> {
        let now = self.cloud.lock().unwrap().now;
        let mut accepted = 0;
        for (_, update) in updates {
            match update {
                Ok(()) => {
                    accepted += 1;
                    self.counts.accepted += 1;
                    self.accepted.push(now);
                }
                // Others may have called, or a tag that could not be written is all that is left.
                Err(error) if error.kind == ServiceErrorKind::LimitExceeded => {
                    if !self.world.others && !self.world.losing {
                        return Err(format!("a call too many: {error}"));
                    }
                }
                Err(error) if error.kind == ServiceErrorKind::InUse => {
                    if self.world.has_ledger && !self.world.others && !self.lost_lock() {
                        return Err(format!("two acted at once: {error}"));
                    }
                }
                Err(error) => {
                    if !self.world.others {
                        return Err(format!("an illegal call: {error}"));
                    }
                }
            }
        }
        if accepted > 1 && self.world.has_ledger && !self.lost_lock() {
            return Err(format!("{accepted} of the invocations at once acted"));
        }
        let day = SignedDuration::from_hours(24);
        let today = self.accepted.iter().filter(|call| now.duration_since(**call) < day).count();
        if today > 10 { Err(format!("{today} calls in 24 hours")) } else { Ok(()) }
    }

    /// Where an emergency went on without the ledger, the tag is all that kept two runs apart.
    const fn lost_lock(&self) -> bool {
        self.world.failing > 0.0 || self.world.losing || self.world.wrong_clocks
    }
}

fn pass(cloud: &Mutex<Cloud>, seconds: i64) {
    let mut cloud = cloud.lock().unwrap();
    cloud.now += SignedDuration::from_secs(seconds);
    let now = cloud.now;
    cloud.stream.advance(now);
}

/// Nobody waits for anything: the scheduler asks.
struct Nobody;

impl Wake for Nobody {
    fn wake(self: Arc<Self>) {}
}
