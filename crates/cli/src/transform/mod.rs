//! `tidegate transform`: a pipeline on local files, its cases, and the table that fits it.

mod batch;
#[cfg(feature = "parquet")]
mod parquet;
pub mod pipeline;
mod run;
mod schema;
mod summary;
mod test;

use std::process::ExitCode;

/// What to do with a pipeline.
#[derive(clap::Subcommand)]
pub enum Command {
    /// Runs a pipeline on files, and says what Firehose would do with the result
    Run(run::Arguments),
    /// Runs the cases of pipelines; exits with 4 when one fails
    Test(test::Arguments),
    /// Prints the Glue table that fits what a pipeline writes
    Schema(schema::Arguments),
}

/// Runs a command.
pub fn run(command: &Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Run(arguments) => run::run(arguments).map(|()| ExitCode::SUCCESS),
        Command::Test(arguments) => test::run(arguments),
        Command::Schema(arguments) => schema::run(arguments).map(|()| ExitCode::SUCCESS),
    }
}
