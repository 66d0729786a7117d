//! `tidegate quarantine list`.

use std::process::ExitCode;

use serde_json::{Value, json};
use tidegate_consumer::envelope::{function_name, hashed};

use super::document::{Payload, Record};
use super::filter::{Filter, stream_of};
use super::table::table;
use super::{Source, code, scan};

/// Characters of an id that are shown; as many tell a hundred thousand records apart.
const ID_CHARS: usize = 12;

/// What to list.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    filter: Filter,
    /// Lines at the most
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
    /// Print a JSON object a record, with the partition key as it is
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let scan = scan(&arguments.source, &arguments.filter)?;
    let shown = &scan.records[..scan.records.len().min(arguments.limit)];
    if arguments.json {
        for record in shown {
            crate::print(&line(record).to_string())?;
        }
    } else if !shown.is_empty() {
        let rows: Vec<_> = shown.iter().map(row).collect();
        let heading = ["ID", "REASON", "SHARD", "FIRST SEEN", "KEY", "BYTES", "REDRIVEN"];
        crate::print(&table(&heading, &rows))?;
    }
    let more = scan.records.len() - shown.len();
    match (scan.records.len(), more) {
        (0, _) => crate::complain("nothing is in quarantine that passes the filter"),
        (_, 0) => {}
        _ => crate::complain(&format!("{more} more: --limit shows them, the filters fewer")),
    }
    Ok(code(&scan))
}

/// The beginning of an id.
pub fn short(id: &str) -> &str {
    id.get(..ID_CHARS).unwrap_or(id)
}

fn row(record: &Record) -> Vec<String> {
    let envelope = &record.envelope;
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let bytes = match &record.payload {
        Payload::Stream { records, .. } => format!("{records} records in the stream"),
        _ => envelope.size.to_string(),
    };
    vec![
        short(&record.id).to_owned(),
        envelope.reason.clone(),
        or_dash(envelope.shard_id.clone()),
        format!("{:.0}", envelope.first_seen),
        or_dash(envelope.partition_key.as_deref().map(hashed)),
        bytes,
        envelope.redrive_count.to_string(),
    ]
}

/// What an envelope says, without its payload.
fn line(record: &Record) -> Value {
    let envelope = &record.envelope;
    let mut line = json!({
        "id": record.id,
        "document": record.key,
        "reason": envelope.reason,
        "stage": envelope.stage,
        "function": function_name(&envelope.function_arn),
        "stream": stream_of(envelope),
        "shard_id": envelope.shard_id,
        "sequence_number": envelope.sequence_number,
        "sub_sequence_number": envelope.sub_sequence_number,
        "partition_key": envelope.partition_key,
        "key_hash": envelope.partition_key.as_deref().map(hashed),
        "approximate_arrival": envelope.approximate_arrival,
        "first_seen": envelope.first_seen,
        "size": envelope.size,
        "sha256": envelope.sha256,
        "redrive_count": envelope.redrive_count,
    });
    if let Payload::Stream { last, records } = &record.payload {
        line["records"] = (*records).into();
        line["last_sequence_number"] = last.as_str().into();
    }
    line
}
