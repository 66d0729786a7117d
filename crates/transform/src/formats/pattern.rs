//! A pattern of the user's own: `{client} {user} [{time}] {message}`. What stands between the
//! fields is taken as it is; a field reaches up to the first occurrence of what follows it, and the
//! last one to the end of the line.

use super::{Read, cell, failed};
use crate::outcome::Reason;
use crate::record::Record;
use crate::value::Kind;

/// The pattern, ready to read.
#[derive(Debug)]
pub(crate) struct Pattern {
    /// What the line begins with.
    start: String,
    /// The fields, each with what follows it; empty after the last one.
    fields: Vec<(usize, Kind, String)>,
}

/// A pattern as it is written: what it begins with, and each field with its kind and what follows.
pub(crate) type Parts = (String, Vec<(String, Kind, String)>);

impl Pattern {
    pub(crate) fn new(start: String, fields: Vec<(usize, Kind, String)>) -> Self {
        Self { start, fields }
    }

    /// Reads a pattern. Braces that are meant as such are written twice.
    ///
    /// # Errors
    /// What is wrong, and what to do.
    pub(crate) fn parse(pattern: &str) -> Result<Parts, (String, String)> {
        let example = "write text and fields, such as {client} [{time}] {status:integer}";
        let wrong = |what: String| Err((what, example.to_owned()));
        let (mut start, mut fields) = (String::new(), Vec::<(String, Kind, String)>::new());
        let mut chars = pattern.chars().peekable();
        while let Some(c) = chars.next() {
            let first = fields.is_empty();
            let literal = fields.last_mut().map_or(&mut start, |(_, _, after)| after);
            match c {
                '{' | '}' if chars.peek() == Some(&c) => {
                    literal.push(c);
                    chars.next();
                }
                '{' => {
                    if !first && literal.is_empty() {
                        return wrong("nothing separates two fields".to_owned());
                    }
                    let inside: String = chars.by_ref().take_while(|c| *c != '}').collect();
                    let (name, kind) = inside.split_once(':').unwrap_or((&inside, "text"));
                    let Some((_, kind)) = Kind::NAMED.iter().find(|(known, _)| *known == kind)
                    else {
                        let known: Vec<_> = Kind::NAMED.iter().map(|(name, _)| *name).collect();
                        let what = format!("there is no kind {kind:?}");
                        return Err((what, format!("known are {}", known.join(", "))));
                    };
                    if name.is_empty() || super::column_name(name) != name {
                        let what = format!("{name:?} is no name of a field");
                        return Err((what, "write lower-case letters, digits and _".to_owned()));
                    }
                    if fields.iter().any(|(earlier, ..)| earlier == name) {
                        return wrong(format!("the field {name:?} is there twice"));
                    }
                    fields.push((name.to_owned(), *kind, String::new()));
                }
                '}' => return wrong("a brace closes that was not opened".to_owned()),
                c => literal.push(c),
            }
        }
        if fields.is_empty() { wrong("it names no field".to_owned()) } else { Ok((start, fields)) }
    }

    pub(super) fn read<'r>(&'r self, line: &'r str, record: &mut Record<'r>) -> Read {
        let missing = failed(Reason::MissingField);
        let mut rest = line.strip_prefix(self.start.as_str()).ok_or(missing)?;
        let last = self.fields.len() - 1;
        for (index, (slot, kind, after)) in self.fields.iter().enumerate() {
            let end = match (index == last, after.is_empty()) {
                (true, true) => rest.len(),
                (true, false) if rest.ends_with(after.as_str()) => rest.len() - after.len(),
                (true, false) => return Err(missing),
                (false, _) => rest.find(after.as_str()).ok_or(missing)?,
            };
            record.values[*slot] = match &rest[..end] {
                "-" => crate::value::Value::Null,
                text => cell(*kind, text)?,
            };
            rest = &rest[end + after.len()..];
        }
        Ok(())
    }
}
