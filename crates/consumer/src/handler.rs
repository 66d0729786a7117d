//! What a user implements.

mod bulk;

use std::future::Future;

use crate::event::Record;
use crate::outcome::Outcome;

pub use bulk::{BatchHandler, Bulk, BulkLimits, Received, Scope};

/// Handles one record at a time, in the order of the stream.
///
/// An async closure is a handler too:
///
/// ```
/// use tidegate_consumer::{BoxError, Record, RecordHandler};
///
/// fn handler() -> impl RecordHandler<String> {
///     async |order: String, record: &Record<'_>| -> Result<(), BoxError> {
///         let _ = (order, record.partition_key());
///         Ok(())
///     }
/// }
/// ```
///
/// A record can come again: after a `Retry` of it or of one before it, after a crash, after a
/// timeout. Its sequence number is then the same, which is what makes a handler idempotent.
///
/// A panic, in the call or while the future is polled, is caught: the record is poison. Errors are
/// logged, so their text should not quote the payload.
pub trait RecordHandler<T> {
    /// Handles one record.
    fn handle(&self, item: T, record: &Record<'_>) -> impl Future<Output = Outcome>;

    /// How many records are handled at once. `None`, unless this is a [`Bulk`]: one, by
    /// [`handle`](Self::handle).
    fn bulk(&self) -> Option<BulkLimits> {
        None
    }

    /// Handles several records at once, where [`bulk`](Self::bulk) says that there are several.
    /// Implement [`BatchHandler`] instead.
    fn handle_bulk(
        &self,
        records: &[Received<'_, T>],
        scope: &Scope<'_>,
    ) -> impl Future<Output = Vec<Outcome>> {
        // No answer: they come again.
        let _ = (records, scope);
        std::future::ready(Vec::new())
    }
}

impl<T, F, R> RecordHandler<T> for F
where
    F: AsyncFn(T, &Record<'_>) -> R,
    R: Into<Outcome>,
{
    async fn handle(&self, item: T, record: &Record<'_>) -> Outcome {
        self(item, record).await.into()
    }
}
