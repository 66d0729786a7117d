//! The built autoscaler tells people and tools, against answers of our own: what is sent, once, and
//! what a place that takes nothing does to a run.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tidegate_tests::account::{Account, Stream};
use tidegate_tests::canned::{Answer, Asked, Canned};
use tidegate_tests::lambda::Lambda;
use tidegate_tests::place::bootstrap;

const TOPIC: &str = "sns:arn:aws:sns:us-east-1:111122223333:people";
const BUS: &str = "events:arn:aws:events:us-east-1:111122223333:event-bus/tools";

/// Three streams: one needs more shards, one has a tag that cannot be read, and one was held for want
/// of a permission and is not any more.
fn account() -> Account {
    let stream = |load, tag: Option<(&str, &str)>| {
        let tags = [Some(("tidegate:autoscale", "yes")), tag].into_iter().flatten();
        let tags = tags.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        Stream { shards: 4, load, tags }
    };
    let account = Account::new(BTreeMap::from([
        ("back".to_owned(), stream(3.0, None)),
        ("busy".to_owned(), stream(6.0, None)),
        ("misspelt".to_owned(), stream(3.0, Some(("tidegate:min-shards", "few")))),
    ]));
    let hour_ago = Timestamp::now() - SignedDuration::from_hours(1);
    let held = |reason: &str, told: &[&str]| json!({"since": hour_ago, "reason": reason, "reason_since": hour_ago, "told": told});
    let book = json!({"format": 1, "held": {
        "back": held("access_denied", &["access_denied"]),
        "misspelt": held("tag_unreadable", &[]),
    }});
    let item = json!({"stream": {"S": "/notices"}, "revision": {"N": "1"},
        "entry": {"S": book.to_string()}, "expires": {"N": "4000000000"}});
    let put = Asked {
        at: Instant::now(),
        operation: "PutItem".to_owned(),
        input: json!({"TableName": "ledger", "Item": item}),
        line: String::new(),
        headers: BTreeMap::new(),
        body: Vec::new(),
    };
    assert_eq!(account.answer(&put).0, 200);
    account
}

/// The function, and everything it calls; notices are answered by `answer`.
fn start(to: &str, answer: fn() -> Answer) -> Option<(Lambda, Canned)> {
    let bootstrap = bootstrap("autoscaler")?;
    let account = Arc::new(account());
    let services = Canned::start(move |asked| match asked.operation.as_str() {
        // The one form has no operation in its head, but in its body.
        "" | "PutEvents" => answer(),
        _ => account.answer(asked),
    });
    let endpoint = services.endpoint();
    let settings = [
        ("AWS_ENDPOINT_URL", endpoint.as_str()),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_REGION", "us-east-1"),
        ("TIDEGATE_MODE", "active"),
        ("TIDEGATE_LEDGER_TABLE", "ledger"),
        ("TIDEGATE_NOTICES", to),
    ];
    Some((Lambda::start(&bootstrap, &settings).unwrap(), services))
}

/// A run over all streams; the notices that it asked for, and what it said of them.
fn run((lambda, services): &(Lambda, Canned)) -> (Vec<Asked>, Option<Value>) {
    let before = lambda.events("notices").unwrap().len();
    let decisions = lambda.respond(json!({})).unwrap();
    assert_eq!(decisions.as_array().unwrap().len(), 3, "{decisions}");
    let mut asked = services.asked();
    asked.retain(|asked| matches!(asked.operation.as_str(), "" | "PutEvents"));
    (asked, lambda.events("notices").unwrap().into_iter().nth(before))
}

#[test]
fn a_topic_is_told_once() {
    let Some(host) = start(TOPIC, || (200, "<PublishResponse/>".into())) else { return };
    let (asked, said) = run(&host);
    let mut subjects: Vec<_> = asked
        .iter()
        .map(|asked| {
            assert!(asked.headers["authorization"].contains("/us-east-1/sns/aws4_request"));
            let form = String::from_utf8(asked.body.clone()).unwrap();
            let topic = "Action=Publish&Version=2010-03-31&TopicArn=arn%3Aaws%3Asns%3Aus-east-1\
                         %3A111122223333%3Apeople&Subject=";
            let rest = form.strip_prefix(topic).unwrap_or_else(|| panic!("{form}"));
            rest.split('&')
                .next()
                .unwrap()
                .replace("%20", " ")
                .replace("%2C", ",")
                .replace("%3A", ":")
        })
        .collect();
    subjects.sort();
    let expected = [
        "Tidegate: back no longer holds %28access_denied%29, after 1h 0m",
        "Tidegate: busy goes from 4 to ",
        "Tidegate: misspelt holds for 1h 0m %28tag_unreadable%29",
    ];
    assert_eq!(subjects.len(), expected.len(), "{subjects:?}");
    for (subject, expected) in subjects.iter().zip(expected) {
        assert!(subject.starts_with(expected), "{subject}");
    }
    assert_eq!(said.unwrap()["told"], 3);
    let (asked, said) = run(&host);
    assert_eq!((asked.len(), said), (0, None), "all of it was told");
}

#[test]
fn a_bus_is_sent_the_decision() {
    let taken = || (200, json!({"FailedEntryCount": 0, "Entries": [{"EventId": "1"}]}));
    let Some(host) = start(BUS, taken) else { return };
    let (asked, _) = run(&host);
    let kinds: BTreeMap<_, _> = asked
        .iter()
        .map(|asked| {
            let entry = &asked.input["Entries"][0];
            assert_eq!(entry["Source"], "tidegate.autoscaler", "{entry}");
            assert_eq!(entry["EventBusName"], BUS.trim_start_matches("events:"));
            let detail: Value = serde_json::from_str(entry["Detail"].as_str().unwrap()).unwrap();
            assert_eq!(detail["stream"], detail["decision"]["stream"]);
            (detail["stream"].as_str().unwrap().to_owned(), detail["kind"].clone())
        })
        .collect();
    let expected = [("back", "released"), ("busy", "resized"), ("misspelt", "held")];
    let expected = expected.map(|(stream, kind)| (stream.to_owned(), json!(kind)));
    assert_eq!(kinds, expected.into());
}

#[test]
fn a_place_that_takes_nothing_fails_no_run() {
    let denied = || (400, json!({"__type": "AccessDeniedException", "message": "not yours"}));
    let Some(host) = start(BUS, denied) else { return };
    let (_, said) = run(&host);
    let said = said.unwrap();
    assert_eq!((&said["told"], &said["left"], &said["lost"]), (&json!(0), &json!(2), &json!(1)));
    let why = "PutEvents: it was answered 400 AccessDeniedException: not yours";
    assert_eq!((&said["failed"], &said["level"]), (&json!([why]), &json!("WARN")), "{said}");
    let (asked, _) = run(&host);
    assert_eq!(asked.len(), 2, "what is left is tried again, and the resize is lost");
}
