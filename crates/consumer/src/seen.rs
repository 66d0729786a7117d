//! What was delivered before, and is not delivered twice.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::bounded::Bounded;
use crate::envelope::{function_name, hex};
use crate::event::Record;
use crate::outcome::BoxError;

/// The longest key of a user that is kept as it is; a longer one is kept as its SHA-256.
const USER_KEY_BYTES_MAX: usize = 512;

/// Remembers what was delivered.
///
/// Keys are texts of at most a kilobyte. They name the function, since several may read a stream
/// and share a store.
pub trait SeenStore: Send + Sync {
    /// Which of these keys are marked, in their order.
    ///
    /// # Errors
    /// When it cannot be told. The records then come again: delivered without knowing, some of them
    /// could be delivered twice.
    fn seen(
        &self,
        keys: &[String],
        now: Timestamp,
    ) -> impl Future<Output = Result<Vec<bool>, SeenError>> + Send;

    /// Marks keys whose records were delivered. To mark one again is a success.
    ///
    /// # Errors
    /// When it is not certain that all are marked. The records are delivered all the same, and
    /// should they come again, they are delivered again.
    fn mark(
        &self,
        keys: &[String],
        now: Timestamp,
    ) -> impl Future<Output = Result<(), SeenError>> + Send;
}

/// A store of what was delivered did not answer.
#[derive(Debug, thiserror::Error)]
#[error("{store}, which remembers what was delivered, did not answer")]
pub struct SeenError {
    /// The store, such as `dynamodb:table`.
    pub store: String,
    #[source]
    source: BoxError,
}

impl SeenError {
    /// What happened, in which store.
    pub fn new(store: impl Into<String>, source: impl Into<BoxError>) -> Self {
        Self { store: store.into(), source: source.into() }
    }
}

/// The newest keys, in the memory of the process.
///
/// It knows what this execution environment delivered, which is where a batch usually comes again,
/// and forgets it with the environment, so also after a crash.
#[derive(Debug)]
pub struct Recent(Mutex<Bounded<()>>);

impl Recent {
    /// With room for so many keys.
    pub fn new(keys_max: usize) -> Self {
        Self(Mutex::new(Bounded::new(keys_max)))
    }
}

impl SeenStore for Recent {
    async fn seen(&self, keys: &[String], _: Timestamp) -> Result<Vec<bool>, SeenError> {
        let memory = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(keys.iter().map(|key| memory.get(key).is_some()).collect())
    }

    async fn mark(&self, keys: &[String], _: Timestamp) -> Result<(), SeenError> {
        let mut memory = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for key in keys {
            memory.entry(key);
        }
        Ok(())
    }
}

impl<S: SeenStore + ?Sized> SeenStore for Arc<S> {
    fn seen(
        &self,
        keys: &[String],
        now: Timestamp,
    ) -> impl Future<Output = Result<Vec<bool>, SeenError>> + Send {
        (**self).seen(keys, now)
    }

    fn mark(
        &self,
        keys: &[String],
        now: Timestamp,
    ) -> impl Future<Output = Result<(), SeenError>> + Send {
        (**self).mark(keys, now)
    }
}

type KeyOf = dyn Fn(&[u8], &Record<'_>) -> Option<String> + Send + Sync;

/// Which records are the same, and who remembers them.
///
/// A record is marked after it was delivered, and never before: a crash in between delivers it
/// again. Poison is not marked: its quarantine is idempotent.
pub struct Dedupe {
    store: Box<dyn Store>,
    key: Option<Box<KeyOf>>,
}

impl fmt::Debug for Dedupe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.key.is_some() { "Dedupe(by key)" } else { "Dedupe(by delivery)" })
    }
}

impl Dedupe {
    /// By shard, sequence number and, in an aggregate, place: what Lambda delivers again. A record
    /// that its producer put twice has two sequence numbers and is delivered twice.
    pub fn by_delivery(store: impl SeenStore + 'static) -> Self {
        Self { store: Box::new(store), key: None }
    }

    /// By a key that is taken from the payload, such as an order's number: also what a producer put
    /// twice, within as long as the store remembers. A record without one goes by its delivery.
    ///
    /// A panic in `key` is one of the decoder.
    pub fn by_key(
        store: impl SeenStore + 'static,
        key: impl Fn(&[u8], &Record<'_>) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        Self { store: Box::new(store), key: Some(Box::new(key)) }
    }

    pub(crate) fn key(&self, payload: &[u8], record: &Record<'_>, function_arn: &str) -> String {
        let function = function_name(function_arn).unwrap_or_default();
        let own = self.key.as_ref().and_then(|key| key(payload, record));
        match own {
            Some(own) if own.len() <= USER_KEY_BYTES_MAX => format!("{function}/key/{own}"),
            Some(own) => format!("{function}/key-sha256/{}", hex(&Sha256::digest(own))),
            None => format!("{function}/delivery/{}", record.delivery()),
        }
    }

    pub(crate) async fn seen(
        &self,
        keys: &[String],
        now: Timestamp,
    ) -> Result<Vec<bool>, SeenError> {
        let seen = self.store.seen(keys, now).await?;
        if seen.len() == keys.len() {
            return Ok(seen);
        }
        let unclear = format!("{} answers for {} keys", seen.len(), keys.len());
        Err(SeenError::new("the store", unclear))
    }

    pub(crate) async fn mark(&self, keys: &[String], now: Timestamp) -> Result<(), SeenError> {
        self.store.mark(keys, now).await
    }
}

type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, SeenError>> + Send + 'a>>;

/// A [`SeenStore`] of any type.
trait Store: Send + Sync {
    fn seen<'a>(&'a self, keys: &'a [String], now: Timestamp) -> Answer<'a, Vec<bool>>;
    fn mark<'a>(&'a self, keys: &'a [String], now: Timestamp) -> Answer<'a, ()>;
}

impl<S: SeenStore> Store for S {
    fn seen<'a>(&'a self, keys: &'a [String], now: Timestamp) -> Answer<'a, Vec<bool>> {
        Box::pin(SeenStore::seen(self, keys, now))
    }

    fn mark<'a>(&'a self, keys: &'a [String], now: Timestamp) -> Answer<'a, ()> {
        Box::pin(SeenStore::mark(self, keys, now))
    }
}
