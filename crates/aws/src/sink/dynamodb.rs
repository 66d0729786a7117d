//! A DynamoDB table: `BatchWriteItem`, an item a record.

mod attributes;

use std::time::Duration;

use serde_json::Value;
use serde_json::value::RawValue;
use tidegate_consumer::{BulkLimits, Outcome, PoisonReason, Record};

use self::attributes::{Attributes, MappingError};
use super::Connections;
use super::deliver::{Service, Verdict};
use super::entry::delivery_id;
use super::split::{Limits, Piece};
use crate::call::{self, CallError};

/// "BatchWriteItem", Amazon DynamoDB API Reference, 2026-11: 25 items, 16 MB.
const LIMITS: Limits = Limits { entries: 25, bytes: 16_000_000 };

/// "Quotas in Amazon DynamoDB", Developer Guide, 2026-11: 400 KB an item, names included.
const ITEM_BYTES_MAX: usize = 400 << 10;

/// The attribute that holds a record's identity where the owner names no key.
pub const IDENTITY: &str = "tidegate_id";

/// A table, an item a record: its fields are the attributes.
///
/// Without a key of the owner's, the table's partition key is the text `tidegate_id`, the record's
/// identity in its stream: a record that comes again writes the same item. With one, its fields are
/// the table's key, and of two records with the same the later one stays.
#[derive(Debug)]
pub struct DynamoSink {
    table: String,
    key: Vec<String>,
    connections: Connections,
}

impl DynamoSink {
    /// The table of this name, in the function's account and Region; `key` are the fields that are
    /// its key, or nothing.
    pub fn new(table: impl Into<String>, key: Vec<String>, connections: Connections) -> Self {
        Self { table: table.into(), key, connections }
    }
}

/// An item, and the key by which an answer names it.
pub(crate) struct Entry {
    item: Box<RawValue>,
    key: String,
}

handles!(DynamoSink);

impl Service for DynamoSink {
    type Entry = Entry;

    fn limits(&self) -> Limits {
        LIMITS
    }

    fn bulk(&self) -> BulkLimits {
        // Items of the records' own identity are never written twice, in whatever order.
        let own = self.key.is_empty();
        BulkLimits { records: 20 * LIMITS.entries, bytes: 16 << 20, one_per_key: !own }
    }

    fn entry(&self, _: usize, data: &[u8], record: &Record<'_>) -> Result<Entry, Outcome> {
        let identity = delivery_id(record);
        self.item(data, &identity).map_err(|error| {
            let reason = match error {
                MappingError::Json(_) => PoisonReason::Parse,
                MappingError::TooLarge(_) => PoisonReason::Handler,
                _ => PoisonReason::Schema,
            };
            Outcome::Poison(reason, error.into())
        })
    }

    fn piece<'e>(&self, entry: &'e Entry) -> Piece<'e> {
        // Two items with the same key fail the whole request.
        Piece { bytes: entry.item.get().len(), key: Some(&entry.key) }
    }

    async fn send(&self, entries: &[&Entry], within: Duration) -> Result<Vec<Verdict>, CallError> {
        let puts: Vec<_> = entries
            .iter()
            .map(|entry| format!(r#"{{"PutRequest":{{"Item":{}}}}}"#, entry.item.get()))
            .collect();
        let table = Value::from(self.table.as_str());
        let body = format!(r#"{{"RequestItems":{{{table}:[{}]}}}}"#, puts.join(","));
        let answer = call::dynamodb(&self.connections, "BatchWriteItem", &body, within).await?;
        Ok(self.verdicts(&answer, entries))
    }
}

impl DynamoSink {
    fn item(&self, data: &[u8], identity: &str) -> Result<Entry, MappingError> {
        let mut item = Attributes::of(data)?;
        if self.key.is_empty() {
            item.insert_text(IDENTITY, identity)?;
        }
        if item.bytes() > ITEM_BYTES_MAX {
            return Err(MappingError::TooLarge(item.bytes()));
        }
        let key = if self.key.is_empty() {
            identity.to_owned()
        } else {
            let parts = self
                .key
                .iter()
                .map(|name| item.get(name).ok_or_else(|| MappingError::NoKey(name.clone())));
            parts.collect::<Result<Vec<_>, _>>()?.join(",")
        };
        Ok(Entry { item: item.into_json()?, key })
    }

    /// Which items the answer gives back. One that it gives back in another form than it was sent,
    /// as it may a number, could be any: then all come again, which writes them once more.
    fn verdicts(&self, answer: &Value, entries: &[&Entry]) -> Vec<Verdict> {
        let back = answer["UnprocessedItems"][&self.table].as_array();
        let back = back.map_or(&[][..], Vec::as_slice);
        let names: &[String] = &self.key;
        let key_of = |put: &Value| {
            let item = &put["PutRequest"]["Item"];
            if names.is_empty() {
                return item[IDENTITY]["S"].as_str().map(ToOwned::to_owned);
            }
            let parts: Vec<_> = names.iter().map(|name| item[name].to_string()).collect();
            Some(parts.join(","))
        };
        let keys: Vec<_> = back.iter().map(key_of).collect();
        let known = |key: &Option<String>| {
            key.as_ref().is_some_and(|key| entries.iter().any(|entry| entry.key == *key))
        };
        let all = !keys.iter().all(known);
        let verdict = |entry: &&Entry| {
            if all || keys.iter().flatten().any(|key| *key == entry.key) {
                Verdict::Again("BatchWriteItem gave it back as unprocessed".into())
            } else {
                Verdict::Taken
            }
        };
        entries.iter().map(verdict).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sink(key: &[&str]) -> DynamoSink {
        let key = key.iter().map(ToString::to_string).collect();
        DynamoSink::new("t", key, Connections::new(|| std::time::SystemTime::UNIX_EPOCH))
    }

    #[test]
    fn an_item_has_a_key() {
        let cases = [
            (&[][..], r#"{"a":1}"#, Ok(r#"{"a":{"N":"1"},"tidegate_id":{"S":"s:1"}}"#)),
            (&["a"], r#"{"a":1}"#, Ok(r#"{"a":{"N":"1"}}"#)),
            (&["a", "b"], r#"{"a":1}"#, Err("the record has no field b, which is the table's key")),
            (&[], r#"{"tidegate_id":1}"#, Err("the record has a field tidegate_id of its own")),
            (&[], "[1]", Err("the record is not a JSON object")),
        ];
        for (key, data, expected) in cases {
            let item = sink(key).item(data.as_bytes(), "s:1");
            let item = item.map(|entry| entry.item.get().to_owned()).map_err(|e| e.to_string());
            assert_eq!(item.as_deref().map_err(String::as_str), expected, "{data}");
        }
    }

    #[test]
    fn items_that_come_back_come_again() {
        let table = |items: Value| json!({"UnprocessedItems": {"t": items}});
        let put = |item: Value| json!({"PutRequest": {"Item": item}});
        let cases = [
            (json!({"UnprocessedItems": {}}), [false, false]),
            (table(json!([put(json!({"k": {"S": "b"}, "n": {"N": "2"}}))])), [false, true]),
            (table(json!([put(json!({"k": {"S": "x"}}))])), [true, true]),
        ];
        let sink = sink(&["k"]);
        let entries = [r#"{"k":"a","n":1}"#, r#"{"k":"b","n":2}"#]
            .map(|data| sink.item(data.as_bytes(), "").unwrap());
        for (answer, again) in cases {
            let verdicts = sink.verdicts(&answer, &entries.iter().collect::<Vec<_>>());
            let found: Vec<_> =
                verdicts.iter().map(|verdict| matches!(verdict, Verdict::Again(_))).collect();
            assert_eq!(found, again, "{answer}");
        }
    }
}
