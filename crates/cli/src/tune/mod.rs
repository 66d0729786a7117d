//! `tidegate tune`: fits the policy's few settings to a history, and says what that is worth.

mod report;
mod score;
mod search;

use std::path::PathBuf;

use anyhow::ensure;
use indicatif::{ProgressBar, ProgressDrawTarget};
use jiff::SignedDuration;
use tidegate_autoscaler::Policy;
use tidegate_autoscaler::policy::Tuning;
use tidegate_local::reference::{self, Settings};
use tidegate_local::trace::Trace;

use self::report::{Pair, Report};
use self::score::Score;
use self::search::Search;
use crate::policy_file;
use crate::simulate::{Heartbeat, heartbeat, per_operation};
use crate::source::{Named, Source};

/// A shorter history has no earlier day that the policy could learn from.
const LEAST_MINUTES: usize = 2 * 24 * 60;

/// The part of a history that a policy is fitted on, where the rest is held out: two thirds.
const FITTED: (usize, usize) = (2, 3);

/// What to fit to which history.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    source: Source,
    /// Bounds, and the tuning to begin with
    #[arg(long, value_name = "FILE.yaml")]
    policy_file: Option<PathBuf>,
    /// The most that may be throttled, in percent of the bytes; the policy that is begun with is
    /// allowed what it throttles
    #[arg(long, value_name = "PERCENT", default_value_t = 0.03, value_parser = percent)]
    most_throttled: f64,
    /// What a reshard takes for each split and merge
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = per_operation)]
    per_operation: SignedDuration,
    /// How often Tidegate is woken without an alarm, in whole minutes
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = heartbeat)]
    heartbeat: Heartbeat,
    /// Print the figures and the policy as JSON, and no policy file
    #[arg(long)]
    json: bool,
}

fn percent(text: &str) -> Result<f64, String> {
    let percent = text.trim_end_matches('%').trim().parse::<f64>().ok();
    percent
        .filter(|percent| (0.0..=10.0).contains(percent))
        .ok_or_else(|| "a percentage from 0 to 10, such as 0.03".to_owned())
}

/// Fits, and prints the policy file with what it is worth.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let rules = arguments.policy_file.as_deref().map(policy_file::read).transpose()?;
    let rules = rules.unwrap_or_default();
    let named = arguments.source.read()?;
    long_enough(&named)?;
    let notes: Vec<_> = named.iter().flat_map(|one| one.notes.clone()).collect();
    let names = named.iter().map(|one| one.name.clone()).collect();
    let traces: Vec<_> = named.into_iter().map(|one| one.trace).collect();
    let settings = Settings {
        per_operation: arguments.per_operation,
        heartbeat_minutes: arguments.heartbeat.0,
        ..Settings::default()
    };
    let work = Work { settings, rules: &rules, allowed_pct: arguments.most_throttled };
    let mut report = work.fit(&traces);
    report.histories = names;
    report.notes = notes;
    crate::print(&if arguments.json { report.json()? } else { report.text() })
}

fn long_enough(named: &[Named]) -> anyhow::Result<()> {
    for Named { name, trace, .. } in named {
        let hours = trace.minutes.len() / 60;
        ensure!(
            trace.minutes.len() >= LEAST_MINUTES,
            "{name} has {hours} hours, too few to fit a policy that learns from earlier days: take \
             at least 2 days, or better 14"
        );
    }
    Ok(())
}

/// How it is fitted.
struct Work<'a> {
    settings: Settings,
    rules: &'a Policy,
    allowed_pct: f64,
}

impl Work<'_> {
    /// Fits on everything for the policy, and on the first part for an honest figure.
    fn fit(&self, traces: &[Trace]) -> Report {
        let firsts: Vec<_> = traces.iter().map(first_part).collect();
        let most = 2 * search::most_simulations(traces.len()) + 4 * traces.len();
        let bar = ProgressBar::with_draw_target(Some(most as u64), ProgressDrawTarget::stderr());
        let search = |traces: &[Trace]| {
            let Self { settings, rules, allowed_pct } = *self;
            Search { traces, settings, rules, allowed_pct, bar: &bar }.run()
        };
        let (early, first_simulations) = search(&firsts);
        let (tuning, simulations) = search(traces);
        let begun = self.rules.tuning;
        let held_out = |trace: &Trace| first_part(trace).minutes.len();
        let report = Report {
            histories: Vec::new(),
            notes: Vec::new(),
            days: traces.iter().map(|trace| report::days(trace.minutes.len())).collect(),
            simulations: first_simulations + simulations,
            policy: Policy { tuning, ..self.rules.clone() },
            changed: tuning != begun,
            in_sample: self.pair(traces, begun, tuning, |_| 0),
            held_out: self.pair(traces, begun, early, held_out),
        };
        bar.finish_and_clear();
        report
    }

    /// Two tunings, measured on each history from a minute on. The minutes before it are simulated
    /// too: the policy has learned from them by then.
    fn pair(
        &self,
        traces: &[Trace],
        begun: Tuning,
        tuned: Tuning,
        from: impl Fn(&Trace) -> usize,
    ) -> Pair {
        let measure = |tuning: Tuning| {
            let mut score = Score::default();
            for trace in traces {
                let rules = Policy { tuning, ..self.rules.clone() };
                score.add(trace, &reference::tidegate(trace, self.settings, rules), from(trace));
            }
            score.figures()
        };
        Pair { begun: measure(begun), tuned: measure(tuned) }
    }
}

/// What a policy is fitted on when the rest is held out.
fn first_part(trace: &Trace) -> Trace {
    let minutes = trace.minutes.len() * FITTED.0 / FITTED.1;
    Trace { start: trace.start, minutes: trace.minutes[..minutes].to_vec() }
}
