//! How long a record is tried: the time of one call, and the number of them.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::bounded::Bounded;
use crate::event::Record;
use crate::options::Options;
use crate::outcome::{BoxError, Outcome, PoisonReason};

/// Records that came again, of which the attempts are remembered. Of a shard, few wait at a time.
const ATTEMPTS_REMEMBERED: usize = 10_000;

type Sleep = Box<dyn Fn(Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// The most time that one call of the handler may take.
pub(crate) struct TimeLimit {
    limit: Duration,
    sleep: Sleep,
}

impl fmt::Debug for TimeLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TimeLimit({:?})", self.limit)
    }
}

impl TimeLimit {
    pub(crate) fn new<S>(
        limit: Duration,
        sleep: impl Fn(Duration) -> S + Send + Sync + 'static,
    ) -> Self
    where
        S: Future<Output = ()> + Send + 'static,
    {
        Self { limit, sleep: Box::new(move |limit| Box::pin(sleep(limit))) }
    }

    /// Runs a future for as long. A handler that never waits costs no timer.
    pub(crate) async fn within<T>(&self, future: impl Future<Output = T>) -> Result<T, TimedOut> {
        let mut future = pin!(future);
        let mut timer = None;
        poll_fn(|cx| {
            if let Poll::Ready(value) = future.as_mut().poll(cx) {
                return Poll::Ready(Ok(value));
            }
            let timer = timer.get_or_insert_with(|| (self.sleep)(self.limit));
            timer.as_mut().poll(cx).map(|()| Err(TimedOut(self.limit)))
        })
        .await
    }
}

/// The handler took too long.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the handler did not end within {0:?}")]
pub(crate) struct TimedOut(Duration);

impl TimedOut {
    pub(crate) fn caused(error: &BoxError) -> bool {
        error.is::<Self>()
    }
}

impl From<TimedOut> for Outcome {
    fn from(timed_out: TimedOut) -> Self {
        Self::Retry(timed_out.into())
    }
}

/// How often records came again, as far as this consumer has seen.
#[derive(Debug)]
pub(crate) struct Attempts {
    seen: Mutex<Bounded<Attempt>>,
}

#[derive(Debug, Default)]
struct Attempt {
    count: u32,
    timed_out: bool,
}

impl Default for Attempts {
    fn default() -> Self {
        Self { seen: Mutex::new(Bounded::new(ATTEMPTS_REMEMBERED)) }
    }
}

impl Attempts {
    fn seen(&self) -> MutexGuard<'_, Bounded<Attempt>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a call with this record took too long before.
    pub(crate) fn timed_out(&self, record: &Record<'_>) -> bool {
        self.seen().get(&record.delivery()).is_some_and(|attempt| attempt.timed_out)
    }

    /// Counts an attempt that is to be made again, and says otherwise when it was the last.
    pub(crate) fn judge(
        &self,
        outcome: Outcome,
        record: &Record<'_>,
        options: &Options,
        now: Timestamp,
    ) -> Outcome {
        let Outcome::Retry(error) = outcome else { return outcome };
        let timed_out = TimedOut::caused(&error);
        let count = {
            let mut seen = self.seen();
            let attempt = seen.entry(&record.delivery());
            attempt.count += 1;
            attempt.timed_out |= timed_out;
            attempt.count
        };
        let age = record.arrived_at().map_or(SignedDuration::ZERO, |at| now.duration_since(at));
        let reason = if options.max_attempts.is_some_and(|most| count >= most.get()) {
            PoisonReason::Attempts
        } else if options.max_age.is_some_and(|most| age > most) {
            PoisonReason::Age
        } else {
            return Outcome::Retry(error);
        };
        Outcome::Poison(if timed_out { PoisonReason::Timeout } else { reason }, error)
    }
}
