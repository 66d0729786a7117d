//! `tidegate quarantine show`.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use tidegate_consumer::PoisonReason;
use tidegate_consumer::envelope::{Envelope, PayloadEncoding, hashed};
use tidegate_runtime::settings::size;

use super::document::{Payload, Record};
use super::filter::Filter;
use super::list::short;
use super::{Source, load, scan, store, view};

/// Which record, and how much of it.
#[derive(clap::Args)]
pub struct Arguments {
    /// The record, by its id or the beginning of it
    id: String,
    #[command(flatten)]
    source: Source,
    /// Show the partition key and the payload as they are
    #[arg(long)]
    raw: bool,
    /// How much of the payload is shown
    #[arg(long, value_name = "SIZE", value_parser = size, default_value = "1KiB")]
    bytes: u64,
    /// Write the payload to a file as its producer wrote it; - is standard output
    #[arg(long, value_name = "FILE", conflicts_with = "json")]
    out: Option<PathBuf>,
    /// Print the envelope as JSON: with --raw whole, otherwise without partition key and payload
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let mut store = store::open(&arguments.source.from)?;
    let scan = scan::scan(&mut *store, &Filter::of_id(&arguments.id))?;
    let record = match scan.records.as_slice() {
        [record] => record,
        [] => bail!(
            "no record in {} has an id that begins with {}: `tidegate quarantine list` shows them",
            arguments.source.from,
            arguments.id
        ),
        several => {
            let ids: Vec<_> = several.iter().take(5).map(|record| record.id.as_str()).collect();
            bail!(
                "{} records have an id that begins with {}: give more of it, of {}",
                several.len(),
                arguments.id,
                ids.join(", ")
            )
        }
    };
    let loaded = match &record.payload {
        Payload::Stream { .. } => None,
        _ => Some(load::envelope(&mut *store, record)?),
    };
    let envelope = loaded.as_ref().unwrap_or(&record.envelope);
    if arguments.json {
        crate::print(&json(envelope, arguments.raw)?)?;
    } else if let Some(path) = &arguments.out {
        write(path, &envelope.payload_bytes()?)?;
    } else {
        crate::print(&text(arguments, record, envelope)?)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn json(envelope: &Envelope, raw: bool) -> anyhow::Result<String> {
    let mut value = serde_json::to_value(envelope)?;
    if !raw && let Some(fields) = value.as_object_mut() {
        fields.remove("payload");
        let key = fields.remove("partition_key").unwrap_or_default();
        fields.insert("key_hash".to_owned(), key.as_str().map(hashed).into());
        fields.insert("error".to_owned(), error(envelope, raw).into());
    }
    Ok(serde_json::to_string_pretty(&value)?)
}

/// Of a panic only that there was one: what it said may quote the payload.
fn error(envelope: &Envelope, raw: bool) -> String {
    if envelope.reason == PoisonReason::Panic.code() && !raw {
        return format!("{} (--raw shows what it said)", envelope.error.message);
    }
    envelope.error.line()
}

fn text(arguments: &Arguments, record: &Record, envelope: &Envelope) -> anyhow::Result<String> {
    let raw = arguments.raw;
    let mut lines = Vec::new();
    let mut say = |name: &str, what: Option<String>| {
        lines.extend(what.map(|what| format!("{name:<16} {what}")));
    };
    let key = |key: &String| if raw { key.clone() } else { format!("{} (its hash)", hashed(key)) };
    say("id", Some(record.id.clone()));
    let place =
        if record.of > 1 { format!(", record {}", record.index + 1) } else { String::new() };
    say("document", Some(format!("{}{place}", record.key)));
    say("reason", Some(format!("{} ({})", envelope.reason, envelope.stage)));
    say("error", Some(error(envelope, raw)));
    say("function", Some(envelope.function_arn.clone()));
    say("request", Some(envelope.request_id.clone()));
    say("stream", envelope.stream_arn.clone());
    say("shard", envelope.shard_id.clone());
    say("sequence number", envelope.sequence_number.clone());
    say("place in it", envelope.sub_sequence_number.map(|place| place.to_string()));
    say("partition key", envelope.partition_key.as_ref().map(key));
    say("hash key", envelope.explicit_hash_key.clone());
    say("arrived", envelope.approximate_arrival.map(|at| at.to_string()));
    say("quarantined", Some(envelope.first_seen.to_string()));
    say("redriven", Some(format!("{} times", envelope.redrive_count)));
    if let Payload::Stream { last, records } = &record.payload {
        say("batch", Some(format!("{records} records, the last {last}")));
        say("payload", Some("in the stream, as long as its retention lasts".to_owned()));
        return Ok(lines.join("\n"));
    }
    say("payload", Some(format!("{} bytes{}", envelope.size, stands_for(envelope))));
    say("sha256", Some(envelope.sha256.clone()));
    let bytes_max = usize::try_from(arguments.bytes).unwrap_or(usize::MAX);
    let view = view::view(&envelope.payload_bytes()?, bytes_max, raw);
    let hint = if raw {
        String::new()
    } else {
        format!(
            "\n\nletters and digits are hidden: `show {} --raw` shows them, `--out FILE` writes the \
             payload",
            short(&record.id)
        )
    };
    Ok(format!("{}\n\n{view}{hint}", lines.join("\n")))
}

fn stands_for(envelope: &Envelope) -> &'static str {
    match envelope.payload_encoding {
        PayloadEncoding::Base64 => "",
        PayloadEncoding::Verbatim => ", the event's data, which is no base64",
        PayloadEncoding::Record => ", the event's whole entry",
        PayloadEncoding::Entry => ", the malformed entry of an aggregate",
    }
}

fn write(path: &PathBuf, bytes: &[u8]) -> anyhow::Result<()> {
    if path.as_os_str() == "-" {
        return std::io::stdout().write_all(bytes).context("standard output cannot be written");
    }
    fs::write(path, bytes).with_context(|| format!("{} cannot be written", path.display()))
}
