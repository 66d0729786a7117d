//! An index of OpenSearch: the bulk API.

use std::time::Duration;

use serde::de::IgnoredAny;
use serde_json::{Value, json};
use tidegate_consumer::{BulkLimits, Outcome, PoisonReason, Record};

use super::Connections;
use super::deliver::{Service, Verdict};
use super::entry::{delivery_id, line};
use super::split::{Limits, Piece};
use crate::call::{Answer, Ask, CallError, Fate};

/// Well below what the smallest nodes of the managed service take in a request, 10 MiB ("Quotas",
/// Amazon OpenSearch Service Developer Guide, 2026-11).
const LIMITS: Limits = Limits { entries: 1_000, bytes: 5 << 20 };

/// An identifier of a document has so many bytes at most.
const ID_BYTES_MAX: usize = 512;

/// An index, a document a record.
///
/// Without a field of the owner's, the document's `_id` is the record's identity in its stream, and
/// it is created once: that it exists is a success. With one, it is the field's value, and of two
/// records with the same the later one stays.
#[derive(Debug)]
pub struct OpenSearchSink {
    url: String,
    index: String,
    key: Option<String>,
    authorization: Option<String>,
    connections: Connections,
}

impl OpenSearchSink {
    /// The domain's address without a path, the index, the field that is the `_id`, and the value of
    /// the header `authorization`; without one, requests to an address of AWS are signed.
    pub fn new(
        url: impl Into<String>,
        index: impl Into<String>,
        key: Option<String>,
        authorization: Option<String>,
        connections: Connections,
    ) -> Self {
        let url = url.into().trim_end_matches('/').to_owned();
        Self { url, index: index.into(), key, authorization, connections }
    }
}

/// The two lines of a document.
pub(crate) struct Entry {
    lines: Vec<u8>,
    id: String,
}

handles!(OpenSearchSink);

impl Service for OpenSearchSink {
    type Entry = Entry;

    fn limits(&self) -> Limits {
        LIMITS
    }

    fn bulk(&self) -> BulkLimits {
        BulkLimits { records: LIMITS.entries, bytes: LIMITS.bytes, one_per_key: self.key.is_some() }
    }

    fn entry(&self, _: usize, data: &[u8], record: &Record<'_>) -> Result<Entry, Outcome> {
        self.document(data, delivery_id(record))
    }

    fn piece<'e>(&self, entry: &'e Entry) -> Piece<'e> {
        Piece { bytes: entry.lines.len(), key: self.key.is_some().then_some(&entry.id) }
    }

    async fn send(&self, entries: &[&Entry], within: Duration) -> Result<Vec<Verdict>, CallError> {
        let caller = self.connections.caller().await;
        // Nothing of an error but its type: its reason quotes the document.
        let url = format!(
            "{}/{}/_bulk?filter_path=items.*.status%2Citems.*.error.type",
            self.url, self.index
        );
        let mut headers = vec![("content-type", "application/x-ndjson".to_owned())];
        headers.extend(self.authorization.clone().map(|value| ("authorization", value)));
        let body = entries.iter().flat_map(|entry| &entry.lines).copied().collect();
        let ask = Ask { method: "POST", url: &url, headers, body };
        let answer = match (&self.authorization, signed_as(&self.url)) {
            (None, Some(of)) => caller.send_signed(ask, of, within).await?,
            _ => caller.send(ask, within).await?,
        };
        verdicts(&answer)
    }
}

impl OpenSearchSink {
    fn document(&self, data: &[u8], identity: String) -> Result<Entry, Outcome> {
        let schema = |error: String| Outcome::Poison(PoisonReason::Schema, error.into());
        let (action, id) = match &self.key {
            None => {
                if let Err(error) = serde_json::from_slice::<IgnoredAny>(data) {
                    return Err(Outcome::Poison(PoisonReason::Parse, error.into()));
                }
                ("create", identity)
            }
            Some(field) => {
                let document: Value = serde_json::from_slice(data)
                    .map_err(|error| Outcome::Poison(PoisonReason::Parse, error.into()))?;
                let id = match &document[field] {
                    Value::String(text) if !text.is_empty() => text.clone(),
                    Value::Number(number) => number.to_string(),
                    _ => return Err(schema(format!("no text or number is in the field {field}"))),
                };
                ("index", id)
            }
        };
        if id.len() > ID_BYTES_MAX {
            return Err(schema(format!("an _id has {ID_BYTES_MAX} bytes at most")));
        }
        let mut lines = json!({ action: {"_id": id} }).to_string().into_bytes();
        lines.push(b'\n');
        lines.extend(line(data)?);
        lines.push(b'\n');
        Ok(Entry { lines, id })
    }
}

/// The service and the Region in the address of a domain or a collection of AWS:
/// `https://NAME.REGION.es.amazonaws.com`, `https://NAME.REGION.aoss.amazonaws.com`.
fn signed_as(url: &str) -> Option<(&str, &str)> {
    let host = url.split("://").nth(1)?.split(['/', ':']).next()?;
    let parts: Vec<_> = host.split('.').collect();
    let at = parts.iter().rposition(|part| matches!(*part, "es" | "aoss"))?;
    let region = parts.get(at.checked_sub(1)?)?;
    host.contains(".amazonaws.com").then_some((parts[at], region))
}

/// What the answer says of each document.
fn verdicts(answer: &Answer) -> Result<Vec<Verdict>, CallError> {
    if answer.status != 200 {
        let body = answer.json();
        let what = body["error"]["type"].as_str().unwrap_or_default().to_owned();
        let fate = match answer.status {
            // A body that cannot be read for its lines names no document.
            400 | 413 => Fate::Refused,
            408 | 425 | 429 | 500..=599 => Fate::Passes,
            _ => Fate::Stays,
        };
        return Err(CallError::Answered { status: answer.status, what, fate });
    }
    let body = answer.json();
    let items = body["items"].as_array().map_or(&[][..], Vec::as_slice);
    Ok(items.iter().map(verdict).collect())
}

fn verdict(item: &Value) -> Verdict {
    let result = item.as_object().and_then(|item| item.values().next());
    let result = result.unwrap_or(&Value::Null);
    let kind = result["error"]["type"].as_str().unwrap_or_default();
    let status = result["status"].as_u64().unwrap_or_default();
    let error = || format!("the document was answered {status} {kind}").into();
    match status {
        // What was created before and comes again.
        200..=299 | 409 => Verdict::Taken,
        400 | 413 => Verdict::Refused(error()),
        // Also 403 and 404: a blocked or a missing index is no property of a document.
        _ => Verdict::Again(error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_becomes_of_each_document() {
        let error = |status: u64, kind: &str| json!({"create": {"status": status, "error": {"type": kind}}});
        let cases = [
            (json!({"create": {"status": 201}}), "Taken"),
            (json!({"index": {"status": 200}}), "Taken"),
            (error(409, "version_conflict_engine_exception"), "Taken"),
            (error(429, "es_rejected_execution_exception"), "Again"),
            (error(503, "unavailable_shards_exception"), "Again"),
            (error(403, "cluster_block_exception"), "Again"),
            (error(404, "index_not_found_exception"), "Again"),
            (error(400, "mapper_parsing_exception"), "Refused"),
            (json!({}), "Again"),
        ];
        for (item, expected) in cases {
            let body = json!({"items": [item]}).to_string();
            let verdicts = verdicts(&Answer::of(200, &body)).unwrap();
            assert!(format!("{:?}", verdicts[0]).starts_with(expected), "{item}: {verdicts:?}");
        }
    }

    #[test]
    fn what_becomes_of_a_request() {
        let refused = r#"{"error":{"type":"illegal_argument_exception"},"status":400}"#;
        let cases =
            [(400, Fate::Refused), (413, Fate::Refused), (429, Fate::Passes), (401, Fate::Stays)];
        for (status, fate) in cases {
            let error = verdicts(&Answer::of(status, refused)).unwrap_err();
            assert_eq!(error.fate(), fate, "{error}");
        }
    }

    #[test]
    fn a_document_has_an_id() {
        let sink = |key: Option<&str>| {
            let none = Connections::new(|| std::time::SystemTime::UNIX_EPOCH);
            OpenSearchSink::new("https://x/", "i", key.map(Into::into), None, none)
        };
        let lines = |key, data: &str| {
            let entry = sink(key).document(data.as_bytes(), "s:1".to_owned());
            let entry = entry.map_err(|outcome| format!("{outcome:?}"));
            entry.map(|entry| String::from_utf8(entry.lines).unwrap())
        };
        let created = "{\"create\":{\"_id\":\"s:1\"}}\n{ \"a\":7}\n";
        assert_eq!(lines(None, "{\n\"a\":7}"), Ok(created.to_owned()));
        let indexed = "{\"index\":{\"_id\":\"7\"}}\n{\"a\":7}\n";
        assert_eq!(lines(Some("a"), "{\"a\":7}"), Ok(indexed.to_owned()));
        let missing = lines(Some("b"), "{\"a\":7}").unwrap_err();
        assert!(missing.starts_with("Poison(Schema, "), "{missing}");
        assert!(lines(None, "{").unwrap_err().starts_with("Poison(Parse, "));
    }

    #[test]
    fn addresses_of_aws_are_signed() {
        let cases = [
            ("https://search-x.eu-central-1.es.amazonaws.com", Some(("es", "eu-central-1"))),
            ("https://x.us-east-1.aoss.amazonaws.com", Some(("aoss", "us-east-1"))),
            ("https://x.cn-north-1.es.amazonaws.com.cn", Some(("es", "cn-north-1"))),
            ("https://es.example.com", None),
            ("http://127.0.0.1:9200", None),
        ];
        for (url, expected) in cases {
            assert_eq!(signed_as(url), expected, "{url}");
        }
    }
}
