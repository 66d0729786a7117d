//! Sinks: where a consumer delivers to. Each is a [`BatchHandler`](tidegate_consumer::BatchHandler)
//! over items that are bytes, and says of every record what became of it.
//!
//! What a service answers of each record becomes that record's outcome: taken, to be sent again, or
//! refused for good. What it says of a call as a whole becomes that of all of them; where it refuses
//! a call because of what is in it, the call is made again in halves, until the record at fault is
//! alone and the others are delivered.

#[macro_use]
mod deliver;
mod entry;
mod split;

#[cfg(feature = "sink-dynamodb")]
pub mod dynamodb;
#[cfg(feature = "sink-firehose")]
pub mod firehose;
#[cfg(feature = "sink-http")]
pub mod http;
#[cfg(feature = "sink-kinesis")]
pub mod kinesis;
#[cfg(any(feature = "sink-sns", feature = "sink-sqs"))]
mod messages;
#[cfg(feature = "sink-opensearch")]
pub mod opensearch;
#[cfg(feature = "sink-s3")]
pub mod s3;
#[cfg(feature = "sink-sns")]
pub mod sns;
#[cfg(feature = "sink-sqs")]
pub mod sqs;

pub use crate::call::Connections;

#[cfg(all(
    test,
    feature = "sink-dynamodb",
    feature = "sink-firehose",
    feature = "sink-http",
    feature = "sink-kinesis",
    feature = "sink-opensearch",
    feature = "sink-s3",
    feature = "sink-sns",
    feature = "sink-sqs"
))]
pub(crate) mod tests;
