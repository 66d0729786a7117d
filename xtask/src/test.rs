//! `cargo xtask test`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::ValueEnum;

use crate::{bench, fuzz, step, tools};

/// The steps, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Step {
    /// Install the pinned tools into `.tools/`.
    Tools,
    /// `sam build`: the functions, as a deployment builds them.
    Build,
    /// Every test of the workspace.
    Unit,
    /// The instructions of the consumer and the transform, where valgrind is there to count them.
    Ceilings,
    /// Each fuzz target for a short time, where a C++ compiler is there to build libFuzzer.
    Fuzz,
}

/// Runs the steps, all of them when none is named.
///
/// # Errors
/// What the first step that fails fails with.
pub fn run(root: &Path, only: &[Step]) -> anyhow::Result<()> {
    for chosen in Step::value_variants() {
        if !only.is_empty() && !only.contains(chosen) {
            continue;
        }
        match chosen {
            Step::Tools => step::run("tools", || tools::install(root))?,
            Step::Build => step::run("build", || build(root))?,
            Step::Unit => step::run("unit", || unit(root))?,
            Step::Ceilings => step::run("ceilings", || bench::ceilings(root, &bootstraps(root)))?,
            Step::Fuzz => fuzz::run_if_it_can_be_built(root)?,
        }
    }
    Ok(())
}

/// The tests run the functions, and so they are built for this machine, whatever is deployed by
/// default.
const ARCHITECTURE: &str = match cfg!(target_arch = "aarch64") {
    true => "Architecture=arm64",
    false => "Architecture=x86_64",
};

/// Where `sam build` puts the bootstraps, one folder a part.
fn bootstraps(root: &Path) -> PathBuf {
    root.join(".aws-sam/build")
}

/// SAM starts cargo-lambda for each function, and that cargo in the workspace's target folder, under
/// the name of the target: what is compiled for one function is there for the next.
fn build(root: &Path) -> anyhow::Result<()> {
    // SAM has no way to pass --locked on.
    step::output(step::cargo(root).args(["metadata", "--locked", "--format-version", "1"]))?;
    let tools = tools::folder(root);
    let mut sam = step::program(tools.join("sam/bin/sam"), root);
    sam.args(["build", "--parameter-overrides", ARCHITECTURE]).envs(sam_environment(&tools)?);
    step::finish(&mut sam)
}

/// SAM and what it starts, without a word to anyone, and with its caches in this clone.
///
/// # Errors
/// When the search path cannot be extended.
pub fn sam_environment(tools: &Path) -> anyhow::Result<Vec<(&'static str, OsString)>> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::iter::once(tools.join("sam/bin")).chain(std::env::split_paths(&path));
    Ok(vec![
        ("PATH", std::env::join_paths(path).context("the search path cannot be extended")?),
        ("SAM_CLI_TELEMETRY", "0".into()),
        ("__SAM_CLI_APP_DIR", tools.join("cache/sam").into()),
        ("CARGO_ZIGBUILD_CACHE_DIR", tools.join("cache/zigbuild").into()),
        ("ZIG_GLOBAL_CACHE_DIR", tools.join("cache/zig").into()),
        ("ZIG_LOCAL_CACHE_DIR", tools.join("cache/zig").into()),
    ])
}

/// The tests that need tools or bootstraps say that they are skipped when they are not told where
/// to find them; here they are told.
fn unit(root: &Path) -> anyhow::Result<()> {
    let mut test = step::cargo(root);
    test.args(["test", "--workspace", "--locked"]);
    if tools::are_current(root)? {
        test.env("TIDEGATE_TOOLS", tools::folder(root));
    }
    if bootstraps(root).join("template.yaml").exists() {
        test.env("TIDEGATE_BOOTSTRAPS", bootstraps(root));
    }
    step::finish(&mut test)
}
