//! Expressions in CEL, the Common Expression Language.

mod names;
mod native;

use std::sync::Arc;

use cel::common::value::CowVal;
use cel::context::VariableResolver;
use cel::{Context, Env, ExecutionError, Program, Value};

use self::native::Native;
pub use self::native::Truth;
use crate::record::Record;
use crate::scope::Scope;
use crate::value::Kind;

/// Expressions are compiled and evaluated by recursion.
const EXPRESSION_LIMIT_BYTES: usize = 4 << 10;
const NESTING_LIMIT: usize = 10;

/// What is wrong with an expression, and what to do.
pub(crate) type Wrong = (String, String);

/// An expression over the fields that a record has at one point of a pipeline.
pub(crate) struct Expression {
    program: Program,
    /// The functions and types of the language. It costs more than ten evaluations to make, so it
    /// is made once, and each record gets a scope within it.
    root: Context<'static, 'static>,
    /// The fields that it uses.
    slots: Vec<(String, usize)>,
    /// The same, where it is a condition of simple comparisons.
    native: Option<Native>,
}

impl Expression {
    /// Compiles an expression, and tries it on an ordinary record; `Err` of the trial is what would
    /// fail on every record.
    ///
    /// Expressions have no declared types. What would fail on every record shows on the sample: an
    /// operator that the types of the fields do not have.
    pub(crate) fn compile(
        text: &str,
        scope: &mut Scope,
    ) -> Result<(Self, Option<Value>), Vec<Wrong>> {
        let limits = "join fewer conditions, or write several steps".to_owned();
        if text.len() > EXPRESSION_LIMIT_BYTES {
            let what = format!("the expression is longer than {EXPRESSION_LIMIT_BYTES} bytes");
            return Err(vec![(what, limits)]);
        }
        if names::nesting(text) > NESTING_LIMIT {
            let what = format!("more than {NESTING_LIMIT} brackets are open at once");
            return Err(vec![(what, limits)]);
        }
        let env = Arc::new(Env::stdlib());
        let program = env
            .compile(text)
            .map_err(|errors| errors.errors.iter().map(syntax).collect::<Vec<_>>())?;
        let used = names::resolve(program.expression(), scope)?;
        let slots: Vec<_> =
            used.iter().map(|known| (known.field.name.clone(), known.slot)).collect();
        let native = Native::lower(program.expression(), &slots);
        let root = Context::with_env(env);
        let expression = Self { program, root, slots, native };
        if used.iter().any(|known| known.field.kind == Kind::Any) {
            return Ok((expression, None));
        }
        let mut values = vec![crate::value::Value::Null; scope.slots];
        for known in used.iter().filter(|known| !known.field.rare) {
            values[known.slot] = known.field.kind.sample();
        }
        let sample =
            Record { values, others: Vec::new(), at: None, geoip_error: false, written: None };
        let tried = match expression.evaluate(&sample) {
            Ok(value) => Ok(Some(value)),
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
            Err(_) => Ok(None),
        };
        tried.map(|value| (expression, value))
    }

    /// What the expression is worth on a record.
    pub(crate) fn evaluate(&self, record: &Record<'_>) -> Result<Value, ExecutionError> {
        let variables = Variables { slots: &self.slots, record };
        let root: &Context<'_, '_> = &self.root;
        let mut scope = root.new_inner_scope();
        scope.set_variable_resolver(&variables);
        self.program.execute(&scope)
    }

    /// Whether a condition holds on a record.
    pub(crate) fn holds(&self, record: &Record<'_>) -> Truth {
        if let Some(truth) = self.native.as_ref().and_then(|native| native.holds(record)) {
            return truth;
        }
        match self.evaluate(record) {
            Ok(Value::Bool(true)) => Truth::True,
            Ok(Value::Bool(false)) => Truth::False,
            _ => Truth::Unknown,
        }
    }
}

/// The fields as the variables of an expression. One that the record lacks is null.
///
/// The evaluator asks for each variable where it meets it, so that a field which the expression
/// does not use costs nothing.
struct Variables<'a, 'r> {
    slots: &'a [(String, usize)],
    record: &'a Record<'r>,
}

impl VariableResolver for Variables<'_, '_> {
    fn resolve<'b>(&'b self, variable: &str) -> Option<CowVal<'b, 'b>> {
        let (_, slot) = self.slots.iter().find(|(name, _)| name == variable)?;
        self.record.values.get(*slot).map(|value| value.variable())
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
