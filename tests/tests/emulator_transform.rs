//! The built transform beside an emulator of another project: files in its S3 that change while
//! records flow, and its Firehose, which runs the function itself.
//!
//! That Firehose neither buffers nor puts what failed under the error prefix, and hands over no record
//! of a Kinesis stream; `crates/local` has a model of all three.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tidegate_tests::emulator::{self, Emulator};
use tidegate_tests::http;
use tidegate_tests::lambda::Lambda;
use tidegate_tests::place::{bootstrap, tool};

use self::made::V;

#[path = "../../crates/transform/src/steps/geoip/made.rs"]
#[allow(dead_code, reason = "the unit tests write more kinds of values")]
mod made;

/// How long a change is waited for; files are looked at every ten seconds.
const PATIENCE: Duration = Duration::from_secs(180);

const PIPELINE: &str = "\
input: {format: apache_combined}
steps:
  - drop: path.startsWith('/health')
  - geoip: {address: client}
output:
  partition_keys: {day: '{time:yyyy-MM-dd}'}
";

/// An access line; `path` is what its pipeline looks at.
fn line(path: &str) -> String {
    format!(r#"192.0.2.7 - - [14/Nov/2026:10:30:01 +0100] "GET {path} HTTP/1.1" 200 5 "-" "-""#)
}

/// A database that places every address in one country.
fn places(country: &str) -> Vec<u8> {
    let place = V::Map(&[("country", V::Map(&[("iso_code", V::Text(country))]))]);
    made::bytes("Made-City", &place, Some(&place))
}

/// An emulator with a bucket.
struct Setup {
    aws: Emulator,
}

impl Setup {
    fn new() -> Option<Self> {
        let setup = Self { aws: emulator::ministack()? };
        setup.put("", b"");
        setup.put("/own.yaml", PIPELINE.as_bytes());
        Some(setup)
    }

    /// Puts an object; the bucket itself without a name.
    fn put(&self, key: &str, bytes: &[u8]) {
        let answer = http::request(self.aws.port(), "PUT", &format!("/files{key}"), &[], bytes);
        assert_eq!(answer.unwrap().status, 200, "{key}");
    }

    /// The built transform with its files in the bucket.
    fn start(&self, database: &str, more: &[(&str, &str)]) -> Option<Lambda> {
        let (path, endpoint) = (bootstrap("transform")?, self.aws.endpoint());
        let settings = [
            ("TIDEGATE_PIPELINE", "s3://files/own.yaml"),
            ("TIDEGATE_GEOIP_DB", database),
            ("AWS_ENDPOINT_URL", &endpoint),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("AWS_REGION", "us-east-1"),
        ];
        Some(Lambda::start(&path, &[&settings[..], more].concat()).unwrap())
    }
}

/// The country that one record is placed in.
fn country(lambda: &Lambda) -> Value {
    let data = base64_simd::STANDARD.encode_to_string(line("/"));
    let event = json!({"invocationId": "i", "region": "us-east-1",
        "records": [{"recordId": "1", "approximateArrivalTimestamp": 1, "data": data}]});
    let response = lambda.respond(event).unwrap();
    assert_eq!(response["records"][0]["result"], "Ok");
    let data = response["records"][0]["data"].as_str().unwrap();
    let row = base64_simd::STANDARD.decode_to_vec(data).unwrap();
    serde_json::from_slice::<Value>(&row).unwrap()["geo_country"].clone()
}

/// Invokes until that is so, and gives the country of every record on the way.
fn until(lambda: &Lambda, mut so: impl FnMut(&Value) -> bool) -> Vec<Value> {
    let (began, mut seen) = (Instant::now(), Vec::new());
    loop {
        let country = country(lambda);
        let done = so(&country);
        seen.push(country);
        if done {
            return seen;
        }
        assert!(began.elapsed() < PATIENCE, "{}", lambda.output().unwrap());
        thread::sleep(Duration::from_millis(100));
    }
}

/// The metric, summed up.
fn refresh_failed(lambda: &Lambda) -> f64 {
    let output = lambda.output().unwrap();
    let lines = output.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter_map(|line| line["RefreshFailed"].as_f64()).sum()
}

/// Each value once, in the order in which it came.
fn changes(mut seen: Vec<Value>) -> Vec<Value> {
    seen.dedup();
    seen
}

#[test]
fn a_database_is_replaced_while_records_flow_and_never_by_a_damaged_one() {
    let Some(setup) = Setup::new() else { return };
    setup.put("/places.mmdb", &places("SE"));
    let refresh = [("TIDEGATE_REFRESH", "10s")];
    let Some(lambda) = setup.start("s3://files/places.mmdb", &refresh) else { return };
    assert_eq!(country(&lambda), "SE");
    setup.put("/places.mmdb", &places("NO"));
    let seen = until(&lambda, |country| country == "NO");
    assert_eq!(changes(seen), ["SE", "NO"]);
    setup.put("/places.mmdb", b"no database");
    let failed = |lambda: &Lambda| lambda.events("refresh_failed").unwrap();
    let seen = until(&lambda, |_| !failed(&lambda).is_empty());
    assert_eq!(changes(seen), ["NO"]);
    let error = failed(&lambda)[0]["error"].as_str().unwrap().to_owned();
    assert!(error.contains("s3://files/places.mmdb"), "{error}");
    assert!(error.contains("it is not a MaxMind database (.mmdb), or a damaged one"), "{error}");
    // It is counted with the next batch.
    assert_eq!(changes(until(&lambda, |_| refresh_failed(&lambda) == 1.0)), ["NO"]);
    setup.put("/places.mmdb", &places("SE"));
    assert_eq!(changes(until(&lambda, |country| country == "SE")), ["NO", "SE"]);
    assert_eq!(lambda.events("refreshed").unwrap().len(), 2);
}

#[test]
fn a_database_that_is_missing_ends_the_start_or_is_counted() {
    let Some(setup) = Setup::new() else { return };
    let missing = "s3://files/none.mmdb";
    let Some(mut lambda) = setup.start(missing, &[]) else { return };
    assert_ne!(lambda.exit_code().unwrap(), 0);
    let said = lambda.output().unwrap();
    assert!(said.contains("TIDEGATE_GEOIP_DB") && said.contains("NoSuchKey"), "{said}");
    let lambda = setup.start(missing, &[("TIDEGATE_ON_BAD_DB", "gap")]).unwrap();
    assert_eq!(country(&lambda), Value::Null);
    let gap = lambda.events("database_unusable").unwrap();
    assert!(gap[0]["error"].as_str().unwrap().contains("NoSuchKey"), "{gap:?}");
    assert_eq!(lambda.events("batch").unwrap()[0]["geoip_errors"], 1);
}

#[test]
fn the_firehose_of_others_delivers_what_the_function_answers() {
    let (Some(setup), Some(python)) = (Setup::new(), tool("emulators/bin/python")) else { return };
    let Some(built) = bootstrap("transform") else { return };
    let folder = tempfile::tempdir().unwrap();
    let (own, code) = (folder.path().join("bootstrap"), folder.path().join("code.zip"));
    std::fs::copy(built, &own).unwrap();
    let packed = Command::new(python).args(["-m", "zipfile", "-c"]).args([&code, &own]).status();
    assert!(packed.unwrap().success());
    setup.put("/code.zip", &std::fs::read(code).unwrap());
    setup.put("/places.mmdb", &places("SE"));
    let role = "arn:aws:iam::000000000000:role/r";
    let function = json!({
        "FunctionName": "transform", "Runtime": "provided.al2023", "Role": role,
        "Handler": "bootstrap", "Timeout": 60, "MemorySize": 512,
        "Code": {"S3Bucket": "files", "S3Key": "code.zip"},
        "Environment": {"Variables": {
            "TIDEGATE_PIPELINE": "s3://files/own.yaml",
            "TIDEGATE_GEOIP_DB": "s3://files/places.mmdb",
            "AWS_ENDPOINT_URL": setup.aws.endpoint(),
        }},
    });
    let path = "/2015-03-31/functions";
    let made = http::request(setup.aws.port(), "POST", path, &[], function.to_string().as_bytes());
    let made = made.unwrap();
    assert_eq!(made.status, 201, "{}", String::from_utf8_lossy(&made.body));
    let firehose = |operation: &str, body: Value| {
        let operation = format!("Firehose_20150804.{operation}");
        let answer = http::aws(setup.aws.port(), "firehose", &operation, &body);
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
        answer.json()
    };
    let parameter =
        json!({"ParameterName": "LambdaArn", "ParameterValue": made.json()["FunctionArn"]});
    firehose(
        "CreateDeliveryStream",
        json!({"DeliveryStreamName": "lake", "ExtendedS3DestinationConfiguration": {
            "RoleARN": role, "BucketARN": "arn:aws:s3:::files",
            "Prefix": "data/day=!{partitionKeyFromLambda:day}/",
            "ErrorOutputPrefix": "errors/!{firehose:error-output-type}/",
            "DynamicPartitioningConfiguration": {"Enabled": true},
            "ProcessingConfiguration": {"Enabled": true,
                "Processors": [{"Type": "Lambda", "Parameters": [parameter]}]},
        }}),
    );
    let records: Vec<Value> = [line("/a"), line("/health"), "no line".to_owned(), line("/b")]
        .iter()
        .map(|line| json!({"Data": base64_simd::STANDARD.encode_to_string(line)}))
        .collect();
    let put = firehose("PutRecordBatch", json!({"DeliveryStreamName": "lake", "Records": records}));
    assert_eq!(put["FailedPutCount"], 0);
    let began = Instant::now();
    let objects = loop {
        let objects = objects(&setup);
        if objects.len() >= 2 || began.elapsed() > PATIENCE {
            break objects;
        }
        thread::sleep(Duration::from_millis(100));
    };
    let mut paths = Vec::new();
    for (key, text) in &objects {
        assert!(key.starts_with("data/day=2026-11-14/"), "{key}");
        let row: Value = serde_json::from_str(text).unwrap_or_else(|_| panic!("{key}: {text}"));
        assert_eq!(row["geo_country"], "SE", "{text}");
        paths.push(row["path"].as_str().unwrap().to_owned());
    }
    paths.sort();
    assert_eq!(paths, ["/a", "/b"], "{}", setup.aws.log());
}

/// What was delivered, by its key.
fn objects(setup: &Setup) -> BTreeMap<String, String> {
    let get = |path: &str| {
        let answer = http::request(setup.aws.port(), "GET", path, &[], b"").unwrap();
        String::from_utf8(answer.body).unwrap()
    };
    let listed = get("/files?list-type=2&prefix=data");
    let keys = listed.split("<Key>").skip(1).filter_map(|rest| rest.split("</Key>").next());
    keys.map(|key| (key.to_owned(), get(&format!("/files/{}", key.replace('=', "%3D"))))).collect()
}
