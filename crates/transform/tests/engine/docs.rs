//! What `docs/src/transform.md` says, held against the engine.

use std::collections::BTreeSet;
use std::sync::Arc;

use tidegate_transform::formats::Format;
use tidegate_transform::{Engine, Outcome, Pipeline, Reason, Tables, pipelines};

use crate::support;

fn page() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/src/transform.md");
    std::fs::read_to_string(path).unwrap()
}

/// The fenced blocks of a language.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    let blocks = page.split(fence.as_str()).skip(1);
    blocks.map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

/// The names in the first column of the tables under a heading.
fn names(page: &str, heading: &str) -> BTreeSet<String> {
    let section = page.split(&format!("\n## {heading}\n")).nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let first_cells =
        section.lines().filter_map(|line| line.strip_prefix("| `")?.split(" |").next());
    first_cells
        .flat_map(|cell| cell.split(", "))
        .map(|name| name.trim_matches('`').to_owned())
        .collect()
}

#[test]
fn the_example_line_becomes_the_example_object() {
    let page = page();
    let (line, expected) = (&blocks(&page, "text")[0], &blocks(&page, "json")[0]);
    let mut out = Vec::new();
    let mut engine = support::builtin("access-log", Tables::default());
    assert_eq!(engine.convert(line.as_bytes(), &mut out), Outcome::Ok);
    assert_eq!(String::from_utf8(out).unwrap().trim_end(), expected.trim_end().replace("\n ", ""));
}

#[test]
fn the_example_pipelines_compile() {
    let mut tables = support::made_database();
    let table = Arc::new(b"address,name\n192.0.2.7,Example\n".to_vec());
    tables.files.insert("/opt/customers.csv".to_owned(), table);
    for yaml in blocks(&page(), "yaml") {
        let yaml = match yaml.starts_with("steps:") {
            true => format!("input: {{format: apache_combined}}\n{yaml}"),
            false => yaml,
        };
        let compiled = Pipeline::compile(&yaml, tables.clone());
        let mut engine = Engine::new(compiled.unwrap_or_else(|error| panic!("{error}\n{yaml}")));
        for case in Pipeline::cases(&yaml).unwrap() {
            assert_eq!(case.run(&mut engine), Ok(()), "{}", case.name);
        }
    }
}

#[test]
fn every_name_is_described_and_no_other() {
    let page = page();
    let set = |names: &mut dyn Iterator<Item = &str>| names.map(str::to_owned).collect();
    let reasons: BTreeSet<String> = set(&mut Reason::ALL.iter().map(|reason| reason.name()));
    assert_eq!(names(&page, "Reasons"), reasons);
    let mut fields: BTreeSet<String> = BTreeSet::new();
    for (_, format) in Format::NAMED {
        fields.extend(format.fields().into_iter().map(|field| field.name));
    }
    // Those that steps and envelopes add.
    let yaml = "input: {format: text, unwrap: cloudwatch_logs}\nsteps:\n\
                - geoip: {address: message, when_missing: skip}\n\
                - asn: {address: message, when_missing: skip}\n\
                - user_agent: {field: message}\n";
    let pipeline = Pipeline::compile(yaml, Tables::default()).unwrap();
    fields.extend(pipeline.fields().iter().map(|field| field.name.clone()));
    assert_eq!(names(&page, "Fields"), fields);
    let builtin: BTreeSet<String> = set(&mut pipelines::names());
    assert_eq!(names(&page, "The pipelines that are built in"), builtin);
}
