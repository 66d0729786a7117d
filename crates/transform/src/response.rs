//! Firehose's response, written into one buffer whose length is known at every step.
//!
//! Every record that has not been answered yet keeps room for its shortest answer, so that the
//! limit holds whatever the records before it turned into.

use crate::base64;

/// The most that Lambda returns to a synchronous caller: 6 MB, enforced as this many bytes
/// (Lambda API Reference, "Invoke", 2026-11).
pub const RESPONSE_LIMIT_BYTES: usize = 6_291_556;

const BEGIN: &[u8] = b"{\"records\":[";
const END: &[u8] = b"]}";
const ID: &[u8] = b"{\"recordId\":";
const OK: &[u8] = b",\"result\":\"Ok\",\"data\":\"";
const OK_END: &[u8] = b"\"}";
const METADATA: &[u8] = b"\",\"metadata\":";
const DROPPED: &[u8] = b",\"result\":\"Dropped\"}";
const FAILED: &[u8] = b",\"result\":\"ProcessingFailed\"}";

/// A response in the making. Ids are written as the request wrote them, quotes included.
pub(crate) struct Response<'o> {
    out: &'o mut Vec<u8>,
    limit: usize,
    /// What the shortest answers of the records to come take, each with the comma before it.
    reserved: usize,
}

impl<'o> Response<'o> {
    /// Begins the response to the records with these ids.
    pub(crate) fn begin<'a>(
        out: &'o mut Vec<u8>,
        limit: usize,
        ids: impl Iterator<Item = &'a [u8]>,
    ) -> Self {
        out.clear();
        out.extend_from_slice(BEGIN);
        Self { out, limit, reserved: ids.map(shortest).sum() }
    }

    /// Turns to the next record: the room kept for it is free to be used.
    pub(crate) fn next(&mut self, id: &[u8]) {
        self.reserved -= shortest(id);
    }

    /// Answers `Ok` with the data, and with metadata in JSON unless that is empty; `false`, and
    /// nothing is written, when that does not fit.
    #[must_use]
    pub(crate) fn ok(&mut self, id: &[u8], data: &[u8], metadata: &[u8]) -> bool {
        let base64 = base64::encoded_len(data.len());
        let end =
            if metadata.is_empty() { OK_END.len() } else { METADATA.len() + metadata.len() + 1 };
        let len = ID.len() + id.len() + OK.len() + base64 + end;
        if !self.fits(len + self.reserved) {
            return false;
        }
        self.item(&[ID, id, OK]);
        base64::encode(data, self.out);
        if metadata.is_empty() {
            self.out.extend_from_slice(OK_END);
        } else {
            [METADATA, metadata, b"}"].iter().for_each(|part| self.out.extend_from_slice(part));
        }
        true
    }

    /// Answers `Dropped`; `false` when not even that fits.
    #[must_use]
    pub(crate) fn dropped(&mut self, id: &[u8]) -> bool {
        self.short(id, DROPPED)
    }

    /// Answers `ProcessingFailed`; `false` when not even that fits. That takes a request whose
    /// records are shorter than their shortest answers, which Firehose's never are.
    #[must_use]
    pub(crate) fn failed(&mut self, id: &[u8]) -> bool {
        self.short(id, FAILED)
    }

    /// Its length so far: where the last answer ends.
    pub(crate) fn len(&self) -> usize {
        self.out.len()
    }

    /// Whether such an answer fits a response that holds no other.
    pub(crate) fn fits_alone(&self, id: &[u8], data: usize, metadata: usize) -> bool {
        alone(id, data, metadata) <= self.limit
    }

    /// Ends the response.
    pub(crate) fn end(self) {
        self.out.extend_from_slice(END);
    }

    fn short(&mut self, id: &[u8], result: &[u8]) -> bool {
        let fits = self.fits(ID.len() + id.len() + result.len());
        if fits {
            self.item(&[ID, id, result]);
        }
        fits
    }

    fn fits(&self, len: usize) -> bool {
        self.out.len() + self.comma() + len + END.len() <= self.limit
    }

    fn comma(&self) -> usize {
        usize::from(self.out.len() > BEGIN.len())
    }

    fn item(&mut self, parts: &[&[u8]]) {
        if self.comma() == 1 {
            self.out.push(b',');
        }
        parts.iter().for_each(|part| self.out.extend_from_slice(part));
    }
}

/// The length of a response that is nothing but an `Ok` with so many bytes of data and of metadata.
pub(crate) fn alone(id: &[u8], data: usize, metadata: usize) -> usize {
    let base64 = base64::encoded_len(data);
    let end = if metadata == 0 { OK_END.len() } else { METADATA.len() + metadata + 1 };
    BEGIN.len() + ID.len() + id.len() + OK.len() + base64 + end + END.len()
}

/// Turns the failure that ends at `end` into `Dropped`, in its place: what is shorter is filled up
/// with white space.
pub(crate) fn failed_into_dropped(response: &mut [u8], end: usize) {
    let Some(start) = end.checked_sub(FAILED.len()) else { return };
    if let Some(place) = response.get_mut(start..end).filter(|place| *place == FAILED) {
        let (dropped, rest) = place.split_at_mut(DROPPED.len());
        dropped.copy_from_slice(DROPPED);
        rest.fill(b' ');
    }
}

/// The shortest answer that says that a record failed, with the comma before it.
fn shortest(id: &[u8]) -> usize {
    1 + ID.len() + id.len() + FAILED.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers each id with `Ok` and the data when it fits, and with `ProcessingFailed` otherwise.
    fn answer(limit: usize, metadata: &[u8], answers: &[(&str, &[u8])]) -> (String, usize) {
        let mut out = b"left over".to_vec();
        let ids = answers.iter().map(|(id, _)| id.as_bytes());
        let mut response = Response::begin(&mut out, limit, ids);
        let mut unanswered = 0;
        for (id, data) in answers {
            let id = id.as_bytes();
            response.next(id);
            if !response.ok(id, data, metadata) && !response.failed(id) {
                unanswered += 1;
            }
        }
        response.end();
        (String::from_utf8(out).unwrap(), unanswered)
    }

    #[test]
    fn the_limit_is_met_to_the_byte() {
        let answers: &[(&str, &[u8])] = &[("\"a\"", b"12345"), ("\"b\\n\"", b"1")];
        let both = r#"{"records":[{"recordId":"a","result":"Ok","data":"MTIzNDU="},{"recordId":"b\n","result":"Ok","data":"MQ=="}]}"#;
        let first = r#"{"records":[{"recordId":"a","result":"Ok","data":"MTIzNDU="},{"recordId":"b\n","result":"ProcessingFailed"}]}"#;
        let second = r#"{"records":[{"recordId":"a","result":"ProcessingFailed"},{"recordId":"b\n","result":"Ok","data":"MQ=="}]}"#;
        let neither = r#"{"records":[{"recordId":"a","result":"ProcessingFailed"},{"recordId":"b\n","result":"ProcessingFailed"}]}"#;
        assert_eq!(answer(usize::MAX, b"", answers), (both.to_owned(), 0));
        for limit in neither.len()..=both.len() + 1 {
            let (response, unanswered) = answer(limit, b"", answers);
            assert!(response.len() <= limit, "{limit}: {response}");
            assert_eq!(unanswered, 0, "{limit}");
            // The first answer takes what it needs as long as the rest can still be said to fail.
            let expected = match limit {
                _ if limit >= first.len().max(both.len()) => both,
                _ if limit >= first.len() => first,
                _ if limit >= second.len() => second,
                _ => neither,
            };
            assert_eq!(response, expected, "{limit}");
        }
    }

    #[test]
    fn metadata_is_counted_too() {
        let answers: &[(&str, &[u8])] = &[("\"a\"", b"1")];
        let whole =
            r#"{"records":[{"recordId":"a","result":"Ok","data":"MQ==","metadata":{"k":1}}]}"#;
        let failed = r#"{"records":[{"recordId":"a","result":"ProcessingFailed"}]}"#;
        assert_eq!(answer(whole.len(), b"{\"k\":1}", answers).0, whole);
        assert_eq!(answer(whole.len() - 1, b"{\"k\":1}", answers).0, failed);
    }

    #[test]
    fn without_room_for_the_shortest_answers_the_last_ones_are_missing() {
        let (response, unanswered) = answer(60, b"", &[("\"a\"", b""), ("\"b\"", b"")]);
        assert_eq!(response, r#"{"records":[{"recordId":"a","result":"ProcessingFailed"}]}"#);
        assert_eq!(unanswered, 1);
        assert_eq!(answer(14, b"", &[("\"a\"", b"")]), (r#"{"records":[]}"#.to_owned(), 1));
    }
}
