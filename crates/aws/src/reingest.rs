//! What did not fit a response of the transform, put back: PutRecords on the stream that it came
//! from, or PutRecordBatch on the delivery stream.

use std::fmt::Debug;
use std::sync::OnceLock;

use aws_sdk_firehose::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_firehose::primitives::Blob;
use aws_sdk_firehose::types::Record;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use tidegate_transform::reingest::{Again, Reingest, ReingestError, Source};

use crate::Config;

/// The services that take records back. Their clients are made at the first record, so that a
/// function whose responses never overflow does not pay for them at its start.
#[derive(Debug, Default)]
pub struct PutBack {
    clients: OnceLock<Clients>,
}

#[derive(Debug)]
struct Clients {
    firehose: aws_sdk_firehose::Client,
    kinesis: aws_sdk_kinesis::Client,
}

impl Clients {
    fn new(config: &Config) -> Self {
        Self {
            firehose: aws_sdk_firehose::Client::new(config.sdk()),
            kinesis: aws_sdk_kinesis::Client::new(config.sdk()),
        }
    }
}

impl PutBack {
    async fn clients(&self) -> &Clients {
        match self.clients.get() {
            Some(clients) => clients,
            None => {
                let config = Config::load().await;
                self.clients.get_or_init(|| Clients::new(&config))
            }
        }
    }
}

impl Reingest for PutBack {
    async fn put(&self, to: &Source, records: &[&Again]) -> Result<Vec<bool>, ReingestError> {
        let clients = self.clients().await;
        match to {
            Source::Stream(arn) => put_records(&clients.kinesis, arn, records).await,
            Source::Delivery(name) => put_record_batch(&clients.firehose, name, records).await,
        }
    }
}

async fn put_records(
    client: &aws_sdk_kinesis::Client,
    arn: &str,
    records: &[&Again],
) -> Result<Vec<bool>, ReingestError> {
    let error = |message: String| ReingestError { operation: "PutRecords", message };
    let mut put = client.put_records().stream_arn(arn);
    for record in records {
        let entry = PutRecordsRequestEntry::builder()
            .data(Blob::new(record.data.as_slice()))
            .partition_key(record.key.as_deref().unwrap_or_default());
        put = put.records(entry.build().map_err(|e| error(e.to_string()))?);
    }
    let answer = put.send().await.map_err(|e| error(message(&e)))?;
    Ok(answer.records().iter().map(|record| record.error_code().is_none()).collect())
}

async fn put_record_batch(
    client: &aws_sdk_firehose::Client,
    name: &str,
    records: &[&Again],
) -> Result<Vec<bool>, ReingestError> {
    let error = |message: String| ReingestError { operation: "PutRecordBatch", message };
    let mut put = client.put_record_batch().delivery_stream_name(name);
    for record in records {
        let record = Record::builder().data(Blob::new(record.data.as_slice()));
        put = put.records(record.build().map_err(|e| error(e.to_string()))?);
    }
    let answer = put.send().await.map_err(|e| error(message(&e)))?;
    Ok(answer.request_responses().iter().map(|record| record.error_code().is_none()).collect())
}

/// What the service said, or what stood in the way of asking it.
fn message<E, R>(error: &SdkError<E, R>) -> String
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    R: Debug,
{
    match (error.code(), error.message()) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(code), None) => code.to_owned(),
        _ => DisplayErrorContext(error).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use aws_config::{BehaviorVersion, Region, SdkConfig};
    use aws_sdk_kinesis::config::{Credentials, SharedCredentialsProvider};
    use serde_json::{Value, json};
    use tidegate_tests::canned::{Answer, Asked, Canned};

    use super::*;

    /// Puts two records back to services that answer with `answer`; what came of it, and what was
    /// asked.
    fn put(
        to: &Source,
        answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static,
    ) -> (Result<Vec<bool>, ReingestError>, Vec<Asked>) {
        let services = Canned::start(answer);
        let credentials = Credentials::new("id", "secret", None, None, "test");
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .endpoint_url(services.endpoint())
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .build();
        let port = PutBack { clients: OnceLock::from(Clients::new(&Config::of(config))) };
        let records = [(b"a", "k1"), (b"b", "k2")]
            .map(|(data, key)| Again { data: data.to_vec(), key: Some(key.to_owned()) });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime can be made");
        let came = runtime.block_on(port.put(to, &records.iter().collect::<Vec<_>>()));
        (came, services.asked())
    }

    fn stream() -> Source {
        Source::Stream("arn:aws:kinesis:us-east-1:123456789012:stream/logs".to_owned())
    }

    #[test]
    fn a_stream_gets_its_records_back_under_their_keys() {
        let (came, asked) = put(&stream(), |_| {
            let taken = json!({"SequenceNumber": "1", "ShardId": "shardId-000000000000"});
            let refused = json!({"ErrorCode": "ProvisionedThroughputExceededException"});
            (200, json!({"FailedRecordCount": 1, "Records": [taken, refused]}))
        });
        assert_eq!(came.expect("the call succeeded"), [true, false]);
        let [asked] = &asked[..] else { panic!("{asked:?}") };
        assert_eq!(asked.operation, "PutRecords");
        assert_eq!(asked.input["StreamARN"], "arn:aws:kinesis:us-east-1:123456789012:stream/logs");
        assert_eq!(
            asked.input["Records"],
            json!([{"Data": "YQ==", "PartitionKey": "k1"}, {"Data": "Yg==", "PartitionKey": "k2"}])
        );
    }

    #[test]
    fn a_delivery_stream_gets_its_records_back() {
        let (came, asked) = put(&Source::Delivery("lake".to_owned()), |_| {
            let refused = json!({"ErrorCode": "ServiceUnavailableException", "ErrorMessage": "x"});
            (200, json!({"FailedPutCount": 1, "RequestResponses": [refused, {"RecordId": "1"}]}))
        });
        assert_eq!(came.expect("the call succeeded"), [false, true]);
        let [asked] = &asked[..] else { panic!("{asked:?}") };
        assert_eq!(asked.operation, "PutRecordBatch");
        let expected: Value = json!({
            "DeliveryStreamName": "lake", "Records": [{"Data": "YQ=="}, {"Data": "Yg=="}],
        });
        assert_eq!(asked.input, expected);
    }

    #[test]
    fn a_refusal_of_the_whole_says_why() {
        let (came, _) = put(&stream(), |_| {
            (400, json!({"__type": "AccessDeniedException", "message": "not allowed"}))
        });
        assert_eq!(
            came.expect_err("the call failed").to_string(),
            "PutRecords failed: AccessDeniedException: not allowed"
        );
    }
}
