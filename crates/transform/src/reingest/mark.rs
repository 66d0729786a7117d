//! The mark of a record that was put back: it stands before the record's own bytes, since neither
//! Firehose nor Kinesis has another place that reaches the function.

/// The field of a row that says how many times its record was put back.
pub const REINGESTED: &str = "reingested";

/// No line of text and no compressed form begins with a zero byte.
const BEGIN: &[u8] = b"\0tidegate:";
const END: u8 = 0;

/// How many times a record was put back, and its own bytes.
pub(crate) fn read(data: &[u8]) -> (u8, &[u8]) {
    if data.first() != BEGIN.first() {
        return (0, data);
    }
    match data.strip_prefix(BEGIN) {
        Some([times @ b'1'..=b'9', END, own @ ..]) => (times - b'0', own),
        _ => (0, data),
    }
}

/// A record with its mark. Counts above nine do not occur.
pub(crate) fn write(own: &[u8], times: u8) -> Vec<u8> {
    [BEGIN, &[b'0' + times.min(9), END], own].concat()
}

/// Adds the mark's field to each row, an object of JSON on a line of its own.
pub(crate) fn rows(lines: &mut Vec<u8>, times: u8) {
    let member = format!("\"{REINGESTED}\":{times}}}");
    let plain = std::mem::take(lines);
    for (index, row) in plain.split(|byte| *byte == b'\n').enumerate() {
        if index > 0 {
            lines.push(b'\n');
        }
        match row.strip_suffix(b"}") {
            Some(open) => {
                lines.extend_from_slice(open);
                if open != b"{" {
                    lines.push(b',');
                }
                lines.extend_from_slice(member.as_bytes());
            }
            None => lines.extend_from_slice(row),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_as_it_was_written_and_nothing_else_is_one() {
        for (own, times) in [(&b"a line"[..], 1), (b"", 5), (b"\x1f\x8b", 9)] {
            assert_eq!(read(&write(own, times)), (times, own));
        }
        for other in [&b""[..], b"a", b"\0", b"\0tidegate:", b"\0tidegate:0\0a", b"\0tidegate:1"] {
            assert_eq!(read(other), (0, other));
        }
    }

    #[test]
    fn every_row_says_it() {
        let cases = [
            ("{\"a\":1}\n", "{\"a\":1,\"reingested\":2}\n"),
            ("{\"a\":\"}\"}\n{}", "{\"a\":\"}\",\"reingested\":2}\n{\"reingested\":2}"),
        ];
        for (rows, expected) in cases {
            let mut lines = rows.as_bytes().to_vec();
            super::rows(&mut lines, 2);
            assert_eq!(String::from_utf8(lines).unwrap(), expected);
        }
    }
}
