//! What was sent, for a person or a program.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;
use tidegate_local::reference::price::PUT_UNITS_USD_PER_MILLION;
use tidegate_producer::Tally;

/// What came of a run.
#[derive(Debug, Default)]
pub struct Summary {
    /// The stream.
    pub stream: String,
    /// Lines, or joined lines, that were read.
    pub read: u64,
    /// What a pipeline dropped.
    pub dropped: u64,
    /// What the producer counted.
    pub tally: Tally,
    /// Rejected records by reason.
    pub rejected: BTreeMap<String, u64>,
    /// Where they are.
    pub rejected_file: String,
    /// Records that were read and neither stored nor rejected when the run ended.
    pub left: u64,
    /// Why it ended before everything was sent.
    pub stopped: Option<String>,
    /// How long it took.
    pub took: Duration,
}

impl Summary {
    /// Whether everything that was read is in the stream, or was dropped on purpose.
    pub fn is_complete(&self) -> bool {
        self.rejected.is_empty() && self.left == 0 && self.stopped.is_none()
    }

    fn cost_usd(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a price")]
        let units = self.tally.payload_units as f64;
        units / 1e6 * PUT_UNITS_USD_PER_MILLION
    }

    /// As JSON.
    pub fn json(&self) -> anyhow::Result<String> {
        let tally = &self.tally;
        Ok(serde_json::to_string_pretty(&json!({
            "stream": self.stream,
            "read": self.read,
            "dropped": self.dropped,
            "sent": tally.stored,
            "sent_bytes": tally.stored_bytes,
            "rejected": self.rejected,
            "left": self.left,
            "stopped": self.stopped,
            "requests": tally.requests,
            "entries": tally.entries,
            "payload_units": tally.payload_units,
            "cost_usd": self.cost_usd(),
            "retried": tally.retried,
            "unanswered": tally.unanswered,
            "throttled": tally.throttled,
            "misplaced_aggregates": tally.misplaced,
            "seconds": self.took.as_secs_f64(),
        }))?)
    }

    /// As lines.
    pub fn text(&self) -> String {
        let tally = &self.tally;
        let rejected: u64 = self.rejected.values().sum();
        let mut text = format!(
            "{}: {} of {} records sent ({} bytes) in {:.1} s",
            self.stream,
            tally.stored,
            self.read - self.dropped,
            tally.stored_bytes,
            self.took.as_secs_f64()
        );
        text.push_str(&format!(
            "\n  requests   {} with {} entries; {} PUT payload units, ${:.6}",
            tally.requests,
            tally.entries,
            tally.payload_units,
            self.cost_usd()
        ));
        text.push_str(&format!(
            "\n  retries    {} records; the stream said {} times that a shard was full",
            tally.retried, tally.throttled
        ));
        if tally.unanswered > 0 {
            text.push_str(&format!(
                "\n  unanswered {} of them, whose requests were not answered: they may be in the \
                 stream twice",
                tally.unanswered
            ));
        }
        if self.dropped > 0 {
            text.push_str(&format!("\n  dropped    {} by the pipeline", self.dropped));
        }
        if tally.misplaced > 0 {
            text.push_str(&format!(
                "\n  reshard    {} aggregates were in flight while their shard changed; a consumer \
                 with KCL drops what is not of its shard",
                tally.misplaced
            ));
        }
        if rejected > 0 {
            text.push_str(&format!("\n  rejected   {rejected}, in {}:", self.rejected_file));
            for (reason, count) in &self.rejected {
                text.push_str(&format!(" {count} {reason}"));
            }
        }
        if let Some(stopped) = &self.stopped {
            text.push_str(&format!("\n  stopped    {stopped}"));
        }
        if self.left > 0 {
            text.push_str(&format!(
                "\n  left       {} records were read and not answered for; those in flight may be in \
                 the stream",
                self.left
            ));
        }
        text
    }
}
