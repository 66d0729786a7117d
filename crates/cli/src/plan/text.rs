//! A decision for people: stage by stage, and what it changes on the bill.

use std::fmt::Write;

use tidegate_autoscaler::history::CALLS_PER_DAY;
use tidegate_autoscaler::units::{HOURS_PER_MONTH, SHARD_HOUR_MICRO_USD};
use tidegate_autoscaler::{Action, Decision};

/// The whole decision.
pub fn describe(decision: &Decision) -> String {
    let mut text = format!("{}: {}\n", decision.stream, decision.message);
    for stage in &decision.stages {
        let value = stage.value.map_or_else(|| "-".to_owned(), |value| valued(stage.stage, value));
        let _ = writeln!(text, "  {:<10} {value:<20} {}", stage.stage, stage.reason.code());
    }
    text.push_str(&bill(decision));
    text
}

/// A stage's value in its unit.
fn valued(stage: &str, value: f64) -> String {
    let unit = if (value - 1.0).abs() < f64::EPSILON { "shard" } else { "shards" };
    match stage {
        "demand" | "spread" | "forecast" => format!("{value:.1} {unit}"),
        "recommend" | "stabilize" | "limit" => format!("{value:.0} {unit}"),
        "budget" => format!("{value:.0} of {CALLS_PER_DAY} calls left"),
        "apply" => format!("{value:.0} splits and merges"),
        _ => format!("{value:.1}"),
    }
}

fn bill(decision: &Decision) -> String {
    let (Some(open), Some(target)) = (decision.open_shards, decision.target) else {
        return String::new();
    };
    #[expect(clippy::cast_precision_loss, reason = "dollars, for people")]
    let shard_month = (SHARD_HOUR_MICRO_USD * HOURS_PER_MONTH) as f64 / 1e6;
    let now = shard_month * f64::from(open);
    let mut text = format!("  {} cost ${now:.2} a month (us-east-1)", shards(open));
    if decision.action == Action::Resize && open != target {
        let then = shard_month * f64::from(target);
        let (word, by) = if then > now { ("more", then - now) } else { ("less", now - then) };
        let _ = write!(text, ", {target} cost ${then:.2}: ${by:.2} {word}");
    }
    text.push('\n');
    text
}

fn shards(count: u32) -> String {
    format!("{count} {}", if count == 1 { "shard" } else { "shards" })
}
