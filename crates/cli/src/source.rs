//! Where a traffic history comes from: CSV files, or what CloudWatch recorded of a stream.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use tidegate_local::trace::Trace;

/// The traffic to work on.
#[derive(clap::Args)]
#[command(group(clap::ArgGroup::new("traffic").required(true)))]
pub struct Source {
    /// A traffic history: CSV with timestamp,bytes_per_s,records_per_s, a row a minute; or a folder
    /// of them [repeatable]
    #[arg(long, value_name = "FILE.csv", group = "traffic")]
    trace: Vec<PathBuf>,
    /// A stream whose history is read from CloudWatch, with the usual AWS credentials and Region
    #[arg(long, value_name = "NAME", group = "traffic")]
    stream: Option<String>,
    /// How far back CloudWatch is read; it keeps minutes for 15 days
    #[arg(long, value_name = "DURATION", default_value = "14d", value_parser = since, conflicts_with = "trace")]
    since: Duration,
    /// Keep the history that was read from CloudWatch as a file for --trace
    #[arg(long, value_name = "FILE.csv", conflicts_with = "trace")]
    save: Option<PathBuf>,
}

/// A history by its name, and what must be said of it.
pub struct Named {
    /// The stem of its file, or the stream.
    pub name: String,
    /// The traffic.
    pub trace: Trace,
    /// What was made up for.
    pub notes: Vec<String>,
}

fn since(text: &str) -> Result<Duration, String> {
    const LEAST: Duration = Duration::from_secs(3_600);
    const MOST: Duration = Duration::from_secs(15 * 86_400);
    let since = tidegate_runtime::settings::duration(text)?;
    if (LEAST..=MOST).contains(&since) {
        return Ok(since);
    }
    Err("from 1h to 15d: CloudWatch keeps minutes no longer".to_owned())
}

impl Source {
    /// Reads everything, so that a mistake in the last file is told before anything is run.
    pub fn read(&self) -> anyhow::Result<Vec<Named>> {
        let Some(stream) = &self.stream else {
            return files(&self.trace)?
                .into_iter()
                .map(|(name, path)| {
                    Ok(Named { name, trace: Trace::read(&path)?, notes: Vec::new() })
                })
                .collect();
        };
        let named = recorded(stream, self.since)?;
        if let Some(path) = &self.save {
            fs::write(path, named.trace.to_csv())
                .with_context(|| format!("{} cannot be written", path.display()))?;
        }
        Ok(vec![named])
    }
}

#[cfg(feature = "aws")]
fn recorded(stream: &str, since: Duration) -> anyhow::Result<Named> {
    crate::aws::history(stream, since)
}

/// Without the AWS SDK there is nothing to read.
#[cfg(not(feature = "aws"))]
fn recorded(_stream: &str, _since: Duration) -> anyhow::Result<Named> {
    Err(crate::needs_aws("--stream"))
}

/// The histories that were named: each file, and each `.csv` of a folder in the order of names; by
/// the stem of the file.
fn files(named: &[PathBuf]) -> anyhow::Result<Vec<(String, PathBuf)>> {
    let mut found: Vec<(String, PathBuf)> = Vec::new();
    for path in named {
        let files = if path.is_dir() { csv_files(path)? } else { vec![path.clone()] };
        for file in files {
            let stem = file.file_stem().unwrap_or(file.as_os_str());
            let stem = stem.to_string_lossy().into_owned();
            if let Some((_, other)) = found.iter().find(|(name, _)| *name == stem) {
                bail!(
                    "{} and {} are both called {stem}: name each history once",
                    other.display(),
                    file.display()
                );
            }
            found.push((stem, file));
        }
    }
    Ok(found)
}

fn csv_files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let shown = folder.display();
    let entries = fs::read_dir(folder).with_context(|| format!("{shown} cannot be read"))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.with_context(|| format!("{shown} cannot be read"))?.path();
        if path.extension().is_some_and(|extension| extension == "csv") {
            files.push(path);
        }
    }
    files.sort();
    if files.is_empty() {
        bail!("{shown} holds no .csv file");
    }
    Ok(files)
}
