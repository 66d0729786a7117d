//! A record on its way to a service.

use std::fmt::Write;

use tidegate_consumer::Record;

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
pub fn line(data: &[u8]) -> Vec<u8> {
    let data = data.trim_ascii_end();
    if !data.iter().any(|byte| matches!(byte, b'\n' | b'\r')) {
        return data.to_vec();
    }
    if serde_json::from_slice::<serde::de::IgnoredAny>(data).is_ok() {
        let space = |byte: &u8| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte };
        return data.iter().map(space).collect();
    }
    // A text always serializes.
    serde_json::to_vec(&String::from_utf8_lossy(data)).unwrap_or_default()
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
            assert_eq!(String::from_utf8(line(data.as_bytes())).unwrap(), expected);
        }
    }
}
