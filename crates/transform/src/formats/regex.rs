//! A regular expression of the user's own, whose named groups are fields.

use regex_lite::Regex as Expression;

use super::{Read, cell, failed};
use crate::outcome::Reason;
use crate::record::Record;
use crate::value::{Kind, Value};

/// Longer than anybody can read.
const LENGTH_LIMIT_BYTES: usize = 4 << 10;

/// The expression, ready to read.
#[derive(Debug)]
pub(crate) struct Regex {
    expression: Expression,
    /// The groups, each with its slot and kind.
    groups: Vec<(usize, usize, Kind)>,
}

/// An expression, with the number and the name of each group that has one.
pub(crate) type Groups = (Expression, Vec<(usize, String)>);

impl Regex {
    pub(crate) fn new(expression: Expression, groups: Vec<(usize, usize, Kind)>) -> Self {
        Self { expression, groups }
    }

    /// Reads an expression.
    ///
    /// # Errors
    /// What is wrong, and what to do.
    pub(crate) fn parse(text: &str) -> Result<Groups, (String, String)> {
        let example = r"write named groups, such as ^(?<client>\S+) \[(?<time>[^\]]+)\]";
        let wrong = |what: String| Err((what, example.to_owned()));
        if text.len() > LENGTH_LIMIT_BYTES {
            return wrong(format!("the expression has more than {LENGTH_LIMIT_BYTES} bytes"));
        }
        let expression = match Expression::new(text) {
            Ok(expression) => expression,
            Err(error) => return wrong(format!("this is no regular expression: {error}")),
        };
        let names: Vec<_> = expression
            .capture_names()
            .enumerate()
            .filter_map(|(number, name)| Some((number, name?.to_owned())))
            .collect();
        if names.is_empty() {
            return wrong("it has no named group".to_owned());
        }
        for (_, name) in &names {
            if super::column_name(name) != *name {
                let what = format!("{name:?} is no name of a field");
                return Err((what, "write lower-case letters, digits and _".to_owned()));
            }
        }
        Ok((expression, names))
    }

    pub(super) fn read<'r>(&'r self, line: &'r str, record: &mut Record<'r>) -> Read {
        let found = self.expression.captures(line).ok_or(failed(Reason::NoMatch))?;
        for (number, slot, kind) in &self.groups {
            record.values[*slot] = match found.get(*number).map(|group| group.as_str()) {
                None | Some("-") => Value::Null,
                Some(text) => cell(*kind, text)?,
            };
        }
        Ok(())
    }
}
