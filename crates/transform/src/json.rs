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

/// Whether nothing needs escaping.
pub(crate) fn is_plain(bytes: &[u8]) -> bool {
    none(bytes, must_escape)
}

/// Whether nothing needs escaping, and all of it is ASCII.
pub(crate) fn is_plain_ascii(bytes: &[u8]) -> bool {
    // Read as a signed number, what is no ASCII is below the control characters.
    none(bytes, |byte| (byte as i8) < 0x20 || byte == b'"' || byte == b'\\')
}

/// Whether no byte is odd. Blocks without a branch inside become vector instructions; the last one
/// overlaps the one before it.
#[inline(always)]
fn none(bytes: &[u8], odd: impl Fn(u8) -> bool) -> bool {
    const BLOCK: usize = 16;
    let block = |block: &[u8; BLOCK]| {
        block.iter().fold(0_u8, |found, byte| found | u8::from(odd(*byte))) == 0
    };
    match bytes.last_chunk() {
        None => !bytes.iter().any(|byte| odd(*byte)),
        Some(last) => bytes.as_chunks().0.iter().all(block) && block(last),
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
    let (digits, len) = digits(value);
    out.extend_from_slice(&digits[..len]);
}

/// The digits of the smallest number, and its sign.
const DIGITS_MOST: usize = 20;

/// A whole number, and how long it is.
fn digits(value: i64) -> ([u8; DIGITS_MOST], usize) {
    let mut digits = [b'-'; DIGITS_MOST];
    let mut rest = value.unsigned_abs();
    let minus = usize::from(value < 0);
    let len = minus + rest.checked_ilog10().map_or(1, |log| log as usize + 1);
    for digit in digits[minus..len].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    (digits, len)
}

/// The same of a number of at most eight digits, all of them at once: what is divided are its
/// halves, then their pairs, then the digits of these.
pub(crate) fn few_digits(value: i64) -> Option<([u8; 8], usize)> {
    let value = u64::try_from(value).ok().filter(|value| *value < 100_000_000)?;
    let fours = (value / 10_000) | ((value % 10_000) << 32);
    let hundreds = ((fours * 10_486) >> 20) & 0x0000_007f_0000_007f;
    let pairs = hundreds | ((fours - hundreds * 100) << 16);
    let tens = ((pairs * 103) >> 10) & 0x000f_000f_000f_000f;
    let digits = tens | ((pairs - tens * 10) << 8);
    let zeros = (digits.trailing_zeros() / 8).min(7);
    let text = (digits | 0x3030_3030_3030_3030) >> (zeros * 8);
    Some((text.to_le_bytes(), 8 - zeros as usize))
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
            few in -9_i64..200_000_000,
            digits in 0_u32..9,
        ) {
            let mut out = Vec::new();
            string(&mut out, &text);
            prop_assert_eq!(serde_json::from_slice::<Value>(&out).unwrap(), json!(text));
            out.clear();
            integer(&mut out, number);
            prop_assert_eq!(serde_json::from_slice::<Value>(&out).unwrap(), json!(number));
            let few = few / 10_i64.pow(digits);
            let text = few_digits(few).map(|(text, len)| text[..len].to_vec());
            let fits = (0..100_000_000).contains(&few);
            prop_assert_eq!(text, fits.then(|| few.to_string().into_bytes()));
        }
    }

    #[test]
    fn json_over_several_lines_becomes_one() {
        let mut out = Vec::new();
        one_line(&mut out, "{\n  \"a\\n\": [1,\r\n2]}");
        assert_eq!(out, b"{   \"a\\n\": [1,  2]}");
    }
}
