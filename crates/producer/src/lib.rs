#![doc = include_str!("../README.md")]

mod exchange;
mod lanes;
mod pace;
mod pack;
mod producer;
mod record;

pub use exchange::{Answer, Failure, Next, Options, Request};
pub use pace::Limit;
pub use producer::Producer;
pub use record::{Entry, Record, Rejection, Settled, Shard, Tally, payload_units};
