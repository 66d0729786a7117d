//! Keeping and dropping records by an expression.
//!
//! An expression that has no answer for a record (a comparison with a field that the record lacks,
//! a number that cannot be read from text), or whose answer is not true or false, fails that record
//! with the reason `filter`: neither keeping nor dropping it would be right.

use super::expression::{Expression, Truth, Wrong};
use crate::outcome::{Outcome, Reason};
use crate::record::Record;
use crate::scope::Scope;

/// What a filter's expression is worth when it is true.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// `keep`: records for which it is false are dropped.
    Keep,
    /// `drop`: records for which it is true are dropped.
    Drop,
}

/// The step.
pub(crate) struct Filter {
    verdict: Verdict,
    expression: Expression,
}

impl Filter {
    pub(crate) fn compile(
        verdict: Verdict,
        text: &str,
        scope: &mut Scope,
    ) -> Result<Self, Vec<Wrong>> {
        let (expression, sample) = Expression::compile(text, scope)?;
        match sample {
            None | Some(cel::Value::Bool(_)) => Ok(Self { verdict, expression }),
            Some(other) => Err(vec![(
                format!("the expression is a {}, not true or false", other.type_of()),
                "compare it with something".to_owned(),
            )]),
        }
    }

    pub(crate) fn run(&self, record: &Record<'_>) -> Option<Outcome> {
        match (self.verdict, self.expression.holds(record)) {
            (Verdict::Keep, Truth::True) | (Verdict::Drop, Truth::False) => None,
            (Verdict::Keep, Truth::False) => Some(Outcome::Dropped(Reason::NotKept)),
            (Verdict::Drop, Truth::True) => Some(Outcome::Dropped(Reason::DropStep)),
            (_, Truth::Unknown) => Some(Outcome::ProcessingFailed(Reason::Filter)),
        }
    }
}
