//! The event that Lambda hands over, taken apart record by record.
//!
//! Nothing but the list is read at once. Each record is then parsed alone, borrowed from the event,
//! and every field of it may be missing, of the wrong kind or absurd: what cannot be read is absent,
//! and never an error of the record beside it.

mod arrival;
mod fields;
mod redriven;
mod usual;
mod window;

use std::borrow::Cow;
use std::sync::Arc;

use jiff::Timestamp;
use memchr::memchr;
use serde_json::value::RawValue;

use fields::{Fields, Kinesis, List, Top};
use redriven::Redriven;

pub use window::Window;

pub(crate) use fields::text;

use crate::envelope::stream_name;
use crate::logs::LogEvent;

/// Why an event is not a batch of Kinesis records.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EventError {
    /// The body is not a JSON document.
    #[error("the event is not JSON")]
    NotJson(#[source] serde_json::Error),
    /// The body is JSON of another kind.
    #[error("the event is not a JSON object")]
    NotAnObject,
    /// The object has no list of records.
    #[error("the event has no `Records`")]
    NoRecords,
    /// `Records` is something else than a list.
    #[error("`Records` of the event is {found}, not a list")]
    RecordsNotAList {
        /// The JSON kind that was found.
        found: &'static str,
    },
    /// There are records, but not one of them is a Kinesis record.
    #[error("the records of the event come from {source_name}, not from a Kinesis stream")]
    NotKinesis {
        /// The event source that the first record names.
        source_name: String,
    },
}

/// A batch of records, split but not yet parsed.
#[derive(Debug)]
pub struct Event<'a> {
    records: Vec<Split<'a>>,
    window: Option<Window<'a>>,
}

/// One record, and its values where they were found already.
#[derive(Debug)]
struct Split<'a> {
    raw: &'a str,
    values: Option<usual::Values<'a>>,
}

impl<'a> Event<'a> {
    /// Splits an event into its records.
    ///
    /// # Errors
    /// When the whole is not a Kinesis event. The invocation has to fail then: nothing is lost,
    /// since Lambda delivers the batch again.
    pub fn parse(body: &'a [u8]) -> Result<Self, EventError> {
        match usual::split(body) {
            Some(records) => Ok(Self { records, window: None }),
            None => Self::parse_any(body),
        }
    }

    /// Splits an event of any layout.
    fn parse_any(body: &'a [u8]) -> Result<Self, EventError> {
        // A derived type would also read its fields from a list.
        if body.trim_ascii_start().starts_with(b"[") {
            return Err(EventError::NotAnObject);
        }
        let top: Top<'_> = serde_json::from_slice(body).map_err(|error| {
            // The text of a data error quotes the document, that of a syntax error does not.
            if error.is_data() { EventError::NotAnObject } else { EventError::NotJson(error) }
        })?;
        let window = Window::of(&top);
        let records = match top.records {
            None => return Err(EventError::NoRecords),
            Some(List::Other(found)) => return Err(EventError::RecordsNotAList { found }),
            Some(List::Records(records)) => records,
        };
        // One record may be damaged beyond recognition; a queue's or a table's whole batch would be
        // quarantined record by record if it were taken for one.
        match records.first() {
            Some(first) if !records.iter().any(|raw| Fields::of(raw.get()).is_kinesis()) => {
                let source_name = match text(Fields::of(first.get()).event_source) {
                    Some(name) => format!("`{}`", crate::envelope::bounded(&name, 64)),
                    None => "an unnamed source".to_owned(),
                };
                Err(EventError::NotKinesis { source_name })
            }
            _ => {
                let split = |raw: &'a RawValue| Split { raw: raw.get(), values: None };
                Ok(Self { records: records.into_iter().map(split).collect(), window })
            }
        }
    }

    /// How many records the batch has. An empty batch is a proper event: the last invocation of a
    /// tumbling window may be one.
    pub const fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether the batch has no record.
    pub const fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The tumbling window that the batch belongs to, if the mapping has windows.
    pub const fn window(&self) -> Option<&Window<'a>> {
        self.window.as_ref()
    }

    /// The record at a place of the batch, counted from 0.
    pub fn record(&self, index: usize) -> Option<Record<'a>> {
        self.records.get(index).map(Record::of)
    }

    /// Each record in batch order, parsed alone; aggregates are not taken apart.
    pub fn records(&self) -> impl Iterator<Item = Record<'a>> {
        self.records.iter().map(Record::of)
    }
}

/// What the event says about one record. Every part is absent when it cannot be read.
#[derive(Debug, Clone)]
pub struct Record<'a> {
    raw: &'a str,
    sequence_number: Option<Cow<'a, str>>,
    shard_id: Option<Cow<'a, str>>,
    source_arn: Option<Cow<'a, str>>,
    partition_key: Option<Cow<'a, str>>,
    arrived_at: Option<Timestamp>,
    encoded: Option<Cow<'a, str>>,
    user: Option<User<'a>>,
    log: Option<Arc<LogEvent<'a>>>,
    /// Hardly any record has it.
    redriven: Option<Box<Redriven>>,
}

/// What an aggregate says about one of its user records, or an envelope about one of its log events.
#[derive(Debug, Clone, Copy)]
pub(crate) struct User<'a> {
    pub(crate) sub_sequence_number: u64,
    /// Absent when the entry cannot be read.
    pub(crate) partition_key: Option<&'a str>,
    pub(crate) explicit_hash_key: Option<u128>,
}

impl<'a> Record<'a> {
    fn of(split: &Split<'a>) -> Self {
        let Some(values) = &split.values else { return Self::parse(split.raw) };
        let borrowed = |text: &'a str| Some(Cow::Borrowed(text));
        Self {
            raw: split.raw,
            sequence_number: borrowed(values.sequence_number).filter(|number| !number.is_empty()),
            shard_id: shard_of(Cow::Borrowed(values.event_id)),
            source_arn: borrowed(values.source_arn),
            partition_key: borrowed(values.partition_key),
            arrived_at: arrival::decimal_seconds(values.arrival),
            encoded: borrowed(values.data),
            user: None,
            log: None,
            // A record that has it is of no form.
            redriven: None,
        }
    }

    fn parse(raw: &'a str) -> Self {
        let fields = Fields::of(raw);
        let kinesis = fields.kinesis.map(|raw| Kinesis::of(raw.get())).unwrap_or_default();
        Self {
            raw,
            // An empty identifier in a response fails the whole batch, so it identifies nothing.
            sequence_number: text(kinesis.sequence_number).filter(|number| !number.is_empty()),
            shard_id: text(fields.event_id).and_then(shard_of),
            source_arn: text(fields.source_arn),
            partition_key: text(kinesis.partition_key),
            arrived_at: kinesis.arrival.and_then(|raw| arrival::decimal_seconds(raw.get())),
            encoded: text(kinesis.data),
            user: None,
            log: None,
            redriven: fields.redriven.and_then(Redriven::of).map(Box::new),
        }
    }

    /// A user record of this record, which is an aggregate, or a log event of its envelope.
    pub(crate) fn of_user(&self, user: User<'a>, log: Option<Arc<LogEvent<'a>>>) -> Self {
        Self { user: Some(user), log, ..self.clone() }
    }

    /// The same of another user record or log event of the same whole.
    pub(crate) fn turn_into(&mut self, user: User<'a>, log: Option<Arc<LogEvent<'a>>>) {
        (self.user, self.log) = (Some(user), log);
    }

    /// Whether it was made of this record: their entries stand at one place of the event.
    pub(crate) fn is_part_of(&self, whole: &Self) -> bool {
        std::ptr::eq(self.raw, whole.raw)
    }

    /// The sequence number: what Lambda knows the record by, unique within its shard.
    pub fn sequence_number(&self) -> Option<&str> {
        self.sequence_number.as_deref()
    }

    /// The shard that the record was read from, such as `shardId-000000000006`.
    pub fn shard_id(&self) -> Option<&str> {
        self.shard_id.as_deref()
    }

    /// The ARN of the stream, also where the record came through an enhanced fan-out consumer, whose
    /// own ARN continues that of the stream.
    pub fn stream_arn(&self) -> Option<&str> {
        self.source_arn.as_deref().map(|arn| arn.split("/consumer/").next().unwrap_or(arn))
    }

    /// The place of a user record in its aggregate, or of a log event in its envelope, counted from
    /// 0; `None` for a record that the stream has as it is. With the sequence number, which is then
    /// the one of the whole, it identifies the part.
    pub fn sub_sequence_number(&self) -> Option<u64> {
        // It comes alone, and is still what it was.
        let alone = self.redriven.as_ref().and_then(|redriven| redriven.sub_sequence_number);
        alone.or_else(|| self.user.map(|user| user.sub_sequence_number))
    }

    /// How often the record was sent back from quarantine, as whoever sent it says.
    pub fn redrive_count(&self) -> u32 {
        self.redriven.as_ref().map_or(0, |redriven| redriven.redrive_count)
    }

    /// Whether the record is a part of one that the stream has, and comes alone.
    pub(crate) fn is_part(&self) -> bool {
        self.redriven.as_ref().is_some_and(|redriven| redriven.sub_sequence_number.is_some())
    }

    /// The key that the producer chose: of a user record its own, and not that of the aggregate.
    pub fn partition_key(&self) -> Option<&str> {
        match &self.user {
            Some(user) => user.partition_key,
            None => self.partition_key.as_deref(),
        }
    }

    /// The explicit hash key of a user record, if the producer chose one. Of a record that the
    /// stream has as it is, events do not say.
    pub fn explicit_hash_key(&self) -> Option<u128> {
        match &self.redriven {
            Some(redriven) => redriven.explicit_hash_key,
            None => self.user?.explicit_hash_key,
        }
    }

    /// What CloudWatch Logs says of the record, where it is a log event out of an envelope.
    pub fn log_event(&self) -> Option<&LogEvent<'a>> {
        self.log.as_deref()
    }

    /// When the stream took the record, as far as the service says ("approximately").
    pub const fn arrived_at(&self) -> Option<Timestamp> {
        self.arrived_at
    }

    /// The delivery, which is the same however often Lambda makes it: stream, shard and number.
    pub(crate) fn delivery(&self) -> String {
        let stream = self.stream_arn().map(stream_name).unwrap_or_default();
        let shard = self.shard_id().unwrap_or_default();
        let number = self.sequence_number().unwrap_or_default();
        match self.sub_sequence_number() {
            None => format!("{stream}/{shard}/{number}"),
            Some(place) => format!("{stream}/{shard}/{number}-{place}"),
        }
    }

    /// The payload as the event carries it, in base64.
    pub(crate) fn encoded(&self) -> Option<&str> {
        self.encoded.as_deref()
    }

    /// The whole record as the event carries it.
    pub(crate) const fn raw(&self) -> &'a str {
        self.raw
    }
}

/// `shardId-000000000006:4959…` names the shard before the colon.
fn shard_of(event_id: Cow<'_, str>) -> Option<Cow<'_, str>> {
    let colon = memchr(b':', event_id.as_bytes()).filter(|at| *at > 0)?;
    Some(match event_id {
        Cow::Borrowed(text) => Cow::Borrowed(&text[..colon]),
        Cow::Owned(text) => Cow::Owned(text[..colon].to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(record: &str) -> Record<'static> {
        let event: &'static str =
            format!(r#"{{"Records":[{record},{{"eventSource":"aws:kinesis","kinesis":{{}}}}]}}"#)
                .leak();
        Event::parse(event.as_bytes()).unwrap().records().next().unwrap()
    }

    #[test]
    fn a_whole_record_is_read() {
        let record = one(
            r#"{"kinesis":{"kinesisSchemaVersion":"1.0","partitionKey":"k\u0065y","sequenceNumber":"4959",
            "data":"aGk=","approximateArrivalTimestamp":1480641523.47,"encryptionType":"NOVEL"},
            "eventSource":"aws:kinesis","eventID":"shardId-000000000006:4959","invokeIdentityArn":null,
            "eventSourceARN":"arn:aws:kinesis:eu-central-1:123456789012:stream/orders/consumer/c:1540591608"}"#,
        );
        assert_eq!(record.sequence_number(), Some("4959"));
        assert_eq!(record.partition_key(), Some("key"));
        assert_eq!(record.shard_id(), Some("shardId-000000000006"));
        assert_eq!(record.encoded(), Some("aGk="));
        assert_eq!(
            record.stream_arn(),
            Some("arn:aws:kinesis:eu-central-1:123456789012:stream/orders")
        );
        assert_eq!(record.arrived_at().unwrap().to_string(), "2016-12-02T01:18:43.47Z");
    }

    #[test]
    fn what_a_redrive_says_is_read() {
        let with = |tidegate: &str| {
            one(&format!(r#"{{"kinesis":{{"sequenceNumber":"7"}},"tidegate":{tidegate}}}"#))
        };
        let cases = [
            (
                r#"{"subSequenceNumber":4,"explicitHashKey":"9","redriveCount":2}"#,
                Some(4),
                Some(9),
                2,
            ),
            (r#"{"redriveCount":1,"later":true}"#, None, None, 1),
            (r#"{"explicitHashKey":"many"}"#, None, None, 0),
            ("null", None, None, 0),
            (r#"{"redriveCount":-1,"subSequenceNumber":4}"#, None, None, 0),
        ];
        for (tidegate, place, hash_key, count) in cases {
            let record = with(tidegate);
            let found =
                (record.sub_sequence_number(), record.explicit_hash_key(), record.redrive_count());
            assert_eq!(found, (place, hash_key, count), "{tidegate}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_absent() {
        let cases = [
            "42",
            "null",
            r#""text""#,
            "[]",
            "{}",
            r#"{"kinesis":null}"#,
            r#"{"kinesis":[],"eventID":"shard","eventSourceARN":1e999}"#,
            r#"{"kinesis":{"sequenceNumber":"","data":null,"partitionKey":"\ud800"}}"#,
            r#"{"kinesis":{"sequenceNumber":4959,"data":{},"partitionKey":true},"eventID":":4959"}"#,
        ];
        for case in cases {
            let record = one(case);
            assert_eq!(record.sequence_number(), None, "{case}");
            assert_eq!(record.encoded(), None, "{case}");
            assert_eq!(record.partition_key(), None, "{case}");
            assert_eq!(record.shard_id(), None, "{case}");
            assert_eq!(record.stream_arn(), None, "{case}");
            assert_eq!(record.arrived_at(), None, "{case}");
            assert_eq!(record.raw(), case);
        }
    }

    #[test]
    fn of_a_field_given_twice_the_last_counts() {
        let record = one(r#"{"kinesis":{"data":7,"sequenceNumber":"1","sequenceNumber":"2"}}"#);
        assert_eq!(record.sequence_number(), Some("2"));
    }

    #[test]
    fn an_event_that_is_none_is_refused_with_its_part() {
        let cases = [
            ("", "the event is not JSON"),
            ("{", "the event is not JSON"),
            (r#""hello""#, "the event is not a JSON object"),
            ("[[]]", "the event is not a JSON object"),
            ("{}", "the event has no `Records`"),
            (r#"{"Records":null}"#, "the event has no `Records`"),
            (r#"{"Records":{"a":1}}"#, "`Records` of the event is an object, not a list"),
            (r#"{"Records":"no"}"#, "`Records` of the event is a string, not a list"),
            (r#"{"Records":-1}"#, "`Records` of the event is a number, not a list"),
            (
                r#"{"Records":[{"eventSource":"aws:sqs","body":"hello"}]}"#,
                "the records of the event come from `aws:sqs`, not from a Kinesis stream",
            ),
            (
                r#"{"Records":[{"EventSource":"aws:sns"}]}"#,
                "the records of the event come from an unnamed source, not from a Kinesis stream",
            ),
        ];
        for (body, expected) in cases {
            assert_eq!(Event::parse(body.as_bytes()).unwrap_err().to_string(), expected, "{body}");
        }
    }

    #[test]
    fn an_empty_batch_is_an_event() {
        assert!(Event::parse(br#"{"Records":[]}"#).unwrap().is_empty());
    }
}
