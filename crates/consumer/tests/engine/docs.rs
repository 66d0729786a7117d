//! The documentation names what there is.

use std::collections::BTreeSet;

use serde_json::{Map, Value};
use tidegate_consumer::PoisonReason;

use crate::batch::{Bench, event, told};

/// The names in the first column of the table under a heading.
fn first_column(heading: &str) -> Vec<String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/src/consumer.md");
    let page = std::fs::read_to_string(path).unwrap();
    let (_, section) = page.split_once(&format!("\n## {heading}\n")).expect(heading);
    let section = section.split("\n## ").next().unwrap();
    section
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` |"))
        .map(|(name, _)| name.to_owned())
        .collect()
}

#[test]
fn every_reason_is_documented_and_no_other() {
    assert_eq!(first_column("Reasons"), PoisonReason::ALL.map(PoisonReason::code));
}

#[test]
fn every_field_of_the_envelope_is_documented_and_no_other() {
    let bench = Bench::default();
    let _ = bench.process(&event(&[told(0, "poison")])).unwrap();
    let envelope: Map<String, Value> =
        serde_json::from_value(serde_json::to_value(&bench.kept()[0]).unwrap()).unwrap();
    let documented = first_column("The envelope");
    let fields: BTreeSet<_> = documented.iter().collect();
    assert_eq!(fields.len(), documented.len());
    assert_eq!(fields, envelope.keys().collect());
}
