//! Steps and the programs that they run.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, bail};

/// Runs one step, and says how long it took.
///
/// # Errors
/// What the step failed with, and its name.
pub fn run(name: &str, work: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<()> {
    eprintln!("xtask: {name} ...");
    let started = Instant::now();
    let outcome = work();
    let seconds = started.elapsed().as_secs_f64();
    match outcome {
        Ok(()) => {
            eprintln!("xtask: {name}: passed in {seconds:.1} s");
            Ok(())
        }
        Err(error) => Err(error.context(format!("{name}: failed after {seconds:.1} s"))),
    }
}

/// A program that runs in `folder`, with the output of this one.
pub fn program(name: impl AsRef<Path>, folder: &Path) -> Command {
    let mut command = Command::new(name.as_ref());
    command.current_dir(folder);
    command
}

/// The cargo that runs this program.
pub fn cargo(folder: &Path) -> Command {
    program(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()), folder)
}

/// Runs a program to its end.
///
/// # Errors
/// When it cannot be started, or ends with anything but success.
pub fn finish(command: &mut Command) -> anyhow::Result<()> {
    let line = line(command);
    eprintln!("xtask:   {line}");
    let status = command.status().with_context(|| format!("could not start `{line}`"))?;
    if !status.success() {
        bail!("`{line}` ended with {status}");
    }
    Ok(())
}

/// What a program wrote to standard output.
///
/// # Errors
/// When it cannot be started, or ends with anything but success.
pub fn output(command: &mut Command) -> anyhow::Result<Vec<u8>> {
    let line = line(command);
    let output = command
        .stderr(std::process::Stdio::inherit())
        .output()
        .with_context(|| format!("could not start `{line}`"))?;
    if !output.status.success() {
        bail!("`{line}` ended with {}", output.status);
    }
    Ok(output.stdout)
}

fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}
