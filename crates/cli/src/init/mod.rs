//! `tidegate init`: a project for a consumer of one's own, that builds and passes its test.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};

use crate::{Usage, print};

/// What is made.
#[derive(clap::Args)]
pub struct Arguments {
    /// The project's name: lower-case letters, digits and hyphens, a letter first
    name: String,
    /// The folder to make; it must be empty or not be there [default: NAME]
    #[arg(long, value_name = "DIR")]
    into: Option<PathBuf>,
    /// Take Tidegate's crates from this checkout, instead of from its repository
    #[arg(long, value_name = "CHECKOUT")]
    path: Option<PathBuf>,
}

/// Where a file goes, and what is in it, with `{{words}}` to fill in.
const FILES: [(&str, &str); 9] = [
    ("Cargo.toml", include_str!("starter/manifest.toml")),
    ("README.md", include_str!("starter/readme.md")),
    (".gitignore", include_str!("starter/gitignore")),
    ("src/lib.rs", include_str!("starter/lib.rs")),
    ("src/main.rs", include_str!("starter/main.rs")),
    ("tests/batch.rs", include_str!("starter/batch.rs")),
    ("events/batch.json", include_str!("starter/batch.json")),
    ("template.yaml", include_str!("starter/template.yaml")),
    ("samconfig.toml", include_str!("starter/samconfig.toml")),
];

/// The longest name: that of a function, which a stack's name and a suffix are put around, has 64
/// characters ("Lambda quotas", Lambda Developer Guide, 2026-11).
const NAME_CHARS: usize = 40;

/// Crates that a project cannot be called, since it depends on them or Cargo refuses the name.
const TAKEN: [&str; 8] =
    ["core", "jiff", "pollster", "proc-macro", "serde", "serde-json", "std", "test"];

/// Writes the project.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let name = name(&arguments.name)?;
    let folder = arguments.into.clone().unwrap_or_else(|| PathBuf::from(name));
    let words = Words { name, source: arguments.path.as_deref() };
    let is_empty = fs::read_dir(&folder).map_or(true, |mut entries| entries.next().is_none());
    let shown = folder.display();
    ensure!(is_empty, "{shown} is not empty: name another folder with --into");
    for (path, text) in FILES {
        let place = folder.join(path);
        let above = place.parent().unwrap_or(&folder);
        fs::create_dir_all(above).with_context(|| format!("{} cannot be made", above.display()))?;
        fs::write(&place, words.fill(text)?)
            .with_context(|| format!("{} cannot be written", place.display()))?;
    }
    print(&format!(
        "made {shown}: change src/lib.rs, then\n\n  cd {shown}\n  cargo test\n  sam build\n  sam \
         deploy --guided"
    ))
}

/// A name that is a package, a binary and a stack.
fn name(text: &str) -> anyhow::Result<&str> {
    let known = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let fits = text.len() <= NAME_CHARS
        && text.bytes().all(known)
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && !text.ends_with('-')
        && !text.contains("--")
        && !TAKEN.contains(&text)
        && !text.starts_with("tidegate-");
    if fits {
        return Ok(text);
    }
    let expected = format!(
        "{text:?} cannot be the name of a project: take lower-case letters, digits and single \
         hyphens, a letter first, at most {NAME_CHARS}, and no name of a crate that it uses"
    );
    Err(Usage(expected).into())
}

/// What stands for the words in a file.
struct Words<'a> {
    name: &'a str,
    source: Option<&'a Path>,
}

impl Words<'_> {
    fn fill(&self, text: &str) -> anyhow::Result<String> {
        let mut filled = String::with_capacity(text.len());
        for line in text.split_inclusive('\n') {
            let line = line
                .replace("{{name}}", self.name)
                .replace("{{crate}}", &self.name.replace('-', "_"))
                .replace("{{rust}}", env!("CARGO_PKG_RUST_VERSION"));
            filled.push_str(&self.source(&line)?);
        }
        Ok(filled)
    }

    /// Where a crate of ours comes from, in the line that names it: the crates are not published, so
    /// it is their repository, or a checkout of it.
    fn source(&self, line: &str) -> anyhow::Result<String> {
        let crate_name = line.split(' ').next().unwrap_or_default();
        let Some(folder) = crate_name.strip_prefix("tidegate-") else {
            return Ok(line.to_owned());
        };
        let source = match self.source {
            None => format!("git = {:?}", env!("CARGO_PKG_REPOSITORY")),
            Some(checkout) => {
                let place = checkout.join("crates").join(folder);
                let place = fs::canonicalize(&place)
                    .with_context(|| format!("{} is not there", place.display()))?;
                format!("path = {:?}", place.display().to_string())
            }
        };
        Ok(line.replace("{{source}}", &source))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_everywhere() {
        for good in ["orders", "shop-orders-2"] {
            assert_eq!(name(good).unwrap(), good);
        }
        let long = "a".repeat(NAME_CHARS + 1);
        for bad in ["", "Orders", "2orders", "a_b", "a--b", "a-", "serde", "tidegate-aws", &long] {
            let error = name(bad).unwrap_err();
            assert!(
                error.is::<Usage>() && error.to_string().contains("cannot be the name"),
                "{bad}"
            );
        }
    }

    #[test]
    fn every_word_is_filled_in() {
        for (path, text) in FILES {
            let filled = Words { name: "shop-orders", source: None }.fill(text).unwrap();
            assert!(!filled.contains("{{"), "{path}: {filled}");
        }
        let manifest = Words { name: "shop-orders", source: None }.fill(FILES[0].1).unwrap();
        let line = r#"tidegate-consumer = { git = "https://github.com/tidegate/tidegate" }"#;
        assert!(manifest.contains(line), "{manifest}");
        let nowhere = Words { name: "a", source: Some(Path::new("/nowhere")) };
        let error = nowhere.fill(FILES[0].1).unwrap_err().to_string();
        assert_eq!(error, "/nowhere/crates/aws is not there");
    }
}
