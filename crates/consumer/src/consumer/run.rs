//! The state of one batch: what is settled, what may still be started, and what waits for the
//! breaker. Lanes share it.

mod breaker;

use std::collections::{HashMap, HashSet};
use std::error::Error;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};

use self::breaker::Judgement;
use super::chunk::{KnownBy, Unit, Units};
use super::{Call, Deadline, Told};
use crate::envelope::{Envelope, ErrorText};
use crate::event::Record;
use crate::handler::Scope;
use crate::journal::Entry;
use crate::options::{OnPoison, OnRetry, Options};
use crate::outcome::{Outcome, PoisonReason, Stage};
use crate::report::{Identity, PoisonRecord, Report, RetryCause};
use crate::settle::Settlement;

/// Whether a record may be started.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Admission {
    Start,
    /// It comes again.
    Leave,
    /// It goes to quarantine, since this one of its key did.
    BlockedBy(String),
}

/// A poison record whose envelope is not stored yet.
#[derive(Debug)]
pub(super) struct Held {
    index: usize,
    key: Option<String>,
    reason: PoisonReason,
    seen: PoisonRecord,
    pub(super) envelope: Envelope,
}

pub(super) struct Run<'c> {
    pub(super) call: &'c Call<'c>,
    entry: Option<&'c Entry<'c>>,
    options: &'c Options,
    reserve: SignedDuration,
    state: Mutex<State>,
}

struct State {
    settlement: Settlement,
    report: Report,
    stopped: bool,
    fenced: HashSet<String>,
    /// Keys with a poison record, and which that is.
    parked: HashMap<String, String>,
    held: Vec<Held>,
    held_bytes: usize,
    /// Poison on its own account, and not for one before it.
    poison: u64,
    started: Option<Timestamp>,
    slowest: SignedDuration,
    /// The time that has to be left for another record.
    needed: SignedDuration,
    /// By what the delivered records are known that are not marked yet.
    done: HashSet<String>,
}

impl<'c> Run<'c> {
    pub(super) fn new(
        records: usize,
        options: &'c Options,
        call: &'c Call<'c>,
        entry: Option<&'c Entry<'c>>,
    ) -> Self {
        let left = call.deadline.map_or(SignedDuration::MAX, |end| end.at.duration_since(call.now));
        let chosen = SignedDuration::try_from(options.reserve).unwrap_or(SignedDuration::MAX);
        let reserve = chosen.min(left / 2);
        let state = State {
            settlement: Settlement::new(records),
            report: Report { received: records as u64, ..Report::default() },
            stopped: false,
            fenced: HashSet::new(),
            parked: HashMap::new(),
            held: Vec::new(),
            held_bytes: 0,
            poison: 0,
            started: None,
            slowest: SignedDuration::ZERO,
            needed: reserve.max(SignedDuration::ZERO),
            done: HashSet::new(),
        };
        Self { call, entry, options, reserve, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds the lock; were it so, each change is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn stopped(&self) -> bool {
        self.state().stopped
    }

    /// Counts what a chunk turned out to hold.
    pub(super) fn divide(&self, found: &Units<'_>) {
        let mut state = self.state();
        state.report.aggregates += found.aggregates.len() as u64;
        state.report.unverified_aggregates += found.unverified.len() as u64;
        state.report.decompressed += found.decompressed;
        state.report.control_messages += found.control_messages;
        for index in &found.empty {
            state.settlement.divide(*index, 0);
            state.report.skipped += 1;
        }
        for parts in found.units.chunk_by(|a, b| a.index == b.index) {
            if let [first, _, ..] = parts {
                state.settlement.divide(first.index, parts.len());
                state.report.received += parts.len() as u64 - 1;
            }
        }
    }

    /// Whether a record may be started now.
    pub(super) fn admit(&self, record: &Record<'_>, key: Option<&str>) -> Admission {
        let mut state = self.state();
        if state.waits(key) || !state.in_time(record, self) {
            return Admission::Leave;
        }
        state.admit(key)
    }

    /// Whether a record may be started as soon as there is a bulk of them.
    pub(super) fn may_join(&self, key: Option<&str>) -> Admission {
        let state = self.state();
        if state.waits(key) { Admission::Leave } else { state.admit(key) }
    }

    /// Whether a bulk that begins with this record may be started now.
    pub(super) fn may_start(&self, first: &Record<'_>) -> bool {
        let mut state = self.state();
        !state.stopped && state.in_time(first, self)
    }

    /// How long a bulk may take.
    pub(super) fn scope(&self) -> Scope<'c> {
        Scope::until(self.call.deadline.map(|deadline| {
            let at = deadline.at.checked_sub(self.reserve).unwrap_or(deadline.at);
            Deadline { at, ..deadline }
        }))
    }

    /// Whether the batch is handled with care: one record after the other.
    pub(super) fn is_careful(&self) -> bool {
        self.entry.is_some_and(Entry::is_careful)
    }

    /// What becomes of a record without the handler: it was in hand at a crash, or was delivered
    /// before. Any other is noted as the one in hand.
    pub(super) fn beforehand(
        &self,
        unit: &Unit<'_>,
        record: &Record<'_>,
    ) -> Option<(Stage, Outcome)> {
        if let Some(entry) = self.entry.filter(|entry| entry.is_careful()) {
            if entry.suspects(record) {
                let error = "the function ended without an answer while this record was in hand";
                let poison = Outcome::Poison(PoisonReason::CrashSuspect, error.into());
                return Some((Stage::Handle, poison));
            }
            if let Err(error) = entry.start(record) {
                self.trouble("journal", &error);
            }
        }
        let known_by = unit.known_by.as_ref()?;
        self.state().knows(known_by).then_some((Stage::Handle, Outcome::Skip))
    }

    /// Something beside the records does not work; the first of a kind is told.
    pub(super) fn trouble(&self, kind: &str, error: &(dyn Error + 'static)) {
        let mut state = self.state();
        if !state.report.troubles.iter().any(|told| told.starts_with(kind)) {
            state.report.troubles.push(format!("{kind}: {}", ErrorText::of(error).line()));
        }
    }

    /// By what those delivered since the last time are known.
    pub(super) fn take_done(&self) -> Vec<String> {
        std::mem::take(&mut self.state().done).into_iter().collect()
    }

    /// So many delivered records are not marked.
    pub(super) fn unmarked(&self, count: usize) {
        self.state().report.unmarked += count as u64;
    }

    /// Says whether poison waits, of which the breaker may now know more.
    pub(super) fn delivered(&self, index: usize, known_by: Option<&KnownBy>) -> bool {
        let mut state = self.state();
        if let Some(known_by) = known_by {
            state.done.insert(known_by.key.clone());
        }
        state.settlement.settle(index);
        state.report.delivered += 1;
        !state.held.is_empty()
    }

    /// As [`Self::delivered`].
    pub(super) fn skipped(&self, index: usize, known_by: Option<&KnownBy>) -> bool {
        let mut state = self.state();
        state.report.duplicates += u64::from(known_by.is_some_and(|by| state.knows(by)));
        state.settlement.settle(index);
        state.report.skipped += 1;
        !state.held.is_empty()
    }

    /// The record comes again.
    pub(super) fn left(
        &self,
        record: &Record<'_>,
        key: Option<&str>,
        cause: RetryCause,
        error: String,
    ) {
        self.state().left(self.options.on_retry, Identity::of(record), key, cause, error);
    }

    /// Takes a poison record that is to be stored, or, when all is poison, is not.
    pub(super) fn hold(
        &self,
        index: usize,
        record: &Record<'_>,
        key: Option<&str>,
        reason: PoisonReason,
        envelope: Envelope,
    ) {
        let mut state = self.state();
        if reason != PoisonReason::BlockedBy {
            state.poison += 1;
            if let Some(key) = key.filter(|_| self.options.on_poison == OnPoison::ParkKey) {
                let number = record.sequence_number().unwrap_or_default();
                let place = record.sub_sequence_number().map(|place| format!("-{place}"));
                let name = format!("{number}{}", place.unwrap_or_default());
                state.parked.insert(key.to_owned(), name);
            }
        }
        let seen = PoisonRecord::new(record, reason, &envelope);
        state.held_bytes += breaker::bytes(&envelope);
        state.held.push(Held { index, key: key.map(ToOwned::to_owned), reason, seen, envelope });
    }

    /// What may be stored now; at the end of the batch, all of it.
    pub(super) fn release(&self, at_the_end: bool) -> Vec<Held> {
        let mut state = self.state();
        match state.judge(self.options, self.call.now) {
            Judgement::Outage => {
                let held = state.take_held();
                if let Some(first) = held.into_iter().min_by_key(|held| held.index) {
                    let error = format!(
                        "{} of {} records are poison, which is taken for an outage; the first: {}: {}",
                        state.poison, state.report.received, first.reason, first.seen.error,
                    );
                    state.report.retried += 1;
                    state.report.again(first.seen.record, RetryCause::Breaker, error);
                }
                state.stopped = true;
                Vec::new()
            }
            Judgement::Open if !at_the_end => Vec::new(),
            Judgement::Open | Judgement::Poison => state.take_held(),
        }
    }

    /// The envelope is stored, or it is not and the record comes again. Says whether to go on.
    pub(super) fn stored(&self, held: Held, error: Option<String>, told: Option<&Told>) -> bool {
        let Held { index, key, reason, mut seen, .. } = held;
        seen.store_error.clone_from(&error);
        if let Some(told) = told {
            told.tell(&seen, self.call);
        }
        let mut state = self.state();
        let Some(error) = error else {
            state.report.name(seen, told.is_some());
            state.settlement.settle(index);
            state.report.quarantined += 1;
            *state.report.by_reason.entry(reason).or_default() += 1;
            return true;
        };
        let cause = RetryCause::Quarantine;
        state.left(self.options.on_retry, seen.record.clone(), key.as_deref(), cause, error);
        state.report.name(seen, told.is_some());
        self.options.on_retry == OnRetry::FenceKey
    }

    /// The place of the first record that is not settled, and what happened.
    pub(super) fn end(self) -> (Option<usize>, Report) {
        let State { settlement, mut report, .. } =
            self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        let ended = report.delivered + report.skipped + report.quarantined + report.retried;
        report.not_attempted = report.received.saturating_sub(ended);
        (settlement.first_unsettled(), report)
    }
}

impl State {
    /// Whether the record was delivered before.
    fn knows(&self, known_by: &KnownBy) -> bool {
        known_by.seen || self.done.contains(&known_by.key)
    }

    /// Whether records of this key wait for one that comes again.
    fn waits(&self, key: Option<&str>) -> bool {
        self.stopped
            || (!self.fenced.is_empty() && key.is_some_and(|key| self.fenced.contains(key)))
    }

    fn admit(&self, key: Option<&str>) -> Admission {
        let blocked = key.and_then(|key| self.parked.get(key));
        blocked.map_or(Admission::Start, |by| Admission::BlockedBy(by.clone()))
    }

    /// Whether the time suffices for this record and those with it; if not, nothing is started any
    /// more.
    fn in_time(&mut self, record: &Record<'_>, run: &Run<'_>) -> bool {
        let Some(end) = run.call.deadline else { return true };
        let Some(left) = self.too_late(&end) else { return true };
        let error = format!("{} ms are left of the invocation", left.as_millis());
        self.report.again(Identity::of(record), RetryCause::Deadline, error);
        self.stopped = true;
        false
    }

    /// The time that is left, when it is too little to start a record. The first is always started:
    /// otherwise a shard could stand still.
    fn too_late(&mut self, end: &Deadline<'_>) -> Option<SignedDuration> {
        let now = (end.clock)();
        let before = self.started.replace(now)?;
        let took = now.duration_since(before);
        if took > self.slowest {
            self.slowest = took;
            self.needed = self.needed.max(took * 2);
        }
        let left = end.at.duration_since(now);
        (left < self.needed).then_some(left)
    }

    fn left(
        &mut self,
        on_retry: OnRetry,
        record: Identity,
        key: Option<&str>,
        cause: RetryCause,
        error: String,
    ) {
        self.report.retried += 1;
        self.report.again(record, cause, error);
        match key.filter(|_| on_retry == OnRetry::FenceKey && cause != RetryCause::Poison) {
            Some(key) => {
                self.fenced.insert(key.to_owned());
            }
            // Also where the key is not known, and could be any.
            None => self.stopped = true,
        }
    }
}
