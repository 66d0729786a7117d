//! `tidegate demo`: the whole system on the embedded model, in virtual time.

mod accounts;
mod lines;
mod out;
mod plots;
mod report;
mod sink;
mod summary;
mod world;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tidegate_local::trace::Trace;

use self::lines::Lines;
use self::summary::{Source, Summary};
use self::world::{Input, World};

/// What to run, and where to.
#[derive(clap::Args)]
pub struct Arguments {
    /// A traffic history: CSV with timestamp,bytes_per_s,records_per_s, a row a minute [default:
    /// two generated days]
    #[arg(long, value_name = "FILE.csv")]
    trace: Option<PathBuf>,
    /// An access log in the combined format, whose lines are sent over and over [default: generated
    /// lines]
    #[arg(long, value_name = "FILE")]
    logs: Option<PathBuf>,
    /// Where report.html, summary.json, decisions.jsonl, s3/ and quarantine/ go; replaced if a demo
    /// made it
    #[arg(long, value_name = "DIR", default_value = "target/demo")]
    out: PathBuf,
    /// What is drawn; the same seed gives the same bytes in every file
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// About how many records are carried one by one; the volume is accounted for exactly in any
    /// case
    #[arg(long, value_name = "RECORDS", default_value_t = 400_000, value_parser = clap::value_parser!(u32).range(1..))]
    sample: u32,
    /// Print the summary as JSON
    #[arg(long)]
    json: bool,
}

/// Runs the demo, writes its files and prints its summary.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let seed = arguments.seed;
    let trace = match &arguments.trace {
        Some(path) => Trace::read(path)?,
        None => Trace::generated(seed),
    };
    let lines = match &arguments.logs {
        Some(path) => Lines::from_file(path, seed)?,
        None => Lines::generated(seed),
    };
    let out = out::prepare(&arguments.out)?;
    let one_in = sampling(&trace, arguments.sample);
    let bar = progress_bar(trace.minutes.len() as u64);
    let mut tell = |world: &World<'_>| {
        let (minutes, shards, records) = world.progress();
        bar.set_position(minutes);
        bar.set_message(format!("{shards} shards, {records} records carried"));
    };
    let input = Input { trace: &trace, lines, one_in, seed, out: &out };
    let measured = world::run(input, &mut tell)?;
    bar.finish_and_clear();

    let source = Source::new(arguments.trace.as_deref(), arguments.logs.as_deref(), seed);
    let checks = accounts::check(&measured, &out)?;
    let summary = Summary::new(source, &trace, one_in, &measured, checks);
    let json = serde_json::to_string_pretty(&summary)?;
    fs::write(out.join("summary.json"), format!("{json}\n"))
        .context("summary.json cannot be written")?;
    let page = report::page(&summary, &trace, &measured);
    fs::write(out.join("report.html"), page).context("report.html cannot be written")?;
    fs::write(out.join("plots.svg"), plots::picture(&measured.minutes))
        .context("plots.svg cannot be written")?;

    if arguments.json {
        crate::print(&json)?;
    } else {
        crate::print(&summary.table(&out))?;
    }
    let wrong: Vec<_> = summary.checks.iter().filter(|check| !check.holds).collect();
    if !wrong.is_empty() {
        let wrong: Vec<_> = wrong.iter().map(|check| check.to_string()).collect();
        bail!("the accounts do not add up: {}", wrong.join("; "));
    }
    Ok(())
}

/// Of how many records one is carried.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a quotient of positive numbers"
)]
fn sampling(trace: &Trace, sample: u32) -> u64 {
    ((trace.total().records / f64::from(sample)).ceil() as u64).max(1)
}

/// A bar on a terminal, nothing elsewhere.
fn progress_bar(minutes: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40.cyan/blue} {percent:>3} %  {msg}  {elapsed}");
    let bar = ProgressBar::with_draw_target(Some(minutes), ProgressDrawTarget::stderr());
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
