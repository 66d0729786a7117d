//! What is reported, and what was meant so.

use serde::Serialize;

use crate::checks::{self, Check};
use crate::deployment::{Deployment, Resource};

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing: money, or a default that nobody chose.
    Note,
    /// Something goes wrong when something else does.
    Warning,
    /// Records are lost, a shard stands still, or somebody may do what nobody meant.
    Error,
}

/// One thing that a check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The check.
    pub id: &'static str,
    /// The resource: logical names, or its name in the account.
    pub resource: String,
    /// What was seen there.
    pub found: String,
    /// What happens because of it.
    pub happens: &'static str,
    /// What to do.
    pub remedy: &'static str,
    /// The page about it.
    pub link: String,
    /// Why it is meant so, where the template says that it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ignored: Option<String>,
}

/// What all checks found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// How many resources were looked at.
    pub resources: usize,
    /// How many checks there are.
    pub checks: usize,
    /// What was found, the worst first.
    pub findings: Vec<Finding>,
    /// What was found and is meant so.
    pub ignored: Vec<Finding>,
    /// What was not read, and why.
    pub unread: Vec<String>,
}

impl Report {
    /// How many findings are of a severity.
    pub fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }
}

/// Runs every check. `page` is the address of the page about the checks, to which an anchor is
/// added.
pub fn diagnose(deployment: &Deployment, page: &str) -> Report {
    let mut report = Report {
        resources: deployment.resources().len(),
        checks: checks::all().count(),
        unread: deployment.unread.clone(),
        ..Report::default()
    };
    for check in checks::all() {
        for (resource, found) in (check.look)(deployment) {
            let finding = finding(check, resource, found, page);
            if finding.ignored.is_some() {
                report.ignored.push(finding);
            } else {
                report.findings.push(finding);
            }
        }
    }
    for findings in [&mut report.findings, &mut report.ignored] {
        findings.sort_by(|a, b| {
            let place = |finding: &Finding| (finding.resource.clone(), finding.id);
            b.severity.cmp(&a.severity).then_with(|| place(a).cmp(&place(b)))
        });
    }
    report
}

fn finding(check: &Check, resource: &Resource, found: String, page: &str) -> Finding {
    // Without a reason nothing is meant so.
    let meant = |one: &&crate::deployment::Ignored| one.id == check.id && !one.reason.is_empty();
    Finding {
        severity: check.severity,
        id: check.id,
        resource: resource.place.clone(),
        found,
        happens: check.happens,
        remedy: check.remedy,
        link: format!("{page}#{}", check.id),
        ignored: resource.ignored.iter().find(meant).map(|one| one.reason.clone()),
    }
}
