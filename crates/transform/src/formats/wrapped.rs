//! Entries of access logs that go over several lines, as old servers wrote them when a request held
//! a line break.

use std::borrow::Cow;

use super::lines;

/// More lines than a request was ever wrapped into.
const LINES_LIMIT: usize = 8;

/// The entries of a record: a line with an open quote goes on up to the line that closes it. Where
/// the next quote belongs to an entry of its own, the open one was cut off, and stays alone.
pub(crate) fn entries(data: &[u8]) -> impl Iterator<Item = Cow<'_, [u8]>> {
    let mut lines = lines(data).peekable();
    std::iter::from_fn(move || {
        let first = lines.next()?;
        if !is_open(first) {
            return Some(Cow::Borrowed(first));
        }
        let ahead: Vec<_> = lines.clone().take(LINES_LIMIT).collect();
        let quoted = ahead.iter().position(|line| quotes(line) > 0);
        let Some(last) = quoted.filter(|at| is_open(ahead[*at])) else {
            return Some(Cow::Borrowed(first));
        };
        let mut entry = first.to_vec();
        for line in lines.by_ref().take(last + 1) {
            append(&mut entry, line);
        }
        Some(Cow::Owned(entry))
    })
}

/// A record that is one entry over several lines, as one line.
pub(crate) fn whole(data: &[u8]) -> Option<Vec<u8>> {
    let mut lines = lines(data);
    let mut entry = lines.next()?.to_vec();
    let before = entry.len();
    lines.for_each(|line| append(&mut entry, line));
    (entry.len() > before).then_some(entry)
}

/// The line break is written as servers do today, which the reader of the format understands.
fn append(entry: &mut Vec<u8>, line: &[u8]) {
    if entry.last() == Some(&b'\r') {
        entry.pop();
    }
    entry.extend_from_slice(b"\\n");
    entry.extend_from_slice(line);
}

fn is_open(line: &[u8]) -> bool {
    quotes(line) % 2 == 1
}

/// The quotes of a line, those that are escaped left out.
fn quotes(line: &[u8]) -> usize {
    let mut escaped = false;
    let mut count = 0;
    for byte in line {
        if escaped {
            escaped = false;
        } else if *byte == b'\\' {
            escaped = true;
        } else if *byte == b'"' {
            count += 1;
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrapped_request_is_one_entry_and_a_cut_one_stays_alone() {
        let cases: &[(&str, &[&str])] = &[
            ("a \"b\" c\nd \"e\" f\n", &["a \"b\" c", "d \"e\" f"]),
            ("a \"b\r\nc\" d\ne \"f\" g", &["a \"b\\nc\" d", "e \"f\" g"]),
            ("a \"b\nc\nd\" e", &["a \"b\\nc\\nd\" e"]),
            ("a \"b\nc \"d\" e\nf", &["a \"b", "c \"d\" e", "f"]),
            ("a \"b\\\"\" c\nd", &["a \"b\\\"\" c", "d"]),
            ("a \"b", &["a \"b"]),
        ];
        for (data, expected) in cases {
            let found: Vec<_> = entries(data.as_bytes()).collect();
            let found: Vec<_> = found.iter().map(|e| std::str::from_utf8(e).unwrap()).collect();
            assert_eq!(found, *expected, "{data:?}");
        }
        assert_eq!(whole(b"a \"b\nc\"\n"), Some(b"a \"b\\nc\"".to_vec()));
        assert_eq!(whole(b"a\n"), None);
        assert_eq!(whole(b""), None);
    }
}
