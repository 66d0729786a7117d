//! A project that `tidegate init` makes: it builds, its test passes, its function answers Lambda, and
//! the linters and the doctor have nothing to say about its template.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use tidegate_tests::lambda::Lambda;
use tidegate_tests::place::{root, tool};

const NAME: &str = "shop-orders";

fn tidegate(arguments: &[&str], folder: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    command.args(arguments).current_dir(folder).output().unwrap()
}

#[track_caller]
fn succeeds(output: &Output) -> String {
    let (said, complained) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{said}{complained}", output.status);
    said.into_owned()
}

/// The folder that this workspace builds into: what it has compiled need not be compiled again.
fn target() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().to_owned()
}

/// The project, with this checkout's crates and the versions of everything else that it has.
fn project(folder: &Path) -> PathBuf {
    let checkout = root();
    let said = tidegate(&["init", NAME, "--path", checkout.to_str().unwrap()], folder);
    assert!(succeeds(&said).starts_with("made shop-orders: change src/lib.rs"));
    let project = folder.join(NAME);
    fs::copy(checkout.join("Cargo.lock"), project.join("Cargo.lock")).unwrap();
    project
}

#[test]
fn the_project_builds_passes_and_answers() {
    let folder = tempfile::tempdir().unwrap();
    let project = project(folder.path());
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["test", "--offline", "--quiet"]).current_dir(&project);
    cargo.env("CARGO_TARGET_DIR", target());
    // As this workspace builds its own tests.
    cargo.env("CARGO_PROFILE_DEV_DEBUG", "false").env("CARGO_PROFILE_TEST_DEBUG", "false");
    let said = succeeds(&cargo.output().unwrap());
    assert!(said.contains("1 passed"), "{said}");

    let journal = folder.path().join("journal");
    let settings = [("JOURNAL", journal.to_str().unwrap())];
    let lambda = Lambda::start(&target().join("debug").join(NAME), &settings).unwrap();
    let event = fs::read_to_string(project.join("events/batch.json")).unwrap();
    let event: Value = serde_json::from_str(&event).unwrap();
    assert_eq!(lambda.respond(event).unwrap(), json!({"batchItemFailures": []}));
    let batch = &lambda.events("batch").unwrap()[0];
    let of = ["delivered", "skipped", "quarantined"].map(|key| &batch[key]);
    assert_eq!(of, [&json!(1), &json!(1), &json!(1)], "{batch}");
    let poison = &lambda.events("quarantined").unwrap()[0];
    assert_eq!(poison["reason"], "parse");
    assert!(!lambda.output().unwrap().contains("aGVsbG8"), "a payload is in the log");
}

#[test]
fn nobody_has_anything_to_say_about_the_template() {
    let folder = tempfile::tempdir().unwrap();
    let project = project(folder.path());
    let said = succeeds(&tidegate(&["doctor", "--template", "template.yaml"], &project));
    assert!(said.contains("0 errors, 0 warnings, 0 notes"), "{said}");
    let Some(linter) = tool("sam/bin/cfn-lint") else { return };
    let mut lint = Command::new(linter);
    succeeds(&lint.arg("template.yaml").current_dir(&project).output().unwrap());
    let sam = tool("sam/bin/sam").unwrap();
    let mut sam = Command::new(sam);
    sam.args(["validate", "--lint"]).current_dir(&project).env("SAM_CLI_TELEMETRY", "0");
    succeeds(&sam.env("__SAM_CLI_APP_DIR", folder.path()).output().unwrap());
}

#[test]
fn nothing_is_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join(NAME)).unwrap();
    succeeds(&tidegate(&["init", NAME], folder.path()));
    let before = fs::read_to_string(folder.path().join(NAME).join("Cargo.toml")).unwrap();
    assert!(before.contains(r#"git = "https://github.com/tidegate/tidegate""#), "{before}");
    for (arguments, code, message) in [
        (&["init", NAME][..], 1, "error: shop-orders is not empty: name another folder"),
        (&["init", "Orders"], 2, "error: \"Orders\" cannot be the name of a project"),
        (&["init", "a", "--path", "/nowhere"], 1, "error: /nowhere/crates/aws is not there"),
    ] {
        let output = tidegate(arguments, folder.path());
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), said.starts_with(message)), (Some(code), true), "{said}");
    }
}
