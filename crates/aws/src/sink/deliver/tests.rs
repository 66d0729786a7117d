#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::borrow::Cow;
use std::sync::Mutex;

use tidegate_consumer::Event;

use super::*;

/// A service that takes, gives back or refuses a record by what it says, and remembers its calls.
#[derive(Default)]
struct Service {
    calls: Mutex<Vec<String>>,
}

impl super::Service for Service {
    type Entry = String;

    fn limits(&self) -> Limits {
        Limits { entries: 4, bytes: 100 }
    }

    fn bulk(&self) -> BulkLimits {
        BulkLimits::default()
    }

    fn entry(&self, _: usize, data: &[u8], _: &Record<'_>) -> Result<String, Outcome> {
        match String::from_utf8_lossy(data).into_owned() {
            text if text == "none" => Err(Outcome::Skip),
            text => Ok(text),
        }
    }

    fn piece<'e>(&self, entry: &'e String) -> Piece<'e> {
        Piece { bytes: entry.len(), key: None }
    }

    async fn send(&self, entries: &[&String], _: Duration) -> Result<Vec<Verdict>, CallError> {
        let call = entries.iter().map(|entry| entry.as_str()).collect::<Vec<_>>().join(" ");
        let mut calls = self.calls.lock().unwrap();
        let times = calls.iter().filter(|before| **before == call).count();
        calls.push(call.clone());
        let failed = |fate| CallError::Answered { status: 400, what: "x".to_owned(), fate };
        if call.contains("denied") {
            return Err(failed(Fate::Stays));
        }
        if call.contains("toxic") {
            return Err(failed(Fate::Refused));
        }
        if call.contains("down") && times < 2 {
            return Err(failed(Fate::Passes));
        }
        if call.contains("short") {
            return Ok(vec![]);
        }
        let verdict = |entry: &&String| match entry.as_str() {
            "bad" => Verdict::Refused("bad".into()),
            "busy" => Verdict::Again("busy".into()),
            "once" if entries.len() > 1 => Verdict::Again("once".into()),
            _ => Verdict::Taken,
        };
        Ok(entries.iter().map(verdict).collect())
    }
}

/// Delivers the words of a text, and says what became of each, and what was called.
async fn deliver_all(words: &str) -> (Vec<String>, Vec<String>) {
    let event =
        Event::parse(br#"{"Records":[{"eventSource":"aws:kinesis","kinesis":{}}]}"#).unwrap();
    let record = event.records().next().unwrap();
    let records: Vec<_> =
        words.split(' ').map(|word| Received::new(word, Cow::Borrowed(&record))).collect();
    let service = Service::default();
    let outcomes = deliver(&service, &records, &Scope::default()).await;
    let outcomes = outcomes.iter().map(|outcome| match outcome {
        Outcome::Done => "done".to_owned(),
        Outcome::Skip => "skip".to_owned(),
        Outcome::Retry(error) => format!("retry {error}"),
        Outcome::Poison(reason, error) => format!("{reason} {error}"),
    });
    (outcomes.collect(), service.calls.into_inner().unwrap())
}

#[tokio::test(start_paused = true)]
async fn every_record_has_its_outcome() {
    let refused = "handler it was answered 400 x";
    let unclear = "retry the answer speaks of 0 records and not of 1";
    let left = "retry it was not sent, since the call before it failed for good";
    let denied = "retry it was answered 400 x";
    let cases: &[(&str, &[&str])] = &[
        ("a", &["done"]),
        ("a none b", &["done", "skip", "done"]),
        ("a bad b", &["done", "handler bad", "done"]),
        ("a busy b", &["done", "retry busy", "done"]),
        ("a once b", &["done", "done", "done"]),
        ("a b c down", &["done", "done", "done", "done"]),
        ("toxic", &[refused]),
        ("a toxic b c d e", &["done", refused, "done", "done", "done", "done"]),
        ("a toxic toxic b", &["done", refused, refused, "done"]),
        ("short", &[unclear]),
        (
            "a b c d denied e f g h",
            &["done", "done", "done", "done", denied, denied, denied, denied, left],
        ),
    ];
    for (words, expected) in cases {
        let (outcomes, _) = deliver_all(words).await;
        assert_eq!(outcomes, *expected, "{words}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_call_is_made_again_in_halves() {
    let (_, calls) = deliver_all("a b toxic c").await;
    assert_eq!(calls, ["a b toxic c", "a b", "toxic c", "toxic", "c"]);
}

#[tokio::test(start_paused = true)]
async fn only_what_was_not_taken_is_sent_again_and_not_for_ever() {
    let (_, calls) = deliver_all("a busy b bad").await;
    assert_eq!(calls[..2], ["a busy b bad", "busy"]);
    assert_eq!(calls.len(), ROUNDS_MAX as usize);
}

#[tokio::test(start_paused = true)]
async fn what_was_denied_is_not_asked_again() {
    let (_, calls) = deliver_all("a denied").await;
    assert_eq!(calls, ["a denied"]);
}

#[test]
fn waits_double_up_to_a_limit() {
    let whole = [(1, 100), (2, 200), (3, 400), (7, 5_000), (40, 5_000)];
    for (round, millis) in whole {
        for _ in 0..20 {
            let wait = wait_before(round);
            let most = Duration::from_millis(millis);
            assert!(most / 2 <= wait && wait <= most, "{wait:?} before round {round}");
        }
    }
}
