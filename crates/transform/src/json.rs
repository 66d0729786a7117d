//! JSON written straight into a buffer.

/// One JSON object in the making. Keys are the engine's own names and need no escaping.
pub(crate) struct Object<'o> {
    out: &'o mut Vec<u8>,
    empty: bool,
}

impl<'o> Object<'o> {
    /// Opens the object.
    pub(crate) fn begin(out: &'o mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, empty: true }
    }

    /// A member whose value is a string.
    pub(crate) fn text(&mut self, key: &str, value: &str) {
        self.key(key);
        string(self.out, value);
    }

    /// A member whose value is a string that needs no escaping.
    pub(crate) fn plain(&mut self, key: &str, value: &[u8]) {
        self.key(key);
        self.out.push(b'"');
        self.out.extend_from_slice(value);
        self.out.push(b'"');
    }

    /// A member whose value is a whole number.
    pub(crate) fn integer(&mut self, key: &str, value: u64) {
        self.key(key);
        integer(self.out, value);
    }

    /// Members that were written before, each with the comma before it.
    pub(crate) fn members(&mut self, written: &[u8]) {
        let skip = usize::from(self.empty && !written.is_empty());
        self.out.extend_from_slice(&written[skip..]);
        self.empty &= written.is_empty();
    }

    /// Closes the object.
    pub(crate) fn end(self) {
        self.out.push(b'}');
    }

    fn key(&mut self, key: &str) {
        if !self.empty {
            self.out.push(b',');
        }
        self.empty = false;
        self.out.push(b'"');
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
    }
}

/// Writes a string with its quotes.
pub(crate) fn string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|byte| must_escape(*byte)) {
        out.extend_from_slice(&rest[..at]);
        escape(out, rest[at]);
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

/// Writes a whole number.
pub(crate) fn integer(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0_u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
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
        fn another_parser_reads_back_what_was_written(text in "\\PC*|[\\x00-\\x7f]*", number: u64) {
            let mut out = Vec::new();
            let mut object = Object::begin(&mut out);
            object.text("text", &text);
            object.integer("number", number);
            object.members(b",\"more\":[1]");
            object.end();
            let read: Value = serde_json::from_slice(&out).unwrap();
            prop_assert_eq!(read, json!({"text": text, "number": number, "more": [1]}));
        }
    }

    #[test]
    fn members_alone_need_no_comma() {
        let mut out = Vec::new();
        let mut object = Object::begin(&mut out);
        object.members(b"");
        object.members(b",\"a\":1");
        object.plain("b", b"2");
        object.end();
        assert_eq!(out, b"{\"a\":1,\"b\":\"2\"}");
    }
}
