//! A lock in a store of AWS: a document that its holder replaces again and again. One that is not
//! replaced for a while belongs to a process that is no more.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::{JoinHandle, sleep};
use std::time::Duration;

use anyhow::bail;
use jiff::Timestamp;
use serde_json::json;
use tidegate_aws::redrive::{Bucket, Seen, Table};
use tidegate_runtime::clock;

use super::Conversation;
use crate::quarantine::lock::{Hold, busy};
use crate::quarantine::store::LOCK;

/// A lock that stays the same for so long is nobody's. No clocks are compared: who waits for it
/// counts by his own.
const LEASE: Duration = Duration::from_secs(30);

/// How often the holder replaces it: three times may fail.
const RENEW: Duration = Duration::from_secs(8);

/// A holder that could not for so long sends no further batch.
const DOUBT: Duration = Duration::from_secs(20);

/// How often a lock is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// The document that is the lock, and a conversation of its own: a thread of its own talks.
pub struct Document {
    pub aws: Conversation,
    pub of: Of,
}

/// Where it is.
pub enum Of {
    Bucket(Bucket),
    Table(Table),
}

impl Document {
    fn look(&self) -> anyhow::Result<Option<Seen>> {
        Ok(match &self.of {
            Of::Bucket(bucket) => self.aws.wait(bucket.look(LOCK))?,
            Of::Table(table) => self.aws.wait(table.look(LOCK))?,
        })
    }

    /// Whether it was replaced, by the token of what was seen.
    fn replace(&self, seen: Option<&str>, text: &str) -> anyhow::Result<bool> {
        Ok(match &self.of {
            Of::Bucket(bucket) => self.aws.wait(bucket.replace(LOCK, seen, text))?,
            Of::Table(table) => self.aws.wait(table.replace(LOCK, seen, text))?,
        })
    }

    fn remove(&self) -> anyhow::Result<()> {
        match &self.of {
            Of::Bucket(bucket) => self.aws.wait(bucket.remove(LOCK))?,
            Of::Table(table) => self.aws.wait(table.remove(LOCK))?,
        }
        Ok(())
    }
}

/// A lock that is held.
pub struct Lease {
    renewed: Arc<RwLock<Timestamp>>,
    is_lost: Arc<AtomicBool>,
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Lease {
    /// Takes the lock: at once when it is free, and after half a minute when its holder is no more.
    ///
    /// # Errors
    /// When another has it, or the store fails.
    pub fn take(document: Document, what: &str) -> anyhow::Result<Self> {
        let mut turns = Turns::new();
        let mut watched: Option<(String, Timestamp)> = None;
        let token = loop {
            let seen = document.look()?;
            let token = seen.map(|seen| seen.token);
            let is_free = match (&token, &watched) {
                (None, _) => true,
                (Some(token), Some((before, _))) if token != before => bail!(busy(what)),
                (Some(_), Some((_, since))) => elapsed(*since) >= LEASE,
                (Some(_), None) => false,
            };
            if is_free && let Some(token) = turns.next(&document, token.as_deref())? {
                break token;
            }
            if let (Some(token), None) = (token, &watched) {
                let seconds = LEASE.as_secs();
                crate::complain(&format!(
                    "{what} is locked by another redrive, or by one that was killed: it is looked \
                     for {seconds} seconds which of them"
                ));
                watched = Some((token, clock::now()));
            }
            sleep(LOOK);
        };
        Ok(Self::renewing(document, turns, token))
    }

    fn renewing(document: Document, mut turns: Turns, first: String) -> Self {
        let renewed = Arc::new(RwLock::new(clock::now()));
        let is_lost = Arc::new(AtomicBool::new(false));
        let (end, ended) = mpsc::channel();
        let (at, lost) = (renewed.clone(), is_lost.clone());
        let thread = std::thread::spawn(move || {
            let mut token = first;
            while ended.recv_timeout(RENEW) == Err(RecvTimeoutError::Timeout) {
                match turns.next(&document, Some(&token)) {
                    Ok(Some(next)) => {
                        token = next;
                        *at.write().unwrap_or_else(PoisonError::into_inner) = clock::now();
                    }
                    Ok(None) => {
                        lost.store(true, Ordering::Relaxed);
                        return;
                    }
                    // It is tried again, as long as there is no doubt.
                    Err(_) => {}
                }
            }
            // Others wait for half a minute when this fails.
            let _ = document.remove();
        });
        Self { renewed, is_lost, end: Some(end), thread: Some(thread) }
    }
}

impl Hold for Lease {
    fn check(&self) -> anyhow::Result<()> {
        let renewed = *self.renewed.read().unwrap_or_else(PoisonError::into_inner);
        if self.is_lost.load(Ordering::Relaxed) {
            bail!("the lock of the store was lost to another redrive, while this one stood still");
        }
        if elapsed(renewed) > DOUBT {
            let seconds = elapsed(renewed).as_secs();
            bail!("the lock of the store could not be renewed for {seconds} s");
        }
        Ok(())
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has left the lock as it is.
            let _ = thread.join();
        }
    }
}

/// What a holder writes, each time something else.
struct Turns {
    holder: String,
    count: u64,
}

impl Turns {
    fn new() -> Self {
        let holder = format!("{}-{}", std::process::id(), clock::now().as_nanosecond());
        Self { holder, count: 0 }
    }

    /// Replaces what was seen, and gives the token of what is there then; nothing when that is of
    /// another. An answer that was lost may have been a success, so what is there is read.
    fn next(&mut self, document: &Document, seen: Option<&str>) -> anyhow::Result<Option<String>> {
        self.count += 1;
        let text = json!({"lock": self.holder, "turn": self.count}).to_string();
        document.replace(seen, &text)?;
        let is_ours = |there: &Seen| there.text.contains(&self.holder);
        Ok(document.look()?.filter(is_ours).map(|there| there.token))
    }
}

/// The time since a moment; a machine that slept meanwhile counts it.
pub fn elapsed(since: Timestamp) -> Duration {
    clock::now().duration_since(since).unsigned_abs()
}
