//! The engine from outside: fixtures, properties, and real data where there is some.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "helpers of tests are tests")]

mod docs;
mod events;
mod formats;
mod inputs;
mod properties;
mod real_data;
mod support;
mod twice;
