//! A request read in one pass, where it is laid out as requests are.
//!
//! Whatever is unusual (an escape in a name or an identifier, a record that is no object, a member
//! twice) is left to the reader in the parent module, which is slower and knows all of JSON.

use std::borrow::Cow;

use memchr::{memchr, memchr2};

use super::Handed;
use crate::outcome::Reason;

/// Objects and lists inside each other; Firehose's go three deep.
const DEPTH_LIMIT: usize = 16;

/// The records of a request; `None` for one that is not of the usual form.
pub(super) fn scan(event: &[u8]) -> Option<Vec<Handed<'_>>> {
    let mut scan = Scan { bytes: event, at: 0 };
    let mut records = None;
    scan.object(|scan, name| {
        if name != b"records" {
            return scan.skip(0);
        }
        if records.is_some() {
            return None;
        }
        let mut handed = Vec::with_capacity(event.len() / 512);
        scan.list(|scan| {
            handed.push(scan.record()?);
            Some(())
        })?;
        records = Some(handed);
        Some(())
    })?;
    scan.space();
    if scan.at == event.len() { records } else { None }
}

struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Scan<'a> {
    fn record(&mut self) -> Option<Handed<'a>> {
        let mut handed =
            Handed { id: Err(Reason::NoRecordId), data: Err(Reason::NoData), at: None };
        self.object(|scan, name| {
            match name {
                b"recordId" if handed.id.is_err() => handed.id = Ok(scan.id()?),
                b"data" if handed.data.is_err() => {
                    handed.data = Ok(Cow::Borrowed(scan.string()?));
                }
                b"approximateArrivalTimestamp" if handed.at.is_none() && scan.digit() => {
                    handed.at = scan.number()?;
                }
                b"recordId" | b"data" => return None,
                _ => scan.skip(0)?,
            }
            Some(())
        })?;
        Some(handed)
    }

    /// An identifier with its quotes, as it will be written back.
    fn id(&mut self) -> Option<&'a str> {
        let start = self.at;
        let inside = self.string()?;
        if !crate::json::is_plain(inside) {
            return None;
        }
        std::str::from_utf8(self.bytes.get(start..self.at)?).ok()
    }

    fn object(&mut self, mut member: impl FnMut(&mut Self, &'a [u8]) -> Option<()>) -> Option<()> {
        self.space();
        self.byte(b'{')?;
        self.space();
        if self.byte(b'}').is_some() {
            return Some(());
        }
        loop {
            let name = self.string()?;
            self.space();
            self.byte(b':')?;
            self.space();
            member(self, name)?;
            self.space();
            if self.byte(b'}').is_some() {
                return Some(());
            }
            self.byte(b',')?;
            self.space();
        }
    }

    fn list(&mut self, mut item: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.byte(b'[')?;
        self.space();
        if self.byte(b']').is_some() {
            return Some(());
        }
        loop {
            item(self)?;
            self.space();
            if self.byte(b']').is_some() {
                return Some(());
            }
            self.byte(b',')?;
            self.space();
        }
    }

    /// The inside of a string without escapes.
    fn string(&mut self) -> Option<&'a [u8]> {
        self.byte(b'"')?;
        let rest = self.bytes.get(self.at..)?;
        let end = memchr2(b'"', b'\\', rest).filter(|end| rest[*end] == b'"')?;
        self.at += end + 1;
        Some(&rest[..end])
    }

    /// Passes over a value of any kind.
    fn skip(&mut self, depth: usize) -> Option<()> {
        if depth > DEPTH_LIMIT {
            return None;
        }
        match self.bytes.get(self.at)? {
            b'"' => {
                self.at += 1;
                loop {
                    let rest = self.bytes.get(self.at..)?;
                    let quote = memchr(b'"', rest)?;
                    match memchr(b'\\', &rest[..quote]) {
                        None => {
                            self.at += quote + 1;
                            return Some(());
                        }
                        Some(escape) => self.at += escape + 2,
                    }
                }
            }
            b'{' => self.object(|scan, _| scan.skip(depth + 1)),
            b'[' => self.list(|scan| scan.skip(depth + 1)),
            b't' => self.word(b"true"),
            b'f' => self.word(b"false"),
            b'n' => self.word(b"null"),
            _ => self.number().map(|_| ()),
        }
    }

    fn word(&mut self, word: &[u8]) -> Option<()> {
        self.bytes.get(self.at..)?.starts_with(word).then(|| self.at += word.len())
    }

    fn digit(&self) -> bool {
        self.bytes.get(self.at).is_some_and(u8::is_ascii_digit)
    }

    /// A number; its value when it is a whole one.
    fn number(&mut self) -> Option<Option<i64>> {
        let rest = self.bytes.get(self.at..)?;
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        // Milliseconds of the epoch: digits only, without a zero before them.
        if matches!(digits, 1..=18)
            && rest[0] != b'0'
            && !matches!(rest.get(digits), Some(b'.' | b'e' | b'E'))
        {
            self.at += digits;
            let value = rest[..digits].iter().fold(0, |sum, b| sum * 10 + i64::from(b - b'0'));
            return Some(Some(value));
        }
        let len =
            rest.iter().take_while(|b| matches!(b, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'));
        let text = &rest[..len.count()];
        serde_json::from_slice::<serde_json::Number>(text).ok()?;
        self.at += text.len();
        Some(std::str::from_utf8(text).ok()?.parse().ok())
    }

    fn byte(&mut self, byte: u8) -> Option<()> {
        (self.bytes.get(self.at) == Some(&byte)).then(|| self.at += 1)
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.bytes.get(self.at) {
            self.at += 1;
        }
    }
}
