//! The engine as a whole: events in, responses, envelopes and reports out.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod aggregates;
mod batch;
mod bulk;
mod docs;
#[cfg(feature = "expand")]
mod expand;
mod fixtures;
mod journal;
mod mass;
mod neighbours;
mod patience;
mod policies;
mod properties;
mod redelivery;
mod redriven;
mod seen;
#[cfg(feature = "lambda")]
mod service;
mod stores;
mod windows;
