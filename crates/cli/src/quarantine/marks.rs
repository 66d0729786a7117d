//! What a redrive leaves in the store: documents that were put back are moved below `redriven/`.
//!
//! The store is the journal: a record is in quarantine until it was taken. A run that is killed
//! anywhere leaves each document where it was, or in both places, or moved, and the next run goes
//! on from there.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};
use tidegate_consumer::envelope::Envelope;

use super::document::Record;
use super::store::{REDRIVEN, Store};

/// How it is marked.
pub struct Marks {
    /// Where the records went.
    pub to: String,
    /// Whether documents are removed instead of moved.
    pub delete: bool,
}

impl Marks {
    /// Moves the documents of records that were taken, or notes in them which were.
    pub fn set(
        &self,
        store: &mut dyn Store,
        taken: &[&Record],
        at: Timestamp,
    ) -> anyhow::Result<()> {
        let mut documents: BTreeMap<&str, Vec<&Record>> = BTreeMap::new();
        for record in taken {
            documents.entry(&record.key).or_default().push(record);
        }
        for (key, records) in documents {
            let of = records.first().map_or(1, |record| record.of);
            if !self.delete || of > 1 {
                let done = self.note(store, key, &records, at)?;
                if done < of {
                    continue;
                }
            }
            store.remove(key)?;
            if self.delete && of > 1 {
                store.remove(&marked(key))?;
            }
        }
        Ok(())
    }

    /// Writes the mark, and says how many records of the document were taken by now.
    fn note(
        &self,
        store: &mut dyn Store,
        key: &str,
        records: &[&Record],
        at: Timestamp,
    ) -> anyhow::Result<usize> {
        let found = store.read(&[marked(key), key.to_owned()])?;
        let bytes = found.into_iter().flatten().next().unwrap_or_default();
        let mut document: Value = serde_json::from_slice(&bytes)?;
        let earlier = document["redrive"]["done"].as_array().cloned().unwrap_or_default();
        let mut done: Vec<_> =
            earlier.iter().filter_map(Value::as_u64).chain(places(records)).collect();
        done.sort_unstable();
        done.dedup();
        document["redrive"] = json!({"to": self.to, "at": at, "done": done});
        store.write(&marked(key), document.to_string().as_bytes())?;
        Ok(done.len())
    }
}

fn places(records: &[&Record]) -> impl Iterator<Item = u64> {
    records.iter().map(|record| record.index as u64)
}

fn marked(key: &str) -> String {
    format!("{REDRIVEN}{key}")
}

/// Where the envelope will be if the record is poison again.
pub fn again(record: &Record) -> String {
    let of = |count| Envelope { redrive_count: count, ..record.envelope.clone() }.key();
    let now = of(record.envelope.redrive_count);
    let then = of(record.envelope.redrive_count + 1);
    // The store may be named with a folder less, or with one more, than the function has it.
    if let Some(before) = record.key.strip_suffix(now.as_str()) {
        return format!("{before}{then}");
    }
    match now.strip_suffix(record.key.as_str()).and_then(|before| then.strip_prefix(before)) {
        Some(rest) => rest.to_owned(),
        None => then,
    }
}
