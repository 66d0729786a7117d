//! The files that the settings name: of the package, of a layer, or objects of S3, which are
//! fetched into the function's own scratch space.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tidegate_aws::objects::Objects;
use tidegate_runtime::chain::chain;
use tidegate_runtime::settings::Vars;
use tidegate_transform::Pipeline;

/// The settings that name a file.
const NAMING: [&str; 3] = ["TIDEGATE_PIPELINE", "TIDEGATE_GEOIP_DB", "TIDEGATE_ASN_DB"];

/// Objects by their URI, as they were found last.
#[derive(Debug, Default, Clone)]
pub struct Files {
    found: BTreeMap<String, Result<Arc<Fetched>, String>>,
    /// Why objects could not be looked at again: what they were before stays.
    pub stale: Vec<String>,
}

/// An object as a file, which goes when nobody names it any more. What is mapped stays mapped.
#[derive(Debug)]
struct Fetched {
    path: PathBuf,
    etag: String,
}

impl Drop for Fetched {
    fn drop(&mut self) {
        // What stays behind takes room in the scratch space, and no more.
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Files {
    /// Fetches what the settings, and the pipeline among them, name in S3, unless it is still as
    /// it was `before`.
    pub async fn fetch(vars: &dyn Vars, objects: &Objects, before: &Self) -> Self {
        let mut files = Self::default();
        for key in NAMING {
            if let Some(name) = vars.get(key) {
                files.add(name.trim(), objects, before).await;
            }
        }
        let pipeline = vars.get(NAMING[0]).unwrap_or_default();
        let yaml = files.path(pipeline.trim()).ok().and_then(|p| std::fs::read_to_string(p).ok());
        for table in yaml.iter().flat_map(|yaml| Pipeline::files(yaml)) {
            files.add(&table, objects, before).await;
        }
        files
    }

    async fn add(&mut self, name: &str, objects: &Objects, before: &Self) {
        let Some(place) = name.strip_prefix("s3://") else { return };
        let Some((bucket, key)) = place.split_once('/').filter(|(_, key)| !key.is_empty()) else {
            self.found.insert(name.to_owned(), Err("it is not s3://BUCKET/KEY".to_owned()));
            return;
        };
        let known = before.found.get(name).and_then(|found| found.as_ref().ok());
        let path = scratch();
        let etag = known.map(|known| known.etag.as_str());
        let found = match objects.fetch(bucket, key, etag, &path).await {
            Ok(Some(etag)) => Ok(Arc::new(Fetched { path, etag })),
            Ok(None) => known.cloned().ok_or_else(|| "S3 says that it is unchanged".to_owned()),
            Err(error) => {
                drop(Fetched { path, etag: String::new() });
                let error = chain(&error);
                match known {
                    Some(known) => {
                        self.stale.push(format!("{name}: {error}"));
                        Ok(known.clone())
                    }
                    None => Err(error),
                }
            }
        };
        self.found.insert(name.to_owned(), found);
    }

    /// Where a file is that a setting names.
    ///
    /// # Errors
    /// Why an object could not be fetched.
    pub fn path(&self, name: &str) -> Result<PathBuf, String> {
        match self.found.get(name) {
            Some(Ok(fetched)) => Ok(fetched.path.clone()),
            Some(Err(error)) => Err(error.clone()),
            None => Ok(Path::new(name).to_owned()),
        }
    }

    /// Whether any came from S3.
    pub fn any_fetched(&self) -> bool {
        !self.found.is_empty()
    }

    /// Whether every object is the one that it was before.
    pub fn same(&self, before: &Self) -> bool {
        let etag = |files: &Self, name: &str| match files.found.get(name) {
            Some(Ok(fetched)) => Some(fetched.etag.clone()),
            _ => None,
        };
        self.found.keys().all(|name| {
            let now = etag(self, name);
            now.is_some() && now == etag(before, name)
        })
    }
}

/// A name of its own in the function's scratch space.
fn scratch() -> PathBuf {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("tidegate-{}-{number}", std::process::id()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_where_it_is_named_and_an_object_where_it_was_fetched_to() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("object");
        std::fs::write(&path, "x").unwrap();
        let fetched = |etag: &str| Arc::new(Fetched { path: path.clone(), etag: etag.to_owned() });
        let files = |found| {
            let found = BTreeMap::from([("s3://b/k".to_owned(), found)]);
            Files { found, stale: Vec::new() }
        };
        let first = files(Ok(fetched("1")));
        assert_eq!(first.path("/opt/a").unwrap(), Path::new("/opt/a"));
        assert_eq!(first.path("s3://b/k").unwrap(), path);
        let failed = files(Err("gone".to_owned()));
        assert_eq!(failed.path("s3://b/k").unwrap_err(), "gone");
        assert!(first.same(&first.clone()) && !failed.same(&first) && !first.same(&failed));
        std::fs::write(&path, "x").unwrap();
        assert!(!files(Ok(fetched("2"))).same(&first));
        drop(first);
        assert!(!path.exists());
    }

    #[test]
    fn a_uri_without_a_key_is_refused_without_a_call() {
        let vars = BTreeMap::from([("TIDEGATE_GEOIP_DB".to_owned(), "s3://bucket".to_owned())]);
        let (objects, before) = (Objects::default(), Files::default());
        let files = pollster::block_on(Files::fetch(&vars, &objects, &before));
        assert_eq!(files.path("s3://bucket").unwrap_err(), "it is not s3://BUCKET/KEY");
    }
}
