//! Decisions for people.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::lines::Logged;

/// A line a decision.
pub fn text(decisions: &[Logged]) -> String {
    let widest = |of: fn(&Logged) -> usize, least: usize| {
        decisions.iter().map(of).max().unwrap_or(0).max(least)
    };
    let stream = widest(|decision| decision.stream.len(), 6);
    let reason = widest(|decision| decision.reason.len(), 6);
    let mut text = format!(
        "{:<20} {:<stream$} {:>15} {:<8} {:<reason$} why\n",
        "time", "stream", "shards", "applied", "reason"
    );
    for decision in decisions {
        let Logged { at, stream: name, reason: word, message, applied, .. } = decision;
        let _ = writeln!(
            text,
            "{:<20} {name:<stream$} {:>15} {applied:<8} {word:<reason$} {message}",
            at.strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
            shards(decision)
        );
    }
    text.truncate(text.trim_end().len());
    text
}

fn shards(decision: &Logged) -> String {
    match (decision.from, decision.to) {
        (Some(from), Some(to)) if from != to => format!("{from} → {to}"),
        (Some(from), _) => from.to_string(),
        _ => "-".to_owned(),
    }
}

/// What all of them were, in one line.
pub fn summary(decisions: &[Logged]) -> String {
    let mut kinds: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for decision in decisions {
        *kinds.entry((&decision.action, &decision.applied)).or_default() += 1;
    }
    let kind = |((action, applied), count): (&(&str, &str), &usize)| match (*action, *applied) {
        ("hold", "nothing") => format!("{count} hold"),
        (action, applied) => format!("{count} {action} ({applied})"),
    };
    let kinds: Vec<_> = kinds.iter().map(kind).collect();
    let plural = if decisions.len() == 1 { "decision" } else { "decisions" };
    format!("{} {plural}: {}", decisions.len(), kinds.join(", "))
}
