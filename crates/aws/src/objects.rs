//! Objects of S3 as local files: what the transform reads that is too large for its package.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::OnceLock;

use aws_sdk_s3::Client;
use aws_sdk_s3::error::{DisplayErrorContext, ProvideErrorMetadata};

use crate::Config;

/// What reads objects. The client is made at the first.
#[derive(Debug, Default)]
pub struct Objects {
    client: OnceLock<Client>,
}

/// Why an object is not there as a file.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// S3 did not hand it over.
    #[error("GetObject failed: {0}")]
    Get(String),
    /// The connection broke while it came.
    #[error("the object did not come whole: {0}")]
    Body(String),
    /// There is no place for it.
    #[error("the file cannot be written")]
    Write(#[from] io::Error),
}

impl Objects {
    async fn client(&self) -> &Client {
        match self.client.get() {
            Some(client) => client,
            None => {
                let config = Config::load().await;
                self.client.get_or_init(|| client(&config))
            }
        }
    }

    /// Writes the object to a file, and returns its ETag; `None`, and nothing is written, when it
    /// is still the one of the ETag that is known.
    ///
    /// # Errors
    /// When it cannot be read whole, or not be written.
    pub async fn fetch(
        &self,
        bucket: &str,
        key: &str,
        known: Option<&str>,
        into: &Path,
    ) -> Result<Option<String>, FetchError> {
        let get = self.client().await.get_object().bucket(bucket).key(key);
        let mut object = match get.set_if_none_match(known.map(ToOwned::to_owned)).send().await {
            Ok(object) => object,
            Err(error) if error.raw_response().is_some_and(|r| r.status().as_u16() == 304) => {
                return Ok(None);
            }
            Err(error) => {
                let text = match (error.code(), error.message()) {
                    (Some(code), Some(message)) => format!("{code}: {message}"),
                    (Some(code), None) => code.to_owned(),
                    _ => DisplayErrorContext(&error).to_string(),
                };
                return Err(FetchError::Get(text));
            }
        };
        let mut file = File::create(into)?;
        while let Some(part) = object.body.next().await {
            let part = part.map_err(|error| FetchError::Body(error.to_string()))?;
            file.write_all(&part)?;
        }
        Ok(Some(object.e_tag.unwrap_or_default()))
    }
}

/// Emulators serve a bucket under its path and not under a name of its own.
fn client(config: &Config) -> Client {
    let sdk = config.sdk();
    let elsewhere =
        sdk.endpoint_url().is_some() || std::env::var_os("AWS_ENDPOINT_URL_S3").is_some();
    Client::from_conf(aws_sdk_s3::config::Builder::from(sdk).force_path_style(elsewhere).build())
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::TcpListener;
    use std::thread;

    use aws_sdk_s3::config::retry::RetryConfig;
    use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};

    use super::*;

    /// Fetches an object from a server that gives one answer; what came of it, and the request.
    fn fetch(
        known: Option<&str>,
        answer: &'static str,
        into: &Path,
    ) -> (Result<Option<String>, FetchError>, String) {
        let server = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let endpoint = format!("http://{}", server.local_addr().expect("it has an address"));
        let request = thread::spawn(move || {
            let (mut stream, _) = server.accept().expect("a client comes");
            let mut request = Vec::new();
            let mut part = [0; 4096];
            while !request.ends_with(b"\r\n\r\n") {
                let read = stream.read(&mut part).expect("a request comes");
                assert_ne!(read, 0, "{}", String::from_utf8_lossy(&request));
                request.extend_from_slice(&part[..read]);
            }
            stream.write_all(answer.as_bytes()).expect("the client reads");
            String::from_utf8(request).expect("a request is text")
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
        let objects = Objects { client: OnceLock::from(Client::from_conf(config)) };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime can be made");
        let came = runtime.block_on(objects.fetch("files", "geo/city.mmdb", known, into));
        (came, request.join().expect("the server ends"))
    }

    #[test]
    fn an_object_becomes_a_file_once() {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let path = folder.path().join("city.mmdb");
        let whole = "HTTP/1.1 200 OK\r\netag: \"v1\"\r\ncontent-length: 4\r\n\r\ndata";
        let (came, request) = fetch(None, whole, &path);
        assert_eq!(came.expect("it comes"), Some("\"v1\"".to_owned()));
        assert!(request.starts_with("GET /files/geo/city.mmdb?x-id=GetObject "), "{request}");
        assert!(!request.contains("if-none-match"), "{request}");
        assert_eq!(std::fs::read(&path).expect("it is there"), b"data");
        let same = "HTTP/1.1 304 Not Modified\r\ncontent-length: 0\r\n\r\n";
        let other = folder.path().join("other");
        let (came, request) = fetch(Some("\"v1\""), same, &other);
        assert_eq!(came.expect("nothing changed"), None);
        assert!(request.contains("if-none-match: \"v1\"\r\n"), "{request}");
        assert!(!other.exists());
    }

    #[test]
    fn what_does_not_come_is_said() {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let path = folder.path().join("city.mmdb");
        let body = "<Error><Code>NoSuchKey</Code><Message>not there</Message></Error>";
        let none =
            format!("HTTP/1.1 404 Not Found\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        let (came, _) = fetch(None, none.leak(), &path);
        let error = came.expect_err("there is none").to_string();
        assert_eq!(error, "GetObject failed: NoSuchKey: not there");
        let cut = "HTTP/1.1 200 OK\r\netag: \"v1\"\r\ncontent-length: 40\r\n\r\ndata";
        let (came, _) = fetch(None, cut, &path);
        let error = came.expect_err("it is cut").to_string();
        assert!(error.starts_with("the object did not come whole: "), "{error}");
    }
}
