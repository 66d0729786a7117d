//! Every `cargo tidegate …` line of the README and of the book, run as it stands among the files that
//! the pages speak of. The sessions of two pages, with what they print, are run by
//! `first_minutes.rs`; what needs an account is marked so on its page, which `tidy` holds.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use tidegate_tests::place::{files, root, text};

/// Pages whose sessions are run whole.
const SESSIONS: [&str; 2] = ["docs/src/first-minutes.md", "docs/src/quarantine.md"];

/// The lines, each once; those of the demo first, since others look at what it leaves.
fn lines() -> Vec<String> {
    let pages = files(&["md"]).into_iter().filter(|page| {
        let book = page.starts_with("docs/src") || page == Path::new("README.md");
        book && !SESSIONS.iter().any(|session| page == Path::new(session))
    });
    let mut found = BTreeSet::new();
    for page in pages {
        let page = text(&page);
        let blocks = page.split("```console\n").skip(1);
        let lines = blocks.flat_map(|block| block.split("```").next().unwrap_or_default().lines());
        let commands = lines.filter_map(|line| line.strip_prefix("$ "));
        found.extend(commands.filter(|line| line.starts_with("cargo tidegate ")).map(String::from));
    }
    let mut found: Vec<_> = found.into_iter().collect();
    found.sort_by_key(|line| !line.contains("tidegate demo"));
    found
}

/// The files that the pages speak of.
fn prepare(folder: &Path) {
    let here = root();
    for name in ["infra", "pipelines"] {
        symlink(here.join(name), folder.join(name)).unwrap();
    }
    fs::copy(here.join("tests/logs/access.log"), folder.join("access.log")).unwrap();
    let mut history = "timestamp,bytes_per_s,records_per_s\n".to_owned();
    for minute in 0..3 * 1_440 {
        let busy = (480..1_080).contains(&(minute % 1_440));
        let records = if busy { 7_300 + minute % 13 * 25 } else { 1_400 + minute % 7 * 30 };
        let _ = writeln!(history, "{},{},{records}", 1_788_220_800 + minute * 60, records * 300);
    }
    fs::write(folder.join("history.csv"), &history).unwrap();
    fs::create_dir(folder.join("histories")).unwrap();
    fs::write(folder.join("histories/shop.csv"), &history).unwrap();
    fs::write(
        folder.join("orders.ndjson"),
        "{\"user\":\"a\",\"total\":1}\n{\"user\":\"b\",\"total\":2}\n",
    )
    .unwrap();
    fs::write(folder.join("policy.yaml"), "min_shards: 2\n").unwrap();
    let minutes: Vec<_> = (0..60)
        .map(|minute| {
            format!(
                r#""2026-11-20T23:{minute:02}:00Z": {{"records": 90000, "bytes": 9, "rejected": 0,
                "iterator_age_ms": 0}}"#
            )
        })
        .collect();
    let observation = format!(
        r#"{{"format": 1, "at": "2026-11-21T00:01:00Z", "observation": {{"stream": "orders",
        "description": {{"status": "active", "capacity": "provisioned", "open_shards": 4}},
        "account": null, "paused": false, "minutes": {{{}}}, "absurd_points": 0}}}}"#,
        minutes.join(", ")
    );
    fs::write(folder.join("orders.json"), observation).unwrap();
}

/// What a line ends with, and what it says. A demo of fewer records is as good, and quicker; a pager
/// has nobody to wait for here.
fn run(line: &str, folder: &Path) -> (Option<i32>, String) {
    let demo = line.contains("tidegate demo");
    let line = line
        .replace("cargo tidegate", env!("CARGO_BIN_EXE_tidegate"))
        .replace("/tmp/demo", "elsewhere")
        .replace("| less", "| cat");
    let line = if demo { format!("{line} --sample 20000") } else { line };
    let output = Command::new("sh").arg("-c").arg(&line).current_dir(folder).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), said)
}

#[test]
fn every_command_of_the_pages_runs() {
    let folder = tempfile::tempdir().unwrap();
    prepare(folder.path());
    let lines = lines();
    assert!(lines.len() > 15, "{lines:#?}");
    let mut problems = Vec::new();
    for line in lines {
        let (code, said) = run(&line, folder.path());
        // The doctor ends by what it finds.
        let done = code == Some(0) || line.contains("doctor") && matches!(code, Some(3 | 4));
        if !done {
            problems.push(format!("{line}\n    {code:?} {said}"));
        }
    }
    assert!(problems.is_empty(), "\n  {}\n", problems.join("\n  "));
}
