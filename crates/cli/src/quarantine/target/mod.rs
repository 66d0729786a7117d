//! Where records are put back to.

#[cfg(feature = "aws")]
mod aws;
mod bootstrap;
mod calls;
mod file;
mod pipeline;

use std::path::Path;

use anyhow::bail;
use tidegate_consumer::envelope::Envelope;

use super::document::{Payload, Record};
use super::plan::Limits;
use crate::Usage;

/// What became of a record at its target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It took it.
    Taken,
    /// It took it and gave it up again, and why.
    PoisonAgain(String),
    /// It did not take it, and why.
    Left(String),
}

/// What takes records.
pub trait Target {
    /// Why it cannot take a record, in a stable word.
    fn refuses(&self, record: &Record) -> Option<&'static str>;

    /// What a batch may hold, of what the caller wants.
    fn limits(&self, records: usize) -> Limits;

    /// A fate for each record, in their order. Records behind one of their key that is left are
    /// left, too.
    ///
    /// # Errors
    /// When no further batch can be taken either. Nothing is known of this one then.
    fn take(&mut self, batch: &[Envelope]) -> anyhow::Result<Vec<Fate>>;

    /// Whether it is a function, whose consumer writes to the store what is poison again.
    fn is_function(&self) -> bool {
        false
    }
}

/// The target of a name. A trial leaves no trace of its records anywhere.
pub fn open(name: &str, from: &str, is_trial: bool) -> anyhow::Result<Box<dyn Target>> {
    match name.split_once(':') {
        Some(("file", path)) if !path.is_empty() => {
            Ok(Box::new(file::Lines::open(path, is_trial)?))
        }
        Some(("bootstrap", path)) if !path.is_empty() => {
            Ok(Box::new(bootstrap::Bootstrap::start(Path::new(path), from, is_trial)?))
        }
        Some(("pipeline", config)) if !config.is_empty() => {
            if !is_trial {
                let message = "a pipeline is only tried, since nothing comes of its rows here: \
                               leave --apply out";
                bail!(Usage(message.to_owned()))
            }
            Ok(Box::new(pipeline::Rows::open(config)?))
        }
        Some((scheme @ ("function" | "stream"), of)) if !of.is_empty() => on_aws(scheme, of),
        _ => bail!(Usage(format!(
            "{name} is no target: name file:PATH, bootstrap:PATH, pipeline:FILE, function:NAME or \
             stream:NAME"
        ))),
    }
}

#[cfg(feature = "aws")]
fn on_aws(scheme: &str, name: &str) -> anyhow::Result<Box<dyn Target>> {
    Ok(match scheme {
        "function" => Box::new(aws::Remote::new(name)?),
        _ => Box::new(aws::Stream::new(name)?),
    })
}

#[cfg(not(feature = "aws"))]
fn on_aws(scheme: &str, name: &str) -> anyhow::Result<Box<dyn Target>> {
    Err(crate::needs_aws(&format!("{scheme}:{name}")))
}

/// Whether there is something to see without --apply.
pub fn can_be_tried(name: &str) -> bool {
    ["bootstrap:", "pipeline:"].iter().any(|scheme| name.starts_with(scheme))
}

/// Why a function cannot be called with a record.
fn function_refuses(record: &Record) -> Option<&'static str> {
    use tidegate_consumer::envelope::PayloadEncoding;

    let envelope = &record.envelope;
    if envelope.size > CALL_BYTES_MAX {
        Some("too_large")
    } else if envelope.payload_encoding == PayloadEncoding::Entry {
        // The aggregate around it is not kept.
        Some("entry_of_an_aggregate")
    } else if envelope.sequence_number.is_none() {
        // An answer cannot name it, so that the invocation would fail for ever.
        Some("no_sequence_number")
    } else {
        None
    }
}

/// Payload in one call: with base64 and the rest of the entries it is below the 6 MB of an event
/// ("Lambda quotas", AWS Lambda Developer Guide, 2026-11).
const CALL_BYTES_MAX: u64 = 4 << 20;

/// What a call holds, of what the caller wants.
fn call_limits(records: usize) -> Limits {
    // The largest batch of an event source mapping.
    Limits { records: records.min(10_000), bytes: CALL_BYTES_MAX }
}

/// Why bytes cannot be had of a record.
fn bytes_refused(record: &Record) -> Option<&'static str> {
    use tidegate_consumer::envelope::PayloadEncoding;

    match (&record.payload, record.envelope.payload_encoding) {
        (Payload::Stream { .. }, _) | (_, PayloadEncoding::Base64) => None,
        (_, PayloadEncoding::Entry) => Some("entry_of_an_aggregate"),
        // What stands for them is the text of an event.
        (_, PayloadEncoding::Verbatim | PayloadEncoding::Record) => Some("not_base64"),
    }
}
