//! The developer's only entry point: `cargo xtask test`, `cargo xtask lint`, `cargo xtask fuzz`,
//! `cargo xtask bench`, `cargo xtask tools`.
//!
//! A command is a list of named steps. Each says what it does and how long it took, and the first
//! that fails ends the command.

// What a step says is the program's output.
#![allow(clippy::print_stderr)]

mod bench;
mod fuzz;
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
    /// Look for inputs at which what reads foreign bytes fails.
    Fuzz {
        /// Only these targets.
        #[arg(long, value_delimiter = ',', value_name = "TARGET")]
        only: Vec<fuzz::Target>,
        /// How long each runs.
        #[arg(long, default_value_t = fuzz::SECONDS)]
        seconds: u32,
    },
    /// Measure a part: `consumer` and `transform` (beside their peers), `autoscaler` (what a
    /// simulated minute costs) or `evaluate` (how good its policy is on the histories of
    /// `TIDEGATE_TRACES`).
    Bench {
        /// What to measure, and its options.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        measure: Vec<String>,
    },
    /// Install the pinned tools into `.tools/`, unless they are there.
    Tools,
}

fn main() -> ExitCode {
    let outcome = root().and_then(|root| match Arguments::parse().command {
        Command::Test { only } => test::run(&root, &only),
        Command::Lint { only } => lint::run(&root, &only),
        Command::Fuzz { only, seconds } => fuzz::run(&root, &only, seconds),
        Command::Bench { measure } => bench::run(&root, &measure),
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
