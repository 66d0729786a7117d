//! Both ways of reading an event say the same of it.

use proptest::prelude::*;
use proptest::sample::Index;

use super::super::{Event, EventError};
use super::*;

fn record(key: &str, number: &str, data: &str, at: &str, id: &str, other: &str) -> String {
    format!(
        "{{\"kinesis\":{{\"partitionKey\":\"{key}\",\"sequenceNumber\":\"{number}\",\
         \"data\":\"{data}\",\"approximateArrivalTimestamp\":{at}}},\
         \"eventSource\":\"aws:kinesis\",{other}\"eventID\":\"{id}\",\
         \"eventSourceARN\":\"arn:aws:kinesis:eu-west-1:1:stream/s\"}}"
    )
}

fn batch(records: &[String]) -> String {
    format!("{BEGIN}{}{END}", records.join(","))
}

/// Everything that an event says.
fn told(event: Result<Event<'_>, EventError>) -> String {
    match event {
        Ok(event) => format!("{:?} {:?}", event.window(), event.records().collect::<Vec<_>>()),
        Err(error) => format!("{error:?}"),
    }
}

/// Both ways of reading say the same; whether this one read all records but the first.
fn agree(body: &[u8]) -> bool {
    let shown = String::from_utf8_lossy(body);
    assert_eq!(told(Event::parse(body)), told(Event::parse_any(body)), "{shown}");
    let records = split(body).unwrap_or_default();
    records.len() > 1 && records[1..].iter().all(|split| split.values.is_some())
}

#[test]
fn a_batch_as_lambda_lays_it_out_is_read_here() {
    let first = record("k", "1", "aGk=", "1763683200.5", "shardId-000000000000:1", "");
    let second = record("é", "2", "", "1763683201", "shardId-000000000000:2", "");
    let third = record("", "", "?", "1.25", "", "");
    assert!(agree(format!("{BEGIN}{first},{second},{third}]}}").as_bytes()));
    let cases = [
        format!("{BEGIN}{first}]}}"),
        format!("{BEGIN}]}}"),
        format!("{BEGIN}7,7]}}"),
        format!("{BEGIN}{first},]}}"),
        format!("{BEGIN}{first},{second}]"),
        format!("{BEGIN}{first},{second}]}}\n"),
        format!("{BEGIN}{first},{second}]}}\x0C"),
        format!("{BEGIN}{first} ,{second}]}}"),
        format!("{BEGIN}{first},{second}],\"window\":1}}"),
        format!("{BEGIN}{first},{}]}}", second.replace('2', "\\u0032")),
        format!("{BEGIN}{first},{}]}}", second.replace('2', "\n")),
        format!("{BEGIN}{first},{}]}}", second.replace("1763683201", "01")),
        format!("{BEGIN}{first},{}]}}", second.replace("1763683201", "1.")),
        format!("{BEGIN}{first},{}]}}", second.replace("1763683201", "1.5.5")),
        format!("{BEGIN}{first},{}]}}", second.replace("1763683201", "null")),
        format!("{BEGIN}{first},{}]}}", second.replace("aws:kinesis\"", "aws:sqs\"")),
        format!("{BEGIN}7,{first}]}}"),
    ];
    for body in cases {
        assert!(!agree(body.as_bytes()), "{body}");
    }
}

/// Of a field that is given twice the last counts, wherever the values of the form stand.
#[test]
fn a_form_has_the_fields_that_count() {
    let twice = |at: &str, other: &str| {
        let whole = |n: u8| {
            let number = n.to_string();
            record("k", &number, "aGk=", "1.5", &format!("s:{n}"), "").replacen(at, other, 1)
        };
        batch(&[whole(1), whole(2), whole(3)])
    };
    let cases = [
        ("\"data\"", "\"data\":\"b2xk\",\"data\""),
        ("\"eventSource\"", "\"eventID\":\"old:1\",\"eventSource\""),
        ("{\"kinesis\"", "{\"kinesis\":{\"data\":\"b2xk\"},\"kinesis\""),
        ("\"data\"", "\"inner\":{\"sequenceNumber\":\"9\"},\"d\\u0061ta\""),
        ("\"partitionKey\"", " \"encryptionType\" : \"NONE\" , \"partitionKey\""),
    ];
    for (at, other) in cases {
        assert!(agree(twice(at, other).as_bytes()), "{other}");
    }
}

/// What a body may be damaged with.
const PIECES: [&[u8]; 20] = [
    b"",
    b",",
    b"\"",
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b" ",
    b"\n",
    b"\x0C",
    b"\xFF",
    b"0",
    b"-1e3",
    b".",
    b"null",
    b"\\u0031",
    b"\"eventID\":\"a:b\",",
    b"\"kinesis\":{},",
    b"],\"window\":{},\"x\":[",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn the_ways_of_reading_agree(
        records in prop::collection::vec(
            (
                "[a-z\\\\\"é\n]{0,3}|[a-z]{3}",
                "[0-9]{0,3}",
                "[A-Za-z0-9+/=]{0,8}",
                "[0-9]{1,3}(\\.[0-9]{0,3})?|[1-9][0-9]{2}\\.[0-9]|null|1e3|\"1.5\"",
                "shardId-1:[0-9]{0,3}|[a-z]",
                prop::sample::select(vec!["", "", "\"x\":1,", "\"eventID\":\"a:b\","]),
            ),
            0..5,
        ),
        damage in prop::collection::vec(
            (any::<Index>(), 0_usize..4, prop::sample::select(&PIECES[..])),
            0..3,
        ),
        cut in prop::option::weighted(0.1, any::<Index>()),
    ) {
        let records: Vec<_> = records
            .iter()
            .map(|(key, number, data, at, id, other)| record(key, number, data, at, id, other))
            .collect();
        let mut body = batch(&records).into_bytes();
        for (at, removed, piece) in damage {
            let at = at.index(body.len());
            let end = (at + removed).min(body.len());
            body.splice(at..end, piece.iter().copied());
        }
        if let Some(cut) = cut {
            body.truncate(cut.index(body.len() + 1));
        }
        agree(&body);
    }

    /// A batch of one form, any byte of which is another.
    #[test]
    fn no_other_byte_is_overlooked(at in any::<Index>(), byte in any::<u8>()) {
        let one = |n: u8| record("key", &n.to_string(), "aGVsbG8=", "17.25", &format!("s:{n}"), "");
        let mut body = batch(&[one(1), one(2), one(3)]).into_bytes();
        let at = at.index(body.len());
        body[at] = byte;
        agree(&body);
    }
}
