//! `tidegate simulate`: a traffic history against policies, in the reference model.

mod bill;
mod outcome;
mod report;
mod table;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::builder::PossibleValue;
use indicatif::{ProgressBar, ProgressDrawTarget};
use jiff::SignedDuration;
use tidegate_local::reference::{self, Name, Settings};
use tidegate_local::trace::Trace;

use self::outcome::{History, Outcome};

/// What to try on which history.
#[derive(clap::Args)]
pub struct Arguments {
    /// A traffic history: CSV with timestamp,bytes_per_s,records_per_s, a row a minute; or a folder
    /// of them [repeatable]
    #[arg(long, value_name = "FILE.csv", required = true)]
    trace: Vec<PathBuf>,
    /// A policy to try [repeatable; default: all]
    #[arg(long, value_name = "NAME")]
    policy: Vec<PolicyName>,
    /// What a reshard takes for each split and merge
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = per_operation)]
    per_operation: SignedDuration,
    /// How often Tidegate is woken without an alarm, in whole minutes; 5m is what the template
    /// deploys
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = heartbeat)]
    heartbeat: Heartbeat,
    /// Print what each policy did to each history as a JSON array
    #[arg(long)]
    json: bool,
    /// Write a page with plots of everything
    #[arg(long, value_name = "FILE.html")]
    html: Option<PathBuf>,
}

/// A policy as it is named on the command line.
#[derive(Debug, Clone, Copy)]
struct PolicyName(Name);

impl clap::ValueEnum for PolicyName {
    fn value_variants<'a>() -> &'a [Self] {
        const ALL: [PolicyName; Name::ALL.len()] = {
            let mut all = [PolicyName(Name::Tidegate); Name::ALL.len()];
            let mut index = 0;
            while index < all.len() {
                all[index] = PolicyName(Name::ALL[index]);
                index += 1;
            }
            all
        };
        &ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.0.word()))
    }
}

/// Whole minutes, at least one.
#[derive(Debug, Clone, Copy)]
struct Heartbeat(usize);

fn heartbeat(text: &str) -> Result<Heartbeat, String> {
    let minutes = tidegate_runtime::settings::duration(text)?.as_secs_f64() / 60.0;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked below")]
    let whole = minutes as usize;
    #[expect(clippy::cast_precision_loss, reason = "minutes")]
    let same = whole as f64 == minutes;
    let usable = same && (1..=1_440).contains(&whole);
    usable.then_some(Heartbeat(whole)).ok_or_else(|| "whole minutes from 1m to 1d".to_owned())
}

fn per_operation(text: &str) -> Result<SignedDuration, String> {
    const MOST: Duration = Duration::from_secs(3_600);
    let duration = tidegate_runtime::settings::duration(text)?;
    if duration > MOST {
        return Err("at most 1h".to_owned());
    }
    SignedDuration::try_from(duration).map_err(|error| error.to_string())
}

/// Simulates, prints, and writes the page.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let files = files(&arguments.trace)?;
    let names: BTreeSet<Name> = match arguments.policy.as_slice() {
        [] => Name::ALL.into_iter().collect(),
        chosen => chosen.iter().map(|policy| policy.0).collect(),
    };
    let settings = Settings {
        per_operation: arguments.per_operation,
        heartbeat_minutes: arguments.heartbeat.0,
        ..Settings::default()
    };
    // Read before anything is run: a mistake in the last file is told at once.
    let traces = files
        .iter()
        .map(|(name, path)| Ok((name.clone(), Trace::read(path)?)))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let histories = simulate(traces, &names, settings, arguments.html.is_some());
    if let Some(path) = &arguments.html {
        let page = report::page(&histories, settings);
        fs::write(path, page).with_context(|| format!("{} cannot be written", path.display()))?;
    }
    if arguments.json {
        let outcomes: Vec<&Outcome> =
            histories.iter().flat_map(|history| &history.outcomes).collect();
        return crate::print(&serde_json::to_string_pretty(&outcomes)?);
    }
    crate::print(&table::text(&histories, &names, settings))?;
    if let Some(path) = &arguments.html {
        crate::print(&format!("\nlook at {}", path.display()))?;
    }
    Ok(())
}

/// The histories that were named: each file, and each `.csv` of a folder in the order of names; by
/// the stem of the file.
fn files(named: &[PathBuf]) -> anyhow::Result<Vec<(String, PathBuf)>> {
    let mut found: Vec<(String, PathBuf)> = Vec::new();
    for path in named {
        let files = if path.is_dir() { csv_files(path)? } else { vec![path.clone()] };
        for file in files {
            let stem = file.file_stem().unwrap_or(file.as_os_str());
            let stem = stem.to_string_lossy().into_owned();
            if let Some((_, other)) = found.iter().find(|(name, _)| *name == stem) {
                bail!(
                    "{} and {} are both called {stem}: name each history once",
                    other.display(),
                    file.display()
                );
            }
            found.push((stem, file));
        }
    }
    Ok(found)
}

fn csv_files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let shown = folder.display();
    let entries = fs::read_dir(folder).with_context(|| format!("{shown} cannot be read"))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.with_context(|| format!("{shown} cannot be read"))?.path();
        if path.extension().is_some_and(|extension| extension == "csv") {
            files.push(path);
        }
    }
    files.sort();
    if files.is_empty() {
        bail!("{shown} holds no .csv file");
    }
    Ok(files)
}

/// Runs every policy over every history.
fn simulate(
    traces: Vec<(String, Trace)>,
    names: &BTreeSet<Name>,
    settings: Settings,
    plotted: bool,
) -> Vec<History> {
    let bar = ProgressBar::with_draw_target(
        Some((traces.len() * names.len()) as u64),
        ProgressDrawTarget::stderr(),
    );
    let mut histories = Vec::with_capacity(traces.len());
    for (name, trace) in traces {
        let mut history = History::new(name, trace, settings);
        for policy in names {
            if let Some(run) = reference::simulate(*policy, &history.trace, settings) {
                history.add(*policy, run, plotted);
            }
            bar.inc(1);
        }
        histories.push(history);
    }
    bar.finish_and_clear();
    histories
}
