//! The records of a lane, several in one call of the handler.

use std::collections::HashSet;
use std::mem;

use super::chunk::Unit;
use super::run::{Admission, Run};
use super::{Consumer, blocked, catch};
use crate::decode::Decoder;
use crate::handler::{BulkLimits, Received, RecordHandler};
use crate::outcome::{Outcome, Stage};
use crate::store::Quarantine;

/// What is gathered for one call.
struct Gathered<'c, T> {
    units: Vec<Unit<'c>>,
    records: Vec<Received<'c, T>>,
    bytes: usize,
    keys: HashSet<&'c str>,
    known_by: HashSet<String>,
}

impl<'c, T> Gathered<'c, T> {
    fn new() -> Self {
        Self {
            units: Vec::new(),
            records: Vec::new(),
            bytes: 0,
            keys: HashSet::new(),
            known_by: HashSet::new(),
        }
    }

    fn takes(&self, unit: &Unit<'_>, limits: &BulkLimits) -> bool {
        let fits = self.units.len() < limits.records
            && self.bytes.saturating_add(unit.payload.len()) <= limits.bytes;
        let known = unit.key().is_some_and(|key| self.keys.contains(key));
        // Which of two that are the same is the duplicate is known when the first one is delivered.
        let twice = unit.known_by.as_ref().is_some_and(|by| self.known_by.contains(&by.key));
        self.units.is_empty() || (fits && !known && !twice)
    }

    fn push(&mut self, unit: Unit<'c>, record: Received<'c, T>, limits: &BulkLimits) {
        if limits.one_per_key {
            self.keys.extend(unit.key());
        }
        self.known_by.extend(unit.known_by.as_ref().map(|by| by.key.clone()));
        self.bytes += unit.payload.len();
        self.units.push(unit);
        self.records.push(record);
    }
}

impl<D, H, Q> Consumer<D, H, Q>
where
    D: Decoder,
    H: for<'a> RecordHandler<D::Item<'a>>,
    Q: Quarantine,
{
    pub(super) async fn handle_in_bulks(
        &self,
        units: Vec<Unit<'_>>,
        mut limits: BulkLimits,
        run: &Run<'_>,
    ) {
        let timed_out = |unit: &Unit<'_>| self.attempts.timed_out(&unit.record());
        let again = self.time_limit.is_some() && units.first().is_some_and(timed_out);
        if run.is_careful() || again {
            // Which of them it was is found when each is alone.
            limits.records = 1;
        }
        let mut gathered = Gathered::new();
        for mut unit in units {
            if !gathered.takes(&unit, &limits) {
                self.handle_gathered(mem::replace(&mut gathered, Gathered::new()), run).await;
            }
            let record = unit.record();
            let ended = match (run.may_join(unit.key()), unit.fault.take()) {
                (Admission::Leave, _) => continue,
                (_, Some(fault)) => fault.into(),
                (Admission::BlockedBy(by), None) => blocked(&by),
                (Admission::Start, None) => match self.prepare(&unit, &record, run) {
                    Err(ended) => ended,
                    Ok(item) => {
                        gathered.push(unit, Received::new(item, record), &limits);
                        continue;
                    }
                },
            };
            // Those before it come first: should one of them come again, this one does too.
            self.handle_gathered(mem::replace(&mut gathered, Gathered::new()), run).await;
            if run.may_join(unit.key()) != Admission::Leave {
                let (stage, outcome) = ended;
                self.settle(&unit, &record, stage, outcome, run).await;
            }
        }
        self.handle_gathered(gathered, run).await;
    }

    async fn handle_gathered(&self, gathered: Gathered<'_, D::Item<'_>>, run: &Run<'_>) {
        let Gathered { units, records, .. } = gathered;
        let mut calls = Vec::new();
        let mut next = Some(0..units.len());
        while let Some(range) = next.take().or_else(|| calls.pop()) {
            let (units, records) = (&units[range.clone()], &records[range.clone()]);
            let Some(first) = records.first() else { continue };
            if !run.may_start(first.record()) {
                return;
            }
            let scope = run.scope();
            let call = catch(async { self.handler.handle_bulk(records, &scope).await });
            let outcomes = match self.in_time(call).await {
                Err(timed_out) => units.iter().map(|_| timed_out.into()).collect(),
                // The one at fault is among them: each half alone, the first one first.
                Ok(Err(_)) if range.len() > 1 => {
                    let middle = range.start + range.len() / 2;
                    calls.push(middle..range.end);
                    next = Some(range.start..middle);
                    continue;
                }
                Ok(Err(panicked)) => vec![Outcome::from(panicked)],
                Ok(Ok(outcomes)) => outcomes,
            };
            let told = outcomes.len();
            let mut outcomes = outcomes.into_iter();
            for (unit, received) in units.iter().zip(records) {
                let outcome =
                    outcomes.next().filter(|_| told == units.len()).unwrap_or_else(|| {
                        let unclear = format!("{told} outcomes for {} records", units.len());
                        Outcome::Retry(unclear.into())
                    });
                self.settle(unit, received.record(), Stage::Handle, outcome, run).await;
            }
        }
    }
}
