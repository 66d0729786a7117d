//! Carries a plan out. Whatever fails and wherever it is cut off, no call is forgotten.
//!
//! The order is: look once more, write the call down (in the ledger, which only one run can, and in
//! the stream's tag), make it. A crash in between costs a call and never forgets one.

use jiff::{SignedDuration, Timestamp};

use crate::decision::{Applied, Decision, Plan, Reason, Stage};
use crate::history::{CALLS_TAG, Calls};
use crate::ledger::{Entry, LEASE};
use crate::limits;
use crate::look::{Memory, Source, calls_of, is_emergency};
use crate::observation::{Capacity, Status};
use crate::port::{Clock, LedgerStore, ServiceError, Stored, StreamService, Written};
use crate::run::Ports;

/// What must be left of a run for a change to begin: the slowest of its four calls, and the answer.
const ENOUGH_TIME: SignedDuration = SignedDuration::from_secs(10);

/// Why a plan was not carried out.
struct Refused {
    reason: Reason,
    message: String,
}

impl Refused {
    fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }
}

/// Carries a plan out, and says in the decision what became of it.
pub async fn apply<S, L, C>(
    ports: &Ports<'_, S, L, C>,
    plan: &Plan,
    memory: &mut Memory,
    decision: &mut Decision,
) where
    S: StreamService,
    L: LedgerStore,
    C: Clock,
{
    match carry_out(ports, plan, memory, is_emergency(decision)).await {
        Ok(()) => {
            decision.applied = Applied::Done;
            decision.stages.push(Stage {
                stage: "apply",
                value: Some(f64::from(limits::operations(plan.from, plan.to))),
                reason: Reason::Ok,
            });
        }
        Err(Refused { reason, message }) => {
            decision.refuse(reason, format!("holds at {} shards: {message}", plan.from));
        }
    }
}

async fn carry_out<S: StreamService, L: LedgerStore, C: Clock>(
    ports: &Ports<'_, S, L, C>,
    plan: &Plan,
    memory: &mut Memory,
    emergency: bool,
) -> Result<(), Refused> {
    if ports.deadline.duration_since(ports.clock.now()) < ENOUGH_TIME {
        let message = "this run ends too soon for a change; the next look tries again";
        return Err(Refused::new(Reason::OutOfTime, message));
    }
    unchanged(ports.service, plan).await?;
    if !matches!(memory.source, Source::Ledger(_)) {
        calls_unchanged(ports.service, plan, &memory.entry).await?;
    }
    let now = ports.clock.now();
    if memory.entry.history().calls.last().is_some_and(|last| last > now) {
        let message = "the newest call lies in the future: the clock stepped back";
        return Err(Refused::new(Reason::ClockBehindCalls, message));
    }
    let before = memory.entry.clone();
    memory.entry = before.with_call(plan.to, now);
    write_down(ports, plan, memory, emergency).await?;
    if ports.clock.now().duration_since(now) > LEASE {
        let message = "the call took so long to write down that another run may make it";
        return Err(Refused::new(Reason::ActedMeanwhile, message));
    }
    match ports.service.update_shard_count(&plan.stream, plan.to).await {
        Ok(()) => Ok(()),
        Err(error) => {
            learn_from(ports, plan, memory, before, &error, now).await;
            Err(Refused::new(error.reason(), error.to_string()))
        }
    }
}

/// Reads the stream again: it must be as it was when the decision was made.
async fn unchanged<S: StreamService>(service: &S, plan: &Plan) -> Result<(), Refused> {
    let seen = service
        .describe(&plan.stream)
        .await
        .map_err(|error| Refused::new(error.reason(), error.to_string()))?;
    let same = seen.status == Status::Active
        && seen.capacity == Capacity::Provisioned
        && seen.open_shards == plan.from;
    if same {
        return Ok(());
    }
    let message = format!(
        "the stream changed while it was looked at ({} shards then, {} now)",
        plan.from, seen.open_shards
    );
    Err(Refused::new(Reason::ChangedMeanwhile, message))
}

/// Without a ledger's lock, reads the tag again: another run may have written a call to it, and how
/// the stream was found may be minutes old.
async fn calls_unchanged<S: StreamService>(
    service: &S,
    plan: &Plan,
    entry: &Entry,
) -> Result<(), Refused> {
    let tags = service
        .tags(&plan.stream)
        .await
        .map_err(|error| Refused::new(error.reason(), error.to_string()))?;
    let known = entry.history().calls;
    match calls_of(&tags) {
        Ok(calls) if calls.without(&known) == Calls::default() => Ok(()),
        Ok(_) => {
            let message = "another run wrote a call to the tag tidegate:calls meanwhile";
            Err(Refused::new(Reason::ActedMeanwhile, message))
        }
        Err(message) => Err(Refused::new(Reason::CallsUnreadable, message)),
    }
}

/// Writes the call down: in the ledger, where a second run fails, and in the stream's tag, which
/// outlives the ledger.
async fn write_down<S: StreamService, L: LedgerStore, C: Clock>(
    ports: &Ports<'_, S, L, C>,
    plan: &Plan,
    memory: &mut Memory,
    emergency: bool,
) -> Result<(), Refused> {
    match store(ports.ledger, &plan.stream, memory).await {
        Ok(Written::Done) => {}
        Ok(Written::Conflict) => {
            let message = "another run wrote to the ledger since this one read it";
            return Err(Refused::new(Reason::ActedMeanwhile, message));
        }
        // More shards cannot wait for the ledger: the tag keeps the call.
        Err(error) if emergency => {
            let message = error.to_string();
            memory.source = Source::Lost { reason: Reason::LedgerUnavailable, message };
        }
        Err(error) => return Err(Refused::new(Reason::LedgerUnavailable, error.to_string())),
    }
    tag(ports.service, &plan.stream, &memory.entry).await.map_err(|error| {
        Refused::new(error.reason(), format!("the call could not be written down: {error}"))
    })
}

/// Takes over what a refused call says of the calls, as far as it can be written: what is not
/// written is learned again.
async fn learn_from<S: StreamService, L: LedgerStore, C: Clock>(
    ports: &Ports<'_, S, L, C>,
    plan: &Plan,
    memory: &mut Memory,
    before: Entry,
    error: &ServiceError,
    now: Timestamp,
) {
    let consequence = error.consequence();
    if !consequence.counts {
        memory.entry = before;
    } else if consequence.of_others {
        memory.entry.book_missing(now);
        memory.entry.expected = None;
    } else {
        return;
    }
    let _ = store(ports.ledger, &plan.stream, memory).await;
    let _ = tag(ports.service, &plan.stream, &memory.entry).await;
}

async fn tag<S: StreamService>(
    service: &S,
    stream: &str,
    entry: &Entry,
) -> Result<(), ServiceError> {
    service.set_tag(stream, CALLS_TAG, &entry.history().calls.to_tag()).await
}

/// Writes down what is about to be done to single shards; without a ledger there is nowhere to.
/// Turns the decision into a hold, and answers so, when another run may do the same.
pub async fn remember<S, L: LedgerStore, C>(
    ports: &Ports<'_, S, L, C>,
    memory: &mut Memory,
    decision: &mut Decision,
) -> bool {
    let refused = match store(ports.ledger, &decision.stream, memory).await {
        Ok(Written::Done) => return true,
        Ok(Written::Conflict) => {
            let message = "holds: another run wrote to the ledger since this one read it";
            (Reason::ActedMeanwhile, message.to_owned())
        }
        Err(_) if is_emergency(decision) => return true,
        Err(error) => (Reason::LedgerUnavailable, format!("holds: {error}")),
    };
    decision.refuse(refused.0, refused.1);
    false
}

/// Writes an entry, if it came from a ledger, on the condition that it is as it was read.
pub async fn store<L: LedgerStore>(
    ledger: Option<&L>,
    stream: &str,
    memory: &mut Memory,
) -> Result<Written, ServiceError> {
    let (Some(ledger), Source::Ledger(revision)) = (ledger, &mut memory.source) else {
        return Ok(Written::Done);
    };
    let stored = Stored { revision: *revision + 1, text: memory.entry.to_text() };
    let written = ledger.write(stream, &stored, *revision).await?;
    if written == Written::Done {
        *revision = stored.revision;
    }
    Ok(written)
}
