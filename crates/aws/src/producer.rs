//! What a producer asks of Kinesis.

use std::time::Duration;

use aws_sdk_kinesis::config::retry::RetryConfig;
use aws_sdk_kinesis::config::timeout::TimeoutConfig;
use aws_sdk_kinesis::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{PutRecordsRequestEntry, ShardFilter, ShardFilterType};
use aws_sdk_kinesis::{Client, config};
use tidegate_producer::{Answer, Entry, Shard};

use crate::Config;

/// Pages of shards that are read at the most, of a thousand each.
const MAX_SHARD_PAGES: usize = 20;

/// A machine that does not answer this is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Five MiB take this long through a line of 1.4 Mbit a second. What is given up too early is sent
/// again, and may be there twice.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// One stream, for a producer.
#[derive(Debug)]
pub struct Puts {
    client: Client,
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

impl Puts {
    /// A stream by its name. What fails is sent again by the producer, so the SDK does not.
    pub fn new(config: &Config, stream: &str) -> Self {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .operation_attempt_timeout(ANSWER_TIMEOUT)
            .build();
        let region = config.sdk().region().map(ToString::to_string).unwrap_or_default();
        let config = config::Builder::from(config.sdk())
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts)
            .build();
        Self { client: Client::from_conf(config), stream: stream.to_owned(), region }
    }

    /// PutRecords: an answer for each entry, in their order.
    ///
    /// # Errors
    /// When the request as a whole fails.
    pub async fn put(&self, entries: Vec<Entry>) -> Result<Vec<Answer>, PutFailure> {
        let mut request = self.client.put_records().stream_name(&self.stream);
        for entry in entries {
            let built = PutRecordsRequestEntry::builder()
                .data(Blob::new(entry.data))
                .partition_key(entry.partition_key)
                .set_explicit_hash_key(entry.explicit_hash_key.map(|key| key.to_string()))
                .build();
            request =
                request.records(built.map_err(|error| PutFailure::Lasting(error.to_string()))?);
        }
        let answer = request.send().await.map_err(|error| self.failure("PutRecords", &error))?;
        let answers =
            answer.records.into_iter().map(|record| match (record.shard_id, record.error_code) {
                (Some(shard_id), None) => Answer::Stored { shard_id },
                (_, code) => Answer::Refused {
                    code: code.unwrap_or_else(|| "no shard and no error".to_owned()),
                    message: record.error_message.unwrap_or_default(),
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
        let open = ShardFilter::builder().r#type(ShardFilterType::AtLatest).build();
        let open = open.map_err(|error| unreadable(&error.to_string()))?;
        let mut request = self.client.list_shards().stream_name(&self.stream).shard_filter(open);
        let mut shards = Vec::new();
        for _ in 0..MAX_SHARD_PAGES {
            let page = request.send().await.map_err(|error| self.failure(OPERATION, &error))?;
            for shard in page.shards() {
                let range = shard.hash_key_range();
                let start = range.and_then(|range| range.starting_hash_key().parse().ok());
                let end = range.and_then(|range| range.ending_hash_key().parse().ok());
                let (Some(start), Some(end)) = (start, end) else {
                    return Err(unreadable("the range of a shard is no range"));
                };
                shards.push(Shard { id: shard.shard_id().to_owned(), start, end });
            }
            let Some(token) = page.next_token else { return Ok(shards) };
            request = self.client.list_shards().next_token(token);
        }
        Err(unreadable("it names more than 20,000 shards"))
    }
}

impl Puts {
    /// What follows from an error ("Common errors" and the pages of PutRecords and ListShards, Kinesis
    /// API reference, 2026-11).
    fn failure<E, R>(&self, operation: &str, error: &SdkError<E, R>) -> PutFailure
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
        R: std::fmt::Debug,
    {
        let Self { stream, region, .. } = self;
        let SdkError::ServiceError(_) = error else {
            return self.unreached(operation, &DisplayErrorContext(error).to_string());
        };
        let code = error.code().unwrap_or_default();
        let message = format!("{operation}: {code}: {}", error.message().unwrap_or_default());
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
    fn unreached(&self, operation: &str, message: &str) -> PutFailure {
        // Without these no request is ever sent, however often it is tried.
        if self.region.is_empty() {
            return PutFailure::Lasting(
                "no Region is set: AWS_REGION, or region in the profile, names it".to_owned(),
            );
        }
        if message.contains("credentials") {
            return PutFailure::Lasting(format!(
                "no credentials: log in, or choose a profile with AWS_PROFILE ({message})"
            ));
        }
        let region = &self.region;
        PutFailure::Unanswered(format!(
            "{operation}: no answer from Kinesis in {region} ({message}); is the Region right, and \
             the network there?"
        ))
    }
}
