//! One invocation: a batch in, the answer to Lambda out, a line a poison record, one line and one
//! set of metrics a batch.

use std::sync::Arc;

use serde::Serialize;
use serde_json::json;
use tidegate_consumer::envelope::function_name;
use tidegate_consumer::report::Retry;
use tidegate_consumer::{Bulk, Call, Consumer, Deadline, Journal, ProcessError, Report};
use tidegate_runtime::telemetry::{Unit, embedded_metrics};
use tidegate_runtime::{Function, FunctionError, Invocation, Level, Log, clock};

use crate::format::Format;
use crate::settings::Settings;
use crate::sink::Delivery;
use crate::store::Keeper;

/// The consumer as a Lambda function.
pub struct StreamConsumer {
    consumer: Consumer<Format, Bulk<Delivery>, Keeper>,
    log: Arc<Log>,
}

impl StreamConsumer {
    /// The function as it is configured, which it says.
    pub fn new(settings: Settings, log: Arc<Log>) -> Self {
        let Settings { format, sink, store, options, record_timeout, journal, dedupe } = settings;
        let facts = json!({
            "format": format,
            "sink": sink.to_string(),
            "quarantine": store.to_string(),
            "on_retry": options.on_retry,
            "on_poison": options.on_poison,
            "lanes": options.lanes,
            "expand": options.expand.name(),
            "record_timeout_ms": record_timeout.map(|limit| limit.as_millis()),
            "max_attempts": options.max_attempts,
            "max_age_secs": options.max_age.map(|age| age.as_secs()),
            "journal": journal.as_ref().map(Journal::folder),
            "dedupe": dedupe.as_ref().map(|dedupe| format!("{dedupe:?}")),
        });
        log.event(Level::Info, "consumer", &facts);
        let delivery = Delivery { sink, log: log.clone() };
        let keeper = Keeper { store, log: log.clone() };
        let mut consumer = Consumer::new(format, Bulk(delivery), keeper).with(options);
        if let Some(limit) = record_timeout {
            consumer = consumer.time_limit(limit, clock::sleep);
        }
        if let Some(journal) = journal {
            consumer = consumer.journal(journal);
        }
        if let Some(dedupe) = dedupe {
            consumer = consumer.dedupe(dedupe);
        }
        Self { consumer, log }
    }
}

impl Function for StreamConsumer {
    async fn invoke(&self, invocation: Invocation) -> Result<Vec<u8>, FunctionError> {
        let call = Call {
            function_arn: &invocation.function_arn,
            request_id: &invocation.request_id,
            now: clock::now(),
            deadline: Some(Deadline { at: invocation.deadline, clock: &clock::now }),
        };
        let name = function_name(call.function_arn).unwrap_or("consumer");
        match self.consumer.process(&invocation.body, &call).await {
            Ok(processed) => {
                self.tell(&processed.report, name);
                Ok(processed.response.to_json())
            }
            Err(error) => {
                let kind = match &error {
                    ProcessError::Unnameable { report, .. } => {
                        self.tell(report, name);
                        "RecordNotNameable"
                    }
                    _ => "EventNotUnderstood",
                };
                Err(FunctionError::new(kind, &error))
            }
        }
    }
}

/// The counts of a batch, and why not all of it is settled, if it is not.
#[derive(Serialize)]
struct Batch<'a> {
    #[serde(flatten)]
    report: &'a Report,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry: Option<&'a Retry>,
}

impl StreamConsumer {
    /// The report as lines, and its figures as metrics. No payload is in any of them.
    fn tell(&self, report: &Report, function_name: &str) {
        for poison in &report.poison {
            // Whatever level is asked for: it is the one trace that no store's outage takes away.
            self.log.keep(Level::Warn, "quarantined", poison);
        }
        let retry = report.retry.as_ref();
        let level = if retry.is_some() { Level::Warn } else { Level::Info };
        self.log.event(level, "batch", &Batch { report, retry });
        let metrics = [
            ("Received", Unit::Count, report.received as f64),
            ("Delivered", Unit::Count, report.delivered as f64),
            ("Skipped", Unit::Count, report.skipped as f64),
            ("Quarantined", Unit::Count, report.quarantined as f64),
            ("Retried", Unit::Count, report.retried as f64),
            ("NotAttempted", Unit::Count, report.not_attempted as f64),
        ];
        let dimensions = [("FunctionName", function_name)];
        // A line of metrics that cannot be written is given up: the records matter more.
        let _ = self.log.line(&embedded_metrics(clock::now(), &dimensions, &metrics));
    }
}

#[cfg(test)]
mod tests;
