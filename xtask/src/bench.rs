//! `cargo xtask bench`.

use std::path::Path;

use crate::step;

/// Builds what measures as the command line is built for a person, and hands the rest over to it.
///
/// # Errors
/// When it cannot be built, or says that something grew beyond its bounds.
pub fn run(root: &Path, measure: &[String]) -> anyhow::Result<()> {
    let mut cargo = step::cargo(root);
    cargo.args(["run", "--quiet", "--locked", "--profile", "quick"]);
    cargo.args(["--package", "tidegate-benches", "--"]).args(measure);
    step::finish(&mut cargo)
}
