//! `tidegate quarantine stats`.

use std::collections::BTreeMap;
use std::process::ExitCode;

use jiff::Timestamp;
use serde_json::json;
use tidegate_consumer::envelope::{function_name, hashed};

use super::document::{Payload, Record};
use super::filter::{Filter, stream_of};
use super::scan::Scan;
use super::{Source, code, scan};

/// Shards, keys and hours that are named.
const NAMED: usize = 8;

/// What to count.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    filter: Filter,
    /// Print every count as JSON
    #[arg(long)]
    json: bool,
}

/// Counts by what is counted.
type Counts = BTreeMap<String, u64>;

#[derive(Default)]
struct Stats {
    records: u64,
    bytes: u64,
    oldest: Option<Timestamp>,
    newest: Option<Timestamp>,
    by_reason: Counts,
    by_function: Counts,
    by_stream: Counts,
    by_shard: Counts,
    by_key: Counts,
    by_hour: Counts,
    by_redrives: Counts,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let scan = scan(&arguments.source, &arguments.filter)?;
    let mut stats = Stats::default();
    for record in &scan.records {
        stats.add(record);
    }
    crate::print(&if arguments.json { stats.json(&scan) } else { stats.text(&scan) })?;
    Ok(code(&scan))
}

impl Stats {
    fn add(&mut self, record: &Record) {
        let envelope = &record.envelope;
        let weight = match record.payload {
            Payload::Stream { records, .. } => records,
            _ => 1,
        };
        self.records += weight;
        self.bytes += envelope.size;
        let at = envelope.first_seen;
        self.oldest = Some(self.oldest.map_or(at, |oldest| oldest.min(at)));
        self.newest = Some(self.newest.map_or(at, |newest| newest.max(at)));
        let unknown = || "unknown".to_owned();
        let shard = envelope.shard_id.clone().unwrap_or_else(unknown);
        let key = envelope.partition_key.as_deref().map_or_else(unknown, hashed);
        let text = |found: Option<&str>| found.map_or_else(unknown, ToOwned::to_owned);
        for (counts, of) in [
            (&mut self.by_reason, envelope.reason.clone()),
            (&mut self.by_function, text(function_name(&envelope.function_arn))),
            (&mut self.by_stream, text(stream_of(envelope))),
            (&mut self.by_shard, shard),
            (&mut self.by_key, key),
            (&mut self.by_hour, hour(at)),
            (&mut self.by_redrives, envelope.redrive_count.to_string()),
        ] {
            *counts.entry(of).or_default() += weight;
        }
    }

    fn json(&self, scan: &Scan) -> String {
        json!({
            "records": self.records,
            "bytes": self.bytes,
            "oldest": self.oldest,
            "newest": self.newest,
            "by_reason": self.by_reason,
            "by_function": self.by_function,
            "by_stream": self.by_stream,
            "by_shard": self.by_shard,
            "by_key_hash": self.by_key,
            "by_hour": self.by_hour,
            "by_redrive_count": self.by_redrives,
            "unreadable": scan.unreadable.len(),
            "redriven": scan.redriven.len(),
        })
        .to_string()
    }

    fn text(&self, scan: &Scan) -> String {
        let (Some(oldest), Some(newest)) = (self.oldest, self.newest) else {
            return format!("records    none; {} put back", scan.redriven.len());
        };
        let lines = [
            format!(
                "records    {} ({} bytes), from {oldest:.0} to {newest:.0}; {} put back",
                self.records,
                self.bytes,
                scan.redriven.len()
            ),
            format!("reasons    {}", most(&self.by_reason, usize::MAX)),
            format!("functions  {}", most(&self.by_function, NAMED)),
            format!("streams    {}", most(&self.by_stream, NAMED)),
            format!("shards     {}", most(&self.by_shard, NAMED)),
            format!("keys       {}", most(&self.by_key, NAMED)),
            format!("hours      {}", most(&self.by_hour, NAMED)),
            format!("redriven   {}", times(&self.by_redrives)),
        ];
        lines.join("\n")
    }
}

/// The hour of a moment.
fn hour(at: Timestamp) -> String {
    format!("{:.13}Z", at.to_string())
}

/// The largest counts, and how many there are beside them.
fn most(counts: &Counts, named: usize) -> String {
    let mut sorted: Vec<_> = counts.iter().collect();
    sorted.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
    let more = sorted.len().saturating_sub(named);
    let shown: Vec<_> =
        sorted.iter().take(named).map(|(of, count)| format!("{count} {of}")).collect();
    let more = if more > 0 { format!(", and {more} more") } else { String::new() };
    format!("{}{more}", shown.join(", "))
}

fn times(counts: &Counts) -> String {
    let shown = counts.iter().map(|(times, count)| match times.as_str() {
        "0" => format!("{count} never"),
        times => format!("{count} {times} times"),
    });
    shown.collect::<Vec<_>>().join(", ")
}
