//! What the tests that cross the parts stand on: where things are in the repository ([`place`]),
//! emulators that other projects wrote ([`emulator`]), a word with them ([`http`]), answers of our own
//! where requests are counted ([`canned`]), a stream that is written and read back ([`stream`]), and the
//! built functions on a Runtime API ([`lambda`]).

// A test that cannot run here says so.
#![allow(clippy::print_stderr)]

pub mod account;
pub mod canned;
pub mod cbor;
pub mod emulator;
pub mod http;
pub mod lambda;
pub mod place;
pub mod setup;
pub mod stream;
