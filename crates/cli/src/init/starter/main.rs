//! The Lambda function around the consumer: its settings, its log lines, its metrics.

use std::process::ExitCode;
use std::sync::Arc;

use {{crate}}::{Order, Orders, consumer};
use tidegate_aws::call::Connections;
use tidegate_aws::quarantine::S3Quarantine;
use tidegate_consumer::{
    BoxError, Call, Consumer, Deadline, Envelope, Journal, Json, LogOnly, Quarantine,
    QuarantineError, Report,
};
use tidegate_runtime::telemetry::{Unit, embedded_metrics};
use tidegate_runtime::{Function, FunctionError, Invocation, Level, Log, clock};

/// Where poison goes: a bucket, or without `QUARANTINE_BUCKET`, as on a laptop, the log alone, which
/// says which record it was and not what is in it.
struct Store(Option<S3Quarantine>);

impl Quarantine for Store {
    async fn put(&self, envelope: &Envelope) -> Result<(), QuarantineError> {
        match &self.0 {
            Some(bucket) => bucket.put(envelope).await,
            None => LogOnly.put(envelope).await,
        }
    }
}

struct Handler {
    consumer: Consumer<Json<Order>, Orders, Store>,
    log: Arc<Log>,
}

impl Function for Handler {
    async fn invoke(&self, invocation: Invocation) -> Result<Vec<u8>, FunctionError> {
        let call = Call {
            function_arn: &invocation.function_arn,
            request_id: &invocation.request_id,
            now: clock::now(),
            deadline: Some(Deadline { at: invocation.deadline, clock: &clock::now }),
        };
        let processed = self.consumer.process(&invocation.body, &call).await;
        let processed = processed.map_err(|error| FunctionError::new("NotProcessed", &error))?;
        let name = invocation.function_arn.split(':').nth(6).unwrap_or("{{name}}");
        self.tell(&processed.report, name);
        Ok(processed.response.to_json())
    }
}

impl Handler {
    /// A line a poison record, a line a batch, and the metrics that the alarms watch.
    fn tell(&self, report: &Report, name: &str) {
        for poison in &report.poison {
            self.log.keep(Level::Warn, "quarantined", poison);
        }
        if let Some(retry) = &report.retry {
            self.log.event(Level::Warn, "retry", retry);
        }
        self.log.event(Level::Info, "batch", report);
        let metrics = [
            ("Received", Unit::Count, report.received as f64),
            ("Delivered", Unit::Count, report.delivered as f64),
            ("Quarantined", Unit::Count, report.quarantined as f64),
        ];
        let metrics = embedded_metrics(clock::now(), &[("FunctionName", name)], &metrics);
        let _ = self.log.line(&metrics);
    }
}

fn main() -> ExitCode {
    tidegate_runtime::run(async |log: &Arc<Log>| {
        let bucket = std::env::var("QUARANTINE_BUCKET").ok().map(|bucket| {
            let connections = Connections::new(|| clock::now().into());
            S3Quarantine::new(bucket, "quarantine", connections)
        });
        let mut consumer = consumer(Store(bucket));
        // By it, a record that crashes the function is found.
        if let Ok(folder) = std::env::var("JOURNAL") {
            consumer = consumer.journal(Journal::open(folder)?);
        }
        Ok::<_, BoxError>(Handler { consumer, log: log.clone() })
    })
}
