//! What a subscription to CloudWatch Logs writes into a stream: an envelope of log events, in gzip.
//!
//! The form is that of "Subscription filters with Kinesis Data Streams" (Amazon CloudWatch Logs User
//! Guide, 2026-11). Nothing but `messageType` and `logEvents` has to be there, and each log event is
//! read alone: one that is malformed costs itself and not its neighbours.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::event::text;
use crate::outcome::PoisonReason;

/// What stands around the log events, names of filters mostly, has less than 1 KiB. The quarantine
/// keeps it with each event.
const FRAME_BYTES_MAX: usize = 8 * 1024;
/// So many of the first bytes of an envelope say that it is one: it begins with less than that.
const HEAD_BYTES: usize = 4 * 1024;

/// What an envelope says about all of its log events.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Head<'a> {
    owner: Option<Cow<'a, str>>,
    log_group: Option<Cow<'a, str>>,
    log_stream: Option<Cow<'a, str>>,
}

/// A log event, as its envelope describes it. The message is the record's payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEvent<'a> {
    head: Arc<Head<'a>>,
    id: Option<Cow<'a, str>>,
    timestamp: Option<Timestamp>,
}

impl LogEvent<'_> {
    /// The account that wrote the event.
    pub fn owner(&self) -> Option<&str> {
        self.head.owner.as_deref()
    }

    /// The log group.
    pub fn log_group(&self) -> Option<&str> {
        self.head.log_group.as_deref()
    }

    /// The log stream.
    pub fn log_stream(&self) -> Option<&str> {
        self.head.log_stream.as_deref()
    }

    /// The identifier of the event, unique within CloudWatch Logs.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// When the event happened, as its writer said, to the millisecond.
    pub const fn timestamp(&self) -> Option<Timestamp> {
        self.timestamp
    }
}

/// A log event and its message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry<'a> {
    /// What the envelope says of it.
    pub event: LogEvent<'a>,
    /// What was logged.
    pub message: Cow<'a, str>,
}

/// Why an envelope cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// It is cut off or damaged, or no text.
    #[error("the envelope of CloudWatch Logs is not JSON")]
    NotJson(#[source] serde_json::Error),
    /// `logEvents` is absent or no list.
    #[error("the envelope of CloudWatch Logs has no list of log events")]
    NoEvents,
    /// It is followed by something else than another envelope.
    #[error("an envelope of CloudWatch Logs is followed by something else")]
    Followed,
    /// It holds more log events than the options allow.
    #[error("the envelope of CloudWatch Logs holds more than {events_max} log events")]
    TooMany {
        /// How many are allowed.
        events_max: usize,
    },
    /// There is far more around the log events than belongs there.
    #[error(
        "the envelope of CloudWatch Logs has more than {FRAME_BYTES_MAX} bytes around its log events"
    )]
    Frame,
}

impl EnvelopeError {
    /// The reason for which a record with such an envelope is poison.
    pub const fn reason(&self) -> PoisonReason {
        match self {
            Self::TooMany { .. } => PoisonReason::DecompressLimit,
            _ => PoisonReason::CloudwatchLogs,
        }
    }
}

/// Why a log event cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the log event has no message")]
pub struct NoMessage;

/// What the envelopes of a record hold.
#[derive(Debug, Default)]
pub struct Logs<'a> {
    parts: Vec<Part<'a>>,
    /// Envelopes that only ask whether the stream can be written, and hold nothing.
    pub control_messages: u64,
}

/// One entry of `logEvents`, and the text around it.
#[derive(Debug, Clone)]
#[cfg_attr(not(feature = "expand"), expect(dead_code, reason = "only quarantine wants the text"))]
pub(crate) struct Part<'a> {
    head: Arc<Head<'a>>,
    before: &'a str,
    raw: &'a str,
    after: &'a str,
}

impl<'a> Part<'a> {
    /// Reads the entry.
    pub(crate) fn entry(&self) -> Result<LogEntry<'a>, NoMessage> {
        #[derive(Deserialize)]
        struct Entry<'a> {
            #[serde(borrow, default)]
            id: Option<&'a RawValue>,
            #[serde(borrow, default)]
            timestamp: Option<&'a RawValue>,
            #[serde(borrow, default)]
            message: Option<&'a RawValue>,
        }
        let entry: Entry<'a> = serde_json::from_str(self.raw).map_err(|_| NoMessage)?;
        let message = text(entry.message).ok_or(NoMessage)?;
        let timestamp = entry.timestamp.and_then(|raw| raw.get().parse().ok());
        let timestamp = timestamp.and_then(|ms| Timestamp::from_millisecond(ms).ok());
        let event = LogEvent { head: self.head.clone(), id: text(entry.id), timestamp };
        Ok(LogEntry { event, message })
    }

    /// The envelope with this entry alone, in pieces: what a producer would have written.
    #[cfg(feature = "expand")]
    pub(crate) const fn envelope(&self) -> [&'a str; 5] {
        [self.before, "[", self.raw, "]", self.after]
    }
}

impl<'a> Logs<'a> {
    /// Reads an envelope, or several one after the other. `None` when the data is something else.
    ///
    /// # Errors
    /// When the data begins like an envelope and is none that can be read.
    pub fn read(data: &'a [u8], events_max: usize) -> Result<Option<Self>, EnvelopeError> {
        if !begins_like_one(data) {
            return Ok(None);
        }
        let mut logs = Self::default();
        let documents = serde_json::Deserializer::from_slice(data).into_iter::<&'a RawValue>();
        for (place, document) in documents.enumerate() {
            let document = document.map_err(EnvelopeError::NotJson)?;
            let document = document.get();
            match begins_like_one(document.as_bytes()) && logs.take(document, events_max)? {
                true => {}
                false if place == 0 => return Ok(None),
                false => return Err(EnvelopeError::Followed),
            }
        }
        Ok(Some(logs))
    }

    /// How many log events there are.
    pub const fn len(&self) -> usize {
        self.parts.len()
    }

    /// Whether there is no log event.
    pub const fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Each log event, read alone.
    pub fn entries(&self) -> impl Iterator<Item = Result<LogEntry<'a>, NoMessage>> {
        self.parts.iter().map(Part::entry)
    }

    #[cfg(feature = "expand")]
    pub(crate) fn into_parts(self) -> Vec<Part<'a>> {
        self.parts
    }

    /// Takes a document; says whether it is an envelope.
    fn take(&mut self, document: &'a str, events_max: usize) -> Result<bool, EnvelopeError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Document<'a> {
            #[serde(borrow, default)]
            message_type: Option<&'a RawValue>,
            #[serde(borrow, default)]
            owner: Option<&'a RawValue>,
            #[serde(borrow, default)]
            log_group: Option<&'a RawValue>,
            #[serde(borrow, default)]
            log_stream: Option<&'a RawValue>,
            #[serde(borrow, default)]
            log_events: Option<&'a RawValue>,
        }
        // A document that is no object, or that has a field twice, is none of CloudWatch Logs.
        let Ok(found) = serde_json::from_str::<Document<'a>>(document) else { return Ok(false) };
        match text(found.message_type).as_deref() {
            Some("DATA_MESSAGE") => {}
            Some("CONTROL_MESSAGE") => {
                self.control_messages += 1;
                return Ok(true);
            }
            _ => return Ok(false),
        }
        let list = found.log_events.ok_or(EnvelopeError::NoEvents)?.get();
        let left = events_max.saturating_sub(self.parts.len());
        let entries = Entries { max: left }
            .deserialize(&mut serde_json::Deserializer::from_str(list))
            .map_err(|_| EnvelopeError::NoEvents)?
            .ok_or(EnvelopeError::TooMany { events_max })?;
        // Both are slices of the document, one within the other.
        let start = list.as_ptr() as usize - document.as_ptr() as usize;
        let (before, rest) = document.split_at(start);
        let after = &rest[list.len()..];
        if before.len() + after.len() > FRAME_BYTES_MAX {
            return Err(EnvelopeError::Frame);
        }
        let head = Arc::new(Head {
            owner: text(found.owner),
            log_group: text(found.log_group),
            log_stream: text(found.log_stream),
        });
        self.parts.extend(entries.into_iter().map(|entry| Part {
            head: head.clone(),
            before,
            raw: entry.get(),
            after,
        }));
        Ok(true)
    }
}

/// `{`, and soon `"messageType"` with one of the two that there are.
fn begins_like_one(data: &[u8]) -> bool {
    const NAME: &[u8] = b"\"messageType\"";
    let head = &data[..data.len().min(HEAD_BYTES)];
    if !head.trim_ascii_start().starts_with(b"{") {
        return false;
    }
    let Some(at) = head.windows(NAME.len()).position(|window| window == NAME) else {
        return false;
    };
    let rest = head[at + NAME.len()..].trim_ascii_start();
    let Some(value) = rest.strip_prefix(b":").map(<[u8]>::trim_ascii_start) else { return false };
    value.starts_with(b"\"DATA_MESSAGE\"") || value.starts_with(b"\"CONTROL_MESSAGE\"")
}

/// The entries of a list; `None` when there are more, which are then not kept.
struct Entries {
    max: usize,
}

impl<'de> DeserializeSeed<'de> for Entries {
    type Value = Option<Vec<&'de RawValue>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Entries {
    type Value = Option<Vec<&'de RawValue>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of log events")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while entries.len() < self.max {
            match list.next_element()? {
                Some(entry) => entries.push(entry),
                None => return Ok(Some(entries)),
            }
        }
        let mut more = false;
        while list.next_element::<IgnoredAny>()?.is_some() {
            more = true;
        }
        Ok((!more).then_some(entries))
    }
}

#[cfg(test)]
mod tests;
