//! A batch as Lambda lays it out, in which each record is made like the one before it: only the
//! values are looked for.
//!
//! The first record, and one that is made otherwise, is read by the parser of JSON, which says where
//! its values stand: what stands between them is then that of the next record, to the byte. What is
//! no such batch at all is left to the parent module, and tests hold the two against each other.

use memchr::memchr2;
use serde_json::Deserializer;
use serde_json::value::RawValue;

use super::Split;
use super::fields::{Fields, Kinesis};

const BEGIN: &str = "{\"Records\":[";
const END: &str = "]}";

/// The smallest record that room is made for; Lambda's envelope alone is larger.
const RECORD_BYTES_LEAST: usize = 512;

/// The values that differ from record to record, as they stand in the text, without quotes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Values<'a> {
    pub(super) partition_key: &'a str,
    pub(super) sequence_number: &'a str,
    pub(super) data: &'a str,
    pub(super) arrival: &'a str,
    pub(super) event_id: &'a str,
    /// The same in all records of a form.
    pub(super) source_arn: &'a str,
}

/// How many of them differ.
const VALUES: usize = 5;

/// The place of the arrival among the values; the others are text.
const ARRIVAL: usize = 3;

/// What a record is made of but for these values.
struct Form<'a> {
    /// What stands before each value, in the order of the text, and which value that is.
    before: [(&'a str, usize); VALUES],
    end: &'a str,
    source_arn: &'a str,
}

/// The records of a batch; `None` where only the parser knows, also whether it is one.
pub(super) fn split(body: &[u8]) -> Option<Vec<Split<'_>>> {
    let mut rest = simdutf8::basic::from_utf8(body).ok()?.strip_prefix(BEGIN)?;
    let mut records = Vec::new();
    let mut form: Option<Form<'_>> = None;
    // Whether at least one was seen to be a Kinesis record.
    let mut formed = false;
    loop {
        let (split, after) = match form.as_ref().and_then(|form| form.like(rest)) {
            Some(found) => found,
            None => {
                let raw: &RawValue = Deserializer::from_str(rest).into_iter().next()?.ok()?;
                // White space before the record would have to be counted too.
                let after = rest.strip_prefix(raw.get())?;
                form = Form::of(raw.get());
                formed |= form.is_some();
                records.reserve(body.len() / raw.get().len().max(RECORD_BYTES_LEAST) + 1);
                (Split { raw: raw.get(), values: None }, after)
            }
        };
        records.push(split);
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None if after == END && formed => return Some(records),
            None => return None,
        }
    }
}

impl<'a> Form<'a> {
    /// The form of a record, when it has every value.
    fn of(record: &'a str) -> Option<Self> {
        let fields = Fields::of(record);
        // What a redrive says is of its record alone.
        if !fields.is_kinesis() || fields.redriven.is_some() {
            return None;
        }
        let kinesis = Kinesis::of(fields.kinesis?.get());
        let mut values = [
            (kinesis.partition_key?.get(), 0),
            (kinesis.sequence_number?.get(), 1),
            (kinesis.data?.get(), 2),
            (kinesis.arrival?.get(), ARRIVAL),
            (fields.event_id?.get(), 4),
        ];
        values.sort_unstable_by_key(|(value, _)| value.as_ptr());
        let mut from = 0;
        let mut before = [("", 0); VALUES];
        for (place, (value, which)) in before.iter_mut().zip(values) {
            let start = (value.as_ptr() as usize).checked_sub(record.as_ptr() as usize)?;
            *place = (record.get(from..start)?, which);
            from = start + value.len();
        }
        let arn = fields.source_arn?.get().strip_prefix('"')?.strip_suffix('"')?;
        let source_arn = Some(arn).filter(|arn| !arn.contains('\\'))?;
        Some(Self { before, end: record.get(from..)?, source_arn })
    }

    /// A record of this form at the beginning of a text, and what follows it.
    fn like(&self, text: &'a str) -> Option<(Split<'a>, &'a str)> {
        let mut rest = text;
        let mut values = [""; VALUES];
        for (before, which) in &self.before {
            rest = rest.strip_prefix(before)?;
            let (value, after) = if *which == ARRIVAL { number(rest) } else { plain(rest) }?;
            *values.get_mut(*which)? = value;
            rest = after;
        }
        let after = rest.strip_prefix(self.end)?;
        let raw = text.get(..text.len() - after.len())?;
        let [partition_key, sequence_number, data, arrival, event_id] = values;
        let source_arn = self.source_arn;
        let values = Values { partition_key, sequence_number, data, arrival, event_id, source_arn };
        Some((Split { raw, values: Some(values) }, after))
    }
}

/// A string without escapes, and what follows it.
fn plain(text: &str) -> Option<(&str, &str)> {
    let inside = text.strip_prefix('"')?;
    let end = memchr2(b'"', b'\\', inside.as_bytes())?;
    let (value, after) = inside.split_at(end);
    // JSON has no control characters in its strings. Without a branch, vectors look for the least.
    let least = value.bytes().fold(u8::MAX, u8::min);
    after.strip_prefix('"').filter(|_| least >= b' ').map(|after| (value, after))
}

/// A number as timestamps are, `1763683200.487`, and what follows it.
fn number(text: &str) -> Option<(&str, &str)> {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let whole = digits(text);
    if whole == 0 || text.starts_with('0') {
        return None;
    }
    let len = match text.get(whole..)?.strip_prefix('.').map(digits) {
        Some(0) => return None,
        Some(fraction) => whole + 1 + fraction,
        None => whole,
    };
    text.split_at_checked(len)
}

#[cfg(test)]
mod tests;
