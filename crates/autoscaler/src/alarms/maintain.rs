//! The upkeep of alarms at the end of a run.

use jiff::Timestamp;
use serde::Serialize;

use super::{AlarmChange, AlarmService, AlarmSettings, CHANGES_PER_RUN, Stand, bounded, plan};
use crate::decision::{Applied, Decision, Reason};
use crate::policy::Mode;
use crate::port::{Clock, ServiceErrorKind};

/// What was done for the alarms of the streams of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Upkeep {
    /// The changes that were made.
    pub changed: Vec<Changed>,
    /// How many are left for the next run.
    pub left: usize,
    /// Alarms of our names that watch an expression of their owner's.
    pub own: Vec<String>,
    /// What failed; the next run tries again.
    pub failed: Vec<String>,
}

/// A change that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Changed {
    /// The alarm's name.
    pub alarm: String,
    /// `create`, `patch` or `rearm`.
    pub change: &'static str,
}

impl Upkeep {
    /// Whether there is anything to say.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// How a stream stands after a decision; `None` when its alarms are to be left as they are, since
/// nothing may be changed, the count is not known, or it is about to change.
pub fn stand(decision: &Decision) -> Option<Stand> {
    let unsettled = matches!(
        decision.reason,
        Reason::StreamUpdating | Reason::StreamNotActive | Reason::OnDemand | Reason::Paused
    );
    let moving = matches!(decision.applied, Applied::Done | Applied::Refused);
    if decision.mode == Mode::Shadow || unsettled || moving {
        return None;
    }
    let stuck = matches!(
        decision.reason,
        Reason::PolicyBounds | Reason::CallsSpent | Reason::AccountLimit | Reason::ServiceLimit
    );
    Some(Stand { stream: decision.stream.clone(), shards: decision.open_shards?, haste: !stuck })
}

/// Brings the alarms of these streams to what they should be, as far as time and budget go.
///
/// A crash or an error in between is harmless: what is missing is planned again by the next run.
pub async fn maintain<S: AlarmService, C: Clock>(
    service: &S,
    clock: &C,
    stands: &[Stand],
    settings: &AlarmSettings,
    until: Timestamp,
) -> Upkeep {
    let mut upkeep = Upkeep::default();
    let prefix = match stands {
        [] => return upkeep,
        [one] => format!("{}-{}-", settings.prefix, one.stream),
        _ => format!("{}-", settings.prefix),
    };
    let seen = match service.alarms(&prefix).await {
        Ok(seen) => seen,
        Err(error) => {
            upkeep.failed.push(error.to_string());
            return upkeep;
        }
    };
    let now = clock.now();
    let mut plans: Vec<_> = stands.iter().map(|stand| plan(stand, &seen, settings, now)).collect();
    upkeep.own = plans.iter_mut().flat_map(|plan| std::mem::take(&mut plan.own)).collect();
    let (changes, left) = bounded(plans, CHANGES_PER_RUN);
    upkeep.left = left;
    for (index, change) in changes.iter().enumerate() {
        let rest = changes.len() - index;
        if clock.now() >= until {
            upkeep.left += rest;
            break;
        }
        let alarm = change.name().to_owned();
        match service.change(change).await {
            Ok(()) => upkeep.changed.push(Changed { alarm, change: change.verb() }),
            Err(error) => {
                upkeep.failed.push(format!("{alarm}: {error}"));
                // The others would fail as well.
                let hopeless = matches!(
                    error.kind,
                    ServiceErrorKind::Denied
                        | ServiceErrorKind::Throttled
                        | ServiceErrorKind::Unavailable
                );
                if hopeless {
                    upkeep.left += rest - 1;
                    break;
                }
            }
        }
    }
    upkeep
}

impl AlarmChange {
    const fn verb(&self) -> &'static str {
        match self {
            Self::Create(_) => "create",
            Self::Patch { .. } => "patch",
            Self::Rearm { .. } => "rearm",
        }
    }
}
