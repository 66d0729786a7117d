//! What became of each record, and why: every record ends in exactly one counted outcome.

use std::collections::BTreeMap;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

/// What became of one record.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was converted.
    Ok,
    /// A filter left it out: Firehose forgets it, so the counter is its only trace.
    Dropped(Reason),
    /// It could not be converted: Firehose keeps it under the error prefix.
    ProcessingFailed(Reason),
}

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)+) => {
        /// Why a record was dropped or failed: the same word in logs, metrics and documents.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Reason {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Reason {
            /// Every reason.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The stable word.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }
    };
}

reasons! {
    /// Dropped: the expression of a `keep` step was false.
    NotKept = "not_kept",
    /// Dropped: the expression of a `drop` step was true.
    DropStep = "drop_step",
    /// Dropped: the `sample` step keeps other records.
    NotSampled = "not_sampled",
    /// Dropped: the line names the columns of those after it.
    Header = "header",
    /// Dropped: CloudWatch Logs only looked whether the destination can be reached.
    ControlMessage = "control_message",
    /// Dropped: the envelope holds no events.
    NoEvents = "no_events",
    /// Dropped: the converted record did not fit the response, and was put back to come again.
    Reingested = "reingested",
    /// The record is no object with a string `recordId`, so it cannot be answered.
    NoRecordId = "no_record_id",
    /// An earlier record of the request has the same `recordId`, which can be answered only once.
    DuplicateRecordId = "duplicate_record_id",
    /// The record has no string `data`.
    NoData = "no_data",
    /// `data` is not base64.
    BadBase64 = "bad_base64",
    /// There is nothing in `data`.
    Empty = "empty",
    /// The record begins like gzip and is not.
    BadGzip = "bad_gzip",
    /// Decompressed, the record is longer than any response.
    TooLarge = "too_large",
    /// The record is no envelope of a subscription to CloudWatch Logs.
    BadEnvelope = "bad_envelope",
    /// The record is an aggregate of the Kinesis Producer Library that cannot be read.
    BadAggregate = "bad_aggregate",
    /// Of several inputs none can read it.
    NoInput = "no_input",
    /// The line is not UTF-8.
    NotUtf8 = "not_utf8",
    /// The line ends, or goes on with something else, where a field should begin.
    MissingField = "missing_field",
    /// The input's regular expression does not match.
    NoMatch = "no_match",
    /// The line ends within quotes.
    UnclosedQuote = "unclosed_quote",
    /// The timestamp cannot be read.
    BadTime = "bad_time",
    /// The status is not three digits.
    BadStatus = "bad_status",
    /// The size is neither a number nor `-`.
    BadBytes = "bad_bytes",
    /// The line goes on after its last field.
    TrailingBytes = "trailing_bytes",
    /// The record is not a JSON object.
    NotJson = "not_json",
    /// The record has more fields than a table has columns.
    TooManyFields = "too_many_fields",
    /// A field is not of the kind that the pipeline declares.
    BadField = "bad_field",
    /// A field cannot be turned into the kind that a `cast` step names.
    Cast = "cast",
    /// The expression of a `set` step has no answer for this record, or one that no field can hold.
    Set = "set",
    /// A `lookup` step found no row, and must.
    NotInTable = "not_in_table",
    /// The output's metadata needs a field that the record lacks.
    NoMetadata = "no_metadata",
    /// The events of one record belong to different partitions or tables.
    MixedMetadata = "mixed_metadata",
    /// A filter's expression has no answer for this record, or one that is not true or false.
    Filter = "filter",
    /// The engine panicked on this record.
    Panic = "panic",
    /// The converted record did not fit the response.
    ResponseFull = "response_full",
    /// The converted record did not fit the response, as often before.
    ReingestLimit = "reingest_limit",
}

/// What became of the records of one request, or, added up, of many.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Report {
    /// Records in the request; always `ok + dropped + processing_failed`.
    pub handed: u64,
    /// Records that were converted.
    pub ok: u64,
    /// Records that a filter left out.
    pub dropped: u64,
    /// Records that could not be converted.
    pub processing_failed: u64,
    /// Of the failed ones, those that the response does not name, because they have no `recordId`
    /// of their own or because the response is full of answers. Firehose files a record without an
    /// answer under the error prefix.
    pub unanswered: u64,
    /// Events found in the records: as many, unless a record holds several.
    pub events: u64,
    /// Lines of JSON in the response.
    pub rows: u64,
    /// Events by the input that read them, when the pipeline has several.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub inputs: BTreeMap<String, u64>,
    /// Converted records that lack their place because the database could not be read there.
    pub geoip_errors: u64,
    /// The length of the response in bytes.
    pub response_bytes: u64,
    /// Dropped and failed records by reason.
    pub reasons: Reasons,
}

impl Report {
    pub(crate) fn count(&mut self, outcome: Outcome) {
        self.handed += 1;
        match outcome {
            Outcome::Ok => self.ok += 1,
            Outcome::Dropped(reason) => {
                self.dropped += 1;
                self.reasons.count(reason, 1);
            }
            Outcome::ProcessingFailed(reason) => {
                self.processing_failed += 1;
                self.reasons.count(reason, 1);
            }
        }
    }

    /// A record that did not fit was put back after all.
    pub(crate) fn put_back(&mut self) {
        self.processing_failed -= 1;
        self.reasons.0[Reason::ResponseFull as usize] -= 1;
        self.dropped += 1;
        self.reasons.count(Reason::Reingested, 1);
    }

    /// Adds the report of another request.
    pub fn add(&mut self, other: &Self) {
        self.handed += other.handed;
        self.ok += other.ok;
        self.dropped += other.dropped;
        self.processing_failed += other.processing_failed;
        self.unanswered += other.unanswered;
        self.events += other.events;
        self.rows += other.rows;
        for (input, events) in &other.inputs {
            *self.inputs.entry(input.clone()).or_default() += events;
        }
        self.geoip_errors += other.geoip_errors;
        self.response_bytes += other.response_bytes;
        for (reason, records) in other.reasons.iter() {
            self.reasons.count(reason, records);
        }
    }
}

/// Records by reason. Serialized as an object of those that occurred.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reasons([u64; Reason::ALL.len()]);

impl Default for Reasons {
    fn default() -> Self {
        Self([0; Reason::ALL.len()])
    }
}

impl Reasons {
    /// How many records had the reason.
    pub fn of(&self, reason: Reason) -> u64 {
        self.0[reason as usize]
    }

    /// The reasons that occurred.
    pub fn iter(&self) -> impl Iterator<Item = (Reason, u64)> {
        Reason::ALL
            .iter()
            .map(|reason| (*reason, self.of(*reason)))
            .filter(|(_, records)| *records > 0)
    }

    fn count(&mut self, reason: Reason, records: u64) {
        self.0[reason as usize] += records;
    }
}

impl Serialize for Reasons {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (reason, records) in self.iter() {
            map.serialize_entry(reason.name(), &records)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn counts_add_up_and_say_why() {
        let mut report = Report::default();
        report.count(Outcome::Ok);
        report.count(Outcome::Dropped(Reason::NotKept));
        report.count(Outcome::ProcessingFailed(Reason::BadTime));
        report.count(Outcome::ProcessingFailed(Reason::BadTime));
        let mut total = report.clone();
        total.add(&report);
        assert_eq!(
            serde_json::to_value(&total).unwrap(),
            json!({
                "handed": 8, "ok": 2, "dropped": 2, "processing_failed": 4, "unanswered": 0,
                "events": 0, "rows": 0, "geoip_errors": 0, "response_bytes": 0,
                "reasons": {"not_kept": 2, "bad_time": 4}
            })
        );
    }

    #[test]
    fn every_reason_has_its_own_word() {
        let mut names: Vec<_> = Reason::ALL.iter().map(|reason| reason.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Reason::ALL.len());
        assert!(Reason::ALL.iter().enumerate().all(|(index, reason)| *reason as usize == index));
    }
}
