use proptest::prelude::*;

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
        .run(request.as_bytes(), &mut out, RESPONSE_LIMIT_BYTES, None, |_, data, _, line, _| {
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
    let report = engine().run(request.as_bytes(), &mut out, 1_000, None, &mut convert).unwrap();
    assert!(out.len() <= 1_000);
    assert_eq!((report.ok, report.processing_failed, report.unanswered), (3, 1, 0));
    assert_eq!(report.reasons.of(Reason::ResponseFull), 1);
    assert_eq!(report.geoip_errors, 3);
    assert_eq!(report.response_bytes, out.len() as u64);
    let full = engine().run(request.as_bytes(), &mut out, 60, None, &mut convert).unwrap();
    assert_eq!(out, br#"{"records":[{"recordId":"r0","result":"ProcessingFailed"}]}"#);
    assert_eq!((full.handed, full.processing_failed, full.unanswered), (4, 4, 3));
}

/// What one record of a made-up batch turns into.
#[derive(Debug, Clone, Copy)]
enum Turns {
    Ok(usize),
    Dropped,
    Failed,
}

/// The verdicts and the length of the response, by the sizes of compact JSON alone: an answer of
/// `Ok` has 40 bytes and its base64, one of `Dropped` 35, one of `ProcessingFailed` 44, each with
/// its comma and beside its identifier; around them are 14, and the last has no comma.
fn by_size(records: &[(usize, Turns)], limit: usize) -> (Vec<Outcome>, usize) {
    let shortest = |id: usize| 44 + id;
    let mut reserved: usize = records.iter().map(|(id, _)| shortest(*id)).sum();
    let (mut len, mut outcomes) = (14, Vec::new());
    for (id, turns) in records {
        reserved -= shortest(*id);
        let failed = |reason| (shortest(*id), Outcome::ProcessingFailed(reason));
        let comma = usize::from(len == 14);
        let (bytes, outcome) = match *turns {
            Turns::Ok(data) if len + 40 + id + data.div_ceil(3) * 4 - comma + reserved <= limit => {
                (40 + id + data.div_ceil(3) * 4, Outcome::Ok)
            }
            Turns::Ok(_) => failed(Reason::ResponseFull),
            Turns::Dropped => (35 + id, Outcome::Dropped(Reason::NotKept)),
            Turns::Failed => failed(Reason::Panic),
        };
        len += bytes - comma;
        outcomes.push(outcome);
    }
    (outcomes, len)
}

#[test]
fn a_batch_that_overflows_is_filled_to_the_byte() {
    let turns = prop_oneof![
        8 => (0..40_usize).prop_map(Turns::Ok),
        2 => (40..2_000_usize).prop_map(Turns::Ok),
        1 => Just(Turns::Dropped),
        1 => Just(Turns::Failed),
    ];
    let records = prop::collection::vec((5..160_usize, turns), 1..40);
    let engine = std::cell::RefCell::new(engine());
    proptest!(|(records in records, above in 0..4_000_usize, keep: bool)| {
        let ids: Vec<_> =
            records.iter().enumerate().map(|(index, (len, _))| format!("{index:0len$}")).collect();
        let request: Vec<_> =
            ids.iter().map(|id| format!(r#"{{"recordId":"{id}","data":"YQ=="}}"#)).collect();
        let request = format!(r#"{{"records":[{}]}}"#, request.join(","));
        // Every record can be said to have failed.
        let least = 13 + records.iter().map(|(id, _)| 44 + id).sum::<usize>();
        let limit = least + above;
        let mut at = 0;
        let convert = |_: &mut Pipeline, _: &[u8], _: Option<i64>, line: &mut Vec<u8>, _: &mut Vec<u8>| {
            at += 1;
            match records[at - 1].1 {
                Turns::Ok(len) => {
                    line.resize(len, b'x');
                    Converted::ok(false)
                }
                Turns::Dropped => Converted::ended(Outcome::Dropped(Reason::NotKept)),
                Turns::Failed => Converted::failed(Reason::Panic),
            }
        };
        let (mut out, mut overflow) = (Vec::new(), Overflow::default());
        let kept = keep.then_some(&mut overflow);
        let mut engine = engine.borrow_mut();
        let report = engine.run(request.as_bytes(), &mut out, limit, kept, convert).unwrap();
        let (outcomes, len) = by_size(&records, limit);
        prop_assert_eq!(out.len(), len);
        prop_assert!(len <= limit);
        let of = |reason| outcomes.iter().filter(|o| **o == Outcome::ProcessingFailed(reason)).count();
        let full = of(Reason::ResponseFull);
        prop_assert_eq!(report.reasons.of(Reason::ResponseFull), full as u64);
        prop_assert_eq!(report.ok, outcomes.iter().filter(|o| **o == Outcome::Ok).count() as u64);
        prop_assert_eq!(report.unanswered, 0);
        // What does not fit is in the response as failed, and kept aside where it fits any response.
        let fits = |(id, turns): &(usize, Turns)| match turns {
            Turns::Ok(data) => 13 + 40 + id + data.div_ceil(3) * 4 <= limit,
            _ => false,
        };
        let back: Vec<_> = (0..records.len())
            .filter(|at| outcomes[*at] == Outcome::ProcessingFailed(Reason::ResponseFull))
            .filter(|at| fits(&records[*at]))
            .collect();
        let kept: Vec<_> = overflow.surplus.iter().map(|surplus| surplus.index).collect();
        prop_assert_eq!(kept, if keep { back } else { Vec::new() });
    });
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
fn padding_may_be_wrong() {
    let mut engine =
        Engine::new(Pipeline::compile("input: {format: text}", Tables::default()).unwrap());
    for (data, expected) in
        [("OTE=", true), ("OTE==", true), ("OTE", true), ("OT%=", false), ("O", false)]
    {
        let request = format!(r#"{{"records":[{{"recordId":"1","data":"{data}"}}]}}"#);
        let report = engine.transform(request.as_bytes(), &mut Vec::new()).unwrap();
        assert_eq!(report.ok == 1, expected, "{data}");
        assert_eq!(report.reasons.of(Reason::BadBase64) == 1, !expected, "{data}");
    }
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
