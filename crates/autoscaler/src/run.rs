//! One look at one stream: observe, decide, plan, apply.

use jiff::Timestamp;

use crate::apply;
use crate::apply_splits;
use crate::closer;
use crate::decision::{Action, Decision, Reason};
use crate::look::{Inputs, Looked, Memory, Sight, look, may_look, unseen};
use crate::observation::{Account, Metrics};
use crate::policy::Mode;
use crate::port::{Clock, LedgerStore, ServiceError, StreamService};
use crate::shards::ShardService;
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
pub async fn run<S: StreamService + ShardService, L: LedgerStore, C: Clock>(
    ports: Ports<'_, S, L, C>,
    stream: &str,
    wishes: &Wishes,
    configured: bool,
) -> Decision {
    match observe(ports, stream, wishes, configured).await {
        Ok((looked, _)) => finish(ports, looked, usize::MAX).await,
        Err(blind) => *blind,
    }
}

/// The first half of [`run`]: looks and decides, and changes nothing. What it found is carried out
/// by [`finish`].
///
/// # Errors
/// The hold, when the stream could not be seen or may not be looked at.
pub async fn observe<S: StreamService + ShardService, L: LedgerStore, C: Clock>(
    ports: Ports<'_, S, L, C>,
    stream: &str,
    wishes: &Wishes,
    configured: bool,
) -> Result<(Looked, Option<Inputs>), Box<Decision>> {
    let now = ports.clock.now();
    let refuse = |reason, message| Box::new(unseen(stream, wishes, now, reason, message));
    let failed = |error: ServiceError| refuse(error.reason(), error.to_string());
    let sight = see(ports, stream).await.map_err(failed)?;
    if !may_look(&sight.tags, configured) {
        return Err(refuse(Reason::NotOptedIn, not_opted_in(stream)));
    }
    let since = now - sight.memory.look_back(now);
    let answer = ports.service.metrics(&[stream.to_owned()], since, now).await;
    let metrics = answer.map_err(failed)?.remove(stream).unwrap_or_default();
    // Unknown when it cannot be read: Kinesis itself holds that limit.
    let account = ports.service.account().await.ok();
    Ok(look_closer(ports.service, sight, &metrics, since, account, wishes, now).await)
}

/// The sentence of a stream that nobody asked to be looked at.
pub fn not_opted_in(stream: &str) -> String {
    format!(
        "{stream} is not in TIDEGATE_STREAMS and has not opted in: give it the tag \
         tidegate:autoscale, with any value but false"
    )
}

/// Reads the stream, its tags and what is remembered of it.
async fn see<S: StreamService + ShardService, L: LedgerStore, C: Clock>(
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
    let shards = closer::shards(ports.service, stream).await;
    Ok(Sight { stream: stream.to_owned(), description, tags, shards, memory })
}

/// Decides on a stream that was seen; reads what the decision asks for, and decides again.
pub async fn look_closer<S: ShardService>(
    service: &S,
    mut sight: Sight,
    metrics: &Metrics,
    since: Timestamp,
    account: Option<Account>,
    wishes: &Wishes,
    now: Timestamp,
) -> (Looked, Option<Inputs>) {
    for _ in 0..closer::ROUNDS {
        let (looked, inputs) = look(sight.clone(), metrics, since, account, wishes, now);
        if looked.decision.needs.is_empty() {
            return (looked, inputs);
        }
        let needs = &looked.decision.needs;
        closer::read(service, &sight.stream, needs, &mut sight.shards, now).await;
    }
    look(sight, metrics, since, account, wishes, now)
}

/// Carries a decision out, and keeps what was learned. Of splits, which take half a minute each, at
/// most so many are made.
pub async fn finish<S: StreamService + ShardService, L: LedgerStore, C: Clock>(
    ports: Ports<'_, S, L, C>,
    looked: Looked,
    most_splits: usize,
) -> Decision {
    let Looked { mut decision, mut memory, news } = looked;
    if let (Some(plan), Mode::Active) = (decision.plan(), decision.mode) {
        apply::apply(&ports, &plan, &mut memory, &mut decision).await;
    } else if decision.mode == Mode::Active && decision.action != Action::Hold {
        if apply::remember(&ports, &mut memory, &mut decision).await {
            match decision.action {
                Action::Split => {
                    apply_splits::carry_out(&ports, most_splits, &mut decision).await;
                }
                _ => closer::switch(ports.service, &mut decision).await,
            }
        }
    } else if news {
        // What could not be written is learned again at the next look.
        let _ = apply::store(ports.ledger, &decision.stream, &mut memory).await;
    }
    decision
}
