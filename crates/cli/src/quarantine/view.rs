//! A payload for the eye: bounded, and without what it says unless that is asked for.

use std::borrow::Cow;
use std::io::Read as _;

use flate2::bufread::MultiGzDecoder;

/// What a compressed payload is expanded to at the most.
const EXPANDED_BYTES_MAX: u64 = 64 << 10;

/// A payload as text of at most so many bytes of it. Bytes that are no text are written as `\xFF`.
pub fn view(payload: &[u8], bytes_max: usize, raw: bool) -> String {
    let (bytes, how) = expanded(payload);
    let shown = &bytes[..bytes.len().min(bytes_max)];
    let mut text = String::new();
    for chunk in shown.utf8_chunks() {
        text.push_str(&if raw { Cow::Borrowed(chunk.valid()) } else { hidden(chunk.valid()) });
        // What was cut off in the middle of a character is no fault of the payload.
        let is_cut = shown.len() < bytes.len() && std::ptr::eq(last(chunk.invalid()), last(shown));
        if !is_cut {
            text.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02X}")));
        }
    }
    // A terminal obeys control characters.
    let plain = |c: char| match c {
        '\n' | '\t' => c.to_string(),
        c if c.is_control() => c.escape_default().to_string(),
        c => c.to_string(),
    };
    let mut text: String = text.chars().map(plain).collect();
    if shown.len() < bytes.len() {
        text.push_str(&format!("… and {} bytes more", bytes.len() - shown.len()));
    }
    format!("{how}{text}")
}

fn last(bytes: &[u8]) -> *const u8 {
    bytes.last().map_or(std::ptr::null(), |byte| &raw const *byte)
}

fn expanded(payload: &[u8]) -> (Cow<'_, [u8]>, &'static str) {
    if !payload.starts_with(&[0x1f, 0x8b]) {
        return (Cow::Borrowed(payload), "");
    }
    let mut bytes = Vec::new();
    match MultiGzDecoder::new(payload).take(EXPANDED_BYTES_MAX).read_to_end(&mut bytes) {
        Ok(_) => (Cow::Owned(bytes), "(expanded) "),
        Err(_) => (Cow::Borrowed(payload), ""),
    }
}

/// The form of a text without what it says: letters as `x`, digits as `0`. The names of JSON fields
/// stay, since they tell which form it is.
fn hidden(text: &str) -> Cow<'static, str> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('"') {
        let (before, quoted) = rest.split_at(start);
        out.extend(before.chars().map(hide));
        let end = closing(quoted);
        let (quoted, after) = quoted.split_at(end);
        let is_name = quoted.len() > 1 && after.trim_start().starts_with(':');
        if is_name {
            out.push_str(quoted);
        } else {
            out.extend(quoted.chars().map(hide));
        }
        rest = after;
    }
    out.extend(rest.chars().map(hide));
    Cow::Owned(out)
}

/// The length of a text in quotes, which begins with one.
fn closing(quoted: &str) -> usize {
    let mut is_escaped = false;
    for (at, byte) in quoted.bytes().enumerate().skip(1) {
        match byte {
            b'"' if !is_escaped => return at + 1,
            b'\\' => is_escaped = !is_escaped,
            _ => is_escaped = false,
        }
    }
    quoted.len()
}

fn hide(c: char) -> char {
    if c.is_numeric() {
        '0'
    } else if c.is_alphanumeric() {
        'x'
    } else {
        c
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn the_form_is_seen_and_what_it_says_is_not() {
        // payload, hidden, raw
        let cases: [(&[u8], &str, &str); 7] = [
            (
                br#"{"user": "ann", "n": 17, "open"#,
                r#"{"user": "xxx", "n": 00, "xxxx"#,
                r#"{"user": "ann", "n": 17, "open"#,
            ),
            (br#"["a\"b", "c"]"#, r#"["x\"x", "x"]"#, r#"["a\"b", "c"]"#),
            ("grün – 7".as_bytes(), "xxxx – 0", "grün – 7"),
            (b"J\xfcrgen", "x\\xFCxxxx", "J\\xFCrgen"),
            (b"a\x1b[2Jb\n", "x\\u{1b}[0xx\n", "a\\u{1b}[2Jb\n"),
            (b"", "", ""),
            (b"\"", "\"", "\""),
        ];
        for (payload, masked, raw) in cases {
            assert_eq!(view(payload, 1_000, false), masked);
            assert_eq!(view(payload, 1_000, true), raw);
        }
    }

    #[test]
    fn it_is_bounded_and_cut_between_characters() {
        assert_eq!(view("aäö".as_bytes(), 4, true), "aä… and 1 bytes more");
        assert_eq!(view(b"abcdef", 2, false), "xx… and 4 bytes more");
    }

    #[test]
    fn what_is_compressed_is_expanded_within_bounds() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&vec![b'a'; 1 << 20]).unwrap();
        let packed = gzip.finish().unwrap();
        assert_eq!(view(&packed, 3, true), "(expanded) aaa… and 65533 bytes more");
        // What is cut off is shown as it is.
        assert_eq!(view(&packed[..20], 3, true), "\\u{1f}\\x8B\\u{8}… and 17 bytes more");
    }
}
