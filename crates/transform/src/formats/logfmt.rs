//! `key=value key="quoted value" key`, as many programs in Go write it.

use std::borrow::Cow;

use memchr::memchr2;

use super::apache::Text;
use super::open::Open;
use super::{Read, failed};
use crate::outcome::Reason;
use crate::record::Record;
use crate::value::Value;

/// Reads a line. A key without `=` is true; a line without any pair is some other format.
pub(super) fn read<'r>(open: &'r Open, line: &'r str, record: &mut Record<'r>) -> Read {
    let (mut rest, mut pairs) = (line.trim_start(), false);
    while !rest.is_empty() {
        let end = rest.find([' ', '\t', '=', '"']).unwrap_or(rest.len());
        let (key, after) = rest.split_at(end);
        if key.is_empty() || after.starts_with('"') {
            return Err(failed(Reason::MissingField));
        }
        let Some(after) = after.strip_prefix('=') else {
            open.put(Cow::Borrowed(key), Value::Bool(true), "true", record)?;
            rest = after.trim_start();
            continue;
        };
        pairs = true;
        let (value, after) = if after.starts_with('"') {
            quoted(after)?
        } else {
            let end = after.find([' ', '\t']).unwrap_or(after.len());
            (Value::Text(&after[..end]), &after[end..])
        };
        open.put(Cow::Borrowed(key), value, "", record)?;
        rest = after.trim_start();
    }
    Open::end(record);
    if pairs { Ok(()) } else { Err(failed(Reason::MissingField)) }
}

/// A value in quotes, and what follows it.
fn quoted(text: &str) -> Result<(Value<'_>, &str), crate::Outcome> {
    let (bytes, mut from, mut escapes) = (text.as_bytes(), 1, false);
    while let Some(at) = bytes.get(from..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
        let at = from + at;
        if bytes[at] == b'\\' {
            escapes = true;
            from = at + 2;
            continue;
        }
        let (whole, inside) = (&text[..=at], &text[1..at]);
        let value = if !escapes {
            Value::Text(inside)
        } else if serde_json::from_str::<String>(whole).is_ok() {
            Value::Escaped(whole)
        } else {
            Value::Logged(Text::new(inside))
        };
        return Ok((value, &text[at + 1..]));
    }
    Err(failed(Reason::UnclosedQuote))
}
