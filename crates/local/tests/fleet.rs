//! A run over every stream that opted in: how many requests of which kind, in which order, and what
//! is left when its time is over.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::Mutex;
use std::time::Instant;

use jiff::{SignedDuration, Timestamp};
use tidegate_autoscaler::decision::Decision;
use tidegate_autoscaler::fleet::{self, BATCH, Fleet, Summary};
use tidegate_autoscaler::ledger::Entry;
use tidegate_autoscaler::observation::{
    self, Account, Capacity, Description, Metrics, Minute, Point, Status,
};
use tidegate_autoscaler::port::{
    Clock, Found, OPT_IN_TAG, ServiceError, ServiceErrorKind, Stored, StreamService, Tally,
};
use tidegate_autoscaler::run::Ports;
use tidegate_autoscaler::shards::{Sample, Shard, ShardService};
use tidegate_autoscaler::tags::{PAUSED_TAG, Wishes};
use tidegate_autoscaler::{Mode, Policy};
use tidegate_local::ledger::Ledger;
use tidegate_local::stream::{Settings, Stream};

/// Points of a page of GetMetricData, and queries of a request (its API reference, 2026-11).
const PAGE_POINTS: usize = 100_800;
const QUERIES: usize = 500;

/// An account with many streams, whose load is a function of the time.
struct Many {
    streams: Mutex<BTreeMap<String, Stream>>,
    now: Mutex<Timestamp>,
    tally: Tally,
    blind: bool,
}

fn start() -> Timestamp {
    Timestamp::from_second(1_788_220_800).unwrap()
}

impl Many {
    fn new(count: u32) -> Self {
        let stream = |number: u32| {
            let name = format!("stream-{number:04}");
            let mut stream = Stream::new(Settings {
                name: name.clone(),
                shards: 1 + number % 7,
                account_shards: 20_000,
                per_operation: SignedDuration::from_secs(30),
                readers: 0,
            });
            stream.tags.insert(OPT_IN_TAG.to_owned(), "yes".to_owned());
            (name, stream)
        };
        let streams = (0..count).map(stream).collect();
        Self {
            streams: Mutex::new(streams),
            now: Mutex::new(start()),
            tally: Tally::default(),
            blind: false,
        }
    }

    /// One request, which takes its time: about what keeps the account within its quotas.
    fn request(&self, operation: &'static str) {
        self.tally.add(operation);
        let takes = match operation {
            "DescribeStreamSummary" => 67,
            "DescribeLimits" => 1_300,
            "ListStreams" | "AddTagsToStream" | "ListTagsForStream" => 270,
            "GetMetricData" => 500,
            _ => 20,
        };
        *self.now.lock().unwrap() += SignedDuration::from_millis(takes);
    }

    fn of<T>(
        &self,
        operation: &'static str,
        stream: &str,
        answer: impl FnOnce(&mut Stream, Timestamp) -> T,
    ) -> Result<T, ServiceError> {
        self.request(operation);
        let now = self.now();
        let mut streams = self.streams.lock().unwrap();
        let found = streams.get_mut(stream).ok_or_else(|| ServiceError {
            operation,
            kind: ServiceErrorKind::NotFound,
            message: format!("there is no stream {stream}"),
        })?;
        found.advance(now);
        Ok(answer(found, now))
    }

    /// A day that is the same for all, at a level of its own: between a tenth and two of a shard's
    /// limit.
    #[expect(clippy::cast_precision_loss, reason = "a load")]
    fn points(stream: &str, from: Timestamp, to: Timestamp, full: f64) -> Vec<Point> {
        let number: i64 = stream[7..].parse().unwrap();
        let level = (1 + number % 20) as f64 / 10.0;
        let first = from.as_second() / 60;
        let minute = |minute: i64| {
            let hour = (minute % 1_440) as f64 / 1_440.0 * std::f64::consts::TAU;
            let at = Timestamp::from_second(minute * 60).unwrap();
            (at, full * level * (1.5 - hour.cos()) / 2.5)
        };
        (first..to.as_second() / 60 - 1).map(minute).collect()
    }
}

impl StreamService for Many {
    async fn describe(&self, stream: &str) -> Result<Description, ServiceError> {
        self.of("DescribeStreamSummary", stream, |stream, _| Description {
            status: if stream.is_updating() { Status::Updating } else { Status::Active },
            capacity: Capacity::Provisioned,
            open_shards: stream.open_shards(),
        })
    }

    async fn tags(&self, stream: &str) -> Result<BTreeMap<String, String>, ServiceError> {
        self.of("ListTagsForStream", stream, |stream, _| stream.tags.clone())
    }

    async fn metrics(
        &self,
        streams: &[String],
        from: Timestamp,
        to: Timestamp,
    ) -> Result<BTreeMap<String, Metrics>, ServiceError> {
        let minutes = usize::try_from(to.duration_since(from).as_mins()).unwrap();
        for streams in streams.chunks(QUERIES / 4) {
            let pages = (streams.len() * 4 * minutes).div_ceil(PAGE_POINTS);
            (0..pages).for_each(|_| self.request("GetMetricData"));
        }
        let of = |stream: &String| {
            let read = |full| Self::points(stream, from, to, full);
            let metrics = Metrics {
                incoming_bytes: read(6e7),
                incoming_records: read(3e4),
                iterator_age_ms: read(0.0),
                ..Metrics::default()
            };
            (stream.clone(), metrics)
        };
        Ok(streams.iter().map(of).collect())
    }

    async fn account(&self) -> Result<Account, ServiceError> {
        self.request("DescribeLimits");
        let open = self.streams.lock().unwrap().values().map(Stream::open_shards).sum();
        Ok(Account { shard_limit: 20_000, open_shards: open })
    }

    async fn set_tag(&self, stream: &str, key: &str, value: &str) -> Result<(), ServiceError> {
        self.of("AddTagsToStream", stream, |stream, _| {
            stream.tags.insert(key.to_owned(), value.to_owned());
        })
    }

    async fn update_shard_count(&self, stream: &str, target: u32) -> Result<(), ServiceError> {
        let done = self
            .of("UpdateShardCount", stream, |stream, now| stream.update_shard_count(target, now))?;
        done.map_err(|refused| ServiceError {
            operation: "UpdateShardCount",
            kind: ServiceErrorKind::Invalid,
            message: refused.to_string(),
        })
    }

    async fn opted_in(&self) -> Result<Vec<Found>, ServiceError> {
        let streams = self.streams.lock().unwrap();
        for _ in 0..streams.len().div_ceil(100) {
            self.request("GetResources");
            self.request("ListStreams");
        }
        if self.blind {
            return Err(ServiceError {
                operation: "GetResources",
                kind: ServiceErrorKind::Denied,
                message: "AccessDeniedException".to_owned(),
            });
        }
        let found = streams.iter().rev().map(|(name, stream)| Found {
            name: name.clone(),
            tags: stream.tags.clone(),
            status: Status::Active,
            capacity: Capacity::Provisioned,
        });
        Ok(found.collect())
    }

    fn tally(&self) -> &Tally {
        &self.tally
    }
}

/// No shard is hot here: nothing but the list of shards is ever asked for.
impl ShardService for Many {
    async fn shards(&self, stream: &str) -> Result<Vec<Shard>, ServiceError> {
        self.of("ListShards", stream, |stream, _| {
            let open = stream.shards().filter(|shard| shard.open);
            let shards = open.map(|shard| Shard {
                id: shard.id(),
                first: shard.range.start,
                last: shard.range.end,
                parent: None,
            });
            shards.collect()
        })
    }

    async fn has_shard_metrics(&self, _: &str) -> Result<bool, ServiceError> {
        Err(unexpected("DescribeStreamSummary"))
    }

    async fn shard_metrics(
        &self,
        _: &str,
        _: &[String],
        _: Timestamp,
        _: Timestamp,
    ) -> Result<BTreeMap<String, Metrics>, ServiceError> {
        Err(unexpected("GetMetricData"))
    }

    async fn enable_shard_metrics(&self, _: &str) -> Result<(), ServiceError> {
        Err(unexpected("EnableEnhancedMonitoring"))
    }

    async fn disable_shard_metrics(&self, _: &str) -> Result<(), ServiceError> {
        Err(unexpected("DisableEnhancedMonitoring"))
    }

    async fn sample(&self, _: &str, _: &str) -> Result<Vec<Sample>, ServiceError> {
        Err(unexpected("GetRecords"))
    }

    async fn split_shard(&self, _: &str, _: &str, _: u128) -> Result<(), ServiceError> {
        Err(unexpected("SplitShard"))
    }

    async fn consumers(&self, _: &str) -> Result<Vec<String>, ServiceError> {
        self.request("ListStreamConsumers");
        Ok(Vec::new())
    }

    async fn consumer_age(
        &self,
        _: &str,
        _: &[String],
        _: Timestamp,
        _: Timestamp,
    ) -> Result<BTreeMap<String, Vec<Point>>, ServiceError> {
        Err(unexpected("GetMetricData"))
    }
}

fn unexpected(operation: &'static str) -> ServiceError {
    let message = "nobody should ask".to_owned();
    ServiceError { operation, kind: ServiceErrorKind::Unavailable, message }
}

impl Clock for Many {
    fn now(&self) -> Timestamp {
        *self.now.lock().unwrap()
    }

    async fn sleep(&self, time: SignedDuration) {
        *self.now.lock().unwrap() += time;
    }
}

struct Setup {
    many: Many,
    ledger: Option<Ledger>,
    configured: Vec<String>,
}

impl Setup {
    fn new(count: u32) -> Self {
        Self { many: Many::new(count), ledger: Some(Ledger::default()), configured: Vec::new() }
    }

    /// Takes it that every stream's 15 days were read.
    fn remember(&self) {
        let now = self.many.now();
        let ledger = self.ledger.as_ref().unwrap();
        for name in self.many.streams.lock().unwrap().keys() {
            let stored = ledger.item(name);
            let text = stored.as_ref().map(|stored| stored.text.as_str());
            let mut entry =
                text.map_or_else(Entry::default, |text| Entry::from_text(text).unwrap());
            let points = Self::day_and_a_half(name, now);
            entry.learn(&points, now);
            entry.seeded = true;
            entry.complete_until = now - SignedDuration::from_mins(30);
            let revision = stored.map_or(1, |stored| stored.revision + 1);
            ledger.set(name, Some(Stored { revision, text: entry.to_text() }));
        }
    }

    /// What the metrics showed of a day and a half.
    fn day_and_a_half(name: &str, now: Timestamp) -> BTreeMap<Timestamp, Minute> {
        let from = now - SignedDuration::from_hours(36);
        let metrics =
            Metrics { incoming_bytes: Many::points(name, from, now, 6e7), ..Metrics::default() };
        observation::assemble(&metrics, now).0
    }

    /// A run of so many seconds, and the heartbeat's pause after it.
    fn run(&self, seconds: i64) -> (Summary, Vec<Decision>) {
        let wishes = Wishes { policy: Policy::default(), mode: Mode::Active };
        let fleet = Fleet { wishes: &wishes, configured: &self.configured, discover: true };
        let (service, began) = (&self.many, self.many.now());
        let deadline = began + SignedDuration::from_secs(seconds);
        let ports = Ports { service, ledger: self.ledger.as_ref(), clock: service, deadline };
        let mut decisions = Vec::new();
        let mut tell = |decision| decisions.push(decision);
        let summary = pollster::block_on(fleet::run(ports, fleet, &mut tell));
        *self.many.now.lock().unwrap() = began + SignedDuration::from_mins(5);
        (summary, decisions)
    }
}

fn names(decisions: &[Decision]) -> Vec<&str> {
    decisions.iter().map(|decision| decision.stream.as_str()).collect()
}

/// Figures of this process from Linux: seconds of processor time, and the most memory in MiB.
fn process() -> Option<(f64, u64)> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let fields: Vec<_> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: f64 = fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?;
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let peak: u64 = peak.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some((ticks / 100.0, peak / 1_024))
}

#[test]
fn a_thousand_streams_stay_within_the_quotas() {
    let setup = Setup::new(1_000);
    let before = process();
    let began = Instant::now();
    // The first look changes half of the streams, one a second, and reads the 15 days of 40: its
    // time is over before that, and the next run goes on.
    let (first, _) = setup.run(300);
    eprintln!("first: {first:?}");
    assert_eq!(first.decided + first.left, 1_000);
    assert!(first.resized > 300 && first.left > 0, "{first:?}");
    assert!(first.took_ms < 300_000, "{first:?}");
    assert!(first.requests["GetMetricData"] <= 8 * 8 + 40, "{first:?}");
    // As it is when every stream has had its first look.
    setup.remember();
    let later: Vec<_> = (0..8).map(|_| setup.run(300).0).collect();
    let steady = later.last().unwrap();
    eprintln!("steady: {steady:?}");
    if let (Some((cpu, _)), Some((after, peak))) = (before, process()) {
        let (cpu, took) = (after - cpu, began.elapsed().as_secs_f64());
        eprintln!("9 runs: {cpu:.1} s of processor time in {took:.1} s, {peak} MiB at the peak");
    }
    assert_eq!((steady.streams, steady.decided, steady.left), (1_000, 1_000, 0));
    let sent = |run: &Summary| run.requests.get("UpdateShardCount").copied().unwrap_or(0);
    let changed = sent(steady);
    let moved = sent(&later[later.len() - 2]);
    let most: BTreeMap<_, _> = [
        ("GetResources", 10),
        ("ListStreams", 10),
        ("BatchGetItem", 2 * 8 + 1),
        // Those that are about to change, and those that did since the run before.
        ("DescribeStreamSummary", changed + moved),
        ("GetMetricData", 8),
        ("ListShards", 1_000),
        // Asked for only where fewer would do; the quota is each stream's own.
        ("ListStreamConsumers", 1_000),
        ("DescribeLimits", 1),
        ("PutItem", 1_000),
        ("AddTagsToStream", changed),
        ("UpdateShardCount", changed),
    ]
    .into();
    for (operation, count) in &steady.requests {
        let most = most.get(operation).copied().unwrap_or(0);
        assert!(*count <= most, "{operation}: {count}, and {most} are allowed");
    }
    // A stream writes once in 20 minutes, at a minute of its own, and before each call.
    let sent = |operation| later[4..].iter().filter_map(move |run| run.requests.get(operation));
    let writes = sent("PutItem").sum::<u64>() - sent("UpdateShardCount").sum::<u64>();
    assert!((1_000..1_400).contains(&writes), "{writes} writes in 20 minutes");
    // Nothing was refused, so that every decision was carried out.
    for run in &later {
        assert!(!run.held.contains_key("service_refused"), "{run:?}");
    }
}

#[test]
fn what_is_left_comes_first_in_the_next_run() {
    let setup = Setup::new(3 * 125);
    let mut left: BTreeSet<String> = BTreeSet::new();
    let mut runs_with_rest = 0;
    for seconds in [30, 40, 35, 300, 40, 300] {
        let (summary, decisions) = setup.run(seconds);
        assert!(summary.decided >= BATCH, "{summary:?}");
        let first = names(&decisions[..left.len().min(decisions.len())]);
        let late = first.iter().find(|name| !left.contains(**name));
        assert_eq!(late, None, "before what was left");
        let done: BTreeSet<_> = names(&decisions).into_iter().map(ToOwned::to_owned).collect();
        left = setup.many.streams.lock().unwrap().keys().cloned().collect();
        left.retain(|name| !done.contains(name));
        assert_eq!(summary.left, left.len());
        runs_with_rest += u32::from(!left.is_empty());
    }
    assert!(runs_with_rest >= 3, "{runs_with_rest}");
    assert_eq!(left.len(), 0, "the last run had the time for all");
}

#[test]
fn a_run_without_a_ledger_begins_elsewhere_each_time() {
    let mut setup = Setup::new(3 * 125);
    setup.ledger = None;
    let mut seen = BTreeSet::new();
    for _ in 0..6 {
        let (summary, decisions) = setup.run(40);
        assert!(summary.left > 0, "{summary:?}");
        seen.extend(names(&decisions).into_iter().map(ToOwned::to_owned));
    }
    assert_eq!(seen.len(), 375);
}

#[test]
fn streams_that_cannot_be_found_do_not_hide_those_that_are_configured() {
    let mut setup = Setup::new(3);
    setup.many.blind = true;
    setup.configured = vec!["stream-0001".to_owned(), "gone".to_owned()];
    let (summary, decisions) = setup.run(60);
    assert_eq!(names(&decisions), ["gone", "stream-0001"]);
    assert_eq!(decisions[0].reason.code(), "stream_not_found");
    assert_eq!(summary.discovery_failed.unwrap(), "GetResources: AccessDeniedException");
}

#[test]
fn a_stream_that_is_left_alone_costs_no_request() {
    let setup = Setup::new(2);
    setup
        .many
        .streams
        .lock()
        .unwrap()
        .get_mut("stream-0001")
        .unwrap()
        .tags
        .insert(PAUSED_TAG.to_owned(), "until the release".to_owned());
    let (summary, decisions) = setup.run(60);
    assert_eq!(decisions[0].reason.code(), "paused");
    assert_eq!(summary.requests["DescribeStreamSummary"], 1, "{summary:?}");
}
