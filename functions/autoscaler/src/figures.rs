//! The figures of decisions as CloudWatch metrics.
//!
//! A custom metric is paid by the month and by its dimensions, so only the streams in
//! `TIDEGATE_STREAMS` have metrics of their own. Those that opted in are added up; what was decided
//! on each stands in the log.

use jiff::Timestamp;
use serde_json::{Value, json};
use tidegate_autoscaler::decision::{Action, Decision};
use tidegate_autoscaler::fleet::Summary;
use tidegate_runtime::telemetry::{Unit, embedded_metrics};

/// The metrics of one stream.
pub fn of_stream(decision: &Decision) -> Value {
    let one = |yes: bool| f64::from(u8::from(yes));
    let held = decision.action == Action::Hold;
    let mut metrics = vec![("Resized", Unit::Count, one(!held)), ("Held", Unit::Count, one(held))];
    if let (Some(open), Some(target)) = (decision.open_shards, decision.target) {
        metrics.push(("OpenShards", Unit::Count, f64::from(open)));
        metrics.push(("DesiredShards", Unit::Count, f64::from(target)));
        metrics.push(("CallsLeft", Unit::Count, f64::from(decision.calls_left)));
    }
    metrics.extend(demand(decision).map(|demand| ("DemandShards", Unit::Count, demand)));
    let dimensions = [("StreamName", decision.stream.as_str())];
    let mut document = embedded_metrics(decision.at, &dimensions, &metrics);
    // Not a dimension: to be found in the log beside the figures.
    document["Reason"] = json!(decision.reason);
    document
}

fn demand(decision: &Decision) -> Option<f64> {
    decision.stages.iter().find(|stage| stage.stage == "demand")?.value
}

/// The figures of all streams together.
#[derive(Debug, Default)]
pub struct Figures {
    open: f64,
    desired: f64,
    demand: f64,
}

impl Figures {
    /// Adds a stream.
    pub fn add(&mut self, decision: &Decision) {
        self.open += decision.open_shards.map_or(0.0, f64::from);
        self.desired += decision.target.map_or(0.0, f64::from);
        self.demand += demand(decision).unwrap_or(0.0);
    }

    /// The metrics of a run: one document without a dimension, and one for each reason to hold, of
    /// which there is a fixed number.
    pub fn documents(&self, summary: &Summary, at: Timestamp) -> Vec<Value> {
        #[expect(clippy::cast_precision_loss, reason = "a metric")]
        let number = |count: usize| count as f64;
        let metrics = [
            ("Streams", Unit::Count, number(summary.streams)),
            ("StreamsLeft", Unit::Count, number(summary.left)),
            ("OpenShards", Unit::Count, self.open),
            ("DesiredShards", Unit::Count, self.desired),
            ("DemandShards", Unit::Count, self.demand),
            ("Resized", Unit::Count, number(summary.resized)),
            ("Held", Unit::Count, number(summary.held.values().sum())),
        ];
        let whole = embedded_metrics(at, &[], &metrics);
        let by_reason = summary.held.iter().map(|(reason, count)| {
            let metrics = [("Held", Unit::Count, number(*count))];
            embedded_metrics(at, &[("Reason", reason)], &metrics)
        });
        std::iter::once(whole).chain(by_reason).collect()
    }
}

#[cfg(test)]
mod tests {
    use tidegate_autoscaler::decision::Reason;
    use tidegate_autoscaler::look::unseen;
    use tidegate_autoscaler::tags::Wishes;
    use tidegate_autoscaler::{Mode, Policy};

    use super::*;

    fn held() -> Decision {
        let wishes = Wishes { policy: Policy::default(), mode: Mode::Shadow };
        unseen("orders", &wishes, Timestamp::UNIX_EPOCH, Reason::AccessDenied, String::new())
    }

    #[test]
    fn a_stream_that_was_not_seen_has_no_shards_in_the_metrics() {
        let document = of_stream(&held());
        assert_eq!((&document["Held"], &document["Resized"]), (&json!(1.0), &json!(0.0)));
        assert_eq!(document["Reason"], "access_denied");
        assert_eq!(document["OpenShards"], Value::Null);
        assert_eq!(document["_aws"]["CloudWatchMetrics"][0]["Dimensions"], json!([["StreamName"]]));
    }

    #[test]
    fn a_run_has_one_set_of_metrics_and_one_a_reason() {
        let mut figures = Figures::default();
        let decision = Decision { open_shards: Some(4), target: Some(6), ..held() };
        figures.add(&decision);
        figures.add(&held());
        let reasons = [("access_denied".to_owned(), 1), ("enough".to_owned(), 2)];
        let summary = Summary { streams: 9, held: reasons.into(), ..Summary::default() };
        let documents = figures.documents(&summary, Timestamp::UNIX_EPOCH);
        assert_eq!(documents.len(), 3);
        let whole = &documents[0];
        assert_eq!(whole["_aws"]["CloudWatchMetrics"][0]["Dimensions"], json!([[]]));
        let figures = ["Streams", "Held", "OpenShards", "DesiredShards"].map(|name| &whole[name]);
        assert_eq!(figures, [&json!(9.0), &json!(3.0), &json!(4.0), &json!(6.0)]);
        assert_eq!(
            (&documents[2]["Reason"], &documents[2]["Held"]),
            (&json!("enough"), &json!(2.0))
        );
    }
}
