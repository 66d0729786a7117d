//! One invocation: a batch in, the answer to Lambda out, a line a poison record, one line and one
//! set of metrics a batch.

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};
use tidegate_consumer::envelope::function_name;
use tidegate_consumer::report::{PoisonRecord, Retry};
use tidegate_consumer::{Bulk, Call, Consumer, Deadline, Journal, ProcessError, Report};
use tidegate_runtime::telemetry::{Unit, embedded_metrics, embedded_metrics_by};
use tidegate_runtime::{Function, FunctionError, Invocation, Level, Log, clock};

use crate::dedupe::Chosen;
use crate::format::Check;
use crate::notify::{Seen, Watch};
use crate::settings::Settings;
use crate::sink::Delivery;
use crate::store::Keeper;

/// The consumer as a Lambda function.
pub struct StreamConsumer {
    consumer: Consumer<Check, Bulk<Delivery>, Keeper>,
    log: Arc<Log>,
    watch: Option<Arc<Watch>>,
}

impl StreamConsumer {
    /// The function as it is configured, which it says.
    pub fn new(settings: Settings, log: Arc<Log>) -> Self {
        let Settings { check, sink, store, options, record_timeout, journal, dedupe, notify } =
            settings;
        let facts = json!({
            "format": check.format,
            "schema": check.schema.is_some(),
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
            "dedupe": dedupe.as_ref().map(|chosen| format!("{:?} in {}", chosen.dedupe, chosen.name)),
            "notify": notify.as_ref().map(|watch| &watch.expression),
        });
        log.event(Level::Info, "consumer", &facts);
        let watch = notify.map(Arc::new);
        let delivery = Delivery { sink, log: log.clone(), watch: watch.clone() };
        let keeper = Keeper { store, log: log.clone() };
        let poison_log = log.clone();
        let mut consumer = Consumer::new(check, Bulk(delivery), keeper)
            .with(options)
            .tell_poison(move |poison, call| tell_poison(&poison_log, poison, call));
        if let Some(limit) = record_timeout {
            consumer = consumer.time_limit(limit, clock::sleep);
        }
        if let Some(journal) = journal {
            consumer = consumer.journal(journal);
        }
        if let Some(Chosen { dedupe, .. }) = dedupe {
            consumer = consumer.dedupe(dedupe);
        }
        Self { consumer, log, watch }
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
        let name = name(&call);
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
                    ProcessError::Window { report, .. } => {
                        self.tell(report, name);
                        "WindowNotKnown"
                    }
                    _ => "EventNotUnderstood",
                };
                Err(FunctionError::new(kind, &error))
            }
        }
    }
}

/// What the function is called, as metrics name it.
fn name<'a>(call: &Call<'a>) -> &'a str {
    function_name(call.function_arn).unwrap_or("consumer")
}

/// A poison record that is kept, or was not.
#[derive(Serialize)]
struct Quarantined<'a> {
    #[serde(flatten)]
    poison: &'a PoisonRecord,
    #[serde(flatten)]
    metrics: Option<Value>,
}

/// One line for a poison record as soon as it is kept, which is its metrics too: neither is there
/// without the other, nor lost with an invocation that does not end.
fn tell_poison(log: &Log, poison: &PoisonRecord, call: &Call<'_>) {
    let function = ("FunctionName", name(call));
    let sets: [&[_]; 2] = [&[function], &[function, ("Reason", poison.reason.code())]];
    let count = [("Quarantined", Unit::Count, 1.0)];
    let metrics = embedded_metrics_by(clock::now(), &sets, &count);
    // One that was not kept comes again, and is counted when it is.
    let metrics = poison.store_error.is_none().then_some(metrics);
    // Whatever level is asked for: it is the one trace that no store's outage takes away.
    log.keep(Level::Warn, "quarantined", &Quarantined { poison, metrics });
}

/// The counts of a batch, and why not all of it is settled, if it is not.
#[derive(Serialize)]
struct Batch<'a> {
    #[serde(flatten)]
    report: &'a Report,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry: Option<&'a Retry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    notify: Option<Seen>,
}

impl StreamConsumer {
    /// The report as a line, and its figures as metrics. No payload is in either.
    fn tell(&self, report: &Report, function_name: &str) {
        let retry = report.retry.as_ref();
        let level = if retry.is_some() { Level::Warn } else { Level::Info };
        let notify = self.watch.as_ref().map(|watch| watch.take());
        self.log.event(level, "batch", &Batch { report, retry, notify });
        let mut metrics = vec![
            ("Received", Unit::Count, report.received as f64),
            ("Delivered", Unit::Count, report.delivered as f64),
            ("Skipped", Unit::Count, report.skipped as f64),
            ("Retried", Unit::Count, report.retried as f64),
            ("NotAttempted", Unit::Count, report.not_attempted as f64),
        ];
        metrics.extend(notify.map(|seen| ("Matched", Unit::Count, seen.matched as f64)));
        let dimensions = [("FunctionName", function_name)];
        // A line of metrics that cannot be written is given up: the records matter more.
        let _ = self.log.line(&embedded_metrics(clock::now(), &dimensions, &metrics));
    }
}

#[cfg(test)]
mod tests;
