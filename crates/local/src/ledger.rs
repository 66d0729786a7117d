//! The ledger's table in memory, with the conditional write of DynamoDB.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use tidegate_autoscaler::port::{LedgerStore, ServiceError, Stored, Tally, Written};

/// Streams of one BatchGetItem (API reference of BatchGetItem, 2026-11).
const BATCH: usize = 100;

/// A table.
#[derive(Debug, Default)]
pub struct Ledger {
    items: Mutex<BTreeMap<String, Stored>>,
    tally: Tally,
}

impl Ledger {
    /// An item, as it is stored.
    pub fn item(&self, stream: &str) -> Option<Stored> {
        self.items().get(stream).cloned()
    }

    /// Puts an item, or removes it, as somebody would by hand.
    pub fn set(&self, stream: &str, stored: Option<Stored>) {
        match stored {
            Some(stored) => self.items().insert(stream.to_owned(), stored),
            None => self.items().remove(stream),
        };
    }

    fn items(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Stored>> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LedgerStore for Ledger {
    async fn read(&self, streams: &[String]) -> Result<BTreeMap<String, Stored>, ServiceError> {
        streams.chunks(BATCH).for_each(|_| self.tally.add("BatchGetItem"));
        let items = self.items();
        let found =
            streams.iter().filter_map(|name| Some((name.clone(), items.get(name)?.clone())));
        Ok(found.collect())
    }

    async fn write(
        &self,
        stream: &str,
        stored: &Stored,
        expected: u64,
    ) -> Result<Written, ServiceError> {
        self.tally.add("PutItem");
        let mut items = self.items();
        if items.get(stream).map_or(0, |item| item.revision) != expected {
            return Ok(Written::Conflict);
        }
        items.insert(stream.to_owned(), stored.clone());
        Ok(Written::Done)
    }

    fn tally(&self) -> &Tally {
        &self.tally
    }
}
