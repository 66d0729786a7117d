//! What holds for every request, whatever is in it.

use std::cell::RefCell;

use proptest::prelude::*;
use tidegate_transform::contract::Verdict;
use tidegate_transform::{Engine, RESPONSE_LIMIT_BYTES, Reason, Tables};

use crate::support::{self, request, transform};

const LINE: &str =
    r#"192.0.2.7 - - [10/Oct/2000:13:55:36 -0700] "GET /a HTTP/1.1" 200 12 "-" "curl/8""#;

/// What a record can hold: lines, damaged lines, and bytes of any kind.
fn data() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(LINE.as_bytes().to_vec()),
        (0..LINE.len(), any::<u8>()).prop_map(|(at, byte)| {
            let mut line = LINE.as_bytes().to_vec();
            line[at] = byte;
            line
        }),
        (0..LINE.len()).prop_map(|len| LINE.as_bytes()[..len].to_vec()),
        "[\\PC\\x00-\\x1f]{0,80}".prop_map(String::into_bytes),
        any::<Vec<u8>>(),
    ]
}

/// One record of a request, as JSON: anything may be missing, odd or twice.
fn record() -> impl Strategy<Value = String> {
    let id = prop_oneof![
        4 => (0..30_u32).prop_map(|id| format!(r#""recordId": "r{id}","#)),
        1 => "[\\PC]{0,20}".prop_map(|id| format!(r#""recordId": {},"#, serde_json::json!(id))),
        1 => Just(r#""recordId": "\u0041\/\"é","#.to_owned()),
        1 => Just(r#""recordId": null,"#.to_owned()),
        1 => Just(String::new()),
    ];
    let data = prop_oneof![
        4 => data().prop_map(|data| base64_simd::STANDARD.encode_to_string(data)),
        1 => "[A-Za-z0-9+/=]{0,40}",
        1 => "[\\PC]{0,20}",
    ];
    let rest = prop_oneof![
        Just(String::new()),
        Just(r#", "approximateArrivalTimestamp": 1794648600100"#.to_owned()),
        Just(r#", "kinesisRecordMetadata": {"subsequenceNumber": ""}"#.to_owned()),
        Just(r#", "data": 7"#.to_owned()),
    ];
    (id, data, rest).prop_map(|(id, data, rest)| {
        format!(r#"{{{id} "data": {}{rest}}}"#, serde_json::json!(data))
    })
}

/// Engines that are kept from case to case, as a function keeps its own.
fn engines() -> RefCell<[Engine; 3]> {
    RefCell::new([
        support::builtin("access-log", Tables::default()),
        support::builtin("access-log-errors", Tables::default()),
        support::steps(&["drop: bytes > 100 || user_agent.contains('curl')"]),
    ])
}

#[test]
fn any_data_is_answered() {
    let engines = engines();
    proptest!(|(data in prop::collection::vec(data(), 0..12))| {
        for engine in &mut *engines.borrow_mut() {
            let (answers, report) = transform(engine, &request(&data));
            prop_assert_eq!(answers.len(), data.len());
            prop_assert_eq!(report.handed, data.len() as u64);
            prop_assert_eq!(report.reasons.of(Reason::Panic), 0);
            // The whole request and each record on its own come to the same.
            for (answer, data) in answers.iter().zip(&data) {
                prop_assert_eq!(&answer.data, &convert(engine, data));
            }
        }
    });
}

#[test]
fn any_record_is_counted() {
    let engines = engines();
    proptest!(|(records in prop::collection::vec(record(), 0..12))| {
        let request = format!(r#"{{"records": [{}]}}"#, records.join(","));
        for engine in &mut *engines.borrow_mut() {
            let (_, report) = transform(engine, request.as_bytes());
            prop_assert_eq!(report.handed, records.len() as u64);
        }
    });
}

#[test]
fn any_event_is_understood_or_refused() {
    let engines = engines();
    let whole = request(&[LINE, LINE]);
    proptest!(|(bytes: Vec<u8>, cut in 0..whole.len(), flip in 0..whole.len(), bit in 0..8)| {
        let mut flipped = whole.clone();
        flipped[flip] ^= 1_u8 << bit;
        let mut out = Vec::new();
        for event in [&bytes[..], &whole[..cut], &flipped] {
            match engines.borrow_mut()[0].transform(event, &mut out) {
                Ok(report) => prop_assert_eq!(report.response_bytes, out.len() as u64),
                Err(_) => prop_assert_eq!(out.len(), 0),
            }
        }
    });
}

#[test]
fn a_bad_record_at_any_position_spoils_only_itself() {
    let good = convert(&mut support::builtin("access-log", Tables::default()), LINE.as_bytes());
    let bad: &[(&[u8], Reason)] = &[
        (b"", Reason::Empty),
        (b"\n", Reason::Empty),
        (b"\xff\xfe", Reason::NotUtf8),
        (b"{\"json\": true}", Reason::MissingField),
        (br#"h - - [10/Oct/2000:13:55:36 -0700] "GET"#, Reason::UnclosedQuote),
        (br#"h - - [10/Oct/2000] "GET / HTTP/1.1" 200 1 "-" "-""#, Reason::BadTime),
        (&[0; 10_000], Reason::MissingField),
    ];
    const RECORDS: usize = 5;
    let mut engine = support::builtin("access-log", Tables::default());
    for (data, reason) in bad {
        for position in 0..RECORDS {
            let mut records = [LINE.as_bytes(); RECORDS];
            records[position] = data;
            let (answers, report) = transform(&mut engine, &request(&records));
            for (index, answer) in answers.iter().enumerate() {
                let (verdict, line) = if index == position {
                    (Verdict::ProcessingFailed, &b""[..])
                } else {
                    (Verdict::Ok, &good[..])
                };
                assert_eq!(answer.verdict, verdict, "{reason:?} at {position}");
                assert_eq!(answer.data, line, "{reason:?} at {position}");
            }
            assert_eq!(report.reasons.of(*reason), 1, "{reason:?} at {position}");
        }
    }
}

/// What one record on its own becomes.
fn convert(engine: &mut Engine, data: &[u8]) -> Vec<u8> {
    let mut line = Vec::new();
    let _ = engine.convert(data, &mut line);
    line
}

/// A line of about this many bytes.
fn long_line(len: usize) -> Vec<u8> {
    LINE.replace("/a", &"/a".repeat(len / 2)).into_bytes()
}

#[test]
fn a_response_that_would_overflow_fails_what_does_not_fit() {
    // Each takes more room as an answer than as a request.
    let cases = [
        ("many tiny", vec![LINE.as_bytes().to_vec(); 17_000]),
        ("many", vec![long_line(1_000); 4_500]),
        ("a few huge", vec![long_line(1_000_000); 6]),
        ("one that fits alone", vec![long_line(4_650_000)]),
        ("one that does not", vec![long_line(4_750_000)]),
        ("huge, then tiny", [vec![long_line(4_700_000)], vec![LINE.into(); 500]].concat()),
        ("tiny, then huge", [vec![LINE.into(); 500], vec![long_line(4_600_000)]].concat()),
    ];
    let mut failed = Vec::new();
    for (name, data) in cases {
        let (answers, report) =
            transform(&mut support::builtin("access-log", Tables::default()), &request(&data));
        assert_eq!(answers.len(), data.len(), "{name}");
        assert_eq!(report.unanswered, 0, "{name}");
        assert_eq!(report.reasons.of(Reason::ResponseFull), report.processing_failed, "{name}");
        let room = RESPONSE_LIMIT_BYTES as u64 - report.response_bytes;
        failed.push((name, report.processing_failed, room));
    }
    let full: Vec<_> = failed.iter().map(|(name, failed, _)| (*name, *failed > 0)).collect();
    assert_eq!(
        full,
        [
            ("many tiny", true),
            ("many", true),
            ("a few huge", true),
            ("one that fits alone", false),
            ("one that does not", true),
            ("huge, then tiny", true),
            ("tiny, then huge", true),
        ],
        "{failed:?}"
    );
    // Where the records are small, what is left of the room is less than one of them would take.
    assert!(failed[0].2 < 400 && failed[1].2 < 2_000, "{failed:?}");
}
