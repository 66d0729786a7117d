//! AWS, for the commands that talk to it: one runtime, the usual settings, and histories of
//! CloudWatch.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use anyhow::{Context, anyhow};
use indicatif::{ProgressBar, ProgressDrawTarget};
use jiff::{SignedDuration, Timestamp};
use tidegate_autoscaler::observation::{self, Minute};
use tidegate_autoscaler::port::{Clock, StreamService};
use tidegate_aws::Config;
use tidegate_aws::autoscaler::{Aws, Ledger};
use tidegate_local::recorded::Recorded;

use crate::source::Named;

/// What one request asks CloudWatch for: a day of four metrics by the minute is 5,760 points, and a
/// page holds 100,800.
const REQUEST: SignedDuration = SignedDuration::from_hours(24);

/// Runs a conversation with AWS to its end.
pub fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("no runtime for the conversation with AWS")?;
    runtime.block_on(work)
}

/// Kinesis and CloudWatch, from the usual settings of the environment and the profile files.
pub async fn service() -> Aws {
    Aws::new(&Config::load().await, tidegate_runtime::clock::now)
}

/// The same, with the ledger in a table.
pub async fn service_and_ledger(table: Option<&str>) -> (Aws, Option<Ledger>) {
    let (config, now) = (Config::load().await, tidegate_runtime::clock::now);
    let ledger = table.map(|table| Ledger::new(&config, table.to_owned(), now));
    (Aws::new(&config, now), ledger)
}

/// The time as everybody has it.
pub struct Wall;

impl Clock for Wall {
    fn now(&self) -> Timestamp {
        tidegate_runtime::clock::now()
    }

    async fn sleep(&self, time: SignedDuration) {
        tidegate_runtime::clock::sleep(time.unsigned_abs()).await;
    }
}

/// What CloudWatch recorded of a stream.
pub fn history(stream: &str, since: Duration) -> anyhow::Result<Named> {
    block_on(async {
        let to = tidegate_runtime::clock::now();
        let since = SignedDuration::try_from(since)?;
        let minutes = minutes(&service().await, stream, to - since, to).await?;
        let recorded = Recorded::new(&minutes).ok_or_else(|| {
            anyhow!(
                "CloudWatch has no point of {stream} in that time: are the name and the Region \
                 right, and does anybody write to it?"
            )
        })?;
        let notes = notes(&recorded);
        Ok(Named { name: stream.to_owned(), trace: recorded.trace, notes })
    })
}

/// The minutes of a span, request by request.
async fn minutes<S: StreamService>(
    service: &S,
    stream: &str,
    from: Timestamp,
    to: Timestamp,
) -> anyhow::Result<BTreeMap<Timestamp, Minute>> {
    let names = [stream.to_owned()];
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    let mut all = BTreeMap::new();
    let mut begin = from;
    while begin < to {
        let end = (begin + REQUEST).min(to);
        let mut answer = service.metrics(&names, begin, end).await?;
        let (minutes, _) = observation::assemble(&answer.remove(stream).unwrap_or_default(), to);
        all.extend(minutes);
        begin = end;
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(all)
}

/// What a person should know of a recorded history.
fn notes(recorded: &Recorded) -> Vec<String> {
    let mut notes = Vec::new();
    if recorded.filled_minutes > 0 {
        notes.push(format!(
            "{} minutes are missing in short gaps, which the larger minute beside them fills",
            recorded.filled_minutes
        ));
    }
    if let Some((start, longest)) = recorded.silences.iter().max_by_key(|(_, minutes)| *minutes) {
        notes.push(format!(
            "missing in gaps that are too long to fill, and taken for silence: {} minutes in all, \
             {longest} of them from {start} on",
            recorded.silent_minutes()
        ));
    }
    if recorded.rebuilt_minutes > 0 {
        notes.push(format!(
            "in {} minutes records were rejected: the demand there is rebuilt, and may have been \
             higher",
            recorded.rebuilt_minutes
        ));
    }
    notes
}
