//! Carries splits out, one after the other, as far as the run's time goes.
//!
//! Each begins with a look at what is there now, so that a run that was cut off anywhere, and one
//! that another run overlaps with, never split what the decision did not name.

use jiff::SignedDuration;

use crate::decision::{Applied, Decision, Reason, Split, Stage};
use crate::observation::Status;
use crate::port::{Clock, ServiceError, StreamService};
use crate::run::Ports;
use crate::shards::{Layout, ShardService};

/// What must be left of a run for a split to begin.
const ENOUGH_TIME: SignedDuration = SignedDuration::from_secs(10);

/// The wait between two looks at a stream that is UPDATING. DescribeStreamSummary is limited to 20
/// a second and account (its API reference, 2026-11).
const BETWEEN_LOOKS: SignedDuration = SignedDuration::from_secs(3);

/// Why a split was not made.
struct Stopped {
    reason: Reason,
    message: String,
}

impl Stopped {
    fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }
}

impl From<ServiceError> for Stopped {
    fn from(error: ServiceError) -> Self {
        Self::new(error.reason(), error.to_string())
    }
}

/// Makes the splits of a decision, at most so many, and says in it what became of them.
pub async fn carry_out<S, L, C>(ports: &Ports<'_, S, L, C>, most: usize, decision: &mut Decision)
where
    S: StreamService + ShardService,
    C: Clock,
{
    let splits = decision.splits.clone();
    let open = decision.open_shards.unwrap_or_default();
    let mut made = 0;
    let mut stopped = None;
    for split in splits.iter().take(most) {
        match make(ports, &decision.stream, split, open.saturating_add(made)).await {
            Ok(()) => made += 1,
            Err(why) => {
                stopped = Some(why);
                break;
            }
        }
    }
    if let (0, Some(Stopped { reason, message })) = (made, &stopped) {
        return decision.refuse(*reason, format!("holds at {open} shards: {message}"));
    }
    decision.applied = Applied::Done;
    let reason = stopped.map_or(Reason::Ok, |stopped| stopped.reason);
    decision.stages.push(Stage { stage: "apply", value: Some(f64::from(made)), reason });
    if (made as usize) < splits.len() || decision.target > Some(open.saturating_add(made)) {
        decision.message.push_str(&format!("; {made} made, and the next look goes on"));
    }
}

/// Waits until the stream is as it should be, and splits a shard.
async fn make<S, L, C>(
    ports: &Ports<'_, S, L, C>,
    stream: &str,
    split: &Split,
    expected: u32,
) -> Result<(), Stopped>
where
    S: StreamService + ShardService,
    C: Clock,
{
    loop {
        if ports.deadline.duration_since(ports.clock.now()) < ENOUGH_TIME {
            return Err(Stopped::new(Reason::OutOfTime, "this run ends too soon for a split"));
        }
        match ports.service.describe(stream).await?.status {
            Status::Active => break,
            Status::Updating => ports.clock.sleep(BETWEEN_LOOKS).await,
            Status::Creating | Status::Deleting | Status::Unknown => {
                return Err(Stopped::new(Reason::StreamNotActive, "the stream is not active"));
            }
        }
    }
    let layout = ports.service.shards(stream).await.map(Layout::new)?;
    let fits = layout.is_some_and(|layout| {
        let shard = layout.shard(&split.shard);
        let points = shard.and_then(|shard| shard.split_points());
        layout.count() == expected
            && points.is_some_and(|(least, most)| (least..=most).contains(&split.at))
    });
    if !fits {
        let message = "the shards changed while they were looked at";
        return Err(Stopped::new(Reason::ChangedMeanwhile, message));
    }
    Ok(ports.service.split_shard(stream, &split.shard, split.at).await?)
}
