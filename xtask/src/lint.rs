//! `cargo xtask lint`.

use std::path::Path;

use clap::ValueEnum;

use crate::{licences, step, tools};

/// The steps, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Step {
    /// rustfmt has nothing to change.
    Format,
    /// clippy has nothing to say.
    Clippy,
    /// Every crate has a licence that `deny.toml` allows, and comes from crates.io.
    Licences,
    /// cfn-lint and `sam validate --lint` on the templates, and what neither of them sees.
    Templates,
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
            Step::Format => step::run("format", || format(root))?,
            Step::Clippy => step::run("clippy", || clippy(root))?,
            Step::Licences => step::run("licences", || licences::check(root))?,
            Step::Templates => step::run("templates", || templates(root))?,
        }
    }
    Ok(())
}

fn format(root: &Path) -> anyhow::Result<()> {
    step::finish(step::cargo(root).args(["fmt", "--all", "--check"]))?;
    let fuzz = ["fmt", "--manifest-path", "fuzz/Cargo.toml", "--", "--check"];
    step::finish(step::cargo(root).args(fuzz))
}

fn clippy(root: &Path) -> anyhow::Result<()> {
    let mut clippy = step::cargo(root);
    clippy.args(["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"]);
    step::finish(&mut clippy)
}

fn templates(root: &Path) -> anyhow::Result<()> {
    tools::install(root)?;
    let mut test = step::cargo(root);
    test.args(["test", "--locked", "--package", "tidegate-tests", "--test", "infra"]);
    step::finish(test.env("TIDEGATE_TOOLS", tools::folder(root)))
}
