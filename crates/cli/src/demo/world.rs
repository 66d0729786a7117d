//! The whole system in virtual time: producers, stream, alarms, autoscaler, consumer, Firehose.
//!
//! The engines are the deployed ones; everything that calls them is the embedded model.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use anyhow::Context;
use jiff::{SignedDuration, Timestamp};
use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64Mcg;
use tidegate_autoscaler::decision::{Action, Applied, Decision};
use tidegate_autoscaler::event::{self, Wake};
use tidegate_autoscaler::look::LOOK_BACK;
use tidegate_autoscaler::port::NoLedger;
use tidegate_autoscaler::run::{self, Ports};
use tidegate_autoscaler::tags::Wishes;
use tidegate_autoscaler::{Mode, Policy};
use tidegate_consumer::{Call, Consumer, Folder as QuarantineFolder};
use tidegate_local::alarm::{self, Alarm, State};
use tidegate_local::cloud::{Cloud, Service};
use tidegate_local::delivery::{self, Delivery};
use tidegate_local::fluid::Volume;
use tidegate_local::mapping::{self, Mapping};
use tidegate_local::metrics::{Delay, ITERATOR_AGE, Metrics, OPEN_SHARDS};
use tidegate_local::objects::Folder;
use tidegate_local::stream::{self, Put, Stream};
use tidegate_local::trace::{self, Trace};
use tidegate_transform::{Engine, Pipeline, Tables};

use super::lines::Lines;
use super::sink::{AccessLog, Sink};

/// The stream's name.
pub const STREAM: &str = "clicks";

/// The step of virtual time: also what one split or merge takes.
pub const STEP: SignedDuration = SignedDuration::from_secs(30);
const STEP_SECONDS: f64 = 30.0;

/// The deployed heartbeat.
pub const HEARTBEAT_MINUTES: usize = 5;

/// The account of the demo may have as many shards as a large Region gives by default.
const ACCOUNT_SHARDS: u32 = 20_000;

/// The readers of the stream.
const CONSUMER: usize = 0;
const FIREHOSE: usize = 1;

/// A filter, so that the demo drops something, too.
const PIPELINE: &str = include_str!("pipeline.yaml");

/// What a run is made from.
pub struct Input<'a> {
    /// The traffic.
    pub trace: &'a Trace,
    /// What is sent.
    pub lines: Lines,
    /// Of how many records one is carried.
    pub one_in: u64,
    /// The seed of everything that is drawn.
    pub seed: u64,
    /// Where files go.
    pub out: &'a Path,
}

/// One minute of the report.
#[derive(Debug, Clone, Copy, Default)]
pub struct Minute {
    /// Offered load, in shards.
    pub load: f64,
    /// Open shards.
    pub shards: u32,
    /// The share of the volume that was throttled.
    pub throttled: f64,
    /// What became of the records that were carried.
    pub outcomes: Outcomes,
}

/// Records by what became of them.
#[derive(Debug, Clone, Copy, Default)]
pub struct Outcomes {
    /// Delivered by the consumer.
    pub delivered: u64,
    /// Skipped by the consumer.
    pub skipped: u64,
    /// Quarantined by the consumer.
    pub quarantined: u64,
    /// `Ok` of the transform.
    pub ok: u64,
    /// `Dropped` by the transform.
    pub dropped: u64,
    /// `ProcessingFailed` of the transform.
    pub failed: u64,
}

/// What a run measured. Each count is taken where the thing happens.
pub struct Measured {
    /// Minute by minute.
    pub minutes: Vec<Minute>,
    /// Every decision that changed something, or was refused.
    pub changes: Vec<Decision>,
    /// Decisions made.
    pub decisions: u64,
    /// Alarms that went into ALARM.
    pub alarms: u64,
    /// The volume that was offered.
    pub offered: Volume,
    /// The volume that was accepted.
    pub accepted: Volume,
    /// Records of the sample that were offered.
    pub records_offered: u64,
    /// Of them, accepted.
    pub records_accepted: u64,
    /// Of them, throttled.
    pub records_throttled: u64,
    /// What the consumer reported, added up.
    pub consumer: Outcomes,
    /// Records that the consumer asked for again.
    pub retried: u64,
    /// Why records were quarantined.
    pub poison: BTreeMap<String, u64>,
    /// Delivered records by the hundreds of their status.
    pub by_status: BTreeMap<u16, u64>,
    /// Not yet read, or in hand, when the run ended.
    pub pending: u64,
    /// What the mapping did.
    pub mapping: mapping::Counts,
    /// What Firehose counted.
    pub delivery: delivery::Counts,
    /// What the transform reported, added up.
    pub transform: tidegate_transform::Report,
    /// UpdateShardCount calls: accepted, refused.
    pub calls: (u64, u64),
    /// Shard-hours billed.
    pub shard_hours: f64,
}

/// Runs a history to its end. `progress` is told the minutes done.
///
/// # Errors
/// When a file cannot be written, or the transform's pipeline cannot be compiled.
pub fn run(input: Input<'_>, progress: &mut dyn FnMut(&World<'_>)) -> anyhow::Result<Measured> {
    let mut world = World::new(input)?;
    let steps = world.trace.minutes.len() * 2;
    for step in 0..steps {
        world.step(step)?;
        if step % 240 == 0 {
            progress(&world);
        }
    }
    world.finish()
}

/// The state of a run.
pub struct World<'a> {
    trace: &'a Trace,
    lines: Lines,
    one_in: f64,
    owed: f64,
    cloud: Mutex<Cloud>,
    mapping: Mapping,
    delivery: Delivery,
    consumer: Consumer<AccessLog, Sink, QuarantineFolder>,
    sink: Sink,
    transform: Engine,
    response: Vec<u8>,
    bucket: Folder,
    alarms: [Alarm; 2],
    outages: Pcg64Mcg,
    outage_ends: Timestamp,
    decisions: BufWriter<File>,
    measured: Measured,
    now: Timestamp,
}

impl<'a> World<'a> {
    fn new(input: Input<'a>) -> anyhow::Result<Self> {
        let Input { trace, lines, one_in, seed, out } = input;
        let random = |salt: u64| Pcg64Mcg::seed_from_u64(seed.wrapping_mul(31).wrapping_add(salt));
        let stream = Stream::new(stream::Settings {
            name: STREAM.to_owned(),
            shards: starting_shards(trace),
            account_shards: ACCOUNT_SHARDS,
            per_operation: STEP,
            readers: 2,
        });
        let metrics = Metrics::new(Delay::default(), LOOK_BACK, random(1));
        let pipeline = Pipeline::compile(PIPELINE, Tables::default())
            .context("the demo's own pipeline cannot be compiled")?;
        let quarantine = QuarantineFolder::create(out.join("quarantine"))
            .context("the quarantine folder cannot be made")?;
        let sink = Sink::default();
        let mapping = mapping::Settings {
            batch_size: 500,
            window: SignedDuration::from_secs(60),
            ..mapping::Settings::default()
        };
        let decisions = File::create(out.join("decisions.jsonl"))
            .context("decisions.jsonl cannot be written")?;
        Ok(Self {
            trace,
            lines,
            #[expect(clippy::cast_precision_loss, reason = "a sampling rate")]
            one_in: one_in as f64,
            owed: 0.0,
            cloud: Mutex::new(Cloud { stream, metrics, now: trace.start }),
            mapping: Mapping::new(mapping, CONSUMER),
            delivery: Delivery::new(
                delivery::Settings::deployed("clicks-to-lake"),
                FIREHOSE,
                random(2),
            ),
            consumer: Consumer::new(AccessLog, sink.clone(), quarantine),
            sink,
            transform: Engine::new(pipeline),
            response: Vec::new(),
            bucket: Folder(out.join("s3")),
            alarms: alarm::deployed(),
            outages: random(3),
            outage_ends: trace.start,
            decisions: BufWriter::new(decisions),
            measured: Measured::new(trace.minutes.len()),
            now: trace.start,
        })
    }

    /// How many minutes of how many are done, the open shards, and the records carried so far.
    pub fn progress(&self) -> (u64, u32, u64) {
        let shards = self.measured.minutes.last().map_or(0, |minute| minute.shards);
        (self.measured.minutes.len() as u64, shards, self.measured.records_offered)
    }

    fn step(&mut self, step: usize) -> anyhow::Result<()> {
        let offset = STEP * i32::try_from(step).context("the trace is too long")?;
        self.now = self.trace.start + offset;
        if step.is_multiple_of(2) {
            self.minute(step / 2);
        }
        let puts = self.produce(step / 2);
        {
            let cloud = self.cloud.get_mut().unwrap_or_else(PoisonError::into_inner);
            cloud.now = self.now;
            cloud.stream.advance(self.now);
        }
        self.offer(step / 2, puts);
        self.consume()?;
        self.deliver()?;
        if step.is_multiple_of(2) {
            self.wake(step / 2)?;
        }
        Ok(())
    }

    /// Opens a minute of the report, and draws whether the consumer's sink fails for a while.
    fn minute(&mut self, minute: usize) {
        let rate = self.trace.minutes.get(minute).copied().unwrap_or_default();
        let load = trace::shards(rate);
        self.measured.minutes.push(Minute { load, ..Minute::default() });
        if self.outages.random_ratio(1, 900) {
            self.outage_ends = self.now + SignedDuration::from_mins(2);
        }
        self.sink.set_down(self.now < self.outage_ends);
    }

    /// The records of this step that are carried one by one.
    fn produce(&mut self, minute: usize) -> Vec<Put> {
        self.owed += self.trace.volume(minute).records / 2.0 / self.one_in;
        let mut puts = Vec::new();
        while self.owed >= 1.0 {
            self.owed -= 1.0;
            puts.push(self.lines.next(self.now));
        }
        puts
    }

    fn offer(&mut self, minute: usize, puts: Vec<Put>) {
        let cloud = self.cloud.get_mut().unwrap_or_else(PoisonError::into_inner);
        let volume = self.trace.volume(minute).times(0.5);
        let measured = &mut self.measured;
        measured.records_offered += puts.len() as u64;
        let offered = cloud.stream.offer(volume, puts, STEP_SECONDS, self.now);
        measured.records_accepted += offered.records_accepted;
        measured.records_throttled += offered.records_rejected;
        measured.offered.add(volume);
        measured.accepted.add(offered.accepted);
        if !volume.is_empty() {
            cloud.report(&offered);
        }
        if let Some(minute) = measured.minutes.last_mut() {
            minute.shards = cloud.stream.open_shards();
            if volume.bytes > 0.0 {
                minute.throttled += offered.rejected.bytes / volume.bytes / 2.0;
            }
        }
    }

    fn consume(&mut self) -> anyhow::Result<()> {
        let cloud = self.cloud.get_mut().unwrap_or_else(PoisonError::into_inner);
        let (consumer, measured, now) = (&self.consumer, &mut self.measured, self.now);
        let retried = Cell::new(0);
        let mut invoke = |event: &[u8]| {
            let call = Call { function_arn: FUNCTION_ARN, request_id: "demo", now, deadline: None };
            let processed = pollster::block_on(consumer.process(event, &call))
                .map_err(|error| error.to_string())?;
            let report = processed.report;
            let outcomes = Outcomes {
                delivered: report.delivered,
                skipped: report.skipped,
                quarantined: report.quarantined,
                ..Outcomes::default()
            };
            measured.settle(&outcomes);
            retried.set(retried.get() + report.retried);
            for (reason, records) in report.by_reason {
                *measured.poison.entry(reason.to_string()).or_default() += records;
            }
            Ok(processed.response.to_json())
        };
        let mut never: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        self.mapping.step(&mut cloud.stream, now, &mut invoke, &mut never)?;
        self.measured.retried += retried.get();
        #[expect(clippy::cast_precision_loss, reason = "an age in milliseconds")]
        let age = self.mapping.iterator_age_ms as f64;
        cloud.metrics.put(ITERATOR_AGE, now, age);
        Ok(())
    }

    fn deliver(&mut self) -> anyhow::Result<()> {
        let cloud = self.cloud.get_mut().unwrap_or_else(PoisonError::into_inner);
        let mut invoke = transforming(&mut self.transform, &mut self.response, &mut self.measured);
        self.delivery.step(&mut cloud.stream, self.now, &mut invoke, &mut self.bucket)?;
        Ok(())
    }

    /// Evaluates the alarms, and wakes the autoscaler for each that fires and for the heartbeat.
    fn wake(&mut self, minute: usize) -> anyhow::Result<()> {
        let mut events = Vec::new();
        {
            let cloud = self.cloud.get_mut().unwrap_or_else(PoisonError::into_inner);
            for alarm in &mut self.alarms {
                let Some(transition) = alarm.evaluate(&cloud.metrics, self.now) else { continue };
                if transition.to == State::Alarm {
                    self.measured.alarms += 1;
                    events.push(alarm.event(STREAM, &transition).to_string());
                }
            }
        }
        if minute.is_multiple_of(HEARTBEAT_MINUTES) {
            events.push("{}".to_owned());
        }
        events.iter().try_for_each(|event| self.look(event))
    }

    /// One invocation of the autoscaler.
    fn look(&mut self, body: &str) -> anyhow::Result<()> {
        let streams = match event::parse(body.as_bytes()).context("the model's own event")?.wake {
            Wake::Heartbeat => vec![STREAM.to_owned()],
            Wake::Streams(looks) => looks.into_iter().map(|look| look.stream).collect(),
        };
        for stream in streams {
            let service = Service::new(&self.cloud);
            let ports = Ports {
                service: &service,
                ledger: None::<&NoLedger>,
                clock: &service,
                deadline: Timestamp::MAX,
            };
            let wishes = Wishes { policy: Policy::default(), mode: Mode::Active };
            let decision = pollster::block_on(run::run(ports, &stream, &wishes, true));
            serde_json::to_writer(&mut self.decisions, &decision)?;
            self.decisions.write_all(b"\n")?;
            self.measured.decisions += 1;
            let cloud = self.cloud.get_mut().unwrap_or_else(PoisonError::into_inner);
            if let Some(open) = decision.open_shards {
                cloud.metrics.put(OPEN_SHARDS, self.now, f64::from(open));
            }
            if decision.action == Action::Resize || decision.applied == Applied::Refused {
                self.measured.changes.push(decision);
            }
        }
        Ok(())
    }

    /// Lets Firehose write what it holds, and takes the last counts.
    fn finish(mut self) -> anyhow::Result<Measured> {
        let cloud = self.cloud.into_inner().unwrap_or_else(PoisonError::into_inner);
        {
            let mut invoke =
                transforming(&mut self.transform, &mut self.response, &mut self.measured);
            self.delivery.finish(&cloud.stream, self.now, &mut invoke, &mut self.bucket)?;
        }
        self.decisions.flush().context("decisions.jsonl cannot be written")?;
        let mut measured = self.measured;
        measured.pending = cloud.stream.unread(CONSUMER) + self.mapping.in_hand();
        measured.mapping = self.mapping.counts;
        measured.delivery = self.delivery.counts;
        measured.by_status = self.sink.by_status();
        measured.calls = (cloud.stream.calls_made, cloud.stream.calls_rejected);
        measured.shard_hours = cloud.stream.shard_hours;
        Ok(measured)
    }
}

const FUNCTION_ARN: &str = "arn:aws:lambda:us-east-1:111122223333:function:consumer";

/// The transform as Firehose calls it.
fn transforming<'t>(
    engine: &'t mut Engine,
    response: &'t mut Vec<u8>,
    measured: &'t mut Measured,
) -> impl FnMut(&[u8]) -> Result<Vec<u8>, String> + 't {
    |event| {
        let report = engine.transform(event, response).map_err(|error| error.to_string())?;
        if let Some(minute) = measured.minutes.last_mut() {
            minute.outcomes.ok += report.ok;
            minute.outcomes.dropped += report.dropped;
            minute.outcomes.failed += report.processing_failed;
        }
        measured.transform.add(&report);
        Ok(response.clone())
    }
}

impl Measured {
    fn new(minutes: usize) -> Self {
        Self {
            minutes: Vec::with_capacity(minutes),
            changes: Vec::new(),
            decisions: 0,
            alarms: 0,
            offered: Volume::default(),
            accepted: Volume::default(),
            records_offered: 0,
            records_accepted: 0,
            records_throttled: 0,
            consumer: Outcomes::default(),
            retried: 0,
            poison: BTreeMap::new(),
            by_status: BTreeMap::new(),
            pending: 0,
            mapping: mapping::Counts::default(),
            delivery: delivery::Counts::default(),
            transform: tidegate_transform::Report::default(),
            calls: (0, 0),
            shard_hours: 0.0,
        }
    }

    /// Counts a batch of the consumer, in all and in this minute.
    fn settle(&mut self, batch: &Outcomes) {
        let minute = self.minutes.last_mut().map(|minute| &mut minute.outcomes);
        for outcomes in std::iter::once(&mut self.consumer).chain(minute) {
            outcomes.delivered += batch.delivered;
            outcomes.skipped += batch.skipped;
            outcomes.quarantined += batch.quarantined;
        }
    }
}

/// What the stream starts with: 70 % used by the peak of the first hour.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to what a stream can have"
)]
fn starting_shards(trace: &Trace) -> u32 {
    (trace.first_hour_peak() / 0.7).ceil().clamp(1.0, 10_000.0) as u32
}
