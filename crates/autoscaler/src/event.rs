//! What woke the autoscaler, and which streams it should look at.
//!
//! Read leniently: an alarm's payload differs by form (direct action, SNS, EventBridge), by kind
//! (single metric, metric math, composite, anomaly, Metrics Insights, PromQL) and by what is set,
//! and all that is needed of it is the stream and the state. What says nothing of a stream that
//! needs a look is ignored with a reason; what cannot be understood is an error that names the
//! part. The shapes are those of "Alarm events and EventBridge" and "Invoke a Lambda function from
//! an alarm" (CloudWatch User Guide, 2026-11).

mod alarm;

use serde::Serialize;
use serde_json::Value;

/// The tag that names the stream of an alarm whose metrics do not, such as a composite one. Alarm
/// tags travel in the payload when tag propagation is on ("Alarm tags in action payloads",
/// CloudWatch User Guide, 2026-11).
pub const STREAM_TAG: &str = "tidegate:stream";

/// An event that was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// What to look at.
    pub wake: Wake,
    /// What in it asks for no look.
    pub ignored: Vec<Ignored>,
}

/// What woke the autoscaler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wake {
    /// Look at every stream that is configured.
    Heartbeat,
    /// Look at these.
    Streams(Vec<Look>),
}

/// One stream to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// The stream's name.
    pub stream: String,
    /// The alarm, when there was one.
    pub alarm: Option<String>,
    /// What silences the alarm now: a mute rule, or the suppression of a composite alarm.
    /// EventBridge sends the event all the same, so honouring it is the receiver's.
    pub muted_by: Option<String>,
}

/// Part of an event that asks for no look.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ignored {
    /// The alarm's name, when there is one.
    pub alarm: Option<String>,
    /// Always `ignore`, where a decision says what is done.
    pub action: &'static str,
    /// Why, in one word.
    pub reason: IgnoredReason,
    /// Why, in a sentence.
    pub message: String,
}

/// Why part of an event asks for no look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum IgnoredReason {
    /// The alarm went to OK or to INSUFFICIENT_DATA.
    NotInAlarm,
    /// The alarm was made, changed or deleted, and its state stayed as it was.
    NoTransition,
    /// The alarm watches another service.
    OtherService,
    /// One of several parts that cannot be understood.
    NotUnderstood,
}

/// An event that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// It is not JSON.
    #[error("the event is not JSON: {0}")]
    NotJson(String),
    /// It is JSON of no known form.
    #[error(
        "the event is not understood: {0}; expected an alarm (directly, in an SNS event or from \
         EventBridge), {{\"stream\": \"NAME\"}}, or {{}} for every configured stream"
    )]
    Form(String),
    /// An alarm that names no stream.
    #[error(
        "the alarm {alarm:?} names no stream: none of its metrics has the dimension StreamName; \
         give the alarm the tag {STREAM_TAG} and turn on tag propagation"
    )]
    NoStream {
        /// The alarm's name.
        alarm: String,
    },
    /// A name that no stream can have.
    #[error("{part} is {found}, which is not the name or ARN of a stream")]
    StreamName {
        /// Where it stands.
        part: String,
        /// What stands there.
        found: String,
    },
}

/// Reads an event of any form.
///
/// # Errors
/// When the form is unknown, or an alarm names no stream. Of several records, those that can be
/// understood are; it is an error when none can.
pub fn parse(body: &[u8]) -> Result<Event, EventError> {
    let event: Value =
        serde_json::from_slice(body).map_err(|error| EventError::NotJson(error.to_string()))?;
    let found = match event.get("Records") {
        Some(records) => sns(records)?,
        None => one(&event, "")?,
    };
    let wake = if found.everything { Wake::Heartbeat } else { Wake::Streams(once(found.looks)) };
    Ok(Event { wake, ignored: found.ignored })
}

/// What an event asks for.
#[derive(Default)]
struct Found {
    everything: bool,
    looks: Vec<Look>,
    ignored: Vec<Ignored>,
}

impl Found {
    fn heartbeat() -> Self {
        Self { everything: true, ..Self::default() }
    }

    fn looks(looks: Vec<Look>) -> Self {
        Self { looks, ..Self::default() }
    }

    fn ignored(alarm: Option<String>, reason: IgnoredReason, message: String) -> Self {
        Self {
            ignored: vec![Ignored { alarm, action: "ignore", reason, message }],
            ..Self::default()
        }
    }

    fn add(&mut self, other: Self) {
        self.everything |= other.everything;
        self.looks.extend(other.looks);
        self.ignored.extend(other.ignored);
    }
}

/// The records of an SNS event, each with what EventBridge or an alarm sent to the topic, or a
/// person.
fn sns(records: &Value) -> Result<Found, EventError> {
    let Some(records) = records.as_array() else {
        return Err(not(records, "Records", "a list"));
    };
    let mut found = Found::default();
    let mut wrong: Vec<EventError> = Vec::new();
    for (index, record) in records.iter().enumerate() {
        match message(record, &format!("Records[{index}].Sns.Message")) {
            Ok(one) => found.add(one),
            Err(error) => wrong.push(error),
        }
    }
    if wrong.len() == records.len()
        && let Some(first) = wrong.first()
    {
        return Err(first.clone());
    }
    for error in wrong {
        found.add(Found::ignored(None, IgnoredReason::NotUnderstood, error.to_string()));
    }
    Ok(found)
}

fn message(record: &Value, part: &str) -> Result<Found, EventError> {
    let message = record.pointer("/Sns/Message").unwrap_or(&Value::Null);
    let Some(text) = message.as_str() else { return Err(not(message, part, "a text")) };
    match serde_json::from_str(text) {
        Ok(inner) => one(&inner, part),
        Err(_) => Err(not(message, part, "JSON")),
    }
}

/// An event that is not a list of others.
fn one(event: &Value, part: &str) -> Result<Found, EventError> {
    let Value::Object(fields) = event else {
        return Err(not(event, if part.is_empty() { "it" } else { part }, "an object"));
    };
    if let Some(kind) = fields.get("detail-type") {
        return event_bridge(kind, event, part);
    }
    if let Some(alarm) = fields.get("alarmData") {
        return alarm::read(alarm, event, &inside(part, "alarmData"));
    }
    if fields.contains_key("AlarmName") || fields.contains_key("NewStateValue") {
        return alarm::read(event, event, part);
    }
    if let Some(stream) = fields.get("stream") {
        let stream = stream_name(stream, &inside(part, "stream"))?;
        return Ok(Found::looks(vec![Look { stream, alarm: None, muted_by: None }]));
    }
    if fields.is_empty() {
        return Ok(Found::heartbeat());
    }
    let names: Vec<_> = fields.keys().map(|name| shown(&Value::String(name.clone()))).collect();
    let part = if part.is_empty() { "it" } else { part };
    Err(EventError::Form(format!("{part} has the fields {}", names.join(", "))))
}

fn event_bridge(kind: &Value, event: &Value, part: &str) -> Result<Found, EventError> {
    let detail = event.get("detail").unwrap_or(&Value::Null);
    match kind.as_str() {
        Some("Scheduled Event") => Ok(Found::heartbeat()),
        Some("CloudWatch Alarm State Change" | "CloudWatch Alarm Contributor State Change") => {
            alarm::read(detail, event, &inside(part, "detail"))
        }
        Some("CloudWatch Alarm Configuration Change") => {
            let name = alarm::name(detail);
            let message = "an alarm was made, changed or deleted; its state stayed as it was";
            Ok(Found::ignored(Some(name), IgnoredReason::NoTransition, message.to_owned()))
        }
        _ => Err(not(kind, &inside(part, "detail-type"), "that of an alarm or a schedule")),
    }
}

/// One look at each stream, however many alarms ask for it; a mute holds only if all are muted.
fn once(looks: Vec<Look>) -> Vec<Look> {
    let mut kept: Vec<Look> = Vec::with_capacity(looks.len());
    for look in looks {
        match kept.iter_mut().find(|known| known.stream == look.stream) {
            Some(known) if known.muted_by.is_some() => *known = look,
            Some(_) => {}
            None => kept.push(look),
        }
    }
    kept
}

/// The place of a field.
fn inside(part: &str, field: &str) -> String {
    if part.is_empty() { field.to_owned() } else { format!("{part}: {field}") }
}

/// The error of a part that is something else than it should be.
fn not(value: &Value, part: &str, wanted: &str) -> EventError {
    let found = match value {
        Value::Null => "missing".to_owned(),
        _ => shown(value),
    };
    EventError::Form(format!("{part} is {found}, not {wanted}"))
}

/// A value in short: whoever sent the wrong event recognizes it by its beginning.
fn shown(value: &Value) -> String {
    const MOST: usize = 80;
    let text = value.to_string();
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// A stream's name, or the name at the end of its ARN.
fn stream_name(value: &Value, part: &str) -> Result<String, EventError> {
    let wrong = || EventError::StreamName { part: part.to_owned(), found: shown(value) };
    let text = value.as_str().ok_or_else(wrong)?;
    let name = match text.strip_prefix("arn:") {
        Some(arn) => arn.split_once(":stream/").map(|(_, name)| name).ok_or_else(wrong)?,
        None => text,
    };
    if is_stream_name(name) { Ok(name.to_owned()) } else { Err(wrong()) }
}

/// Whether Kinesis would take this as a stream's name (API reference of CreateStream, 2026-11).
pub fn is_stream_name(name: &str) -> bool {
    (1..=128).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

#[cfg(test)]
mod tests;
