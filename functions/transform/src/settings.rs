//! The transform's settings, from the environment, and the files that they name.

use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;

use memmap2::Mmap;
use tidegate_runtime::chain::chain;
use tidegate_runtime::settings::{self, SettingsError, Vars};
use tidegate_transform::geoip::{Bytes, Database, DatabaseError};
use tidegate_transform::{Pipeline, Tables, pipelines};

const PIPELINE: &str = "TIDEGATE_PIPELINE";
const GEOIP_DB: &str = "TIDEGATE_GEOIP_DB";
const ASN_DB: &str = "TIDEGATE_ASN_DB";
const OVERFLOW: &str = "TIDEGATE_OVERFLOW";
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
    /// Reads the settings, and opens what they name.
    pub fn read(vars: &dyn Vars) -> Result<Self, SettingsError> {
        let mut settings = settings::Settings::new(vars);
        let source =
            settings.or(PIPELINE, builtin(DEFAULT_PIPELINE).ok(), |text| source(text).map(Some));
        let database =
            settings.optional(GEOIP_DB, |path| self::database(path, "places", Database::open));
        let asn = settings
            .optional(ASN_DB, |path| self::database(path, "networks", Database::open_networks));
        let on_overflow = settings.or(OVERFLOW, OnOverflow::Fail, on_overflow);
        let mut tables = Tables { geoip: database.clone(), asn: asn.clone(), ..Tables::default() };
        if let Some(source) = &source {
            for path in Pipeline::files(&source.yaml) {
                match table(&path) {
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
                Ok(pipeline) => Some(Self { name, pipeline, database, asn, on_overflow }),
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

fn source(text: &str) -> Result<Source, String> {
    if let Some(name) = text.strip_prefix("builtin:") {
        return builtin(name);
    }
    if text.starts_with("s3://") {
        return Err("builtin:NAME or the path of a file; pipelines in S3 cannot be read yet: put \
                    the file into a layer and name it /opt/FILE.yaml"
            .to_owned());
    }
    let yaml = read(text).map_err(|error| {
        format!("builtin:NAME or the path of a readable YAML file, but {error}")
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

fn read(path: &str) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(PIPELINE_READ_LIMIT_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

fn table(path: &str) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(TABLE_LIMIT_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > TABLE_LIMIT_BYTES {
        return Err(io::Error::other("it is larger than 64 MiB"));
    }
    Ok(bytes)
}

fn database(
    path: &str,
    of: &str,
    open: impl FnOnce(Bytes) -> Result<Database, DatabaseError>,
) -> Result<Database, String> {
    let expected = format!("the path of a MaxMind database (.mmdb) of {of}");
    let map = map(path).map_err(|error| format!("{expected}, but {error}"))?;
    open(Arc::new(map)).map_err(|error| format!("{expected}, but {}", chain(&error)))
}

/// Maps a file: pages are read when an address leads to them, so that a start takes the time of
/// none and warm environments share them.
#[expect(unsafe_code, reason = "a mapped file can change under the program")]
fn map(path: &str) -> io::Result<Mmap> {
    let file = File::open(path)?;
    // SAFETY: the bytes must not change while they are mapped. The path names a file of a layer
    // (/opt) or of the package (/var/task), which Lambda mounts read-only, or one in the function's
    // own /tmp, which nothing else writes.
    unsafe { Mmap::map(&file) }
}

#[cfg(test)]
mod tests;
