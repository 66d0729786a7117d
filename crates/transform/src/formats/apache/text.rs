//! Logged text, in which the server wrote what it could not print as backslash escapes.

use std::borrow::Cow;

use memchr::memchr;

use crate::value::Value;

/// A field as it was logged.
///
/// Apache writes `\"` and `\\`, the short escapes of C, and `\xhh` for every other byte that is
/// not printable ASCII (`ap_escape_logitem`, httpd 2.4, server/util.c); nginx writes `\xHH`.
#[derive(Debug, Clone, Copy)]
pub struct Text<'a> {
    logged: &'a str,
    /// Known to hold no escape, and nothing that JSON would escape.
    plain: bool,
}

/// What is known of a text is no part of it.
impl PartialEq for Text<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.logged == other.logged
    }
}

impl Eq for Text<'_> {}

impl<'a> Text<'a> {
    pub(crate) const fn new(logged: &'a str) -> Self {
        Self { logged, plain: false }
    }

    /// A text that was found to hold no escape, and nothing that JSON would escape.
    pub(super) const fn plain(logged: &'a str) -> Self {
        Self { logged, plain: true }
    }

    /// The field, where it stands in JSON as it stands in the line.
    pub(crate) const fn as_plain(self) -> Option<&'a str> {
        if self.plain { Some(self.logged) } else { None }
    }

    /// The field with its escapes.
    pub const fn as_logged(self) -> &'a str {
        self.logged
    }

    /// The field as it was before it was logged.
    ///
    /// Escaped bytes that are no UTF-8 stay `\xhh`, in lower case, since text cannot hold them, and
    /// a backslash that begins no known escape stays too: nothing of the line is lost.
    pub fn decoded(self) -> Cow<'a, str> {
        if self.plain {
            return Cow::Borrowed(self.logged);
        }
        match memchr(b'\\', self.logged.as_bytes()) {
            None => Cow::Borrowed(self.logged),
            Some(first) => Cow::Owned(decode(self.logged, first)),
        }
    }
}

impl<'a> From<Text<'a>> for Value<'a> {
    fn from(text: Text<'a>) -> Self {
        Self::Logged(text)
    }
}

fn decode(logged: &str, first: usize) -> String {
    let mut bytes = logged.as_bytes()[..first].to_vec();
    let mut rest = &logged.as_bytes()[first..];
    while let [byte, after @ ..] = rest {
        let (decoded, len) = match (byte, after) {
            (b'\\', [b'x', high, low, ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => (high << 4 | low, 4),
                _ => (*byte, 1),
            },
            (b'\\', [short, ..]) => match unescape(*short) {
                Some(decoded) => (decoded, 2),
                None => (*byte, 1),
            },
            _ => (*byte, 1),
        };
        bytes.push(decoded);
        rest = &rest[len..];
    }
    keep_text(bytes)
}

const fn unescape(short: u8) -> Option<u8> {
    Some(match short {
        b'"' | b'\\' => short,
        b'b' => 0x08,
        b't' => b'\t',
        b'n' => b'\n',
        b'v' => 0x0b,
        b'f' => 0x0c,
        b'r' => b'\r',
        _ => return None,
    })
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

/// The bytes as text, with an escape for each that belongs to no character.
fn keep_text(bytes: Vec<u8>) -> String {
    let bytes = match String::from_utf8(bytes) {
        Ok(text) => return text,
        Err(error) => error.into_bytes(),
    };
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_undone() {
        let cases: &[(&str, &str)] = &[
            ("plain", "plain"),
            (r#"a \"quoted\" b"#, r#"a "quoted" b"#),
            (r"C:\\dir", r"C:\dir"),
            (r"tab\tline\nreturn\rbell\x07", "tab\tline\nreturn\rbell\u{7}"),
            (r"\b\v\f", "\u{8}\u{b}\u{c}"),
            (r"caf\xc3\xa9", "café"),
            (r"caf\xC3\xA9", "café"),
            (r"\xf0\x9f\x8c\x8a", "🌊"),
            // Not UTF-8: Latin-1, half a character, and a byte that never occurs.
            (r"caf\xe9!", r"caf\xe9!"),
            (r"\xc3", r"\xc3"),
            (r"\xFF\xc3\xa9", r"\xffé"),
            // No escapes.
            (r"\q", r"\q"),
            (r"\x4", r"\x4"),
            (r"\xzz", r"\xzz"),
            (r"\x", r"\x"),
            (r"end\", r"end\"),
            (r"\\x41", r"\x41"),
            (r"é\x41", "éA"),
        ];
        for (logged, decoded) in cases {
            assert_eq!(Text::new(logged).decoded(), *decoded, "{logged}");
        }
    }
}
