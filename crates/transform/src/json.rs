//! JSON written straight into a buffer.

/// Writes a string with its quotes.
pub(crate) fn string(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    out.reserve(bytes.len() + 2);
    out.push(b'"');
    if is_plain(bytes) {
        out.extend_from_slice(bytes);
    } else {
        escaped(out, bytes);
    }
    out.push(b'"');
}

fn escaped(out: &mut Vec<u8>, mut rest: &[u8]) {
    while let Some(at) = rest.iter().position(|byte| must_escape(*byte)) {
        out.extend_from_slice(&rest[..at]);
        escape(out, rest[at]);
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
}

/// Whether nothing needs escaping. Blocks without a branch inside become vector instructions; the
/// last one overlaps the one before it.
pub(crate) fn is_plain(bytes: &[u8]) -> bool {
    const BLOCK: usize = 16;
    fn block(block: &[u8]) -> bool {
        block.iter().fold(0_u8, |found, byte| found | u8::from(must_escape(*byte))) == 0
    }
    match bytes.len().checked_sub(BLOCK) {
        None => !bytes.iter().any(|byte| must_escape(*byte)),
        Some(last) => bytes.chunks_exact(BLOCK).all(block) && block(&bytes[last..]),
    }
}

/// Writes JSON that may be laid out over several lines as one line. A line break cannot stand
/// inside a JSON string, so that all of them are white space.
pub(crate) fn one_line(out: &mut Vec<u8>, json: &str) {
    if memchr::memchr2(b'\n', b'\r', json.as_bytes()).is_none() {
        out.extend_from_slice(json.as_bytes());
        return;
    }
    let spaced = |byte: u8| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte };
    out.extend(json.bytes().map(spaced));
}

/// Writes a whole number.
pub(crate) fn integer(out: &mut Vec<u8>, value: i64) {
    let mut digits = [0_u8; 20];
    let mut at = digits.len();
    let mut rest = value.unsigned_abs();
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if value < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(&digits[at..]);
}

const fn must_escape(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

fn escape(out: &mut Vec<u8>, byte: u8) {
    let short = match byte {
        b'"' | b'\\' => byte,
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        _ => {
            const HEX: &[u8; 16] = b"0123456789abcdef";
            out.extend_from_slice(b"\\u00");
            out.push(HEX[usize::from(byte >> 4)]);
            out.push(HEX[usize::from(byte & 15)]);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    proptest! {
        #[test]
        fn another_parser_reads_back_what_was_written(
            text in "\\PC*|[\\x00-\\x7f]*",
            number: i64,
        ) {
            let mut out = Vec::new();
            string(&mut out, &text);
            prop_assert_eq!(serde_json::from_slice::<Value>(&out).unwrap(), json!(text));
            out.clear();
            integer(&mut out, number);
            prop_assert_eq!(serde_json::from_slice::<Value>(&out).unwrap(), json!(number));
        }
    }

    #[test]
    fn json_over_several_lines_becomes_one() {
        let mut out = Vec::new();
        one_line(&mut out, "{\n  \"a\\n\": [1,\r\n2]}");
        assert_eq!(out, b"{   \"a\\n\": [1,  2]}");
    }
}
