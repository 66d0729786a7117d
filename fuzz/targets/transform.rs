//! The transform: a pipeline's file, an event of Firehose, a record of any format. Whatever it is,
//! each record has one answer that Firehose can follow, and nothing panics.

#![no_main]

use std::cell::RefCell;

use libfuzzer_sys::fuzz_target;
use tidegate_transform::{Engine, Pipeline, Reason, Tables, contract, pipelines};

/// A pipeline for each format and each way of holding several events, with steps that read them.
const INPUTS: &[&str] = &[
    "{format: apache_common}",
    "{format: apache_combined, unwrap: lines}",
    "{format: nginx}",
    "{format: csv, columns: {a: integer, b: timestamp, c: text}}",
    "{format: csv, header: true, unwrap: lines}",
    "{format: tsv, columns: [a, b]}",
    "{format: json, flatten: true, fields: {a: integer, b: float}}",
    "{format: json, unwrap: cloudwatch_logs}",
    "{format: json, unwrap: kpl}",
    "{format: logfmt}",
    "{format: syslog_3164}",
    "{format: syslog_5424}",
    "{format: vpc_flow}",
    "{format: alb}",
    "{format: pattern, pattern: '[{a:timestamp}] {b:integer} {c}'}",
    "{format: regex, pattern: '^(?<a>.+?) (?<b>[^ ]*)$', fields: {b: integer}}",
    "{any_of: [{format: json}, {format: syslog_5424}, {format: text}], unwrap: lines}",
];

thread_local! {
    static ENGINES: RefCell<Vec<Engine>> = RefCell::new(engines());
}

fn engines() -> Vec<Engine> {
    let own = INPUTS.iter().map(|input| format!("input: {input}\n"));
    let builtin = pipelines::names().filter_map(pipelines::builtin).map(ToOwned::to_owned);
    let compile = |yaml: String| {
        Engine::new(Pipeline::compile(&yaml, Tables::default()).expect("it has no mistakes"))
    };
    own.chain(builtin).map(compile).collect()
}

fuzz_target!(|input: &[u8]| {
    let Some((choice, rest)) = input.split_first() else { return };
    match choice {
        0 => {
            let text = String::from_utf8_lossy(rest);
            if let Ok(pipeline) = Pipeline::compile(&text, Tables::default()) {
                answered(&mut Engine::new(pipeline), &request(b"a record"), false);
            }
        }
        1 => ENGINES.with_borrow_mut(|engines| {
            answered(&mut engines[1], rest, true);
        }),
        choice => ENGINES.with_borrow_mut(|engines| {
            let which = usize::from(*choice) % engines.len();
            answered(&mut engines[which], &request(rest), true);
        }),
    }
});

fn request(data: &[u8]) -> Vec<u8> {
    let data = base64_simd::STANDARD.encode_to_string(data);
    format!(r#"{{"records": [{{"recordId": "1", "data": "{data}"}}]}}"#).into_bytes()
}

/// Transforms an event, and holds the response against it. `lines` says whether rows end with a line
/// break, as they do unless a pipeline says otherwise.
fn answered(engine: &mut Engine, event: &[u8], lines: bool) {
    let mut response = Vec::new();
    let Ok(report) = engine.transform(event, &mut response) else { return };
    assert_eq!(report.handed, report.ok + report.dropped + report.processing_failed, "{report:?}");
    assert_eq!(report.reasons.of(Reason::Panic), 0, "a panic");
    if let Err(violations) = contract::check(event, &response) {
        let only_lines = violations
            .iter()
            .all(|violation| matches!(violation, contract::Violation::NotJsonLines { .. }));
        assert!(only_lines && !lines, "{violations:?}");
    }
}
