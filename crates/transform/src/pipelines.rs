//! The pipelines that are built in: each is a file under `pipelines/`, and each can be copied from
//! there to begin one's own.

const BUILTIN: &[(&str, &str)] = &[
    ("access-log", include_str!("../../../pipelines/access-log.yaml")),
    ("access-log-errors", include_str!("../../../pipelines/access-log-errors.yaml")),
];

/// The YAML of a built-in pipeline.
pub fn builtin(name: &str) -> Option<&'static str> {
    BUILTIN.iter().find(|(known, _)| *known == name).map(|(_, yaml)| *yaml)
}

/// The names of the built-in pipelines.
pub fn names() -> impl Iterator<Item = &'static str> {
    BUILTIN.iter().map(|(name, _)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::{Pipeline, Tables};

    #[test]
    fn every_pipeline_in_the_folder_is_built_in_and_compiles_without_tables() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../pipelines");
        let mut files: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        files.sort();
        let expected: Vec<_> = names().map(|name| format!("{name}.yaml")).collect();
        let mut sorted = expected.clone();
        sorted.sort();
        assert_eq!(files, sorted);
        for name in names() {
            let compiled = Pipeline::compile(builtin(name).unwrap(), Tables::default());
            assert!(compiled.is_ok(), "{name}: {}", compiled.unwrap_err());
        }
        assert_eq!(builtin("access-logs"), None);
    }
}
