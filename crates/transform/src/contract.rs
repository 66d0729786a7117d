//! The contract between Firehose and a transformation, checked from outside: a request and the
//! response to it, as any function might have given them.
//!
//! What real Firehose does with each fault is per record (it files the record under the error
//! prefix), except for a response that is too large, which Lambda refuses as a whole ("Transform
//! source data in Amazon Data Firehose", Amazon Data Firehose Developer Guide, 2026-11).

use std::collections::HashSet;

use serde_json::Value;

use crate::response::RESPONSE_LIMIT_BYTES;

/// Firehose's three words for what became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Delivered as `data`.
    Ok,
    /// Left out on purpose.
    Dropped,
    /// Kept under the error prefix.
    ProcessingFailed,
}

/// The answer to one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The `recordId`.
    pub record_id: String,
    /// What became of the record.
    pub verdict: Verdict,
    /// The decoded `data`; empty unless the verdict is `Ok`.
    pub data: Vec<u8>,
}

impl Answer {
    /// The JSON object on the line of an `Ok` answer.
    pub fn object(&self) -> Option<Value> {
        serde_json::from_slice(&self.data).ok()
    }
}

/// A way in which a response breaks the contract.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// Lambda would refuse it.
    #[error("the response has {bytes} bytes, more than {RESPONSE_LIMIT_BYTES}")]
    TooLarge {
        /// Its length.
        bytes: usize,
    },
    /// The request or the response is no `{"records": [...]}`.
    #[error("the {0} is not an object with a list of records")]
    NoRecords(&'static str),
    /// The ids are not those of the request, each once, in its order.
    #[error("answer {index} is to {answered:?} instead of {expected:?}")]
    WrongId {
        /// Its place in the response.
        index: usize,
        /// The id that comes next in the request.
        expected: Option<String>,
        /// The id that was answered.
        answered: Option<String>,
    },
    /// An item has a member that Firehose does not know.
    #[error("the answer to {record_id:?} has a member {member:?}")]
    UnknownMember {
        /// Whose answer.
        record_id: String,
        /// The member.
        member: String,
    },
    /// `result` is none of the three words.
    #[error("the answer to {record_id:?} has the result {result}")]
    UnknownResult {
        /// Whose answer.
        record_id: String,
        /// What stands there, as JSON.
        result: String,
    },
    /// `Ok` without `data` that is base64.
    #[error("the answer to {record_id:?} has no base64 data")]
    BadData {
        /// Whose answer.
        record_id: String,
    },
    /// The data of `Ok` is not JSON objects with a line break after each.
    #[error("the data for {record_id:?} is not JSON objects with a line break after each")]
    NotJsonLines {
        /// Whose answer.
        record_id: String,
    },
}

/// Checks a response against its request, and returns the answers in order.
///
/// Expected is one answer to each distinct string `recordId` of the request, in its order.
///
/// # Errors
/// Every violation found.
pub fn check(request: &[u8], response: &[u8]) -> Result<Vec<Answer>, Vec<Violation>> {
    let mut violations = Vec::new();
    if response.len() > RESPONSE_LIMIT_BYTES {
        violations.push(Violation::TooLarge { bytes: response.len() });
    }
    let requested = records(request, "request", &mut violations);
    let answered = records(response, "response", &mut violations);
    let mut seen = HashSet::new();
    let expected: Vec<_> =
        requested.iter().filter_map(record_id).filter(|id| seen.insert(id.clone())).collect();
    for index in 0..expected.len().max(answered.len()) {
        let expected = expected.get(index).cloned();
        let answered = answered.get(index).and_then(record_id);
        if expected.is_none() || expected != answered {
            violations.push(Violation::WrongId { index, expected, answered });
        }
    }
    let answers = answered.iter().filter_map(|item| answer(item, &mut violations)).collect();
    if violations.is_empty() { Ok(answers) } else { Err(violations) }
}

fn records(text: &[u8], name: &'static str, violations: &mut Vec<Violation>) -> Vec<Value> {
    let mut value = serde_json::from_slice::<Value>(text).unwrap_or_default();
    match value.get_mut("records").map(Value::take) {
        Some(Value::Array(records)) => records,
        _ => {
            violations.push(Violation::NoRecords(name));
            Vec::new()
        }
    }
}

fn record_id(record: &Value) -> Option<String> {
    record.get("recordId")?.as_str().map(str::to_owned)
}

fn answer(item: &Value, violations: &mut Vec<Violation>) -> Option<Answer> {
    let record_id = record_id(item)?;
    for member in item.as_object()?.keys() {
        if !["recordId", "result", "data", "metadata"].contains(&member.as_str()) {
            let (record_id, member) = (record_id.clone(), member.clone());
            violations.push(Violation::UnknownMember { record_id, member });
        }
    }
    let verdict = match item["result"].as_str() {
        Some("Ok") => Verdict::Ok,
        Some("Dropped") => Verdict::Dropped,
        Some("ProcessingFailed") => Verdict::ProcessingFailed,
        _ => {
            let result = item["result"].to_string();
            violations.push(Violation::UnknownResult { record_id, result });
            return None;
        }
    };
    if verdict != Verdict::Ok {
        return Some(Answer { record_id, verdict, data: Vec::new() });
    }
    let data =
        item["data"].as_str().and_then(|data| base64_simd::STANDARD.decode_to_vec(data).ok());
    let Some(data) = data else {
        violations.push(Violation::BadData { record_id });
        return None;
    };
    if !is_json_lines(&data) {
        violations.push(Violation::NotJsonLines { record_id: record_id.clone() });
    }
    Some(Answer { record_id, verdict, data })
}

fn is_json_lines(data: &[u8]) -> bool {
    let Some(lines) = data.strip_suffix(b"\n") else { return false };
    lines
        .split(|byte| *byte == b'\n')
        .all(|line| matches!(serde_json::from_slice(line), Ok(Value::Object(_))))
}

#[cfg(test)]
mod tests;
