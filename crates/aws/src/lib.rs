//! Tidegate's ports and stores on the AWS SDK. Nothing is decided here.
//!
//! Each part is a feature, so that a function carries only the SDK crates that it calls.

mod client;

pub use client::Config;

#[cfg(feature = "autoscaler")]
pub mod autoscaler;
#[cfg(feature = "call")]
pub mod call;
#[cfg(feature = "doctor")]
pub mod doctor;
#[cfg(feature = "notices")]
pub mod notices;
#[cfg(feature = "objects")]
pub mod objects;
#[cfg(feature = "producer")]
pub mod producer;
#[cfg(feature = "quarantine")]
pub mod quarantine;
#[cfg(feature = "redrive")]
pub mod redrive;
#[cfg(feature = "reingest")]
pub mod reingest;
#[cfg(feature = "seen")]
pub mod seen;
#[cfg(feature = "sink")]
pub mod sink;
