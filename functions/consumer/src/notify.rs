//! Records that people want to hear of.

use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use tidegate_transform::formats;
use tidegate_transform::{Predicate, Truth};

use crate::format::Format;

/// Counts the delivered records for which a condition holds.
#[derive(Debug)]
pub struct Watch {
    /// The condition.
    pub expression: String,
    state: Mutex<(Predicate, Seen)>,
}

/// What was seen since the last time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Seen {
    /// The condition holds.
    pub matched: u64,
    /// It has no answer, such as for a field that the record lacks.
    pub unclear: u64,
}

impl Watch {
    /// A condition over records of a format.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(expression: &str, format: Format) -> Result<Self, String> {
        let of = match format {
            Format::Json => formats::Format::Json,
            Format::Text => formats::Format::Text,
            Format::AccessLog => formats::Format::ApacheCombined,
        };
        let predicate = Predicate::compile(of, expression).map_err(|error| {
            format!("a condition in CEL over the fields of a record, but {error}")
        })?;
        let state = Mutex::new((predicate, Seen::default()));
        Ok(Self { expression: expression.to_owned(), state })
    }

    /// A record was delivered.
    pub fn see(&self, data: &[u8]) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (predicate, seen) = &mut *state;
        match predicate.holds(data) {
            Truth::True => seen.matched += 1,
            Truth::Unknown => seen.unclear += 1,
            Truth::False => {}
        }
    }

    /// What was seen since the last time.
    pub fn take(&self) -> Seen {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut state.1)
    }
}
