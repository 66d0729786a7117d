//! Where things are: the files of the repository, the tools, the bootstraps, the data.
//!
//! Under `cargo xtask test` the tools and the bootstraps are there, and one that is missing is a
//! failure. Under a bare `cargo test` they need not be: what wants them says that it was skipped.

use std::fs;
use std::path::{Path, PathBuf};

/// The root of the repository.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("the tests lie in the root of the repository").to_owned()
}

/// The text of a file of the repository.
pub fn text(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every file of the repository with one of the extensions, relative to the root, sorted. What is
/// generated (`target`, `.tools`, `.aws-sam`, the built book) does not belong to it.
pub fn files(extensions: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    walk(&root(), &mut |path| {
        let extension = path.extension().and_then(|extension| extension.to_str());
        if extension.is_some_and(|extension| extensions.contains(&extension)) {
            found.push(path.to_owned());
        }
    });
    found.sort();
    found
}

/// Every folder of the repository, relative to the root.
pub fn folders() -> Vec<PathBuf> {
    let mut found: Vec<_> = files(&["rs", "toml", "yaml", "md", "json", "py", "js", "txt"])
        .iter()
        .flat_map(|file| file.ancestors().skip(1).map(Path::to_owned).collect::<Vec<_>>())
        .collect();
    found.sort();
    found.dedup();
    found
}

fn walk(folder: &Path, visit: &mut impl FnMut(&Path)) {
    const SKIPPED: &[&str] =
        &[".git", ".tools", ".aws-sam", "target", "node_modules", "__pycache__", "book"];
    let root = root();
    for entry in fs::read_dir(folder).expect("a folder of the repository can be read") {
        let path = entry.expect("an entry of a folder can be read").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() {
            if !SKIPPED.contains(&&*name) {
                walk(&path, visit);
            }
        } else {
            visit(path.strip_prefix(&root).expect("a file of the repository is below its root"));
        }
    }
}

/// A tool of `.tools/`, such as `sam/bin/cfn-lint`; nothing, and a word about it, when the tests were
/// started without them.
///
/// # Panics
/// When the tools are there and this one is not.
pub fn tool(path: &str) -> Option<PathBuf> {
    existing("TIDEGATE_TOOLS", path, "run `cargo xtask test`")
}

/// The bootstrap of a function, `autoscaler`, `consumer` or `transform`, as `sam build` made it;
/// nothing, and a word about it, when the tests were started without them.
///
/// `TIDEGATE_BOOTSTRAPS` may also name a folder that holds them by their names, such as
/// `target/release`.
///
/// # Panics
/// When the bootstraps are there and this one is not.
pub fn bootstrap(function: &str) -> Option<PathBuf> {
    const FOLDER: &str = "TIDEGATE_BOOTSTRAPS";
    if let Some(plain) = std::env::var_os(FOLDER).map(|folder| PathBuf::from(folder).join(function))
        && plain.is_file()
    {
        return Some(plain);
    }
    // SAM names the folder after the resource of the root template, and that after the function.
    let part = function[..1].to_uppercase() + &function[1..];
    existing(FOLDER, &format!("{part}/Function/bootstrap"), "run `cargo xtask test`")
}

/// A fixture of `tests/events/`.
///
/// # Panics
/// When there is no such file, or it is not JSON.
pub fn fixture(name: &str) -> serde_json::Value {
    let text = text(Path::new("tests/events").join(format!("{name}.json")));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// A file of the folder of real logs; nothing, and a word about it, when there is none.
///
/// # Panics
/// When the folder is there and the file is not.
pub fn data(file: &str) -> Option<PathBuf> {
    existing("TIDEGATE_DATA", file, "it names a folder of real logs")
}

fn existing(variable: &str, path: &str, how: &str) -> Option<PathBuf> {
    let Some(folder) = std::env::var_os(variable) else {
        eprintln!("skipped: {variable} is not set ({how})");
        return None;
    };
    let path = PathBuf::from(folder).join(path);
    assert!(path.exists(), "{variable} is set, but {} is not there", path.display());
    Some(path)
}
