//! What SQS and SNS have in common: texts, groups of FIFO, and blame.

use sha2::{Digest, Sha256};
use tidegate_consumer::{BoxError, BulkLimits, Outcome, Record};

use super::deliver::{Verdict, poison};
use super::entry::delivery_id;
use super::split::Limits;
use crate::call::error::not_of_the_record;

/// A record as a message.
pub(crate) struct Entry {
    pub(crate) id: String,
    pub(crate) text: String,
    pub(crate) fifo: Option<Fifo>,
}

/// What orders and tells apart the messages of a FIFO queue or topic.
pub(crate) struct Fifo {
    pub(crate) group: String,
    pub(crate) deduplication: String,
}

impl Entry {
    /// A message of a record; `id` tells the messages of a call apart.
    ///
    /// # Errors
    /// When the payload cannot be a message.
    pub(crate) fn new(
        id: usize,
        data: &[u8],
        record: &Record<'_>,
        (fifo, bytes_max): (bool, usize),
    ) -> Result<Self, Outcome> {
        let text = std::str::from_utf8(data).map_err(|error| poison(error.into()))?;
        let problem = if text.is_empty() {
            Some("a message is never empty".to_owned())
        } else if text.len() > bytes_max {
            Some(format!("{} bytes are more than the {bytes_max} of a message", text.len()))
        } else if !text.chars().all(allowed) {
            Some("a character of it cannot be in a message".to_owned())
        } else {
            None
        };
        if let Some(problem) = problem {
            return Err(poison(problem.into()));
        }
        let fifo = fifo.then(|| Fifo {
            group: record.partition_key().map_or_else(|| "none".to_owned(), digest),
            deduplication: digest(&delivery_id(record)),
        });
        Ok(Self { id: id.to_string(), text: text.to_owned(), fifo })
    }
}

/// How many records are handed over at once. A queue or a topic of FIFO keeps the order of a key by
/// one call after the other, each with one record of it.
pub(crate) const fn bulk(fifo: bool, limits: Limits) -> BulkLimits {
    let calls = if fifo { 1 } else { 20 };
    let Limits { entries, bytes } = limits;
    BulkLimits { records: calls * entries, bytes: calls * bytes, one_per_key: fifo }
}

/// The characters of a message ("SendMessage", Amazon SQS API Reference, 2026-11); one other fails the
/// whole request.
const fn allowed(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

/// A group or a deduplication has 128 letters, digits and signs at most; a partition key can have any
/// 256 characters.
fn digest(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What a failed entry of a batch means for its record.
pub(crate) fn blamed(operation: &str, code: &str, sender_fault: bool) -> Verdict {
    let error: BoxError = format!("{operation}: {code}").into();
    if sender_fault && !not_of_the_record(code) {
        Verdict::Refused(error)
    } else {
        Verdict::Again(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_to_blame() {
        let cases = [
            ("InvalidMessageContents", true, "Refused"),
            ("InternalError", false, "Again"),
            ("InternalError", true, "Again"),
            ("KMS.AccessDeniedException", true, "Again"),
            ("ThrottlingException", true, "Again"),
            ("MissingParameter", true, "Refused"),
        ];
        for (code, sender_fault, expected) in cases {
            let verdict = format!("{:?}", blamed("Send", code, sender_fault));
            assert_eq!(verdict, format!("{expected}(\"Send: {code}\")"));
        }
    }

    #[test]
    fn characters_of_a_message() {
        for (c, fits) in
            [('a', true), ('\0', false), ('\u{b}', false), ('\u{fffe}', false), ('🦀', true)]
        {
            assert_eq!(allowed(c), fits, "{c:?}");
        }
    }
}
