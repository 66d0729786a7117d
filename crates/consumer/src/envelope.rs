//! One poison record as a JSON document of its own: what it is, why it is here, and every byte that
//! is needed to process it again.

mod key;

use std::error::Error;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::Call;
use crate::event::Record;
use crate::outcome::{PoisonReason, Stage};

pub use key::function_name;
pub(crate) use key::stream_name;

/// The version that this crate writes. A reader takes any: fields are only ever added.
pub const VERSION: u32 = 1;

/// How many bytes of one error message are kept.
const MESSAGE_BYTES_MAX: usize = 2048;
/// How many causes of an error are kept.
const CAUSES_MAX: usize = 16;

/// A poison record, self-contained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// The version of this form.
    pub version: u32,
    /// The same for the same record of the same function, however often it is delivered; another
    /// one each time that it was sent back from quarantine.
    pub quarantine_id: String,
    /// The stream.
    #[serde(default)]
    pub stream_arn: Option<String>,
    /// The shard.
    #[serde(default)]
    pub shard_id: Option<String>,
    /// The sequence number.
    #[serde(default)]
    pub sequence_number: Option<String>,
    /// Of a user record of an aggregate, or of a log event of an envelope of CloudWatch Logs, its
    /// place there, counted from 0.
    #[serde(default)]
    pub sub_sequence_number: Option<u64>,
    /// The partition key: of a user record its own.
    #[serde(default)]
    pub partition_key: Option<String>,
    /// The explicit hash key of a user record, in decimal.
    #[serde(default)]
    pub explicit_hash_key: Option<String>,
    /// When the stream took the record.
    #[serde(default)]
    pub approximate_arrival: Option<Timestamp>,
    /// The code of a [`PoisonReason`]; text, since a later version may know more of them.
    pub reason: String,
    /// The code of a [`Stage`].
    pub stage: String,
    /// What went wrong.
    pub error: ErrorText,
    /// When this envelope was made.
    pub first_seen: Timestamp,
    /// The function that gave the record up.
    pub function_arn: String,
    /// The invocation in which it did.
    pub request_id: String,
    /// What `payload` holds.
    pub payload_encoding: PayloadEncoding,
    /// The payload.
    pub payload: String,
    /// The length of the payload, decoded, in bytes.
    pub size: u64,
    /// The SHA-256 of the payload, decoded, in hexadecimal.
    pub sha256: String,
    /// How often the record was sent back from quarantine.
    #[serde(default)]
    pub redrive_count: u32,
}

/// What the text in `payload` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PayloadEncoding {
    /// The payload in base64, as the producer wrote it: where it was compressed, still so. Of a log
    /// event, its envelope with this event alone, in gzip.
    Base64,
    /// The event's `data` as it stands there, since it is not base64.
    Verbatim,
    /// The event's whole entry as it stands there, since it has no data or no sequence number.
    Record,
    /// The entry of an aggregate as it stands there, since it is malformed, in base64.
    Entry,
}

/// An error and its causes, as text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorText {
    /// What happened.
    pub message: String,
    /// What caused it, and what caused that.
    #[serde(default)]
    pub chain: Vec<String>,
}

impl ErrorText {
    /// The texts of an error and its causes, of bounded length and number.
    pub fn of(error: &(dyn Error + 'static)) -> Self {
        let chain = std::iter::successors(error.source(), |&cause| cause.source())
            .take(CAUSES_MAX)
            .map(text_of)
            .collect();
        Self { message: text_of(error), chain }
    }

    /// All of it in one line.
    pub fn line(&self) -> String {
        let mut line = self.message.clone();
        for cause in &self.chain {
            line.push_str(": ");
            line.push_str(cause);
        }
        line
    }
}

/// Why an envelope gives no payload back.
#[derive(Debug, thiserror::Error)]
#[error("the payload of the envelope is not base64")]
pub struct PayloadError(#[source] base64_simd::Error);

impl Envelope {
    /// Packs a record. `bytes` is its payload, or what stands for it.
    pub(crate) fn pack(
        record: &Record<'_>,
        (bytes, payload_encoding): (&[u8], PayloadEncoding),
        (reason, stage): (PoisonReason, Stage),
        error: &(dyn Error + 'static),
        call: &Call<'_>,
    ) -> Self {
        let payload = match payload_encoding {
            PayloadEncoding::Base64 | PayloadEncoding::Entry => {
                base64_simd::STANDARD.encode_to_string(bytes)
            }
            // Both were text in the event.
            PayloadEncoding::Verbatim | PayloadEncoding::Record => {
                String::from_utf8_lossy(bytes).into_owned()
            }
        };
        let mut envelope = Self {
            version: VERSION,
            quarantine_id: String::new(),
            stream_arn: record.stream_arn().map(ToOwned::to_owned),
            shard_id: record.shard_id().map(ToOwned::to_owned),
            sequence_number: record.sequence_number().map(ToOwned::to_owned),
            sub_sequence_number: record.sub_sequence_number(),
            partition_key: record.partition_key().map(ToOwned::to_owned),
            explicit_hash_key: record.explicit_hash_key().map(|key| key.to_string()),
            approximate_arrival: record.arrived_at(),
            reason: reason.code().to_owned(),
            stage: stage.code().to_owned(),
            error: ErrorText::of(error),
            first_seen: call.now,
            function_arn: call.function_arn.to_owned(),
            request_id: call.request_id.to_owned(),
            payload_encoding,
            payload,
            size: bytes.len() as u64,
            sha256: hex(&Sha256::digest(bytes)),
            redrive_count: record.redrive_count(),
        };
        // The whole ARN, where the key has only names: an identity across accounts and regions.
        let identity = format!("{:?} {}", envelope.stream_arn, envelope.key());
        envelope.quarantine_id = hex(&Sha256::digest(identity)[..16]);
        envelope
    }

    /// The error for a log: of a panic only that there was one, since its text may quote the payload.
    pub(crate) fn log_line(&self) -> String {
        if self.reason == PoisonReason::Panic.code() {
            self.error.message.clone()
        } else {
            self.error.line()
        }
    }

    /// Where a store keeps the envelope: `function=NAME/stream=NAME/shard=ID/SEQUENCE.json`, and for a
    /// user record of an aggregate `…/SEQUENCE-PLACE.json`; of one that was sent back N times and is
    /// poison again `….rN.json`.
    ///
    /// The same record gives the same key, so that a batch which comes again does not fill the
    /// store. The count is part of it, so that whoever sends a record back sees what became of it
    /// while the envelope that it was sent from is still there. The function is part of it, since several may read one stream. Sequence numbers are
    /// padded to 56 digits, so that the keys of a shard sort in its order.
    ///
    /// Whatever the event said, each part is one plain path component: what is not a letter, a
    /// digit, `.`, `_` or `-` is written as `%XX`, and what is too long ends in its digest.
    pub fn key(&self) -> String {
        key::of(self)
    }

    /// The payload's bytes, as the producer wrote them; for an envelope that is not
    /// [`PayloadEncoding::Base64`], what stands for them.
    ///
    /// # Errors
    /// When the envelope was altered so that its base64 is broken.
    pub fn payload_bytes(&self) -> Result<Vec<u8>, PayloadError> {
        match self.payload_encoding {
            PayloadEncoding::Base64 | PayloadEncoding::Entry => {
                base64_simd::STANDARD.decode_to_vec(&self.payload).map_err(PayloadError)
            }
            PayloadEncoding::Verbatim | PayloadEncoding::Record => {
                Ok(self.payload.as_bytes().to_vec())
            }
        }
    }
}

/// The beginning of a text, cut between characters.
pub(crate) fn bounded(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

fn text_of(error: &(dyn Error + 'static)) -> String {
    bounded(&error.to_string(), MESSAGE_BYTES_MAX).to_owned()
}

/// A partition key for a log line or a list: the same key gives the same text, and does not show
/// itself.
pub fn hashed(partition_key: &str) -> String {
    hex(&Sha256::digest(partition_key)[..8])
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) const STREAM: &str = "arn:aws:kinesis:eu-central-1:123456789012:stream/orders";
    pub(super) const FUNCTION: &str = "arn:aws:lambda:eu-central-1:123456789012:function:bill:live";

    pub(super) fn envelope() -> Envelope {
        Envelope {
            version: VERSION,
            quarantine_id: "0011".to_owned(),
            stream_arn: Some(STREAM.to_owned()),
            shard_id: Some("shardId-000000000006".to_owned()),
            sequence_number: Some("4959".to_owned()),
            sub_sequence_number: None,
            partition_key: Some("k".to_owned()),
            explicit_hash_key: None,
            approximate_arrival: Some("2016-12-02T01:18:43.47Z".parse().unwrap()),
            reason: "parse".to_owned(),
            stage: "decode".to_owned(),
            error: ErrorText { message: "a".to_owned(), chain: vec!["b".to_owned()] },
            first_seen: "2026-11-21T00:00:00Z".parse().unwrap(),
            function_arn: FUNCTION.to_owned(),
            request_id: "r-1".to_owned(),
            payload_encoding: PayloadEncoding::Base64,
            payload: "aGk=".to_owned(),
            size: 2,
            sha256: "8f43".to_owned(),
            redrive_count: 0,
        }
    }

    #[test]
    fn the_document_is_fixed() {
        let text = serde_json::to_string(&envelope()).unwrap();
        assert_eq!(
            text,
            concat!(
                r#"{"version":1,"quarantine_id":"0011","#,
                r#""stream_arn":"arn:aws:kinesis:eu-central-1:123456789012:stream/orders","#,
                r#""shard_id":"shardId-000000000006","sequence_number":"4959","sub_sequence_number":null,"#,
                r#""partition_key":"k","explicit_hash_key":null,"#,
                r#""approximate_arrival":"2016-12-02T01:18:43.47Z","reason":"parse","stage":"decode","#,
                r#""error":{"message":"a","chain":["b"]},"first_seen":"2026-11-21T00:00:00Z","#,
                r#""function_arn":"arn:aws:lambda:eu-central-1:123456789012:function:bill:live","#,
                r#""request_id":"r-1","payload_encoding":"base64","payload":"aGk=","size":2,"#,
                r#""sha256":"8f43","redrive_count":0}"#,
            )
        );
        assert_eq!(serde_json::from_str::<Envelope>(&text).unwrap(), envelope());
    }

    #[test]
    fn a_reader_takes_what_a_later_version_writes() {
        let mut later = serde_json::to_value(envelope()).unwrap();
        later["version"] = 9.into();
        later["reason"] = "novel".into();
        later["tenant"] = "a".into();
        later["error"]["type"] = "io".into();
        let read: Envelope = serde_json::from_value(later).unwrap();
        assert_eq!((read.version, &*read.reason), (9, "novel"));
    }

    #[test]
    fn a_reader_takes_what_an_earlier_version_wrote() {
        let mut earlier = serde_json::to_value(envelope()).unwrap();
        for field in ["sub_sequence_number", "explicit_hash_key"] {
            earlier.as_object_mut().unwrap().remove(field);
        }
        assert_eq!(serde_json::from_value::<Envelope>(earlier).unwrap(), envelope());
    }

    #[test]
    fn errors_keep_their_causes_within_bounds() {
        #[derive(Debug, thiserror::Error)]
        #[error("{}", "ü".repeat(5_000))]
        struct Long(#[source] std::num::ParseIntError);

        let text = ErrorText::of(&Long("x".parse::<u8>().unwrap_err()));
        assert_eq!(text.message.len(), MESSAGE_BYTES_MAX);
        assert_eq!(text.chain, ["invalid digit found in string"]);
    }

    #[test]
    fn an_altered_payload_is_refused() {
        let altered = Envelope { payload: "%".to_owned(), ..envelope() };
        let error = altered.payload_bytes().unwrap_err();
        assert_eq!(error.to_string(), "the payload of the envelope is not base64");
    }
}
