//! A sink from its setting.

use std::num::NonZeroUsize;

use tidegate_aws::call::Connections;
use tidegate_aws::sink::dynamodb::DynamoSink;
use tidegate_aws::sink::firehose::FirehoseSink;
use tidegate_aws::sink::http::HttpSink;
use tidegate_aws::sink::kinesis::KinesisSink;
use tidegate_aws::sink::opensearch::OpenSearchSink;
use tidegate_aws::sink::s3::S3Sink;
use tidegate_aws::sink::sns::SnsSink;
use tidegate_aws::sink::sqs::SqsSink;

use super::{Kind, Sink};
use crate::settings::bucket;

const SINKS: &str = "log, dynamodb:TABLE, firehose:NAME, https://HOST/PATH, kinesis:STREAM, \
                     opensearch:https://HOST/INDEX, s3://BUCKET/PREFIX, sns:ARN or sqs:URL";

/// More records than this are no request that a server expects.
const RECORDS_MAX: usize = 1_000;

/// What else is said of a sink.
#[derive(Debug, Default)]
pub struct Details {
    /// The fields that are the key of what is written.
    pub key: Vec<String>,
    /// The value of the header `authorization`.
    pub authorization: Option<String>,
    /// Records of a request.
    pub records: Option<NonZeroUsize>,
}

/// The sink that a setting names.
///
/// # Errors
/// What was expected.
pub fn sink(text: &str, details: Details, connections: Connections) -> Result<Sink, String> {
    let kind = kind(text, details, connections)?;
    Ok(Sink { kind, name: text.to_owned() })
}

fn kind(text: &str, details: Details, connections: Connections) -> Result<Kind, String> {
    let Details { key, authorization, records } = details;
    match text.split_once(':').unwrap_or((text, "")) {
        ("log", "") if text == "log" => Ok(Kind::Log),
        ("dynamodb", table) => {
            Ok(Kind::DynamoDb(DynamoSink::new(self::table(table)?, key, connections)))
        }
        ("firehose", name) => {
            let name = named(name, 1, 64).ok_or("firehose:NAME, with a Firehose stream's name")?;
            Ok(Kind::Firehose(FirehoseSink::new(name, connections)))
        }
        ("http" | "https", _) => {
            let url = address(text).ok_or("https://HOST/PATH, without a user or a fragment")?;
            let records = records.map_or(1, NonZeroUsize::get);
            Ok(Kind::Http(HttpSink::new(url, authorization, records, connections)))
        }
        ("kinesis", stream) => {
            let stream = named(stream, 1, 128).ok_or("kinesis:STREAM, with a stream's name")?;
            Ok(Kind::Kinesis(KinesisSink::new(stream, connections)))
        }
        ("opensearch", url) => {
            const EXPECTED: &str = "opensearch:https://HOST/INDEX, without a user";
            let (url, index) = address(url).and_then(|url| url.rsplit_once('/')).ok_or(EXPECTED)?;
            let plain = |byte: u8| byte.is_ascii_graphic() && !b"?#%\"*<>|,\\".contains(&byte);
            if url.matches('/').count() < 2 || index.is_empty() || !index.bytes().all(plain) {
                return Err(EXPECTED.to_owned());
            }
            let key = key.into_iter().next();
            Ok(Kind::OpenSearch(OpenSearchSink::new(url, index, key, authorization, connections)))
        }
        ("s3", place) => {
            let place = place.strip_prefix("//").unwrap_or_default();
            let (bucket, prefix) = bucket(place)?;
            Ok(Kind::S3(S3Sink::new(bucket, prefix, connections)))
        }
        ("sns", arn) if arn.starts_with("arn:") && arn.split(':').count() == 6 => {
            Ok(Kind::Sns(SnsSink::new(arn, connections)))
        }
        ("sqs", url) if address(url).is_some() => Ok(Kind::Sqs(SqsSink::new(url, connections))),
        ("sns", _) => Err("sns:ARN, with a topic's ARN".to_owned()),
        ("sqs", _) => Err("sqs:URL, with a queue's URL".to_owned()),
        _ => Err(SINKS.to_owned()),
    }
}

/// The name of a table.
///
/// # Errors
/// What was expected.
pub fn table(text: &str) -> Result<&str, String> {
    // "Naming rules", Amazon DynamoDB Developer Guide, 2026-11.
    named(text, 3, 255).ok_or_else(|| "dynamodb:TABLE, with a table's name".to_owned())
}

/// A name of AWS: letters, digits, `_`, `.` and `-`.
fn named(text: &str, least: usize, most: usize) -> Option<&str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    ((least..=most).contains(&text.len()) && text.bytes().all(plain)).then_some(text)
}

/// An address of a server. A user in it would be a secret in a setting that is logged, and nothing
/// would send it.
pub fn address(text: &str) -> Option<&str> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"))?;
    let host = rest.split(['/', '?']).next().unwrap_or_default();
    let plain = text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    (plain && !host.is_empty() && !host.contains('@')).then_some(text)
}

/// The fields in `name,name`.
///
/// # Errors
/// What was expected.
pub fn key(text: &str) -> Result<Vec<String>, String> {
    let fields: Vec<String> = text.split(',').map(|name| name.trim().to_owned()).collect();
    if fields.len() > 2 || fields.iter().any(String::is_empty) {
        return Err("the name of a field, or of two, such as customer,time".to_owned());
    }
    Ok(fields)
}

/// How many records a request may hold.
///
/// # Errors
/// What was expected.
pub fn records(text: &str) -> Result<NonZeroUsize, String> {
    let number = text.parse().ok().filter(|number: &NonZeroUsize| number.get() <= RECORDS_MAX);
    number.ok_or_else(|| format!("a whole number from 1 to {RECORDS_MAX}"))
}

/// The value of a header.
///
/// # Errors
/// What was expected. The value is a secret, so that it is not said.
pub fn header(text: &str) -> Result<String, String> {
    let plain = |byte: u8| byte == b' ' || byte.is_ascii_graphic();
    if text.bytes().all(plain) {
        return Ok(text.to_owned());
    }
    Err("the value of a header, such as Basic dXNlcjpwYXNz".to_owned())
}
