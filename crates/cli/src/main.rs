//! Tidegate on the command line.
//!
//! Data goes to standard output, everything else to standard error. Exit codes: 0 done, 1 failed,
//! 2 wrong usage; commands that check: 3 warnings, 4 errors.

#[cfg(feature = "aws")]
mod aws;
mod decisions;
mod demo;
mod doctor;
mod init;
#[cfg(feature = "aws")]
mod logs;
mod page;
mod pause;
mod plan;
mod policy_file;
mod quarantine;
mod send;
mod simulate;
mod source;
mod transform;
mod tune;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Keeps Amazon Kinesis streams the right size and their data moving.
#[derive(Parser)]
#[command(name = "tidegate", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs the whole system on the embedded model of AWS; no account needed
    Demo(demo::Arguments),
    /// Tries policies on a traffic history, in the reference model; no account needed
    Simulate(simulate::Arguments),
    /// Puts lines into a stream: batched, retried, aggregated, in order, or as a log is written
    Send(send::Arguments),
    /// Looks at what the consumer set aside, and puts it back
    #[command(subcommand)]
    Quarantine(quarantine::Command),
    /// Tries a Firehose transform on local files; no account needed
    #[command(subcommand)]
    Transform(transform::Command),
    /// Makes a project for a consumer of one's own, with its template and its test
    Init(init::Arguments),
    /// Fits the policy's settings to a traffic history, and says what that is worth
    Tune(tune::Arguments),
    /// Says what the autoscaler would do with a stream now, and why; --apply does it
    Plan(plan::Arguments),
    /// Makes the autoscaler hold a stream, by a tag
    Pause(pause::Arguments),
    /// Lets the autoscaler go on with a stream
    Resume(pause::Arguments),
    /// Prints what the autoscaler did and why, from its log
    Decisions(decisions::Arguments),
    /// Looks for what loses data, blocks a shard, costs money or leaks
    Doctor(doctor::Arguments),
}

fn main() -> ExitCode {
    let done = |outcome: anyhow::Result<()>| outcome.map(|()| ExitCode::SUCCESS);
    let outcome = match Arguments::parse().command {
        Command::Demo(arguments) => done(demo::run(&arguments)),
        Command::Simulate(arguments) => done(simulate::run(&arguments)),
        Command::Send(arguments) => send::run(&arguments),
        Command::Quarantine(command) => quarantine::run(&command),
        Command::Transform(command) => transform::run(&command),
        Command::Init(arguments) => done(init::run(&arguments)),
        Command::Tune(arguments) => done(tune::run(&arguments)),
        Command::Plan(arguments) => done(plan::run(&arguments)),
        Command::Pause(arguments) => done(pause::run(&arguments, true)),
        Command::Resume(arguments) => done(pause::run(&arguments, false)),
        Command::Decisions(arguments) => done(decisions::run(&arguments)),
        Command::Doctor(arguments) => doctor::run(&arguments),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            complain(&format!("error: {error:#}"));
            if error.is::<Usage>() { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}

/// Wrong usage that shows only when the command runs: exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Usage(String);

/// What a build without the AWS SDK answers to a command that needs it.
#[cfg(not(feature = "aws"))]
fn needs_aws(what: &str) -> anyhow::Error {
    needs_full(&format!("{what} talks to AWS, and this build carries no AWS SDK"))
}

/// What a lean build answers to what it leaves out.
#[cfg(not(all(feature = "aws", feature = "parquet")))]
fn needs_full(why: &str) -> anyhow::Error {
    let quote = |word: String| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
        if !word.is_empty() && word.chars().all(plain) { word } else { format!("'{word}'") }
    };
    let words: Vec<_> = std::env::args().skip(1).map(quote).collect();
    anyhow::anyhow!("{why}: run `cargo tidegate-full {}`, or the installed binary", words.join(" "))
}

/// One line for the person at the terminal.
fn complain(line: &str) {
    use std::io::Write;

    // Where nobody listens there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Data, for the person or the program behind a pipe. A reader that has gone away is no failure.
fn print(text: &str) -> anyhow::Result<()> {
    use std::io::{ErrorKind, Write};

    match writeln!(std::io::stdout(), "{text}") {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(anyhow::Error::new(error).context("standard output cannot be written"))
        }
        _ => Ok(()),
    }
}
