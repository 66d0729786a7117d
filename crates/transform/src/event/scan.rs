//! A request read in one pass, where it is laid out as requests are.
//!
//! Whatever is unusual (an escape in a name or an identifier, a record that is no object, a member
//! twice) is left to the reader in the parent module, which is slower and knows all of JSON.

use std::borrow::Cow;
use std::ops::Range;

use memchr::{memchr, memchr2};

use super::Handed;
use crate::json::is_plain_ascii;
use crate::outcome::Reason;

/// Objects and lists inside each other; Firehose's go three deep.
const DEPTH_LIMIT: usize = 16;

/// As many digits always fit 64 bits.
const DIGITS_MOST: usize = 18;

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
        let mut handed = Vec::with_capacity(event.len() / 384);
        let mut form = None;
        scan.list(|scan| {
            let as_before = form.as_ref().and_then(|form| scan.like(form));
            handed.push(match as_before {
                Some(record) => record,
                None => scan.record(&mut form)?,
            });
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

/// What a record is made of but for the values of its members, which the next one has as well,
/// most often: then nothing but the values has to be looked for.
struct Form<'a> {
    /// The members that are read, each with the bytes before its value and the value's length.
    members: [(&'a [u8], Member, usize); 3],
    /// The bytes after the last value.
    end: &'a [u8],
}

#[derive(Clone, Copy)]
enum Member {
    Id,
    Data,
    At,
}

impl<'a> Scan<'a> {
    /// A record, and the form that it has.
    fn record(&mut self, form: &mut Option<Form<'a>>) -> Option<Handed<'a>> {
        let mut handed =
            Handed { id: Err(Reason::NoRecordId), data: Err(Reason::NoData), at: None };
        let mut values = [const { (0..0, Member::Id) }; 3];
        let mut seen = 0;
        let start = self.at;
        self.object(|scan, name| {
            let from = scan.at;
            let member = match name {
                b"recordId" if handed.id.is_err() => {
                    handed.id = Ok(scan.id()?);
                    Member::Id
                }
                b"data" if handed.data.is_err() => {
                    handed.data = Ok(Cow::Borrowed(scan.string()?));
                    Member::Data
                }
                b"approximateArrivalTimestamp" if handed.at.is_none() && scan.digit() => {
                    handed.at = scan.number()?;
                    Member::At
                }
                b"recordId" | b"data" => return None,
                _ => return scan.skip(0),
            };
            *values.get_mut(seen)? = (from..scan.at, member);
            seen += 1;
            Some(())
        })?;
        *form = (seen == values.len() && handed.at.is_some()).then(|| self.form(start, &values));
        Some(handed)
    }

    fn form(&self, start: usize, values: &[(Range<usize>, Member); 3]) -> Form<'a> {
        let mut from = start;
        let members = values.each_ref().map(|(value, member)| {
            let before = &self.bytes[from..value.start];
            from = value.end;
            (before, *member, value.len())
        });
        Form { members, end: &self.bytes[from..self.at] }
    }

    /// A record of the same form; where it has another, nothing is read.
    fn like(&mut self, form: &Form<'a>) -> Option<Handed<'a>> {
        let mut scan = Scan { bytes: self.bytes, at: self.at };
        let mut handed =
            Handed { id: Err(Reason::NoRecordId), data: Err(Reason::NoData), at: None };
        for (before, member, len) in &form.members {
            scan.word(before)?;
            match member {
                Member::Data => handed.data = Ok(Cow::Borrowed(scan.string()?)),
                Member::At => handed.at = Some(scan.digits(*len)?),
                Member::Id => {
                    let id = scan.bytes.get(scan.at..scan.at + len)?;
                    let [b'"', inside @ .., b'"'] = id else { return None };
                    if !is_plain_ascii(inside) {
                        return None;
                    }
                    handed.id = Ok(id);
                    scan.at += len;
                }
            }
        }
        scan.word(form.end)?;
        self.at = scan.at;
        Some(handed)
    }

    /// A whole number of so many digits; what follows it is looked at by the caller.
    fn digits(&mut self, len: usize) -> Option<i64> {
        let digits = self.bytes.get(self.at..self.at + len).filter(|_| len <= DIGITS_MOST)?;
        self.at += len;
        if digits.first() == Some(&b'0') {
            return None;
        }
        match (digits.first_chunk(), digits.last_chunk()) {
            // A moment of these centuries, in milliseconds.
            (Some(first), Some(last)) if len == 13 => {
                Some(eight(first)? * 100_000 + eight(last)? % 100_000)
            }
            _ => digits.iter().try_fold(0, |value, digit| {
                let digit = Some(digit.wrapping_sub(b'0')).filter(|digit| *digit <= 9)?;
                Some(value * 10 + i64::from(digit))
            }),
        }
    }

    /// An identifier with its quotes, as it will be written back.
    fn id(&mut self) -> Option<&'a [u8]> {
        let start = self.at;
        let inside = self.string()?;
        if is_plain_ascii(inside) { self.bytes.get(start..self.at) } else { None }
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
        if matches!(digits, 1..=DIGITS_MOST)
            && rest[0] != b'0'
            && !matches!(rest.get(digits), Some(b'.' | b'e' | b'E'))
        {
            return self.digits(digits).map(Some);
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

/// The number that eight digits are, all of them at once: each product adds its neighbour to ten, a
/// hundred or ten thousand times a digit, a pair or four.
fn eight(digits: &[u8; 8]) -> Option<i64> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let digits = u64::from_le_bytes(*digits).wrapping_sub(ONES * u64::from(b'0'));
    // Above 9 the upper half is not empty, or becomes so when 6 is added.
    if (digits | digits.wrapping_add(ONES * 6)) & (ONES * 0xf0) != 0 {
        return None;
    }
    let pairs = (digits.wrapping_mul(1 + (10 << 8)) >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs.wrapping_mul(1 + (100 << 16)) >> 16) & 0x0000_ffff_0000_ffff;
    Some((fours.wrapping_mul(1 + (10_000 << 32)) >> 32) as i64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn eight_digits_are_read_at_once(digits in "[0-9]{8}|[0-9/:]{8}|[ -~]{8}", any: [u8; 8]) {
            for digits in [<[u8; 8]>::try_from(digits.as_bytes()).unwrap(), any] {
                let text = std::str::from_utf8(&digits).ok();
                let text = text.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
                prop_assert_eq!(eight(&digits), text.and_then(|text| text.parse().ok()));
            }
        }
    }
}
