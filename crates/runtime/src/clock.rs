//! The one place that reads the wall clock. Engines take `now` as an argument.

use jiff::Timestamp;

/// The present moment.
pub fn now() -> Timestamp {
    Timestamp::now()
}
