//! The consumer beside what one writes with other libraries: `cargo xtask bench consumer`.

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::batches;
use crate::functions::{Bound, Places, hold, table};
use crate::meter::Function;

/// Million instructions of a batch of JSON records and of one of aggregates, about a tenth above
/// what they were when they were last written down.
const CEILINGS: [f64; 2] = [70.0, 109.0];

/// Ours against plain Rust, as it is promised.
const RATIO_MOST: f64 = 0.30;
const RATIO_AGGREGATES_MOST: f64 = 0.40;

/// Measures and prints everything.
///
/// # Errors
/// When something cannot be measured, or a bound does not hold.
pub fn measure(places: &Places) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let ours = |name, owned: bool| {
        let mut variables = vec![("QUARANTINE", folder.path())];
        if owned {
            variables.push(("OWNED", "1".as_ref()));
        }
        places.our(name, "typed-consumer", &variables)
    };
    let (json, aggregates) =
        (batches::json(batches::RECORDS), batches::aggregates(batches::USER_RECORDS)?);
    if places.only_ceilings() {
        return ceilings(&ours("Tidegate", false), [&json, &aggregates]);
    }
    let own = [ours("Tidegate", false), ours("Tidegate, an item that owns all its fields", true)];
    let run = |title, python, node, small: &[u8], event: &[u8]| {
        let peers = places.peers("plain-consumer", python, node, &[]);
        let functions: Vec<_> = own.iter().cloned().chain(peers).collect();
        let costs = places.measure(&functions, small, event, check)?;
        table(title, event, &costs);
        anyhow::Ok(costs)
    };
    let one = run(
        "JSON records of 500 bytes",
        ("Powertools for Python", "consumer"),
        ("Powertools for TypeScript", "consumer"),
        &batches::json(1),
        &json,
    )?;
    let several = run(
        "KPL aggregates of such records",
        ("Python, aws_kinesis_agg", "aggregates"),
        ("Node, aws-kinesis-agg", "aggregates"),
        &batches::aggregates(1)?,
        &aggregates,
    )?;
    let mut bounds = Vec::new();
    for (what, costs, most) in [
        ("JSON records: CPU time, against plain Rust", one, RATIO_MOST),
        ("aggregates: CPU time, against plain Rust", several, RATIO_AGGREGATES_MOST),
    ] {
        if let Some(plain) = costs.iter().find(|cost| cost.name == "plain Rust") {
            bounds.push(Bound { what, value: costs[0].millis / plain.millis, most });
        }
    }
    hold(&bounds)
}

fn ceilings(ours: &Function, events: [&[u8]; 2]) -> anyhow::Result<()> {
    let what = [
        "consumer, million instructions of 4,923 JSON records",
        "consumer, million instructions of 8,500 records in aggregates",
    ];
    let mut bounds = Vec::new();
    for ((what, event), most) in what.into_iter().zip(events).zip(CEILINGS) {
        let counted = ours.instructions(event, 2)?.context("valgrind is not installed")?;
        bounds.push(Bound { what, value: counted / 1e6, most });
    }
    hold(&bounds)
}

/// Nothing has to come again.
fn check(answer: &[u8]) -> anyhow::Result<()> {
    let answer: Value = serde_json::from_slice(answer)?;
    let failures = answer["batchItemFailures"].as_array().context("the answer names no list")?;
    ensure!(failures.is_empty(), "{answer}");
    Ok(())
}
