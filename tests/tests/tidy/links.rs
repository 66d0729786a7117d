//! No link of a document leads nowhere, and the book has every page.

use std::path::{Component, Path, PathBuf};

use tidegate_tests::place::{files, root, text};

/// Where the book's pages are.
const BOOK: &str = "docs/src";

#[test]
fn no_link_leads_nowhere() {
    let problems: Vec<_> = documents().iter().flat_map(|page| dead(page, &text(page))).collect();
    assert!(problems.is_empty(), "\n  {}\n", problems.join("\n  "));
}

#[test]
fn the_book_has_every_page() {
    let summary = Path::new(BOOK).join("SUMMARY.md");
    let listed: Vec<_> =
        links(&text(&summary)).into_iter().map(|(_, link)| Path::new(BOOK).join(link)).collect();
    let missing: Vec<_> = files(&["md"])
        .into_iter()
        .filter(|page| page.starts_with(BOOK) && *page != summary && !listed.contains(page))
        .collect();
    assert!(!listed.is_empty() && missing.is_empty(), "SUMMARY.md does not list {missing:?}");
}

#[test]
fn what_is_dead() {
    let page = Path::new("docs/src/autoscaler.md");
    let cases: &[(&str, &[&str])] = &[
        ("[a](transform.md) and [b](https://example.com/x)", &[]),
        ("[a](nowhere.md)", &["docs/src/autoscaler.md:1: nowhere.md does not exist"]),
        ("\n[a](#how-it-decides)", &[]),
        ("\n[a](#how)", &["docs/src/autoscaler.md:2: #how is no heading there"]),
        ("[a](transform.md#keep-and-drop)", &[]),
        (
            "[a](transform.md#keep)",
            &["docs/src/autoscaler.md:1: transform.md#keep is no heading there"],
        ),
        ("[a](../../README.md)", &["docs/src/autoscaler.md:1: ../../README.md is not in the book"]),
        ("`[a](nowhere.md)`", &[]),
        ("```\n[a](nowhere.md)\n```", &[]),
    ];
    for (content, problems) in cases {
        assert_eq!(dead(page, content), *problems, "{content}");
    }
}

fn documents() -> Vec<PathBuf> {
    let outside = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"];
    files(&["md"])
        .into_iter()
        .filter(|page| {
            let root = outside.iter().any(|name| page == Path::new(name));
            root || page.starts_with(BOOK) || page.ends_with("README.md")
        })
        .collect()
}

/// What is wrong with the links of a page.
fn dead(page: &Path, content: &str) -> Vec<String> {
    let mut problems = Vec::new();
    for (line, link) in links(content) {
        let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
        if path.contains("://") || path.starts_with("mailto:") {
            continue;
        }
        let target = if path.is_empty() { page.to_owned() } else { resolve(page, path) };
        let problem = if !root().join(&target).exists() {
            "does not exist"
        } else if page.starts_with(BOOK) && !target.starts_with(BOOK) {
            "is not in the book"
        } else if !anchor.is_empty() && !headings(&text(&target)).iter().any(|h| h == anchor) {
            "is no heading there"
        } else {
            continue;
        };
        problems.push(format!("{}:{line}: {link} {problem}", page.display()));
    }
    problems
}

/// The lines of a page outside of fenced code, with their numbers.
fn prose(content: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    (1..).zip(content.lines()).filter(move |(_, line)| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fenced && !fence
    })
}

/// The targets of the links of a page, with their lines.
fn links(content: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in prose(content) {
        // Code keeps its backticks' places and loses what it says.
        let plain: String = line.split('`').step_by(2).collect::<Vec<_>>().join("`");
        for rest in plain.split("](").skip(1) {
            let target = rest.split([')', ' ']).next().unwrap_or_default();
            found.push((number, target.to_owned()));
        }
    }
    found
}

/// A relative path from a page, without its detours.
fn resolve(page: &Path, link: &str) -> PathBuf {
    let mut target = PathBuf::new();
    for part in page.parent().unwrap_or(Path::new("")).join(link).components() {
        match part {
            Component::ParentDir => {
                target.pop();
            }
            part => target.push(part),
        }
    }
    target
}

/// The anchors of a page's headings, as mdBook and GitHub make them.
fn headings(content: &str) -> Vec<String> {
    prose(content)
        .filter(|(_, line)| line.starts_with('#'))
        .map(|(_, line)| {
            line.trim_start_matches('#')
                .trim()
                .to_lowercase()
                .chars()
                .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
                .map(|c| if c == ' ' { '-' } else { c })
                .collect()
        })
        .collect()
}
