//! What a release is made from: one toolchain, packages that can be published, code for more than
//! one system.

use std::process::Command;

use tidegate_tests::place::{files, root, text};

use super::{code, found, manifest, report};

/// The oldest toolchain that is promised is the one that everything is tested with.
#[test]
fn what_is_promised_is_what_is_tested() {
    let root: toml::Table = manifest("Cargo.toml".as_ref());
    let promised = root["workspace"]["package"]["rust-version"].as_str().unwrap_or_default();
    let mut problems = Vec::new();
    for path in [".github/workflows/test.yml", ".github/workflows/release.yml"] {
        let workflow = text(path);
        let set = workflow.lines().find_map(|line| line.trim().strip_prefix("RUST_VERSION: "));
        if set.map(|set| set.trim_matches('"')) != Some(promised) {
            problems.push(format!("{path}: RUST_VERSION is {set:?}, Cargo.toml says {promised}"));
        }
        let installs = workflow.matches("rustup toolchain install").count();
        if installs == 0 || installs != workflow.matches("rustup default $RUST_VERSION").count() {
            problems.push(format!("{path}: a job takes another toolchain"));
        }
    }
    report(&problems);
}

/// CI runs what a developer runs, and nothing of its own that nobody else could.
#[test]
fn ci_runs_what_a_developer_runs() {
    let workflow = text(".github/workflows/test.yml");
    for command in
        ["cargo xtask lint", "cargo xtask test", "cargo build --locked --package tidegate"]
    {
        assert!(workflow.contains(&format!("run: {command}\n")), "{command} is not run");
    }
}

/// The packages that say `publish = true`, and those that they stand on, can be published: they have
/// what the registry asks for, and every file that they are built from is in them.
#[test]
fn what_is_published_can_be_packaged() {
    let published: Vec<_> = files(&["toml"])
        .into_iter()
        .filter(|path| path.ends_with("Cargo.toml") && path.starts_with("crates"))
        .map(|path| manifest(&path))
        .filter(|manifest| manifest["package"]["publish"].as_bool() == Some(true))
        .filter_map(|manifest| Some(manifest["package"]["name"].as_str()?.to_owned()))
        .collect();
    assert!(published.iter().any(|name| name == "tidegate-consumer"), "{published:?}");
    let folder = root().join("target/packages");
    let mut package = Command::new(env!("CARGO"));
    package.args(["package", "--offline", "--no-verify", "--allow-dirty", "--quiet"]);
    for name in &published {
        package.args(["--package", name]);
    }
    let output = package.arg("--target-dir").arg(&folder).current_dir(root()).output();
    let output = output.unwrap_or_else(|error| panic!("cargo package: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !said.contains("warning"), "{said}");
    // What stands outside of a package is not there for whoever takes it from the registry.
    let outside = ["include_str!(\"../../../", "include_bytes!(\"../../../"];
    let sources: Vec<_> = published
        .iter()
        .flat_map(|name| code(&format!("crates/{}/src", name.trim_start_matches("tidegate-"))))
        .collect();
    report(&found(&sources, &outside));
}

/// The command line runs on macOS: what only Linux has is for tests alone, or behind a `cfg` that
/// says so.
#[test]
fn nothing_is_for_linux_alone() {
    let sources: Vec<_> = ["crates", "functions", "xtask"].into_iter().flat_map(code).collect();
    report(&found(&sources, &["std::os::linux", "\"/proc", "(\"/proc"]));
}
