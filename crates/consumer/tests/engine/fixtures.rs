//! The event fixtures, each with the response and the envelopes that it must lead to.

use tidegate_consumer::{Consumer, Raw, Record};

use crate::batch::{ALL_SETTLED, Bench, CALL, check_sums, text};

const STREAM: &str = "arn:aws:kinesis:eu-central-1:123456789012:stream/orders";
const NUMBER: &str = "49671204518332917460021547783092395333074933491189219330";

fn fixture(name: &str) -> Vec<u8> {
    let path = format!("{}/../../tests/events/kinesis-{name}.json", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn each_leads_to_its_response_and_its_envelopes() {
    // The fixture, how many are delivered, and of the poison record the reason, the stage, the
    // encoding, the error and the payload.
    type Poison = [&'static str; 5];
    let cases: &[(&str, u64, Option<Poison>)] = &[
        ("json", 3, None),
        ("empty", 0, None),
        ("enhanced-fan-out", 3, None),
        (
            "bad-base64",
            2,
            Some(["base64", "base64", "verbatim", "Base64Error", "%%% not base64 %%%"]),
        ),
        (
            "bad-utf8",
            2,
            Some([
                "utf8",
                "decode",
                "base64",
                "invalid utf-8 sequence of 1 bytes from index 27",
                "eyJvcmRlciI6MTAwMSwiY3VzdG9tZXIiOiJK/HJnZW4ifQ==",
            ]),
        ),
        (
            "bad-json",
            2,
            Some([
                "parse",
                "decode",
                "base64",
                "expected value at line 1 column 1",
                "b3JkZXIgMTAwMSwgc2V2ZW4gb2YgdGhlIHVzdWFs",
            ]),
        ),
        (
            "bad-shape",
            2,
            Some([
                "schema",
                "decode",
                "base64",
                "not a JSON object",
                "WzEwMDEsImN1c3RvbWVyLTIiLDdd",
            ]),
        ),
        ("no-data", 2, Some(["envelope", "split", "record", "the record has no data", "{"])),
    ];
    for (name, delivered, poison) in cases {
        let bench = Bench::default();
        let processed = bench.process(&fixture(name)).unwrap();
        assert_eq!(text(&processed), ALL_SETTLED, "{name}");
        assert_eq!(processed.report.delivered, *delivered, "{name}");
        check_sums(&processed.report);
        let kept = bench.kept();
        assert_eq!(kept.len(), usize::from(poison.is_some()), "{name}");
        if let (Some(envelope), Some([reason, stage, encoding, error, payload])) =
            (kept.first(), poison)
        {
            assert_eq!((&*envelope.reason, &*envelope.stage), (*reason, *stage), "{name}");
            assert_eq!(serde_json::to_value(envelope.payload_encoding).unwrap(), *encoding);
            assert_eq!(envelope.error.line(), *error, "{name}");
            assert!(envelope.payload.starts_with(payload), "{name}: {}", envelope.payload);
            assert_eq!(envelope.stream_arn.as_deref(), Some(STREAM));
            assert_eq!(envelope.shard_id.as_deref(), Some("shardId-000000000006"));
            assert_eq!(envelope.partition_key.as_deref(), Some("customer-2"));
            assert_eq!(envelope.sequence_number.as_deref(), Some(NUMBER));
            let arrival = envelope.approximate_arrival.map(|at| at.to_string());
            assert_eq!(arrival.as_deref(), Some("2025-11-21T00:00:01.047Z"));
        }
    }
}

#[test]
fn a_line_arrives_byte_by_byte() {
    let lines = std::cell::RefCell::new(Vec::new());
    let consumer = Consumer::new(
        Raw,
        async |line: &[u8], record: &Record<'_>| {
            assert_eq!(record.stream_arn(), Some(&*STREAM.replace("orders", "access-log")));
            lines.borrow_mut().push(String::from_utf8(line.to_vec()).unwrap());
        },
        tidegate_consumer::LogOnly,
    );
    let processed = pollster::block_on(consumer.process(&fixture("access-log"), &CALL)).unwrap();
    assert_eq!(text(&processed), ALL_SETTLED);
    assert_eq!(
        *lines.borrow(),
        [
            "203.0.113.7 - - [21/Nov/2025:00:00:00 +0000] \"GET /index.html HTTP/1.1\" 200 5120 \"-\" \
             \"Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0\"",
            "198.51.100.23 - anna [21/Nov/2025:00:00:01 +0000] \"POST /cart?item=7 HTTP/1.1\" 302 - \
             \"https://shop.example/item/7\" \"curl/8.17.0\"\n",
            "2001:db8::42 - - [21/Nov/2025:00:00:02 +0000] \"GET /missing.png HTTP/2.0\" 404 153 \
             \"-\" \"-\"",
        ]
    );
}
