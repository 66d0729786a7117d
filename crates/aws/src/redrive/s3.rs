//! A bucket, or what is under a prefix of it.

use futures_util::{StreamExt, TryStreamExt, stream};

use super::{RedriveError, Seen, persist};
use crate::call::error::between;
use crate::call::{CallError, Connections, Object};

/// Objects that are read at the same time.
const AT_ONCE: usize = 16;

/// Documents that are objects.
#[derive(Debug)]
pub struct Bucket {
    bucket: String,
    prefix: String,
    connections: Connections,
}

impl Bucket {
    /// Keys are named without the prefix.
    pub fn new(bucket: impl Into<String>, prefix: &str, connections: Connections) -> Self {
        let prefix = match prefix.trim_matches('/') {
            "" => String::new(),
            prefix => format!("{prefix}/"),
        };
        Self { bucket: bucket.into(), prefix, connections }
    }

    /// The same, over connections of its own.
    pub fn over(&self, connections: Connections) -> Self {
        Self { bucket: self.bucket.clone(), prefix: self.prefix.clone(), connections }
    }

    /// As it is named.
    pub fn place(&self) -> String {
        format!("s3://{}/{}", self.bucket, self.prefix)
    }

    /// A page of keys, and what asks for the next.
    ///
    /// # Errors
    /// When they cannot be listed (`s3:ListBucket`).
    pub async fn keys(
        &self,
        token: Option<&str>,
    ) -> Result<(Vec<String>, Option<String>), RedriveError> {
        let list = async |within| {
            let caller = self.connections.caller().await;
            let answer = caller.list_objects(&self.bucket, &self.prefix, token, within).await?;
            if answer.status == 200 { Ok(answer) } else { Err(CallError::of_service(&answer)) }
        };
        let answer = persist("ListObjectsV2", list).await;
        let answer = answer.map_err(|error| RedriveError::new(&self.place(), error))?;
        let text = String::from_utf8_lossy(&answer.body);
        let keys = text.split("<Key>").skip(1).filter_map(|rest| rest.split_once("</Key>"));
        let keys = keys.map(|(key, _)| plain(key));
        let keys = keys.filter_map(|key| key.strip_prefix(&self.prefix).map(ToOwned::to_owned));
        let next = between(&text, "<NextContinuationToken>", "</NextContinuationToken>");
        // An object whose key ends so stands for a folder.
        Ok((keys.filter(|key| !key.ends_with('/')).collect(), next.map(plain)))
    }

    /// Objects in the order of their keys; `None` for one that is gone.
    ///
    /// # Errors
    /// When one cannot be read (`s3:GetObject`).
    pub async fn read(&self, keys: &[String]) -> Result<Vec<Option<Vec<u8>>>, RedriveError> {
        let all = stream::iter(keys).map(|key| self.get(key)).buffered(AT_ONCE);
        all.try_collect().await
    }

    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, RedriveError> {
        let key = format!("{}{key}", self.prefix);
        let get = async |within| {
            let caller = self.connections.caller().await;
            let answer = caller.get_object(&self.bucket, &key, within).await?;
            match answer.status {
                200 => Ok(Some(answer.body)),
                404 if CallError::of_service(&answer).is("NoSuchKey") => Ok(None),
                _ => Err(CallError::of_service(&answer)),
            }
        };
        let got = persist("GetObject", get).await;
        got.map_err(|error| RedriveError::new(&format!("s3://{}/{key}", self.bucket), error))
    }

    /// Writes an object over what is there.
    ///
    /// # Errors
    /// When it is not certain that it is written (`s3:PutObject`).
    pub async fn write(&self, key: &str, body: &[u8]) -> Result<(), RedriveError> {
        let key = format!("{}{key}", self.prefix);
        let put = async |within| {
            let headers = vec![("content-type", "application/json".to_owned())];
            let body = body.to_vec();
            let object = Object { bucket: &self.bucket, key: &key, headers, body };
            let answer = self.connections.caller().await.put_object(object, within).await?;
            if answer.status == 200 { Ok(()) } else { Err(CallError::of_service(&answer)) }
        };
        let put = persist("PutObject", put).await;
        put.map_err(|error| RedriveError::new(&format!("s3://{}/{key}", self.bucket), error))
    }

    /// An object that is only replaced as it was seen.
    ///
    /// # Errors
    /// When it cannot be read (`s3:GetObject`).
    pub async fn look(&self, key: &str) -> Result<Option<Seen>, RedriveError> {
        let key = format!("{}{key}", self.prefix);
        let get = async |within| {
            let caller = self.connections.caller().await;
            let answer = caller.get_object(&self.bucket, &key, within).await?;
            match answer.status {
                200 => Ok(Some(Seen {
                    text: String::from_utf8_lossy(&answer.body).into_owned(),
                    token: answer.etag.unwrap_or_default(),
                })),
                404 if CallError::of_service(&answer).is("NoSuchKey") => Ok(None),
                _ => Err(CallError::of_service(&answer)),
            }
        };
        let got = persist("GetObject", get).await;
        got.map_err(|error| RedriveError::new(&format!("s3://{}/{key}", self.bucket), error))
    }

    /// Writes an object in place of the one with this token, or where there was none; whether it is
    /// written, and not something else there by now ("Conditional writes", Amazon S3 User Guide,
    /// 2026-11).
    ///
    /// # Errors
    /// When it is not certain (`s3:PutObject`).
    pub async fn replace(
        &self,
        key: &str,
        seen: Option<&str>,
        text: &str,
    ) -> Result<bool, RedriveError> {
        let key = format!("{}{key}", self.prefix);
        let put = async |within| {
            let condition = match seen {
                Some(token) => ("if-match", token.to_owned()),
                None => ("if-none-match", "*".to_owned()),
            };
            let headers = vec![("content-type", "application/json".to_owned()), condition];
            let body = text.as_bytes().to_vec();
            let object = Object { bucket: &self.bucket, key: &key, headers, body };
            let answer = self.connections.caller().await.put_object(object, within).await?;
            match answer.status {
                200 => Ok(true),
                404 | 412 => Ok(false),
                _ => Err(CallError::of_service(&answer)),
            }
        };
        let put = persist("PutObject", put).await;
        put.map_err(|error| RedriveError::new(&format!("s3://{}/{key}", self.bucket), error))
    }

    /// Removes an object.
    ///
    /// # Errors
    /// When it is not certain that it is gone (`s3:DeleteObject`).
    pub async fn remove(&self, key: &str) -> Result<(), RedriveError> {
        let key = format!("{}{key}", self.prefix);
        let delete = async |within| {
            let caller = self.connections.caller().await;
            let answer = caller.delete_object(&self.bucket, &key, within).await?;
            match answer.status {
                200 | 204 | 404 => Ok(()),
                _ => Err(CallError::of_service(&answer)),
            }
        };
        let deleted = persist("DeleteObject", delete).await;
        deleted.map_err(|error| RedriveError::new(&format!("s3://{}/{key}", self.bucket), error))
    }
}

/// A text of XML without its escapes.
fn plain(text: &str) -> String {
    let named = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")];
    named.iter().fold(text.to_owned(), |text, (escape, c)| text.replace(escape, c))
}
