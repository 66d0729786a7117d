//! The pages with console sessions, run: each command prints what the page says.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the page is about, as its own first words say.
const LOG: &str = "tests/logs/access.log";
const PLACES: &str = "GeoIP2-City-Test.mmdb";

/// The record that the page on the quarantine shows.
const SHOWN: &str = "f2759ff87fe6";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The blocks of a language, and the text between them.
fn parts(page: &str) -> Vec<(&str, &str)> {
    let mut parts = Vec::new();
    for (index, part) in page.split("```").enumerate() {
        let inside = index % 2 == 1;
        let (language, text) = part.split_once('\n').unwrap_or(("", part));
        parts.push(if inside { (language, text) } else { ("", part) });
    }
    parts
}

#[test]
fn every_command_prints_what_the_page_says() {
    let path = root().join("docs/src/first-minutes.md");
    let page = fs::read_to_string(&path).unwrap();
    let folder = tempfile::tempdir().unwrap();
    fs::copy(root().join(LOG), folder.path().join("access.log")).unwrap();
    let data = std::env::var_os("TIDEGATE_DATA").map(|data| Path::new(&data).join(PLACES));
    match &data {
        Some(places) => drop(fs::copy(places, folder.path().join(PLACES)).unwrap()),
        None => eprintln!("skipped in part: TIDEGATE_DATA does not name a folder with {PLACES}"),
    }
    let tools = std::env::var_os("TIDEGATE_TOOLS").map(|tools| Path::new(&tools).join("lake/bin"));
    if tools.is_none() {
        eprintln!("skipped in part: TIDEGATE_TOOLS does not name the folder of tools");
    }
    let mut ran = 0;
    for (language, text) in parts(&page) {
        match language {
            "yaml" => fs::write(folder.path().join("errors.yaml"), text).unwrap(),
            "console" => {
                let (command, expected) = text.split_once('\n').unwrap();
                let command = command.strip_prefix("$ ").unwrap();
                let full = command.starts_with("cargo tidegate-full");
                let query = command.starts_with("python");
                if full && !cfg!(feature = "parquet")
                    || command.contains(PLACES) && data.is_none()
                    || query && (!cfg!(feature = "parquet") || data.is_none() || tools.is_none())
                {
                    continue;
                }
                assert_eq!(run(command, folder.path(), tools.as_deref()), expected, "{command}");
                ran += 1;
            }
            _ => {}
        }
    }
    assert!(ran >= 4, "{ran}");
}

/// What the README says to try on a log of one's own.
#[test]
fn what_the_readme_tries_on_a_log_works() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    fs::copy(root().join(LOG), folder.path().join("access.log")).unwrap();
    let consoles = parts(&readme).into_iter().filter(|(language, _)| *language == "console");
    let commands = consoles.flat_map(|(_, text)| text.lines());
    let mut ran = 0;
    for command in commands.filter(|line| line.contains(" transform run ")) {
        if command.contains("tidegate-full") && !cfg!(feature = "parquet") {
            continue;
        }
        let command = command.strip_prefix("$ ").unwrap().replace("| less", "");
        let command = command.replace("pipelines/", root().join("pipelines/").to_str().unwrap());
        let said = run(&command, folder.path(), None);
        assert!(said.contains("records    41 = "), "{command}: {said}");
        ran += 1;
    }
    assert!(ran >= 2, "{ran}");
    assert_eq!(fs::read_to_string(folder.path().join("rows.json")).unwrap().lines().count(), 40);
}

/// The demo's quarantine. Which shards it has, and so the ids and their order, may change with the
/// autoscaler: the form of each line is compared, and in place of the record that the page shows
/// stands one that is as long.
#[test]
fn the_quarantine_of_the_demo_is_looked_at_and_put_back() {
    let page = fs::read_to_string(root().join("docs/src/quarantine.md")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut ran = 0;
    for (language, text) in parts(&page) {
        if language == "yaml" {
            fs::write(folder.path().join("fixed.yaml"), text).unwrap();
        }
        if language != "console" {
            continue;
        }
        let (command, expected) = text.split_once('\n').unwrap();
        let mut command = command.strip_prefix("$ ").unwrap().to_owned();
        if command.contains(" show ") {
            let all = "cargo tidegate quarantine list --json --from demo/quarantine --reason parse";
            let all = run(all, folder.path(), None);
            let found = all.lines().find(|line| line.contains("\"size\":31,")).unwrap();
            let id = found.split_once("\"id\":\"").unwrap().1;
            command = command.replace(SHOWN, &id[..SHOWN.len()]);
        }
        let printed = run(&command, folder.path(), None);
        assert_eq!(form(&printed), form(expected), "{command}: {printed}");
        ran += 1;
    }
    assert!(ran >= 8, "{ran}");
}

/// The lines without what may change: figures and the ids and hashes that hold some, and how many
/// shards, keys and hours are named.
fn form(text: &str) -> Vec<String> {
    let word = |word: &str| {
        if word.contains(|c: char| c.is_ascii_digit()) { "0" } else { word }.to_owned()
    };
    text.lines()
        .map(|line| {
            let many = ["shards ", "keys ", "hours "].iter().any(|name| line.starts_with(name));
            let words = line.split_whitespace().map(word);
            words.take(if many { 1 } else { usize::MAX }).collect::<Vec<_>>().join(" ")
        })
        .collect()
}

/// What a command prints, both streams together.
fn run(command: &str, folder: &Path, tools: Option<&Path>) -> String {
    let tidegate = env!("CARGO_BIN_EXE_tidegate");
    let command =
        command.replace("cargo tidegate-full", tidegate).replace("cargo tidegate", tidegate);
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(format!("exec 2>&1; {command}")).current_dir(folder);
    if let Some(tools) = tools {
        let paths = std::env::var_os("PATH").unwrap_or_default();
        let all = [tools.to_owned()].into_iter().chain(std::env::split_paths(&paths));
        shell.env("PATH", std::env::join_paths(all).unwrap());
    }
    String::from_utf8(shell.output().unwrap().stdout).unwrap()
}
