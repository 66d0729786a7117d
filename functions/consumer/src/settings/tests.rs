use std::collections::BTreeMap;

use super::*;

fn read(pairs: &[(&str, &str)]) -> Result<Settings, String> {
    let vars: BTreeMap<String, String> =
        pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
    Settings::read(&vars).map_err(|error| error.to_string())
}

#[test]
fn without_settings_records_are_json_and_the_log_is_all() {
    let settings = read(&[(SINK, ""), (FORMAT, " ")]).unwrap();
    assert_eq!((settings.check.format, settings.sink.to_string().as_str()), (Format::Json, "log"));
    assert!(matches!(settings.store, Store::Log), "{:?}", settings.store);
    let mut options = Options::default();
    options.expand = Expand::auto();
    assert_eq!(settings.options, options);
}

#[test]
fn each_value_is_taken() {
    let root = tempfile::tempdir().unwrap();
    let folder = format!("file://{}/new/folder", root.path().display());
    let stores = [
        ("s3://my-bucket", "s3://my-bucket"),
        ("s3://my-bucket/", "s3://my-bucket"),
        ("s3://my-bucket/some/prefix/", "s3://my-bucket/some/prefix"),
        ("sqs:https://sqs.example/1/q", "sqs:https://sqs.example/1/q"),
        ("dynamodb:table", "dynamodb:table"),
        (&folder, &folder),
        ("log", "log"),
        ("log:payload", "log:payload"),
    ];
    for (value, name) in stores {
        assert_eq!(read(&[(QUARANTINE, value)]).unwrap().store.to_string(), name);
    }
    assert!(root.path().join("new/folder").is_dir());
    let formats =
        [("json", Format::Json), ("text", Format::Text), ("access-log", Format::AccessLog)];
    for (value, format) in formats {
        assert_eq!(read(&[(FORMAT, value), (SINK, "log")]).unwrap().check.format, format);
    }
}

#[test]
fn each_sink_is_taken() {
    let sinks = [
        ("log", "Log"),
        ("dynamodb:orders", "DynamoDb"),
        ("firehose:lake", "Firehose"),
        ("http://127.0.0.1:8080/in", "Http"),
        ("https://example.com/in?source=stream", "Http"),
        ("kinesis:copy", "Kinesis"),
        ("opensearch:https://search.example.com/logs", "OpenSearch"),
        ("s3://my-bucket/some/prefix", "S3"),
        ("sns:arn:aws:sns:eu-central-1:111122223333:news.fifo", "Sns"),
        ("sqs:https://sqs.eu-central-1.amazonaws.com/111122223333/work", "Sqs"),
    ];
    for (value, kind) in sinks {
        let details = [(SINK_KEY, "id"), (SINK_AUTHORIZATION, "Bearer t"), (SINK_RECORDS, "9")];
        let sink = read(&[&details[..], &[(SINK, value)]].concat()).unwrap().sink;
        assert_eq!(sink.to_string(), value);
        let found = format!("{:?}", sink.kind);
        assert!(found.starts_with(kind), "{value} is {found}");
    }
}

#[test]
fn each_choice_is_taken() {
    let options = |key, value| read(&[(key, value)]).unwrap().options;
    let retries = [("stop-shard", OnRetry::StopShard), ("fence-key", OnRetry::FenceKey)];
    for (value, expected) in retries {
        assert_eq!(options(ON_RETRY, value).on_retry, expected);
    }
    let poisons = [
        ("skip", OnPoison::Skip),
        ("park-key", OnPoison::ParkKey),
        ("stop-shard", OnPoison::StopShard),
    ];
    for (value, expected) in poisons {
        assert_eq!(options(ON_POISON, value).on_poison, expected);
    }
    let expansions =
        [("auto", Expand::auto()), ("compressed", Expand::compressed()), ("none", Expand::none())];
    for (value, expected) in expansions {
        assert_eq!(options(EXPAND, value).expand, expected);
    }
    for (value, expected) in [("1", 1), ("64", 64)] {
        assert_eq!(options(LANES, value).lanes.get(), expected);
    }
}

#[test]
fn patience_and_memory_are_taken() {
    let root = tempfile::tempdir().unwrap();
    let folder = format!("{}/notes", root.path().display());
    let settings = read(&[
        (RECORD_TIMEOUT, "10s"),
        (MAX_ATTEMPTS, "5"),
        (MAX_AGE, "6h"),
        (JOURNAL, &folder),
        ("TIDEGATE_DEDUPE", "memory"),
    ])
    .unwrap();
    assert_eq!(settings.record_timeout, Some(Duration::from_secs(10)));
    assert_eq!(settings.options.max_attempts, NonZeroU32::new(5));
    assert_eq!(settings.options.max_age, Some(SignedDuration::from_hours(6)));
    assert_eq!(settings.journal.unwrap().folder().to_string_lossy(), folder);
    assert_eq!(format!("{:?}", settings.dedupe.unwrap().dedupe), "Dedupe(by delivery)");
    let key = [
        ("TIDEGATE_DEDUPE", "dynamodb:delivered"),
        ("TIDEGATE_DEDUPE_KEY", "/order/id"),
        ("TIDEGATE_DEDUPE_FOR", "7d"),
    ];
    let chosen = read(&key).unwrap().dedupe.unwrap();
    assert_eq!(chosen.name, "dynamodb:delivered");
    assert_eq!(format!("{:?}", chosen.dedupe), "Dedupe(by key)");
}

#[test]
fn a_condition_is_over_the_fields_of_its_format() {
    for (format, condition) in [
        ("json", "status >= 500 || order.total > 10.5"),
        ("text", "message.contains('panic')"),
        ("access-log", "status >= 500 && method == 'GET'"),
    ] {
        let settings = read(&[(FORMAT, format), (NOTIFY, condition)]).unwrap();
        assert_eq!(settings.notify.unwrap().expression, condition);
    }
    let error = read(&[(FORMAT, "text"), (NOTIFY, "status >= 500")]).unwrap_err();
    let expected = "but there is no field \"status\" here (there are message)";
    assert!(error.ends_with(expected), "{error}");
}

#[test]
fn a_schema_stands_in_the_setting_or_in_a_file() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("order.json");
    let text = r#"{"required": ["id"]}"#;
    std::fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap();
    for value in [text, path] {
        assert!(read(&[(SCHEMA, value)]).unwrap().check.schema.is_some(), "{value}");
    }
    let absent = format!("{path}.none");
    let cases = [
        (absent.as_str(), "but No such file or directory (os error 2)"),
        ("{\"type\": 7}", "(at \"/type\" of the schema)"),
        ("{", "but EOF while parsing an object at line 1 column 1"),
    ];
    for (value, expected) in cases {
        let error = read(&[(SCHEMA, value)]).unwrap_err();
        let start = format!(
            "a setting cannot be used: {SCHEMA}={value:?}: expected a JSON Schema, or the path of a \
             file that holds one, but "
        );
        assert!(error.starts_with(&start) && error.ends_with(expected), "{error}");
    }
    let error = read(&[(SCHEMA, text), (FORMAT, "text")]).unwrap_err();
    assert!(error.ends_with("expected nothing without TIDEGATE_FORMAT=json"), "{error}");
}

#[test]
fn what_cannot_be_used_is_said_all_at_once() {
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join("file"), "").unwrap();
    let under_a_file = format!("file://{}/file/folder", root.path().display());
    let stores = "s3://BUCKET/PREFIX, sqs:URL, dynamodb:TABLE, file:///FOLDER, log or log:payload";
    let bucket = "s3://BUCKET or s3://BUCKET/PREFIX, with the name of a bucket";
    let sinks = "log, dynamodb:TABLE, firehose:NAME, https://HOST/PATH, kinesis:STREAM, \
                 opensearch:https://HOST/INDEX, s3://BUCKET/PREFIX, sns:ARN or sqs:URL";
    let cases = [
        (QUARANTINE, "sqs:queue", "sqs:URL, with a queue's URL".to_owned()),
        (QUARANTINE, "dynamodb:", "dynamodb:TABLE, with a table's name".to_owned()),
        (QUARANTINE_BUCKET, "kept", bucket.to_owned()),
        (QUARANTINE, "bucket", stores.to_owned()),
        (QUARANTINE, "log:", stores.to_owned()),
        (QUARANTINE, "log:payloads", stores.to_owned()),
        (QUARANTINE, "/var/kept", stores.to_owned()),
        (QUARANTINE, "s3:kept", bucket.to_owned()),
        (QUARANTINE, "file:///", "file:///FOLDER, with the folder's whole path".to_owned()),
        (QUARANTINE, "s3://", bucket.to_owned()),
        (QUARANTINE, "s3:///prefix", bucket.to_owned()),
        (QUARANTINE, "s3://My_Bucket/prefix", bucket.to_owned()),
        (QUARANTINE, "file://folder", "file:///FOLDER, with the folder's whole path".to_owned()),
        (
            QUARANTINE,
            &under_a_file,
            "file:///FOLDER, with a folder that can be written, but Not a directory (os error 20)"
                .to_owned(),
        ),
        (SINK, "ftp://bucket", sinks.to_owned()),
        (SINK, "log:", sinks.to_owned()),
        (SINK, "s3://B", bucket.to_owned()),
        (SINK, "dynamodb:x", "dynamodb:TABLE, with a table's name".to_owned()),
        (SINK, "kinesis:a b", "kinesis:STREAM, with a stream's name".to_owned()),
        (SINK, "firehose:", "firehose:NAME, with a Firehose stream's name".to_owned()),
        (SINK, "sns:topic", "sns:ARN, with a topic's ARN".to_owned()),
        (SINK, "sqs:queue", "sqs:URL, with a queue's URL".to_owned()),
        (
            SINK,
            "https://user:pass@host/",
            "https://HOST/PATH, without a user or a fragment".to_owned(),
        ),
        (
            SINK,
            "opensearch:https://host",
            "opensearch:https://HOST/INDEX, without a user".to_owned(),
        ),
        (SINK_KEY, "a,,b", "the name of a field, or of two, such as customer,time".to_owned()),
        (SINK_RECORDS, "1001", "a whole number from 1 to 1000".to_owned()),
        (ON_RETRY, "skip", "stop-shard or fence-key".to_owned()),
        (ON_POISON, "fence-key", "skip, park-key or stop-shard".to_owned()),
        (EXPAND, "gzip", "auto, compressed or none".to_owned()),
        (LANES, "0", "a whole number from 1 to 64".to_owned()),
        (LANES, "65", "a whole number from 1 to 64".to_owned()),
        (MAX_ATTEMPTS, "0", "a whole number from 1 on, such as 4".to_owned()),
        (MAX_AGE, "6", "a duration with its unit, such as 30s, 5m, 12h or 14d".to_owned()),
        (RECORD_TIMEOUT, "x", "a duration with its unit, such as 30s, 5m, 12h or 14d".to_owned()),
        (JOURNAL, "tmp", "the whole path of a folder, such as /tmp/tidegate".to_owned()),
        ("TIDEGATE_DEDUPE", "disk", "memory or dynamodb:TABLE".to_owned()),
        ("TIDEGATE_DEDUPE", "memory:", "memory or dynamodb:TABLE".to_owned()),
        ("TIDEGATE_DEDUPE", "dynamodb:t", "dynamodb:TABLE, with a table's name".to_owned()),
        ("TIDEGATE_DEDUPE_FOR", "7d", "nothing without TIDEGATE_DEDUPE=dynamodb:TABLE".to_owned()),
        (
            NOTIFY,
            "status >=",
            "a condition in CEL over the fields of a record, but not an expression: mismatched \
             input '<EOF>' at column 10 (write CEL, such as status >= 400 && method == \"GET\")"
                .to_owned(),
        ),
        (
            "TIDEGATE_DEDUPE_KEY",
            "/id",
            "nothing without TIDEGATE_DEDUPE, which says who remembers".to_owned(),
        ),
        (FORMAT, "JSON", "json, text or access-log".to_owned()),
    ];
    for (key, value, expected) in cases {
        let error = read(&[(key, value)]).unwrap_err();
        let expected = format!("a setting cannot be used: {key}={value:?}: expected {expected}");
        assert_eq!(error, expected);
    }
    let error = read(&[(SINK, "x"), (FORMAT, "y")]).unwrap_err();
    assert_eq!(
        error,
        format!(
            "2 settings cannot be used: TIDEGATE_SINK=\"x\": expected {sinks}; \
             TIDEGATE_FORMAT=\"y\": expected json, text or access-log"
        )
    );
}
