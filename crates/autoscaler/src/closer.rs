//! A closer look: what is read of single shards and of fan-out consumers, where it can change the answer, and what turns
//! their metrics on and off.
//!
//! Nothing here fails a look. What cannot be read stays unknown, and the decision says so.

use jiff::Timestamp;

use crate::decision::{Action, Applied, Decision, Need};
use crate::fan_out;
use crate::hot::SeenShards;
use crate::observation;
use crate::policy::STALE_AFTER;
use crate::shards::{Layout, ShardService};

/// Times that a decision may ask for more: the metrics of the shards, then samples, then the
/// consumers with enhanced fan-out.
pub const ROUNDS: usize = 3;

/// The open shards and their ranges: one request a thousand shards, of a quota of its own
/// (ListShards: 1,000 a second and stream, its API reference, 2026-11).
pub async fn shards<S: ShardService>(service: &S, stream: &str) -> SeenShards {
    let layout = service.shards(stream).await.ok().and_then(Layout::new);
    SeenShards { layout, ..SeenShards::default() }
}

/// Reads what a decision asks for.
pub async fn read<S: ShardService>(
    service: &S,
    stream: &str,
    needs: &[Need],
    seen: &mut SeenShards,
    now: Timestamp,
) {
    for need in needs {
        match need {
            Need::ShardMetrics => metrics(service, stream, seen, now).await,
            Need::FanOut => seen.fan_out = fan_out::read(service, stream, now).await,
            Need::Sample { shard } => {
                let sample = service.sample(stream, shard).await.ok();
                seen.samples.insert(shard.clone(), sample);
            }
        }
    }
}

async fn metrics<S: ShardService>(
    service: &S,
    stream: &str,
    seen: &mut SeenShards,
    now: Timestamp,
) {
    seen.has_metrics = service.has_shard_metrics(stream).await.ok();
    let ids: Vec<String> =
        seen.layout.iter().flat_map(Layout::shards).map(|shard| shard.id.clone()).collect();
    let metrics = match seen.has_metrics {
        Some(true) => service.shard_metrics(stream, &ids, now - STALE_AFTER, now).await.ok(),
        Some(false) | None => None,
    };
    let minutes = metrics.into_iter().flatten();
    let minutes = minutes.map(|(id, metrics)| (id, observation::assemble(&metrics, now).0));
    seen.minutes = Some(minutes.filter(|(_, minutes)| !minutes.is_empty()).collect());
}

/// Carries out a decision to turn the metrics of the shards on or off.
pub async fn switch<S: ShardService>(service: &S, decision: &mut Decision) {
    let switched = match decision.action {
        Action::Watch => service.enable_shard_metrics(&decision.stream).await,
        Action::Unwatch => service.disable_shard_metrics(&decision.stream).await,
        Action::Hold | Action::Resize | Action::Split => return,
    };
    match switched {
        Ok(()) => decision.applied = Applied::Done,
        Err(error) => decision.refuse(error.reason(), format!("holds: {error}")),
    }
}
