//! Log lines as JSON objects, and metrics in CloudWatch's embedded metric format.
//!
//! One event is one line. Metrics are lines of their own, since CloudWatch reads a line as metrics
//! only when the whole of it is the embedded metric format ("Specification: Embedded metric
//! format", CloudWatch User Guide, 2026-11).

use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::settings::Vars;

/// How loud a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// For a person who looks for the cause of something.
    Debug,
    /// What happened.
    Info,
    /// What somebody should look at.
    Warn,
    /// What failed.
    Error,
}

impl Level {
    /// The word in the log line, as Lambda's own logging writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warn => "WARN",
            Self::Error => "ERROR",
        }
    }

    /// Lambda's `AWS_LAMBDA_LOG_LEVEL`; anything unknown, or nothing, means `Info`.
    fn from_vars(vars: &dyn Vars) -> Self {
        match vars.get("AWS_LAMBDA_LOG_LEVEL").unwrap_or_default().to_ascii_uppercase().as_str() {
            "TRACE" | "DEBUG" => Self::Debug,
            "WARN" => Self::Warn,
            "ERROR" | "FATAL" => Self::Error,
            _ => Self::Info,
        }
    }
}

/// Writes log lines.
pub struct Log {
    least: Level,
    out: Mutex<Box<dyn Write + Send>>,
    request_id: Mutex<Option<String>>,
}

impl Log {
    /// To standard output, which Lambda sends to CloudWatch Logs.
    pub fn stdout(vars: &dyn Vars) -> Self {
        Self::new(Level::from_vars(vars), Box::new(io::stdout()))
    }

    /// To any writer.
    pub fn new(least: Level, out: Box<dyn Write + Send>) -> Self {
        Self { least, out: Mutex::new(out), request_id: Mutex::new(None) }
    }

    /// Names the invocation that the lines from now on belong to.
    pub fn set_request(&self, request_id: Option<&str>) {
        *self.request_id.lock().unwrap_or_else(PoisonError::into_inner) =
            request_id.map(ToOwned::to_owned);
    }

    /// One event: `event` is its stable name, `fields` an object with its facts.
    ///
    /// A line that cannot be written is given up: the log must not fail the work.
    pub fn event(&self, level: Level, event: &str, fields: &impl Serialize) {
        if level >= self.least {
            self.keep(level, event, fields);
        }
    }

    /// One event that is written whatever the level that was asked for: the trace of something that
    /// has no other.
    pub fn keep(&self, level: Level, event: &str, fields: &impl Serialize) {
        let mut line = Map::new();
        line.insert("timestamp".into(), json!(crate::clock::now().to_string()));
        line.insert("level".into(), json!(level.name()));
        line.insert("event".into(), json!(event));
        if let Some(id) = &*self.request_id.lock().unwrap_or_else(PoisonError::into_inner) {
            line.insert("request_id".into(), json!(id));
        }
        match serde_json::to_value(fields) {
            Ok(Value::Object(fields)) => line.extend(fields),
            Ok(Value::Null) => {}
            Ok(other) => {
                line.insert("value".into(), other);
            }
            Err(error) => {
                line.insert("unprintable".into(), json!(error.to_string()));
            }
        }
        let _ = self.line(&Value::Object(line));
    }

    /// One line that is a whole JSON document: metrics, or an envelope.
    ///
    /// # Errors
    /// When the line could not be written; only a caller that promised to keep what is in it needs
    /// to care.
    pub fn line(&self, document: &impl Serialize) -> io::Result<()> {
        let mut bytes = serde_json::to_vec(document)?;
        bytes.push(b'\n');
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        out.write_all(&bytes)?;
        out.flush()
    }
}

/// The CloudWatch namespace of Tidegate's own metrics.
pub const NAMESPACE: &str = "Tidegate";

/// What a metric is measured in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A number of things.
    Count,
    /// Bytes.
    Bytes,
    /// Milliseconds.
    Milliseconds,
    /// Percent.
    Percent,
}

impl Unit {
    const fn name(self) -> &'static str {
        match self {
            Self::Count => "Count",
            Self::Bytes => "Bytes",
            Self::Milliseconds => "Milliseconds",
            Self::Percent => "Percent",
        }
    }
}

/// One document in the embedded metric format: `dimensions` as one set, `metrics` with their
/// values. Not more than 100 metrics fit one document.
pub fn embedded_metrics(
    at: Timestamp,
    dimensions: &[(&str, &str)],
    metrics: &[(&str, Unit, f64)],
) -> Value {
    embedded_metrics_by(at, &[dimensions], metrics)
}

/// The same with several sets of dimensions: each makes metrics of its own. Not more than 30
/// dimensions fit a set.
pub fn embedded_metrics_by(
    at: Timestamp,
    sets: &[&[(&str, &str)]],
    metrics: &[(&str, Unit, f64)],
) -> Value {
    debug_assert!(metrics.len() <= 100, "a document holds at most 100 metrics");
    let names = |set: &[(&str, &str)]| set.iter().map(|(name, _)| json!(name)).collect();
    let sets_of_names: Vec<Value> = sets.iter().map(|set| names(set)).collect();
    let definitions: Vec<_> =
        metrics.iter().map(|(name, unit, _)| json!({"Name": name, "Unit": unit.name()})).collect();
    let mut document = Map::new();
    document.insert(
        "_aws".into(),
        json!({
            "Timestamp": at.as_millisecond(),
            "CloudWatchMetrics": [
                {"Namespace": NAMESPACE, "Dimensions": sets_of_names, "Metrics": definitions}
            ],
        }),
    );
    let dimensions = sets.iter().copied().flatten();
    document.extend(dimensions.map(|(name, value)| ((*name).to_owned(), json!(value))));
    document.extend(metrics.iter().map(|(name, _, value)| ((*name).to_owned(), json!(value))));
    Value::Object(document)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[derive(Clone, Default)]
    struct Captured(Arc<Mutex<Vec<u8>>>);

    impl Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_event_is_one_line_with_its_request() {
        let captured = Captured::default();
        let log = Log::new(Level::Info, Box::new(captured.clone()));
        log.set_request(Some("r-1"));
        log.event(Level::Debug, "quiet", &json!({}));
        log.event(Level::Warn, "poison", &json!({"shard_id": "shardId-000000000001"}));
        let text = String::from_utf8(captured.0.lock().unwrap().clone()).unwrap();
        let line: Value = serde_json::from_str(text.trim_end()).unwrap();
        assert_eq!(text.lines().count(), 1);
        assert_eq!(line["event"], "poison");
        assert_eq!(line["level"], "WARN");
        assert_eq!(line["request_id"], "r-1");
        assert_eq!(line["shard_id"], "shardId-000000000001");
    }

    #[test]
    fn metrics_name_their_dimensions_and_units() {
        let at = Timestamp::from_millisecond(1_700_000_000_000).unwrap();
        let document =
            embedded_metrics(at, &[("StreamName", "orders")], &[("OpenShards", Unit::Count, 4.0)]);
        assert_eq!(
            document,
            json!({
                "_aws": {"Timestamp": 1_700_000_000_000_i64, "CloudWatchMetrics": [{
                    "Namespace": "Tidegate", "Dimensions": [["StreamName"]],
                    "Metrics": [{"Name": "OpenShards", "Unit": "Count"}]}]},
                "StreamName": "orders", "OpenShards": 4.0
            })
        );
        let both = embedded_metrics_by(at, &[&[("A", "a")], &[("A", "a"), ("B", "b")]], &[]);
        let sets = &both["_aws"]["CloudWatchMetrics"][0]["Dimensions"];
        assert_eq!(*sets, json!([["A"], ["A", "B"]]));
        assert_eq!((&both["A"], &both["B"]), (&json!("a"), &json!("b")));
    }
}
