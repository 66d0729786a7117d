//! `tidegate quarantine redrive`: records go back to where they can be processed.

mod report;

use std::collections::{BTreeSet, HashSet};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::Timestamp;
use tidegate_consumer::envelope::{Envelope, function_name};
use tidegate_runtime::clock;

use self::report::Report;
use super::document::Record;
use super::filter::Filter;
use super::lock::Hold;
use super::marks::{Marks, again};
use super::plan::{Plan, plan};
use super::scan::Scan;
use super::store::Store;
use super::target::{self, Fate, Target};
use super::{Source, document, load, scan, store};
use crate::Usage;

/// What to put back, and where to.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    source: Source,
    /// file:PATH, bootstrap:PATH of a consumer on this machine, pipeline:FILE of a transform to try,
    /// function:NAME or stream:NAME
    #[arg(long, value_name = "TARGET")]
    to: String,
    #[command(flatten)]
    filter: Filter,
    /// Do it; without this only what would be done is said, and a bootstrap is tried without a trace
    #[arg(long)]
    apply: bool,
    /// Records in a call at the most
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    batch: u32,
    /// Records a second at the most
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,
    /// Leave records alone that were put back as often
    #[arg(long, value_name = "N", default_value_t = 3)]
    max_redrives: u32,
    /// Remove what was taken from the store, instead of moving it below redriven/
    #[arg(long, requires = "apply")]
    delete: bool,
    /// Print the summary as JSON
    #[arg(long)]
    json: bool,
}

/// Puts records back, and says what became of them.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let mut store = store::open(&arguments.source.from)?;
    if arguments.apply && !arguments.delete && !store.keeps_marks() {
        let message = "a queue keeps no marks of what was taken: say --delete, and each message is \
                       deleted once its records were taken";
        bail!(Usage(message.to_owned()))
    }
    let hold = arguments.apply.then(|| store.lock()).transpose()?;
    let scan = scan::scan(&mut *store, &arguments.filter)?;
    scan.tell();
    let mut target = target::open(&arguments.to, &arguments.source.from, !arguments.apply)?;
    let mut report = Report::new(&arguments.to, arguments.apply, &scan);
    let plan = planned(arguments, scan, &mut *store, &*target)?;
    report.plan(&plan);
    if arguments.apply || target::can_be_tried(&arguments.to) {
        let mut redrive = Redrive::new(arguments, &mut *store, &mut *target, &plan, report)?;
        redrive.hold = hold;
        let outcome = redrive.batches(plan.batches);
        report = redrive.finish(outcome);
    }
    crate::print(&if arguments.json { report.json() } else { report.text() })?;
    Ok(if report.is_complete() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The plan; what an earlier run did not come to move is moved first.
fn planned(
    arguments: &Arguments,
    mut scan: Scan,
    store: &mut dyn Store,
    target: &dyn Target,
) -> anyhow::Result<Plan> {
    if arguments.to.starts_with("stream:") {
        let before = scan::put_before(store, &scan.redriven)?;
        for Record { envelope, .. } in &mut scan.records {
            let of = (envelope.partition_key.clone(), envelope.sha256.clone());
            envelope.redrive_count += before.get(&of).copied().unwrap_or_default();
        }
    }
    if arguments.apply {
        for key in &scan.finished {
            store.remove(key)?;
        }
    }
    let functions: BTreeSet<_> = scan
        .records
        .iter()
        .map(|record| function_name(&record.envelope.function_arn).unwrap_or("unknown"))
        .collect();
    if target.is_function() && functions.len() > 1 {
        let names = functions.into_iter().collect::<Vec<_>>().join(", ");
        bail!(Usage(format!(
            "several functions gave these records up: choose one with --function, of {names}"
        )))
    }
    // A rate holds within a second, too.
    let records = arguments.rate.map_or(arguments.batch, |rate| arguments.batch.min(rate));
    let limits = target.limits(records as usize);
    let refuses = |record: &Record| target.refuses(record);
    Ok(plan(scan.records, limits, arguments.max_redrives, &refuses))
}

struct Redrive<'a> {
    arguments: &'a Arguments,
    store: &'a mut dyn Store,
    target: &'a mut dyn Target,
    /// Keeps other redrives away; a trial keeps nobody away.
    hold: Option<Box<dyn Hold>>,
    marks: Marks,
    report: Report,
    /// Keys of which a record is left: those behind it are left, too.
    blocked: HashSet<String>,
    interrupted: Arc<AtomicBool>,
    started: Timestamp,
    sent: u64,
    bar: ProgressBar,
}

impl<'a> Redrive<'a> {
    fn new(
        arguments: &'a Arguments,
        store: &'a mut dyn Store,
        target: &'a mut dyn Target,
        plan: &Plan,
        report: Report,
    ) -> anyhow::Result<Self> {
        let interrupted = Arc::new(AtomicBool::new(false));
        let flag = interrupted.clone();
        ctrlc::set_handler(move || {
            if flag.swap(true, Ordering::Relaxed) {
                std::process::exit(1);
            }
            crate::complain(
                "interrupted: the batch under way is finished; once more to stop at once",
            );
        })
        .context("Ctrl-C cannot be watched for")?;
        let target_of_bar = ProgressDrawTarget::stderr();
        let bar = ProgressBar::with_draw_target(Some(plan.records() as u64), target_of_bar);
        let style = ProgressStyle::with_template("{bar:30} {pos} of {len}  {msg}  {eta}");
        Ok(Self {
            marks: Marks { to: arguments.to.clone(), delete: arguments.delete },
            arguments,
            store,
            target,
            hold: None,
            report,
            blocked: HashSet::new(),
            interrupted,
            started: clock::now(),
            sent: 0,
            bar: style.map_or(bar.clone(), |style| bar.with_style(style)),
        })
    }

    fn batches(&mut self, batches: Vec<Vec<Record>>) -> anyhow::Result<()> {
        for batch in batches {
            if self.interrupted.load(Ordering::Relaxed) {
                self.report.stopped = Some("it was interrupted".to_owned());
                return Ok(());
            }
            self.pace();
            if let Some(hold) = &self.hold {
                hold.check()?;
            }
            self.batch(&batch)?;
            self.bar.inc(batch.len() as u64);
            self.bar.set_message(self.report.progress());
        }
        Ok(())
    }

    /// Waits until the rate allows another batch.
    fn pace(&self) {
        let Some(rate) = self.arguments.rate else { return };
        #[expect(clippy::cast_precision_loss, reason = "a rate")]
        let due = Duration::from_secs_f64(self.sent as f64 / f64::from(rate));
        let passed: Duration =
            clock::now().duration_since(self.started).try_into().unwrap_or_default();
        sleep(due.saturating_sub(passed));
    }

    /// Sends a batch, and marks what was taken of it.
    fn batch(&mut self, batch: &[Record]) -> anyhow::Result<()> {
        let mut sent: Vec<(&Record, Vec<Envelope>)> = Vec::new();
        for record in batch {
            let key = record.envelope.partition_key.as_deref();
            if key.is_some_and(|key| self.blocked.contains(key)) {
                self.settle(record, &Fate::Left("behind one of its key that is left".to_owned()));
                continue;
            }
            match load::envelopes(self.store, record) {
                Ok(envelopes) => sent.push((record, envelopes)),
                Err(error) => self.settle(record, &Fate::Left(format!("{error:#}"))),
            }
        }
        let envelopes: Vec<_> =
            sent.iter().flat_map(|(_, envelopes)| envelopes.iter().cloned()).collect();
        if envelopes.is_empty() {
            return Ok(());
        }
        self.sent += envelopes.len() as u64;
        let mut fates = self.target.take(&envelopes)?.into_iter();
        let mut taken = Vec::new();
        for (record, envelopes) in &sent {
            let of_record: Vec<_> = fates.by_ref().take(envelopes.len()).collect();
            let fate = self.worst(record, of_record)?;
            if !matches!(fate, Fate::Left(_)) {
                taken.push(*record);
            }
            self.settle(record, &fate);
        }
        if self.arguments.apply {
            self.marks.set(self.store, &taken, clock::now())?;
        }
        Ok(())
    }

    /// One fate of all that a record of the store stood for, with a look at whether the function
    /// gave it up again.
    fn worst(&mut self, record: &Record, fates: Vec<Fate>) -> anyhow::Result<Fate> {
        let rank = |fate: &Fate| match fate {
            Fate::Taken => 0,
            Fate::PoisonAgain(_) => 1,
            Fate::Left(_) => 2,
        };
        let fate = fates.into_iter().max_by_key(rank).unwrap_or(Fate::Taken);
        if fate != Fate::Taken || !self.arguments.apply || !self.target.is_function() {
            return Ok(fate);
        }
        let key = again(record);
        let Some(bytes) = self.store.read(std::slice::from_ref(&key))?.pop().flatten() else {
            return Ok(fate);
        };
        let found = document::read(&key, &bytes).ok().and_then(|mut records| records.pop());
        let reason = found.map_or_else(|| "unknown".to_owned(), |found| found.envelope.reason);
        Ok(Fate::PoisonAgain(reason))
    }

    fn settle(&mut self, record: &Record, fate: &Fate) {
        if let (Fate::Left(_), Some(key)) = (fate, &record.envelope.partition_key) {
            self.blocked.insert(key.clone());
        }
        self.report.add(record, fate);
    }

    fn finish(self, outcome: anyhow::Result<()>) -> Report {
        self.bar.finish_and_clear();
        let mut report = self.report;
        if let Err(error) = outcome {
            report.stopped = Some(format!("{error:#}"));
        }
        report.took = clock::now().duration_since(self.started).try_into().unwrap_or_default();
        report
    }
}
