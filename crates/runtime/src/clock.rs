//! The one place that reads the wall clock. Engines take `now` as an argument.

use std::time::Duration;

use jiff::Timestamp;

/// The present moment.
pub fn now() -> Timestamp {
    Timestamp::now()
}

/// Ends when that much time has passed.
pub async fn sleep(time: Duration) {
    tokio::time::sleep(time).await;
}
