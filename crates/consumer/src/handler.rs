//! What a user implements.

use std::future::Future;

use crate::event::Record;
use crate::outcome::Outcome;

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
