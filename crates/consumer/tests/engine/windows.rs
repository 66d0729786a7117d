//! Tumbling windows: what one invocation hands to the next.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tidegate_consumer::{
    BoxError, Consumer, Event, LogOnly, ProcessError, Record, Text, Window, WindowHandler,
};

use crate::batch::{CALL, entry, number};

/// An event of a window, as the developer guide shows one.
fn event(payloads: &[&str], state: &str, is_final: bool) -> Vec<u8> {
    let entries = payloads.iter().enumerate().map(|(index, text)| entry(index, text.as_bytes()));
    let event = json!({
        "Records": entries.collect::<Vec<_>>(),
        "window": {"start": "2020-12-09T07:04:00Z", "end": "2020-12-09T07:06:00Z"},
        "state": null,
        "shardId": "shardId-000000000006",
        "eventSourceARN": "arn:aws:kinesis:us-east-1:123456789012:stream/lambda-stream",
        "isFinalInvokeForWindow": is_final,
        "isWindowTerminatedEarly": false,
    });
    event.to_string().replace("\"state\":null", &format!("\"state\":{state}")).into_bytes()
}

#[test]
fn a_window_is_read() {
    let body = event(&[], r#"{"1":282}"#, true);
    let event = Event::parse(&body).unwrap();
    let window = event.window().unwrap();
    let text = |at: Option<jiff::Timestamp>| at.unwrap().to_string();
    assert_eq!(text(window.start), "2020-12-09T07:04:00Z");
    assert_eq!(text(window.end), "2020-12-09T07:06:00Z");
    assert_eq!((window.state, window.is_final), (r#"{"1":282}"#, true));
    assert!(!window.terminated_early && event.is_empty());
    // Without a window, and with one that cannot be read.
    assert!(Event::parse(br#"{"Records":[]}"#).unwrap().window().is_none());
    let odd = Event::parse(br#"{"Records":[],"window":7,"isWindowTerminatedEarly":true}"#).unwrap();
    let window = odd.window().unwrap();
    assert_eq!((window.start, window.state, window.terminated_early), (None, "{}", true));
}

#[test]
fn a_state_of_nobody_is_handed_on_as_it_came() {
    let handler = async |text: &str, _: &Record<'_>| -> Result<(), BoxError> {
        if text == "busy" { Err("busy".into()) } else { Ok(()) }
    };
    let consumer = Consumer::new(Text, handler, LogOnly);
    let state = r#"{"1":282,"big":12345678901234567890123}"#;
    let busy = format!(r#"[{{"itemIdentifier":"{}"}}]"#, number(0));
    // The last invocation of a window may have no records.
    for (payloads, is_final, failures) in
        [(&["a"][..], false, "[]"), (&[], true, "[]"), (&["busy"], false, &busy)]
    {
        let body = event(payloads, state, is_final);
        let processed = pollster::block_on(consumer.process(&body, &CALL)).unwrap();
        let answer = String::from_utf8(processed.response.to_json()).unwrap();
        assert_eq!(answer, format!(r#"{{"batchItemFailures":{failures},"state":{state}}}"#));
    }
}

/// Counts the records of a window, and what the last invocation of it came to.
#[derive(Default)]
struct Count {
    batch: Mutex<u64>,
    ends: Mutex<Vec<u64>>,
}

struct Counting(Arc<Count>);

impl WindowHandler for Counting {
    async fn next_state(&self, window: &Window<'_>) -> Result<String, BoxError> {
        let before: Value = serde_json::from_str(window.state)?;
        let seen = std::mem::take(&mut *self.0.batch.lock().unwrap());
        let count = before["count"].as_u64().unwrap_or(0) + seen;
        match count {
            7 => return Err("seven".into()),
            8 => panic!("told to"),
            9 => return Ok("no JSON".to_owned()),
            _ if window.is_final => self.0.ends.lock().unwrap().push(count),
            _ => {}
        }
        Ok(json!({"count": count}).to_string())
    }
}

#[test]
fn a_handler_has_its_state_from_batch_to_batch() {
    let count = Arc::new(Count::default());
    let of = count.clone();
    let handler = async |_: &str, _: &Record<'_>| *of.batch.lock().unwrap() += 1;
    let consumer = Consumer::new(Text, handler, LogOnly).windows(Counting(count.clone()));
    let process = |body: Vec<u8>| pollster::block_on(consumer.process(&body, &CALL));
    let mut state = "{}".to_owned();
    for (payloads, is_final) in [(&["a", "b"][..], false), (&["c"], false), (&[], true)] {
        let processed = process(event(payloads, &state, is_final)).unwrap();
        let answer: Value = serde_json::from_slice(&processed.response.to_json()).unwrap();
        state = answer["state"].to_string();
    }
    assert_eq!((&*state, &*count.ends.lock().unwrap()), (r#"{"count":3}"#, &vec![3]));
    // Without a state to go on with, the invocation fails: the batch comes again.
    for (before, expected) in [
        (6, "seven"),
        (7, "the code panicked at this record"),
        (8, "expected ident at line 1 column 2"),
    ] {
        let error =
            process(event(&["a"], &json!({"count": before}).to_string(), false)).unwrap_err();
        let ProcessError::Window { source, report } = error else { panic!("{error}") };
        assert_eq!((source.to_string(), report.delivered), (expected.to_owned(), 1));
    }
}
