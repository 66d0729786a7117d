//! The consumers with enhanced fan-out: they publish no iterator age of their stream, and say how
//! far they are behind in a metric each.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::observation::plausible;
use crate::policy::STALE_AFTER;
use crate::shards::ShardService;

/// How far the consumers with enhanced fan-out are behind, as far as anybody asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FanOut {
    /// Nobody asked: it is only asked where fewer shards would do.
    #[default]
    Unasked,
    /// The stream has no such consumer.
    Absent,
    /// It has some, or could have, and nothing is known of them. Missing is unknown, not zero.
    Unknown,
    /// The one that is furthest behind, in milliseconds
    /// (`SubscribeToShardEvent.MillisBehindLatest`, Maximum).
    Behind(u64),
}

/// Asks for the consumers, and for the last minutes of those that there are.
pub async fn read<S: ShardService>(service: &S, stream: &str, now: Timestamp) -> FanOut {
    let Ok(consumers) = service.consumers(stream).await else { return FanOut::Unknown };
    if consumers.is_empty() {
        return FanOut::Absent;
    }
    let points = service.consumer_age(stream, &consumers, now - STALE_AFTER, now).await;
    let ages = points.into_iter().flatten();
    let ages = ages.filter(|(at, _)| *at <= now).filter_map(|(_, age)| plausible(age));
    ages.max().map_or(FanOut::Unknown, FanOut::Behind)
}
