//! One request to a server on this machine, without a client's dependencies.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

/// Long enough for a slow machine, short enough that a test which hangs says where.
const TIMEOUT: Duration = Duration::from_secs(30);

/// What a server answered.
#[derive(Debug)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

impl Response {
    /// The body as JSON; null when it is empty.
    ///
    /// # Panics
    /// When it is something else.
    pub fn json(&self) -> Value {
        if self.body.is_empty() {
            return Value::Null;
        }
        serde_json::from_slice(&self.body).unwrap_or_else(|error| {
            panic!("{error}: {}", String::from_utf8_lossy(&self.body));
        })
    }
}

/// Sends one request to a port of this machine; nothing when nobody answers.
pub fn request(
    port: u16,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Option<Response> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(TIMEOUT)).ok()?;
    let mut request = format!("{method} {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n");
    request += "connection: close\r\n";
    for (name, value) in headers {
        request += &format!("{name}: {value}\r\n");
    }
    request += &format!("content-length: {}\r\n\r\n", body.len());
    // Head and body in one write: apart, they cost a delayed acknowledgement.
    stream.write_all(&[request.as_bytes(), body].concat()).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&answer[..end]);
    let status = head.split_whitespace().nth(1)?.parse().ok()?;
    assert!(!head.to_lowercase().contains("transfer-encoding"), "chunks are not read here: {head}");
    Some(Response { status, body: answer.split_off(end + 4) })
}

/// Calls an operation of an AWS service by its JSON protocol. `service` is its name in a signature,
/// such as `kinesis`, and `operation` has the name of the API in front:
/// `Kinesis_20131202.CreateStream`.
///
/// The signature is not one: emulators look at its form at most.
///
/// # Panics
/// When nobody answers.
pub fn aws(port: u16, service: &str, operation: &str, body: &Value) -> Response {
    let scope = format!("test/20261101/us-east-1/{service}/aws4_request");
    let authorization =
        format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0");
    let headers = [
        ("authorization", authorization.as_str()),
        ("content-type", "application/x-amz-json-1.1"),
        ("x-amz-date", "20261101T000000Z"),
        ("x-amz-target", operation),
    ];
    request(port, "POST", "/", &headers, body.to_string().as_bytes())
        .unwrap_or_else(|| panic!("nobody answers {operation} on port {port}"))
}
