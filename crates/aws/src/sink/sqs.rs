//! A queue: `SendMessageBatch`.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Value, json};
use tidegate_consumer::{BulkLimits, Outcome, Record};

use super::Connections;
use super::deliver::{Service, Verdict};
use super::messages::{self, Entry, blamed};
use super::split::{Limits, Piece};
use crate::call::{self, CallError};

/// "Amazon SQS message quotas", Amazon SQS Developer Guide, 2026-11: 10 messages, 1 MiB together, and
/// as much for one alone; a queue may be set to less, and then refuses the message.
const LIMITS: Limits = Limits { entries: 10, bytes: 1 << 20 };

/// A queue. Of a FIFO queue, which ends in `.fifo`, the group is the partition key's digest, so that
/// the order of a key is kept, and the deduplication that of the record's identity.
#[derive(Debug)]
pub struct SqsSink {
    url: String,
    connections: Connections,
}

impl SqsSink {
    /// The queue at this URL.
    pub fn new(url: impl Into<String>, connections: Connections) -> Self {
        Self { url: url.into(), connections }
    }

    fn fifo(&self) -> bool {
        self.url.ends_with(".fifo")
    }
}

handles!(SqsSink);

impl Service for SqsSink {
    type Entry = Entry;

    fn limits(&self) -> Limits {
        LIMITS
    }

    fn bulk(&self) -> BulkLimits {
        messages::bulk(self.fifo(), LIMITS)
    }

    fn entry(&self, index: usize, data: &[u8], record: &Record<'_>) -> Result<Entry, Outcome> {
        Entry::new(index, data, record, (self.fifo(), LIMITS.bytes))
    }

    fn piece<'e>(&self, entry: &'e Entry) -> Piece<'e> {
        Piece { bytes: entry.text.len(), key: None }
    }

    async fn send(&self, entries: &[&Entry], within: Duration) -> Result<Vec<Verdict>, CallError> {
        let messages: Vec<Value> = entries.iter().map(|entry| message(entry)).collect();
        let body = json!({"QueueUrl": self.url, "Entries": messages});
        let answer =
            call::sqs(&self.connections, &self.url, "SendMessageBatch", &body, within).await?;
        let failed: HashMap<&str, &Value> = list(&answer["Failed"]);
        let taken: HashMap<&str, &Value> = list(&answer["Successful"]);
        let verdict = |entry: &&Entry| match failed.get(&*entry.id) {
            Some(failure) => {
                let code = failure["Code"].as_str().unwrap_or_default();
                blamed("SendMessageBatch", code, failure["SenderFault"] == true)
            }
            None if taken.contains_key(&*entry.id) => Verdict::Taken,
            None => Verdict::Again("SendMessageBatch does not say what became of it".into()),
        };
        Ok(entries.iter().map(verdict).collect())
    }
}

fn message(entry: &Entry) -> Value {
    let mut message = json!({"Id": entry.id, "MessageBody": entry.text});
    if let Some(fifo) = &entry.fifo {
        message["MessageGroupId"] = json!(fifo.group);
        message["MessageDeduplicationId"] = json!(fifo.deduplication);
    }
    message
}

/// The entries of an answer by their `Id`.
fn list(value: &Value) -> HashMap<&str, &Value> {
    let entries = value.as_array().into_iter().flatten();
    entries.filter_map(|entry| Some((entry["Id"].as_str()?, entry))).collect()
}
