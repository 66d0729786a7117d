//! What an owner may choose.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use jiff::SignedDuration;
use serde::Serialize;

/// How a batch is processed. The default handles one record after the other, stops the shard at a
/// record that has to come again, and goes on after a poison one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// What becomes of the records after one that has to come again.
    pub on_retry: OnRetry,
    /// What becomes of the records after a poison one.
    pub on_poison: OnPoison,
    /// How many records are handled at the same time, each of another partition key. Those of one
    /// key are handled one after the other, in the order of the stream.
    ///
    /// With more than one, records later in the batch than one that comes again may be delivered
    /// already, and are then delivered again.
    pub lanes: NonZeroUsize,
    /// Against the quarantine of everything; `None` quarantines whatever is poison.
    pub breaker: Option<Breaker>,
    /// The time before [`Call::deadline`](crate::Call::deadline) in which no record is started: what
    /// the record in hand, the quarantine and the answer need. Twice the time of the slowest record
    /// of the batch counts instead where that is more, and half of the time that there was at the
    /// start where that is less.
    pub reserve: Duration,
    /// How often a record is tried before it is poison, as `attempts`; `None` is without end.
    ///
    /// Attempts are counted in the memory of this consumer: a record comes again mostly to the same
    /// execution environment, but after a crash, and in another environment, counting begins anew.
    pub max_attempts: Option<NonZeroU32>,
    /// How old a record may be when it fails once more; an older one is then poison, as `age`. It
    /// needs no memory, and holds wherever the record comes. `None` is without end.
    ///
    /// With either, an outage that lasts longer fills the quarantine: see [`Self::breaker`].
    pub max_age: Option<SignedDuration>,
    /// How much one aggregate of the Kinesis Producer Library may hold; a larger one is poison.
    pub aggregates: tidegate_kpl::Limits,
    /// Which records are expanded before they are decoded; none of them, if nothing else is chosen.
    #[cfg(feature = "expand")]
    pub expand: crate::Expand,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            on_retry: OnRetry::StopShard,
            on_poison: OnPoison::Skip,
            lanes: NonZeroUsize::MIN,
            breaker: Some(Breaker::default()),
            reserve: Duration::from_secs(1),
            max_attempts: None,
            max_age: None,
            aggregates: tidegate_kpl::Limits::default(),
            #[cfg(feature = "expand")]
            expand: crate::Expand::none(),
        }
    }
}

/// What becomes of the records after one that has to come again.
///
/// Either way the order within a partition key holds: none of its records is handled before the one
/// that comes again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnRetry {
    /// None is started any more. Each is delivered once, unless the function crashes.
    StopShard,
    /// Those of its partition key are left, and others are handled. They come again as well, since
    /// Lambda's checkpoint stands before them: a key that fails for long has the others delivered
    /// again and again.
    FenceKey,
}

/// What becomes of the records after a poison one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnPoison {
    /// They are handled; the poison record is missing from its key.
    Skip,
    /// Those of its partition key and batch go to quarantine too, as `blocked_by`, so that none of
    /// them is handled without it; later batches know nothing of it. Others are handled. Where the
    /// key is not known, as of a record that cannot be read at all, it is as with `Skip`.
    ParkKey,
    /// The poison record is not quarantined but comes again, and nothing is handled after it until
    /// the event source mapping gives it up, or another version of the function takes it.
    StopShard,
}

/// Tells an outage, such as a deployment that can read nothing, from poison: so much of a batch is
/// no coincidence, and comes again instead of filling the quarantine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Breaker {
    /// The fewest poison records that are an outage.
    pub records_min: u64,
    /// The least part of the batch that they are, in percent.
    pub percent_min: u64,
    /// How old the first of them may become. After that they are quarantined all the same, so that
    /// no shard is blocked for ever.
    pub patience: SignedDuration,
}

impl Default for Breaker {
    fn default() -> Self {
        Self { records_min: 20, percent_min: 90, patience: SignedDuration::from_hours(1) }
    }
}
