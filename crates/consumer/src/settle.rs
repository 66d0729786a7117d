//! Which records are settled, and the one identifier that says so.

use serde::{Serialize, Serializer};
use serde_json::json;
use serde_json::value::RawValue;

/// The records of a batch that are settled. Each starts as not settled, so that a record which is
/// forgotten on the way comes again.
#[derive(Debug)]
pub(crate) struct Settlement {
    /// How many parts of each record are open: one of a record that was not looked into, and the
    /// user records of an aggregate.
    open: Vec<usize>,
}

impl Settlement {
    /// None of `records` is settled.
    pub(crate) fn new(records: usize) -> Self {
        Self { open: vec![1; records] }
    }

    /// The record at `index` turned out to have so many parts.
    pub(crate) fn divide(&mut self, index: usize, parts: usize) {
        self.open[index] = parts;
    }

    /// One part of the record at `index` is delivered, skipped or in quarantine.
    pub(crate) fn settle(&mut self, index: usize) {
        self.open[index] = self.open[index].saturating_sub(1);
    }

    /// The place of the first record, in batch order, that is not settled as a whole. By place and
    /// not by sequence number: compared as text, 55 digits would come after 56.
    pub(crate) fn first_unsettled(&self) -> Option<usize> {
        self.open.iter().position(|open| *open > 0)
    }
}

/// The answer to Lambda: everything is settled, or the first record that is not.
///
/// It names one identifier at most. Lambda takes the lowest of several as the checkpoint and sends
/// everything from it on again, whatever else is named ("Configuring partial batch response with
/// Kinesis Data Streams and Lambda", AWS Lambda Developer Guide, 2026-11).
#[must_use = "the response is what keeps unsettled records from being lost"]
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Response {
    // The names matter to the letter: a response whose key is misspelt counts as an empty one, that
    // is, as success, and the records are lost.
    #[serde(rename = "batchItemFailures")]
    failures: Vec<Failure>,
    /// JSON, as it stands.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_it_stands")]
    state: Option<String>,
}

fn as_it_stands<S: Serializer>(state: &Option<String>, serializer: S) -> Result<S::Ok, S::Error> {
    let raw = state.clone().map(RawValue::from_string).transpose();
    raw.map_err(serde::ser::Error::custom)?.serialize(serializer)
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Failure {
    #[serde(rename = "itemIdentifier")]
    sequence_number: String,
}

impl Response {
    /// Every record of the batch is settled.
    pub(crate) const fn all_settled() -> Self {
        Self { failures: Vec::new(), state: None }
    }

    /// The record with this sequence number and those after it come again.
    ///
    /// The identifier is echoed as it came. One that is empty or not of the batch would fail the
    /// whole batch.
    pub(crate) fn again_from(sequence_number: &str) -> Self {
        let failures = vec![Failure { sequence_number: sequence_number.to_owned() }];
        Self { failures, state: None }
    }

    /// The same with the state of a window. Without one, an invocation of a window fails.
    pub(crate) fn with_state(self, state: String) -> Self {
        Self { state: Some(state), ..self }
    }

    /// The sequence number of the first record that is not settled; `None` when all are.
    pub fn first_unsettled(&self) -> Option<&str> {
        self.failures.first().map(|failure| &*failure.sequence_number)
    }

    /// The text that goes to Lambda.
    pub fn to_json(&self) -> Vec<u8> {
        // By way of a value, which cannot fail: an empty text in its place would mean success.
        let failures = json!(self.failures);
        match &self.state {
            None => format!(r#"{{"batchItemFailures":{failures}}}"#).into_bytes(),
            Some(state) => {
                format!(r#"{{"batchItemFailures":{failures},"state":{state}}}"#).into_bytes()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_exact() {
        let cases = [
            (Response::all_settled(), r#"{"batchItemFailures":[]}"#),
            (
                Response::again_from("49671204518332917460021547783091186407255318862014513154"),
                r#"{"batchItemFailures":[{"itemIdentifier":"49671204518332917460021547783091186407255318862014513154"}]}"#,
            ),
            (Response::again_from("a\"b"), r#"{"batchItemFailures":[{"itemIdentifier":"a\"b"}]}"#),
        ];
        for (response, expected) in cases {
            assert_eq!(String::from_utf8(response.to_json()).unwrap(), expected);
        }
    }

    #[test]
    fn a_state_stands_as_it_is() {
        let state = r#"{"1":282,"big":12345678901234567890123}"#;
        for response in [Response::all_settled(), Response::again_from("7")] {
            let response = response.with_state(state.to_owned());
            let json = String::from_utf8(response.to_json()).unwrap();
            assert!(json.ends_with(&format!(r#","state":{state}}}"#)), "{json}");
            assert_eq!(serde_json::to_string(&response).unwrap(), json);
        }
    }

    #[test]
    fn what_nobody_settled_is_not_settled() {
        let mut settlement = Settlement::new(3);
        assert_eq!(settlement.first_unsettled(), Some(0));
        settlement.settle(0);
        settlement.settle(2);
        assert_eq!(settlement.first_unsettled(), Some(1));
        settlement.divide(1, 2);
        settlement.settle(1);
        assert_eq!(settlement.first_unsettled(), Some(1));
        settlement.settle(1);
        assert_eq!(settlement.first_unsettled(), None);
        assert_eq!(Settlement::new(0).first_unsettled(), None);
    }
}
