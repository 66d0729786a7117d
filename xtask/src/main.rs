//! The developer's only entry point: `cargo xtask test`, `cargo xtask lint`, `cargo xtask tools`.
//!
//! A command is a list of named steps. Each says what it does and how long it took, and the first
//! that fails ends the command.

// What a step says is the program's output.
#![allow(clippy::print_stderr)]

mod licences;
mod lint;
mod step;
mod test;
mod tools;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};

/// Tests, lints and tools of Tidegate.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Install the tools, build the functions as a deployment does, and run every test.
    Test {
        /// Only these steps.
        #[arg(long, value_delimiter = ',', value_name = "STEP")]
        only: Vec<test::Step>,
    },
    /// Formatting, clippy, licences, templates.
    Lint {
        /// Only these steps.
        #[arg(long, value_delimiter = ',', value_name = "STEP")]
        only: Vec<lint::Step>,
    },
    /// Install the pinned tools into `.tools/`, unless they are there.
    Tools,
}

fn main() -> ExitCode {
    let outcome = root().and_then(|root| match Arguments::parse().command {
        Command::Test { only } => test::run(&root, &only),
        Command::Lint { only } => lint::run(&root, &only),
        Command::Tools => step::run("tools", || tools::install(&root)),
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The root of the repository.
fn root() -> anyhow::Result<PathBuf> {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.parent().map(PathBuf::from).context("xtask lies in the root of the repository")
}
