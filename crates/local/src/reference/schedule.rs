//! A schedule that was made beforehand.

use std::collections::BTreeMap;

use super::policy::{Change, Policy, Seen};

/// Calls at their minutes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Schedule {
    start: Option<u32>,
    calls: BTreeMap<usize, u32>,
}

impl Schedule {
    /// The same shards for ever.
    pub fn constant(shards: u32) -> Self {
        Self { start: Some(shards), calls: BTreeMap::new() }
    }

    /// The usual start, and a target at each of some minutes.
    pub fn of(calls: BTreeMap<usize, u32>) -> Self {
        Self { start: None, calls }
    }
}

impl Policy for Schedule {
    fn start(&self, usual: u32) -> u32 {
        self.start.unwrap_or(usual)
    }

    fn look(&mut self, seen: &Seen<'_>) -> Option<Change> {
        let to = *self.calls.get(&seen.minute)?;
        let message = "the cheapest schedule that never throttles, with the future known";
        Some(Change::update(to, "scheduled", message.to_owned()))
    }
}
