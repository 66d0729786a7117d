//! What a producer asks of Kinesis.

use std::borrow::Cow;
use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_smithy_http_client::Connector;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::HttpConnectorSettings;
use serde::Deserialize;
use serde_json::{Value, json};
use tidegate_producer::{Answer, Entry, Shard};

use crate::Config;
use crate::call::{self, CallError, Caller, JsonService};

/// Pages of shards that are read at the most, of a thousand each.
const MAX_SHARD_PAGES: usize = 20;

/// A machine that does not answer this is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Five MiB take this long through a line of 1.4 Mbit a second. What is given up too early is sent
/// again, and may be there twice.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// One stream, for a producer. Requests are written and answers read here and not by the SDK's
/// client, which takes several times as long for each record.
#[derive(Debug)]
pub struct Puts {
    caller: Caller,
    stream: String,
    region: String,
}

/// Why PutRecords as a whole failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PutFailure {
    /// Throttled: nothing was done.
    #[error("{0}")]
    Throttled(String),
    /// Not reached, no answer, or the service's own trouble.
    #[error("{0}")]
    Unanswered(String),
    /// Access, credentials, a stream that is not there, a request that is not understood.
    #[error("{0}")]
    Lasting(String),
}

/// What PutRecords answers.
#[derive(Deserialize)]
struct Answered<'a> {
    #[serde(rename = "Records", borrow)]
    records: Vec<Entered<'a>>,
}

/// What it answers of one entry.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entered<'a> {
    #[serde(borrow)]
    shard_id: Option<Name<'a>>,
    error_code: Option<String>,
    error_message: Option<String>,
}

#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl Puts {
    /// A stream by its name. `now` is the present moment, which a signature needs. What fails is
    /// sent again by the producer, so nothing is here.
    pub fn new(config: &Config, stream: &str, now: fn() -> SystemTime) -> Self {
        let settings = HttpConnectorSettings::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(ANSWER_TIMEOUT)
            .build();
        let connector = Connector::builder()
            .connector_settings(settings)
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .build();
        let region = config.sdk().region().map(ToString::to_string).unwrap_or_default();
        let caller = Caller::new(config.clone(), connector, now);
        Self { caller, stream: stream.to_owned(), region }
    }

    /// PutRecords: an answer for each entry, in their order.
    ///
    /// # Errors
    /// When the request as a whole fails.
    pub async fn put(&self, entries: &[Entry]) -> Result<Vec<Answer>, PutFailure> {
        const OPERATION: &str = "PutRecords";
        let body = self.call(OPERATION, request(&self.stream, entries)).await?;
        let answer: Answered = serde_json::from_slice(&body).map_err(|error| {
            PutFailure::Unanswered(format!("{OPERATION}: the answer cannot be read: {error}"))
        })?;
        // Entries of one shard follow each other.
        let mut last: Arc<str> = "".into();
        let answers = answer.records.into_iter().map(|entered| match entered {
            Entered { shard_id: Some(Name(shard_id)), error_code: None, .. } => {
                if *last != *shard_id {
                    last = shard_id.as_ref().into();
                }
                Answer::Stored { shard_id: last.clone() }
            }
            Entered { error_code, error_message, .. } => Answer::Refused {
                code: error_code.unwrap_or_else(|| "no shard and no error".to_owned()),
                message: error_message.unwrap_or_default(),
            },
        });
        Ok(answers.collect())
    }

    /// ListShards: the open ones.
    ///
    /// # Errors
    /// A sentence, with the remedy where there is one.
    pub async fn shards(&self) -> Result<Vec<Shard>, PutFailure> {
        const OPERATION: &str = "ListShards";
        let unreadable = |what: &str| PutFailure::Lasting(format!("{OPERATION}: {what}"));
        let mut request = json!({"StreamName": self.stream, "ShardFilter": {"Type": "AT_LATEST"}});
        let mut shards = Vec::new();
        for _ in 0..MAX_SHARD_PAGES {
            let body = self.call(OPERATION, request.to_string().into_bytes()).await?;
            let page: Value = serde_json::from_slice(&body).unwrap_or_default();
            for shard in page["Shards"].as_array().map(Vec::as_slice).unwrap_or_default() {
                // An emulator may name closed ones, too, whose ranges are those of their children.
                if shard["SequenceNumberRange"]["EndingSequenceNumber"].is_string() {
                    continue;
                }
                let end = |name: &str| shard["HashKeyRange"][name].as_str()?.parse().ok();
                let (start, end) = (end("StartingHashKey"), end("EndingHashKey"));
                let (Some(id), Some(start), Some(end)) = (shard["ShardId"].as_str(), start, end)
                else {
                    return Err(unreadable("the range of a shard is no range"));
                };
                shards.push(Shard { id: id.to_owned(), start, end });
            }
            match page["NextToken"].as_str() {
                Some(token) => request = json!({"NextToken": token}),
                None => return Ok(shards),
            }
        }
        Err(unreadable("it names more than 20,000 shards"))
    }

    async fn call(&self, operation: &str, body: Vec<u8>) -> Result<Vec<u8>, PutFailure> {
        match self.caller.ask(&JsonService::KINESIS, operation, body, ANSWER_TIMEOUT).await {
            Ok(answer) if answer.status == 200 => Ok(answer.body),
            Ok(answer) => Err(self.failure(operation, &answer)),
            Err(error) => Err(self.unreached(operation, &error)),
        }
    }

    /// What follows from an error ("Common errors" and the pages of PutRecords and ListShards, Kinesis
    /// API reference, 2026-11).
    fn failure(&self, operation: &str, answer: &call::Answer) -> PutFailure {
        let Self { stream, region, .. } = self;
        let error = CallError::of_service(answer);
        let code = error.code().unwrap_or_default();
        let body = answer.json();
        let said = ["message", "Message"].iter().find_map(|name| body[name].as_str());
        let message = format!("{operation}: {code}: {}", said.unwrap_or_default());
        match code {
            "ResourceNotFoundException" => PutFailure::Lasting(format!(
                "{message} (is {stream} the name of a stream in {region}? --stream, AWS_PROFILE and \
                 AWS_REGION choose it)"
            )),
            "AccessDeniedException" | "AccessDenied" | "KMSAccessDeniedException" => {
                PutFailure::Lasting(format!(
                    "{message} (kinesis:PutRecords and kinesis:ListShards are needed, and \
                     kms:GenerateDataKey where the stream is encrypted with a key of yours)"
                ))
            }
            "ExpiredTokenException"
            | "IncompleteSignatureException"
            | "InvalidClientTokenId"
            | "InvalidSignatureException"
            | "MissingAuthenticationTokenException"
            | "OptInRequired"
            | "UnrecognizedClientException" => PutFailure::Lasting(format!(
                "{message} (the credentials are not accepted: log in again, or choose others with \
                 AWS_PROFILE)"
            )),
            "InvalidArgumentException"
            | "KMSDisabledException"
            | "KMSInvalidStateException"
            | "KMSNotFoundException"
            | "KMSOptInRequired"
            | "ValidationException" => PutFailure::Lasting(message),
            "KMSThrottlingException"
            | "LimitExceededException"
            | "ProvisionedThroughputExceededException"
            | "ThrottlingException" => PutFailure::Throttled(message),
            // Busy, the service's own trouble, and what is new.
            _ => PutFailure::Unanswered(message),
        }
    }

    /// What follows when no answer came.
    fn unreached(&self, operation: &str, error: &CallError) -> PutFailure {
        let message = chain(error);
        match error {
            // Without these no request is ever sent, however often it is tried.
            CallError::NoRegion => PutFailure::Lasting(
                "no Region is set: AWS_REGION, or region in the profile, names it".to_owned(),
            ),
            CallError::NoCredentials | CallError::Credentials(_) => PutFailure::Lasting(format!(
                "no credentials: log in, or choose a profile with AWS_PROFILE ({message})"
            )),
            _ => {
                let region = &self.region;
                PutFailure::Unanswered(format!(
                    "{operation}: no answer from Kinesis in {region} ({message}); is the Region \
                     right, and the network there?"
                ))
            }
        }
    }
}

/// A request as JSON, written as it goes: five hundred records as values would be thousands.
fn request(stream: &str, entries: &[Entry]) -> Vec<u8> {
    let size = |entry: &Entry| entry.data.len() / 3 * 4 + entry.partition_key.len() + 100;
    let mut body = Vec::with_capacity(entries.iter().map(size).sum::<usize>() + 100);
    body.extend_from_slice(b"{\"StreamName\":");
    text(&mut body, stream);
    body.extend_from_slice(b",\"Records\":[");
    for (index, entry) in entries.iter().enumerate() {
        body.extend_from_slice(if index == 0 { b"{\"Data\":\"" } else { b",{\"Data\":\"" });
        base64_simd::STANDARD.encode_append(&entry.data, &mut body);
        body.extend_from_slice(b"\",\"PartitionKey\":");
        text(&mut body, &entry.partition_key);
        if let Some(key) = entry.explicit_hash_key {
            body.extend_from_slice(format!(",\"ExplicitHashKey\":\"{key}\"").as_bytes());
        }
        body.push(b'}');
    }
    body.extend_from_slice(b"]}");
    body
}

/// A text in quotes.
fn text(body: &mut Vec<u8>, text: &str) {
    let is_plain = |byte: &u8| *byte >= b' ' && *byte != b'"' && *byte != b'\\';
    if text.as_bytes().iter().all(is_plain) {
        body.push(b'"');
        body.extend_from_slice(text.as_bytes());
        body.push(b'"');
    } else {
        body.extend_from_slice(Value::from(text).to_string().as_bytes());
    }
}

/// An error and what is behind it.
fn chain(error: &CallError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(&format!(": {error}"));
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use tidegate_producer::Record;

    use super::*;

    #[test]
    fn a_request_is_the_json_that_it_would_be() {
        let entry = |key: &str, hash, data: &[u8]| {
            let record = Record::new(0, key, data.to_owned());
            Entry::new(Record { explicit_hash_key: hash, ..record })
        };
        let entries = [
            entry("user-1", None, b"{\"n\":1}"),
            entry("a \"key\"\n\u{fc}\\", Some(u128::MAX), &[0xff, 0]),
            entry("k", Some(0), b""),
        ];
        let body: Value = serde_json::from_slice(&request("orders", &entries)).unwrap();
        let expected = json!({"StreamName": "orders", "Records": [
            {"Data": "eyJuIjoxfQ==", "PartitionKey": "user-1"},
            {"Data": "/wA=", "PartitionKey": "a \"key\"\n\u{fc}\\",
             "ExplicitHashKey": u128::MAX.to_string()},
            {"Data": "", "PartitionKey": "k", "ExplicitHashKey": "0"},
        ]});
        assert_eq!(body, expected);
    }
}
