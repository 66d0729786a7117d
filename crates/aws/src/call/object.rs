//! Objects of S3.

use std::time::Duration;

use super::{Answer, Ask, CallError, Caller, escaped};

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
        let Object { bucket, key, headers, body } = object;
        let (url, region) = self.object_url(bucket, &escaped(key, "/"))?;
        let ask = Ask { method: "PUT", url: &url, headers, body };
        self.send_signed(ask, ("s3", &region), within).await
    }

    /// Where something of a bucket is, and its Region.
    fn object_url(&self, bucket: &str, path: &str) -> Result<(String, String), CallError> {
        let place = self.endpoint("S3", "s3", None)?;
        // Emulators serve a bucket under its path and not under a name of its own; and a name with a
        // dot is no host that a certificate of AWS speaks for.
        let plain =
            place.url.split_once("://").filter(|_| !place.emulated && !bucket.contains('.'));
        let url = match plain {
            Some((scheme, host)) => format!("{scheme}://{bucket}.{host}/{path}"),
            None => format!("{}/{bucket}/{path}", place.url),
        };
        Ok((url, place.region))
    }
}

#[cfg(feature = "redrive")]
impl Caller {
    /// Reads an object, and gives the answer, whatever its status.
    ///
    /// # Errors
    /// When there is no answer within `within`.
    pub async fn get_object(
        &self,
        bucket: &str,
        key: &str,
        within: Duration,
    ) -> Result<Answer, CallError> {
        self.of_object("GET", bucket, &escaped(key, "/"), within).await
    }

    /// Removes an object, and gives the answer, whatever its status.
    ///
    /// # Errors
    /// When there is no answer within `within`.
    pub async fn delete_object(
        &self,
        bucket: &str,
        key: &str,
        within: Duration,
    ) -> Result<Answer, CallError> {
        self.of_object("DELETE", bucket, &escaped(key, "/"), within).await
    }

    /// A page of the keys under a prefix, and gives the answer, whatever its status.
    ///
    /// # Errors
    /// When there is no answer within `within`.
    pub async fn list_objects(
        &self,
        bucket: &str,
        prefix: &str,
        token: Option<&str>,
        within: Duration,
    ) -> Result<Answer, CallError> {
        let value = |text: &str| escaped(text, "");
        let token = token.map(|token| format!("continuation-token={}&", value(token)));
        let token = token.unwrap_or_default();
        let query = format!("?{token}list-type=2&prefix={}", value(prefix));
        self.of_object("GET", bucket, &query, within).await
    }

    async fn of_object(
        &self,
        method: &'static str,
        bucket: &str,
        path: &str,
        within: Duration,
    ) -> Result<Answer, CallError> {
        let (url, region) = self.object_url(bucket, path)?;
        let ask = Ask { method, url: &url, headers: Vec::new(), body: Vec::new() };
        self.send_signed(ask, ("s3", &region), within).await
    }
}
