//! Records of several events, in parts that are records of the same form.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::value::RawValue;

use crate::formats::{Unwrap, Unwrapper, lines, split_aggregate};

/// The parts of a record, about as many as are wanted; `None` when it is of one piece.
pub(crate) fn split(what: Unwrap, data: &[u8], wanted: usize) -> Option<Vec<Vec<u8>>> {
    let mut inflated = Vec::new();
    let plain = Unwrapper::inflate(data, &mut inflated).ok()?;
    let parts = match what {
        Unwrap::CloudwatchLogs => envelopes(plain, wanted)?,
        Unwrap::Lines => {
            let lines: Vec<_> = lines(plain).collect();
            let parts = groups(&lines, |line| line.len(), wanted);
            parts.into_iter().map(|lines| lines.join(&b'\n')).collect()
        }
        Unwrap::Kpl => split_aggregate(plain, wanted)?,
        // A header belongs to all rows of its record.
        Unwrap::Rows | Unwrap::Nothing => return None,
    };
    if parts.len() < 2 {
        return None;
    }
    let compressed = plain.len() != data.len();
    if compressed { parts.iter().map(|part| deflate(part)).collect() } else { Some(parts) }
}

/// An envelope of CloudWatch Logs as several, each with all that is around the events.
fn envelopes(plain: &[u8], wanted: usize) -> Option<Vec<Vec<u8>>> {
    let mut members: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_slice(plain).ok()?;
    let events: Vec<&RawValue> = serde_json::from_str(members.remove("logEvents")?.get()).ok()?;
    let mut around = Vec::new();
    for (name, value) in &members {
        crate::json::string(&mut around, name);
        around.push(b':');
        around.extend_from_slice(value.get().as_bytes());
        around.push(b',');
    }
    let part = |events: &[&RawValue]| {
        let events: Vec<_> = events.iter().map(|event| event.get()).collect();
        [b"{", &around[..], b"\"logEvents\":[", events.join(",").as_bytes(), b"]}"].concat()
    };
    Some(groups(&events, |event| event.get().len(), wanted).into_iter().map(part).collect())
}

/// Groups of neighbours, of about the same length together.
fn groups<T>(items: &[T], len: impl Fn(&T) -> usize, wanted: usize) -> Vec<&[T]> {
    let each = items.iter().map(&len).sum::<usize>().div_ceil(wanted.max(1)).max(1);
    let (mut groups, mut start, mut bytes) = (Vec::new(), 0, 0);
    for (at, item) in items.iter().enumerate() {
        if bytes > 0 && bytes + len(item) > each {
            groups.push(&items[start..at]);
            (start, bytes) = (at, 0);
        }
        bytes += len(item);
    }
    groups.push(&items[start..]);
    groups
}

fn deflate(plain: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(plain).ok()?;
    encoder.finish().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_of_the_same_form_and_hold_everything_once() {
        let events: Vec<_> = (0..10).map(|n| format!(r#"{{"id":"{n}","message":"m"}}"#)).collect();
        let envelope = format!(
            r#"{{"messageType":"DATA_MESSAGE","policyLevel":"ACCOUNT","logEvents":[{}]}}"#,
            events.join(",")
        );
        for data in [envelope.clone().into_bytes(), deflate(envelope.as_bytes()).unwrap()] {
            let parts = split(Unwrap::CloudwatchLogs, &data, 3).unwrap();
            assert_eq!(parts.len(), 4);
            let mut found = Vec::new();
            for part in &parts {
                assert_eq!(part.starts_with(&[0x1f, 0x8b]), data.starts_with(&[0x1f, 0x8b]));
                let mut inflated = Vec::new();
                let plain = Unwrapper::inflate(part, &mut inflated).unwrap();
                let value: serde_json::Value = serde_json::from_slice(plain).unwrap();
                assert_eq!(value["policyLevel"], "ACCOUNT");
                found.extend(value["logEvents"].as_array().unwrap().iter().cloned());
            }
            let found: Vec<_> = found.iter().map(ToString::to_string).collect();
            assert_eq!(found, events);
        }
        let parts = split(Unwrap::Lines, b"a\nb\n\nccc\n", 2).unwrap();
        assert_eq!(parts, [&b"a\nb"[..], b"ccc"]);
    }

    #[test]
    fn what_is_of_one_piece_is_not_split() {
        let one = br#"{"messageType":"DATA_MESSAGE","logEvents":[{"id":"1","message":"m"}]}"#;
        assert_eq!(split(Unwrap::CloudwatchLogs, one, 2), None);
        assert_eq!(split(Unwrap::CloudwatchLogs, b"{}", 2), None);
        assert_eq!(split(Unwrap::Lines, b"a line", 2), None);
        assert_eq!(split(Unwrap::Rows, b"a,b\n1,2\n3,4\n", 2), None);
        assert_eq!(split(Unwrap::Nothing, b"a\nb", 2), None);
    }
}
