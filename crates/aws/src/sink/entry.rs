//! A record on its way to a service.

use std::fmt::Write;

use tidegate_consumer::{Outcome, PoisonReason, Record};

use super::deliver::poison;

/// What identifies a delivery: `SHARD:SEQUENCE`, and of a user record of an aggregate
/// `SHARD:SEQUENCE:PLACE`. A record that comes again has the same.
///
/// Shards of different streams can have the same name; a place that several streams are delivered to
/// tells them apart by its own key.
pub fn delivery_id(record: &Record<'_>) -> String {
    let mut id = format!(
        "{}:{}",
        record.shard_id().unwrap_or_default(),
        record.sequence_number().unwrap_or_default()
    );
    if let Some(place) = record.sub_sequence_number() {
        let _ = write!(id, ":{place}");
    }
    id
}

/// The payload as one line: JSON with its line breaks as spaces, which mean the same between its
/// parts and cannot stand within its texts; any other text that has a line break as a JSON string.
///
/// # Errors
/// The record's end where it has a line break and is no text: what was read back would not be it.
pub fn line(data: &[u8]) -> Result<Vec<u8>, Outcome> {
    let data = data.trim_ascii_end();
    if !data.iter().any(|byte| matches!(byte, b'\n' | b'\r')) {
        return Ok(data.to_vec());
    }
    if serde_json::from_slice::<serde::de::IgnoredAny>(data).is_ok() {
        let space = |byte: &u8| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte };
        return Ok(data.iter().map(space).collect());
    }
    let text = std::str::from_utf8(data)
        .map_err(|error| Outcome::Poison(PoisonReason::Utf8, error.into()))?;
    serde_json::to_vec(text).map_err(|error| poison(error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_one_line() {
        let cases = [
            ("{\"a\":1}", "{\"a\":1}"),
            ("{\"a\":1}\r\n", "{\"a\":1}"),
            ("{\n \"a\": \"x\\ny\"\r\n}", "{  \"a\": \"x\\ny\"  }"),
            ("one\ntwo", "\"one\\ntwo\""),
            ("", ""),
        ];
        for (data, expected) in cases {
            assert_eq!(String::from_utf8(line(data.as_bytes()).unwrap()).unwrap(), expected);
        }
        assert_eq!(line(b"\xff").unwrap(), b"\xff");
        let refused = format!("{:?}", line(b"\xff\n\xff"));
        assert!(refused.starts_with("Err(Poison(Utf8, "), "{refused}");
    }
}
