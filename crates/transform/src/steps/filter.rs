//! Keeping and dropping records by an expression in CEL, the Common Expression Language.
//!
//! An expression that has no answer for a record (a comparison with a field that the record lacks,
//! a number that cannot be read from text), or whose answer is not true or false, fails that record
//! with the reason `filter`: neither keeping nor dropping it would be right.

mod names;

use std::sync::Arc;

use cel::{Context, Env, ExecutionError, Program, Value};

use super::Record;
use crate::outcome::{Outcome, Reason};

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
    program: Program,
    /// The functions and types of the language. It costs more than ten evaluations to make, so it
    /// is made once, and each record gets a scope within it.
    root: Context<'static, 'static>,
}

/// Expressions are compiled and evaluated by recursion.
const EXPRESSION_LIMIT_BYTES: usize = 4 << 10;
const NESTING_LIMIT: usize = 10;

/// What is wrong with an expression, and what to do.
pub(crate) type Wrong = (String, String);

impl Filter {
    /// Compiles an expression over the fields that a record can have here. `sample` is a record
    /// that has them all.
    ///
    /// Expressions have no declared types. What would fail on every record shows on the sample:
    /// an answer that is not true or false, an operator that the types of the fields do not have.
    pub(crate) fn compile(
        verdict: Verdict,
        expression: &str,
        fields: &[&str],
        sample: &Record<'_>,
    ) -> Result<Self, Vec<Wrong>> {
        let limits = "join fewer conditions, or write several steps".to_owned();
        if expression.len() > EXPRESSION_LIMIT_BYTES {
            let what = format!("the expression is longer than {EXPRESSION_LIMIT_BYTES} bytes");
            return Err(vec![(what, limits)]);
        }
        if names::nesting(expression) > NESTING_LIMIT {
            let what = format!("more than {NESTING_LIMIT} brackets are open at once");
            return Err(vec![(what, limits)]);
        }
        let env = Arc::new(Env::stdlib());
        let program = env
            .compile(expression)
            .map_err(|errors| errors.errors.iter().map(syntax).collect::<Vec<_>>())?;
        let unknown = names::unknown(program.expression(), fields);
        if !unknown.is_empty() {
            return Err(unknown);
        }
        let filter = Self { verdict, program, root: Context::with_env(env) };
        match filter.evaluate(sample) {
            Ok(Value::Bool(_)) => Ok(filter),
            Ok(other) => Err(vec![(
                format!("the expression is a {}, not true or false", other.type_of()),
                "compare it with something".to_owned(),
            )]),
            Err(
                error @ (ExecutionError::NoSuchOverload(_)
                | ExecutionError::UndeclaredReference(_)
                | ExecutionError::UnsupportedBinaryOperator(..)
                | ExecutionError::ValuesNotComparable(..)),
            ) => Err(vec![(
                format!("the expression fails on an ordinary record: {error}"),
                "compare fields with values of their own type, and a field that may be null \
                 after field != null &&"
                    .to_owned(),
            )]),
            // An error of the sample's values: other records have others.
            Err(_) => Ok(filter),
        }
    }

    pub(crate) fn run(&self, record: &Record<'_>) -> Option<Outcome> {
        match (self.verdict, self.evaluate(record)) {
            (Verdict::Keep, Ok(Value::Bool(true))) | (Verdict::Drop, Ok(Value::Bool(false))) => {
                None
            }
            (Verdict::Keep, Ok(Value::Bool(false))) => Some(Outcome::Dropped(Reason::NotKept)),
            (Verdict::Drop, Ok(Value::Bool(true))) => Some(Outcome::Dropped(Reason::DropStep)),
            _ => Some(Outcome::ProcessingFailed(Reason::Filter)),
        }
    }

    fn evaluate(&self, record: &Record<'_>) -> Result<Value, ExecutionError> {
        let root: &Context<'_, '_> = &self.root;
        let mut scope = root.new_inner_scope();
        scope.set_variable_resolver(record);
        self.program.execute(&scope)
    }
}

fn syntax(error: &cel::ParseError) -> Wrong {
    let message = error.msg.strip_prefix("Syntax error: ").unwrap_or(&error.msg);
    // The list of every token that could stand there helps nobody.
    let message = message.split(" expecting {").next().unwrap_or(message);
    let what = format!("not an expression: {message} at column {}", error.pos.1);
    (what, "write CEL, such as status >= 400 && method == \"GET\"".to_owned())
}

#[cfg(test)]
mod tests;
