//! Objects of S3 looked at again, beside the invocations: a thread of its own fetches and compiles,
//! and the next invocation after that takes over what came. Nothing waits for it.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use tidegate_aws::objects::Objects;
use tidegate_runtime::chain::chain;
use tidegate_runtime::{Environment, Level, Log};

use crate::files::Files;
use crate::settings::Settings;

/// What is fetched again, and when.
pub struct Refresh {
    every: Option<SignedDuration>,
    log: Arc<Log>,
    state: Arc<Mutex<State>>,
}

struct State {
    files: Files,
    looked: Timestamp,
    /// Whether a thread is at it.
    busy: bool,
    /// What came.
    ready: Option<Settings>,
    /// How often something could not be fetched or used since that was asked.
    failed: u64,
}

impl Refresh {
    /// The files that the function started with.
    pub fn new(every: Option<Duration>, files: Files, now: Timestamp, log: Arc<Log>) -> Self {
        // What lies in the package or a layer changes with a deployment and not before.
        let every = every.filter(|_| files.any_fetched());
        let every = every.and_then(|every| SignedDuration::try_from(every).ok());
        let state = State { files, looked: now, busy: false, ready: None, failed: 0 };
        Self { every, log, state: Arc::new(Mutex::new(state)) }
    }

    /// What came since the last time; and when it is time, has the objects looked at again.
    pub fn take(&self, now: Timestamp) -> Option<Settings> {
        let every = self.every?;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let ready = state.ready.take();
        if !state.busy && now.duration_since(state.looked) >= every {
            state.busy = true;
            state.looked = now;
            let (shared, log) = (self.state.clone(), self.log.clone());
            let before = state.files.clone();
            thread::spawn(move || {
                let (came, failed) = look(&before, &log);
                let mut state = shared.lock().unwrap_or_else(PoisonError::into_inner);
                state.busy = false;
                state.failed += failed;
                if let Some((files, settings)) = came {
                    state.files = files;
                    state.ready = Some(settings);
                }
            });
        }
        ready
    }

    /// How often something could not be fetched or used since the last time.
    pub fn take_failed(&self) -> u64 {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut state.failed)
    }
}

/// Fetches what is new, and compiles it; and how much of it failed. What cannot be used changes
/// nothing.
fn look(before: &Files, log: &Log) -> (Option<(Files, Settings)>, u64) {
    let mut failures = 0;
    let mut failed = |error: &str| {
        failures += 1;
        let remedy = "the function goes on with what it had; mend the object in S3";
        log.event(Level::Warn, "refresh_failed", &json!({"error": error, "remedy": remedy}));
    };
    let came = fetch(before, &mut failed);
    (came, failures)
}

fn fetch(before: &Files, failed: &mut dyn FnMut(&str)) -> Option<(Files, Settings)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let files = match runtime {
        // Clients of their own: a connection belongs to the runtime that opened it.
        Ok(runtime) => runtime.block_on(Files::fetch(&Environment, &Objects::default(), before)),
        Err(error) => {
            failed(&error.to_string());
            return None;
        }
    };
    files.stale.iter().for_each(|error| failed(error));
    if files.same(before) {
        return None;
    }
    match Settings::read(&Environment, &files) {
        Ok(settings) if settings.gaps.is_empty() => Some((files, settings)),
        Ok(settings) => {
            settings.gaps.iter().for_each(|error| failed(error));
            None
        }
        Err(error) => {
            failed(&chain(&error));
            None
        }
    }
}
