//! The one loop: events in, requests out, and what is settled written down.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use anyhow::Context;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::Timestamp;
use regex_lite::Regex;
use tidegate_producer::{Failure, Next, Producer, Record};
use tidegate_runtime::clock;

use super::Arguments;
use super::checkpoint::Place;
use super::input::{Event, Inputs, Outbox, PutError, start};
use super::ledger::{self, Ledger, Span};
use super::lines::Line;
use super::shape::{Origin, Shaped, Shaper};
use super::summary::Summary;
use super::target::Target;

/// Reads that may wait for the loop.
const CREDITS: usize = 4;

/// How long what was read has to get into the stream after Ctrl-C.
const DRAIN: Duration = Duration::from_secs(10);

/// A thread that says nothing for so long after Ctrl-C waits for input, and has read nothing more.
const NOTHING_READ: Duration = Duration::from_millis(500);

/// How often trouble that lasts is told.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// How often the terminal is told, and signals are seen.
const TICK: Duration = Duration::from_millis(200);

/// Sends everything, and says what came of it.
pub fn run(arguments: &Arguments) -> anyhow::Result<Summary> {
    let (events, inbox) = mpsc::channel();
    let mut sending = Sending::new(arguments, events)?;
    let places = ledger::earlier(arguments, |text| sending.say(text))?;
    let join = arguments.shape.join.as_deref().map(Regex::new).transpose();
    let join = join.context("--join is no regular expression")?;
    let (credits, taken) = mpsc::channel();
    for _ in 0..CREDITS {
        credits.send(()).context("the reading thread is gone")?;
    }
    let (files, follow) = (arguments.files.clone(), arguments.follow);
    let outbox = Outbox::new(sending.events.clone(), taken, sending.stop.clone());
    let own = ledger::own(arguments);
    start(Inputs { files, follow, join, places, own }, outbox);
    let interrupts = sending.events.clone();
    ctrlc::set_handler(move || {
        let _ = interrupts.send(Event::Interrupted);
    })
    .context("Ctrl-C cannot be watched for")?;
    let outcome = sending.serve(&inbox, &credits);
    sending.late(&inbox);
    sending.finish(outcome)
}

struct Sending<'a> {
    arguments: &'a Arguments,
    producer: Producer,
    shaper: Shaper,
    target: Target,
    events: Sender<Event>,
    stop: Arc<AtomicBool>,
    started: Timestamp,
    ledger: Ledger<'a>,
    /// Records that the producer does not take yet.
    backlog: VecDeque<Record>,
    owed_credits: usize,
    is_listing: bool,
    input_ended: bool,
    interrupted: Option<Timestamp>,
    summary: Summary,
    bar: ProgressBar,
    /// What names the columns of an input.
    headers: HashMap<usize, Vec<u8>>,
    /// When a person was last told of trouble.
    told_at: Option<Timestamp>,
}

impl<'a> Sending<'a> {
    fn new(arguments: &'a Arguments, events: Sender<Event>) -> anyhow::Result<Self> {
        let started = clock::now();
        let seed = started.as_nanosecond() as u64 ^ u64::from(std::process::id()) << 32;
        let target = if arguments.dry_run { Target::Dry } else { target(&arguments.stream)? };
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr())
            .with_style(ProgressStyle::default_spinner());
        Ok(Self {
            producer: Producer::new(arguments.options(), seed),
            shaper: Shaper::new(&arguments.shape, seed)?,
            target,
            events,
            stop: Arc::default(),
            started,
            ledger: Ledger::new(arguments),
            backlog: VecDeque::new(),
            owed_credits: 0,
            is_listing: false,
            input_ended: false,
            interrupted: None,
            summary: Summary {
                stream: arguments.stream.clone(),
                rejected_file: arguments.rejected.display().to_string(),
                ..Summary::default()
            },
            bar,
            headers: HashMap::new(),
            told_at: None,
            arguments,
        })
    }

    fn now(&self) -> Duration {
        clock::now().duration_since(self.started).try_into().unwrap_or_default()
    }

    fn say(&self, text: &str) {
        self.bar.suspend(|| crate::complain(text));
    }

    /// Says what does not work, now and then: it may go on for minutes, four requests at a time.
    fn trouble(&mut self, why: &str) {
        if self.told_at.is_none_or(|at| elapsed(at) >= TELL_EVERY) {
            self.told_at = Some(clock::now());
            let minutes = self.arguments.give_up_after.as_secs_f64() / 60.0;
            self.say(&format!("{why}: it is tried for {minutes:.0} minutes"));
        }
    }

    fn serve(&mut self, inbox: &Receiver<Event>, credits: &Sender<()>) -> anyhow::Result<()> {
        loop {
            self.offer_backlog(credits);
            let wait = match self.producer.next(self.now()) {
                Next::Put(request) => {
                    self.target.put(request, &self.events);
                    continue;
                }
                Next::ListShards if !self.is_listing => {
                    self.is_listing = true;
                    self.target.list_shards(&self.events, self.arguments.give_up_after);
                    continue;
                }
                Next::ListShards => TICK,
                Next::Wait(wait) => wait.unwrap_or(TICK).min(TICK),
                Next::Done => return self.settle(),
            };
            match inbox.recv_timeout(wait) {
                Ok(event) => self.take(event)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return self.settle(),
            }
            // What came at the same time is written down together.
            while let Ok(event) = inbox.try_recv() {
                self.take(event)?;
            }
            self.settle()?;
            self.show();
            if self.interrupted.is_some_and(|at| elapsed(at) >= DRAIN) {
                return Ok(());
            }
        }
    }

    /// Answers that came before it ended, and that nobody has looked at: they still count.
    fn late(&mut self, inbox: &Receiver<Event>) {
        for event in inbox.try_iter() {
            if let Event::Answered(id, Ok(answers)) = event {
                self.producer.answered(id, Ok(answers), self.now());
            }
        }
    }

    fn offer_backlog(&mut self, credits: &Sender<()>) {
        let now = self.now();
        while let Some(record) = self.backlog.pop_front() {
            if let Err(record) = self.producer.offer(record, now) {
                self.backlog.push_front(record);
                return;
            }
        }
        if self.input_ended || self.interrupted.is_some_and(|at| elapsed(at) >= NOTHING_READ) {
            self.producer.end();
        }
        for _ in 0..std::mem::take(&mut self.owed_credits) {
            // A thread that has read everything takes no more.
            let _ = credits.send(());
        }
    }

    fn take(&mut self, event: Event) -> anyhow::Result<()> {
        match event {
            Event::Opened { input, place, header } => {
                self.headers.extend(header.map(|header| (input, header)));
                self.ledger.open(input, place);
            }
            Event::Known { input, identity } => self.ledger.know(input, identity),
            Event::Finished(input) => self.ledger.finish(input),
            Event::Gone(input) => self.ledger.forget(input),
            Event::Lines(lines) => {
                self.owed_credits += 1;
                for line in lines.iter() {
                    self.line(line)?;
                }
            }
            Event::Note(note) => self.say(&note),
            Event::InputEnded(outcome) => {
                self.input_ended = true;
                if let Err(error) = outcome {
                    self.summary.stopped = Some(format!("{error:#}"));
                }
            }
            Event::Answered(id, answer) => {
                let now = self.now();
                match answer {
                    Ok(answers) => self.producer.answered(id, Ok(answers), now),
                    Err(PutError::Throttled(why)) => {
                        self.producer.answered(id, Err(Failure::Refused(why)), now);
                    }
                    Err(PutError::Unanswered(why)) => {
                        self.trouble(&why);
                        self.producer.answered(id, Err(Failure::Unanswered(why)), now);
                    }
                    Err(PutError::Lasting(error)) => {
                        self.producer.answered(id, Err(Failure::Lasting), now);
                        return Err(error);
                    }
                }
            }
            Event::Unlisted(why) => self.trouble(&why),
            Event::Shards(shards) => {
                self.is_listing = false;
                self.producer.shards(shards?);
            }
            Event::Interrupted if self.interrupted.is_some() => {
                anyhow::bail!("interrupted twice");
            }
            Event::Interrupted => {
                self.say("interrupted: what was read is sent first; once more to stop at once");
                self.interrupted = Some(clock::now());
                self.stop.store(true, Ordering::Relaxed);
            }
        }
        Ok(())
    }

    fn line(&mut self, line: Line<'_>) -> anyhow::Result<()> {
        let Line { input, start, end, text } = line;
        let span = Span { input, start, end };
        if self.ledger.is_settled(span) {
            return Ok(());
        }
        if text.iter().all(u8::is_ascii_whitespace) {
            self.ledger.settle_span(span);
            return Ok(());
        }
        if self.shaper.has_header && !self.headers.contains_key(&input) {
            self.headers.insert(input, text.to_vec());
            self.ledger.settle_span(span);
            return Ok(());
        }
        self.summary.read += 1;
        let source = if self.shaper.has_id() { self.source(input) } else { String::new() };
        let header = self.headers.get(&input).map(Vec::as_slice);
        let origin = Origin { header, source: &source, start };
        match self.shaper.shape(text, &origin) {
            Shaped::Record(record) => {
                let place = self.ledger.place_of(span);
                self.backlog.push_back(Record { place, ..record });
            }
            Shaped::Dropped => {
                self.summary.dropped += 1;
                self.ledger.settle_span(span);
            }
            Shaped::Rejected(reason, message) => {
                self.ledger.reject_line((reason, &message), span, text)?;
            }
        }
        Ok(())
    }

    /// What tells an input from every other one, now and later.
    fn source(&self, input: usize) -> String {
        let place = self.ledger.place(input);
        place.map_or_else(|| format!("stdin {}", self.started), Place::source)
    }

    /// Writes down what the producer has settled.
    fn settle(&mut self) -> anyhow::Result<()> {
        self.ledger.settle(self.producer.settled())
    }

    fn show(&self) {
        let tally = self.producer.tally();
        let seconds = elapsed(self.started).as_secs_f64().max(1e-3);
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let rate = tally.stored as f64 / seconds;
        self.bar.set_message(format!(
            "{} sent, {rate:.0}/s, {} wait, {} sent again, {} rejected",
            tally.stored,
            self.producer.unsettled() + self.backlog.len(),
            tally.retried,
            tally.rejected
        ));
        self.bar.tick();
    }

    fn finish(mut self, outcome: anyhow::Result<()>) -> anyhow::Result<Summary> {
        self.stop.store(true, Ordering::Relaxed);
        if let Err(error) = outcome {
            self.summary.stopped = Some(format!("{error:#}"));
        } else if self.interrupted.is_some() && !self.arguments.follow {
            let text = "it was interrupted".to_owned();
            self.summary.stopped.get_or_insert(text);
        }
        let unsettled = self.producer.unsettled() + self.backlog.len();
        self.summary.left = unsettled as u64;
        // What was answered meanwhile still counts. A disk that is full was said already.
        let settled = self.settle();
        let written = settled.and_then(|()| self.ledger.write(unsettled == 0));
        if let Err(error) = written {
            self.summary.stopped.get_or_insert(format!("{error:#}"));
        }
        self.bar.finish_and_clear();
        self.summary.rejected = self.ledger.counts;
        self.summary.tally = *self.producer.tally();
        self.summary.took = elapsed(self.started);
        Ok(self.summary)
    }
}

fn elapsed(since: Timestamp) -> Duration {
    clock::now().duration_since(since).try_into().unwrap_or_default()
}

#[cfg(feature = "aws")]
fn target(stream: &str) -> anyhow::Result<Target> {
    super::target::Stream::new(stream).map(Target::Aws)
}

#[cfg(not(feature = "aws"))]
fn target(_stream: &str) -> anyhow::Result<Target> {
    Err(crate::needs_aws("`send` without --dry-run"))
}
