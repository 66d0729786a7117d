//! What a fitted policy is worth: comments of the policy file, or JSON.

use std::fmt::Write;

use anyhow::Context;
use serde::Serialize;
use tidegate_autoscaler::Policy;

use super::score::Figures;
use crate::policy_file;

/// More throttled than this above the start, in percent of the bytes, is worse and not noise.
const MORE_THROTTLED_PCT: f64 = 0.01;

/// Two policies on the same minutes.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Pair {
    /// The one that was begun with.
    pub begun: Figures,
    /// The fitted one.
    pub tuned: Figures,
}

/// Everything that was found.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The histories.
    pub histories: Vec<String>,
    /// The days of each.
    pub days: Vec<f64>,
    /// What was made up for in them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// How many were run.
    pub simulations: usize,
    /// Whether the fitted policy is another than the one that was begun with.
    pub changed: bool,
    /// The fitted policy.
    pub policy: Policy,
    /// Measured on the minutes that it was fitted on.
    pub in_sample: Pair,
    /// Fitted on the first two thirds, measured on the rest.
    pub held_out: Pair,
}

/// The days of so many minutes.
pub fn days(minutes: usize) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "minutes of a history")]
    let days = minutes as f64 / 1_440.0;
    (days * 10.0).round() / 10.0
}

impl Report {
    /// As one object.
    pub fn json(&self) -> anyhow::Result<String> {
        serde_json::to_string_pretty(self).context("the figures cannot be printed")
    }

    /// The policy file, whose comments say what it is worth.
    pub fn text(&self) -> String {
        let mut comment = String::new();
        for (name, days) in self.histories.iter().zip(&self.days) {
            let _ = writeln!(comment, "Fitted to {name}, {days} days.");
        }
        for note in &self.notes {
            let _ = writeln!(comment, "Of the history, {note}.");
        }
        let _ = writeln!(comment, "{}\n", self.verdict());
        table(&mut comment, "on the days that it was fitted to", &self.in_sample);
        comment.push('\n');
        table(
            &mut comment,
            "held out: fitted to the first two thirds, on the rest",
            &self.held_out,
        );
        let _ = writeln!(comment, "\n{}", self.risk());
        let _ = writeln!(comment, "\nFor the deployed function: {}", self.setting());
        let mut text: String = comment.lines().fold(String::new(), |mut text, line| {
            let _ = writeln!(text, "{}", format!("# {line}").trim_end());
            text
        });
        text.push_str(policy_file::text(&self.policy).trim_end());
        text
    }

    /// The tuning as the function's setting takes it.
    fn setting(&self) -> String {
        match self.policy.tuning.differences().as_str() {
            "" => "no TIDEGATE_TUNING, since this is the default".to_owned(),
            differences => format!("TIDEGATE_TUNING={differences}"),
        }
    }

    /// What to do with it.
    fn verdict(&self) -> &'static str {
        let Pair { begun, tuned } = self.held_out;
        let throttles_more =
            tuned.throttled_bytes_pct > begun.throttled_bytes_pct + MORE_THROTTLED_PCT;
        if !self.changed {
            "Nothing that was tried is clearly better: keep the policy that you have."
        } else if throttles_more || tuned.month_usd > begun.month_usd {
            "The days that were held out speak against it: keep the policy that you have."
        } else {
            "The days that were held out agree with it: try it in shadow mode first."
        }
    }

    fn risk(&self) -> String {
        let shortest = self.days.iter().copied().fold(f64::INFINITY, f64::min);
        let week = if shortest < 7.0 {
            "No whole week was seen, so a weekend may be another thing altogether. "
        } else if shortest < 14.0 {
            "No day of the week was seen twice. "
        } else {
            ""
        };
        format!(
            "The first figures are in-sample: the policy was chosen by the minutes that it is \
             measured on.\nThe second are what to expect, as far as the days to come are like these. \
             {week}{} simulations.",
            self.simulations
        )
    }
}

fn table(text: &mut String, title: &str, pair: &Pair) {
    let Pair { begun, tuned } = pair;
    let _ = writeln!(text, "{title}");
    let _ =
        writeln!(text, "  {:<14} {:>12} {:>12} {:>12}", "", "begun with", "tuned", "difference");
    let rows = [
        ("shard-hours", begun.shard_hours, tuned.shard_hours, 0),
        ("$ a month", begun.month_usd, tuned.month_usd, 2),
        ("throttled %", begun.throttled_bytes_pct, tuned.throttled_bytes_pct, 3),
    ];
    for (name, begun, tuned, digits) in rows {
        let difference = tuned - begun;
        let _ = writeln!(
            text,
            "  {name:<14} {begun:>12.digits$} {tuned:>12.digits$} {difference:>+12.digits$}"
        );
    }
}
