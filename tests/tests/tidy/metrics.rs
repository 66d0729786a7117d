//! The metrics: the code and the table say the same.

use std::collections::BTreeSet;

use tidegate_tests::place::text;

/// Where the metrics are described.
const METRICS: &str = "docs/src/reference/metrics.md";

#[test]
fn every_metric_is_written_and_described() {
    let mut written = BTreeSet::new();
    for path in super::code("functions") {
        let function = path.iter().nth(1).unwrap_or_default().to_string_lossy().into_owned();
        // `("Received", Unit::Count, …)`; what tests hand over stands below the tests' line.
        let source = text(&path);
        let source = source.split("#[cfg(test)]").next().unwrap_or_default();
        for (before, after) in source.match_indices(", Unit::").map(|(at, _)| source.split_at(at)) {
            let name = before.strip_suffix('"').and_then(|before| before.rsplit('"').next());
            let unit =
                after.trim_start_matches(", Unit::").split(|c: char| !c.is_alphabetic()).next();
            if let (Some(name), Some(unit)) = (name, unit) {
                written.insert((name.to_owned(), function.clone(), unit.to_owned()));
            }
        }
    }
    assert!(written.len() > 20, "{written:?}");
    let rows: BTreeSet<_> = text(METRICS)
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .map(|row| {
            let mut cells = row.split('|').map(|cell| cell.trim().trim_matches('`').to_owned());
            let mut next = || cells.next().unwrap_or_default();
            (next(), next(), next())
        })
        .collect();
    assert_eq!(rows, written, "{METRICS} (left) and functions/ (right)");
}
