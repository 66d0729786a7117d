//! `cargo xtask bench`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

use crate::{step, tools};

/// Names the folder of histories where none is given.
const TRACES: &str = "TIDEGATE_TRACES";

/// Names the folder of real logs where none is given.
const DATA: &str = "TIDEGATE_DATA";

/// Builds what measures as the command line is built for a person, and hands the rest over to it.
///
/// # Errors
/// When it cannot be built, or says that something grew beyond its bounds.
pub fn run(root: &Path, measure: &[String]) -> anyhow::Result<()> {
    let mut cargo = measuring(root);
    cargo.args(measure);
    let what = measure.first().map_or("", String::as_str);
    let given = |option: &str| measure.iter().any(|word| word.starts_with(option));
    if let "consumer" | "transform" = what {
        cargo.arg("--root").arg(root);
        cargo.arg("--ours").arg(functions(root)?);
        if !given("--ceilings") {
            tools::install_peers(root)?;
            cargo.arg("--peers").arg(peers(root)?);
        }
    }
    for (of, option, name) in [("evaluate", "--traces", TRACES), ("transform", "--data", DATA)] {
        if let Some(folder) = std::env::var_os(name)
            && of == what
            && !given(option)
        {
            cargo.arg(option).arg(folder);
        }
    }
    step::finish(&mut cargo)
}

fn measuring(root: &Path) -> Command {
    let mut cargo = step::cargo(root);
    cargo.args(["run", "--quiet", "--locked", "--profile", "quick"]);
    cargo.args(["--package", "tidegate-benches", "--"]);
    cargo
}

/// Builds the functions that are measured as they are deployed, and says where they are.
fn functions(root: &Path) -> anyhow::Result<PathBuf> {
    let mut cargo = step::cargo(root);
    cargo.args(["build", "--release", "--locked"]);
    step::finish(cargo.args(["--package", "transform", "--package", "tidegate-bench-function"]))?;
    Ok(target(root)?.join("release"))
}

/// Builds the functions of others, a workspace of their own beside what is ours.
fn peers(root: &Path) -> anyhow::Result<PathBuf> {
    let folder = target(root)?.join("peers");
    let mut cargo = step::cargo(&root.join("benches/peers/rust"));
    step::finish(cargo.args(["build", "--release", "--locked"]).arg("--target-dir").arg(&folder))?;
    Ok(folder.join("release"))
}

/// Where cargo puts what it builds.
fn target(root: &Path) -> anyhow::Result<PathBuf> {
    let mut cargo = step::cargo(root);
    cargo.args(["metadata", "--locked", "--no-deps", "--format-version", "1"]);
    let metadata = String::from_utf8(step::output(&mut cargo)?)?;
    let (_, after) =
        metadata.split_once("\"target_directory\":\"").context("cargo names no target folder")?;
    Ok(after.split('"').next().unwrap_or_default().into())
}
