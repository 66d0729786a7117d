//! Lines, and lines that are joined to one record.

use std::time::Duration;

use jiff::Timestamp;
use memchr::memchr;
use regex_lite::Regex;

/// A line that is longer is cut here. No stream takes so much as one record.
pub const LINE_BYTES_MAX: usize = 16 << 20;

/// How long the last lines of a record wait for more of it, where lines are joined.
const JOIN_WAIT: Duration = Duration::from_secs(1);

/// A line, or several that belong together.
#[derive(Debug, PartialEq, Eq)]
pub struct Line<'l> {
    /// Which input, as an index.
    pub input: usize,
    /// Where it begins in the input.
    pub start: u64,
    /// Where it ends, its line end included.
    pub end: u64,
    /// The text without the line end.
    pub text: &'l [u8],
}

/// What is read of an input: lines, their texts one behind the other.
#[derive(Debug)]
pub struct Lines {
    input: usize,
    text: Vec<u8>,
    /// Where each begins and ends in the input, and where its text ends here.
    places: Vec<(u64, u64, usize)>,
}

impl Lines {
    /// None yet.
    pub const fn new(input: usize) -> Self {
        Self { input, text: Vec::new(), places: Vec::new() }
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// What is there; nothing is left.
    pub fn take(&mut self) -> Self {
        std::mem::replace(self, Self::new(self.input))
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = Line<'_>> {
        let mut from = 0;
        self.places.iter().map(move |&(start, end, to)| {
            let text = self.text.get(from..to).unwrap_or_default();
            from = to;
            Line { input: self.input, start, end, text }
        })
    }

    fn add(&mut self, start: u64, end: u64, text: &[u8]) {
        self.text.extend_from_slice(text);
        self.places.push((start, end, self.text.len()));
    }
}

/// Lines that are joined so far, and since when nothing came.
#[derive(Debug)]
struct Joined {
    start: u64,
    end: u64,
    text: Vec<u8>,
    since: Timestamp,
}

/// Takes bytes, gives lines.
#[derive(Debug)]
pub struct Splitter {
    /// Where the bytes at hand begin.
    at: u64,
    bytes: Vec<u8>,
    join: Option<Regex>,
    /// A record that may go on.
    joined: Option<Joined>,
}

impl Splitter {
    /// From a place of an input on.
    pub const fn new(at: u64, join: Option<Regex>) -> Self {
        Self { at, bytes: Vec::new(), join, joined: None }
    }

    /// Where the next bytes are read from.
    pub fn position(&self) -> u64 {
        self.at + self.bytes.len() as u64
    }

    /// Takes bytes and gives the lines that they end.
    pub fn take(&mut self, bytes: &[u8], now: Timestamp, lines: &mut Lines) {
        let mut rest = bytes;
        while let Some(end) = memchr(b'\n', rest) {
            let (line, after) = rest.split_at(end + 1);
            rest = after;
            if self.has_rest() {
                self.bytes.extend_from_slice(line);
                self.rest(now, lines);
            } else {
                self.line(line, now, lines);
            }
        }
        self.bytes.extend_from_slice(rest);
        if self.bytes.len() >= LINE_BYTES_MAX {
            self.rest(now, lines);
        }
    }

    /// Whether the last line has no end yet.
    pub fn has_rest(&self) -> bool {
        !self.bytes.is_empty()
    }

    /// The input has ended: what is at hand is the last line.
    pub fn end(&mut self, now: Timestamp, lines: &mut Lines) {
        if self.has_rest() {
            self.rest(now, lines);
        }
        self.stop(lines);
    }

    /// The input is interrupted within a line: only what is joined so far is whole.
    pub fn stop(&mut self, lines: &mut Lines) {
        if let Some(Joined { start, end, text, .. }) = self.joined.take() {
            lines.add(start, end, &text);
        }
    }

    /// Gives a joined record that has waited long enough.
    pub fn tick(&mut self, now: Timestamp, lines: &mut Lines) {
        let waited = |since: Timestamp| now.duration_since(since).unsigned_abs() >= JOIN_WAIT;
        if !self.has_rest() && self.joined.as_ref().is_some_and(|joined| waited(joined.since)) {
            self.stop(lines);
        }
    }

    /// The bytes at hand are a line.
    fn rest(&mut self, now: Timestamp, lines: &mut Lines) {
        let mut bytes = std::mem::take(&mut self.bytes);
        self.line(&bytes, now, lines);
        bytes.clear();
        self.bytes = bytes;
    }

    fn line(&mut self, whole: &[u8], now: Timestamp, lines: &mut Lines) {
        let (start, end) = (self.at, self.at + whole.len() as u64);
        self.at = end;
        let text = whole.strip_suffix(b"\n").unwrap_or(whole);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        let Some(begins) = &self.join else {
            lines.add(start, end, text);
            return;
        };
        let is_first = begins.is_match(&String::from_utf8_lossy(text));
        match &mut self.joined {
            Some(open) if !is_first && open.text.len() + text.len() < LINE_BYTES_MAX => {
                open.text.push(b'\n');
                open.text.extend_from_slice(text);
                open.end = end;
                open.since = now;
            }
            _ => {
                self.stop(lines);
                self.joined = Some(Joined { start, end, text: text.to_vec(), since: now });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(join: Option<&str>, chunks: &[&str]) -> Vec<(String, u64, u64)> {
        let join = join.map(|pattern| Regex::new(pattern).unwrap());
        let mut splitter = Splitter::new(0, join);
        let mut lines = Lines::new(0);
        for chunk in chunks {
            splitter.take(chunk.as_bytes(), Timestamp::UNIX_EPOCH, &mut lines);
        }
        splitter.end(Timestamp::UNIX_EPOCH, &mut lines);
        let text =
            |line: Line| (String::from_utf8(line.text.to_vec()).unwrap(), line.start, line.end);
        lines.iter().map(text).collect()
    }

    #[test]
    fn every_byte_is_of_one_line() {
        let stack = "at a\nERROR one\n  at b\n  at c\nINFO two\n";
        // pattern, input, lines
        let cases: [(Option<&str>, &str, &[&str]); 4] = [
            (None, "a\r\n\nb", &["a", "", "b"]),
            (None, "", &[]),
            (Some("^[A-Z]+ "), stack, &["at a", "ERROR one\n  at b\n  at c", "INFO two"]),
            (Some("^x"), "y\nz", &["y\nz"]),
        ];
        for (join, input, expected) in cases {
            let bytes: Vec<String> = input.chars().map(String::from).collect();
            let single: Vec<&str> = bytes.iter().map(String::as_str).collect();
            let whole = split(join, &[input]);
            assert_eq!(whole, split(join, &single), "{input:?}");
            let texts: Vec<_> = whole.iter().map(|(text, ..)| text.as_str()).collect();
            assert_eq!(texts, expected);
            let mut at = 0;
            for (_, start, end) in &whole {
                assert_eq!(*start, at);
                at = *end;
            }
            assert_eq!(at, input.len() as u64);
        }
    }

    #[test]
    fn a_joined_record_waits_for_more_and_then_goes() {
        let mut splitter = Splitter::new(0, Some(Regex::new("^E").unwrap()));
        let (start, mut lines) = (Timestamp::UNIX_EPOCH, Lines::new(0));
        splitter.take(b"E 1\n at\n", start, &mut lines);
        splitter.tick(start, &mut lines);
        assert!(lines.is_empty());
        splitter.tick(start + JOIN_WAIT, &mut lines);
        assert_eq!(lines.iter().count(), 1);
    }
}
