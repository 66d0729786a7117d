//! Licences, bans and sources of the crates that Tidegate is built from.
//!
//! The rules are in `deny.toml`, in the form of cargo-deny, so that whoever has that program can run
//! it. What is read here is the part that needs no network and no further program. Advisories need
//! the RustSec database: `cargo deny check advisories`.

use std::path::Path;

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::step;

/// The index that Cargo writes into `Cargo.lock` for crates.io.
const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Holds the dependency graph against `deny.toml`.
///
/// # Errors
/// All that is wrong with it.
pub fn check(root: &Path) -> anyhow::Result<()> {
    let text =
        std::fs::read_to_string(root.join("deny.toml")).context("could not read deny.toml")?;
    let rules: toml::Table = text.parse().context("deny.toml cannot be read")?;
    let allowed = names(&rules, "licenses", "allow")?;
    let banned = names(&rules, "bans", "deny")?;
    let mut metadata = step::cargo(root);
    metadata.args(["metadata", "--locked", "--format-version", "1"]);
    let graph: Value = serde_json::from_slice(&step::output(&mut metadata)?)
        .context("what `cargo metadata` said cannot be read")?;
    let packages = graph["packages"].as_array().context("`cargo metadata` lists packages")?;
    let problems: Vec<_> =
        packages.iter().filter_map(|package| problem(package, &allowed, &banned)).collect();
    if !problems.is_empty() {
        bail!("{}", problems.join("\n  "));
    }
    eprintln!("xtask:   {} crates; advisories were not looked up: see deny.toml", packages.len());
    Ok(())
}

fn problem(package: &Value, allowed: &[String], banned: &[String]) -> Option<String> {
    let name = package["name"].as_str().unwrap_or_default();
    let licence = package["license"].as_str().unwrap_or_default();
    if package["source"].as_str().is_some_and(|source| source != CRATES_IO) {
        Some(format!("{name} comes from {}, not from crates.io", package["source"]))
    } else if banned.iter().any(|banned| banned == name) {
        Some(format!("{name} is banned: see deny.toml"))
    } else if !is_allowed(licence, allowed) {
        Some(format!("{name} has the licence {licence:?}, which deny.toml does not allow"))
    } else {
        None
    }
}

fn names(rules: &toml::Table, section: &str, key: &str) -> anyhow::Result<Vec<String>> {
    let entries = rules.get(section).and_then(|section| section.get(key)?.as_array());
    let entries = entries.with_context(|| format!("deny.toml has a list {section}.{key}"))?;
    let name = |entry: &toml::Value| {
        entry.as_str().or_else(|| entry.get("crate")?.as_str()).map(ToOwned::to_owned)
    };
    entries
        .iter()
        .map(|entry| {
            name(entry).with_context(|| format!("{section}.{key} in deny.toml holds {entry:?}"))
        })
        .collect()
}

/// Whether an SPDX expression can be met with allowed licences. `/` is how old manifests write `OR`.
fn is_allowed(expression: &str, allowed: &[String]) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<_> = spaced.split_whitespace().collect();
    let mut parser = Parser { words: &words, allowed };
    let met = parser.any();
    met == Some(true) && parser.words.is_empty()
}

/// Reads an expression from left to right; `None` when it cannot be read.
struct Parser<'a> {
    words: &'a [&'a str],
    allowed: &'a [String],
}

impl<'a> Parser<'a> {
    fn any(&mut self) -> Option<bool> {
        let mut met = self.all()?;
        while self.skip("OR") {
            met |= self.all()?;
        }
        Some(met)
    }

    fn all(&mut self) -> Option<bool> {
        let mut met = self.one()?;
        while self.skip("AND") {
            met &= self.one()?;
        }
        Some(met)
    }

    fn one(&mut self) -> Option<bool> {
        if self.skip("(") {
            let met = self.any()?;
            return self.skip(")").then_some(met);
        }
        let mut name = self.next()?.to_owned();
        if self.skip("WITH") {
            name = format!("{name} WITH {}", self.next()?);
        }
        Some(self.allowed.contains(&name))
    }

    fn next(&mut self) -> Option<&'a str> {
        let (first, rest) = self.words.split_first()?;
        self.words = rest;
        Some(first)
    }

    fn skip(&mut self, word: &str) -> bool {
        let found = self.words.first() == Some(&word);
        if found {
            self.words = &self.words[1..];
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_met_by_what_is_allowed() {
        let allowed = ["MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception"].map(String::from);
        let cases = [
            ("MIT", true),
            ("MIT OR GPL-3.0", true),
            ("GPL-3.0 OR MIT", true),
            ("MIT/GPL-3.0", true),
            ("MIT AND GPL-3.0", false),
            ("(MIT OR GPL-3.0) AND Apache-2.0", true),
            ("(MIT OR Apache-2.0) AND GPL-3.0", false),
            ("Apache-2.0 WITH LLVM-exception", true),
            ("MIT WITH LLVM-exception", false),
            ("GPL-3.0", false),
            ("", false),
            ("MIT OR", false),
            ("(MIT", false),
            ("MIT MIT", false),
        ];
        for (expression, met) in cases {
            assert_eq!(is_allowed(expression, &allowed), met, "{expression}");
        }
    }

    #[test]
    fn a_crate_from_elsewhere_is_a_problem() {
        let package = |source| serde_json::json!({"name": "a", "license": "MIT", "source": source});
        let allowed = ["MIT".to_owned()];
        assert_eq!(problem(&package(Value::Null), &allowed, &[]), None);
        assert_eq!(problem(&package(CRATES_IO.into()), &allowed, &[]), None);
        let elsewhere = problem(&package("git+https://example.com/a".into()), &allowed, &[]);
        assert!(elsewhere.is_some_and(|problem| problem.contains("not from crates.io")));
        let banned = problem(&package(Value::Null), &allowed, &["a".to_owned()]);
        assert_eq!(banned.as_deref(), Some("a is banned: see deny.toml"));
    }
}
