//! What a simulated minute of the autoscaler costs: in instructions where `perf` or valgrind counts
//! them, else in processor time of one run.
//!
//! A deployed decision sees at most 15 days, so from the third week on every minute must cost the
//! same.

use std::process::Command;

use anyhow::{Context as _, ensure};
use tidegate_local::reference::{self, Name, Settings};
use tidegate_local::trace::Trace;

/// Lengths that are measured.
const WEEKS: [u32; 4] = [1, 2, 4, 8];

const MINUTES_PER_WEEK: u32 = 7 * 1_440;

/// A minute of the weeks 5 to 8 may cost so much more than one of the weeks 3 and 4. Processor time
/// of one run is noisy; a cost that grew with the history would double.
const MOST_GROWTH: f64 = 1.5;

/// Measures all lengths and prints a table.
///
/// # Errors
/// When a run cannot be measured, or the cost grows with the history.
pub fn measure() -> anyhow::Result<()> {
    let mut costs = Vec::new();
    for weeks in WEEKS {
        costs.push(cost(weeks)?);
    }
    let (_, unit) = costs[0];
    println!("weeks    minutes  {unit:>24}  a minute  an added minute");
    let mut added = Vec::new();
    let mut before = (0, 0.0);
    for (weeks, (cost, _)) in WEEKS.iter().zip(&costs) {
        let minutes = weeks * MINUTES_PER_WEEK;
        let more = (cost - before.1) / f64::from(minutes - before.0);
        let each = cost / f64::from(minutes);
        println!("{weeks:>5} {minutes:>10}  {cost:>24.0} {each:>9.0} {more:>16.0}");
        added.push(more);
        before = (minutes, *cost);
    }
    let growth = added[3] / added[2];
    println!("a minute of weeks 5 to 8 costs {growth:.2} times one of weeks 3 and 4");
    ensure!(growth <= MOST_GROWTH, "the cost of a minute grows with the length of the history");
    Ok(())
}

/// Simulates so many weeks.
pub fn simulate(weeks: u32) {
    let settings = Settings::default();
    let run = reference::simulate(Name::Tidegate, &history(weeks), settings);
    assert!(run.is_some(), "the engine has an answer to every history");
}

/// The made-up history of the demo, each two days from another seed.
fn history(weeks: u32) -> Trace {
    let mut whole = Trace::generated(0);
    for seed in 1..u64::from(weeks * 7).div_ceil(2) {
        whole.minutes.extend(Trace::generated(seed).minutes);
    }
    whole.minutes.truncate((weeks * MINUTES_PER_WEEK) as usize);
    whole
}

/// What simulating so many weeks costs, without what starting the program does.
fn cost(weeks: u32) -> anyhow::Result<(f64, &'static str)> {
    if let (Some(idle), Some(busy)) = (instructions(0), instructions(weeks)) {
        return Ok((busy - idle, "instructions"));
    }
    let before = processor_nanos()?;
    simulate(weeks);
    Ok((processor_nanos()? - before, "processor nanoseconds"))
}

/// The instructions of a run of its own; `None` where nothing is there that may count them.
fn instructions(weeks: u32) -> Option<f64> {
    let perf = ["stat", "--field-separator", ",", "--event", "instructions:u", "--"];
    let valgrind = ["--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"];
    let by_perf = counted("perf", &perf, weeks, |line| line.split(',').next());
    by_perf.or_else(|| counted("valgrind", &valgrind, weeks, |line| line.rsplit(' ').next()))
}

/// What a counter says of a run, on the line that names instructions.
fn counted(
    counter: &str,
    options: &[&str],
    weeks: u32,
    number: impl Fn(&str) -> Option<&str>,
) -> Option<f64> {
    let this = std::env::current_exe().ok()?;
    let output = Command::new(counter)
        .args(options)
        .arg(this)
        .args(["autoscaler", "--weeks", &weeks.to_string()])
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stderr).ok()?;
    let names = |line: &&str| line.contains("instructions") || line.contains("I   refs");
    let line = text.lines().find(names)?.trim();
    number(line)?.replace(',', "").parse().ok()
}

/// The processor time of this thread so far.
fn processor_nanos() -> anyhow::Result<f64> {
    let path = "/proc/thread-self/schedstat";
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("{path} cannot be read: neither perf nor Linux is here"))?;
    let nanos = text.split_whitespace().next().context("schedstat is empty")?;
    nanos.parse().with_context(|| format!("{path} holds {text:?}"))
}
