//! Transforming what came out changes nothing, where no step says otherwise.

use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::json;
use tidegate_transform::{Engine, Outcome, Pipeline};

use crate::support::made_database;

/// Steps whose own work they leave alone: each has its own fields, and `keep`, `drop` and `sample`
/// look at one that no other touches.
const STEPS: [&str; 16] = [
    "keep: k == null || k != 'none'",
    "drop: k == 'some'",
    "sample: {percent: 70, by: k}",
    "cast: {n: integer}",
    "cast: {x: float}",
    "cast: {b: text}",
    "timestamp: {field: t}",
    "timestamp: {field: u, formats: [epoch_seconds, iso8601]}",
    "redact: {field: address, how: truncate}",
    "redact: {field: secret, how: mask, keep_last: 2}",
    "remove: [gone, gone_too]",
    "set: {constant: '1 + 1', known: k != null}",
    "lookup: {field: k, map: {none: 0, some: 1, a: 2}, into: rank}",
    "geoip: {address: address}",
    "user_agent: {field: agent}",
    "keep: '!(k == \"odd\")'",
];

/// Texts that mean something to one of them.
const TEXTS: [&str; 16] = [
    "a",
    "none",
    "some",
    "odd",
    "",
    "-",
    "7",
    "-0.5",
    "1e3",
    "true",
    "192.0.2.77",
    "2001:db8::9:7",
    "2026-11-14T10:30:00.250+01:00",
    "1794648600.5",
    "curl/8.9.1",
    "\"\\\n\u{1}é🌊",
];

/// What a field can hold.
fn value() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        6 => select(&TEXTS[..]).prop_map(|text| json!(text)),
        1 => any::<i64>().prop_map(|number| json!(number)),
        1 => any::<f64>().prop_map(|number| json!(number)),
        1 => any::<bool>().prop_map(|bool| json!(bool)),
        1 => "\\PC{0,8}".prop_map(|text| json!(text)),
        1 => Just(json!(null)),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(|list| json!(list)),
            prop::collection::hash_map("[a-cA-C. é]{0,3}", inner, 0..3).prop_map(|map| json!(map)),
        ]
    })
}

const NAMES: [&str; 16] = [
    "k",
    "K",
    "n",
    "x",
    "b",
    "t",
    "u",
    "address",
    "secret",
    "gone",
    "agent",
    "rank",
    "geo_country",
    "a.B c",
    "a",
    "other",
];

fn record() -> impl Strategy<Value = serde_json::Value> {
    prop::collection::btree_map(select(&NAMES[..]), value(), 0..9)
        .prop_map(|members| json!(members))
}

fn pipeline() -> impl Strategy<Value = String> {
    let input = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    let steps = subsequence(&STEPS[..], 0..=STEPS.len()).prop_shuffle();
    (input, steps, any::<bool>()).prop_map(|((flatten, as_is, drop, fields), steps, newline)| {
        let mut options = format!("flatten: {flatten}");
        options += if as_is { ", keys: as_is" } else { "" };
        let all = ", fields: {k: text, n: integer, a: text, t: timestamp, u: text, x: text, b: text, \
                   address: text, secret: text, gone: text, gone_too: text, agent: text}";
        options += if fields || drop { all } else { "" };
        options += if drop { ", other: drop" } else { "" };
        let steps: String = steps.iter().map(|step| format!("\n- {step}")).collect();
        let steps = if steps.is_empty() { " []" } else { &steps };
        format!("input: {{format: json, {options}}}\nsteps:{steps}\noutput: {{newline: {newline}}}\n")
    })
}

#[test]
fn what_came_out_comes_out_again() {
    proptest!(|(yaml in pipeline(), records in prop::collection::vec(record(), 1..6))| {
        let pipeline = Pipeline::compile(&yaml, made_database());
        let mut engine = Engine::new(pipeline.map_err(|e| TestCaseError::fail(format!("{e}\n{yaml}")))?);
        for record in records {
            let mut once = Vec::new();
            if engine.convert(record.to_string().as_bytes(), &mut once) != Outcome::Ok {
                continue;
            }
            // Another reader understands it, and sees no name twice.
            let row: serde_json::Value = serde_json::from_slice(&once).unwrap();
            prop_assert!(row.is_object());
            let mut twice = Vec::new();
            let outcome = engine.convert(&once, &mut twice);
            let [once, twice] = [once, twice].map(|text| String::from_utf8(text).unwrap());
            prop_assert_eq!((outcome, twice), (Outcome::Ok, once), "{}\n{}", record, yaml);
        }
    });
}
