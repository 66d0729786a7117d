//! One look at one stream: observe, decide, plan, apply.

use std::collections::BTreeMap;
use std::future::Future;

use jiff::{SignedDuration, Timestamp};

use crate::decide::decide;
use crate::decision::{Action, Applied, Decision, Plan, Reason, Stage};
use crate::history::{CALLS_TAG, Calls, History};
use crate::limits;
use crate::observation::{self, Account, Description, Metrics, Observation, Status};
use crate::policy::{Mode, Policy};

/// How much of the metrics is read: a day for the forecast, and the span that it is widened by.
/// GetMetricData is priced by the metric, not by the point.
pub const LOOK_BACK: SignedDuration = SignedDuration::from_hours(26);

/// The tag that pauses the autoscaler for a stream, with any value but `false`.
pub const PAUSED_TAG: &str = "tidegate:paused";

/// The few operations that the autoscaler needs of AWS, in our own words.
pub trait StreamService: Sync {
    /// DescribeStreamSummary.
    fn describe(
        &self,
        stream: &str,
    ) -> impl Future<Output = Result<Description, ServiceError>> + Send;

    /// GetMetricData: the four metrics of the stream by the minute.
    fn metrics(
        &self,
        stream: &str,
        from: Timestamp,
        to: Timestamp,
    ) -> impl Future<Output = Result<Metrics, ServiceError>> + Send;

    /// DescribeLimits.
    fn account(&self) -> impl Future<Output = Result<Account, ServiceError>> + Send;

    /// ListTagsForStream.
    fn tags(
        &self,
        stream: &str,
    ) -> impl Future<Output = Result<BTreeMap<String, String>, ServiceError>> + Send;

    /// AddTagsToStream, one tag.
    fn set_tag(
        &self,
        stream: &str,
        key: &str,
        value: &str,
    ) -> impl Future<Output = Result<(), ServiceError>> + Send;

    /// UpdateShardCount, uniform.
    fn update_shard_count(
        &self,
        stream: &str,
        target: u32,
    ) -> impl Future<Output = Result<(), ServiceError>> + Send;
}

/// What went wrong with a call, by what follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceErrorKind {
    /// The stream does not exist.
    NotFound,
    /// The stream is being changed.
    InUse,
    /// A limit of the service or the account.
    LimitExceeded,
    /// Too many requests; the SDK's own retries are spent.
    Throttled,
    /// The function's role may not.
    Denied,
    /// The request was refused as not valid.
    Invalid,
    /// No answer, or an error of the service.
    Unavailable,
}

/// A call to AWS that failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{operation}: {message}")]
pub struct ServiceError {
    /// The operation, as in the API reference.
    pub operation: &'static str,
    /// What follows from it.
    pub kind: ServiceErrorKind,
    /// What AWS said.
    pub message: String,
}

impl ServiceError {
    /// The one consequence of each kind of error: the reason to hold.
    pub const fn reason(&self) -> Reason {
        match self.kind {
            ServiceErrorKind::NotFound => Reason::StreamNotFound,
            ServiceErrorKind::InUse => Reason::StreamUpdating,
            ServiceErrorKind::LimitExceeded => Reason::ServiceLimit,
            ServiceErrorKind::Throttled => Reason::ServiceThrottled,
            ServiceErrorKind::Denied => Reason::AccessDenied,
            ServiceErrorKind::Invalid => Reason::ServiceRefused,
            ServiceErrorKind::Unavailable => Reason::ServiceUnavailable,
        }
    }
}

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
    let metrics = service.metrics(stream, now - LOOK_BACK, now).await?;
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
