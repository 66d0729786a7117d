//! The book, as mdBook builds it: every page is there, and every link in it leads somewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

use tidegate_tests::place::{files, root, tool};

/// Pages that hold the others once more, under other addresses.
const COPIES: [&str; 2] = ["404.html", "print.html"];

/// The values of an attribute in a page.
fn attributes<'t>(page: &'t str, name: &str) -> Vec<&'t str> {
    let begin = format!(" {name}=\"");
    let values = page.split(begin.as_str()).skip(1);
    values.filter_map(|rest| Some(rest.split_once('"')?.0)).collect()
}

/// A path without `..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(plain.pop()),
            part => plain.push(part),
        }
    }
    plain
}

fn pages(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            pages(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "html") {
            into.push(path);
        }
    }
}

#[test]
fn the_book_is_built_and_no_link_in_it_is_dead() {
    let Some(program) = tool("book/tidegate-book") else { return };
    let folder = tempfile::tempdir().unwrap();
    let built = Command::new(program).arg(root().join("docs")).arg(folder.path()).output().unwrap();
    let said = String::from_utf8_lossy(&built.stderr);
    assert!(built.status.success() && said.is_empty(), "{said}");

    let mut found = Vec::new();
    pages(folder.path(), &mut found);
    found.retain(|page| !COPIES.iter().any(|copy| page.ends_with(copy)));
    let texts: BTreeMap<_, _> =
        found.iter().map(|page| (page, fs::read_to_string(page).unwrap())).collect();
    let written = files(&["md"]).into_iter().filter(|file| file.starts_with("docs/src"));
    for file in written.filter(|file| !file.ends_with("SUMMARY.md")) {
        let page = file.strip_prefix("docs/src").unwrap().with_extension("html");
        assert!(found.contains(&folder.path().join(&page)), "SUMMARY.md has no {}", file.display());
    }
    let places: BTreeMap<_, BTreeSet<_>> = texts
        .iter()
        .map(|(page, text)| (page.as_path(), attributes(text, "id").into_iter().collect()))
        .collect();
    let (mut links, mut dead) = (0, Vec::new());
    for (page, text) in &texts {
        for link in [attributes(text, "href"), attributes(text, "src")].concat() {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            links += 1;
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() {
                (*page).clone()
            } else {
                plain(&page.parent().unwrap().join(path))
            };
            let there = match places.get(target.as_path()) {
                Some(ids) => anchor.is_empty() || ids.contains(anchor),
                None => target.exists(),
            };
            if !there {
                dead.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(links > 500, "{links} links");
    assert!(dead.is_empty(), "{}", dead.join("\n"));
}
