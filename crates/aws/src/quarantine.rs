//! Quarantine in S3: one object a record, written once.

use std::sync::OnceLock;

use aws_sdk_s3::Client;
use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::operation::put_object::PutObjectError;
use aws_sdk_s3::primitives::ByteStream;
use tidegate_consumer::{Envelope, Quarantine, QuarantineError};

use crate::Config;

/// A bucket, or the keys under a prefix of it.
///
/// The client is made at the first record, so that a function which meets no poison does not pay for
/// it at its start.
#[derive(Debug)]
pub struct S3Quarantine {
    bucket: String,
    prefix: String,
    client: OnceLock<Client>,
}

impl S3Quarantine {
    /// Objects go to `PREFIX/KEY` of the bucket, or to `KEY` where the prefix is empty.
    pub fn new(bucket: impl Into<String>, prefix: &str) -> Self {
        let prefix = match prefix.trim_matches('/') {
            "" => String::new(),
            prefix => format!("{prefix}/"),
        };
        Self { bucket: bucket.into(), prefix, client: OnceLock::new() }
    }

    async fn client(&self) -> &Client {
        match self.client.get() {
            Some(client) => client,
            None => {
                let config = Config::load().await;
                self.client.get_or_init(|| client(&config))
            }
        }
    }

    async fn write(&self, envelope: &Envelope) -> Result<(), WriteError> {
        let body = serde_json::to_vec(envelope).map_err(WriteError::Serialize)?;
        let written = self
            .client()
            .await
            .put_object()
            .bucket(&self.bucket)
            .key(format!("{}{}", self.prefix, envelope.key()))
            .content_type("application/json")
            // A batch that comes again does not replace the first account of the record.
            .if_none_match("*")
            .body(ByteStream::from(body))
            .send()
            .await;
        match written {
            Ok(_) => Ok(()),
            Err(error) if exists(&error) => Ok(()),
            Err(error) => Err(WriteError::Put(Box::new(error))),
        }
    }
}

/// Emulators serve a bucket under its path and not under a name of its own. The setting for all
/// services and the one for S3 each say that there is one.
fn client(config: &Config) -> Client {
    let sdk = config.sdk();
    let elsewhere =
        sdk.endpoint_url().is_some() || std::env::var_os("AWS_ENDPOINT_URL_S3").is_some();
    Client::from_conf(aws_sdk_s3::config::Builder::from(sdk).force_path_style(elsewhere).build())
}

/// The object is there already. A 409, another write to the same key under way, is none of this: it
/// may yet fail.
fn exists(error: &SdkError<PutObjectError>) -> bool {
    error.raw_response().is_some_and(|response| response.status().as_u16() == 412)
}

impl Quarantine for S3Quarantine {
    async fn put(&self, envelope: &Envelope) -> Result<(), QuarantineError> {
        self.write(envelope)
            .await
            .map_err(|error| QuarantineError::new(format!("s3://{}", self.bucket), error))
    }
}

/// Why an object was not written.
#[derive(Debug, thiserror::Error)]
enum WriteError {
    #[error("the envelope is not JSON")]
    Serialize(#[source] serde_json::Error),
    #[error("PutObject failed")]
    Put(#[source] Box<SdkError<PutObjectError>>),
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread;

    use aws_sdk_s3::config::retry::RetryConfig;
    use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
    use tidegate_consumer::{Call, Consumer, Outcome, Processed, Record, Text};

    use super::*;

    /// One record that the handler refuses, `x`.
    const EVENT: &str = r#"{"Records":[{
        "eventID":"shardId-000000000000:7",
        "eventSourceARN":"arn:aws:kinesis:eu-central-1:123456789012:stream/orders",
        "kinesis":{"sequenceNumber":"7","partitionKey":"k","data":"eA=="}}]}"#;

    /// Puts one record to a server that gives one answer; what came of it, and the request.
    fn put(prefix: &str, answer: &'static str) -> (Processed, String) {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", server.local_addr().unwrap());
        let request = thread::spawn(move || {
            let (mut stream, _) = server.accept().unwrap();
            let mut request = Vec::new();
            let mut part = [0; 4096];
            // The envelope's last field ends the body.
            while !String::from_utf8_lossy(&request).contains("\"redrive_count\":0}") {
                let read = stream.read(&mut part).unwrap();
                assert_ne!(read, 0, "{}", String::from_utf8_lossy(&request));
                request.extend_from_slice(&part[..read]);
            }
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8(request).unwrap()
        });
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-central-1"))
            .credentials_provider(Credentials::new("id", "secret", None, None, "test"))
            .endpoint_url(endpoint)
            .force_path_style(true)
            .retry_config(RetryConfig::disabled())
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .build();
        let store = S3Quarantine::new("kept", prefix);
        store.client.set(Client::from_conf(config)).unwrap();
        let handler = async |_: &str, _: &Record<'_>| {
            Outcome::Poison(tidegate_consumer::PoisonReason::Handler, "refused".into())
        };
        let consumer = Consumer::new(Text, handler, store);
        let call = Call {
            function_arn: "arn:aws:lambda:eu-central-1:123456789012:function:bill",
            request_id: "r-1",
            now: "2026-11-21T00:00:00Z".parse().unwrap(),
            deadline: None,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let processed = runtime.block_on(consumer.process(EVENT.as_bytes(), &call)).unwrap();
        (processed, request.join().unwrap())
    }

    #[test]
    fn one_object_a_record_and_only_once() {
        let number = format!("{:0>56}", 7);
        let key =
            format!("function%3Dbill/stream%3Dorders/shard%3DshardId-000000000000/{number}.json");
        for (prefix, path) in [("", format!("/kept/{key}")), ("/a/b/", format!("/kept/a/b/{key}"))]
        {
            let (processed, request) = put(prefix, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
            assert_eq!(processed.report.quarantined, 1);
            let first = request.lines().next().unwrap();
            assert_eq!(first, format!("PUT {path}?x-id=PutObject HTTP/1.1"));
            for header in ["if-none-match: *", "content-type: application/json"] {
                assert!(request.lines().any(|line| line == header), "{header}: {request}");
            }
            let body = &request[request.find("{\"version\"").unwrap()..];
            let body = &body[..=body.find("\"redrive_count\":0}").unwrap() + 17];
            let envelope: Envelope = serde_json::from_str(body).unwrap();
            assert_eq!(envelope.payload_bytes().unwrap(), b"x");
        }
    }

    #[test]
    fn what_is_there_already_is_kept() {
        let (processed, _) =
            put("", "HTTP/1.1 412 Precondition Failed\r\ncontent-length: 0\r\n\r\n");
        assert_eq!(processed.report.quarantined, 1);
        assert_eq!(processed.response.first_unsettled(), None);
    }

    #[test]
    fn what_was_refused_comes_again() {
        let body = "<Error><Code>SlowDown</Code><Message>Reduce your rate.</Message></Error>";
        let cases: [(String, &str); 2] = [
            (
                format!("HTTP/1.1 503 Slow Down\r\ncontent-length: {}\r\n\r\n{body}", body.len()),
                "SlowDown",
            ),
            ("HTTP/1.1 409 Conflict\r\ncontent-length: 0\r\n\r\n".to_owned(), ""),
        ];
        for (answer, code) in cases {
            let (processed, _) = put("", answer.leak());
            assert_eq!(processed.response.first_unsettled(), Some("7"));
            let error = processed.report.retry.unwrap().error;
            let start = "s3://kept did not take the envelope: PutObject failed: service error: ";
            assert!(error.starts_with(start) && error.contains(code), "{error}");
        }
    }
}
