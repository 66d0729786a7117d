//! Lines as nearly all are: combined, in ASCII, and without escapes. One pass finds the quotes, and whether
//! there is anything else that has to be looked at closely.
//!
//! What is not such a line is left to the parent module, which also says what is wrong with it; a
//! test holds the two against each other.

use std::ops::Range;

use super::{AccessLine, Request, Text, is_method};
use crate::formats::time::{LOG_TIME_LEN, Minute};

/// The quotes of a combined line.
const QUOTES: usize = 6;

/// What comes before the first quote: a space, the time in its brackets, and a space.
const TIME_LEN: usize = LOG_TIME_LEN + 4;

/// A line that was found to be ASCII.
#[derive(Clone, Copy)]
struct Ascii<'a>(&'a [u8]);

impl<'a> Ascii<'a> {
    fn get(self, range: Range<usize>) -> Option<&'a str> {
        let part = self.0.get(range)?;
        #[expect(unsafe_code, reason = "each part of a line would be looked at again")]
        // SAFETY: every part of ASCII is UTF-8.
        Some(unsafe { str::from_utf8_unchecked(part) })
    }

    fn get_or_dash(self, range: Range<usize>) -> Option<Option<Text<'a>>> {
        self.get(range).map(optional)
    }
}

/// Reads a line whose texts all stand as they are, in the line and in JSON.
#[inline(always)]
pub(super) fn read<'a>(bytes: &'a [u8], minute: &mut Minute) -> Option<AccessLine<'a>> {
    let [from, to, referer, referer_end, agent, agent_end] = quotes(bytes)?;
    let line = Ascii(bytes);
    let head = bytes.get(..from.checked_sub(TIME_LEN)?)?;
    let [b' ', b'[', time @ .., b']', b' '] = bytes.get(head.len()..from)? else { return None };
    let (client, names) = match head {
        [client @ .., b' ', b'-', b' ', b'-'] if !client.contains(&b' ') => (client.len(), None),
        _ => {
            let space = memchr::memchr(b' ', head)?;
            (space, Some(names_of(line.get(space + 1..head.len())?)?))
        }
    };
    let (ident, user) = names.unwrap_or_default();
    // Between the request and the referer: ` 200 2326 `.
    let [b' ', a, b, c, b' ', size @ .., b' '] = bytes.get(to + 1..referer)? else { return None };
    let apart = bytes.get(referer_end + 1..agent)? == b" " && agent_end + 1 == bytes.len();
    if client == 0 || !apart {
        return None;
    }
    Some(AccessLine {
        client: line.get(0..client)?,
        ident,
        user,
        time: minute.parse(time)?,
        request: request(line, from + 1..to)?,
        status: u16::try_from(number(&[*a, *b, *c])?).ok()?,
        bytes: if size == b"-" { None } else { Some(number(size)?) },
        referer: line.get_or_dash(referer + 1..referer_end)?,
        user_agent: line.get_or_dash(agent + 1..agent_end)?,
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

#[inline(always)]
fn request(line: Ascii<'_>, range: Range<usize>) -> Option<Request<'_>> {
    let bytes = line.0.get(range.clone())?;
    let method = match bytes {
        [b'G', b'E', b'T', b' ', ..] => Some(3),
        _ => bytes.iter().position(|byte| *byte == b' '),
    };
    let (Some(method), Some((before, protocol))) = (method, bytes.split_last_chunk::<9>()) else {
        return line.get(range).map(Request::split);
    };
    let [version @ .., minor] = protocol;
    let (target, end) = (range.start + method + 1, range.start + before.len());
    if version != b" HTTP/1." || !minor.is_ascii_digit() || target >= end {
        return line.get(range).map(Request::split);
    }
    let method = line.get(range.start..target - 1)?;
    if !is_method(method) {
        return line.get(range).map(Request::split);
    }
    let (path, protocol) = (line.get(target..end)?, line.get(end + 1..range.end)?);
    Some(Request::Split { method, path: Text::plain(path), protocol })
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
/// nor a byte that JSON does not hold as it is, nor one outside of ASCII.
fn quotes(line: &[u8]) -> Option<[usize; QUOTES]> {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        #[expect(unsafe_code, reason = "AVX2 is taken for absent unless it is said")]
        // SAFETY: the processor has AVX2.
        return unsafe { avx2::quotes(line) };
    }
    portable(line)
}

fn portable(line: &[u8]) -> Option<[usize; QUOTES]> {
    let mut places = Places::default();
    for (at, byte) in line.iter().enumerate() {
        match byte {
            b'"' => places.add(at),
            b'\\' | ..0x20 | 0x80.. => return None,
            _ => {}
        }
    }
    places.all()
}

/// Where the quotes are. After more than there is room for, the first are written over.
#[derive(Default)]
struct Places {
    at: [usize; 8],
    found: usize,
}

impl Places {
    #[inline(always)]
    fn add(&mut self, at: usize) {
        self.at[self.found % 8] = at;
        self.found += 1;
    }

    fn all(self) -> Option<[usize; QUOTES]> {
        self.at.first_chunk().filter(|_| self.found == QUOTES).copied()
    }
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::*;

    use super::{Places, QUOTES};

    /// Lines are looked at in blocks of so many bytes, of which each is a bit of a mask.
    const BLOCK: usize = 32;

    #[target_feature(enable = "avx2")]
    pub(super) fn quotes(line: &[u8]) -> Option<[usize; QUOTES]> {
        let mut places = Places::default();
        let mut odd = _mm256_setzero_si256();
        let (blocks, rest) = line.as_chunks::<BLOCK>();
        for (number, block) in blocks.iter().enumerate() {
            let (mask, other) = marks(block);
            odd = _mm256_or_si256(odd, other);
            add(&mut places, number * BLOCK, mask);
        }
        if !rest.is_empty() {
            // The last block overlaps the one before it; what that one saw is not seen twice.
            let (mask, other) = marks(line.last_chunk()?);
            odd = _mm256_or_si256(odd, other);
            add(&mut places, line.len() - BLOCK, mask & u32::MAX << (BLOCK - rest.len()));
        }
        if _mm256_movemask_epi8(odd) == 0 { places.all() } else { None }
    }

    #[inline(always)]
    fn add(places: &mut Places, from: usize, mut mask: u32) {
        while mask != 0 {
            places.add(from + mask.trailing_zeros() as usize);
            mask &= mask - 1;
        }
    }

    /// A bit for each quote of a block, and ones where it holds backslashes, control characters, or
    /// what is no ASCII.
    #[target_feature(enable = "avx2")]
    #[expect(unsafe_code, reason = "vectors are loaded through pointers")]
    fn marks(block: &[u8; BLOCK]) -> (u32, __m256i) {
        // SAFETY: there are as many bytes as are read, and they may lie anywhere.
        let bytes = unsafe { _mm256_loadu_si256(block.as_ptr().cast()) };
        let quotes = _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(b'"' as i8));
        let escapes = _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(b'\\' as i8));
        // Read as a signed number, what is no ASCII is below the control characters.
        let others = _mm256_cmpgt_epi8(_mm256_set1_epi8(0x20), bytes);
        (_mm256_movemask_epi8(quotes) as u32, _mm256_or_si256(escapes, others))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::formats::apache::{Layout, parse_slowly};

    /// What is read here is read by the parent module, and as the same.
    fn agree(line: &str) -> bool {
        let read = read(line.as_bytes(), &mut Minute::default());
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
            (r#"h - - [10/Oct/2000:13:55:36 +0000] "GET /a b HTTP/1.0" 304 - "e" "-""#, true),
            (r#"h - - [10/Oct/2000:13:55:36 +0000] "GET /a b HTTP/1.0" 304 - "é" "-""#, false),
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
        fn quotes_are_found_wherever_they_are(
            line in "[a-z]{0,40}(\"[a-zé ]{0,40}){5,7}",
            odd in prop::option::of((any::<prop::sample::Index>(), "[\\\\\n\t\"\x00-\x20]")),
        ) {
            let mut line = line.into_bytes();
            if let Some((place, odd)) = odd {
                let place = place.index(line.len());
                line[place] = odd.as_bytes()[0];
            }
            prop_assert_eq!(quotes(&line), portable(&line));
        }
    }
}
