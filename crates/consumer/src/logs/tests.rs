use super::*;

const HEAD: &str = r#""messageType":"DATA_MESSAGE","owner":"123456789012","logGroup":"/orders/web","logStream":"i-1","subscriptionFilters":["all"]"#;

fn enveloped(events: &str) -> String {
    format!(r#"{{{HEAD},"logEvents":[{events}]}}"#)
}

/// What is read: the messages, or what is wrong.
fn read(data: &str) -> String {
    match Logs::read(data.as_bytes(), 3) {
        Ok(None) => "no envelope".to_owned(),
        Ok(Some(logs)) => {
            let entries: Vec<_> = logs
                .entries()
                .map(|entry| entry.map_or_else(|e| e.to_string(), |e| e.message.into_owned()))
                .collect();
            format!("{} control, {entries:?}", logs.control_messages)
        }
        Err(error) => format!("{}: {error}", error.reason()),
    }
}

#[test]
fn an_event_is_read_with_what_the_envelope_says() {
    let data = enveloped(
        r#"{"id":"3195310660696698337880902507980421114328961542429EXAMPLE","timestamp":1763683200047,"message":"{\"a\":\"ü\"}","extractedFields":{}}"#,
    );
    let logs = Logs::read(data.as_bytes(), 10).unwrap().unwrap();
    assert_eq!((logs.len(), logs.is_empty()), (1, false));
    let LogEntry { event, message } = logs.entries().next().unwrap().unwrap();
    assert_eq!(message, r#"{"a":"ü"}"#);
    assert_eq!(event.owner(), Some("123456789012"));
    assert_eq!(event.log_group(), Some("/orders/web"));
    assert_eq!(event.log_stream(), Some("i-1"));
    assert_eq!(event.id(), Some("3195310660696698337880902507980421114328961542429EXAMPLE"));
    assert_eq!(event.timestamp().unwrap().to_string(), "2025-11-21T00:00:00.047Z");
}

#[test]
fn what_is_an_envelope_and_what_is_none() {
    let one = enveloped(r#"{"message":"a"}"#);
    let control = r#"{"messageType":"CONTROL_MESSAGE","owner":"CloudwatchLogs","logGroup":"","logStream":"","subscriptionFilters":[],"logEvents":[{"id":"","timestamp":1510254469274,"message":"CWL CONTROL MESSAGE: Checking health of destination Kinesis stream."}]}"#;
    let frame = format!(r#"{{{HEAD},"logEvents":[],"x":"{}"}}"#, "x".repeat(FRAME_BYTES_MAX));
    let late = format!(r#"{{"x":"{}",{HEAD},"logEvents":[]}}"#, "x".repeat(HEAD_BYTES));
    let cut = one[..one.len() - 3].to_owned();
    let unlike = [one.as_str(), "{}"].concat();
    let no_list = |events: &str| format!(r#"{{{HEAD}{events}}}"#);
    let cases = [
        (one.clone(), r#"0 control, ["a"]"#),
        (format!(" \n{one}\n"), r#"0 control, ["a"]"#),
        (one.replace("\":", "\" : "), r#"0 control, ["a"]"#),
        (enveloped(""), "0 control, []"),
        (control.to_owned(), "1 control, []"),
        // Order within the envelope is not said anywhere.
        (
            r#"{"owner":"1","messageType":"DATA_MESSAGE","logEvents":[{"message":"a"}]}"#.into(),
            r#"0 control, ["a"]"#,
        ),
        // Several members of gzip give several envelopes.
        (format!("{one}{one}\n{control}{one}"), r#"1 control, ["a", "a", "a"]"#),
        (
            format!("{one}{one}{one}{one}"),
            "decompress_limit: the envelope of CloudWatch Logs holds more than 3 log events",
        ),
        (
            enveloped("1,2,3,4"),
            "decompress_limit: the envelope of CloudWatch Logs holds more than 3 log events",
        ),
        // An entry that cannot be read costs itself.
        (
            enveloped(r#"{"message":"a"},{"message":7},{"message":"b","message":"c"}"#),
            r#"0 control, ["a", "the log event has no message", "the log event has no message"]"#,
        ),
        (
            enveloped(r#"7,{"message":null},{"message":"\ud800"}"#),
            r#"0 control, ["the log event has no message", "the log event has no message", "the log event has no message"]"#,
        ),
        (cut, "cloudwatch_logs: the envelope of CloudWatch Logs is not JSON"),
        (unlike, "cloudwatch_logs: an envelope of CloudWatch Logs is followed by something else"),
        (no_list(""), "cloudwatch_logs: the envelope of CloudWatch Logs has no list of log events"),
        (
            no_list(r#","logEvents":null"#),
            "cloudwatch_logs: the envelope of CloudWatch Logs has no list of log events",
        ),
        (
            no_list(r#","logEvents":{}"#),
            "cloudwatch_logs: the envelope of CloudWatch Logs has no list of log events",
        ),
        (
            frame,
            "cloudwatch_logs: the envelope of CloudWatch Logs has more than 8192 bytes around its \
             log events",
        ),
        (String::new(), "no envelope"),
        ("[]".to_owned(), "no envelope"),
        (format!("[{one}]"), "no envelope"),
        (format!(r#"{{"detail":{one}}}"#), "no envelope"),
        (late, "no envelope"),
        (r#"{"logEvents":[],"messageType":"DATA_MESSAGE"}"#.to_owned(), "0 control, []"),
        (r#"{"messageType":"ORDER","logEvents":[]}"#.to_owned(), "no envelope"),
        (r#"{"messageType":7,"logEvents":[]}"#.to_owned(), "no envelope"),
        (r#"{"messageType":"DATA_MESSAGE","messageType":"DATA_MESSAGE"}"#.into(), "no envelope"),
    ];
    for (data, expected) in cases {
        assert_eq!(read(&data), expected, "{data}");
    }
}

#[test]
fn what_is_no_text_is_no_envelope_that_can_be_read() {
    let mut data = enveloped(r#"{"message":"a"}"#).into_bytes();
    let at = data.len() - 5;
    data[at] = 0xff;
    let error = Logs::read(&data, 3).unwrap_err();
    assert_eq!(error.reason(), PoisonReason::CloudwatchLogs);
}

#[test]
fn absurd_fields_are_absent() {
    let cases = [
        r#"{"messageType":"DATA_MESSAGE","owner":7,"logGroup":null,"logStream":{},"logEvents":[{"id":7,"timestamp":"soon","message":""}]}"#,
        r#"{"messageType":"DATA_MESSAGE","logEvents":[{"timestamp":99999999999999999999,"message":""}]}"#,
        r#"{"messageType":"DATA_MESSAGE","logEvents":[{"timestamp":1.5,"message":""}]}"#,
        r#"{"messageType":"DATA_MESSAGE","logEvents":[{"timestamp":9223372036854775807,"message":""}]}"#,
    ];
    for data in cases {
        let logs = Logs::read(data.as_bytes(), 3).unwrap().unwrap();
        let LogEntry { event, message } = logs.entries().next().unwrap().unwrap();
        assert_eq!(message, "");
        let said = (event.owner(), event.log_group(), event.log_stream(), event.id());
        assert_eq!((said, event.timestamp()), ((None, None, None, None), None), "{data}");
    }
}
