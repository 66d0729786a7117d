//! Reading a field as a moment in UTC.

use crate::moment::TimeFormat;
use crate::outcome::{Outcome, Reason};
use crate::record::Record;
use crate::value::Value;

/// The step.
pub(crate) struct Timestamp {
    slot: usize,
    /// Tried in order.
    formats: Vec<TimeFormat>,
}

impl Timestamp {
    pub(crate) fn new(slot: usize, formats: Vec<TimeFormat>) -> Self {
        Self { slot, formats }
    }

    pub(crate) fn run(&self, record: &mut Record<'_>) -> Option<Outcome> {
        let value = record.values[self.slot];
        if matches!(value, Value::Null | Value::Time(_)) {
            return None;
        }
        let text = value.text().unwrap_or_default();
        match self.formats.iter().find_map(|format| format.parse(&text)) {
            Some(moment) => {
                record.values[self.slot] = Value::Time(moment);
                None
            }
            None => Some(Outcome::ProcessingFailed(Reason::BadTime)),
        }
    }
}
