//! Syslog: BSD's (RFC 3164), with or without its priority, and RFC 5424.

use std::collections::BTreeMap;

use super::{Read, failed};
use crate::json;
use crate::moment::Moment;
use crate::outcome::{Outcome, Reason};
use crate::record::Record;
use crate::scope::Field;
use crate::value::{Kind, Value};

const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv",
    "ftp", "ntp", "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4",
    "local5", "local6", "local7",
];

const SEVERITIES: [&str; 8] =
    ["emergency", "alert", "critical", "error", "warning", "notice", "info", "debug"];

/// The fields of a message, in the order of the output.
pub(super) fn fields(rfc5424: bool) -> Vec<Field> {
    let mut fields: Vec<_> = ["facility", "severity", "time", "host", "app", "process_id"]
        .map(|name| Field::new(name, if name == "time" { Kind::Timestamp } else { Kind::Text }))
        .into();
    if rfc5424 {
        fields.push(Field::new("message_id", Kind::Text));
        fields.push(Field::new("structured_data", Kind::Any));
    }
    fields.push(Field::new("message", Kind::Text));
    fields
}

/// The input.
#[derive(Debug)]
pub(crate) struct Syslog {
    rfc5424: bool,
    slots: Vec<usize>,
    /// Structured data as JSON.
    data: Vec<u8>,
}

impl Syslog {
    pub(super) fn new(rfc5424: bool, slots: Vec<usize>) -> Self {
        Self { rfc5424, slots, data: Vec::new() }
    }

    pub(super) fn read<'r>(&'r mut self, line: &'r str, record: &mut Record<'r>) -> Read {
        if self.rfc5424 {
            self.read_5424(line, record)
        } else {
            let values = read_3164(line, record.at)?;
            for (slot, value) in self.slots.iter().zip(values) {
                record.values[*slot] = value;
            }
            Ok(())
        }
    }

    fn read_5424<'r>(&'r mut self, line: &'r str, record: &mut Record<'r>) -> Read {
        let (facility, severity, rest) = priority(line).ok_or(failed(Reason::MissingField))?;
        let rest = rest.strip_prefix("1 ").ok_or(failed(Reason::MissingField))?;
        let mut parts = rest.splitn(6, ' ');
        let mut word = || parts.next().filter(|word| !word.is_empty());
        let mut next = || word().ok_or(failed(Reason::MissingField));
        let (time, host, app, process_id, message_id) =
            (next()?, next()?, next()?, next()?, next()?);
        let rest = next()?;
        let time = match time {
            "-" => Value::Null,
            time => Value::Time(Moment::iso8601(time.as_bytes()).ok_or(failed(Reason::BadTime))?),
        };
        self.data.clear();
        let message = structured(rest, &mut self.data).ok_or(failed(Reason::UnclosedQuote))?;
        let message = match message.as_bytes() {
            [] => "",
            [b' ', ..] => &message[1..],
            _ => return Err(failed(Reason::MissingField)),
        };
        let message = message.strip_prefix('\u{feff}').unwrap_or(message);
        let data = match std::str::from_utf8(&self.data) {
            Ok(data) if !data.is_empty() => Value::Json(data),
            _ => Value::Null,
        };
        let message = if message.is_empty() { Value::Null } else { Value::Text(message) };
        let [host, app, process_id, message_id] =
            [host, app, process_id, message_id].map(Value::unless_dash);
        let (facility, severity) = (Value::Text(facility), Value::Text(severity));
        let values = [facility, severity, time, host, app, process_id, message_id, data, message];
        for (slot, value) in self.slots.iter().zip(values) {
            record.values[*slot] = value;
        }
        Ok(())
    }
}

/// `<34>Oct 11 22:14:15 host app[pid]: message`, also with the time as `2026-10-11T22:14:15+02:00`.
fn read_3164<'r>(line: &'r str, at: Option<Moment>) -> Result<[Value<'r>; 7], Outcome> {
    let missing = || failed(Reason::MissingField);
    let (facility, severity, rest) = match line.strip_prefix('<') {
        Some(_) => {
            let (facility, severity, rest) = priority(line).ok_or_else(missing)?;
            (Value::Text(facility), Value::Text(severity), rest)
        }
        None => (Value::Null, Value::Null, line),
    };
    // Programs of today write the whole of a date, as in RFC 5424.
    let (time, rest) = if rest.starts_with(|c: char| c.is_ascii_digit()) {
        let (time, rest) = rest.split_once(' ').ok_or_else(missing)?;
        (
            Some(time)
                .filter(|time| time.contains('T'))
                .and_then(|t| Moment::iso8601(t.as_bytes())),
            rest,
        )
    } else {
        let (time, rest) = rest.split_at_checked(15).ok_or_else(missing)?;
        // The year is that of the arrival.
        let time = at.and_then(|at| Moment::syslog(time, at));
        (time, rest.strip_prefix(' ').ok_or_else(missing)?)
    };
    let time = time.ok_or(failed(Reason::BadTime))?;
    let (host, rest) = rest.split_once(' ').ok_or_else(missing)?;
    let (tag, message) = match rest.split_once(':') {
        Some((tag, message)) if !tag.is_empty() && !tag.contains(' ') => {
            (tag, message.strip_prefix(' ').unwrap_or(message))
        }
        _ => ("", rest),
    };
    let (app, process_id) = match tag.strip_suffix(']').and_then(|tag| tag.split_once('[')) {
        Some((app, process_id)) => (app, process_id),
        None => (tag, ""),
    };
    let [host, app, process_id] = [host, app, process_id].map(Value::unless_dash);
    Ok([facility, severity, Value::Time(time), host, app, process_id, Value::Text(message)])
}

/// Facility and severity of `<n>`, and what follows.
fn priority(line: &str) -> Option<(&'static str, &'static str, &str)> {
    let (number, rest) = line.strip_prefix('<')?.split_once('>')?;
    if number.is_empty() || number.len() > 3 || !number.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let number: usize = number.parse().ok()?;
    Some((FACILITIES.get(number / 8)?, SEVERITIES[number % 8], rest))
}

/// Structured data as a JSON object of objects, and what follows; nothing is written for `-`. A
/// parameter that an element names several times, as it may (section 6.3.3), is a list.
fn structured<'r>(text: &'r str, out: &mut Vec<u8>) -> Option<&'r str> {
    if let Some(rest) = text.strip_prefix('-') {
        return Some(rest);
    }
    let mut elements = BTreeMap::<&str, BTreeMap<&str, Vec<String>>>::new();
    let mut rest = text;
    while let Some(element) = rest.strip_prefix('[') {
        let end = element.find([' ', ']'])?;
        let parameters = elements.entry(&element[..end]).or_default();
        rest = &element[end..];
        while let Some(parameter) = rest.strip_prefix(' ') {
            let (name, value) = parameter.split_once("=\"")?;
            let (value, after) = unescaped(value)?;
            parameters.entry(name).or_default().push(value);
            rest = after;
        }
        rest = rest.strip_prefix(']')?;
    }
    if elements.is_empty() {
        return None;
    }
    object(out, &elements, |out, parameters| {
        object(out, parameters, |out, values| match &values[..] {
            [value] => json::string(out, value),
            values => list(out, values),
        });
    });
    Some(rest)
}

/// A JSON object.
fn object<V>(
    out: &mut Vec<u8>,
    members: &BTreeMap<&str, V>,
    mut write: impl FnMut(&mut Vec<u8>, &V),
) {
    for (index, (name, value)) in members.iter().enumerate() {
        out.push(if index == 0 { b'{' } else { b',' });
        json::string(out, name);
        out.push(b':');
        write(out, value);
    }
    out.extend_from_slice(if members.is_empty() { b"{}" } else { b"}" });
}

/// A JSON list.
fn list(out: &mut Vec<u8>, values: &[String]) {
    for (index, value) in values.iter().enumerate() {
        out.push(if index == 0 { b'[' } else { b',' });
        json::string(out, value);
    }
    out.push(b']');
}

/// A value up to its closing quote; `\"`, `\\` and `\]` are undone.
fn unescaped(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => match chars.next()?.1 {
                c @ ('"' | '\\' | ']') => value.push(c),
                c => value.extend(['\\', c]),
            },
            c => value.push(c),
        }
    }
    None
}
