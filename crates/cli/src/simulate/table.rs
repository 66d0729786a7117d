//! What was simulated, for people.

use std::collections::BTreeSet;
use std::fmt::Write;

use tidegate_local::reference::price::{self, HOURS_PER_MONTH};
use tidegate_local::reference::{Name, Settings};

use super::bill::Month;
use super::outcome::{History, Outcome};

/// Everything, history by history, and the medians when there are several.
pub fn text(histories: &[History], names: &BTreeSet<Name>, settings: Settings) -> String {
    let mut text = String::new();
    for history in histories {
        one(&mut text, history);
    }
    if histories.len() > 1 {
        medians(&mut text, histories, names);
    }
    if names.contains(&Name::Tidegate) {
        let minutes = settings.heartbeat_minutes;
        let _ = writeln!(
            text,
            "tidegate with a heartbeat of {minutes}m reads CloudWatch for ${:.2} a month and \
             stream, which no bill above holds (1m: ${:.2}, 5m: ${:.2})",
            price::reads_a_month(minutes),
            price::reads_a_month(1),
            price::reads_a_month(5)
        );
    }
    text.truncate(text.trim_end().len());
    text
}

fn one(text: &mut String, history: &History) {
    let days = history.hours() / 24.0;
    let _ = writeln!(text, "{}: {days:.1} days, peak {} shards", history.name, history.peak());
    for note in &history.notes {
        let _ = writeln!(text, "  {note}");
    }
    let _ = writeln!(
        text,
        "  {:<16} {:>11} {:>6} {:>11} {:>8} {:>6} {:>9} {:>12}",
        "policy", "shard-hours", "ratio", "throttled %", "minutes", "calls", "rejected", "cost"
    );
    for outcome in &history.outcomes {
        let _ = writeln!(
            text,
            "  {:<16} {:>11} {:>6} {:>11.3} {:>8} {:>6} {:>9} {:>12}",
            outcome.name.word(),
            shard_hours(outcome),
            ratio(history.ratio(outcome)),
            outcome.throttled_bytes_pct,
            outcome.throttled_minutes,
            outcome.calls.len(),
            outcome.rejected_calls,
            usd(outcome.cost_usd),
        );
    }
    if !history.outcomes.is_empty() {
        months(text, history);
    }
    text.push('\n');
}

/// The bill of a month, and what is saved against the other modes.
fn months(text: &mut String, history: &History) {
    let month = |cost: f64| usd(cost * HOURS_PER_MONTH / history.hours());
    let modes = history.modes;
    let _ = writeln!(
        text,
        "  a month: fixed at the peak {}, on-demand {}, on-demand Advantage {}",
        month(modes.static_peak_usd),
        month(modes.on_demand_usd),
        month(modes.advantage_usd)
    );
    let _ = writeln!(
        text,
        "  {:<16} {:>11}   saved against: {:>13} {:>12} {:>12}",
        "policy", "a month", "fixed peak", "on-demand", "Advantage"
    );
    for outcome in &history.outcomes {
        let bill = Month::of(history, outcome);
        let _ = writeln!(
            text,
            "  {:<16} {:>11} {:>30} {:>12} {:>12}",
            outcome.name.word(),
            usd(bill.usd),
            usd(bill.saved_static_peak_usd),
            usd(bill.saved_on_demand_usd),
            usd(bill.saved_advantage_usd)
        );
    }
}

fn medians(text: &mut String, histories: &[History], names: &BTreeSet<Name>) {
    let _ = writeln!(text, "medians over {} histories", histories.len());
    let _ = writeln!(
        text,
        "  {:<16} {:>11} {:>6} {:>11} {:>8} {:>6} {:>9} {:>12}",
        "policy", "", "ratio", "throttled %", "minutes", "calls", "rejected", "a month"
    );
    for name in names {
        let of = |value: &dyn Fn(&History, &Outcome) -> Option<f64>| {
            let values =
                histories.iter().filter_map(|history| value(history, history.outcome(*name)?));
            median(values.collect())
        };
        let whole = |value: Option<f64>| value.map_or_else(dash, |value| format!("{value:.0}"));
        let throttled = of(&|_, outcome| Some(outcome.throttled_bytes_pct));
        let rejected: u64 = histories
            .iter()
            .filter_map(|history| history.outcome(*name))
            .map(|outcome| outcome.rejected_calls)
            .sum();
        let _ = writeln!(
            text,
            "  {:<16} {:>11} {:>6} {:>11} {:>8} {:>6} {:>9} {:>12}",
            name.word(),
            "",
            ratio(of(&|history, outcome| history.ratio(outcome))),
            throttled.map_or_else(dash, |value| format!("{value:.3}")),
            whole(of(&|_, outcome| Some(count(outcome.throttled_minutes)))),
            whole(of(&|_, outcome| Some(count(outcome.calls.len())))),
            format!("{rejected} in all"),
            of(&|history, outcome| Some(Month::of(history, outcome).usd)).map_or_else(dash, usd),
        );
    }
    text.push('\n');
}

/// The middle one, or the mean of the two in the middle.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = *values.get((values.len() - 1) / 2)?;
    Some(f64::midpoint(lower, upper))
}

fn shard_hours(outcome: &Outcome) -> String {
    if outcome.name == Name::OnDemand { dash() } else { format!("{:.0}", outcome.shard_hours) }
}

fn ratio(ratio: Option<f64>) -> String {
    ratio.map_or_else(dash, |ratio| format!("{ratio:.2}"))
}

/// Dollars; a minus before the sign.
fn usd(amount: f64) -> String {
    let sign = if amount <= -0.005 { "-" } else { "" };
    format!("{sign}${:.2}", amount.abs())
}

fn dash() -> String {
    "-".to_owned()
}

#[expect(clippy::cast_precision_loss, reason = "shown to people")]
fn count(number: usize) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_is_between() {
        for (values, expected) in [
            (vec![], None),
            (vec![3.0], Some(3.0)),
            (vec![5.0, 1.0], Some(3.0)),
            (vec![9.0, 1.0, 2.0], Some(2.0)),
        ] {
            assert_eq!(median(values.clone()), expected, "{values:?}");
        }
    }

    #[test]
    fn dollars_are_signed_and_never_minus_nothing() {
        for (amount, shown) in [(1.0, "$1.00"), (-2.5, "-$2.50"), (-0.001, "$0.00")] {
            assert_eq!(usd(amount), shown);
        }
    }
}
