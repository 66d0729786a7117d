use serde_json::json;

use super::*;

/// The streams, a muted one with `~`, "every stream", and what is ignored as `-reason`.
fn read(event: &Value) -> Vec<String> {
    let Event { wake, ignored } = parse(event.to_string().as_bytes()).unwrap();
    let mut words = match wake {
        Wake::Heartbeat => vec!["every stream".to_owned()],
        Wake::Streams(looks) => looks
            .into_iter()
            .map(|look| {
                format!("{}{}", if look.muted_by.is_some() { "~" } else { "" }, look.stream)
            })
            .collect(),
    };
    words.extend(ignored.iter().map(|ignored| {
        let reason = serde_json::to_value(ignored.reason).unwrap();
        format!("-{}", reason.as_str().unwrap())
    }));
    words
}

fn error(event: &str) -> String {
    parse(event.as_bytes()).unwrap_err().to_string()
}

fn metric(namespace: &str, stream: &str) -> Value {
    json!({"id": "b", "metricStat": {"period": 86_400, "stat": "Sum", "metric": {
        "namespace": namespace, "name": "IncomingBytes", "dimensions": {"StreamName": stream}}}})
}

/// An alarm on a stream, with more fields or others.
fn alarm(more: &Value) -> Value {
    let mut alarm = json!({"alarmName": "busy", "state": {"value": "ALARM"},
        "configuration": {"metrics": [metric("AWS/Kinesis", "orders")]}});
    for (key, value) in more.as_object().unwrap() {
        alarm[key] = value.clone();
    }
    alarm
}

fn direct(more: &Value) -> Value {
    json!({"source": "aws.cloudwatch", "alarmArn": "arn", "alarmData": alarm(more)})
}

fn watching(metrics: &Value) -> Value {
    direct(&json!({"configuration": {"metrics": metrics}}))
}

fn topic(messages: &[Value]) -> Value {
    let records: Vec<_> =
        messages.iter().map(|message| json!({"Sns": {"Message": message.to_string()}})).collect();
    json!({"Records": records})
}

fn notice(state: &str) -> Value {
    json!({"AlarmName": "busy", "AlarmDescription": null, "NewStateValue": state, "Trigger": {
        "Namespace": "AWS/Kinesis", "Dimensions": [{"value": "orders", "name": "StreamName"}]}})
}

#[test]
fn every_form_names_its_streams() {
    let state_change =
        |detail: Value| json!({"detail-type": "CloudWatch Alarm State Change", "detail": detail});
    let scheduled = json!({"detail-type": "Scheduled Event", "detail": {}});
    let arn = "arn:aws:kinesis:eu-west-1:111122223333:stream/a.b";
    let cases = [
        (json!({}), vec!["every stream"]),
        (scheduled.clone(), vec!["every stream"]),
        (json!({"stream": "orders"}), vec!["orders"]),
        (json!({"stream": arn}), vec!["a.b"]),
        (direct(&json!({})), vec!["orders"]),
        (state_change(alarm(&json!({}))), vec!["orders"]),
        (topic(&[notice("ALARM"), notice("ALARM")]), vec!["orders"]),
        (
            topic(&[json!({"stream": "orders"}), json!({"stream": "clicks"})]),
            vec!["orders", "clicks"],
        ),
        (topic(&[state_change(alarm(&json!({}))), scheduled]), vec!["every stream"]),
        (topic(&[]), vec![]),
        (
            watching(&json!([metric("AWS/Kinesis", "a"), metric("AWS/Kinesis", "b")])),
            vec!["a", "b"],
        ),
        // Somebody's own metrics of a stream.
        (watching(&json!([metric("Shop", "orders")])), vec!["orders"]),
        (watching(&json!([metric("AWS/KinesisVideo", "cam"), metric("Tidegate", "a")])), vec!["a"]),
        // No state, and a word that is new.
        (direct(&json!({"state": null})), vec!["orders"]),
        (direct(&json!({"state": {"value": "BREACHING"}})), vec!["orders"]),
    ];
    for (event, expected) in cases {
        assert_eq!(read(&event), expected, "{event}");
    }
}

#[test]
fn queries_name_their_streams() {
    let cases = [
        (
            r#"SELECT SUM(IncomingBytes) FROM "AWS/Kinesis" WHERE StreamName = 'orders'"#,
            Some("orders"),
        ),
        (
            r#"SELECT SUM(x) FROM SCHEMA("AWS/Kinesis", StreamName) WHERE "StreamName"='a.b'"#,
            Some("a.b"),
        ),
        (r#"sum(rate(IncomingBytes{StreamName="orders"}[5m]))"#, Some("orders")),
        (r#"{"IncomingBytes", "StreamName"="orders"}"#, Some("orders")),
        (r#"sum by (StreamName) (rate(IncomingBytes[5m]))"#, None),
        (r#"IncomingBytes{StreamName!="orders"}"#, None),
        (r#"IncomingBytes{StreamName=~"ord.*"}"#, None),
        ("StreamName = 'without an end", None),
        ("StreamName", None),
    ];
    for (query, expected) in cases {
        for key in ["expression", "Expression", "query"] {
            let event = watching(&json!([{"id": "q", "period": 60, key: query}]));
            match expected {
                Some(stream) => assert_eq!(read(&event), [stream], "{query}"),
                None => assert!(error(&event.to_string()).contains("names no stream"), "{query}"),
            }
        }
    }
}

#[test]
fn tags_name_the_stream_of_an_alarm_without_metrics() {
    let composite = json!({"alarmName": "either", "configuration": {"alarmRule": "ALARM(a)"}});
    let event = |tags: Value| json!({"alarmData": composite, "alarmTags": tags});
    let cases = [
        event(json!({"tidegate:stream": "orders"})),
        event(json!([{"key": "tidegate:stream", "value": "orders"}])),
        event(json!([{"Key": "tidegate:stream", "Value": "orders"}])),
        topic(&[json!({"AlarmName": "either", "AlarmTags": {"tidegate:stream": "orders"}})]),
    ];
    for event in cases {
        assert_eq!(read(&event), ["orders"], "{event}");
    }
    // What the metrics say goes before.
    let mut both = direct(&json!({}));
    both["alarmTags"] = json!({"tidegate:stream": "clicks"});
    assert_eq!(read(&both), ["orders"]);
    // And tags before another service.
    let mut queue = watching(&json!([metric("AWS/SQS", "q")]));
    queue["alarmTags"] = json!({"tidegate:stream": "clicks"});
    assert_eq!(read(&queue), ["clicks"]);
}

#[test]
fn what_asks_for_no_look_is_ignored_with_its_reason() {
    let changed = json!({"detail-type": "CloudWatch Alarm Configuration Change",
        "detail": alarm(&json!({"operation": "update"}))});
    let cases = [
        (direct(&json!({"state": {"value": "OK"}})), vec!["-not_in_alarm"]),
        (direct(&json!({"state": {"value": "INSUFFICIENT_DATA"}})), vec!["-not_in_alarm"]),
        (topic(&[notice("OK")]), vec!["-not_in_alarm"]),
        (changed, vec!["-no_transition"]),
        (watching(&json!([metric("AWS/KinesisVideo", "cam")])), vec!["-other_service"]),
        (
            watching(&json!([{"metricStat": {"metric": {"namespace": "AWS/EC2"}}}])),
            vec!["-other_service"],
        ),
        // Whichever comes first.
        (topic(&[notice("OK"), notice("ALARM")]), vec!["orders", "-not_in_alarm"]),
        (topic(&[notice("ALARM"), notice("OK")]), vec!["orders", "-not_in_alarm"]),
        // One that cannot be understood stops none of the others.
        (topic(&[json!("hello"), notice("ALARM")]), vec!["orders", "-not_understood"]),
        (
            topic(&[json!({"AlarmName": "either"}), notice("OK")]),
            vec!["-not_in_alarm", "-not_understood"],
        ),
    ];
    for (event, expected) in cases {
        assert_eq!(read(&event), expected, "{event}");
    }
}

#[test]
fn a_muted_alarm_says_by_what() {
    let cases = [
        (json!({"muteDetail": {"mutedByArn": "arn:rule:night"}}), Some("arn:rule:night")),
        (json!({"muteDetail": {}}), Some("a rule without a name")),
        (json!({"muteDetail": null}), None),
        (
            json!({"state": {"value": "ALARM", "actionsSuppressedBy": "WaitPeriod"}}),
            Some("WaitPeriod"),
        ),
        (json!({"state": {"value": "ALARM", "actionsSuppressedBy": null}}), None),
        (json!({"previousState": {"actionsSuppressedBy": "Alarm"}}), None),
    ];
    for (more, expected) in cases {
        let Event { wake: Wake::Streams(looks), .. } =
            parse(direct(&more).to_string().as_bytes()).unwrap()
        else {
            panic!("{more}")
        };
        assert_eq!(looks[0].muted_by.as_deref(), expected, "{more}");
        assert_eq!(looks[0].alarm.as_deref(), Some("busy"));
    }
    // A mute holds only if every alarm of the stream is muted.
    let muted = json!({"detail-type": "CloudWatch Alarm State Change",
        "detail": alarm(&json!({"muteDetail": {}}))});
    assert_eq!(read(&topic(&[muted.clone(), muted.clone()])), ["~orders"]);
    assert_eq!(read(&topic(&[muted.clone(), notice("ALARM")])), ["orders"]);
    assert_eq!(read(&topic(&[notice("ALARM"), muted])), ["orders"]);
}

#[test]
fn what_is_not_understood_is_named() {
    let long = format!(r#"{{"Records": "{}"}}"#, "é".repeat(200));
    let cases = [
        ("{", "the event is not JSON: EOF"),
        ("[]", "it is [], not an object"),
        ("null", "it is missing, not an object"),
        (r#"{"Records": 1}"#, "Records is 1, not a list"),
        (r#"{"Records": [{"kinesis": {}}]}"#, "Records[0].Sns.Message is missing, not a text"),
        (r#"{"Records": [{"Sns": {"Message": 7}}]}"#, "Records[0].Sns.Message is 7, not a text"),
        (
            r#"{"Records": [{"Sns": {"Message": "hello"}}]}"#,
            r#"Records[0].Sns.Message is "hello", not JSON"#,
        ),
        (
            r#"{"Records": [{"Sns": {"Message": "[1]"}}]}"#,
            "Records[0].Sns.Message is [1], not an object",
        ),
        (
            r#"{"Records": [{"Sns": {"Message": "{\"stream\": \"a b\"}"}}]}"#,
            r#"Records[0].Sns.Message: stream is "a b", which is not the name"#,
        ),
        (
            r#"{"detail-type": "AWS Health Event"}"#,
            r#"detail-type is "AWS Health Event", not that of"#,
        ),
        (r#"{"alarmData": {"alarmName": "cpu"}}"#, "the alarm \"cpu\" names no stream"),
        (r#"{"alarmData": 5}"#, "the alarm \"without a name\" names no stream"),
        (
            r#"{"alarmData": {"alarmName": "a", "x": {"StreamName": "*"}}}"#,
            r#"alarmData: the stream of the alarm "a" is "*", which is not the name"#,
        ),
        (r#"{"stream": "no spaces"}"#, "stream is \"no spaces\", which is not the name"),
        (r#"{"stream": 7}"#, "stream is 7, which is not the name"),
        (r#"{"stream": "arn:aws:sqs:eu-west-1:111122223333:a"}"#, "which is not the name"),
        (r#"{"foo": 1, "bar": 2}"#, r#"it has the fields "bar", "foo""#),
        (long.as_str(), "é…, not a list"),
    ];
    for (event, part) in cases {
        let error = error(event);
        assert!(error.contains(part), "{event}: {error}");
    }
}
