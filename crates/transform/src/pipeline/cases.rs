//! Examples in a pipeline's own file: a record, and what becomes of it.

use std::fmt;

use serde_json::{Map, Value};

use super::PipelineError;
use super::language::{CASE, PIPELINE, RESULTS};
use super::yaml::{Mistakes, Node, load};
use crate::engine::Engine;
use crate::moment::Moment;
use crate::outcome::{Outcome, Reason};

/// One example.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// What it shows.
    pub name: String,
    /// The line of the file that it is on.
    pub line: usize,
    input: String,
    arrived: Option<i64>,
    result: Option<&'static str>,
    reason: Option<&'static str>,
    /// Fields that each row has; null for one that it has not.
    rows: Option<Vec<Map<String, Value>>>,
    partition_keys: Option<Map<String, Value>>,
}

/// How a case came out otherwise than it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseFailure(pub Vec<String>);

impl std::error::Error for CaseFailure {}

impl fmt::Display for CaseFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("; "))
    }
}

impl Case {
    /// Runs the case.
    ///
    /// # Errors
    /// Everything that came out otherwise.
    pub fn run(&self, engine: &mut Engine) -> Result<(), CaseFailure> {
        let (mut out, mut metadata) = (Vec::new(), Vec::new());
        let converted =
            engine.convert_whole(self.input.as_bytes(), self.arrived, &mut out, &mut metadata);
        let mut wrong = Vec::new();
        let (result, reason) = match converted.outcome {
            Outcome::Ok => ("Ok", None),
            Outcome::Dropped(reason) => ("Dropped", Some(reason.name())),
            Outcome::ProcessingFailed(reason) => ("ProcessingFailed", Some(reason.name())),
        };
        let because = reason.map_or_else(String::new, |reason| format!(" ({reason})"));
        if result != self.result.unwrap_or("Ok") {
            let expected = self.result.unwrap_or("Ok");
            wrong.push(format!("the result is {result}{because} instead of {expected}"));
        } else if self.reason.is_some_and(|expected| reason != Some(expected)) {
            let expected = self.reason.unwrap_or_default();
            wrong.push(format!("the reason is {} instead of {expected}", reason.unwrap_or("none")));
        }
        if wrong.is_empty() {
            self.compare_rows(&out, &mut wrong);
            self.compare_keys(&metadata, &mut wrong);
        }
        if wrong.is_empty() { Ok(()) } else { Err(CaseFailure(wrong)) }
    }

    fn compare_rows(&self, out: &[u8], wrong: &mut Vec<String>) {
        let Some(expected) = &self.rows else { return };
        let rows: Vec<Value> =
            serde_json::Deserializer::from_slice(out).into_iter().flatten().collect();
        if rows.len() != expected.len() {
            wrong.push(format!("there are {} rows instead of {}", rows.len(), expected.len()));
        }
        for (index, (row, expected)) in rows.iter().zip(expected).enumerate() {
            let place = if rows.len() > 1 { format!("row {}: ", index + 1) } else { String::new() };
            for (field, expected) in expected {
                let found = row.get(field).unwrap_or(&Value::Null);
                if !equal(found, expected) {
                    wrong.push(format!("{place}{field} is {found} instead of {expected}"));
                }
            }
        }
    }

    fn compare_keys(&self, metadata: &[u8], wrong: &mut Vec<String>) {
        let Some(expected) = &self.partition_keys else { return };
        let metadata: Value = serde_json::from_slice(metadata).unwrap_or_default();
        let found = &metadata["partitionKeys"];
        for (key, expected) in expected {
            let found = found.get(key).unwrap_or(&Value::Null);
            let expected = match expected {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            if found.as_str() != Some(&expected) {
                wrong.push(format!("the partition key {key} is {found} instead of {expected:?}"));
            }
        }
    }
}

/// Whether two values are the same; 1 and 1.0 are.
fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        _ => a == b,
    }
}

/// The cases of a file.
pub(super) fn read(yaml: &str) -> Result<Vec<Case>, PipelineError> {
    let document = load(yaml).map_err(|mistake| PipelineError(vec![mistake]))?;
    let mut mistakes = Mistakes::default();
    let mut cases = Vec::new();
    for (name, node) in Node::root(&document).members(&PIPELINE.names(), &mut mistakes) {
        if name == "cases" {
            cases = list(&node, &mut mistakes);
        }
    }
    if mistakes.0.is_empty() { Ok(cases) } else { Err(PipelineError(mistakes.0)) }
}

pub(super) fn list(node: &Node<'_>, mistakes: &mut Mistakes) -> Vec<Case> {
    node.items(mistakes).iter().filter_map(|item| case(item, mistakes)).collect()
}

fn case(node: &Node<'_>, mistakes: &mut Mistakes) -> Option<Case> {
    let (mut name, mut input) = (None, None);
    let mut case = Case {
        name: String::new(),
        line: node.line(),
        input: String::new(),
        arrived: None,
        result: None,
        reason: None,
        rows: None,
        partition_keys: None,
    };
    for (member, node) in node.members(&CASE.names(), mistakes) {
        match member {
            "name" => name = node.text(mistakes),
            "input" => input = node.text(mistakes),
            "arrived" => {
                let arrived = node.text(mistakes);
                let moment = arrived.and_then(|text| Moment::iso8601(text.as_bytes()));
                case.arrived = moment.and_then(Moment::to_millis);
                if case.arrived.is_none() {
                    mistakes.add(&node, "this is not a time", "write 2026-11-14T09:30:00Z");
                }
            }
            "result" => case.result = node.word(RESULTS, mistakes),
            "reason" => case.reason = node.word(&reasons(), mistakes),
            "fields" => case.rows = Some(vec![fields(&node, mistakes)]),
            "rows" => {
                let rows = node.items(mistakes);
                case.rows = Some(rows.iter().map(|row| fields(row, mistakes)).collect());
            }
            _ => case.partition_keys = Some(fields(&node, mistakes)),
        }
    }
    for (member, missing) in [("name", name.is_none()), ("input", input.is_none())] {
        if missing && node.is_mapping() && node.json().get(member).is_none() {
            mistakes.add(node, format!("there is no {member}"), "a case has a name and an input");
        }
    }
    Some(Case { name: name?, input: input?, ..case })
}

fn reasons() -> Vec<(&'static str, &'static str)> {
    Reason::ALL.iter().map(|reason| (reason.name(), reason.name())).collect()
}

fn fields(node: &Node<'_>, mistakes: &mut Mistakes) -> Map<String, Value> {
    node.pairs(mistakes).into_iter().map(|(name, node)| (name, node.json())).collect()
}
