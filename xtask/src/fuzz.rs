//! `cargo xtask fuzz`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use clap::ValueEnum;

use crate::step;

/// What cargo-fuzz tells rustc, less the sanitizers, which need a nightly compiler: LLVM counts which
/// branches are taken and what is compared, and libFuzzer looks for inputs that take others.
const INSTRUMENTED: &str = "-Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares \
    -Ccodegen-units=1 -Cdebug-assertions -Coverflow-checks --cfg fuzzing";

/// How long each target runs, unless it is said.
pub const SECONDS: u32 = 20;

/// The targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Target {
    /// Events of the consumer.
    Event,
    /// Aggregates of the Kinesis Producer Library.
    Kpl,
    /// Compressed records and the envelopes of CloudWatch Logs.
    Expand,
    /// Quarantined envelopes.
    Envelope,
    /// Events, records and pipelines of the transform.
    Transform,
}

impl Target {
    const fn name(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Kpl => "kpl",
            Self::Expand => "expand",
            Self::Envelope => "envelope",
            Self::Transform => "transform",
        }
    }

    /// Where inputs lie to begin with, if anywhere.
    const fn seeds(self) -> Option<&'static str> {
        match self {
            Self::Event => Some("tests/events"),
            Self::Kpl | Self::Expand | Self::Envelope | Self::Transform => None,
        }
    }
}

/// Builds the targets and runs each for so many seconds, all of them when none is named.
///
/// # Errors
/// When a target cannot be built, or an input was found at which one fails; libFuzzer then says where
/// it put it.
pub fn run(root: &Path, only: &[Target], seconds: u32) -> anyhow::Result<()> {
    let folder = root.join("target/fuzz");
    let triple = host(root)?;
    step::run("build", || build(root, &folder, &triple))?;
    for target in Target::value_variants() {
        if only.is_empty() || only.contains(target) {
            let program = folder.join(&triple).join("release").join(target.name());
            step::run(target.name(), || fuzz(root, &folder, program, *target, seconds))?;
        }
    }
    Ok(())
}

/// Runs every target for [`SECONDS`], or says that a compiler is missing.
///
/// # Errors
/// As [`run`].
pub fn run_if_it_can_be_built(root: &Path) -> anyhow::Result<()> {
    // As the `cc` crate looks for it, which builds libFuzzer.
    let compiler = std::env::var_os("CXX").unwrap_or_else(|| "c++".into());
    if Command::new(compiler).arg("--version").output().is_err() {
        eprintln!("xtask:   skipped: a C++ compiler, which builds libFuzzer, is not installed");
        return Ok(());
    }
    run(root, &[], SECONDS)
}

/// For a named target, so that build scripts and macros are not instrumented.
fn build(root: &Path, folder: &Path, triple: &str) -> anyhow::Result<()> {
    let mut build = step::cargo(root);
    build.args(["build", "--release", "--locked", "--manifest-path", "fuzz/Cargo.toml"]);
    build.args(["--target", triple]).arg("--target-dir").arg(folder);
    step::finish(build.env("RUSTFLAGS", INSTRUMENTED))
}

fn host(root: &Path) -> anyhow::Result<String> {
    let said = step::output(step::program("rustc", root).args(["--print", "host-tuple"]))?;
    Ok(String::from_utf8(said).context("rustc names its host in UTF-8")?.trim().to_owned())
}

fn fuzz(
    root: &Path,
    folder: &Path,
    program: PathBuf,
    target: Target,
    seconds: u32,
) -> anyhow::Result<()> {
    // What was found interesting stays there, and the next run begins with it.
    let corpus = folder.join("corpus").join(target.name());
    let failures = folder.join("failures").join(target.name());
    for made in [&corpus, &failures] {
        fs::create_dir_all(made).with_context(|| format!("could not make {}", made.display()))?;
    }
    let mut run = step::program(program, root);
    run.arg(format!("-max_total_time={seconds}")).args([
        "-timeout=10",
        "-rss_limit_mb=2048",
        "-verbosity=0",
        "-print_funcs=0",
    ]);
    run.arg("-print_final_stats=1").arg(format!("-artifact_prefix={}/", failures.display()));
    step::finish(run.arg(corpus).args(target.seeds().map(|seeds| root.join(seeds))))
}
