//! The codec as a whole: what it writes and what it reads, beside another one.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod malformed;
mod peer;
mod properties;
mod records;
