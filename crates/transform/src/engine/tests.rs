use super::*;
use crate::contract;
use crate::pipeline::Tables;

fn engine() -> Engine {
    let yaml = "input: {format: apache_combined}";
    Engine::new(Pipeline::compile(yaml, Tables::default()).unwrap())
}

/// A request whose records hold these bytes, with the ids r0, r1, …
fn request(data: &[&[u8]]) -> String {
    let records: Vec<_> = data
        .iter()
        .enumerate()
        .map(|(index, data)| {
            let base64 = base64_simd::STANDARD.encode_to_string(data);
            format!(r#"{{"recordId":"r{index}","data":"{base64}"}}"#)
        })
        .collect();
    format!(r#"{{"records":[{}]}}"#, records.join(","))
}

#[test]
fn a_panic_fails_its_own_record_and_leaves_nothing_behind() {
    let request = request(&[b"a", b"boom", b"b"]);
    let mut out = Vec::new();
    let report = engine()
        .run(request.as_bytes(), &mut out, RESPONSE_LIMIT_BYTES, |_, data, _, line, _| {
            line.extend_from_slice(b"{\"half\":");
            assert_ne!(data, b"boom", "this panic belongs to the test");
            line.extend_from_slice(b"1}\n");
            Converted::ok(false)
        })
        .unwrap();
    let answers = contract::check(request.as_bytes(), &out).unwrap();
    let lines: Vec<_> = answers.iter().map(|answer| answer.data.as_slice()).collect();
    assert_eq!(lines, [&b"{\"half\":1}\n"[..], b"", b"{\"half\":1}\n"]);
    assert_eq!((report.handed, report.ok, report.processing_failed), (3, 2, 1));
    assert_eq!(report.reasons.of(Reason::Panic), 1);
}

#[test]
fn what_does_not_fit_is_failed_and_what_is_smaller_still_fits() {
    let line = |len: usize| vec![b'x'; len];
    let data = [line(30), line(3_000), line(30), line(30)];
    let request = request(&data.each_ref().map(Vec::as_slice));
    let mut convert =
        |_: &mut Pipeline, data: &[u8], _: Option<i64>, line: &mut Vec<u8>, _: &mut Vec<u8>| {
            line.extend_from_slice(data);
            Converted::ok(true)
        };
    let mut out = Vec::new();
    let report = engine().run(request.as_bytes(), &mut out, 1_000, &mut convert).unwrap();
    assert!(out.len() <= 1_000);
    assert_eq!((report.ok, report.processing_failed, report.unanswered), (3, 1, 0));
    assert_eq!(report.reasons.of(Reason::ResponseFull), 1);
    assert_eq!(report.geoip_errors, 3);
    assert_eq!(report.response_bytes, out.len() as u64);
    let full = engine().run(request.as_bytes(), &mut out, 60, &mut convert).unwrap();
    assert_eq!(out, br#"{"records":[{"recordId":"r0","result":"ProcessingFailed"}]}"#);
    assert_eq!((full.handed, full.processing_failed, full.unanswered), (4, 4, 3));
}

#[test]
fn records_that_cannot_be_answered_are_counted() {
    let line = br#"h - - [10/Oct/2000:13:55:36 +0000] "GET / HTTP/1.1" 200 5 "-" "-""#;
    let data = base64_simd::STANDARD.encode_to_string(line);
    let request = format!(
        r#"{{"records": [{{"recordId": "a", "data": "{data}"}}, {{"data": "{data}"}}, 7,
            {{"recordId": "a", "data": "{data}"}}, {{"recordId": "b"}}, {{"recordId": "c", "data": "%"}}]}}"#
    );
    let mut out = Vec::new();
    let report = engine().transform(request.as_bytes(), &mut out).unwrap();
    let answers = contract::check(request.as_bytes(), &out).unwrap();
    assert_eq!(answers.len(), 3);
    let reasons: Vec<_> = report.reasons.iter().map(|(reason, n)| (reason.name(), n)).collect();
    assert_eq!(
        reasons,
        [("no_record_id", 2), ("duplicate_record_id", 1), ("no_data", 1), ("bad_base64", 1)]
    );
    assert_eq!((report.handed, report.ok, report.unanswered), (6, 1, 3));
}

#[test]
fn one_record_on_its_own() {
    let mut engine = engine();
    let mut out = b"before ".to_vec();
    let line = br#"h - - [10/Oct/2000:13:55:36 +0000] "GET / HTTP/1.1" 200 5 "-" "-""#;
    assert_eq!(engine.convert(line, &mut out), Outcome::Ok);
    let failed = Outcome::ProcessingFailed(Reason::MissingField);
    assert_eq!(engine.convert(b"h", &mut out), failed);
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "before {\"client\":\"h\",\"time\":\"2000-10-10T13:55:36Z\",\"method\":\"GET\",\
         \"path\":\"/\",\"protocol\":\"HTTP/1.1\",\"status\":200,\"bytes\":5}\n"
    );
}

#[test]
fn an_event_that_is_no_request_leaves_the_buffer_empty() {
    let mut out = b"before".to_vec();
    let error = engine().transform(b"{}", &mut out).unwrap_err();
    assert!(matches!(error, EventError::NoRecords), "{error}");
    assert_eq!(out, b"");
}

/// The host decides on which thread an engine works.
const _: fn() = || {
    fn is_send<T: Send>() {}
    is_send::<Engine>();
};
