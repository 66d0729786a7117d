//! What woke the autoscaler, and which streams it should look at.
//!
//! Read leniently: an alarm's payload differs by form (direct action, SNS, EventBridge), by kind
//! (single metric, metric math, composite) and by what is set, and all that is needed of it is the
//! stream. Whatever cannot be understood is an error that names the part.

use serde_json::Value;

/// The tag that names the stream of an alarm whose metrics do not, such as a composite one. Alarm
/// tags travel in the payload when tag propagation is on ("Alarm tags in action payloads",
/// CloudWatch User Guide, 2026-11).
pub const STREAM_TAG: &str = "tidegate:stream";

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
    /// The mute rule that silences the alarm now. EventBridge still sends the event of a muted
    /// alarm, so honouring the mute is the receiver's.
    pub muted_by: Option<String>,
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
    #[error("{0:?} is not the name or ARN of a stream")]
    StreamName(String),
}

/// Reads an event of any form.
///
/// # Errors
/// When the form is unknown, or an alarm names no stream.
pub fn parse(body: &[u8]) -> Result<Wake, EventError> {
    let event: Value =
        serde_json::from_slice(body).map_err(|error| EventError::NotJson(error.to_string()))?;
    let Value::Object(fields) = &event else {
        return Err(EventError::Form("it is not an object".to_owned()));
    };
    if let Some(records) = fields.get("Records") {
        return sns(records);
    }
    if let Some(kind) = fields.get("detail-type") {
        return event_bridge(kind, fields.get("detail").unwrap_or(&Value::Null), &event);
    }
    if let Some(alarm) = fields.get("alarmData") {
        return looks(name_of(alarm), alarm, &event).map(Wake::Streams);
    }
    if let Some(stream) = fields.get("stream") {
        let look = Look { stream: stream_name(stream)?, alarm: None, muted_by: None };
        return Ok(Wake::Streams(vec![look]));
    }
    if fields.is_empty() {
        return Ok(Wake::Heartbeat);
    }
    let names: Vec<_> = fields.keys().map(String::as_str).collect();
    Err(EventError::Form(format!("it has the fields {}", names.join(", "))))
}

fn sns(records: &Value) -> Result<Wake, EventError> {
    let records =
        records.as_array().ok_or_else(|| EventError::Form("Records is not a list".to_owned()))?;
    let mut found = Vec::new();
    for record in records {
        let message = record
            .pointer("/Sns/Message")
            .and_then(Value::as_str)
            .ok_or_else(|| EventError::Form("a record has no Sns.Message".to_owned()))?;
        let message: Value = serde_json::from_str(message)
            .map_err(|error| EventError::Form(format!("Sns.Message is not JSON: {error}")))?;
        if let Some(stream) = message.get("stream") {
            found.push(Look { stream: stream_name(stream)?, alarm: None, muted_by: None });
            continue;
        }
        found.extend(looks(name_of(&message), &message, &message)?);
    }
    Ok(Wake::Streams(once(found)))
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

fn event_bridge(kind: &Value, detail: &Value, event: &Value) -> Result<Wake, EventError> {
    match kind.as_str() {
        Some("Scheduled Event") => Ok(Wake::Heartbeat),
        Some("CloudWatch Alarm State Change" | "CloudWatch Alarm Contributor State Change") => {
            looks(name_of(detail), detail, event).map(Wake::Streams)
        }
        _ => Err(EventError::Form(format!("detail-type is {kind}"))),
    }
}

/// The streams that an alarm concerns: those its metrics name, else those its tags name.
fn looks(alarm: String, alarm_data: &Value, event: &Value) -> Result<Vec<Look>, EventError> {
    let mut names = Vec::new();
    stream_dimensions(alarm_data, &mut names);
    if names.is_empty() {
        stream_tags(event, &mut names);
    }
    if names.is_empty() {
        return Err(EventError::NoStream { alarm });
    }
    let muted_by = alarm_data
        .get("muteDetail")
        .and_then(|mute| mute.get("mutedByArn"))
        .and_then(Value::as_str)
        .map(ToOwned::to_owned);
    names
        .into_iter()
        .map(|name| {
            let stream = stream_name(&Value::String(name))?;
            Ok(Look { stream, alarm: Some(alarm.clone()), muted_by: muted_by.clone() })
        })
        .collect()
}

fn name_of(alarm: &Value) -> String {
    ["alarmName", "AlarmName"]
        .iter()
        .find_map(|key| alarm.get(key)?.as_str())
        .unwrap_or("without a name")
        .to_owned()
}

/// Collects the values of the dimension StreamName, wherever dimensions stand: a map in direct and
/// EventBridge payloads, a list of lower-case name and value in SNS messages.
fn stream_dimensions(value: &Value, names: &mut Vec<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| stream_dimensions(item, names)),
        Value::Object(fields) => {
            for (key, inner) in fields {
                if key.eq_ignore_ascii_case("dimensions") {
                    dimension(inner, names);
                } else {
                    stream_dimensions(inner, names);
                }
            }
        }
        _ => {}
    }
}

fn dimension(dimensions: &Value, names: &mut Vec<String>) {
    let as_map = dimensions.get("StreamName").and_then(Value::as_str);
    let as_list = dimensions.as_array().into_iter().flatten().filter_map(|item| {
        let field = |names: [&str; 2]| names.iter().find_map(|name| item.get(name)?.as_str());
        (field(["name", "Name"]) == Some("StreamName")).then(|| field(["value", "Value"]))?
    });
    for name in as_map.into_iter().chain(as_list) {
        push(names, name);
    }
}

/// Collects the values of [`STREAM_TAG`], wherever tags stand.
fn stream_tags(value: &Value, names: &mut Vec<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| stream_tags(item, names)),
        Value::Object(fields) => {
            for (key, inner) in fields {
                match inner.as_str() {
                    Some(name) if key == STREAM_TAG => push(names, name),
                    _ => stream_tags(inner, names),
                }
            }
        }
        _ => {}
    }
}

fn push(names: &mut Vec<String>, name: &str) {
    if !names.iter().any(|known| known == name) {
        names.push(name.to_owned());
    }
}

/// A stream's name, or the name at the end of its ARN.
fn stream_name(value: &Value) -> Result<String, EventError> {
    let wrong = || EventError::StreamName(value.as_str().unwrap_or(&value.to_string()).to_owned());
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
mod tests {
    use serde_json::json;

    use super::*;

    fn streams(event: &Value) -> Vec<String> {
        match parse(event.to_string().as_bytes()).unwrap() {
            Wake::Heartbeat => vec!["every stream".to_owned()],
            Wake::Streams(looks) => looks.into_iter().map(|look| look.stream).collect(),
        }
    }

    fn metric(dimensions: &Value) -> Value {
        json!({"id": "b", "metricStat": {"metric": {"name": "IncomingBytes", "dimensions": dimensions},
               "period": 86_400, "stat": "Sum"}})
    }

    #[test]
    fn every_form_names_its_streams() {
        let dims = json!({"StreamName": "orders"});
        let math = json!({"id": "use", "expression": "MAX([b, r])"});
        let alarm =
            json!({"alarmName": "busy", "configuration": {"metrics": [math, metric(&dims)]}});
        let message = json!({"AlarmName": "busy", "AlarmDescription": null, "Trigger": {
            "Dimensions": [{"value": "orders", "name": "StreamName"}]}});
        let record = json!({"Sns": {"Message": message.to_string()}});
        let composite = json!({"alarmName": "c", "configuration": {"alarmRule": "ALARM(a)"}});
        let cases = [
            (json!({}), vec!["every stream"]),
            (json!({"detail-type": "Scheduled Event", "detail": {}}), vec!["every stream"]),
            (json!({"stream": "orders"}), vec!["orders"]),
            (json!({"stream": "arn:aws:kinesis:eu-west-1:111122223333:stream/a.b"}), vec!["a.b"]),
            (json!({"alarmData": alarm, "alarmArn": "x"}), vec!["orders"]),
            (
                json!({"detail-type": "CloudWatch Alarm State Change", "detail": alarm}),
                vec!["orders"],
            ),
            (json!({"Records": [record, record]}), vec!["orders"]),
            (json!({"Records": []}), vec![]),
            (
                json!({"alarmData": composite, "alarmTags": {"tidegate:stream": "orders"}}),
                vec!["orders"],
            ),
            (
                json!({"alarmData": {"configuration": {"metrics": [
                    metric(&dims), metric(&json!({"StreamName": "clicks"}))]}}}),
                vec!["orders", "clicks"],
            ),
        ];
        for (event, expected) in cases {
            assert_eq!(streams(&event), expected, "{event}");
        }
    }

    #[test]
    fn a_muted_alarm_says_by_what() {
        let event = json!({"detail-type": "CloudWatch Alarm State Change", "detail": {
            "alarmName": "busy", "configuration": {"metrics": [metric(&json!({"StreamName": "a"}))]},
            "muteDetail": {"mutedByArn": "arn:aws:cloudwatch:rule:night"}}});
        let Ok(Wake::Streams(looks)) = parse(event.to_string().as_bytes()) else { panic!() };
        assert_eq!(looks[0].muted_by.as_deref(), Some("arn:aws:cloudwatch:rule:night"));
        assert_eq!(looks[0].alarm.as_deref(), Some("busy"));
    }

    #[test]
    fn what_is_not_understood_is_named() {
        let cases = [
            ("{", "the event is not JSON"),
            ("[]", "it is not an object"),
            (r#"{"Records": 1}"#, "Records is not a list"),
            (r#"{"Records": [{"kinesis": {}}]}"#, "a record has no Sns.Message"),
            (r#"{"Records": [{"Sns": {"Message": "hello"}}]}"#, "Sns.Message is not JSON"),
            (r#"{"detail-type": "AWS Health Event"}"#, "AWS Health Event"),
            (r#"{"alarmData": {"alarmName": "cpu"}}"#, "the alarm \"cpu\" names no stream"),
            (r#"{"stream": "no spaces"}"#, "\"no spaces\" is not the name"),
            (r#"{"stream": 7}"#, "\"7\" is not the name"),
            (r#"{"foo": 1, "bar": 2}"#, "it has the fields bar, foo"),
        ];
        for (event, part) in cases {
            let error = parse(event.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(part), "{event}: {error}");
        }
    }
}
