//! The report, for people.

use std::collections::BTreeMap;
use std::fmt::Write;

use tidegate_doctor::{Finding, Report, Severity};

/// Columns that a line is wrapped at.
const WIDTH: usize = 100;

/// Where the second column begins.
const INDENT: usize = 9;

/// The whole report.
pub fn report(report: &Report) -> String {
    let mut text = String::new();
    for finding in &report.findings {
        let word = match finding.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        };
        let Finding { id, resource, found, .. } = finding;
        let _ = writeln!(text, "{word:<INDENT$}{id}");
        wrapped(&mut text, &format!("{resource}: {found}"));
        wrapped(&mut text, finding.happens);
        wrapped(&mut text, &format!("Remedy: {}", finding.remedy));
        let _ = writeln!(text, "{:INDENT$}{}\n", "", finding.link);
    }
    for ((id, why), places) in ignored(report) {
        let _ = writeln!(text, "{:<INDENT$}{id}", "ignored");
        wrapped(&mut text, &format!("{}: {why}", places.join(", ")));
        text.push('\n');
    }
    for what in &report.unread {
        let _ = writeln!(text, "not looked at: {what}\n");
    }
    text + &summary(report)
}

/// Where each check is ignored, for each of its reasons.
fn ignored(report: &Report) -> BTreeMap<(&str, &str), Vec<&str>> {
    let mut all: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for finding in &report.ignored {
        let why = finding.ignored.as_deref().unwrap_or_default();
        all.entry((finding.id, why)).or_default().push(finding.resource.as_str());
    }
    all
}

/// The last line.
fn summary(report: &Report) -> String {
    let counted =
        |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    format!(
        "{} looked at with {}: {}, {}, {}; {} ignored with a reason",
        counted(report.resources, "resource"),
        counted(report.checks, "check"),
        counted(report.count(Severity::Error), "error"),
        counted(report.count(Severity::Warning), "warning"),
        counted(report.count(Severity::Note), "note"),
        report.ignored.len(),
    )
}

/// A paragraph in the second column.
fn wrapped(into: &mut String, paragraph: &str) {
    let mut line = String::new();
    for word in paragraph.split_whitespace() {
        if !line.is_empty() && INDENT + line.len() + 1 + word.len() > WIDTH {
            let _ = writeln!(into, "{:INDENT$}{line}", "");
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    let _ = writeln!(into, "{:INDENT$}{line}", "");
}
