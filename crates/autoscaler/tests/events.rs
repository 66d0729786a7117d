//! Every form of event that wakes the autoscaler, as a file; and what becomes of a file that was
//! damaged on the way.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};
use tidegate_autoscaler::event::{self, Event, Wake, is_stream_name};

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/events")
}

fn body(name: &str) -> Vec<u8> {
    std::fs::read(folder().join(format!("autoscaler-{name}.json"))).unwrap()
}

/// The streams that a fixture names, or "configured" for the heartbeat; and why what is ignored is.
fn streams(name: &str) -> Vec<String> {
    let Event { wake, ignored } = event::parse(&body(name)).unwrap();
    let mut words = match wake {
        Wake::Heartbeat => vec!["configured".to_owned()],
        Wake::Streams(looks) => looks
            .into_iter()
            .map(|look| format!("{}{}", look.stream, muted(look.muted_by)))
            .collect(),
    };
    words.extend(ignored.iter().map(|ignored| format!("ignored: {:?}", ignored.reason)));
    words
}

fn muted(by: Option<String>) -> &'static str {
    if by.is_some() { " (muted)" } else { "" }
}

const FIXTURES: [(&str, &[&str]); 23] = [
    ("alarm-direct", &["clicks"]),
    ("alarm-direct-day", &["clicks"]),
    ("alarm-direct-metrics-insights", &["clicks"]),
    ("alarm-direct-ok", &["ignored: NotInAlarm"]),
    ("alarm-direct-other-service", &["ignored: OtherService"]),
    ("alarm-direct-promql", &["clicks"]),
    ("alarm-direct-single-metric", &["clicks"]),
    ("alarm-composite", &["clicks"]),
    ("alarm-event-bridge", &["clicks"]),
    ("alarm-event-bridge-anomaly", &["clicks"]),
    ("alarm-event-bridge-configuration", &["ignored: NoTransition"]),
    ("alarm-event-bridge-contributor", &["clicks"]),
    ("alarm-event-bridge-muted", &["clicks (muted)"]),
    ("alarm-event-bridge-suppressed", &["clicks (muted)"]),
    ("alarm-sns", &["clicks"]),
    ("alarm-sns-event-bridge", &["clicks"]),
    ("alarm-sns-insufficient", &["ignored: NotInAlarm"]),
    ("alarm-sns-old", &["clicks"]),
    // The newer OK comes first, the alarm twice, and between them a word of a person.
    ("alarm-sns-reordered", &["clicks", "ignored: NotInAlarm", "ignored: NotUnderstood"]),
    // Two alarms of one stream, one of them twice: one look.
    ("alarm-sns-several", &["clicks"]),
    ("by-hand", &["clicks"]),
    ("heartbeat", &["configured"]),
    ("scheduled-event", &["configured"]),
];

#[test]
fn each_file_names_its_stream() {
    for (name, expected) in FIXTURES {
        assert_eq!(streams(name), expected, "{name}");
    }
    let files = std::fs::read_dir(folder()).unwrap().filter(|file| {
        file.as_ref().unwrap().file_name().to_string_lossy().starts_with("autoscaler-")
    });
    assert_eq!(files.count(), FIXTURES.len(), "a file that no case reads");
}

/// The places of a value, each a path of steps from the top.
fn places(value: &Value) -> Vec<String> {
    let mut found = vec![String::new()];
    let mut add = |step: &str, inner: &Value| {
        found.extend(places(inner).into_iter().map(|rest| format!("/{step}{rest}")));
    };
    match value {
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| add(&index.to_string(), item));
        }
        Value::Object(fields) => fields
            .iter()
            .for_each(|(key, inner)| add(&key.replace('~', "~0").replace('/', "~1"), inner)),
        _ => {}
    }
    found
}

/// Puts another value at a place, also inside of the JSON that SNS carries as a text.
fn damage(event: &mut Value, at: &Index, with: &Value) {
    let all = places(event);
    let place = at.get(&all);
    let Some(spot) = event.pointer_mut(place) else { panic!("{place}") };
    if place.ends_with("/Message")
        && let Some(mut inner) = spot.as_str().and_then(|text| serde_json::from_str(text).ok())
    {
        damage(&mut inner, at, with);
        *spot = Value::String(inner.to_string());
        return;
    }
    *spot = with.clone();
}

fn something() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        Just(json!([])),
        Just(json!({})),
        Just(json!({"StreamName": "clicks"})),
        Just(json!([{"name": "StreamName", "value": "clicks"}])),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        "StreamName ?!?= ?['\"]?[a-z*]{0,4}['\"]?".prop_map(Value::from),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    /// Whatever of a file is replaced: no panic, every stream has a possible name, and an error is
    /// short and says something of the event.
    #[test]
    fn a_damaged_event_is_read_or_refused(
        file in 0..FIXTURES.len(),
        changes in prop::collection::vec((any::<Index>(), something()), 1..4),
    ) {
        let mut event: Value = serde_json::from_slice(&body(FIXTURES[file].0)).unwrap();
        for (at, with) in &changes {
            damage(&mut event, at, with);
        }
        match event::parse(event.to_string().as_bytes()) {
            Ok(Event { wake: Wake::Streams(looks), .. }) => {
                for (index, look) in looks.iter().enumerate() {
                    prop_assert!(is_stream_name(&look.stream), "{}", look.stream);
                    let again = looks[index + 1..].iter().any(|other| other.stream == look.stream);
                    prop_assert!(!again, "{} twice", look.stream);
                }
            }
            Ok(_) => {}
            Err(error) => prop_assert!(error.to_string().len() < 2_000, "{}", error),
        }
    }

    /// Bytes cut or changed anywhere.
    #[test]
    fn damaged_bytes_do_not_panic(
        file in 0..FIXTURES.len(),
        at in any::<Index>(),
        byte in any::<u8>(),
        cut in any::<bool>(),
    ) {
        let mut bytes = body(FIXTURES[file].0);
        let place = at.index(bytes.len());
        if cut {
            bytes.truncate(place);
            prop_assert!(event::parse(&bytes).is_err() || place + 2 >= body(FIXTURES[file].0).len());
        } else {
            bytes[place] = byte;
            let _ = event::parse(&bytes);
        }
    }
}
