//! `tidegate simulate`: a traffic history against policies, in the reference model.

mod bill;
mod outcome;
mod report;
mod table;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::builder::PossibleValue;
use indicatif::{ProgressBar, ProgressDrawTarget};
use jiff::SignedDuration;
use tidegate_autoscaler::Policy;
use tidegate_local::reference::{self, Name, Run, Settings};
use tidegate_local::trace::Trace;

use self::outcome::{History, Outcome};
use crate::policy_file;
use crate::source::{Named, Source};

/// What to try on which history.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    source: Source,
    /// A policy to try [repeatable; default: all]
    #[arg(long, value_name = "NAME")]
    policy: Vec<PolicyName>,
    /// Tidegate's bounds and tuning, as `tidegate tune` prints them
    #[arg(long, value_name = "FILE.yaml")]
    policy_file: Option<PathBuf>,
    /// What a reshard takes for each split and merge
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = per_operation)]
    per_operation: SignedDuration,
    /// How often Tidegate is woken without an alarm, in whole minutes; 5m is what the template
    /// deploys
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = heartbeat)]
    heartbeat: Heartbeat,
    /// Let Tidegate split every shard when its ten calls are spent and demand still rises;
    /// published figures are without it
    #[arg(long)]
    split_fallback: bool,
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
pub struct Heartbeat(pub usize);

/// Reads a heartbeat.
pub fn heartbeat(text: &str) -> Result<Heartbeat, String> {
    let minutes = tidegate_runtime::settings::duration(text)?.as_secs_f64() / 60.0;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked below")]
    let whole = minutes as usize;
    #[expect(clippy::cast_precision_loss, reason = "minutes")]
    let same = whole as f64 == minutes;
    let usable = same && (1..=1_440).contains(&whole);
    usable.then_some(Heartbeat(whole)).ok_or_else(|| "whole minutes from 1m to 1d".to_owned())
}

/// Reads what a split or a merge takes.
pub fn per_operation(text: &str) -> Result<SignedDuration, String> {
    const MOST: Duration = Duration::from_secs(3_600);
    let duration = tidegate_runtime::settings::duration(text)?;
    if duration > MOST {
        return Err("at most 1h".to_owned());
    }
    SignedDuration::try_from(duration).map_err(|error| error.to_string())
}

/// Simulates, prints, and writes the page.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let names: BTreeSet<Name> = match arguments.policy.as_slice() {
        [] => Name::ALL.into_iter().collect(),
        chosen => chosen.iter().map(|policy| policy.0).collect(),
    };
    let settings = Settings {
        per_operation: arguments.per_operation,
        heartbeat_minutes: arguments.heartbeat.0,
        split_fallback: arguments.split_fallback,
        ..Settings::default()
    };
    let rules = arguments.policy_file.as_deref().map(policy_file::read).transpose()?;
    let rules = rules.unwrap_or_default();
    let tries = Tries { names, rules, settings, plotted: arguments.html.is_some() };
    let histories = tries.run(arguments.source.read()?);
    if let Some(path) = &arguments.html {
        let page = report::page(&histories, settings);
        fs::write(path, page).with_context(|| format!("{} cannot be written", path.display()))?;
    }
    if arguments.json {
        for history in &histories {
            history
                .notes
                .iter()
                .for_each(|note| crate::complain(&format!("{}: {note}", history.name)));
        }
        let outcomes: Vec<&Outcome> =
            histories.iter().flat_map(|history| &history.outcomes).collect();
        return crate::print(&serde_json::to_string_pretty(&outcomes)?);
    }
    crate::print(&table::text(&histories, &tries.names, settings))?;
    if let Some(path) = &arguments.html {
        crate::print(&format!("\nlook at {}", path.display()))?;
    }
    Ok(())
}

/// What is tried.
struct Tries {
    names: BTreeSet<Name>,
    /// Tidegate's policy.
    rules: Policy,
    settings: Settings,
    plotted: bool,
}

impl Tries {
    /// Runs every policy over every history.
    fn run(&self, histories: Vec<Named>) -> Vec<History> {
        let bar = ProgressBar::with_draw_target(
            Some((histories.len() * self.names.len()) as u64),
            ProgressDrawTarget::stderr(),
        );
        let run = |named: Named| {
            let mut history = History::new(named, self.settings);
            for policy in &self.names {
                if let Some(run) = self.one(*policy, &history.trace) {
                    history.add(*policy, run, self.plotted);
                }
                bar.inc(1);
            }
            history
        };
        let histories = histories.into_iter().map(run).collect();
        bar.finish_and_clear();
        histories
    }

    fn one(&self, name: Name, trace: &Trace) -> Option<Run> {
        match name {
            Name::Tidegate => Some(reference::tidegate(trace, self.settings, self.rules.clone())),
            other => reference::simulate(other, trace, self.settings),
        }
    }
}
