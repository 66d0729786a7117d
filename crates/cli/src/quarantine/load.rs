//! The payload of a record, when it is needed.

use anyhow::{Context, anyhow, bail};
use tidegate_consumer::envelope::Envelope;

use super::document::{self, Payload, Record, digest};
use super::store::{self, Store};

/// The envelope with its payload, which is what was quarantined to the byte.
pub fn envelope(store: &mut dyn Store, record: &Record) -> anyhow::Result<Envelope> {
    let envelope = match &record.payload {
        Payload::Here => in_document(store, &record.key, record.index)?,
        Payload::Object { bucket, key } => {
            let mut bucket = store::open(&format!("s3://{bucket}"))?;
            in_document(&mut *bucket, key, 0)?
        }
        Payload::Stream { .. } => bail!(
            "the destination was told of the batch without its records: they are in the stream as \
             long as its retention lasts"
        ),
    };
    let bytes = envelope.payload_bytes()?;
    if digest(&bytes) != envelope.sha256 {
        bail!("the payload is not what was quarantined: its SHA-256 is another");
    }
    Ok(envelope)
}

/// The envelopes of all that a record of the store stands for.
pub fn envelopes(store: &mut dyn Store, record: &Record) -> anyhow::Result<Vec<Envelope>> {
    match &record.payload {
        Payload::Stream { last, records } => in_stream(record, last, *records),
        _ => Ok(vec![envelope(store, record)?]),
    }
}

#[cfg(feature = "aws")]
fn in_stream(record: &Record, last: &str, records: u64) -> anyhow::Result<Vec<Envelope>> {
    super::aws::fetch(record, last, records)
}

#[cfg(not(feature = "aws"))]
fn in_stream(_: &Record, _: &str, _: u64) -> anyhow::Result<Vec<Envelope>> {
    Err(crate::needs_aws("fetching records from the stream"))
}

fn in_document(store: &mut dyn Store, key: &str, index: usize) -> anyhow::Result<Envelope> {
    let bytes = store.read(&[key.to_owned()])?.pop().flatten();
    let bytes = bytes.ok_or_else(|| anyhow!("{key} is gone"))?;
    let records = document::read(key, &bytes).with_context(|| format!("{key} cannot be read"))?;
    let record = records.into_iter().nth(index);
    Ok(record.ok_or_else(|| anyhow!("{key} has fewer records than before"))?.envelope)
}
