//! The lines of a file, or the rows of a table.

use std::collections::VecDeque;
use std::io::{self, BufRead, Read as _};

use super::READ_LIMIT_BYTES;

/// Lines that are looked at for the quote that closes: a row whose quote never does stays alone,
/// and does not take the rest of the file with it.
const ROW_LINES: usize = 64;

/// What a pipeline says of the rows that it reads.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rows {
    /// The first row names the columns of each record, so that every one begins with it.
    pub header: bool,
    /// A line break between quotes ends no row.
    pub quoted: bool,
}

/// Reads the rows of one file.
pub struct Lines<'i> {
    input: &'i mut dyn BufRead,
    rows: Rows,
    /// What was read ahead.
    waiting: VecDeque<Vec<u8>>,
    number: u64,
    /// What every record begins with.
    pub header: Vec<u8>,
}

impl<'i> Lines<'i> {
    pub fn new(input: &'i mut dyn BufRead, rows: Rows) -> Self {
        Self { input, rows, waiting: VecDeque::new(), number: 0, header: Vec::new() }
    }

    /// The next row with the number of its first line; none at the end. The header is not one.
    pub fn next(&mut self) -> io::Result<Option<(u64, Vec<u8>)>> {
        while let Some(row) = self.row()? {
            let blank = row.1.iter().all(u8::is_ascii_whitespace);
            match self.rows.header {
                true if blank => {}
                true if self.header.is_empty() => {
                    self.header = row.1;
                    if !self.header.ends_with(b"\n") {
                        self.header.push(b'\n');
                    }
                }
                _ => return Ok(Some(row)),
            }
        }
        Ok(None)
    }

    fn row(&mut self) -> io::Result<Option<(u64, Vec<u8>)>> {
        let Some(mut row) = self.line()? else { return Ok(None) };
        let first = self.number + 1;
        self.number += 1;
        let mut ahead = 0;
        let mut open = self.rows.quoted && is_open(&row);
        while open && ahead < ROW_LINES {
            if self.waiting.len() == ahead {
                let Some(line) = self.read()? else { break };
                self.waiting.push_back(line);
            }
            open ^= is_open(&self.waiting[ahead]);
            ahead += 1;
        }
        if !open {
            self.number += ahead as u64;
            self.waiting.drain(..ahead).for_each(|line| row.extend_from_slice(&line));
        }
        Ok(Some((first, row)))
    }

    fn line(&mut self) -> io::Result<Option<Vec<u8>>> {
        match self.waiting.pop_front() {
            Some(line) => Ok(Some(line)),
            None => self.read(),
        }
    }

    fn read(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        let read = (&mut *self.input).take(READ_LIMIT_BYTES).read_until(b'\n', &mut line)?;
        Ok((read > 0).then_some(line))
    }
}

/// Whether a quote is open at the end; one that is written twice closes and opens.
fn is_open(line: &[u8]) -> bool {
    line.iter().filter(|byte| **byte == b'"').count() % 2 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &str, rows: Rows) -> Vec<(u64, String)> {
        let mut input = text.as_bytes();
        let mut lines = Lines::new(&mut input, rows);
        let mut found = Vec::new();
        while let Some((number, row)) = lines.next().expect("memory can be read") {
            let row = [&lines.header[..], &row].concat();
            found.push((number, String::from_utf8(row).expect("it was text")));
        }
        found
    }

    /// A text, and its rows with the numbers of their lines.
    type Case = (&'static str, Rows, &'static [(u64, &'static str)]);

    #[test]
    fn lines_are_rows_where_the_pipeline_reads_tables() {
        let cases: [Case; 5] = [
            ("a\n\nb \"c\nd", Rows::default(), &[(1, "a\n"), (2, "\n"), (3, "b \"c\n"), (4, "d")]),
            (
                "a,\"b\n\"\"c\"\nd\n",
                Rows { header: false, quoted: true },
                &[(1, "a,\"b\n\"\"c\"\n"), (3, "d\n")],
            ),
            (
                "a\"\nb\nc",
                Rows { header: false, quoted: true },
                &[(1, "a\"\n"), (2, "b\n"), (3, "c")],
            ),
            (
                "\r\nid,n\r\n1,a\r\n\r\n2,\"b\r\nc\"",
                Rows { header: true, quoted: true },
                &[(3, "id,n\r\n1,a\r\n"), (5, "id,n\r\n2,\"b\r\nc\"")],
            ),
            ("id", Rows { header: true, quoted: true }, &[]),
        ];
        for (text, of, expected) in cases {
            let expected: Vec<_> =
                expected.iter().map(|(n, row)| (*n, (*row).to_owned())).collect();
            assert_eq!(rows(text, of), expected, "{text:?} {of:?}");
        }
        // A quote that never closes is looked for in so many lines and no more.
        let open = format!("\"\n{}", "x\n".repeat(3 * ROW_LINES));
        assert_eq!(rows(&open, Rows { header: false, quoted: true }).len(), 1 + 3 * ROW_LINES);
    }
}
