//! Units that are more than they look: decompressed, and envelopes of log events taken apart.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use super::{Fault, Log, Unit, Units};
use crate::event::User;
use crate::expand::{Compression, Expand, ExpandError, Inflater};
use crate::logs::{Logs, Part};
use crate::outcome::{PoisonReason, Stage};

/// As soon as the records of a chunk have expanded to as much, it ends. With what the last of them
/// may expand to, this is all the memory that a batch takes here, however many records it has and in
/// however many lanes.
const BYTES_MAX: usize = 1024 * 1024;

/// Expands the units of a chunk, one chunk after the other.
pub(crate) struct Expander {
    expand: Expand,
    inflater: Inflater,
    inflated: Vec<u8>,
    /// Messages of log events, where the envelope has them with escapes.
    unescaped: Vec<u8>,
}

/// A unit that is compressed, by its place, and what came of it.
type Found = (usize, Result<Range<usize>, ExpandError>);

impl Expander {
    pub(crate) const fn new(expand: Expand) -> Self {
        Self {
            expand,
            inflater: Inflater::new(expand),
            inflated: Vec::new(),
            unescaped: Vec::new(),
        }
    }

    /// The units as the decoder is to see them. When they would be too large together, the last
    /// records are left for another chunk, and `next` names the first of those.
    pub(crate) fn expand<'c>(&'c mut self, mut units: Units<'c>, next: &mut usize) -> Units<'c> {
        let first = units.units.iter().position(|unit| compression(unit).is_some());
        let Some(first) = first.filter(|_| self.expand.compressed) else { return units };
        let found = self.inflate(&mut units, first, next);
        let Self { expand, inflated, unescaped, .. } = self;
        unescaped.clear();
        // Places among the units, and in that buffer.
        let mut messages = Vec::new();
        let whole = std::mem::take(&mut units.units);
        units.units.reserve(whole.len());
        let mut found = found.into_iter().peekable();
        for (place, mut unit) in whole.into_iter().enumerate() {
            match found.next_if(|(compressed, _)| *compressed == place) {
                None => units.units.push(unit),
                Some((_, Err(error))) => {
                    unit.fault = Some(Fault::expand(error));
                    units.units.push(unit);
                }
                Some((_, Ok(range))) => {
                    unit.payload = inflated.get(range).unwrap_or_default();
                    units.decompressed += 1;
                    units.divide(unit, expand, unescaped, &mut messages);
                }
            }
        }
        for (place, range) in messages {
            if let (Some(unit), Some(message)) = (units.units.get_mut(place), unescaped.get(range))
            {
                unit.payload = message;
            }
        }
        units
    }

    fn inflate(&mut self, units: &mut Units<'_>, first: usize, next: &mut usize) -> Vec<Found> {
        self.inflated.clear();
        let mut found = Vec::new();
        // The record of the stream that is at hand, and where its parts begin in the buffer.
        let (mut index, mut start) = (None, 0);
        for (place, unit) in units.units.iter().enumerate().skip(first) {
            if index != Some(unit.index) {
                if self.inflated.len() >= BYTES_MAX {
                    *next = unit.index;
                    units.leave(place, *next);
                    break;
                }
                (index, start) = (Some(unit.index), self.inflated.len());
            }
            let Some(kind) = compression(unit) else { continue };
            let left = self.expand.bytes_max.saturating_sub(self.inflated.len() - start);
            let allowed = self.expand.allowance(unit.bytes.len()).min(left);
            let begin = self.inflated.len();
            let inflated = self.inflater.append(kind, unit.bytes, allowed, &mut self.inflated);
            found.push((place, inflated.map(|()| begin..self.inflated.len())));
        }
        found
    }
}

fn compression(unit: &Unit<'_>) -> Option<Compression> {
    if unit.fault.is_some() { None } else { Compression::of(unit.bytes) }
}

impl Fault {
    fn expand(error: ExpandError) -> Self {
        Self::new(Stage::Expand, error.reason(), error)
    }
}

impl<'c> Units<'c> {
    /// Leaves the units from a place on, which are those of the records from `next` on.
    fn leave(&mut self, place: usize, next: usize) {
        self.units.truncate(place);
        for indexes in [&mut self.aggregates, &mut self.unverified, &mut self.empty] {
            indexes.retain(|index| *index < next);
        }
    }

    /// Takes what a unit was expanded to, as the one unit that it is or as one for each log event.
    fn divide(
        &mut self,
        mut unit: Unit<'c>,
        expand: &Expand,
        unescaped: &mut Vec<u8>,
        messages: &mut Vec<(usize, Range<usize>)>,
    ) {
        let envelopes = expand.cloudwatch_logs && unit.user.is_none();
        let logs = if envelopes { Logs::read(unit.payload, expand.events_max) } else { Ok(None) };
        match logs {
            Ok(None) => self.units.push(unit),
            Err(error) => {
                unit.fault = Some(Fault::expand(error.into()));
                self.units.push(unit);
            }
            Ok(Some(logs)) => {
                self.control_messages += logs.control_messages;
                if logs.is_empty() {
                    self.empty.push(unit.index);
                }
                for (place, part) in logs.into_parts().iter().enumerate() {
                    let (unit, message) = unit.of_log(place as u64, part);
                    if let Some(message) = message {
                        let start = unescaped.len();
                        unescaped.extend_from_slice(message.as_bytes());
                        messages.push((self.units.len(), start..unescaped.len()));
                    }
                    self.units.push(unit);
                }
            }
        }
    }
}

impl<'c> Unit<'c> {
    /// One log event of this unit, which is an envelope; its message beside it, where the envelope
    /// does not have it as it is.
    fn of_log(&self, place: u64, part: &Part<'c>) -> (Self, Option<String>) {
        let user = User {
            sub_sequence_number: place,
            partition_key: self.parent.partition_key(),
            explicit_hash_key: None,
        };
        let (event, message, fault) = match part.entry() {
            Ok(entry) => (Some(Arc::new(entry.event)), entry.message, None),
            Err(error) => {
                let fault = Fault::new(Stage::Expand, PoisonReason::CloudwatchLogs, error);
                (None, Cow::Borrowed(""), Some(fault))
            }
        };
        let kept = (self.bytes, self.encoding);
        let mut unit = Self::new(self.index, self.parent, Some(user), kept, fault);
        unit.log = Some(Box::new(Log { event, envelope: part.envelope() }));
        match message {
            Cow::Borrowed(message) => {
                unit.payload = message.as_bytes();
                (unit, None)
            }
            Cow::Owned(message) => (unit, Some(message)),
        }
    }
}
