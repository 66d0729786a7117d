//! Templates in files: one, and those of its nested stacks, beside it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use anyhow::Context;
use tidegate_doctor::{Deployment, template};

/// Reads a deployment.
pub fn deployment(
    path: &Path,
    parameters: &BTreeMap<String, String>,
) -> anyhow::Result<Deployment> {
    let shown = path.display().to_string();
    let text = fs::read_to_string(path).with_context(|| {
        format!("{shown} cannot be read; name a SAM or CloudFormation template")
    })?;
    let mut folders = Folders::beside(path);
    Ok(template::read(&shown, &text, parameters, &mut |place, location| {
        folders.open(place, location)
    })?)
}

/// The folder of each stack's template, by the stack's place. Locations are relative to it.
struct Folders(BTreeMap<String, PathBuf>);

impl Folders {
    fn beside(path: &Path) -> Self {
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        Self(BTreeMap::from([(String::new(), folder)]))
    }

    fn open(&mut self, place: &str, location: &str) -> io::Result<Option<String>> {
        // What is in a bucket, or is an application of the repository, is not here.
        if location.is_empty() || location.contains("://") || location.contains("${") {
            return Ok(None);
        }
        let outer = place.rsplit_once('/').map_or("", |(outer, _)| outer);
        let folder = self.0.get(outer).cloned().unwrap_or_default();
        let path = folder.join(location);
        let text = fs::read_to_string(&path)?;
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        self.0.insert(place.to_owned(), folder);
        Ok(Some(text))
    }
}
