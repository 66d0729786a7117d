//! A condition on records, without a pipeline around it: what counts, or tells, and changes nothing.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::formats::{Format, Keys, Open, Reader};
use crate::record::{Memory, Record};
use crate::scope::Scope;
use crate::steps::expression::{Expression, Truth, Wrong};

/// A condition in CEL, compiled once, over records of one format.
///
/// ```
/// use tidegate_transform::formats::Format;
/// use tidegate_transform::{Predicate, Truth};
///
/// let mut failed = Predicate::compile(Format::Json, "status >= 500").unwrap();
/// assert_eq!(failed.holds(br#"{"status": 503}"#), Truth::True);
/// assert_eq!(failed.holds(br#"{"status": 200}"#), Truth::False);
/// assert_eq!(failed.holds(b"{}"), Truth::Unknown);
/// ```
pub struct Predicate {
    reader: Reader,
    slots: usize,
    expression: Expression,
    memory: Memory,
}

impl Predicate {
    /// Compiles a condition over the fields that the format names; in JSON and logfmt any name may be
    /// a field.
    ///
    /// # Errors
    /// All that is wrong with the expression, or a format that a pipeline has to say more of, such as
    /// the columns of a table.
    pub fn compile(format: Format, expression: &str) -> Result<Self, PredicateError> {
        let mut scope = Scope::default();
        let open = || Open::new(Vec::new(), false, Keys::AsIs);
        let (reader, any) = match format {
            Format::Json => (Some(Reader::json(open(), false)), true),
            Format::Logfmt => (Some(Reader::Logfmt(open())), true),
            _ => (Reader::plain(format, scope.input(&format.fields())), false),
        };
        scope.open = any;
        let mut reader = reader.ok_or_else(|| {
            let what = format!("records of {} alone have no fields", format.name());
            PredicateError(vec![(what, "choose a format that names its fields".to_owned())])
        })?;
        let (expression, sample) =
            Expression::compile(expression, &mut scope).map_err(PredicateError)?;
        if let Some(sample) = sample.filter(|sample| !matches!(sample, cel::Value::Bool(_))) {
            let what = format!("the expression is a {}, not true or false", sample.type_of());
            return Err(PredicateError(vec![(what, "compare it with something".to_owned())]));
        }
        reader.want(&scope.wanted);
        Ok(Self { reader, slots: scope.slots, expression, memory: Memory::default() })
    }

    /// Whether it holds for a record. [`Truth::Unknown`] where the record is not of the format, where
    /// the expression has no answer for it, and where evaluating it panics.
    pub fn holds(&mut self, data: &[u8]) -> Truth {
        let held = catch_unwind(AssertUnwindSafe(|| {
            let mut record = Record::new(&mut self.memory, self.slots, None);
            let read = self.reader.read(data, &mut record);
            let truth = read.map_or(Truth::Unknown, |()| self.expression.holds(&record));
            record.end(&mut self.memory);
            truth
        }));
        held.unwrap_or(Truth::Unknown)
    }
}

impl fmt::Debug for Predicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Predicate").field("slots", &self.slots).finish_non_exhaustive()
    }
}

/// What is wrong with a condition: each with what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PredicateError(Vec<Wrong>);

impl std::error::Error for PredicateError {}

impl fmt::Display for PredicateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (what, remedy)) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{what} ({remedy})")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "203.0.113.7 - anna [10/Oct/2026:13:55:36 +0200] \"GET /a HTTP/1.1\" 503 9 \
                        \"-\" \"curl/8\"";

    #[test]
    fn conditions_hold_or_do_not_or_nobody_knows() {
        use Format::{ApacheCombined, Json, Logfmt, Text};
        use Truth::{False, True, Unknown};
        let cases: &[(Format, &str, &str, Truth)] = &[
            (Json, "status >= 500", r#"{"status":500}"#, True),
            (Json, "status >= 500", r#"{"status":499,"x":[1]}"#, False),
            (Json, "status >= 500", r#"{"status":"500"}"#, Unknown),
            (Json, "status >= 500", r#"{"state":500}"#, Unknown),
            (Json, "status >= 500", "no json", Unknown),
            (Json, "status >= 500", "", Unknown),
            (
                Json,
                "Order.price > 9.5 && Order.paid",
                r#"{"Order":{"price":10.5,"paid":true}}"#,
                True,
            ),
            (Json, "tags.exists(tag, tag == 'a')", r#"{"tags":["b","a"]}"#, True),
            (Json, "status", r#"{"status":true}"#, True),
            (Json, "status", r#"{"status":1}"#, Unknown),
            (Logfmt, "level == 'error'", "level=error code=7", True),
            (Text, "message.contains('panic')", "a panic\n", True),
            (Text, "message.contains('panic')", "\u{fc}", False),
            (ApacheCombined, "status >= 500 && method == 'GET'", LINE, True),
            (ApacheCombined, "status >= 500", "no line", Unknown),
        ];
        for (format, expression, data, expected) in cases {
            let mut predicate = Predicate::compile(*format, expression).unwrap();
            // Twice: what one record leaves behind is not seen by the next.
            for _ in 0..2 {
                assert_eq!(predicate.holds(data.as_bytes()), *expected, "{expression}: {data}");
                assert_eq!(predicate.holds(b"\xff"), Unknown);
            }
        }
    }

    #[test]
    fn what_is_no_condition_is_said() {
        let cases = [
            (Format::Json, "status >=", "not an expression"),
            (Format::Json, "matches(a, 'b')", "there is no function \"matches\""),
            (Format::ApacheCombined, "code > 500", "there is no field \"code\" here (there are "),
            (Format::ApacheCombined, "status + 1", "the expression is a int, not true or false"),
            (Format::ApacheCombined, "status == 'x' + 1", "fails on an ordinary record"),
            (Format::Csv, "a == 'b'", "records of csv alone have no fields"),
        ];
        for (format, expression, expected) in cases {
            let error = Predicate::compile(format, expression).unwrap_err().to_string();
            assert!(error.contains(expected), "{expression}: {error}");
        }
    }
}
