//! Any server that takes a POST.

use std::time::Duration;

use tidegate_consumer::{BulkLimits, Outcome, Record};

use super::Connections;
use super::deliver::{Service, Verdict};
use super::entry::{delivery_id, line};
use super::split::{Limits, Piece};
use crate::call::{Answer, Ask, CallError, Fate};

/// Bytes of one request, unless one record alone is larger.
const BYTES_MAX: usize = 4 << 20;

/// A server that is posted records to: one a request, as it is, or several as lines.
///
/// The header `idempotency-key` names the record, or the first and the last of several, and is the
/// same when they come again.
#[derive(Debug)]
pub struct HttpSink {
    url: String,
    authorization: Option<String>,
    records: usize,
    connections: Connections,
}

impl HttpSink {
    /// The address, the value of the header `authorization` where there is one, and how many
    /// records a request may hold.
    pub fn new(
        url: impl Into<String>,
        authorization: Option<String>,
        records: usize,
        connections: Connections,
    ) -> Self {
        Self { url: url.into(), authorization, records: records.max(1), connections }
    }
}

/// A record and its identity.
pub(crate) struct Entry {
    body: Vec<u8>,
    id: String,
}

handles!(HttpSink);

impl Service for HttpSink {
    type Entry = Entry;

    fn limits(&self) -> Limits {
        Limits { entries: self.records, bytes: BYTES_MAX }
    }

    fn bulk(&self) -> BulkLimits {
        // A request is taken as a whole or not at all. A handler that sent several of one would
        // break the order of a key: the first may have to come again while the second is taken.
        BulkLimits { records: self.records, bytes: BYTES_MAX, one_per_key: false }
    }

    fn entry(&self, _: usize, data: &[u8], record: &Record<'_>) -> Result<Entry, Outcome> {
        let body = if self.records == 1 { data.to_vec() } else { line(data)? };
        Ok(Entry { body, id: delivery_id(record) })
    }

    fn piece<'e>(&self, entry: &'e Entry) -> Piece<'e> {
        Piece { bytes: entry.body.len() + 1, key: None }
    }

    async fn send(&self, entries: &[&Entry], within: Duration) -> Result<Vec<Verdict>, CallError> {
        let caller = self.connections.caller().await;
        let ask = Ask {
            method: "POST",
            url: &self.url,
            headers: self.headers(entries),
            body: self.body(entries),
        };
        let answer = caller.send(ask, within).await?;
        verdict(&answer)?;
        Ok(entries.iter().map(|_| Verdict::Taken).collect())
    }
}

impl HttpSink {
    fn body(&self, entries: &[&Entry]) -> Vec<u8> {
        let bodies: Vec<_> = entries.iter().map(|entry| entry.body.as_slice()).collect();
        let mut body = bodies.join(&b'\n');
        if self.records > 1 {
            body.push(b'\n');
        }
        body
    }

    fn headers(&self, entries: &[&Entry]) -> Vec<(&'static str, String)> {
        let json = |entry: &&Entry| matches!(entry.body.first(), Some(b'{' | b'['));
        let kind = match self.records {
            1 if entries.iter().all(json) => "application/json",
            1 => "text/plain; charset=utf-8",
            _ => "application/x-ndjson",
        };
        let id = match entries {
            [first, .., last] => format!("{}-{}", first.id, last.id),
            [one] => one.id.clone(),
            [] => String::new(),
        };
        let mut headers = vec![("content-type", kind.to_owned()), ("idempotency-key", id)];
        headers.extend(self.authorization.clone().map(|value| ("authorization", value)));
        headers
    }
}

/// What a status means: the record is at fault for what a client does wrong, except where the
/// address or the permission is, which all records share, or where it says that it is a matter of
/// time.
fn verdict(answer: &Answer) -> Result<(), CallError> {
    let fate = match answer.status {
        200..=299 => return Ok(()),
        401 | 403 | 404 | 405 | 407 | 421 => Fate::Stays,
        408 | 423..=425 | 429 => Fate::Passes,
        400..=499 => Fate::Refused,
        500..=599 => Fate::Passes,
        _ => Fate::Stays,
    };
    Err(CallError::Answered { status: answer.status, what: String::new(), fate })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_fault_a_status_is() {
        let cases = [
            (200, None),
            (204, None),
            (301, Some(Fate::Stays)),
            (400, Some(Fate::Refused)),
            (401, Some(Fate::Stays)),
            (404, Some(Fate::Stays)),
            (408, Some(Fate::Passes)),
            (413, Some(Fate::Refused)),
            (422, Some(Fate::Refused)),
            (429, Some(Fate::Passes)),
            (500, Some(Fate::Passes)),
            (503, Some(Fate::Passes)),
        ];
        for (status, fate) in cases {
            let found = verdict(&Answer::of(status, ""));
            assert_eq!(found.err().map(|error| error.fate()), fate, "{status}");
        }
    }

    #[test]
    fn one_record_as_it_is_and_several_as_lines() {
        let entry = |id: &str, body: &str| Entry { body: body.into(), id: id.to_owned() };
        let (a, b) = (entry("s:1", "{\"a\":1}"), entry("s:2", "text"));
        let sink = |records| {
            let none = Connections::new(|| std::time::SystemTime::UNIX_EPOCH);
            HttpSink::new("http://x", Some("Bearer t".to_owned()), records, none)
        };
        let header = |sink: &HttpSink, entries: &[&Entry], wanted: &str| {
            let headers = sink.headers(entries);
            headers.into_iter().find(|(name, _)| *name == wanted).map(|(_, value)| value).unwrap()
        };
        let one = sink(1);
        assert_eq!(one.body(&[&b]), b"text");
        assert_eq!(header(&one, &[&a], "content-type"), "application/json");
        assert_eq!(header(&one, &[&b], "content-type"), "text/plain; charset=utf-8");
        assert_eq!(header(&one, &[&b], "idempotency-key"), "s:2");
        let both = sink(9);
        assert_eq!(both.body(&[&a, &b]), b"{\"a\":1}\ntext\n");
        assert_eq!(header(&both, &[&a, &b], "content-type"), "application/x-ndjson");
        assert_eq!(header(&both, &[&a, &b], "idempotency-key"), "s:1-s:2");
        assert_eq!(header(&both, &[&a], "authorization"), "Bearer t");
    }
}
