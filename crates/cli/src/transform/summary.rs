//! What became of the records, and what Firehose would make of it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::json;
use tidegate_local::delivery;
use tidegate_transform::{RESPONSE_LIMIT_BYTES, Report};

/// Places that are named for each reason.
const PLACES: usize = 3;

/// The figures of a run, added up.
pub struct Summary {
    pipeline: String,
    report: Report,
    raw_bytes: usize,
    delivered_bytes: usize,
    invocations: u64,
    largest_request: usize,
    largest_response: u64,
    /// Where records failed, by reason.
    failed: BTreeMap<String, Vec<String>>,
    too_large: Vec<String>,
    /// What else was written, for a person.
    written: Vec<String>,
}

impl Summary {
    pub fn new(pipeline: &str) -> Self {
        Self {
            pipeline: pipeline.to_owned(),
            report: Report::default(),
            raw_bytes: 0,
            delivered_bytes: 0,
            invocations: 0,
            largest_request: 0,
            largest_response: 0,
            failed: BTreeMap::new(),
            too_large: Vec::new(),
            written: Vec::new(),
        }
    }

    pub fn invocations(&self) -> u64 {
        self.invocations
    }

    pub fn add(&mut self, report: &Report, raw_bytes: usize, request: usize, delivered: usize) {
        self.report.add(report);
        self.raw_bytes += raw_bytes;
        self.delivered_bytes += delivered;
        self.invocations += 1;
        self.largest_request = self.largest_request.max(request);
        self.largest_response = self.largest_response.max(report.response_bytes);
    }

    pub fn failed(&mut self, reason: &str, place: &str) {
        let places = self.failed.entry(reason.to_owned()).or_default();
        if places.len() < PLACES {
            places.push(place.to_owned());
        }
    }

    pub fn too_large(&mut self, place: &str) {
        self.too_large.push(place.to_owned());
    }

    #[cfg(feature = "parquet")]
    pub fn written(&mut self, what: String) {
        self.written.push(what);
    }

    /// Objects of the size that the template sets.
    fn objects(&self) -> usize {
        self.delivered_bytes.div_ceil(delivery::Settings::deployed("").object_bytes)
    }

    pub fn json(&self) -> serde_json::Value {
        json!({
            "pipeline": self.pipeline,
            "report": self.report,
            "raw_bytes": self.raw_bytes,
            "delivered_bytes": self.delivered_bytes,
            "invocations": self.invocations,
            "largest_request_bytes": self.largest_request,
            "largest_response_bytes": self.largest_response,
            "response_limit_bytes": RESPONSE_LIMIT_BYTES,
            "objects": self.objects(),
            "failed_at": self.failed,
            "too_large_for_firehose": self.too_large,
        })
    }

    pub fn text(&self) -> String {
        let Report { handed, ok, dropped, processing_failed, events, rows, .. } = self.report;
        let mut text = String::new();
        let _ = writeln!(
            text,
            "records    {handed} = {ok} Ok + {dropped} Dropped + {processing_failed} \
             ProcessingFailed"
        );
        for (reason, records) in self.report.reasons.iter() {
            let places = self.failed.get(reason.name()).map(Vec::as_slice).unwrap_or_default();
            let more = if places.is_empty() { "" } else { " at " };
            let _ = writeln!(text, "  {:<20} {records}{more}{}", reason.name(), places.join(", "));
        }
        if !self.too_large.is_empty() {
            let first = self.too_large.first().map_or("", String::as_str);
            let _ = writeln!(
                text,
                "  {} more are above 1,000 KiB, which Firehose does not take: {first}",
                self.too_large.len()
            );
        }
        for (input, events) in &self.report.inputs {
            let _ = writeln!(text, "  read as {input:<12} {events}");
        }
        let times = ratio(self.delivered_bytes, self.raw_bytes);
        let _ = writeln!(
            text,
            "rows       {rows} of {events} events; {} bytes, {times:.2} times the input",
            self.delivered_bytes
        );
        let share = 100.0 * ratio(self.largest_response as usize, RESPONSE_LIMIT_BYTES);
        let _ = writeln!(
            text,
            "Firehose   {} invocations; the largest request has {} bytes, the largest response {} \
             of {RESPONSE_LIMIT_BYTES} ({share:.0} %)",
            self.invocations, self.largest_request, self.largest_response
        );
        let settings = delivery::Settings::deployed("");
        let _ = write!(
            text,
            "S3         {} objects of {} MiB at most, unless time is up before; under {}",
            self.objects(),
            settings.object_bytes >> 20,
            settings.prefix
        );
        for what in &self.written {
            let _ = write!(text, "\n{what}");
        }
        text
    }
}

#[expect(clippy::cast_precision_loss, reason = "shown to people")]
fn ratio(a: usize, b: usize) -> f64 {
    if b == 0 { 0.0 } else { a as f64 / b as f64 }
}
