//! Where records are delivered to.

use std::sync::Arc;

use serde::Serialize;
use serde_json::json;
use tidegate_consumer::{Outcome, Record, RecordHandler};
use tidegate_runtime::{Level, Log};

use crate::format::Checked;

/// The sinks that there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sink {
    /// The log: each record's identity as a line of the level `DEBUG`, and no payload.
    Log,
}

/// A sink at work.
pub struct Delivery {
    /// Which.
    pub sink: Sink,
    /// Where its lines go.
    pub log: Arc<Log>,
}

impl RecordHandler<Checked> for Delivery {
    async fn handle(&self, item: Checked, record: &Record<'_>) -> Outcome {
        match self.sink {
            Sink::Log => {
                let facts = json!({
                    "shard_id": record.shard_id(),
                    "sequence_number": record.sequence_number(),
                    "size_bytes": item.size_bytes,
                });
                self.log.event(Level::Debug, "delivered", &facts);
                Outcome::Done
            }
        }
    }
}
