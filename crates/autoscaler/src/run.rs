//! One look at one stream: observe, decide, plan, apply.

use jiff::{SignedDuration, Timestamp};

use crate::decide::decide;
use crate::decision::{Action, Applied, Decision, Plan, Reason, Stage};
use crate::history::{CALLS_TAG, Calls, History};
use crate::limits;
use crate::observation::{self, Observation, Status};
use crate::policy::{Mode, Policy};
use crate::port::{ServiceError, StreamService};

/// How much of the metrics is read: a day for the forecast, and the span that it is widened by.
/// GetMetricData is priced by the metric, not by the point.
pub const LOOK_BACK: SignedDuration = SignedDuration::from_hours(26);

/// The tag that pauses the autoscaler for a stream, with any value but `false`.
pub const PAUSED_TAG: &str = "tidegate:paused";

/// Looks at a stream once. Never fails: what AWS refuses is a hold with its reason.
pub async fn run<S: StreamService>(
    service: &S,
    stream: &str,
    policy: &Policy,
    mode: Mode,
    now: Timestamp,
) -> Decision {
    let (observation, history) = match observe(service, stream, now).await {
        Ok(seen) => seen,
        Err(blind) => return unseen(stream, mode, now, blind.reason, blind.message),
    };
    let mut decision = decide(&observation, policy, &history, mode, now);
    if mode == Mode::Active
        && let Some(plan) = decision.plan()
    {
        apply(service, &plan, &history.calls, now, &mut decision).await;
    }
    decision
}

/// Why a stream could not be seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blind {
    /// The reason to hold.
    pub reason: Reason,
    /// The sentence that goes with it.
    pub message: String,
}

impl From<ServiceError> for Blind {
    fn from(error: ServiceError) -> Self {
        Self { reason: error.reason(), message: error.to_string() }
    }
}

/// Reads what the decision needs.
///
/// # Errors
/// When the stream, its tags or its metrics cannot be read. An account limit that cannot be read is
/// unknown, and Kinesis itself holds it.
pub async fn observe<S: StreamService>(
    service: &S,
    stream: &str,
    now: Timestamp,
) -> Result<(Observation, History), Blind> {
    let description = service.describe(stream).await?;
    let tags = service.tags(stream).await?;
    let calls = Calls::from_tag(tags.get(CALLS_TAG).map_or("", String::as_str))
        .map_err(|error| Blind { reason: Reason::CallsUnreadable, message: error.to_string() })?;
    let mut metrics = service.metrics(&[stream.to_owned()], now - LOOK_BACK, now).await?;
    let metrics = metrics.remove(stream).unwrap_or_default();
    let account = service.account().await.ok();
    let (minutes, absurd_points) = observation::assemble(&metrics, now);
    let history = History::new(calls, &minutes);
    let observation = Observation {
        stream: stream.to_owned(),
        description,
        account,
        paused: tags.get(PAUSED_TAG).is_some_and(|value| value != "false"),
        minutes,
        absurd_points,
    };
    Ok((observation, history))
}

/// A hold without an observation.
pub fn unseen(
    stream: &str,
    mode: Mode,
    now: Timestamp,
    reason: Reason,
    message: String,
) -> Decision {
    Decision {
        stream: stream.to_owned(),
        at: now,
        mode,
        open_shards: None,
        target: None,
        action: Action::Hold,
        reason,
        message,
        applied: Applied::Nothing,
        calls_left: 0,
        usd_per_month: 0.0,
        stages: vec![Stage { stage: "usable", value: None, reason }],
    }
}

/// Carries a plan out. The call is written down before it is made, so that a crash in between costs
/// a call and never forgets one; a refused call stays written down, since it is not known whether
/// the service counts it.
async fn apply<S: StreamService>(
    service: &S,
    plan: &Plan,
    calls: &Calls,
    now: Timestamp,
    decision: &mut Decision,
) {
    match service.describe(&plan.stream).await {
        Ok(seen) if seen.status == Status::Active && seen.open_shards == plan.from => {}
        Ok(seen) => {
            let message = format!(
                "holds: the stream changed while it was looked at ({} shards then, {} now)",
                plan.from, seen.open_shards
            );
            return decision.refuse(Reason::ChangedMeanwhile, message);
        }
        Err(error) => return decision.refuse(error.reason(), format!("holds: {error}")),
    }
    let ledger = calls.with(now).to_tag();
    if let Err(error) = service.set_tag(&plan.stream, CALLS_TAG, &ledger).await {
        let message = format!("holds: the call could not be written down: {error}");
        return decision.refuse(error.reason(), message);
    }
    match service.update_shard_count(&plan.stream, plan.to).await {
        Ok(()) => {
            decision.applied = Applied::Done;
            decision.stages.push(Stage {
                stage: "apply",
                value: Some(f64::from(limits::operations(plan.from, plan.to))),
                reason: Reason::Ok,
            });
        }
        Err(error) => {
            let message = format!("holds at {} shards: {error}", plan.from);
            decision.refuse(error.reason(), message);
        }
    }
}
