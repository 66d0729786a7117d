//! Lines, and lines that are joined to one record.

use std::time::Duration;

use jiff::Timestamp;
use regex_lite::Regex;

/// A line that is longer is cut here. No stream takes so much as one record.
pub const LINE_BYTES_MAX: usize = 16 << 20;

/// How long the last lines of a record wait for more of it, where lines are joined.
const JOIN_WAIT: Duration = Duration::from_secs(1);

/// What is read: a line, or several that belong together.
#[derive(Debug, PartialEq, Eq)]
pub struct Line {
    /// Which input, as an index.
    pub input: usize,
    /// Where it begins in the input.
    pub start: u64,
    /// Where it ends, its line end included.
    pub end: u64,
    /// The text without the line end.
    pub text: Vec<u8>,
}

/// Takes bytes, gives lines.
#[derive(Debug)]
pub struct Splitter {
    input: usize,
    /// Where the bytes at hand begin.
    at: u64,
    bytes: Vec<u8>,
    join: Option<Regex>,
    /// A record that may go on, and since when it waits.
    joined: Option<(Line, Timestamp)>,
}

impl Splitter {
    /// From a place of an input on.
    pub const fn new(input: usize, at: u64, join: Option<Regex>) -> Self {
        Self { input, at, bytes: Vec::new(), join, joined: None }
    }

    /// Where the next bytes are read from.
    pub fn position(&self) -> u64 {
        self.at + self.bytes.len() as u64
    }

    /// Takes bytes and gives the lines that they end.
    pub fn take(&mut self, bytes: &[u8], now: Timestamp, lines: &mut Vec<Line>) {
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            self.bytes.extend_from_slice(&rest[..=end]);
            rest = &rest[end + 1..];
            self.line(now, lines);
        }
        self.bytes.extend_from_slice(rest);
        if self.bytes.len() >= LINE_BYTES_MAX {
            self.line(now, lines);
        }
    }

    /// Whether the last line has no end yet.
    pub fn has_rest(&self) -> bool {
        !self.bytes.is_empty()
    }

    /// The input has ended: what is at hand is the last line.
    pub fn end(&mut self, now: Timestamp, lines: &mut Vec<Line>) {
        if self.has_rest() {
            self.line(now, lines);
        }
        self.stop(lines);
    }

    /// The input is interrupted within a line: only what is joined so far is whole.
    pub fn stop(&mut self, lines: &mut Vec<Line>) {
        lines.extend(self.joined.take().map(|(line, _)| line));
    }

    /// Gives a joined record that has waited long enough.
    pub fn tick(&mut self, now: Timestamp, lines: &mut Vec<Line>) {
        let waited = |since: Timestamp| now.duration_since(since).unsigned_abs() >= JOIN_WAIT;
        if !self.has_rest() && self.joined.as_ref().is_some_and(|(_, since)| waited(*since)) {
            lines.extend(self.joined.take().map(|(line, _)| line));
        }
    }

    fn line(&mut self, now: Timestamp, lines: &mut Vec<Line>) {
        let whole = std::mem::take(&mut self.bytes);
        let (start, end) = (self.at, self.at + whole.len() as u64);
        self.at = end;
        let text = whole.strip_suffix(b"\n").unwrap_or(&whole);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        let line = Line { input: self.input, start, end, text: text.to_vec() };
        let Some(begins) = &self.join else {
            lines.push(line);
            return;
        };
        let is_first = begins.is_match(&String::from_utf8_lossy(&line.text));
        match &mut self.joined {
            Some((open, since))
                if !is_first && open.text.len() + line.text.len() < LINE_BYTES_MAX =>
            {
                open.text.push(b'\n');
                open.text.extend_from_slice(&line.text);
                open.end = line.end;
                *since = now;
            }
            joined => lines.extend(joined.replace((line, now)).map(|(line, _)| line)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(join: Option<&str>, chunks: &[&str]) -> Vec<(String, u64, u64)> {
        let join = join.map(|pattern| Regex::new(pattern).unwrap());
        let mut splitter = Splitter::new(0, 0, join);
        let mut lines = Vec::new();
        for chunk in chunks {
            splitter.take(chunk.as_bytes(), Timestamp::UNIX_EPOCH, &mut lines);
        }
        splitter.end(Timestamp::UNIX_EPOCH, &mut lines);
        let text = |line: Line| (String::from_utf8(line.text).unwrap(), line.start, line.end);
        lines.into_iter().map(text).collect()
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
        let mut splitter = Splitter::new(0, 0, Some(Regex::new("^E").unwrap()));
        let (start, mut lines) = (Timestamp::UNIX_EPOCH, Vec::new());
        splitter.take(b"E 1\n at\n", start, &mut lines);
        splitter.tick(start, &mut lines);
        assert!(lines.is_empty());
        splitter.tick(start + JOIN_WAIT, &mut lines);
        assert_eq!(lines.len(), 1);
    }
}
