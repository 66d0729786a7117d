//! The embedded model of AWS that Tidegate proves itself on: deterministic, seeded, in virtual time.
//!
//! It is a model and not a server. Each rule names its source; what nobody outside AWS can witness
//! (the ten calls a day, the time a reshard takes, the order of its splits and merges) is listed in
//! `docs/src/demo.md` as an assumption. Nothing here reads a clock or draws an unseeded number: the
//! same seed gives the same bytes.

pub mod alarm;
pub mod alarms;
pub mod cloud;
pub mod delivery;
pub mod fluid;
pub mod keys;
pub mod ledger;
pub mod mapping;
pub mod metrics;
pub mod objects;
pub mod prefix;
pub mod recorded;
pub mod reference;
pub mod shard;
pub mod stream;
pub mod trace;

/// The account of the model; AWS uses it in its own examples.
pub const ACCOUNT: &str = "111122223333";

/// The Region of the model.
pub const REGION: &str = "us-east-1";
