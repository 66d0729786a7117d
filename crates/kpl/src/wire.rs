//! As much of Protocol Buffers as the format needs ("Encoding", protobuf.dev, 2026-11).
//!
//! The reader borrows, never allocates and accepts what the reference implementation accepts:
//! fields in any order, unknown ones, and lengths that are written longer than they have to be.

use alloc::vec::Vec;

/// How deep groups may nest. Nobody writes groups; the reference implementation allows 100 levels.
const GROUPS_MAX: u32 = 100;

/// The message ends inside a field, or a field is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Broken;

/// What a field holds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    /// A number of variable length.
    Varint(u64),
    /// Bytes, text or a message.
    Bytes(&'a [u8]),
    /// A kind that the format does not use.
    Other,
}

/// Reads the fields of a message from the front: twice for each user record, so that what is usual is
/// read in place.
#[derive(Debug, Clone)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    /// The number and the value of the next field; `None` at the end of the message.
    #[inline(always)]
    pub(crate) fn field(&mut self) -> Result<Option<(u32, Value<'a>)>, Broken> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let (number, kind) = self.tag()?;
        self.value(number, kind, 0).map(|value| Some((number, value)))
    }

    #[inline(always)]
    fn tag(&mut self) -> Result<(u32, u32), Broken> {
        let tag = u32::try_from(self.varint()?).map_err(|_| Broken)?;
        if tag >> 3 == 0 { Err(Broken) } else { Ok((tag >> 3, tag & 7)) }
    }

    #[inline(always)]
    fn value(&mut self, number: u32, kind: u32, depth: u32) -> Result<Value<'a>, Broken> {
        match kind {
            0 => self.varint().map(Value::Varint),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| Broken)?;
                self.take(length).map(Value::Bytes)
            }
            _ => self.other(number, kind, depth),
        }
    }

    /// Of the kinds that the format does not use.
    #[cold]
    fn other(&mut self, number: u32, kind: u32, depth: u32) -> Result<Value<'a>, Broken> {
        match kind {
            1 => self.take(8).map(|_| Value::Other),
            3 => self.group(number, depth + 1).map(|()| Value::Other),
            5 => self.take(4).map(|_| Value::Other),
            // 4 is the end of a group that did not begin.
            _ => Err(Broken),
        }
    }

    /// Skips the fields of a group and its end.
    fn group(&mut self, number: u32, depth: u32) -> Result<(), Broken> {
        if depth > GROUPS_MAX {
            return Err(Broken);
        }
        loop {
            match self.tag()? {
                (end, 4) if end == number => return Ok(()),
                (inner, kind) => {
                    self.value(inner, kind, depth)?;
                }
            }
        }
    }

    #[inline(always)]
    fn varint(&mut self) -> Result<u64, Broken> {
        // Nearly all of them take one byte or two.
        match *self.rest {
            [byte, ref rest @ ..] if byte < 0x80 => {
                self.rest = rest;
                Ok(u64::from(byte))
            }
            [low, high, ref rest @ ..] if high < 0x80 => {
                self.rest = rest;
                Ok(u64::from(low & 0x7F) | u64::from(high) << 7)
            }
            _ => self.long_varint(),
        }
    }

    #[cold]
    fn long_varint(&mut self) -> Result<u64, Broken> {
        let mut number = 0;
        for (place, byte) in self.rest.iter().take(10).enumerate() {
            // Of the tenth byte one bit is left.
            if place == 9 && *byte > 1 {
                break;
            }
            number |= u64::from(byte & 0x7F) << (7 * place);
            if byte & 0x80 == 0 {
                self.rest = &self.rest[place + 1..];
                return Ok(number);
            }
        }
        Err(Broken)
    }

    #[inline]
    fn take(&mut self, length: usize) -> Result<&'a [u8], Broken> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Broken)?;
        self.rest = rest;
        Ok(taken)
    }
}

/// Appends a number field.
pub(crate) fn write_number(message: &mut Vec<u8>, field: u32, number: u64) {
    write_varint(message, u64::from(field << 3));
    write_varint(message, number);
}

/// Appends a field of bytes, text or a message.
pub(crate) fn write_bytes(message: &mut Vec<u8>, field: u32, bytes: &[u8]) {
    write_length(message, field, bytes.len());
    message.extend_from_slice(bytes);
}

/// Appends the beginning of such a field, of which `length` bytes follow.
pub(crate) fn write_length(message: &mut Vec<u8>, field: u32, length: usize) {
    write_varint(message, u64::from(field << 3 | 2));
    write_varint(message, length as u64);
}

fn write_varint(message: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        message.push((number & 0x7F) as u8 | 0x80);
        number >>= 7;
    }
    message.push(number as u8);
}

/// The bytes that a number field takes. Its number is below 16.
pub(crate) const fn number_size(number: u64) -> usize {
    1 + varint_size(number)
}

/// The bytes that a field of so many bytes takes. Its number is below 16.
pub(crate) const fn bytes_size(length: usize) -> usize {
    1 + varint_size(length as u64) + length
}

const fn varint_size(number: u64) -> usize {
    let bits = u64::BITS - (number | 1).leading_zeros();
    bits.div_ceil(7) as usize
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    type Fields<'a> = Result<Vec<(u32, Value<'a>)>, Broken>;

    fn fields(message: &[u8]) -> Fields<'_> {
        let mut reader = Reader::new(message);
        let mut found = Vec::new();
        while let Some(field) = reader.field()? {
            found.push(field);
        }
        Ok(found)
    }

    #[test]
    fn fields_are_read_as_the_reference_reads_them() {
        let max = [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01];
        let cases: &[(&[u8], Fields<'_>)] = &[
            (b"", Ok(vec![])),
            (b"\x08\x96\x01", Ok(vec![(1, Value::Varint(150))])),
            (b"\x0A\x02hi", Ok(vec![(1, Value::Bytes(b"hi"))])),
            (b"\x0A\x00\x0A\x01x", Ok(vec![(1, Value::Bytes(b"")), (1, Value::Bytes(b"x"))])),
            (b"\x09\x01\x02\x03\x04\x05\x06\x07\x08", Ok(vec![(1, Value::Other)])),
            (b"\x0D\x01\x02\x03\x04", Ok(vec![(1, Value::Other)])),
            // A length in more bytes than it needs.
            (b"\x0A\x82\x80\x00hi", Ok(vec![(1, Value::Bytes(b"hi"))])),
            // A group with a number and a group in it.
            (
                b"\x0B\x08\x05\x13\x14\x0C\x10\x07",
                Ok(vec![(1, Value::Other), (2, Value::Varint(7))]),
            ),
            (&[&[0x08], &max[..]].concat(), Ok(vec![(1, Value::Varint(u64::MAX))])),
            (b"\x08", Err(Broken)),
            (b"\x08\x80", Err(Broken)),
            (b"\x0A\x03hi", Err(Broken)),
            (b"\x0A\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01", Err(Broken)),
            (b"\x08\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x02", Err(Broken)),
            (b"\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00", Err(Broken)),
            // The field 0, a tag of more than 32 bits, unknown kinds.
            (b"\x00\x01", Err(Broken)),
            (b"\x80\x80\x80\x80\x10\x01", Err(Broken)),
            (b"\x0E", Err(Broken)),
            (b"\x0F", Err(Broken)),
            // Groups that do not end, end elsewhere, or did not begin.
            (b"\x0B\x08\x05", Err(Broken)),
            (b"\x0B\x14", Err(Broken)),
            (b"\x0C", Err(Broken)),
        ];
        for (message, expected) in cases {
            assert_eq!(fields(message), *expected, "{message:02x?}");
        }
    }

    #[test]
    fn groups_do_not_exhaust_the_stack() {
        let nested = |depth: usize| [vec![0x0B; depth], vec![0x0C; depth]].concat();
        assert_eq!(fields(&nested(100)), Ok(vec![(1, Value::Other)]));
        assert_eq!(fields(&nested(1_000_000)), Err(Broken));
    }

    #[test]
    fn sizes_are_those_of_what_is_written() {
        for shift in 0..64 {
            for number in [(1_u64 << shift) - 1, 1 << shift, (1 << shift) + 1] {
                let mut message = Vec::new();
                write_number(&mut message, 2, number);
                assert_eq!(message.len(), number_size(number), "{number}");
                assert_eq!(fields(&message), Ok(vec![(2, Value::Varint(number))]));
            }
        }
        for length in [0, 1, 127, 128, 16_383, 16_384] {
            let mut message = Vec::new();
            write_bytes(&mut message, 3, &vec![7; length]);
            assert_eq!(message.len(), bytes_size(length), "{length}");
        }
    }
}
