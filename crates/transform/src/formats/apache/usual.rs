//! Lines as nearly all are: combined, and without escapes. One pass finds the quotes, and whether
//! there is anything else that has to be looked at closely.
//!
//! What is not such a line is left to the parent module, which also says what is wrong with it; a
//! test holds the two against each other.

use super::{AccessLine, Request, Text, is_method};
use crate::formats::LogTime;
use crate::formats::time::LOG_TIME_LEN;

/// Lines are looked at in blocks of so many bytes, of which each is a bit of a mask.
const BLOCK: usize = 16;

/// The quotes of a combined line.
const QUOTES: usize = 6;

/// What comes before the first quote: a space, the time in its brackets, and a space.
const TIME_LEN: usize = LOG_TIME_LEN + 4;

/// Reads a line whose texts all stand as they are, in the line and in JSON.
pub(super) fn read(line: &str) -> Option<AccessLine<'_>> {
    let [from, to, referer, referer_end, agent, agent_end] = quotes(line.as_bytes())?;
    let bytes = line.as_bytes();
    let head = line.get(..from.checked_sub(TIME_LEN)?)?;
    let [b' ', b'[', time @ .., b']', b' '] = bytes.get(head.len()..from)? else { return None };
    let space = memchr::memchr(b' ', head.as_bytes())?;
    let (client, names) = (head.get(..space)?, head.get(space + 1..)?);
    let (ident, user) = match names {
        "- -" => (None, None),
        _ => names_of(names)?,
    };
    // Between the request and the referer: ` 200 2326 `.
    let [b' ', a, b, c, b' ', size @ .., b' '] = bytes.get(to + 1..referer)? else { return None };
    let apart = bytes.get(referer_end + 1..agent)? == b" " && agent_end + 1 == bytes.len();
    if client.is_empty() || !apart {
        return None;
    }
    Some(AccessLine {
        client,
        ident,
        user,
        time: LogTime::parse(time)?,
        request: request(line.get(from + 1..to)?),
        status: u16::try_from(number(&[*a, *b, *c])?).ok()?,
        bytes: if size == b"-" { None } else { Some(number(size)?) },
        referer: optional(line.get(referer + 1..referer_end)?),
        user_agent: optional(line.get(agent + 1..agent_end)?),
        forwarded_for: None,
    })
}

/// The identity and the user, who may have spaces in the name.
fn names_of(names: &str) -> Option<(Option<Text<'_>>, Option<Text<'_>>)> {
    let (ident, user) = names.split_once(' ')?;
    // A bracket could be where the time begins.
    let plain = !ident.is_empty() && !user.is_empty() && !user.contains('[');
    plain.then(|| (optional(ident), optional(user)))
}

fn request(line: &str) -> Request<'_> {
    let bytes = line.as_bytes();
    let parts = bytes.len().checked_sub(b" HTTP/1.1".len()).and_then(|last| {
        let [b' ', b'H', b'T', b'T', b'P', b'/', major, b'.', minor] = &bytes[last..] else {
            return None;
        };
        let first = bytes.iter().position(|byte| *byte == b' ')?;
        let (method, path) = (line.get(..first)?, line.get(first + 1..last)?);
        let usual = major.is_ascii_digit() && minor.is_ascii_digit() && is_method(method);
        (usual && !path.is_empty()).then(|| (method, path, &line[last + 1..]))
    });
    match parts {
        Some((method, path, protocol)) => {
            Request::Split { method, path: Text::plain(path), protocol }
        }
        None => Request::split(line),
    }
}

fn optional(text: &str) -> Option<Text<'_>> {
    (text != "-").then(|| Text::plain(text))
}

fn number(digits: &[u8]) -> Option<i64> {
    if !matches!(digits.len(), 1..=18) {
        return None;
    }
    let mut value = 0;
    for digit in digits {
        value = value * 10 + i64::from(Some(digit.wrapping_sub(b'0')).filter(|digit| *digit <= 9)?);
    }
    Some(value)
}

/// The places of the quotes, when there are as many as a combined line has, and neither a backslash
/// nor a byte that JSON does not hold as it is.
fn quotes(line: &[u8]) -> Option<[usize; QUOTES]> {
    let mut places = [0; QUOTES];
    let mut found = 0;
    let mut odd = 0;
    let mut take = |block: &[u8; BLOCK], at: usize, of: u32| {
        let (mut mask, other) = marks(block);
        odd |= other & of;
        mask &= of;
        while mask != 0 {
            *places.get_mut(found)? = at + mask.trailing_zeros() as usize;
            found += 1;
            mask &= mask - 1;
        }
        Some(())
    };
    let (blocks, rest) = line.as_chunks::<BLOCK>();
    for (number, block) in blocks.iter().enumerate() {
        take(block, number * BLOCK, u32::MAX)?;
    }
    if !rest.is_empty() {
        // The last block overlaps the one before it; what that one saw is not seen twice.
        let at = line.len().checked_sub(BLOCK)?;
        let block = line.last_chunk()?;
        take(block, at, u32::MAX << (BLOCK - rest.len()))?;
    }
    (found == QUOTES && odd == 0).then_some(places)
}

/// A bit for each quote of a block, and bits where it holds backslashes or control characters.
#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "vector instructions are taken for absent unless it is said")]
fn marks(block: &[u8; BLOCK]) -> (u32, u32) {
    // SAFETY: every processor of this architecture has SSE2.
    unsafe { sse2(block) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "sse2")]
fn sse2(block: &[u8; BLOCK]) -> (u32, u32) {
    use std::arch::x86_64::{
        _mm_cmpeq_epi8, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_set_epi64x,
        _mm_set1_epi8,
    };
    let [low, high] = halves(block);
    let bytes = _mm_set_epi64x(high, low);
    let quotes = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'"' as i8));
    let escapes = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'\\' as i8));
    let controls = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1f)), bytes);
    let other = _mm_or_si128(escapes, controls);
    (_mm_movemask_epi8(quotes) as u32, _mm_movemask_epi8(other) as u32)
}

#[cfg(target_arch = "x86_64")]
fn halves(block: &[u8; BLOCK]) -> [i64; 2] {
    let (halves, _) = block.as_chunks();
    [i64::from_le_bytes(halves[0]), i64::from_le_bytes(halves[1])]
}

#[cfg(not(target_arch = "x86_64"))]
fn marks(block: &[u8; BLOCK]) -> (u32, u32) {
    portable(block)
}

#[cfg(any(test, not(target_arch = "x86_64")))]
fn portable(block: &[u8; BLOCK]) -> (u32, u32) {
    let mask = |is: fn(u8) -> bool| {
        block.iter().rev().fold(0, |mask, byte| mask << 1 | u32::from(is(*byte)))
    };
    (mask(|byte| byte == b'"'), mask(|byte| byte == b'\\' || byte < 0x20))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::formats::apache::{Layout, parse_slowly};

    /// What is read here is read by the parent module, and as the same.
    fn agree(line: &str) -> bool {
        let read = read(line);
        if let Some(read) = &read {
            assert_eq!(parse_slowly(line, Layout::Combined).as_ref(), Ok(read), "{line}");
            let (texts, json) = (format!("{read:?}"), serde_json::to_string(line).unwrap());
            // Six quotes are escaped in the line, and nothing else.
            assert_eq!(json.len(), line.len() + 2 + QUOTES, "{texts}");
        }
        read.is_some()
    }

    #[test]
    fn usual_lines_are_read_here() {
        let cases = [
            (r#"h - - [10/Oct/2000:13:55:36 +0000] "GET / HTTP/1.1" 200 5 "-" "u""#, true),
            (r#"h - - [10/Oct/2000:13:55:36 +0000] "GET /a b HTTP/1.0" 304 - "é" "-""#, true),
            (r#"h i J. Doe [10/Oct/2000:13:55:36 +0000] "GET / HTTP/2" 200 5 "" """#, true),
            (r#"h - - [10/Oct/2000:13:55:36 +0000] "-" 408 0 "-" "-""#, true),
            (r#"h - [x] [10/Oct/2000:13:55:36 +0000] "GET / HTTP/1.1" 200 5 "-" "u""#, false),
            (r#"h - - [10/Oct/2000:13:55:36 +0000] "GET /\x41 HTTP/1.1" 200 5 "-" "u""#, false),
            (r#"h - "" [10/Oct/2000:13:55:36 +0000] "GET / HTTP/1.1" 200 5 "-" "u""#, false),
            (r#"h - - [10/Oct/2000:13:55:36 +0000] "GET / HTTP/1.1" 200 5 "-" "u" "#, false),
            (r#"h - - [10/Oct/2000:13:55:36 +0000] "GET / HTTP/1.1" 20 5 "-" "u""#, false),
            ("", false),
        ];
        for (line, usual) in cases {
            assert_eq!(agree(line), usual, "{line}");
        }
    }

    proptest! {
        #[test]
        fn the_ways_of_reading_agree(
            names in "[a-z.]{0,9}|h [-a\\[ ]{1,5}|h - -|\\PC{0,20}",
            request in "(GET|POST|g\"t|) ?/[a-z/?\\\\é\"]{0,24} ?(HTTP/1.1|HTTP/2|x|)|\\PC{0,20}",
            middle in " [0-9]{3} ([0-9]{1,20}|-)|\\PC{0,9}",
            texts in prop::collection::vec("[a-z (){};\t\"]{0,30}|-|\\PC{0,30}", 2),
            at in 0_usize..120,
            with: Option<char>,
        ) {
            let line = format!(
                "{names} [10/Oct/2000:13:55:36 +0000] \"{request}\"{middle} \"{}\" \"{}\"",
                texts[0], texts[1],
            );
            agree(&line);
            let damaged = line.chars().enumerate();
            let damaged: String =
                damaged.map(|(place, c)| with.filter(|_| place == at).unwrap_or(c)).collect();
            agree(&damaged);
        }

        #[test]
        fn the_marks_of_a_block_are_those_of_its_bytes(block: [u8; BLOCK], with in 0_usize..BLOCK) {
            let mut block = block;
            block[with] = b"\"\\\n"[with % 3];
            prop_assert_eq!(marks(&block), portable(&block));
        }
    }
}
