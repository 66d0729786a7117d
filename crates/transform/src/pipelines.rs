//! The pipelines that are built in: each is a file under `pipelines/`, and each can be copied from
//! there to begin one's own.

const BUILTIN: &[(&str, &str)] = &[
    ("access-log", include_str!("../pipelines/access-log.yaml")),
    ("access-log-errors", include_str!("../pipelines/access-log-errors.yaml")),
    ("access-log-private", include_str!("../pipelines/access-log-private.yaml")),
    ("alb", include_str!("../pipelines/alb.yaml")),
    ("cloudwatch-logs", include_str!("../pipelines/cloudwatch-logs.yaml")),
    ("csv-to-json", include_str!("../pipelines/csv-to-json.yaml")),
    ("syslog", include_str!("../pipelines/syslog.yaml")),
    ("vpc-flow", include_str!("../pipelines/vpc-flow.yaml")),
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
    fn every_pipeline_in_the_folder_is_built_in_and_does_what_its_cases_say() {
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
            let compiled = compiled.unwrap_or_else(|error| panic!("{name}: {error}"));
            let mut engine = crate::Engine::new(compiled);
            let cases = Pipeline::cases(builtin(name).unwrap()).unwrap();
            assert!(cases.len() > 1, "{name} has {} cases", cases.len());
            for case in cases {
                let ran = case.run(&mut engine);
                assert!(ran.is_ok(), "{name}, {}: {}", case.name, ran.unwrap_err());
            }
        }
        assert_eq!(builtin("access-logs"), None);
    }
}
