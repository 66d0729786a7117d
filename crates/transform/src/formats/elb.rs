//! Access logs of an Application Load Balancer ("Access logs for your Application Load Balancer",
//! Elastic Load Balancing, 2026-11), with the names of AWS's own Athena table. Fields that AWS adds
//! at the end are passed over, as its documentation asks.

use super::apache::Text;
use super::{Read, failed};
use crate::moment::Moment;
use crate::outcome::{Outcome, Reason};
use crate::record::Record;
use crate::scope::Field;
use crate::value::{Kind, Value};

/// What one word of the line becomes.
#[derive(Clone, Copy)]
enum Word {
    One(&'static str, Kind),
    /// `address:port`.
    Socket(&'static str, &'static str),
    /// `METHOD url HTTP/n`.
    Request,
}

/// The words of a line, in order. The first twelve have always been there.
const WORDS: &[Word] = {
    use Kind::{Float, Integer, Text, Timestamp};
    use Word::{One, Request, Socket};
    &[
        One("type", Text),
        One("time", Timestamp),
        One("elb", Text),
        Socket("client_ip", "client_port"),
        Socket("target_ip", "target_port"),
        One("request_processing_time", Float),
        One("target_processing_time", Float),
        One("response_processing_time", Float),
        One("elb_status_code", Integer),
        One("target_status_code", Integer),
        One("received_bytes", Integer),
        One("sent_bytes", Integer),
        Request,
        One("user_agent", Text),
        One("ssl_cipher", Text),
        One("ssl_protocol", Text),
        One("target_group_arn", Text),
        One("trace_id", Text),
        One("domain_name", Text),
        One("chosen_cert_arn", Text),
        One("matched_rule_priority", Integer),
        One("request_creation_time", Timestamp),
        One("actions_executed", Text),
        One("redirect_url", Text),
        One("lambda_error_reason", Text),
        One("target_port_list", Text),
        One("target_status_code_list", Text),
        One("classification", Text),
        One("classification_reason", Text),
        One("conn_trace_id", Text),
    ]
};

const WORDS_AT_LEAST: usize = 13;

pub(super) fn fields() -> Vec<Field> {
    let mut fields = Vec::new();
    for word in WORDS {
        match word {
            Word::One(name, kind) => fields.push(Field::new(name, *kind)),
            Word::Socket(address, port) => {
                fields.push(Field::new(address, Kind::Text));
                fields.push(Field::new(port, Kind::Integer));
            }
            Word::Request => fields.extend(
                ["request_verb", "request_url", "request_proto"]
                    .map(|name| Field::new(name, Kind::Text)),
            ),
        }
    }
    fields
}

pub(super) fn read<'r>(slots: &[usize], line: &'r str, record: &mut Record<'r>) -> Read {
    let (mut rest, mut slots, mut words) = (Some(line), slots.iter(), 0);
    let mut put = |value| {
        if let Some(slot) = slots.next() {
            record.values[*slot] = value;
        }
    };
    for word in WORDS {
        let Some(text) = rest else { break };
        let (text, after) = next(text)?;
        rest = after;
        words += 1;
        match word {
            Word::One(_, kind) => put(value(*kind, text)?),
            Word::Socket(..) => match text.rsplit_once(':') {
                Some((address, port)) => {
                    let address = address.trim_start_matches('[').trim_end_matches(']');
                    put(Value::unless_dash(address));
                    put(value(Kind::Integer, port)?);
                }
                None => [Value::unless_dash(text), Value::Null].into_iter().for_each(&mut put),
            },
            Word::Request => {
                // A client may send spaces in its target.
                let (verb, rest) = text.trim_end().split_once(' ').unwrap_or((text, ""));
                let (url, protocol) = rest.rsplit_once(' ').unwrap_or((rest, ""));
                for part in [verb, url, protocol] {
                    put(value(Kind::Text, part.trim())?);
                }
            }
        }
    }
    if words < WORDS_AT_LEAST { Err(failed(Reason::MissingField)) } else { Ok(()) }
}

/// The next word, without its quotes, and what follows the space after it.
fn next(line: &str) -> Result<(&str, Option<&str>), Outcome> {
    let Some(inside) = line.strip_prefix('"') else {
        return Ok(line.split_once(' ').map_or((line, None), |(word, rest)| (word, Some(rest))));
    };
    let bytes = inside.as_bytes();
    let mut from = 0;
    while let Some(at) = bytes.get(from..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) {
        let at = from + at;
        if bytes[at] == b'\\' {
            from = at + 2;
            continue;
        }
        let (text, rest) = (&inside[..at], &inside[at + 1..]);
        return match rest.strip_prefix(' ') {
            Some(rest) => Ok((text, Some(rest))),
            None if rest.is_empty() => Ok((text, None)),
            None => Err(failed(Reason::TrailingBytes)),
        };
    }
    Err(failed(Reason::UnclosedQuote))
}

fn value(kind: Kind, word: &str) -> Result<Value<'_>, Outcome> {
    let value = match kind {
        _ if matches!(word, "" | "-") => Some(Value::Null),
        Kind::Text => Some(Value::Logged(Text::new(word))),
        Kind::Timestamp => {
            let time = Moment::iso8601(word.as_bytes()).ok_or(failed(Reason::BadTime))?;
            Some(Value::Time(time))
        }
        kind => kind.read(word),
    };
    value.ok_or(failed(Reason::BadField))
}
