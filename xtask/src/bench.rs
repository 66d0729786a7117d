//! `cargo xtask bench`.

use std::path::Path;

use crate::step;

/// Names the folder of histories where none is given.
const TRACES: &str = "TIDEGATE_TRACES";

/// Builds what measures as the command line is built for a person, and hands the rest over to it.
///
/// # Errors
/// When it cannot be built, or says that something grew beyond its bounds.
pub fn run(root: &Path, measure: &[String]) -> anyhow::Result<()> {
    let mut cargo = step::cargo(root);
    cargo.args(["run", "--quiet", "--locked", "--profile", "quick"]);
    cargo.args(["--package", "tidegate-benches", "--"]).args(measure);
    let evaluates = measure.first().is_some_and(|what| what == "evaluate");
    if let Some(folder) = std::env::var_os(TRACES)
        && evaluates
        && !measure.iter().any(|word| word.starts_with("--traces"))
    {
        cargo.arg("--traces").arg(folder);
    }
    step::finish(&mut cargo)
}
