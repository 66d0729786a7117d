//! The folder that the demo writes: replaced only if a demo made it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

/// The file that says who made the folder.
const MARKER: &str = ".tidegate-demo";

/// Makes the folder, empty.
///
/// # Errors
/// When something is in the way that no demo made, or the folder cannot be written.
pub fn prepare(path: &Path) -> anyhow::Result<PathBuf> {
    let shown = path.display();
    if path.exists() {
        if !path.is_dir() {
            bail!("{shown} is not a folder; name another with --out");
        }
        let entries = fs::read_dir(path).with_context(|| format!("{shown} cannot be read"))?;
        let empty = entries.take(1).count() == 0;
        if !empty && !path.join(MARKER).is_file() {
            bail!(
                "{shown} is not empty and was not made by the demo, so it is left alone; name \
                 another folder with --out"
            );
        }
        fs::remove_dir_all(path).with_context(|| format!("{shown} cannot be replaced"))?;
    }
    fs::create_dir_all(path).with_context(|| format!("{shown} cannot be made"))?;
    fs::write(path.join(MARKER), "Made by `tidegate demo`, which may replace this folder.\n")
        .with_context(|| format!("{shown} cannot be written"))?;
    Ok(path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_demo_made_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("a/demo");
        prepare(&out).unwrap();
        fs::write(out.join("report.html"), "old").unwrap();
        prepare(&out).unwrap();
        assert!(!out.join("report.html").exists());

        let mine = folder.path().join("mine");
        fs::create_dir(&mine).unwrap();
        prepare(&mine).unwrap();
        fs::remove_file(mine.join(MARKER)).unwrap();
        fs::write(mine.join("thesis.txt"), "mine").unwrap();
        let refused = prepare(&mine).unwrap_err().to_string();
        assert!(refused.contains("was not made by the demo"), "{refused}");
        assert_eq!(fs::read_to_string(mine.join("thesis.txt")).unwrap(), "mine");
        let file = prepare(&mine.join("thesis.txt")).unwrap_err().to_string();
        assert!(file.contains("is not a folder"), "{file}");
    }
}
