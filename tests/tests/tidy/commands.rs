//! Every command of the README and of the book is run by a test, or says that it needs an account.

use std::path::{Path, PathBuf};

use tidegate_tests::place::{files, root, text};

use super::report;

/// What runs a command, by what it begins with: a test, as `file::function`, or what CI calls. The
/// first that fits counts.
const RUN: &[(&str, &str)] = &[
    ("cargo tidegate ", "crates/cli/tests/pages.rs::every_command_of_the_pages_runs"),
    ("cargo lambda ", "tests/tests/cargo_lambda.rs::"),
    ("cargo xtask test", ".ci/run::xtask test"),
    ("cargo xtask ", "xtask/src/main.rs::enum Command"),
    ("sam build", "xtask/src/test.rs::fn build"),
    ("sam validate", "tests/tests/infra.rs::fn sam_validates_every_environment"),
    ("cd shop-orders", "crates/cli/tests/init.rs::fn the_project_builds_passes_and_answers"),
    ("cargo test", "crates/cli/tests/init.rs::fn the_project_builds_passes_and_answers"),
];

/// Pages whose sessions are run whole, with what they print.
const SESSIONS: &[&str] = &["docs/src/first-minutes.md", "docs/src/quarantine.md"];

/// What speaks with AWS.
const OF_AN_ACCOUNT: &[&str] =
    &["aws ", "cargo tidegate-full ", "sam deploy", "sam delete", "sam logs", "sam remote"];

/// Of `cargo tidegate-full`, what needs no account all the same.
const LOCAL: &str = "cargo tidegate-full transform ";

#[test]
fn every_command_is_run_or_needs_an_account() {
    let mut problems = Vec::new();
    for (_, test) in RUN {
        let (file, name) = test.split_once("::").unwrap_or((test, ""));
        if !root().join(file).exists() || !text(file).contains(name) {
            problems.push(format!("{file} has no {name}"));
        }
    }
    for page in pages() {
        problems.extend(wrong(&page, &text(&page)));
    }
    report(&problems);
}

#[test]
fn what_is_wrong_with_a_command() {
    let page = Path::new("docs/src/page.md");
    let cases: &[(&str, &[&str])] = &[
        ("```console\n$ cargo tidegate demo\nit prints\n```", &[]),
        ("```console\n$ make\n```", &["docs/src/page.md:2: nothing runs make"]),
        ("```console\n$ aws s3 ls\n```", &["docs/src/page.md:2: it needs an account: say so"]),
        ("Account:\n\n```console\n$ aws s3 ls\n```", &[]),
        ("```console\n$ aws s3 ls   # account\n```", &[]),
        (
            "Account:\n\nor not\n\n```console\n$ aws s3 ls\n```",
            &["docs/src/page.md:6: it needs an account: say so"],
        ),
        (
            "```console\n$ cargo tidegate demo | aws s3 cp - x\n```",
            &["docs/src/page.md:2: it needs an account: say so"],
        ),
        ("```console\n$ cargo tidegate-full transform run a\n```", &[]),
        ("```\n$ make\n```", &[]),
    ];
    for (content, problems) in cases {
        assert_eq!(wrong(page, content), *problems, "{content}");
    }
}

fn pages() -> Vec<PathBuf> {
    let of = |page: &PathBuf| {
        let session = SESSIONS.iter().any(|session| page == Path::new(session));
        let roots = ["README.md", "CONTRIBUTING.md"].iter().any(|name| page == Path::new(name));
        !session && (roots || page.starts_with("docs/src"))
    };
    files(&["md"]).into_iter().filter(of).collect()
}

/// The commands of a page that nothing runs, and that do not say that they need an account.
fn wrong(page: &Path, content: &str) -> Vec<String> {
    let mut problems = Vec::new();
    let (mut inside, mut lead) = (false, "");
    for (number, line) in (1..).zip(content.lines()) {
        if line.starts_with("```") {
            inside = line == "```console";
            continue;
        }
        if !inside {
            lead = if line.is_empty() { lead } else { line };
            continue;
        }
        let Some(command) = line.strip_prefix("$ ") else { continue };
        let begins = |what: &&str| {
            let parts = command.split(" | ");
            parts.into_iter().any(|part| part.starts_with(*what))
        };
        let problem = if OF_AN_ACCOUNT.iter().any(begins) && !command.starts_with(LOCAL) {
            let marked = lead == "Account:" || command.ends_with("# account");
            (!marked).then(|| "it needs an account: say so".to_owned())
        } else {
            let run =
                command.starts_with(LOCAL) || RUN.iter().any(|(what, _)| command.starts_with(what));
            (!run).then(|| format!("nothing runs {command}"))
        };
        problems.extend(problem.map(|problem| format!("{}:{number}: {problem}", page.display())));
    }
    problems
}
