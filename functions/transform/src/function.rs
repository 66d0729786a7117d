//! One invocation: a request of Firehose in, its response out, one log line and one set of metrics.

use std::cell::RefCell;
use std::sync::Arc;

use serde_json::json;
use tidegate_runtime::telemetry::{Unit, embedded_metrics};
use tidegate_runtime::{Function, FunctionError, Invocation, Level, Log, clock};
use tidegate_transform::{Engine, RESPONSE_LIMIT_BYTES, Report};

use crate::settings::Settings;

/// The transform as a Lambda function.
pub struct Transform {
    engine: RefCell<Engine>,
    log: Arc<Log>,
}

impl Transform {
    /// The function that runs the configured pipeline, and says so.
    pub fn new(settings: Settings, log: Arc<Log>) -> Self {
        let Settings { name, pipeline, database, asn } = settings;
        let [geoip_db, asn_db] = [database, asn].map(|database| {
            database.map(|database| {
                json!({
                    "type": database.database_type(),
                    "build_epoch_secs": database.build_epoch_secs(),
                })
            })
        });
        let facts = json!({"pipeline": name, "geoip_db": geoip_db, "asn_db": asn_db});
        log.event(Level::Info, "pipeline", &facts);
        Self { engine: RefCell::new(Engine::new(pipeline)), log }
    }
}

impl Function for Transform {
    async fn invoke(&self, invocation: Invocation) -> Result<Vec<u8>, FunctionError> {
        // Records grow by a quarter or so on their way to JSON.
        let room = invocation.body.len() + invocation.body.len() / 4;
        let mut response = Vec::with_capacity(room.min(RESPONSE_LIMIT_BYTES));
        let report = self
            .engine
            .borrow_mut()
            .transform(&invocation.body, &mut response)
            .map_err(|error| FunctionError::new("EventNotUnderstood", &error))?;
        self.tell(&report, function_name(&invocation.function_arn));
        Ok(response)
    }
}

impl Transform {
    /// The report as one line, and its figures as metrics. Nothing of a record is in either.
    fn tell(&self, report: &Report, function_name: &str) {
        self.log.event(Level::Info, "batch", report);
        if report.geoip_errors > 0 {
            let remedy = "replace the file that TIDEGATE_GEOIP_DB or TIDEGATE_ASN_DB names: one \
                          of them is damaged";
            let facts = json!({"records": report.geoip_errors, "remedy": remedy});
            self.log.event(Level::Warn, "geoip_unreadable", &facts);
        }
        let metrics = [
            ("Records", Unit::Count, report.handed as f64),
            ("Ok", Unit::Count, report.ok as f64),
            ("Dropped", Unit::Count, report.dropped as f64),
            ("ProcessingFailed", Unit::Count, report.processing_failed as f64),
            ("GeoipErrors", Unit::Count, report.geoip_errors as f64),
            ("Rows", Unit::Count, report.rows as f64),
            ("ResponseBytes", Unit::Bytes, report.response_bytes as f64),
        ];
        let dimensions = [("FunctionName", function_name)];
        // A line of metrics that cannot be written is given up: the records matter more.
        let _ = self.log.line(&embedded_metrics(clock::now(), &dimensions, &metrics));
    }
}

/// The name in `arn:aws:lambda:REGION:ACCOUNT:function:NAME:ALIAS`.
fn function_name(arn: &str) -> &str {
    arn.split(':').nth(6).filter(|name| !name.is_empty()).unwrap_or("transform")
}

#[cfg(test)]
mod tests;
