//! The alarm in an event: its state, and the streams that it concerns.

use serde_json::{Map, Value};

use super::{EventError, Found, IgnoredReason, Look, STREAM_TAG, shown, stream_name};

/// What an alarm asks for. `event` is what came with it, where its tags may stand.
pub(super) fn read(alarm: &Value, event: &Value, part: &str) -> Result<Found, EventError> {
    let name = name(alarm);
    let state = state(alarm);
    if let Some(state) = state.filter(|state| matches!(*state, "OK" | "INSUFFICIENT_DATA")) {
        let message = format!("the alarm went to {state}; only ALARM asks for a look");
        return Ok(Found::ignored(Some(name), IgnoredReason::NotInAlarm, message));
    }
    let mut watched = Watched::default();
    watched.collect(alarm, true);
    let mut streams = watched.streams;
    if streams.is_empty() {
        tagged(event, &mut streams);
    }
    if streams.is_empty() && !watched.foreign.is_empty() {
        let message = format!("the alarm watches {}", watched.foreign.join(" and "));
        return Ok(Found::ignored(Some(name), IgnoredReason::OtherService, message));
    }
    if streams.is_empty() {
        return Err(EventError::NoStream { alarm: name });
    }
    let muted_by = muted_by(alarm);
    let place = format!("{part}: the stream of the alarm {name:?}");
    let looks = streams.into_iter().map(|stream| {
        let stream = stream_name(&Value::String(stream), &place)?;
        Ok(Look { stream, alarm: Some(name.clone()), muted_by: muted_by.clone() })
    });
    Ok(Found::looks(looks.collect::<Result<_, EventError>>()?))
}

/// The alarm's name: `alarmName` directly and from EventBridge, `AlarmName` in SNS messages.
pub(super) fn name(alarm: &Value) -> String {
    ["alarmName", "AlarmName"]
        .iter()
        .find_map(|key| alarm.get(key)?.as_str())
        .unwrap_or("without a name")
        .to_owned()
}

/// The state that it went to. A word that is not known asks for a look, as does none.
fn state(alarm: &Value) -> Option<&str> {
    let nested = alarm.get("state").and_then(|state| state.get("value"));
    nested.or_else(|| alarm.get("NewStateValue"))?.as_str()
}

/// The mute rule that silences the alarm, or what suppresses the actions of a composite one.
fn muted_by(alarm: &Value) -> Option<String> {
    let text = |value: Option<&Value>| match value? {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(shown(other)),
    };
    if let Some(mute @ Value::Object(_)) = alarm.get("muteDetail") {
        return text(mute.get("mutedByArn")).or_else(|| Some("a rule without a name".to_owned()));
    }
    text(alarm.pointer("/state/actionsSuppressedBy"))
}

/// The streams that an alarm watches, and the namespaces of other services that it does.
#[derive(Default)]
struct Watched {
    streams: Vec<String>,
    foreign: Vec<String>,
}

impl Watched {
    /// Collects the values of the dimension StreamName, wherever dimensions stand: a map in direct
    /// and EventBridge payloads, a list of lower-case name and value in SNS messages, a filter in
    /// the query of Metrics Insights and PromQL, the attributes of a contributor.
    ///
    /// Namespaces of AWS other than Kinesis' own use that dimension too (`AWS/KinesisVideo`); those
    /// of others are somebody's own metrics of the stream.
    fn collect(&mut self, value: &Value, ours: bool) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| self.collect(item, ours)),
            Value::Object(fields) => self.object(fields, ours),
            _ => {}
        }
    }

    fn object(&mut self, fields: &Map<String, Value>, ours: bool) {
        let text = |names: [&str; 2]| names.iter().find_map(|name| fields.get(*name)?.as_str());
        let mut ours = ours;
        if let Some(namespace) = text(["namespace", "Namespace"]) {
            ours = namespace == "AWS/Kinesis" || !namespace.starts_with("AWS/");
            if !ours {
                push(&mut self.foreign, namespace);
            }
        }
        if ours {
            let pair = text(["name", "Name"]).filter(|name| *name == "StreamName");
            let named = pair.and_then(|_| text(["value", "Value"]));
            let keyed = fields.get("StreamName").and_then(Value::as_str);
            named.into_iter().chain(keyed).for_each(|name| push(&mut self.streams, name));
        }
        for (key, inner) in fields {
            match inner {
                Value::String(query) if ours && is_query(key) => self.query(query),
                _ => self.collect(inner, ours),
            }
        }
    }

    /// `StreamName = 'NAME'` in SQL, `StreamName="NAME"` in PromQL.
    fn query(&mut self, query: &str) {
        for after in query.split("StreamName").skip(1) {
            // The name of a dimension may stand in quotes itself.
            let after = after.trim_start_matches(['"', '\'']).trim_start();
            let Some(value) = after.strip_prefix('=').map(str::trim_start) else { continue };
            let Some(quote) = value.chars().next().filter(|c| matches!(c, '"' | '\'')) else {
                continue;
            };
            if let Some((name, _)) = value[1..].split_once(quote) {
                push(&mut self.streams, name);
            }
        }
    }
}

fn is_query(key: &str) -> bool {
    ["expression", "query"].iter().any(|name| key.eq_ignore_ascii_case(name))
}

/// Collects the values of [`STREAM_TAG`], wherever tags stand: a map, or a list of keys and values.
fn tagged(value: &Value, names: &mut Vec<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| tagged(item, names)),
        Value::Object(fields) => {
            let text = |key: [&str; 2]| key.iter().find_map(|key| fields.get(*key)?.as_str());
            if text(["key", "Key"]) == Some(STREAM_TAG)
                && let Some(name) = text(["value", "Value"])
            {
                push(names, name);
            }
            for (key, inner) in fields {
                match inner.as_str() {
                    Some(name) if key == STREAM_TAG => push(names, name),
                    _ => tagged(inner, names),
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
