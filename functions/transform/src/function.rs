//! One invocation: a request of Firehose in, its response out, one log line and one set of metrics.

use std::cell::RefCell;
use std::sync::Arc;

use jiff::SignedDuration;
use serde_json::json;
use tidegate_aws::reingest::PutBack;
use tidegate_runtime::telemetry::{Unit, embedded_metrics};
use tidegate_runtime::{Function, FunctionError, Invocation, Level, Log, clock};
use tidegate_transform::reingest::{self, Overflow, Reingest};
use tidegate_transform::{Engine, RESPONSE_LIMIT_BYTES, Reason, Report};

use crate::files::Files;
use crate::refresh::Refresh;
use crate::settings::{OnOverflow, Settings};

/// No call is begun with less time left: one may take 20 seconds until it is given up, and an
/// invocation that times out is repeated whole, so that what was put back is there twice.
const TIME_FOR_A_CALL: SignedDuration = SignedDuration::from_secs(25);

/// The transform as a Lambda function.
pub struct Transform<P = PutBack> {
    engine: RefCell<Engine>,
    refresh: Refresh,
    /// Where overflow is put back, if it is.
    back: Option<P>,
    log: Arc<Log>,
}

impl<P: Reingest> Transform<P> {
    /// The function that runs the configured pipeline, and says so.
    pub fn new(settings: Settings, files: Files, back: P, log: Arc<Log>) -> Self {
        tell_start(&settings, "pipeline", &log);
        let Settings { pipeline, on_overflow, refresh, .. } = settings;
        let refresh = Refresh::new(refresh, files, clock::now(), log.clone());
        let back = (on_overflow == OnOverflow::Reingest).then_some(back);
        Self { engine: RefCell::new(Engine::new(pipeline)), refresh, back, log }
    }
}

impl<P: Reingest + 'static> Function for Transform<P> {
    async fn invoke(&self, invocation: Invocation) -> Result<Vec<u8>, FunctionError> {
        if let Some(settings) = self.refresh.take(clock::now()) {
            tell_start(&settings, "refreshed", &self.log);
            self.engine.replace(Engine::new(settings.pipeline));
        }
        // Records grow by a quarter or so on their way to JSON.
        let room = invocation.body.len() + invocation.body.len() / 4;
        let mut response = Vec::with_capacity(room.min(RESPONSE_LIMIT_BYTES));
        let mut overflow = Overflow::default();
        let transformed = {
            let mut engine = self.engine.borrow_mut();
            match &self.back {
                None => engine.transform(&invocation.body, &mut response),
                Some(_) => engine.transform_keeping(&invocation.body, &mut response, &mut overflow),
            }
        };
        let mut report =
            transformed.map_err(|error| FunctionError::new("EventNotUnderstood", &error))?;
        if let Some(back) = &self.back
            && !overflow.is_empty()
        {
            let go_on = || invocation.deadline.duration_since(clock::now()) > TIME_FOR_A_CALL;
            let done = reingest::put_back(overflow, back, go_on, &mut response, &mut report).await;
            self.tell_put_back(&done);
        }
        self.tell(&report, function_name(&invocation.function_arn));
        Ok(response)
    }
}

impl<P> Transform<P> {
    /// What was put back, and what was not.
    fn tell_put_back(&self, done: &reingest::PutBack) {
        let level = if done.left + done.in_part > 0 { Level::Warn } else { Level::Info };
        let facts = json!({
            "records": done.records,
            "calls": done.calls,
            "in_part": done.in_part,
            "left": done.left,
            "error": done.error.as_ref().map(ToString::to_string),
        });
        self.log.event(level, "put_back", &facts);
    }

    /// The report as one line, and its figures as metrics. Nothing of a record is in either.
    fn tell(&self, report: &Report, function_name: &str) {
        self.log.event(Level::Info, "batch", report);
        if report.geoip_errors > 0 {
            let remedy = "replace the file that TIDEGATE_GEOIP_DB or TIDEGATE_ASN_DB names: one \
                          of them is damaged";
            let facts = json!({"records": report.geoip_errors, "remedy": remedy});
            self.log.event(Level::Warn, "geoip_unreadable", &facts);
        }
        let mut metrics = vec![
            ("Records", Unit::Count, report.handed as f64),
            ("Ok", Unit::Count, report.ok as f64),
            ("Dropped", Unit::Count, report.dropped as f64),
            ("ProcessingFailed", Unit::Count, report.processing_failed as f64),
            ("GeoipErrors", Unit::Count, report.geoip_errors as f64),
            ("Rows", Unit::Count, report.rows as f64),
            ("Reingested", Unit::Count, report.reasons.of(Reason::Reingested) as f64),
            ("ResponseBytes", Unit::Bytes, report.response_bytes as f64),
        ];
        let failed = self.refresh.take_failed();
        if failed > 0 {
            metrics.push(("RefreshFailed", Unit::Count, failed as f64));
        }
        let dimensions = [("FunctionName", function_name)];
        // A line of metrics that cannot be written is given up: the records matter more.
        let _ = self.log.line(&embedded_metrics(clock::now(), &dimensions, &metrics));
    }
}

/// What is run, and what is missing for it.
fn tell_start(settings: &Settings, event: &str, log: &Log) {
    let [geoip_db, asn_db] = [&settings.database, &settings.asn].map(|database| {
        database.as_ref().map(|database| {
            json!({
                "type": database.database_type(),
                "build_epoch_secs": database.build_epoch_secs(),
            })
        })
    });
    let facts = json!({"pipeline": settings.name, "geoip_db": geoip_db, "asn_db": asn_db});
    log.event(Level::Info, event, &facts);
    for gap in &settings.gaps {
        log.event(Level::Warn, "database_unusable", &json!({"error": gap}));
    }
}

/// The name in `arn:aws:lambda:REGION:ACCOUNT:function:NAME:ALIAS`.
fn function_name(arn: &str) -> &str {
    arn.split(':').nth(6).filter(|name| !name.is_empty()).unwrap_or("transform")
}

#[cfg(test)]
mod tests;
