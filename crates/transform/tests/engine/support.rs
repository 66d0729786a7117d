//! What every test of the whole engine does: transform a request, and hold the response against
//! the contract and the report.

use std::sync::Arc;

use tidegate_transform::contract::{self, Answer, Verdict};
use tidegate_transform::{
    Engine, Pipeline, RESPONSE_LIMIT_BYTES, Report, Tables, geoip, pipelines,
};

use self::made::V;

#[path = "../../src/steps/geoip/made.rs"]
#[allow(dead_code, reason = "the unit tests write more kinds of values")]
mod made;

/// A database that places every address below 128.0.0.0 in Sweden, and is damaged for the rest.
pub fn made_database() -> Tables {
    let sweden = V::Map(&[("country", V::Map(&[("iso_code", V::Text("SE"))]))]);
    let bytes = made::bytes("Made-City", &sweden, Some(&V::List(&[])));
    Tables { geoip: Some(geoip::Database::open(Arc::new(bytes)).unwrap()), ..Tables::default() }
}

/// An engine that runs a built-in pipeline.
pub fn builtin(name: &str, tables: Tables) -> Engine {
    Engine::new(Pipeline::compile(pipelines::builtin(name).unwrap(), tables).unwrap())
}

/// An engine that runs these steps, each in YAML, on access lines.
pub fn steps(steps: &[&str]) -> Engine {
    let mut yaml = "input: {format: apache_combined}\nsteps: []\n".to_owned();
    if !steps.is_empty() {
        yaml = yaml
            .replace(" []", &steps.iter().map(|step| format!("\n- {step}")).collect::<String>());
    }
    Engine::new(Pipeline::compile(&yaml, Tables::default()).unwrap())
}

/// Transforms a request. Whatever comes back keeps the contract, and the report says what is in it.
pub fn transform(engine: &mut Engine, request: &[u8]) -> (Vec<Answer>, Report) {
    let mut out = Vec::new();
    let report = engine.transform(request, &mut out).unwrap();
    assert!(out.len() <= RESPONSE_LIMIT_BYTES);
    assert_eq!(report.response_bytes, out.len() as u64);
    assert_eq!(report.handed, report.ok + report.dropped + report.processing_failed);
    let reasons: u64 = report.reasons.iter().map(|(_, records)| records).sum();
    assert_eq!(reasons, report.dropped + report.processing_failed);
    let answers = contract::check(request, &out).unwrap();
    let answered = |verdict| answers.iter().filter(|answer| answer.verdict == verdict).count();
    assert_eq!(answered(Verdict::Ok) as u64, report.ok);
    assert_eq!(answered(Verdict::Dropped) as u64, report.dropped);
    let failed = answered(Verdict::ProcessingFailed) as u64;
    assert_eq!(failed + report.unanswered, report.processing_failed);
    (answers, report)
}

/// A request with these data; ids like those of a delivery stream, 160 characters long.
pub fn request<D: AsRef<[u8]>>(data: &[D]) -> Vec<u8> {
    let mut request = br#"{"invocationId":"i","region":"eu-west-1","records":["#.to_vec();
    for (index, data) in data.iter().enumerate() {
        if index > 0 {
            request.push(b',');
        }
        let head = format!(r#"{{"recordId":"shardId-{index:0152}","data":""#);
        request.extend_from_slice(head.as_bytes());
        base64_simd::STANDARD.encode_append(data, &mut request);
        request.extend_from_slice(br#"","approximateArrivalTimestamp":1794648600100}"#);
    }
    request.extend_from_slice(b"]}");
    request
}
