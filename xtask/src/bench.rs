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
        cargo.arg("--ours").arg(built_as_deployed(root, &OURS)?);
        if !given("--ceilings") {
            tools::install_peers(root)?;
            cargo.arg("--peers").arg(peers(root)?);
        }
    }
    if what == "send" {
        tools::install(root)?;
        tools::install_peers(root)?;
        cargo.arg("--root").arg(root).arg("--tidegate").arg(command_line(root)?);
        cargo.env("TIDEGATE_TOOLS", tools::folder(root));
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

/// The instructions of the consumer and the transform, against what they may be at most.
///
/// The transform is the bootstrap that `sam build` made, if it did: building it once more as it is
/// deployed takes minutes.
///
/// # Errors
/// When a function cannot be built, or takes more.
pub fn ceilings(root: &Path, bootstraps: &Path) -> anyhow::Result<()> {
    if Command::new("valgrind").arg("--version").output().is_err() {
        eprintln!("xtask:   skipped: valgrind, which counts instructions, is not installed");
        return Ok(());
    }
    let bootstrap = bootstraps.join("Transform/Function/bootstrap");
    let built = bootstrap.exists();
    let release = built_as_deployed(root, if built { &OURS[..1] } else { &OURS })?;
    let ours = target(root)?.join("ceilings");
    std::fs::create_dir_all(&ours)?;
    let transform = if built { bootstrap } else { release.join("transform") };
    for (from, to) in [(release.join("typed-consumer"), "typed-consumer"), (transform, "transform")]
    {
        std::fs::copy(&from, ours.join(to)).with_context(|| from.display().to_string())?;
    }
    for what in ["consumer", "transform"] {
        let mut cargo = measuring(root);
        cargo.args([what, "--ceilings", "--root"]).arg(root).arg("--ours").arg(&ours);
        step::finish(&mut cargo)?;
    }
    Ok(())
}

fn measuring(root: &Path) -> Command {
    let mut cargo = step::cargo(root);
    cargo.args(["run", "--quiet", "--locked", "--profile", "quick"]);
    cargo.args(["--package", "tidegate-benches", "--"]);
    cargo
}

/// The packages of the functions that are measured.
const OURS: [&str; 2] = ["tidegate-bench-function", "transform"];

/// Builds functions as they are deployed, and says where they are.
fn built_as_deployed(root: &Path, packages: &[&str]) -> anyhow::Result<PathBuf> {
    let mut cargo = step::cargo(root);
    cargo.args(["build", "--release", "--locked"]);
    step::finish(cargo.args(packages.iter().flat_map(|package| ["--package", package])))?;
    Ok(target(root)?.join("release"))
}

/// Builds the command line as a person gets it, and says where it is.
fn command_line(root: &Path) -> anyhow::Result<PathBuf> {
    let mut cargo = step::cargo(root);
    step::finish(cargo.args(["build", "--profile", "quick", "--locked", "--package", "tidegate"]))?;
    Ok(target(root)?.join("quick/tidegate"))
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
