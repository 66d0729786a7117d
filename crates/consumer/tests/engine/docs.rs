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

/// Each trap of a Kinesis consumer on Lambda is in the table, with the tests that hold it, or with
/// why there is none.
#[test]
fn every_trap_has_its_test_or_a_reason() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let page = std::fs::read_to_string(format!("{root}/docs/src/consumer.md")).unwrap();
    let (_, section) = page.split_once("\n## Traps\n").unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows: Vec<Vec<&str>> = section
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| #"))
        .map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect())
        .collect();
    let numbers: Vec<_> = rows.iter().map(|row| row[0].parse::<usize>().unwrap()).collect();
    assert_eq!(numbers, (1..=32).collect::<Vec<_>>());

    for row in rows {
        assert_eq!(row.len(), 3, "{row:?}");
        let named: Vec<_> =
            row[2].split('`').skip(1).step_by(2).filter(|name| name.contains("::")).collect();
        for name in &named {
            let (file, test) = name.rsplit_once("::").unwrap();
            let text = std::fs::read_to_string(format!("{root}/{file}"));
            let text = text.unwrap_or_else(|error| panic!("{file}: {error}"));
            assert!(text.contains(&format!("fn {test}(")), "{name}");
        }
        assert!(!named.is_empty() || row[2].len() > 40, "trap {}: no test, and no reason", row[0]);
    }
}
