//! Every form of event that wakes the autoscaler, as a file.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use tidegate_autoscaler::event::{self, Wake};

/// The streams that a fixture names, or "configured" for the heartbeat.
fn streams(name: &str) -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/events");
    let body = std::fs::read(folder.join(format!("autoscaler-{name}.json"))).unwrap();
    match event::parse(&body).unwrap() {
        Wake::Heartbeat => vec!["configured".to_owned()],
        Wake::Streams(looks) => looks
            .into_iter()
            .map(|look| format!("{}{}", look.stream, muted(look.muted_by)))
            .collect(),
    }
}

fn muted(by: Option<String>) -> &'static str {
    if by.is_some() { " (muted)" } else { "" }
}

#[test]
fn each_file_names_its_stream() {
    let cases = [
        ("alarm-direct", vec!["clicks"]),
        ("alarm-direct-single-metric", vec!["clicks"]),
        ("alarm-composite", vec!["clicks"]),
        ("alarm-event-bridge", vec!["clicks"]),
        ("alarm-event-bridge-muted", vec!["clicks (muted)"]),
        ("alarm-sns", vec!["clicks"]),
        // Two alarms of one stream, one of them twice: one look.
        ("alarm-sns-several", vec!["clicks"]),
        ("by-hand", vec!["clicks"]),
        ("heartbeat", vec!["configured"]),
        ("scheduled-event", vec!["configured"]),
    ];
    for (name, expected) in cases {
        assert_eq!(streams(name), expected, "{name}");
    }
}
