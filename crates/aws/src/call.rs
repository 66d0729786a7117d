//! Signed requests to AWS and plain ones to others, without an SDK crate for each service.
//!
//! A sink needs one operation of its service. Five SDK crates for five operations would be most of
//! the function's binary, and each is more than a minute of building; what is used of the SDK is
//! what they share: the settings, the credentials, the signature and the HTTP client.

mod connections;
pub(crate) mod error;
#[cfg(feature = "redrive")]
mod function;
mod object;

use std::fmt::Write;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::HttpConnector;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use serde_json::Value;

pub use self::connections::Connections;
#[allow(unused_imports, reason = "each is of some of the features")]
pub(crate) use self::connections::{dynamodb, sqs};
pub use self::error::{CallError, Fate};
pub use self::object::Object;
use crate::Config;

/// Bytes of an answer that are read at most.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// Credentials are asked for again this long before they end.
const CREDENTIALS_MARGIN: Duration = Duration::from_secs(60);

/// A time that no call takes, whatever is left of the invocation.
const CALL_LIMIT: Duration = Duration::from_secs(30);

/// What a server said.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body, or its beginning.
    pub body: Vec<u8>,
    /// The header `x-amzn-errortype`, in which services whose answers are JSON name an error.
    error_type: Option<String>,
    /// The header `x-amz-function-error`, by which Lambda says that a function failed.
    #[cfg(feature = "redrive")]
    function_error: Option<String>,
    /// The header `etag`, by which S3 tells one content of an object from another.
    #[cfg(feature = "redrive")]
    pub(crate) etag: Option<String>,
}

impl Answer {
    /// With this status and body.
    #[cfg(test)]
    pub(crate) fn of(status: u16, body: &str) -> Self {
        Self {
            status,
            body: body.as_bytes().to_vec(),
            error_type: None,
            #[cfg(feature = "redrive")]
            function_error: None,
            #[cfg(feature = "redrive")]
            etag: None,
        }
    }

    /// The body as JSON; null when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// A request before it is signed.
#[derive(Debug)]
pub struct Ask<'a> {
    /// `POST` or `PUT`.
    pub method: &'static str,
    /// The whole address, its path escaped.
    pub url: &'a str,
    /// Headers, their names in lower case.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// A service that speaks AWS's JSON protocol.
#[derive(Debug, Clone, Copy)]
pub struct JsonService<'a> {
    /// Its name in variables, such as `KINESIS`.
    pub id: &'static str,
    /// Its name in addresses and signatures, such as `kinesis`.
    pub name: &'static str,
    /// What its operations' names begin with, such as `Kinesis_20131202`.
    pub target: &'static str,
    /// The protocol's version: `1.0` or `1.1`.
    pub version: &'static str,
    /// The Region, where it is not that of the settings.
    pub region: Option<&'a str>,
}

impl JsonService<'static> {
    /// Kinesis, in the Region of the settings.
    pub const KINESIS: Self = Self {
        id: "KINESIS",
        name: "kinesis",
        target: "Kinesis_20131202",
        version: "1.1",
        region: None,
    };

    /// Firehose, in the Region of the settings.
    pub const FIREHOSE: Self = Self {
        id: "FIREHOSE",
        name: "firehose",
        target: "Firehose_20150804",
        version: "1.1",
        region: None,
    };
}

/// Where requests are sent from: a pool of connections, and credentials.
#[derive(Debug)]
pub struct Caller {
    config: Config,
    connector: Connector,
    credentials: Mutex<Option<Credentials>>,
    now: fn() -> SystemTime,
}

impl Caller {
    /// A caller with the SDK's usual settings. Nothing is opened before the first request.
    pub async fn load(now: fn() -> SystemTime) -> Self {
        let connector =
            Connector::builder().tls_provider(Provider::Rustls(CryptoMode::Ring)).build();
        Self::new(Config::load().await, connector, now)
    }

    pub(crate) fn new(config: Config, connector: Connector, now: fn() -> SystemTime) -> Self {
        Self { config, connector, credentials: Mutex::new(None), now }
    }

    /// Where a service of the Region is; emulators say so by the SDK's own settings. `id` is the
    /// name in a variable such as `AWS_ENDPOINT_URL_KINESIS`, `host` that in the service's address.
    ///
    /// # Errors
    /// When the settings name no Region.
    pub fn endpoint(&self, id: &str, host: &str, region: Option<&str>) -> Result<Place, CallError> {
        let configured = self.config.sdk().region().map(|region| region.to_string());
        let region = region.map(ToOwned::to_owned).or(configured).ok_or(CallError::NoRegion)?;
        let elsewhere = std::env::var(format!("AWS_ENDPOINT_URL_{id}")).ok();
        let elsewhere = elsewhere.or_else(|| self.config.sdk().endpoint_url().map(Into::into));
        let emulated = elsewhere.is_some();
        let url = elsewhere.map_or_else(
            || format!("https://{host}.{region}.{}", suffix(&region)),
            |url| url.trim_end_matches('/').to_owned(),
        );
        Ok(Place { url, region, emulated })
    }

    /// Sends a request as it is.
    ///
    /// # Errors
    /// When there is no answer within `within`.
    pub async fn send(&self, ask: Ask<'_>, within: Duration) -> Result<Answer, CallError> {
        self.exchange(request(ask)?, within.min(CALL_LIMIT)).await
    }

    /// Signs a request for a service, by its name in a signature, and sends it.
    ///
    /// # Errors
    /// When there are no credentials, or no answer within `within`.
    pub async fn send_signed(
        &self,
        ask: Ask<'_>,
        (service, region): (&str, &str),
        within: Duration,
    ) -> Result<Answer, CallError> {
        let request = self.signed(ask, (service, region)).await?;
        self.exchange(request, within.min(CALL_LIMIT)).await
    }

    async fn signed(
        &self,
        ask: Ask<'_>,
        (service, region): (&str, &str),
    ) -> Result<http::Request<SdkBody>, CallError> {
        let identity = self.credentials().await?.into();
        let mut settings = SigningSettings::default();
        if service == "s3" {
            // "Signing AWS API requests", IAM User Guide, 2026-11: S3 takes the path as it stands.
            settings.percent_encoding_mode = PercentEncodingMode::Single;
            settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
            settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        }
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(region)
            .name(service)
            .time((self.now)())
            .settings(settings)
            .build()
            .map_err(CallError::request)?
            .into();
        let headers = ask.headers.iter().map(|(name, value)| (*name, value.as_str()));
        let signable =
            SignableRequest::new(ask.method, ask.url, headers, SignableBody::Bytes(&ask.body))
                .map_err(CallError::request)?;
        let (signature, _) = sign(signable, &params).map_err(CallError::request)?.into_parts();
        let mut request = request(ask)?;
        signature.apply_to_request_http1x(&mut request);
        Ok(request)
    }

    /// Calls an operation of a service that speaks AWS's JSON protocol.
    ///
    /// # Errors
    /// When there is no answer, or one that is no success.
    pub async fn operation(
        &self,
        service: &JsonService<'_>,
        operation: &str,
        body: Vec<u8>,
        within: Duration,
    ) -> Result<Value, CallError> {
        let answer = self.ask(service, operation, body, within).await?;
        if answer.status == 200 { Ok(answer.json()) } else { Err(CallError::of_service(&answer)) }
    }

    /// Calls an operation, and gives the answer, whatever its status.
    ///
    /// # Errors
    /// When there is no answer within `within`.
    pub async fn ask(
        &self,
        service: &JsonService<'_>,
        operation: &str,
        body: Vec<u8>,
        within: Duration,
    ) -> Result<Answer, CallError> {
        let place = self.endpoint(service.id, service.name, service.region)?;
        let url = format!("{}/", place.url);
        let headers = vec![
            ("content-type", format!("application/x-amz-json-{}", service.version)),
            ("x-amz-target", format!("{}.{operation}", service.target)),
        ];
        let ask = Ask { method: "POST", url: &url, headers, body };
        self.send_signed(ask, (service.name, &place.region), within).await
    }

    async fn exchange(
        &self,
        request: http::Request<SdkBody>,
        within: Duration,
    ) -> Result<Answer, CallError> {
        let request = request.try_into().map_err(CallError::request)?;
        let answer = async {
            let response = self.connector.call(request).await.map_err(CallError::transport)?;
            let status = response.status().as_u16();
            let header = |name| response.headers().get(name).map(ToOwned::to_owned);
            let error_type = header("x-amzn-errortype");
            #[cfg(feature = "redrive")]
            let (function_error, etag) = (header("x-amz-function-error"), header("etag"));
            let mut stream = ByteStream::new(response.into_body());
            let mut body = Vec::new();
            while let Some(part) = stream.next().await {
                let part = part.map_err(CallError::transport)?;
                body.extend_from_slice(&part[..part.len().min(ANSWER_BYTES_MAX - body.len())]);
            }
            Ok(Answer {
                status,
                body,
                error_type,
                #[cfg(feature = "redrive")]
                function_error,
                #[cfg(feature = "redrive")]
                etag,
            })
        };
        let answer = tokio::time::timeout(within, answer).await;
        answer.unwrap_or(Err(CallError::TooSlow { millis: within.as_millis() }))
    }

    /// The credentials, until shortly before they end.
    async fn credentials(&self) -> Result<Credentials, CallError> {
        let known = |credentials: &Credentials| {
            let lasts = |until| until > (self.now)() + CREDENTIALS_MARGIN;
            credentials.expiry().is_none_or(lasts)
        };
        let kept = self.credentials.lock().map(|kept| kept.clone()).unwrap_or_default();
        if let Some(kept) = kept.filter(known) {
            return Ok(kept);
        }
        let provider = self.config.sdk().credentials_provider().ok_or(CallError::NoCredentials)?;
        let fresh = provider.provide_credentials().await.map_err(CallError::credentials)?;
        if let Ok(mut kept) = self.credentials.lock() {
            *kept = Some(fresh.clone());
        }
        Ok(fresh)
    }
}

/// Where a service is.
#[derive(Debug, Clone)]
pub struct Place {
    /// Its address, without a slash at the end.
    pub url: String,
    /// The Region.
    pub region: String,
    /// Whether the address was set and is not that of AWS.
    pub emulated: bool,
}

/// What the addresses of a Region's services end with ("AWS service endpoints", AWS General
/// Reference, 2026-11).
fn suffix(region: &str) -> &'static str {
    match region.split('-').next() {
        Some("cn") => "amazonaws.com.cn",
        Some("eusc") => "amazonaws.eu",
        Some("us") if region.starts_with("us-iso-") => "c2s.ic.gov",
        Some("us") if region.starts_with("us-isob-") => "sc2s.sgov.gov",
        _ => "amazonaws.com",
    }
}

/// A text in an address or a form: all but letters, digits, `-._~` and what is in `also` is escaped.
#[allow(dead_code, reason = "each of its callers is of one of the features")]
pub(crate) fn escaped(text: &str, also: &str) -> String {
    let mut escaped = String::with_capacity(text.len() * 3 / 2);
    for byte in text.bytes() {
        let kept = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        if kept || also.as_bytes().contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

fn request(ask: Ask<'_>) -> Result<http::Request<SdkBody>, CallError> {
    let mut request = http::Request::builder().method(ask.method).uri(ask.url);
    for (name, value) in &ask.headers {
        request = request.header(*name, value);
    }
    request.body(SdkBody::from(ask.body)).map_err(CallError::request)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_have_their_own_addresses() {
        let cases = [
            ("eu-central-1", "amazonaws.com"),
            ("us-gov-west-1", "amazonaws.com"),
            ("cn-north-1", "amazonaws.com.cn"),
            ("us-iso-east-1", "c2s.ic.gov"),
            ("us-isob-east-1", "sc2s.sgov.gov"),
            ("eusc-de-east-1", "amazonaws.eu"),
        ];
        for (region, expected) in cases {
            assert_eq!(suffix(region), expected, "{region}");
        }
    }
}
