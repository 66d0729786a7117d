//! One look through a store.

use std::collections::{HashMap, HashSet};

use indicatif::{ProgressBar, ProgressDrawTarget};
use serde_json::Value;

use super::document::{self, Record};
use super::filter::Filter;
use super::store::{LOCK, REDRIVEN, Store};

/// Documents that are in memory at the same time.
const AT_ONCE: usize = 64;

/// Unreadable documents that are named.
const NAMED: usize = 5;

/// What was found.
#[derive(Default)]
pub struct Scan {
    /// Records, without their payloads, in the order of their keys.
    pub records: Vec<Record>,
    /// Documents that cannot be read, and why.
    pub unreadable: Vec<(String, String)>,
    /// Documents that were put back, and are still where they were: a run was ended before it could
    /// remove them.
    pub finished: Vec<String>,
    /// Documents below `redriven/`.
    pub redriven: Vec<String>,
}

/// Looks at every document that is in quarantine.
pub fn scan(store: &mut dyn Store, filter: &Filter) -> anyhow::Result<Scan> {
    let mut scan = Scan::default();
    let keys = store.keys()?.into_iter().filter(|key| key != LOCK);
    let (redriven, keys): (Vec<_>, Vec<_>) = keys.partition(|key| key.starts_with(REDRIVEN));
    let is_redriven: HashSet<_> =
        redriven.iter().filter_map(|key| key.strip_prefix(REDRIVEN)).collect();
    let bar = ProgressBar::with_draw_target(Some(keys.len() as u64), ProgressDrawTarget::stderr());
    for keys in keys.chunks(AT_ONCE) {
        let documents = store.read(keys)?;
        for (key, bytes) in keys.iter().zip(documents) {
            // It was put back meanwhile.
            let Some(bytes) = bytes else { continue };
            let is_marked = is_redriven.contains(key.as_str());
            match document::read(key, &bytes) {
                Ok(records) => {
                    let done = if is_marked { done(store, key, &records)? } else { Vec::new() };
                    scan.take(key, records, &done, filter);
                }
                Err(error) => {
                    let why = tidegate_runtime::chain::chain(&error);
                    scan.unreadable.push((key.clone(), why));
                }
            }
        }
        bar.inc(keys.len() as u64);
    }
    bar.finish_and_clear();
    scan.redriven = redriven;
    Ok(scan)
}

/// How often records were put into a stream, by key and digest: there they get new numbers, so that
/// no envelope counts it.
pub fn put_before(
    store: &mut dyn Store,
    redriven: &[String],
) -> anyhow::Result<HashMap<(Option<String>, String), u32>> {
    let mut counts = HashMap::new();
    for keys in redriven.chunks(AT_ONCE) {
        for bytes in store.read(keys)?.into_iter().flatten() {
            let mark: Value = serde_json::from_slice(&bytes).unwrap_or_default();
            let to = mark["redrive"]["to"].as_str().unwrap_or_default();
            for record in document::read("", &bytes).unwrap_or_default() {
                if to.starts_with("stream:") {
                    let of = (record.envelope.partition_key, record.envelope.sha256);
                    *counts.entry(of).or_default() += 1;
                }
            }
        }
    }
    Ok(counts)
}

/// The places in a document of records that were put back.
fn done(store: &mut dyn Store, key: &str, records: &[Record]) -> anyhow::Result<Vec<usize>> {
    let all = (0..records.len()).collect();
    if records.len() == 1 {
        return Ok(all);
    }
    let marked = store.read(&[format!("{REDRIVEN}{key}")])?.pop().flatten().unwrap_or_default();
    let marked: Value = serde_json::from_slice(&marked).unwrap_or_default();
    let places = marked["redrive"]["done"].as_array().map(Vec::as_slice).unwrap_or_default();
    Ok(places.iter().filter_map(|place| usize::try_from(place.as_u64()?).ok()).collect())
}

impl Scan {
    fn take(&mut self, key: &str, records: Vec<Record>, done: &[usize], filter: &Filter) {
        if records.iter().all(|record| done.contains(&record.index)) && !records.is_empty() {
            self.finished.push(key.to_owned());
            return;
        }
        for mut record in records.into_iter().filter(|record| !done.contains(&record.index)) {
            if filter.takes(&record) {
                record.envelope.payload = String::new();
                self.records.push(record);
            }
        }
    }

    /// Says what could not be read, and what to do about it.
    pub fn tell(&self) {
        if !self.unreadable.is_empty() {
            crate::complain(&format!(
                "{} documents are no envelopes and are left alone; look at them, and move them away",
                self.unreadable.len()
            ));
            for (key, why) in self.unreadable.iter().take(NAMED) {
                crate::complain(&format!("  {key}: {why}"));
            }
        }
        if !self.finished.is_empty() {
            crate::complain(&format!(
                "{} documents were put back by a run that was ended before it could move them: \
                 `redrive --apply` does",
                self.finished.len()
            ));
        }
    }
}
