//! Firehose's request, read leniently and record by record, so that one odd record spoils nothing
//! but itself.
//!
//! Only `records`, `recordId`, `data` and `approximateArrivalTimestamp` are read. The rest
//! (`invocationId`, `region`, `kinesisRecordMetadata`) may have any form or be absent, and the time
//! too: numbers and strings both occur in what AWS itself publishes.

mod origin;
mod scan;

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

pub(crate) use self::origin::origin;
use crate::moment::Moment;
use crate::outcome::Reason;

/// Why a request is not one of Firehose's: the only mistake that fails an invocation.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// Not JSON.
    #[error("the event is not JSON")]
    NotJson(#[source] serde_json::Error),
    /// JSON, but no object.
    #[error("the event is not an object: expected Firehose's {{\"records\": [...]}}")]
    NotAnObject,
    /// An object without `records`.
    #[error(
        "the event has no records: expected Firehose's {{\"records\": [...]}}; is the function \
         called by something else?"
    )]
    NoRecords,
    /// `records` is something else than a list.
    #[error("the event's records are not a list")]
    RecordsNotAList,
}

/// One record of a request.
#[derive(Debug, PartialEq)]
pub(crate) struct Handed<'a> {
    /// The `recordId` as the request writes it, quotes and escapes included; or why the record
    /// cannot be answered.
    pub(crate) id: Result<&'a [u8], Reason>,
    /// The base64 text, or why there is none.
    pub(crate) data: Result<Cow<'a, [u8]>, Reason>,
    /// When the record reached the stream, in milliseconds of the epoch.
    pub(crate) at: Option<i64>,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    records: Vec<&'a RawValue>,
}

/// The members of a record that matter, undecoded. Of a member that is there twice the last one
/// counts, as most readers of JSON have it; a derived reader would refuse the whole record.
#[derive(Default)]
struct Record<'a> {
    record_id: Option<&'a RawValue>,
    data: Option<&'a RawValue>,
    approximate_arrival_timestamp: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum Member {
    RecordId,
    Data,
    ApproximateArrivalTimestamp,
    #[serde(other)]
    Other,
}

impl<'de> Deserialize<'de> for Record<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(RecordVisitor)
    }
}

struct RecordVisitor;

impl<'de> Visitor<'de> for RecordVisitor {
    type Value = Record<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a record")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut members: M) -> Result<Self::Value, M::Error> {
        let mut record = Record::default();
        while let Some(member) = members.next_key()? {
            match member {
                Member::RecordId => record.record_id = Some(members.next_value()?),
                Member::Data => record.data = Some(members.next_value()?),
                Member::ApproximateArrivalTimestamp => {
                    record.approximate_arrival_timestamp = Some(members.next_value()?);
                }
                Member::Other => {
                    members.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(record)
    }
}

/// Reads a request.
pub(crate) fn parse(event: &[u8]) -> Result<Vec<Handed<'_>>, EventError> {
    let (mut handed, plain) = match scan::scan(event) {
        Some(handed) => (handed, true),
        None => (read(event)?, false),
    };
    refuse_duplicates(&mut handed, plain);
    Ok(handed)
}

/// The data of each record of a request, as the engine reads them; nothing for a record that has none.
///
/// # Errors
/// When the event is not a request of Firehose.
pub fn record_data(event: &[u8]) -> Result<Vec<Option<Vec<u8>>>, EventError> {
    let records = parse(event)?;
    let data = records.iter().map(|record| {
        let mut data = Vec::new();
        let base64 = record.data.as_deref().ok()?;
        crate::base64::decode_leniently(base64, &mut data).then_some(data)
    });
    Ok(data.collect())
}

/// Reads a request of any layout.
fn read(event: &[u8]) -> Result<Vec<Handed<'_>>, EventError> {
    let envelope: Envelope<'_> = serde_json::from_slice(event).map_err(|e| diagnose(event, e))?;
    // A derived reader takes a list for an object's values.
    if event.trim_ascii_start().first() != Some(&b'{') {
        return Err(EventError::NotAnObject);
    }
    let handed = envelope.records.into_iter().map(|record| {
        // A record that is no object has neither member.
        let record: Record<'_> = serde_json::from_str(record.get()).unwrap_or_default();
        let id = record.record_id.filter(|id| text(id).is_some());
        let data = record.data.and_then(text).map(|data| match data {
            Cow::Borrowed(data) => Cow::Borrowed(data.as_bytes()),
            Cow::Owned(data) => Cow::Owned(data.into_bytes()),
        });
        Handed {
            id: id.map(|id| id.get().as_bytes()).ok_or(Reason::NoRecordId),
            data: data.ok_or(Reason::NoData),
            at: record.approximate_arrival_timestamp.and_then(arrival),
        }
    });
    Ok(handed.collect())
}

/// Milliseconds of the epoch, from a number or from text.
fn arrival(raw: &RawValue) -> Option<i64> {
    match text(raw) {
        None => raw.get().parse().ok(),
        Some(text) => text.parse().ok().or_else(|| Moment::iso8601(text.as_bytes())?.to_millis()),
    }
}

/// An identifier can be answered only once. `all_plain` says that none has an escape in it.
fn refuse_duplicates(handed: &mut [Handed<'_>], all_plain: bool) {
    let plain = |id: &[u8]| all_plain || memchr::memchr(b'\\', id).is_none();
    let ids = || handed.iter().filter_map(|record| record.id.ok());
    // Firehose's rise from record to record: then none is there twice.
    if ids().zip(ids().skip(1)).all(|(a, b)| a < b) && ids().all(plain) {
        return;
    }
    let mut seen = HashSet::with_capacity(handed.len());
    for record in handed {
        if let Ok(id) = record.id {
            let decoded = if plain(id) {
                // Both quotes are always there.
                Cow::Borrowed(id.get(1..id.len().saturating_sub(1)).unwrap_or_default())
            } else {
                let decoded = serde_json::from_slice::<String>(id).unwrap_or_default();
                Cow::Owned(decoded.into_bytes())
            };
            if !seen.insert(decoded) {
                record.id = Err(Reason::DuplicateRecordId);
            }
        }
    }
}

/// A JSON string; borrowed unless it holds escapes, as `\/` is in the base64 of some writers.
fn text(raw: &RawValue) -> Option<Cow<'_, str>> {
    let inside = raw.get().strip_prefix('"')?.strip_suffix('"')?;
    if memchr::memchr(b'\\', inside.as_bytes()).is_none() {
        return Some(Cow::Borrowed(inside));
    }
    serde_json::from_str(raw.get()).ok().map(Cow::Owned)
}

/// What was wrong with an event that could not be read in one go.
fn diagnose(event: &[u8], error: serde_json::Error) -> EventError {
    match serde_json::from_slice(event) {
        Err(_) => EventError::NotJson(error),
        Ok(serde_json::Value::Object(members)) => match members.get("records") {
            None | Some(serde_json::Value::Null) => EventError::NoRecords,
            Some(serde_json::Value::Array(_)) => EventError::NotJson(error),
            Some(_) => EventError::RecordsNotAList,
        },
        Ok(_) => EventError::NotAnObject,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The ids and the data of a list of records.
    fn read(records: &str) -> Vec<(Result<String, Reason>, Result<String, Reason>)> {
        let event = format!(r#"{{"region": "eu-west-1", "records": [{records}]}}"#);
        parse(event.as_bytes())
            .unwrap()
            .into_iter()
            .map(|handed| {
                (
                    handed.id.map(|id| String::from_utf8(id.to_vec()).unwrap()),
                    handed.data.map(|data| String::from_utf8(data.into_owned()).unwrap()),
                )
            })
            .collect()
    }

    #[test]
    fn each_record_is_read_on_its_own() {
        use Reason::{DuplicateRecordId, NoData, NoRecordId};
        type Read = Result<&'static str, Reason>;
        let cases: &[(&str, Read, Read)] = &[
            (r#"{"recordId": "a", "data": "QQ=="}"#, Ok(r#""a""#), Ok("QQ==")),
            (r#"{"data": "QQ==", "recordId": "a"}"#, Ok(r#""a""#), Ok("QQ==")),
            (r#"{"recordId": "", "data": ""}"#, Ok(r#""""#), Ok("")),
            (r#"{"recordId": "a\"\u00e9", "data": "Q\/=="}"#, Ok(r#""a\"\u00e9""#), Ok("Q/==")),
            (
                r#"{"recordId": "a", "approximateArrivalTimestamp": "2026-01-01T00:00:00Z",
                    "kinesisRecordMetadata": {"subsequenceNumber": ""}, "x": [null], "data": "Q"}"#,
                Ok(r#""a""#),
                Ok("Q"),
            ),
            (r#"{"recordId": "a"}"#, Ok(r#""a""#), Err(NoData)),
            (r#"{"recordId": "a", "data": null}"#, Ok(r#""a""#), Err(NoData)),
            (r#"{"recordId": "a", "data": {"a": 1}}"#, Ok(r#""a""#), Err(NoData)),
            (r#"{"recordId": "a", "data": "\ud800"}"#, Ok(r#""a""#), Err(NoData)),
            (r#"{"recordId": 7, "data": "Q"}"#, Err(NoRecordId), Ok("Q")),
            (r#"{"recordId": "\ud800", "data": "Q"}"#, Err(NoRecordId), Ok("Q")),
            (r#"{"data": "Q"}"#, Err(NoRecordId), Ok("Q")),
            ("null", Err(NoRecordId), Err(NoData)),
            ("[]", Err(NoRecordId), Err(NoData)),
            (
                r#"{"recordId": "a", "data": "Q", "recordId": "b", "data": 7}"#,
                Ok(r#""b""#),
                Err(NoData),
            ),
            (r#"{"recor\u0064Id": "a"}"#, Ok(r#""a""#), Err(NoData)),
        ];
        for (record, id, data) in cases {
            let expected = (id.map(str::to_owned), data.map(str::to_owned));
            assert_eq!(read(record), [expected], "{record}");
        }
        let ids: Vec<_> = read(r#"{"recordId": "a"}, {"recordId": "b"}, {"recordId": "\u0061"}"#)
            .into_iter()
            .map(|(id, _)| id)
            .collect();
        let expected = [Ok(r#""a""#.to_owned()), Ok(r#""b""#.to_owned()), Err(DuplicateRecordId)];
        assert_eq!(ids, expected);
    }

    #[test]
    fn what_is_no_request_is_named() {
        let cases = [
            ("", "the event is not JSON"),
            ("{\"records\": [", "the event is not JSON"),
            ("{\"records\": []} x", "the event is not JSON"),
            ("{\"records\": [], \"records\": []}", "the event is not JSON"),
            ("[]", "the event is not an object: expected Firehose's {\"records\": [...]}"),
            ("[[ 5]]", "the event is not an object: expected Firehose's {\"records\": [...]}"),
            (
                "{\"Records\": []}",
                "the event has no records: expected Firehose's {\"records\": [...]}; is the \
                 function called by something else?",
            ),
            ("{\"records\": {}}", "the event's records are not a list"),
        ];
        for (event, expected) in cases {
            assert_eq!(parse(event.as_bytes()).unwrap_err().to_string(), expected, "{event}");
        }
        assert_eq!(parse(br#"{"records": []}"#).unwrap(), []);
    }
}
