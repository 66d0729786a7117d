//! A pipeline by its name, with the tables and databases that it looks things up in.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use tidegate_transform::geoip::Database;
use tidegate_transform::{Pipeline, Tables, pipelines};

/// Which pipeline, and its databases.
#[derive(clap::Args)]
pub struct Source {
    /// A pipeline file, or builtin:NAME
    #[arg(long, value_name = "FILE", default_value = "builtin:access-log")]
    pub config: String,
    #[command(flatten)]
    databases: Databases,
}

#[derive(clap::Args, Default)]
pub struct Databases {
    /// A MaxMind database of places, for geoip steps
    #[arg(long, value_name = "FILE.mmdb")]
    geoip_db: Option<PathBuf>,
    /// A MaxMind database of networks, for asn steps
    #[arg(long, value_name = "FILE.mmdb")]
    asn_db: Option<PathBuf>,
}

impl Source {
    /// The pipeline's text and the pipeline.
    pub fn compile(&self) -> anyhow::Result<Pipeline> {
        compile(&self.config, &text(&self.config)?, &self.databases)
    }
}

/// The YAML of a pipeline.
pub fn text(name: &str) -> anyhow::Result<String> {
    if let Some(builtin) = name.strip_prefix("builtin:") {
        let Some(yaml) = pipelines::builtin(builtin) else {
            let names: Vec<_> = pipelines::names().collect();
            bail!("there is no built-in pipeline {builtin:?}: known are {}", names.join(", "));
        };
        return Ok(yaml.to_owned());
    }
    fs::read_to_string(name).with_context(|| format!("{name} cannot be read"))
}

/// Compiles a pipeline. The tables that it names are sought beside its file.
pub fn compile(name: &str, yaml: &str, databases: &Databases) -> anyhow::Result<Pipeline> {
    let mut tables = Tables {
        geoip: open(databases.geoip_db.as_deref(), Database::open)?,
        asn: open(databases.asn_db.as_deref(), Database::open_networks)?,
        ..Tables::default()
    };
    let mut unread = Vec::new();
    let folder = Path::new(name).parent().unwrap_or(Path::new(""));
    for file in Pipeline::files(yaml) {
        let path = folder.join(&file);
        match fs::read(&path) {
            Ok(bytes) => drop(tables.files.insert(file, Arc::new(bytes))),
            Err(error) => unread.push(format!("{} cannot be read: {error}", path.display())),
        }
    }
    // A table that is missing is among the mistakes, with its line; why it is, only we know.
    Pipeline::compile(yaml, tables).map_err(|error| {
        let mistakes = error.0.iter().map(ToString::to_string).chain(unread);
        let mistakes: Vec<_> = mistakes.map(|mistake| format!("\n  {mistake}")).collect();
        anyhow::anyhow!("{name} cannot be used:{}", mistakes.concat())
    })
}

fn open<E: std::error::Error + Send + Sync + 'static>(
    path: Option<&Path>,
    open: impl FnOnce(Arc<dyn AsRef<[u8]> + Send + Sync>) -> Result<Database, E>,
) -> anyhow::Result<Option<Database>> {
    let Some(path) = path else { return Ok(None) };
    let shown = path.display();
    let bytes = fs::read(path).with_context(|| format!("{shown} cannot be read"))?;
    open(Arc::new(bytes)).map(Some).with_context(|| format!("{shown} cannot be used"))
}
