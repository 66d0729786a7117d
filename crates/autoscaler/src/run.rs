//! One look at one stream: observe, decide, plan, apply.

use jiff::Timestamp;

use crate::apply;
use crate::decision::{Decision, Reason};
use crate::look::{Looked, Memory, Sight, look, may_look, unseen};
use crate::policy::Mode;
use crate::port::{Clock, LedgerStore, ServiceError, StreamService};
use crate::tags::Wishes;

/// What a run works with.
#[derive(Debug)]
pub struct Ports<'a, S, L, C> {
    /// Kinesis and CloudWatch.
    pub service: &'a S,
    /// The ledger, when there is one.
    pub ledger: Option<&'a L>,
    /// The time.
    pub clock: &'a C,
    /// When the run must have ended.
    pub deadline: Timestamp,
}

impl<S, L, C> Clone for Ports<'_, S, L, C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S, L, C> Copy for Ports<'_, S, L, C> {}

/// Looks at a stream once. Never fails: what AWS refuses is a hold with its reason. `configured`
/// says that the stream need not opt in by tag.
pub async fn run<S: StreamService, L: LedgerStore, C: Clock>(
    ports: Ports<'_, S, L, C>,
    stream: &str,
    wishes: &Wishes,
    configured: bool,
) -> Decision {
    let now = ports.clock.now();
    let refuse = |reason, message| unseen(stream, wishes, now, reason, message);
    let sight = match see(ports, stream).await {
        Ok(sight) => sight,
        Err(error) => return refuse(error.reason(), error.to_string()),
    };
    if !may_look(&sight.tags, configured) {
        return refuse(Reason::NotOptedIn, not_opted_in(stream));
    }
    let since = now - sight.memory.look_back(now);
    match ports.service.metrics(&[stream.to_owned()], since, now).await {
        Ok(mut metrics) => {
            let metrics = metrics.remove(stream).unwrap_or_default();
            // Unknown when it cannot be read: Kinesis itself holds that limit.
            let account = ports.service.account().await.ok();
            finish(ports, look(sight, &metrics, since, account, wishes, now)).await
        }
        Err(error) => refuse(error.reason(), error.to_string()),
    }
}

/// The sentence of a stream that nobody asked to be looked at.
pub fn not_opted_in(stream: &str) -> String {
    format!(
        "{stream} is not in TIDEGATE_STREAMS and has not opted in: give it the tag \
         tidegate:autoscale, with any value but false"
    )
}

/// Reads the stream, its tags and what is remembered of it.
async fn see<S: StreamService, L: LedgerStore, C: Clock>(
    ports: Ports<'_, S, L, C>,
    stream: &str,
) -> Result<Sight, ServiceError> {
    let description = ports.service.describe(stream).await?;
    let tags = ports.service.tags(stream).await?;
    let memory = match ports.ledger {
        None => Memory::of_tag(),
        Some(ledger) => {
            let answer = ledger.read(&[stream.to_owned()]).await;
            Memory::of_ledger(answer.as_ref().map(|entries| entries.get(stream)))
        }
    };
    Ok(Sight { stream: stream.to_owned(), description, tags, memory })
}

/// Carries a decision out, and keeps what was learned.
pub async fn finish<S: StreamService, L: LedgerStore, C: Clock>(
    ports: Ports<'_, S, L, C>,
    looked: Looked,
) -> Decision {
    let Looked { mut decision, mut memory, news } = looked;
    match decision.plan() {
        Some(plan) if decision.mode == Mode::Active => {
            apply::apply(&ports, &plan, &mut memory, &mut decision).await;
        }
        _ if news => {
            // What could not be written is learned again at the next look.
            let _ = apply::store(ports.ledger, &decision.stream, &mut memory).await;
        }
        _ => {}
    }
    decision
}
