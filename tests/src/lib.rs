//! What the tests that cross the parts stand on: where things are in the repository ([`place`]),
//! emulators that other projects wrote ([`emulator`]), a word with them ([`http`]), and the built
//! functions on a Runtime API ([`lambda`]).

// A test that cannot run here says so.
#![allow(clippy::print_stderr)]

pub mod emulator;
pub mod http;
pub mod lambda;
pub mod place;
