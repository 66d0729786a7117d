//! A consumer of orders, as a user of the library writes it: a typed item that borrows from the
//! record, a quarantine, a journal, a line and a set of metrics a batch.
//!
//! `OWNED=1` makes the item own its text instead, as the items of most functions do.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Deserialize;
use tidegate_consumer::decode::{self, DecodeError};
use tidegate_consumer::{
    BoxError, Call, Consumer, Deadline, Decoder, Folder, Journal, Json, Outcome, Record,
    RecordHandler, Report,
};
use tidegate_runtime::telemetry::{Unit, embedded_metrics};
use tidegate_runtime::{Function, FunctionError, Invocation, Level, Log, clock};

/// What a record holds.
#[derive(Deserialize)]
#[expect(dead_code, reason = "only read into")]
struct Order<'a> {
    order_id: &'a str,
    customer: &'a str,
    kind: &'a str,
    placed_at: &'a str,
    total_cents: u64,
}

/// The same, with all that there is, and owning it.
#[derive(Deserialize)]
#[expect(dead_code, reason = "only read into")]
struct OwnedOrder {
    order_id: String,
    customer: String,
    kind: String,
    placed_at: String,
    currency: String,
    total_cents: u64,
    lines: Vec<Line>,
    ship_to: Address,
    agent: String,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "only read into")]
struct Line {
    sku: String,
    quantity: u32,
    price_cents: u64,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "only read into")]
struct Address {
    city: String,
    country: String,
    postcode: String,
}

/// Orders that borrow their text from the record.
struct Orders;

impl Decoder for Orders {
    type Item<'a> = Order<'a>;

    fn decode<'a>(&self, data: &'a [u8], _: &Record<'_>) -> Result<Order<'a>, DecodeError> {
        decode::json(data)
    }
}

/// What is done with an order.
#[derive(Default)]
struct Totals(AtomicU64);

impl RecordHandler<Order<'_>> for Totals {
    async fn handle(&self, order: Order<'_>, _: &Record<'_>) -> Outcome {
        self.0.fetch_add(order.total_cents, Ordering::Relaxed);
        Outcome::Done
    }
}

impl RecordHandler<OwnedOrder> for Totals {
    async fn handle(&self, order: OwnedOrder, _: &Record<'_>) -> Outcome {
        self.0.fetch_add(order.total_cents, Ordering::Relaxed);
        Outcome::Done
    }
}

struct Measured<D> {
    consumer: Consumer<D, Totals, Folder>,
    log: Arc<Log>,
}

impl<D> Function for Measured<D>
where
    D: Decoder + 'static,
    Totals: for<'a> RecordHandler<D::Item<'a>>,
{
    async fn invoke(&self, invocation: Invocation) -> Result<Vec<u8>, FunctionError> {
        let call = Call {
            function_arn: &invocation.function_arn,
            request_id: &invocation.request_id,
            now: clock::now(),
            deadline: Some(Deadline { at: invocation.deadline, clock: &clock::now }),
        };
        let processed = self.consumer.process(&invocation.body, &call).await;
        let processed = processed.map_err(|error| FunctionError::new("NotProcessed", &error))?;
        self.tell(&processed.report);
        Ok(processed.response.to_json())
    }
}

impl<D> Measured<D> {
    /// As the shipped function does.
    fn tell(&self, report: &Report) {
        for poison in &report.poison {
            self.log.keep(Level::Warn, "quarantined", poison);
        }
        self.log.event(Level::Info, "batch", report);
        let metrics = [
            ("Received", Unit::Count, report.received as f64),
            ("Delivered", Unit::Count, report.delivered as f64),
            ("Skipped", Unit::Count, report.skipped as f64),
            ("Quarantined", Unit::Count, report.quarantined as f64),
            ("Retried", Unit::Count, report.retried as f64),
            ("NotAttempted", Unit::Count, report.not_attempted as f64),
        ];
        let dimensions = [("FunctionName", "measured")];
        let _ = self.log.line(&embedded_metrics(clock::now(), &dimensions, &metrics));
    }
}

fn main() -> ExitCode {
    if std::env::var_os("OWNED").is_some() {
        run::<Json<OwnedOrder>>(Json::new)
    } else {
        run::<Orders>(|| Orders)
    }
}

fn run<D>(decoder: fn() -> D) -> ExitCode
where
    D: Decoder + 'static,
    Totals: for<'a> RecordHandler<D::Item<'a>>,
{
    tidegate_runtime::run(async |log: &Arc<Log>| {
        let folder = std::env::var("QUARANTINE")?;
        let quarantine = Folder::create(&folder)?;
        let journal = Journal::open(format!("{folder}/journal"))?;
        let consumer = Consumer::new(decoder(), Totals::default(), quarantine).journal(journal);
        Ok::<_, BoxError>(Measured { consumer, log: log.clone() })
    })
}
