//! How good the default policy is on real histories and on made-up ones, and whether it was fitted
//! to them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, ensure};
use tidegate_autoscaler::policy::Tuning;
use tidegate_autoscaler::tuning::RANGES;
use tidegate_local::reference::{self, Name, Run, Settings};
use tidegate_local::trace::Trace;

use crate::figures::{Figure, Table, is_spike};
use crate::variants;

/// A setting is tried lower and higher by this share.
const STEP_PERCENT: u32 = 20;

/// What the default policy is scored at, in minutes: what the template deploys, and its fastest.
const HEARTBEATS: [usize; 2] = [5, 1];

/// Histories that are listed one by one; of more only what they come to is printed.
const LISTED: usize = 20;

/// A history and the cheapest schedule that it could have had.
struct History {
    name: String,
    trace: Trace,
    clairvoyant: Run,
}

/// What a tuning comes to on a history, and on its halves.
#[derive(Debug, Clone, Copy)]
struct Scored {
    whole: Figure,
    first: Figure,
    second: Figure,
    calls: usize,
}

impl Scored {
    fn new(run: &Run, history: &History) -> Self {
        let length = history.trace.minutes.len();
        let figure = |minutes| Figure::of(run, &history.clairvoyant, &history.trace, minutes);
        Self {
            whole: figure(0..length),
            first: figure(0..length / 2),
            second: figure(length / 2..length),
            calls: run.calls.len(),
        }
    }
}

/// What is evaluated beside the histories themselves.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct Beside {
    /// Also try each setting of the tuning a little lower and a little higher, and choose among them
    /// without the history that is scored: minutes instead of seconds.
    #[arg(long)]
    pub tunings: bool,
    /// Also what the histories could have been: smaller, larger, begun later, cut into pieces of two
    /// days, two in one; and made-up ones, which need no folder. A quarter of an hour.
    #[arg(long)]
    pub variants: bool,
}

/// Prints the figures.
///
/// # Errors
/// When the folder has no histories or one cannot be read, or none is given and none is made up.
pub fn evaluate(folder: Option<&Path>, beside: Beside) -> anyhow::Result<()> {
    ensure!(
        folder.is_some() || beside.variants,
        "nothing to evaluate: name a folder of histories with --traces, or --variants for made-up ones"
    );
    let given = folder.map(read).transpose()?.unwrap_or_default();
    if !given.is_empty() {
        let histories = planned(given.clone());
        scored("histories", &histories);
        if beside.tunings {
            chosen_elsewhere(&histories);
        }
    }
    if beside.variants {
        for set in variants::all(&given) {
            scored(&set.name, &planned(set.histories));
        }
    }
    Ok(())
}

/// Prints what the default policy makes of some histories.
fn scored(name: &str, histories: &[History]) {
    for heartbeat_minutes in HEARTBEATS {
        let scores = score(histories, &[Tuning::default()], heartbeat_minutes);
        let Some(scores) = scores.first() else { continue };
        println!("\n{name}, heartbeat of {heartbeat_minutes} minutes");
        if histories.len() <= LISTED {
            println!("{:<28} {:>6} {:>12} {:>6}", "history", "ratio", "throttled %", "calls");
            for (history, Scored { whole, calls, .. }) in histories.iter().zip(scores) {
                let spike = if is_spike(&history.name) { "  (spikes)" } else { "" };
                let Figure { ratio, throttled, .. } = whole;
                println!("{:<28} {ratio:>6.3} {throttled:>12.4} {calls:>6}{spike}", history.name);
            }
        }
        let table = table(histories, scores, |scored| scored.whole);
        println!("{} histories: {}", histories.len(), table.summary());
    }
}

/// The default beside what would have been chosen without the history, or the half of it, that is
/// scored: what a tuning is worth beyond the histories that it was chosen on.
fn chosen_elsewhere(histories: &[History]) {
    let candidates = candidates();
    let scores = score(histories, &candidates, Settings::default().heartbeat_minutes);
    let whole: Vec<_> =
        scores.iter().map(|scores| table(histories, scores, |scored| scored.whole)).collect();

    println!("\nleave one out: chosen among {} tunings on the other histories", candidates.len());
    let mut left_out = Vec::new();
    for (index, history) in histories.iter().enumerate() {
        let best = best(whole.iter().map(|table| {
            let mut others = table.0.clone();
            others.remove(index);
            Table(others)
        }));
        println!("{:<18} {}", history.name, name(&candidates[best]));
        left_out.push(whole[best].0[index]);
    }
    println!("{}", Table(left_out).summary());

    println!("\nrolling: chosen on the first halves, scored on the second");
    let best = best(scores.iter().map(|scores| table(histories, scores, |scored| scored.first)));
    for (index, word) in [(0, "default".to_owned()), (best, name(&candidates[best]))] {
        let second = table(histories, &scores[index], |scored| scored.second);
        println!("{word}: {}", second.summary());
    }
}

/// The default, and each setting a little lower and a little higher.
fn candidates() -> Vec<Tuning> {
    let default = Tuning::default();
    let mut candidates = vec![default];
    for (index, (_, least, most)) in RANGES.iter().enumerate() {
        for percent in [100 - STEP_PERCENT, 100 + STEP_PERCENT] {
            let mut values = default.values();
            // What stands for a hundred and a little more or less is moved by the little.
            let base = if (90..250).contains(&values[index]) { 100 } else { 0 };
            let moved = values[index].abs_diff(base) * percent / 100;
            values[index] = if values[index] >= base { base + moved } else { base - moved };
            values[index] = values[index].clamp(*least, *most);
            let tuning = Tuning::from_values(values);
            if !candidates.contains(&tuning) {
                candidates.push(tuning);
            }
        }
    }
    candidates
}

/// What differs from the default.
fn name(tuning: &Tuning) -> String {
    let named = RANGES.iter().zip(tuning.values()).zip(Tuning::default().values());
    let changed = named.filter(|((_, value), default)| value != default);
    let words: Vec<_> =
        changed.map(|(((name, _, _), value), _)| format!("{name} {value}")).collect();
    if words.is_empty() { "default".to_owned() } else { words.join(", ") }
}

/// The first of the tables with the least penalty.
fn best<'a>(tables: impl Iterator<Item = Table<'a>>) -> usize {
    let penalties = tables.map(|table| table.penalty()).enumerate();
    penalties.min_by(|a, b| a.1.total_cmp(&b.1)).map_or(0, |(index, _)| index)
}

fn table<'h>(
    histories: &'h [History],
    scores: &[Scored],
    part: impl Fn(&Scored) -> Figure,
) -> Table<'h> {
    let rows = histories.iter().zip(scores);
    Table(rows.map(|(history, scored)| (history.name.as_str(), part(scored))).collect())
}

/// Each tuning over each history.
fn score(histories: &[History], tunings: &[Tuning], heartbeat_minutes: usize) -> Vec<Vec<Scored>> {
    let jobs: Vec<_> =
        tunings.iter().flat_map(|tuning| histories.iter().map(move |h| (*tuning, h))).collect();
    let scores = in_parallel(&jobs, |(tuning, history)| {
        let settings = Settings { heartbeat_minutes, tuning: *tuning, ..Settings::default() };
        let run = reference::simulate(Name::Tidegate, &history.trace, settings)?;
        Some(Scored::new(&run, history))
    });
    let scores: Vec<_> = scores.into_iter().flatten().collect();
    scores.chunks(histories.len().max(1)).map(<[Scored]>::to_vec).collect()
}

/// The CSV files of a folder, by name.
fn read(folder: &Path) -> anyhow::Result<Vec<(String, Trace)>> {
    let listed = std::fs::read_dir(folder)
        .with_context(|| format!("{} cannot be listed", folder.display()))?;
    let mut traces = BTreeMap::new();
    for entry in listed {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "csv") {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            traces.insert(name, Trace::read(&path)?);
        }
    }
    ensure!(!traces.is_empty(), "{} has no .csv file", folder.display());
    Ok(traces.into_iter().collect())
}

/// Histories with their clairvoyant schedules. Those of which every legal one throttles are named
/// and left out.
fn planned(traces: Vec<(String, Trace)>) -> Vec<History> {
    let clairvoyant = in_parallel(&traces, |(_, trace)| {
        reference::simulate(Name::Clairvoyant, trace, Settings::default())
    });
    let both = traces.into_iter().zip(clairvoyant);
    both.filter_map(|((name, trace), clairvoyant)| match clairvoyant {
        Some(clairvoyant) => Some(History { name, trace, clairvoyant }),
        None => {
            println!("left out: no legal schedule of {name} avoids throttling");
            None
        }
    })
    .collect()
}

/// Does the same with each job on all processors; the answers are in the order of the jobs.
fn in_parallel<J: Sync, A: Send>(jobs: &[J], work: impl Fn(&J) -> A + Sync) -> Vec<A> {
    let next = AtomicUsize::new(0);
    let done: Mutex<BTreeMap<usize, A>> = Mutex::default();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((index, job)) = take(&next, jobs) {
                    let answer = work(job);
                    if let Ok(mut done) = done.lock() {
                        done.insert(index, answer);
                    }
                }
            });
        }
    });
    done.into_inner().map(BTreeMap::into_values).into_iter().flatten().collect()
}

fn take<'j, J>(next: &AtomicUsize, jobs: &'j [J]) -> Option<(usize, &'j J)> {
    let index = next.fetch_add(1, Ordering::Relaxed);
    Some((index, jobs.get(index)?))
}
