//! Several records in one call, each with an outcome of its own.

use std::borrow::Cow;
use std::future::Future;
use std::time::Duration;

use jiff::Timestamp;

use super::RecordHandler;
use crate::consumer::Deadline;
use crate::event::Record;
use crate::outcome::Outcome;

/// Handles several records at a time, and answers for each.
///
/// It is given to a consumer as [`Bulk`]. An async closure is one too:
///
/// ```
/// use tidegate_consumer::{Bulk, Consumer, LogOnly, Outcome, Received, Scope, Text};
///
/// let insert = async |lines: &[Received<'_, &str>], _: &Scope<'_>| -> Vec<Outcome> {
///     lines.iter().map(|line| if line.item.is_empty() { Outcome::Skip } else { Outcome::Done }).collect()
/// };
/// let consumer = Consumer::new(Text, Bulk(insert), LogOnly);
/// ```
///
/// The records of a call are decoded, stand in the order of the stream, and are of one lane, so
/// that calls at the same time share no partition key. Those that cannot be decoded are not among
/// them.
///
/// A call that panics is made again with each half of its records, and so on, until the record at
/// fault stands alone: that one is poison, and the others are handled once more, so that some of
/// them may be written twice.
pub trait BatchHandler<T> {
    /// How much a call may hold; asked once a batch.
    fn limits(&self) -> BulkLimits {
        BulkLimits::default()
    }

    /// Handles some records, never none, and returns as many outcomes, in their order.
    ///
    /// With another number of outcomes it is not known which record is which: all of the call come
    /// again.
    fn handle(
        &self,
        records: &[Received<'_, T>],
        scope: &Scope<'_>,
    ) -> impl Future<Output = Vec<Outcome>>;
}

impl<T, F> BatchHandler<T> for F
where
    F: AsyncFn(&[Received<'_, T>], &Scope<'_>) -> Vec<Outcome>,
{
    async fn handle(&self, records: &[Received<'_, T>], scope: &Scope<'_>) -> Vec<Outcome> {
        self(records, scope).await
    }
}

/// Makes a [`BatchHandler`] the handler of a consumer.
#[derive(Debug, Clone, Copy)]
pub struct Bulk<B>(pub B);

impl<T, B: BatchHandler<T>> RecordHandler<T> for Bulk<B> {
    async fn handle(&self, item: T, record: &Record<'_>) -> Outcome {
        let records = [Received::new(item, Cow::Borrowed(record))];
        let outcome = self.0.handle(&records, &Scope::default()).await.pop();
        outcome.unwrap_or_else(|| Outcome::Retry("the handler did not answer".into()))
    }

    fn bulk(&self) -> Option<BulkLimits> {
        Some(self.0.limits())
    }

    fn handle_bulk(
        &self,
        records: &[Received<'_, T>],
        scope: &Scope<'_>,
    ) -> impl Future<Output = Vec<Outcome>> {
        self.0.handle(records, scope)
    }
}

/// How much one call of a [`BatchHandler`] holds at most, such as what the service behind it takes
/// in one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BulkLimits {
    /// Records.
    pub records: usize,
    /// Bytes of their payloads, as they came. A record that is larger is handled alone.
    pub bytes: usize,
    /// Whether a call holds one record of each partition key at most. It keeps the order of a key
    /// where a call may fail one record and take a later one. A handler whose calls fail as a
    /// whole, or which sees to the order itself, does without, and is given more at once.
    pub one_per_key: bool,
}

impl Default for BulkLimits {
    fn default() -> Self {
        Self { records: 500, bytes: 1024 * 1024, one_per_key: true }
    }
}

/// A decoded record of a bulk.
#[derive(Debug)]
pub struct Received<'a, T> {
    /// What the decoder made of it.
    pub item: T,
    record: Cow<'a, Record<'a>>,
}

impl<'a, T> Received<'a, T> {
    /// An item and its record.
    pub const fn new(item: T, record: Cow<'a, Record<'a>>) -> Self {
        Self { item, record }
    }

    /// What the event says about it.
    pub fn record(&self) -> &Record<'a> {
        &self.record
    }
}

/// How long a call may take. By default there is no end.
#[derive(Debug, Clone, Copy, Default)]
pub struct Scope<'a> {
    deadline: Option<Deadline<'a>>,
}

impl<'a> Scope<'a> {
    /// With this end, if there is one.
    pub const fn until(deadline: Option<Deadline<'a>>) -> Self {
        Self { deadline }
    }

    /// When the handler should have answered, so that quarantine and the response still find time:
    /// the invocation's end less [`Options::reserve`](crate::Options::reserve).
    pub fn end(&self) -> Option<Timestamp> {
        self.deadline.map(|deadline| deadline.at)
    }

    /// The time until [`Self::end`], for retries within the call; none when it has passed. That is
    /// no reason not to try once.
    pub fn time_left(&self) -> Option<Duration> {
        let deadline = self.deadline?;
        let left = deadline.at.duration_since((deadline.clock)());
        Some(Duration::try_from(left).unwrap_or_default())
    }
}
