//! What this consumer does with a record. Begin here: change [`Order`] to what your records hold,
//! and [`Orders::handle`] to what is done with one.

use serde::Deserialize;
use tidegate_consumer::{Consumer, Json, Outcome, Quarantine, Record, RecordHandler};

/// What a record holds: a JSON object with these fields, and any others. A record that is anything
/// else is poison: it goes to quarantine, and those after it are handled.
#[derive(Debug, Deserialize)]
pub struct Order {
    /// Which order.
    pub order: u64,
    /// What it comes to.
    pub total: f64,
}

/// Handles orders.
#[derive(Debug, Default)]
pub struct Orders;

impl RecordHandler<Order> for Orders {
    /// One record. It can come more than once: its sequence number is then the same.
    ///
    /// `Outcome::Done` and `Outcome::Skip` settle it. `Outcome::Retry` has it come again, and those
    /// after it, for as long as the event source mapping says; `Outcome::Poison` and a panic send it
    /// to quarantine. Errors are logged: their text should not quote the record.
    async fn handle(&self, order: Order, _record: &Record<'_>) -> Outcome {
        if order.total == 0.0 {
            return Outcome::Skip;
        }
        // Deliver it here.
        Outcome::Done
    }
}

/// The consumer, with a store for what is poison.
pub fn consumer<Q: Quarantine>(quarantine: Q) -> Consumer<Json<Order>, Orders, Q> {
    Consumer::new(Json::new(), Orders, quarantine)
}
