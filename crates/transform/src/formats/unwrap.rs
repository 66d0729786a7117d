//! Records that hold several events: lines, and the envelopes of CloudWatch Logs subscriptions;
//! compressed or not.

use std::borrow::Cow;
use std::io::Read as _;

use flate2::bufread::MultiGzDecoder;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::failed;
use crate::moment::Moment;
use crate::outcome::{Outcome, Reason};
use crate::scope::Field;
use crate::value::{Kind, Value};

/// More than a response could hold several times over. A record of 1 MB may expand a thousandfold.
pub(crate) const INFLATED_LIMIT_BYTES: usize = 16 << 20;

/// What a record holds, as a pipeline names it under `input.unwrap`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unwrap {
    /// One event.
    Nothing,
    /// An event a line.
    Lines,
    /// Rows of CSV, in which a line break may stand in quotes.
    Rows,
    /// An aggregate of the Kinesis Producer Library.
    Kpl,
    /// An envelope of a subscription to CloudWatch Logs.
    CloudwatchLogs,
}

impl Unwrap {
    pub(crate) const NAMED: &[(&str, Self)] = &[
        ("nothing", Self::Nothing),
        ("lines", Self::Lines),
        ("kpl", Self::Kpl),
        ("cloudwatch_logs", Self::CloudwatchLogs),
    ];
}

/// The fields that each event of an envelope gets, in the order of the output.
pub(crate) const EVENT_FIELDS: &[(&str, Kind)] = &[
    ("log_owner", Kind::Text),
    ("log_group", Kind::Text),
    ("log_stream", Kind::Text),
    ("log_event_id", Kind::Text),
    ("log_time", Kind::Timestamp),
];

/// Takes records apart.
#[derive(Debug)]
pub(crate) struct Unwrapper {
    pub(crate) what: Unwrap,
    /// Of [`EVENT_FIELDS`].
    pub(crate) slots: Vec<usize>,
    pub(crate) inflated: Vec<u8>,
}

/// One event of a record.
pub(crate) struct Event<'r> {
    pub(crate) data: Cow<'r, [u8]>,
    /// What the envelope says of the event, for the slots of [`EVENT_FIELDS`].
    pub(crate) fields: Option<[Value<'r>; 5]>,
    /// When it was logged.
    pub(crate) at: Option<Moment>,
}

impl Unwrapper {
    /// The fields that the events of a record get from around them.
    pub(crate) fn fields(what: Unwrap) -> Vec<Field> {
        match what {
            Unwrap::CloudwatchLogs => {
                EVENT_FIELDS.iter().map(|(name, kind)| Field::new(name, *kind)).collect()
            }
            _ => Vec::new(),
        }
    }

    /// The record's bytes, decompressed where they are gzip.
    pub(crate) fn inflate<'r>(
        data: &'r [u8],
        inflated: &'r mut Vec<u8>,
    ) -> Result<&'r [u8], Outcome> {
        if !data.starts_with(&[0x1f, 0x8b]) {
            return Ok(data);
        }
        inflated.clear();
        let mut decoder = MultiGzDecoder::new(data).take(INFLATED_LIMIT_BYTES as u64 + 1);
        decoder.read_to_end(inflated).map_err(|_| failed(Reason::BadGzip))?;
        if inflated.len() > INFLATED_LIMIT_BYTES {
            *inflated = Vec::new();
            return Err(failed(Reason::TooLarge));
        }
        Ok(inflated)
    }
}

/// The lines of a record, those that are empty left out.
pub(crate) fn lines(data: &[u8]) -> impl Iterator<Item = &[u8]> + Clone {
    data.split(|byte| *byte == b'\n').filter(|line| !is_blank(line))
}

/// The rows of a record: a line break between quotes does not end one.
pub(crate) fn rows(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut quoted = false;
    data.split(move |byte| {
        quoted ^= *byte == b'"';
        *byte == b'\n' && !quoted
    })
    .filter(|row| !is_blank(row))
}

fn is_blank(line: &[u8]) -> bool {
    line.is_empty() || line == b"\r"
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a> {
    #[serde(borrow)]
    message_type: Cow<'a, str>,
    #[serde(borrow, default)]
    owner: Option<&'a RawValue>,
    #[serde(borrow, default)]
    log_group: Option<&'a RawValue>,
    #[serde(borrow, default)]
    log_stream: Option<&'a RawValue>,
    #[serde(borrow)]
    log_events: Vec<LogEvent<'a>>,
}

#[derive(Deserialize)]
struct LogEvent<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    timestamp: Option<&'a RawValue>,
    #[serde(borrow)]
    message: Message<'a>,
}

/// A message, borrowed unless it holds escapes.
#[derive(Deserialize)]
#[serde(transparent)]
struct Message<'a>(#[serde(borrow)] Cow<'a, str>);

/// The events of an envelope.
pub(crate) fn envelope(data: &[u8]) -> Result<Vec<Event<'_>>, Outcome> {
    let envelope: Envelope<'_> =
        serde_json::from_slice(data).map_err(|_| failed(Reason::BadEnvelope))?;
    match &*envelope.message_type {
        "DATA_MESSAGE" => {}
        // CloudWatch Logs looks whether the destination can be reached.
        "CONTROL_MESSAGE" => return Err(Outcome::Dropped(Reason::ControlMessage)),
        _ => return Err(failed(Reason::BadEnvelope)),
    }
    let [owner, group, stream] =
        [envelope.owner, envelope.log_group, envelope.log_stream].map(text);
    Ok(envelope
        .log_events
        .into_iter()
        // A program that prints an empty line is no reason to fail all that it says besides.
        .filter(|event| !event.message.0.trim_end_matches(['\r', '\n']).is_empty())
        .map(|event| {
            let millis = event.timestamp.map(|raw| raw.get().trim_matches('"'));
            let at = millis.and_then(|millis| millis.parse().ok()).and_then(Moment::from_millis);
            let time = at.map_or(Value::Null, Value::Time);
            let data = match event.message.0 {
                Cow::Borrowed(message) => Cow::Borrowed(message.as_bytes()),
                Cow::Owned(message) => Cow::Owned(message.into_bytes()),
            };
            Event { data, fields: Some([owner, group, stream, text(event.id), time]), at }
        })
        .collect())
}

/// A string of the envelope, or a number; anything else is as good as absent.
fn text(raw: Option<&RawValue>) -> Value<'_> {
    let Some(raw) = raw.map(RawValue::get) else { return Value::Null };
    match raw.strip_prefix('"').and_then(|raw| raw.strip_suffix('"')) {
        Some(inside) if memchr::memchr(b'\\', inside.as_bytes()).is_none() => Value::Text(inside),
        Some(_) if serde_json::from_str::<String>(raw).is_ok() => Value::Escaped(raw),
        None if raw.starts_with(|c: char| c.is_ascii_digit()) => Value::Text(raw),
        _ => Value::Null,
    }
}
