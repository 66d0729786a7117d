//! The tools that the tests need, pinned, in `.tools/` of this clone.
//!
//! Each set lies in a folder of its own with a stamp beside it: the pins that it was made from and
//! the place that it was made for (an environment of Python does not survive a move). A set whose
//! stamp is current is left alone.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::step;

/// One folder of tools.
struct Set {
    name: &'static str,
    /// What it is made from, under `xtask/tools/`.
    pins: &'static [&'static str],
    about: &'static str,
    make: fn(&Path, &Path) -> anyhow::Result<()>,
}

const SETS: &[Set] = &[
    Set {
        name: "sam",
        pins: &["sam.txt"],
        about: "SAM, cargo-lambda with zig, cfn-lint: about 800 MB, a minute or two",
        make: |pins, folder| python(&pins.join("sam.txt"), folder),
    },
    Set {
        name: "emulators",
        pins: &["emulators.txt"],
        about: "the emulator of CloudWatch and S3: about 90 MB, seconds",
        make: |pins, folder| python(&pins.join("emulators.txt"), folder),
    },
    Set {
        name: "kpl",
        pins: &["kpl.txt"],
        about: "another codec of the KPL's aggregates: about 30 MB, seconds",
        make: |pins, folder| python(&pins.join("kpl.txt"), folder),
    },
    Set {
        name: "lake",
        pins: &["lake.txt"],
        about: "another reader of access logs, and one of Parquet: about 95 MB, seconds",
        make: |pins, folder| python(&pins.join("lake.txt"), folder),
    },
    Set {
        name: "policy",
        pins: &["policy.txt"],
        about: "the policy linter of the templates: about 290 MB, a minute",
        make: |pins, folder| python(&pins.join("policy.txt"), folder),
    },
    Set {
        name: "node",
        pins: &["package.json", "package-lock.json"],
        about: "the emulator of Kinesis: about 16 MB, seconds",
        make: node,
    },
    Set {
        name: "ferrokinesis",
        pins: &["ferrokinesis/Cargo.toml", "ferrokinesis/Cargo.lock", "ferrokinesis/src/main.rs"],
        about: "the emulator of Kinesis that throttles: compiled, two minutes or three",
        make: |pins, folder| program(&pins.join("ferrokinesis"), "release", folder),
    },
    Set {
        name: "book",
        pins: &["book/Cargo.toml", "book/Cargo.lock", "book/src/main.rs"],
        about: "mdBook, for the book of `docs/`: compiled, a minute or two",
        make: |pins, folder| program(&pins.join("book"), "dev", folder),
    },
];

/// What `cargo xtask bench` measures beside ours. No test needs it.
const PEERS: &[Set] = &[
    Set {
        name: "peers",
        pins: &["peers.txt"],
        about: "Powertools, a codec and a reader of places for Python: about 40 MB, seconds",
        make: |pins, folder| python(&pins.join("peers.txt"), folder),
    },
    Set {
        name: "peers-node",
        pins: &["peers/package.json", "peers/package-lock.json"],
        about: "the same for Node: about 15 MB, seconds",
        make: |pins, folder| node(&pins.join("peers"), folder),
    },
];

/// Where the tools are.
pub fn folder(root: &Path) -> PathBuf {
    root.join(".tools")
}

/// Installs what is missing or was made from other pins.
///
/// # Errors
/// When an installer cannot be started or fails.
pub fn install(root: &Path) -> anyhow::Result<()> {
    install_sets(root, SETS)
}

/// Installs what is measured beside ours, as [`install`] does.
///
/// # Errors
/// When an installer cannot be started or fails.
pub fn install_peers(root: &Path) -> anyhow::Result<()> {
    install_sets(root, PEERS)
}

fn install_sets(root: &Path, sets: &[Set]) -> anyhow::Result<()> {
    let tools = folder(root);
    fs::create_dir_all(&tools).with_context(|| format!("could not make {}", tools.display()))?;
    let pins = root.join("xtask/tools");
    for set in sets {
        if is_current(root, set)? {
            eprintln!("xtask:   {} is there", set.name);
            continue;
        }
        eprintln!("xtask:   installing {}: {}", set.name, set.about);
        let folder = tools.join(set.name);
        if folder.exists() {
            fs::remove_dir_all(&folder)
                .with_context(|| format!("could not remove {}", folder.display()))?;
        }
        (set.make)(&pins, &folder).with_context(|| format!("could not install {}", set.name))?;
        let stamp = stamp_path(&tools, set);
        fs::write(&stamp, stamp_text(root, set)?)
            .with_context(|| format!("could not write {}", stamp.display()))?;
    }
    Ok(())
}

/// Whether every set is installed from today's pins.
///
/// # Errors
/// When the pins cannot be read.
pub fn are_current(root: &Path) -> anyhow::Result<bool> {
    for set in SETS {
        if !is_current(root, set)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn is_current(root: &Path, set: &Set) -> anyhow::Result<bool> {
    let stamp = fs::read_to_string(stamp_path(&folder(root), set)).unwrap_or_default();
    Ok(stamp == stamp_text(root, set)?)
}

fn stamp_path(tools: &Path, set: &Set) -> PathBuf {
    tools.join(format!("{}.stamp", set.name))
}

fn stamp_text(root: &Path, set: &Set) -> anyhow::Result<String> {
    let mut text = format!("{}\n", root.display());
    for pin in set.pins {
        let path = root.join("xtask/tools").join(pin);
        text += &fs::read_to_string(&path)
            .with_context(|| format!("could not read {}", path.display()))?;
    }
    Ok(text)
}

/// An environment of Python with exactly what `pins` lists.
fn python(pins: &Path, folder: &Path) -> anyhow::Result<()> {
    let parent = folder.parent().context("the tools have a folder")?;
    step::finish(step::program(interpreter()?, parent).args(["-m", "venv"]).arg(folder))?;
    let python = folder.join("bin/python");
    // The list is complete, so nothing is left to resolve; the check finds a list that is not.
    let mut install = step::program(&python, parent);
    install.args(["-m", "pip", "install", "--disable-pip-version-check", "--progress-bar", "off"]);
    install.args(["--no-deps", "-r"]);
    step::finish(install.arg(pins))?;
    step::finish(step::program(&python, parent).args(["-m", "pip", "check"]))
}

/// Python 3.11 or newer: the pins hold versions that want it.
fn interpreter() -> anyhow::Result<&'static str> {
    for name in ["python3.11", "python3.12", "python3.13", "python3"] {
        let enough = "import sys; sys.exit(sys.version_info < (3, 11))";
        let found = Command::new(name).args(["-c", enough]).output();
        if found.is_ok_and(|output| output.status.success()) {
            return Ok(name);
        }
    }
    bail!("the tools need Python 3.11 or newer with venv, and `python3` is not")
}

/// The packages of Node that the lock file names.
fn node(pins: &Path, folder: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(folder)?;
    for name in ["package.json", "package-lock.json"] {
        fs::copy(pins.join(name), folder.join(name))
            .with_context(|| format!("could not copy {name}"))?;
    }
    let mut install = step::program("npm", folder);
    step::finish(install.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]))
}

/// The program of a workspace of its own, with nothing left of what was compiled for it.
fn program(workspace: &Path, profile: &str, folder: &Path) -> anyhow::Result<()> {
    let scratch = folder.with_extension("target");
    let mut build = step::cargo(workspace);
    build.args(["build", "--profile", profile, "--locked", "--target-dir"]).arg(&scratch);
    step::finish(&mut build)?;
    fs::create_dir_all(folder)?;
    let name = workspace.file_name().context("a workspace has a folder")?.to_string_lossy();
    let program = format!("tidegate-{name}");
    // Cargo's folder for its profile `dev` has another name.
    let built = scratch.join(if profile == "dev" { "debug" } else { profile });
    fs::copy(built.join(&program), folder.join(&program))
        .with_context(|| format!("could not copy {program}"))?;
    fs::remove_dir_all(&scratch).with_context(|| format!("could not remove {}", scratch.display()))
}
