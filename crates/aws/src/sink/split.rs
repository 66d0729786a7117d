//! Entries into requests: no larger and no more than a service takes.

use std::collections::HashSet;

/// What one request may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Entries.
    pub entries: usize,
    /// Their bytes together.
    pub bytes: usize,
}

/// An entry, for what it takes of a request.
#[derive(Debug, Clone, Copy)]
pub struct Piece<'a> {
    /// Bytes, as the service counts them.
    pub bytes: usize,
    /// What no other entry of a request may have too.
    pub key: Option<&'a str>,
}

/// Cuts a row of pieces into requests, each as long as it can be, in their order. Each is a range of
/// the row's places. A piece that is too large for any is alone.
pub fn split(pieces: &[Piece<'_>], limits: Limits) -> Vec<std::ops::Range<usize>> {
    let (mut requests, mut first, mut bytes) = (Vec::new(), 0, 0);
    let mut keys = HashSet::new();
    for (index, piece) in pieces.iter().enumerate() {
        let full = index - first >= limits.entries.max(1) || bytes + piece.bytes > limits.bytes;
        let twice = piece.key.is_some_and(|key| keys.contains(key));
        if index > first && (full || twice) {
            requests.push(first..index);
            (first, bytes) = (index, 0);
            keys.clear();
        }
        bytes += piece.bytes;
        keys.extend(piece.key);
    }
    if first < pieces.len() {
        requests.push(first..pieces.len());
    }
    requests
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pieces with their bytes and keys, and how many of them each request has.
    type Case = (&'static [(usize, &'static str)], &'static [usize]);

    #[test]
    fn requests_are_full_and_no_fuller() {
        let limits = Limits { entries: 3, bytes: 10 };
        let cases: [Case; 7] = [
            (&[], &[]),
            (&[(1, "")], &[1]),
            (&[(1, ""); 7], &[3, 3, 1]),
            (&[(5, ""), (5, ""), (1, "")], &[2, 1]),
            (&[(11, ""), (1, ""), (99, ""), (99, "")], &[1, 1, 1, 1]),
            (&[(1, "a"), (1, "b"), (1, "a"), (1, "b")], &[2, 2]),
            (&[(1, "a"), (1, "a"), (1, "b")], &[1, 2]),
        ];
        for (pieces, expected) in cases {
            let pieces: Vec<_> = pieces
                .iter()
                .map(|(bytes, key)| Piece {
                    bytes: *bytes,
                    key: Some(*key).filter(|key| !key.is_empty()),
                })
                .collect();
            let requests = split(&pieces, limits);
            let lengths: Vec<_> = requests.iter().map(ExactSizeIterator::len).collect();
            assert_eq!(lengths, expected, "{pieces:?}");
            assert!(requests.iter().flat_map(Clone::clone).eq(0..pieces.len()), "{requests:?}");
        }
    }
}
