//! From records to outcomes, over a service that takes several at once.

use std::future::Future;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use tidegate_consumer::{BoxError, BulkLimits, Outcome, PoisonReason, Record};
use tidegate_consumer::{Received, Scope};

use super::split::{Limits, Piece, split};
use crate::call::{CallError, Fate};

/// Rounds in which what was not taken is sent again.
const ROUNDS_MAX: u32 = 8;

/// The longest wait before the second round; it doubles with each.
const FIRST_WAIT: Duration = Duration::from_millis(100);

/// No wait is longer.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// What a call may take where nobody says when the invocation ends.
const CALL_TIME: Duration = Duration::from_secs(20);

/// A call is started though nothing is left, and given this much: otherwise a function whose time is
/// short would never deliver anything.
const CALL_TIME_MIN: Duration = Duration::from_millis(500);

/// What a service says of one record.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// It has it.
    Taken,
    /// It may take it later.
    Again(BoxError),
    /// It will never take it.
    Refused(BoxError),
}

/// A service that takes several records with one call.
pub(crate) trait Service {
    /// A record as the service wants it.
    type Entry;

    /// What one call may hold.
    fn limits(&self) -> Limits;

    /// How many records it is handed at once, which may be several calls.
    fn bulk(&self) -> BulkLimits;

    /// Makes a record what the service wants; `index` tells the entries of a call apart.
    ///
    /// # Errors
    /// What becomes of a record that the service cannot take.
    fn entry(&self, index: usize, data: &[u8], record: &Record<'_>)
    -> Result<Self::Entry, Outcome>;

    /// What the entry takes of a call.
    fn piece<'e>(&self, entry: &'e Self::Entry) -> Piece<'e>;

    /// One call: a verdict an entry, in their order.
    ///
    /// # Errors
    /// When the call failed as a whole.
    fn send(
        &self,
        entries: &[&Self::Entry],
        within: Duration,
    ) -> impl Future<Output = Result<Vec<Verdict>, CallError>>;
}

/// Makes a [`Service`] a handler of records. No other crate's trait can be implemented for every
/// service at once.
macro_rules! handles {
    ($sink:ty) => {
        impl<T: AsRef<[u8]>> tidegate_consumer::BatchHandler<T> for $sink {
            fn limits(&self) -> tidegate_consumer::BulkLimits {
                $crate::sink::deliver::Service::bulk(self)
            }

            async fn handle(
                &self,
                records: &[tidegate_consumer::Received<'_, T>],
                scope: &tidegate_consumer::Scope<'_>,
            ) -> Vec<tidegate_consumer::Outcome> {
                $crate::sink::deliver::deliver(self, records, scope).await
            }
        }
    };
}

/// Delivers records, and says what became of each.
pub(crate) async fn deliver<S: Service, T: AsRef<[u8]>>(
    service: &S,
    records: &[Received<'_, T>],
    scope: &Scope<'_>,
) -> Vec<Outcome> {
    let mut outcomes: Vec<Option<Outcome>> = Vec::with_capacity(records.len());
    let mut waiting = Vec::with_capacity(records.len());
    for (index, received) in records.iter().enumerate() {
        match service.entry(index, received.item.as_ref(), received.record()) {
            Ok(entry) => {
                waiting.push((index, entry));
                outcomes.push(None);
            }
            Err(outcome) => outcomes.push(Some(outcome)),
        }
    }
    let mut round = 0;
    while !waiting.is_empty() {
        let mut turn = Turn::default();
        take_turn(service, waiting, scope, &mut turn).await;
        for (index, outcome) in turn.settled {
            if let Some(place) = outcomes.get_mut(index) {
                *place = Some(outcome);
            }
        }
        round += 1;
        let more = !turn.again.is_empty() && !turn.stays;
        if !(more && again_within(round, scope).await) {
            for ((index, _), error) in turn.again {
                if let Some(place) = outcomes.get_mut(index) {
                    *place = Some(Outcome::Retry(error));
                }
            }
            break;
        }
        waiting = turn.again.into_iter().map(|(entry, _)| entry).collect();
    }
    let forgotten = || Outcome::Retry("the sink did not say what became of it".into());
    outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(forgotten)).collect()
}

/// What came of sending each waiting entry once.
struct Turn<E> {
    settled: Vec<(usize, Outcome)>,
    again: Vec<((usize, E), BoxError)>,
    /// A call failed in a way that another would too.
    stays: bool,
}

impl<E> Default for Turn<E> {
    fn default() -> Self {
        Self { settled: Vec::new(), again: Vec::new(), stays: false }
    }
}

async fn take_turn<S: Service>(
    service: &S,
    waiting: Vec<(usize, S::Entry)>,
    scope: &Scope<'_>,
    turn: &mut Turn<S::Entry>,
) {
    let pieces: Vec<_> = waiting.iter().map(|(_, entry)| service.piece(entry)).collect();
    let lengths: Vec<_> =
        split(&pieces, service.limits()).iter().map(ExactSizeIterator::len).collect();
    let mut waiting = waiting.into_iter();
    // The last is the next.
    let mut calls: Vec<Vec<(usize, S::Entry)>> =
        lengths.into_iter().map(|length| waiting.by_ref().take(length).collect()).collect();
    calls.reverse();
    while let Some(mut entries) = calls.pop() {
        if turn.stays {
            let left = "it was not sent, since the call before it failed for good";
            turn.again.extend(entries.into_iter().map(|entry| (entry, left.into())));
            continue;
        }
        let refs: Vec<_> = entries.iter().map(|(_, entry)| entry).collect();
        match service.send(&refs, call_time(scope)).await {
            Ok(verdicts) if verdicts.len() == entries.len() => {
                for (entry, verdict) in entries.into_iter().zip(verdicts) {
                    match verdict {
                        Verdict::Taken => turn.settled.push((entry.0, Outcome::Done)),
                        Verdict::Refused(error) => turn.settled.push((entry.0, poison(error))),
                        Verdict::Again(error) => turn.again.push((entry, error)),
                    }
                }
            }
            Ok(verdicts) => {
                let (sent, said) = (entries.len(), verdicts.len());
                let error = || format!("the answer speaks of {said} records and not of {sent}");
                turn.again.extend(entries.into_iter().map(|entry| (entry, error().into())));
            }
            // Something in it is at fault: in halves, until that is alone.
            Err(error) if error.fate() == Fate::Refused && entries.len() > 1 => {
                let rest = entries.split_off(entries.len() / 2);
                calls.extend([rest, entries]);
            }
            Err(error) if error.fate() == Fate::Refused => {
                let indexes = entries.iter().map(|(index, _)| *index);
                turn.settled.extend(indexes.zip(std::iter::once(poison(error.into()))));
            }
            Err(error) => {
                turn.stays |= error.fate() == Fate::Stays;
                let text = tidegate_consumer::envelope::ErrorText::of(&error).line();
                turn.again.extend(entries.into_iter().map(|entry| (entry, text.clone().into())));
            }
        }
    }
}

/// A record that the service will never take.
pub(crate) fn poison(error: BoxError) -> Outcome {
    Outcome::Poison(PoisonReason::Handler, error)
}

/// How long a call may take.
pub(crate) fn call_time(scope: &Scope<'_>) -> Duration {
    scope.time_left().unwrap_or(CALL_TIME).max(CALL_TIME_MIN)
}

/// Waits before another round; not, when there is no time for it or there were enough of them.
pub(crate) async fn again_within(round: u32, scope: &Scope<'_>) -> bool {
    let wait = wait_before(round);
    let late = scope.time_left().is_some_and(|left| left < wait + CALL_TIME_MIN);
    if late || round >= ROUNDS_MAX {
        return false;
    }
    tokio::time::sleep(wait).await;
    true
}

/// How long it is waited before a round, the first being 0: between half and all of a time that
/// doubles, so that shards which were throttled together do not come back together.
fn wait_before(round: u32) -> Duration {
    let whole = FIRST_WAIT.saturating_mul(1 << round.saturating_sub(1).min(16)).min(WAIT_MAX);
    // Random enough, and no dependency: each state of the standard library's hasher differs.
    let chance = RandomState::new().build_hasher().finish() % 1_000;
    whole / 2 + whole.mul_f64(chance as f64 / 2_000.0)
}

#[cfg(test)]
mod tests;
