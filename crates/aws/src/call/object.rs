//! Writing an object to S3.

use std::fmt::Write;
use std::time::Duration;

use super::{Answer, Ask, CallError, Caller};

/// An object to be written.
#[derive(Debug)]
pub struct Object<'a> {
    /// The bucket.
    pub bucket: &'a str,
    /// The whole key.
    pub key: &'a str,
    /// Headers besides those of the signature, their names in lower case.
    pub headers: Vec<(&'static str, String)>,
    /// What is in it.
    pub body: Vec<u8>,
}

impl Caller {
    /// Writes an object, and gives the answer, whatever its status.
    ///
    /// # Errors
    /// When there is no answer within `within`.
    pub async fn put_object(
        &self,
        object: Object<'_>,
        within: Duration,
    ) -> Result<Answer, CallError> {
        let place = self.endpoint("S3", "s3", None)?;
        let Object { bucket, key, headers, body } = object;
        // Emulators serve a bucket under its path and not under a name of its own; and a name with a
        // dot is no host that a certificate of AWS speaks for.
        let plain =
            place.url.split_once("://").filter(|_| !place.emulated && !bucket.contains('.'));
        let url = match plain {
            Some((scheme, host)) => format!("{scheme}://{bucket}.{host}/{}", escaped(key)),
            None => format!("{}/{bucket}/{}", place.url, escaped(key)),
        };
        let ask = Ask { method: "PUT", url: &url, headers, body };
        self.send_signed(ask, ("s3", &place.region), within).await
    }
}

/// A key in an address: what is no letter, digit, `-`, `.`, `_`, `~` or `/` as `%XX`.
fn escaped(key: &str) -> String {
    let mut escaped = String::with_capacity(key.len());
    for byte in key.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                escaped.push(char::from(byte));
            }
            _ => {
                let _ = write!(escaped, "%{byte:02X}");
            }
        }
    }
    escaped
}
