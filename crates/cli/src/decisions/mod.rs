//! `tidegate decisions`: what the autoscaler did with a stream and why, from its log lines.

mod lines;
mod table;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::bail;
use jiff::{SignedDuration, Timestamp};

use self::lines::Found;

/// Whose decisions, and where they are.
#[derive(clap::Args)]
#[command(group(clap::ArgGroup::new("from").required(true)))]
pub struct Arguments {
    /// Only those on this stream; needed for a log group
    #[arg(long, value_name = "NAME")]
    stream: Option<String>,
    /// How far back; 1d for a log group, everything for a file
    #[arg(long, value_name = "DURATION", value_parser = tidegate_runtime::settings::duration)]
    since: Option<Duration>,
    /// The function's log lines, or decisions.jsonl of the demo; a folder of such files, or - for
    /// standard input
    #[arg(long, value_name = "FILE", group = "from")]
    file: Option<PathBuf>,
    /// A log group of CloudWatch Logs, with the usual AWS credentials and Region
    #[arg(long, value_name = "NAME", group = "from", requires = "stream")]
    log_group: Option<String>,
    /// The stack that the autoscaler was deployed with, whose log group is looked up
    #[arg(long, value_name = "NAME", group = "from", requires = "stream")]
    stack: Option<String>,
    /// Only those that changed something, wanted to, or were refused
    #[arg(long)]
    changes: bool,
    /// Print the decisions as a JSON array
    #[arg(long)]
    json: bool,
}

/// Reads, and prints.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let now = tidegate_runtime::clock::now();
    let mut found = match &arguments.file {
        Some(path) => lines::read(path)?,
        None => arguments.logged(now)?,
    };
    match found.skipped {
        0 => {}
        1 => crate::complain("one line is no decision and was left out"),
        lines => crate::complain(&format!("{lines} lines are no decisions and were left out")),
    }
    let read = found.decisions.len();
    if let Some(stream) = &arguments.stream {
        found.decisions.retain(|decision| decision.stream == *stream);
    }
    if let Some(since) = arguments.since {
        let from = now - SignedDuration::try_from(since)?;
        found.decisions.retain(|decision| decision.at >= from);
    }
    if found.decisions.is_empty() {
        bail!("{}", nothing(read, arguments));
    }
    found.decisions.sort_by(|a, b| (a.at, &a.stream).cmp(&(b.at, &b.stream)));
    let summary = table::summary(&found.decisions);
    if arguments.changes {
        found
            .decisions
            .retain(|decision| decision.action != "hold" || decision.applied == "refused");
    }
    if arguments.json {
        let all: Vec<_> = found.decisions.iter().map(|decision| &decision.whole).collect();
        return crate::print(&serde_json::to_string_pretty(&all)?);
    }
    crate::print(&table::text(&found.decisions))?;
    crate::print(&summary)
}

/// The sentence when nothing is left to print.
fn nothing(read: usize, arguments: &Arguments) -> String {
    let stream = arguments.stream.as_deref().map(|name| format!(" on {name}")).unwrap_or_default();
    if read == 0 {
        return format!(
            "no decision{stream} was found: is that the autoscaler's log, and does --since go back \
             far enough?"
        );
    }
    format!(
        "none of the {read} decisions that were read is{stream} within --since: widen it, or \
             name another stream"
    )
}

impl Arguments {
    /// From CloudWatch Logs.
    #[cfg(feature = "aws")]
    fn logged(&self, now: Timestamp) -> anyhow::Result<Found> {
        /// How far back the log is read when nothing is said.
        const SINCE: Duration = Duration::from_secs(86_400);
        let since = SignedDuration::try_from(self.since.unwrap_or(SINCE))?;
        let group = match (&self.log_group, &self.stack) {
            (Some(name), _) => crate::logs::Group::Name(name.clone()),
            (None, stack) => crate::logs::Group::Stack(stack.clone().unwrap_or_default()),
        };
        let stream = self.stream.as_deref().unwrap_or_default();
        let text = crate::logs::decisions(group, stream, now - since)?;
        let mut found = Found::default();
        text.iter().for_each(|line| found.take(line));
        Ok(found)
    }

    /// Without the AWS SDK there is no log to read.
    #[cfg(not(feature = "aws"))]
    fn logged(&self, _now: Timestamp) -> anyhow::Result<Found> {
        let named = self.log_group.as_ref().map_or("--stack", |_| "--log-group");
        Err(crate::needs_aws(&format!("`decisions {named}`")))
    }
}
