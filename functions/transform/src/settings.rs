//! The transform's settings, from the environment, and the files that they name.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use memmap2::Mmap;
use tidegate_runtime::chain::chain;
use tidegate_runtime::settings::{self, SettingsError, Vars};
use tidegate_transform::geoip::{Bytes, Database, DatabaseError};
use tidegate_transform::{Pipeline, Tables, pipelines};

use crate::files::Files;

const PIPELINE: &str = "TIDEGATE_PIPELINE";
const GEOIP_DB: &str = "TIDEGATE_GEOIP_DB";
const ASN_DB: &str = "TIDEGATE_ASN_DB";
const OVERFLOW: &str = "TIDEGATE_OVERFLOW";
const ON_BAD_DB: &str = "TIDEGATE_ON_BAD_DB";
const REFRESH: &str = "TIDEGATE_REFRESH";
const DEFAULT_PIPELINE: &str = "access-log";

/// A pipeline is read whole; the engine refuses smaller files than this.
const PIPELINE_READ_LIMIT_BYTES: u64 = 1 << 20;

/// What a table of a lookup may have: it is kept in memory, several times its size.
const TABLE_LIMIT_BYTES: u64 = 64 << 20;

/// What the function is configured to do.
#[derive(Debug)]
pub struct Settings {
    /// The pipeline as the setting names it.
    pub name: String,
    /// The pipeline, compiled.
    pub pipeline: Pipeline,
    /// The database of places, when there is one.
    pub database: Option<Database>,
    /// The database of networks, when there is one.
    pub asn: Option<Database>,
    /// What becomes of records that do not fit a response.
    pub on_overflow: OnOverflow,
    /// After how long objects of S3 are looked at again.
    pub refresh: Option<Duration>,
    /// What is wrong with databases that the function starts without.
    pub gaps: Vec<String>,
}

/// What becomes of the start when a database cannot be used.
#[derive(Clone, Copy, PartialEq, Eq)]
enum OnBadDb {
    /// The function does not start.
    Fail,
    /// It starts, and counts the records that lack what the database would have said.
    Gap,
}

/// What becomes of records that do not fit a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnOverflow {
    /// They are failed: Firehose keeps them under its error prefix.
    Fail,
    /// They are put back, and come again.
    Reingest,
}

/// A pipeline that was found.
struct Source {
    name: String,
    yaml: String,
}

impl Settings {
    /// Reads the settings, and opens what they name; what of it comes from S3 lies in `files`.
    pub fn read(vars: &dyn Vars, files: &Files) -> Result<Self, SettingsError> {
        let mut settings = settings::Settings::new(vars);
        let source = settings
            .or(PIPELINE, builtin(DEFAULT_PIPELINE).ok(), |text| source(text, files).map(Some));
        let on_bad_db = settings.or(ON_BAD_DB, OnBadDb::Fail, on_bad_db);
        let refresh = settings.optional(REFRESH, refresh);
        let mut gaps = Vec::new();
        let mut opened = |key: &str, opened: Result<Database, String>| match opened {
            Err(error) if on_bad_db == OnBadDb::Gap => {
                gaps.push(format!("{key}: expected {error}"));
                Ok(Database::unusable())
            }
            other => other,
        };
        let database = settings.optional(GEOIP_DB, |name| {
            opened(GEOIP_DB, self::database(name, files, "places", Database::open))
        });
        let asn = settings.optional(ASN_DB, |name| {
            opened(ASN_DB, self::database(name, files, "networks", Database::open_networks))
        });
        let on_overflow = settings.or(OVERFLOW, OnOverflow::Fail, on_overflow);
        let mut tables = Tables { geoip: database.clone(), asn: asn.clone(), ..Tables::default() };
        if let Some(source) = &source {
            for path in Pipeline::files(&source.yaml) {
                match files.path(&path).and_then(|file| table(&file)) {
                    Ok(bytes) => drop(tables.files.insert(path, Arc::new(bytes))),
                    Err(error) => {
                        settings
                            .reject(PIPELINE, format!("tables to look up, but {path}: {error}"));
                    }
                }
            }
        }
        let compiled =
            source.and_then(|Source { name, yaml }| match Pipeline::compile(&yaml, tables) {
                Ok(pipeline) => {
                    Some(Self { name, pipeline, database, asn, on_overflow, refresh, gaps })
                }
                Err(error) => {
                    settings.reject(PIPELINE, format!("a pipeline without mistakes, but {error}"));
                    None
                }
            });
        // Without a pipeline at least one mistake was reported, so that the last error never shows.
        settings.finish(compiled)?.ok_or(SettingsError(Vec::new()))
    }
}

fn on_overflow(text: &str) -> Result<OnOverflow, String> {
    match text {
        "fail" => Ok(OnOverflow::Fail),
        "reingest" => Ok(OnOverflow::Reingest),
        _ => Err("fail or reingest".to_owned()),
    }
}

fn on_bad_db(text: &str) -> Result<OnBadDb, String> {
    match text {
        "fail" => Ok(OnBadDb::Fail),
        "gap" => Ok(OnBadDb::Gap),
        _ => Err("fail or gap".to_owned()),
    }
}

/// S3 is asked at each refresh, and each asking costs: every 10 seconds $0.10 a month for each
/// environment that is kept warm (Amazon S3 pricing, $0.0004 for 1,000 GET requests, 2026-11).
fn refresh(text: &str) -> Result<Duration, String> {
    const LEAST: Duration = Duration::from_secs(10);
    let expected = "a duration of at least 10s, such as 1h or 1d".to_owned();
    settings::duration(text).ok().filter(|time| *time >= LEAST).ok_or(expected)
}

fn source(text: &str, files: &Files) -> Result<Source, String> {
    if let Some(name) = text.strip_prefix("builtin:") {
        return builtin(name);
    }
    let found = files.path(text).and_then(|path| read(&path).map_err(|error| error.to_string()));
    let yaml = found.map_err(|error| {
        format!("builtin:NAME, or the path or s3:// URI of a readable YAML file, but {error}")
    })?;
    Ok(Source { name: text.to_owned(), yaml })
}

fn builtin(name: &str) -> Result<Source, String> {
    match pipelines::builtin(name) {
        Some(yaml) => Ok(Source { name: format!("builtin:{name}"), yaml: yaml.to_owned() }),
        None => {
            let names: Vec<_> = pipelines::names().map(|name| format!("builtin:{name}")).collect();
            Err(format!("one of {}, or the path of a YAML file", names.join(", ")))
        }
    }
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(PIPELINE_READ_LIMIT_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

fn table(path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let read =
        File::open(path).and_then(|file| file.take(TABLE_LIMIT_BYTES + 1).read_to_end(&mut bytes));
    read.map_err(|error| error.to_string())?;
    if bytes.len() as u64 > TABLE_LIMIT_BYTES {
        return Err("it is larger than 64 MiB".to_owned());
    }
    Ok(bytes)
}

fn database(
    name: &str,
    files: &Files,
    of: &str,
    open: impl FnOnce(Bytes) -> Result<Database, DatabaseError>,
) -> Result<Database, String> {
    let expected = format!("the path or s3:// URI of a MaxMind database (.mmdb) of {of}");
    let mapped =
        files.path(name).and_then(|path| self::map(&path).map_err(|error| error.to_string()));
    let map = mapped.map_err(|error| format!("{expected}, but {error}"))?;
    open(Arc::new(map)).map_err(|error| format!("{expected}, but {}", chain(&error)))
}

/// Maps a file: pages are read when an address leads to them, so that a start takes the time of
/// none and warm environments share them.
#[expect(unsafe_code, reason = "a mapped file can change under the program")]
fn map(path: &Path) -> io::Result<Mmap> {
    let file = File::open(path)?;
    // SAFETY: the bytes must not change while they are mapped. The path names a file of a layer
    // (/opt) or of the package (/var/task), which Lambda mounts read-only, or one in the function's
    // own /tmp, which nothing else writes: what is fetched anew is a file of its own.
    unsafe { Mmap::map(&file) }
}

#[cfg(test)]
mod tests;
