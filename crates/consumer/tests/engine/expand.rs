//! Records that are compressed, and envelopes of CloudWatch Logs.

use std::cell::RefCell;
use std::io::Write as _;
use std::num::NonZeroUsize;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use tidegate_consumer::envelope::PayloadEncoding;
use tidegate_consumer::{
    Bulk, Consumer, Envelope, Expand, LogOnly, OnPoison, OnRetry, Options, Outcome, Processed, Raw,
    Received, Record, Scope, Text,
};
use tidegate_kpl::Aggregator;

use crate::batch::{ALL_SETTLED, Bench, CALL, check_sums, entry, event, names, number, text, told};

/// `order 7 of the usual kind; order 7 of the usual kind` by zstd 1.5: with a checksum, and without.
const ZSTD: &str = "KLUv/SQ0DQEA2G9yZGVyIDcgb2YgdGhlIHVzdWFsIGtpbmQ7IAEA+zLHyN1rXA==";
const ZSTD_PLAIN: &str = "KLUv/QBYDQEA2G9yZGVyIDcgb2YgdGhlIHVzdWFsIGtpbmQ7IAEA+zLH";
const ORDERS: &[u8] = b"order 7 of the usual kind; order 7 of the usual kind";
/// 3,000,000 zeros in 112 bytes.
const ZSTD_BOMB: &str = "KLUv/QRYVAAAEAAAAQD7/znAAgIAEAACABAAAgAQAAIAEAACABAAAgAQAAIAEAACABAAAgAQAAIAEAACABAAAgAQAAIAEAACABAAAgAQAAIAEAACABAAAgAQAAIAEAACABAAAgAQAAM2DgADya/W";
/// `hello`, written with a window of 2 GiB.
const ZSTD_WINDOW: &str = "KLUv/QSoKQAAaGVsbG+jbZ+I";

fn bytes(base64: &str) -> Vec<u8> {
    base64_simd::STANDARD.decode_to_vec(base64).unwrap()
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn options(expand: Expand) -> Options {
    let mut options = Options::default();
    options.expand = expand;
    options
}

/// An envelope as CloudWatch Logs writes it, with these messages.
fn envelope(messages: &[Value]) -> Value {
    let events: Vec<_> = messages
        .iter()
        .enumerate()
        .map(|(place, message)| {
            json!({"id": place.to_string(), "timestamp": 1_763_683_200_047_u64, "message": message})
        })
        .collect();
    json!({
        "messageType": "DATA_MESSAGE",
        "owner": "123456789012",
        "logGroup": "/orders/web",
        "logStream": "i-1",
        "subscriptionFilters": ["all"],
        "policyLevel": "ACCOUNT_LEVEL_POLICY",
        "logEvents": events,
    })
}

fn control() -> Vec<u8> {
    let mut control =
        envelope(&[json!("CWL CONTROL MESSAGE: Checking health of destination Kinesis stream.")]);
    control["messageType"] = "CONTROL_MESSAGE".into();
    control.to_string().into_bytes()
}

/// The message that the handler treats as told.
fn message(n: u64, what: &str) -> Value {
    json!({"n": n, "do": what}).to_string().into()
}

fn logs(messages: &[Value]) -> Vec<u8> {
    gzip(envelope(messages).to_string().as_bytes())
}

/// What a decoder gets of a record, with these options; or why it gets nothing.
fn seen(expand: Expand, data: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    let seen = RefCell::new(Vec::new());
    let handler = async |data: &[u8], _: &Record<'_>| seen.borrow_mut().push(data.to_vec());
    let consumer = Consumer::new(Raw, handler, LogOnly).with(options(expand));
    let event = event(&[entry(0, data)]);
    let processed = pollster::block_on(consumer.process(&event, &CALL)).unwrap();
    assert_eq!(text(&processed), ALL_SETTLED);
    check_sums(&processed.report);
    match processed.report.poison.first() {
        None => Ok(seen.into_inner()),
        Some(poison) => {
            assert_eq!(poison.stage, "expand");
            Err(format!("{}: {}", poison.reason, poison.error))
        }
    }
}

#[test]
fn a_decoder_gets_what_was_compressed() {
    let skippable = [&[0x5a, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3][..], &bytes(ZSTD)].concat();
    let cases: &[(&str, Vec<u8>, &[u8])] = &[
        ("as it is", ORDERS.to_vec(), ORDERS),
        ("nothing", Vec::new(), b""),
        ("the beginning of a magic", vec![0x1f, 0x8b], &[0x1f, 0x8b]),
        ("gzip with another method", vec![0x1f, 0x8b, 7, 0], &[0x1f, 0x8b, 7, 0]),
        ("gzip", gzip(ORDERS), ORDERS),
        ("gzip of nothing", gzip(b""), b""),
        ("members of gzip", [gzip(&ORDERS[..9]), gzip(b""), gzip(&ORDERS[9..])].concat(), ORDERS),
        ("gzip once", gzip(&gzip(ORDERS)), &gzip(ORDERS)),
        ("zstd", bytes(ZSTD), ORDERS),
        ("zstd without a checksum", bytes(ZSTD_PLAIN), ORDERS),
        ("a frame to be skipped", skippable, ORDERS),
        ("frames of zstd", [bytes(ZSTD), bytes(ZSTD_PLAIN)].concat(), &[ORDERS, ORDERS].concat()),
    ];
    for (name, data, expected) in cases {
        for expand in [Expand::auto(), Expand::compressed()] {
            assert_eq!(seen(expand, data), Ok(vec![expected.to_vec()]), "{name}");
        }
        assert_eq!(seen(Expand::none(), data), Ok(vec![data.clone()]), "{name}");
    }
}

#[test]
fn what_cannot_be_expanded_is_poison_and_within_bounds() {
    let gzip_fault = "decompress: the record begins like gzip and cannot be decompressed: ";
    let zstd_fault = "decompress: the record begins like zstd and cannot be decompressed: ";
    let altered = |mut data: Vec<u8>, at: usize| {
        data[at] ^= 1;
        data
    };
    let whole = gzip(ORDERS);
    let digest = whole.len() - 6;
    let half = whole.len() / 2;
    let gzip_bomb = gzip(&vec![0; 17 << 20]);
    let small_bomb = gzip(&vec![0; 1 << 20]);
    let cases: &[(&str, Vec<u8>, String)] = &[
        ("cut off", whole[..half].to_vec(), gzip_fault.to_owned()),
        ("the head alone", whole[..3].to_vec(), gzip_fault.to_owned()),
        ("altered", altered(whole.clone(), 12), gzip_fault.to_owned()),
        ("another digest", altered(whole.clone(), digest), gzip_fault.to_owned()),
        ("something behind", [&whole[..], b"behind"].concat(), gzip_fault.to_owned()),
        ("zstd cut off", bytes(ZSTD)[..30].to_vec(), zstd_fault.to_owned()),
        ("zstd, the magic alone", bytes(ZSTD)[..4].to_vec(), zstd_fault.to_owned()),
        (
            "zstd with another checksum",
            altered(bytes(ZSTD), 45),
            format!("{zstd_fault}the checksum of a frame is another"),
        ),
        (
            "a frame to be skipped, cut off",
            vec![0x50, 0x2a, 0x4d, 0x18, 9, 0, 0, 0, 1],
            format!("{zstd_fault}a frame to be skipped is cut off"),
        ),
        ("zstd and something", [bytes(ZSTD), vec![7; 9]].concat(), zstd_fault.to_owned()),
        (
            "a bomb",
            gzip_bomb.clone(),
            format!(
                "decompress_limit: the record expands to more than {} bytes",
                (200 * gzip_bomb.len()).min(16 << 20)
            ),
        ),
        (
            "a small bomb",
            small_bomb.clone(),
            format!(
                "decompress_limit: the record expands to more than {} bytes",
                200 * small_bomb.len()
            ),
        ),
        (
            "a bomb of zstd",
            bytes(ZSTD_BOMB),
            "decompress_limit: the record expands to more than 65536 bytes".to_owned(),
        ),
        (
            "a window",
            bytes(ZSTD_WINDOW),
            "decompress_limit: the record needs a window of more than 16777216 bytes to be \
             decompressed"
                .to_owned(),
        ),
        (
            "an envelope that is cut off",
            gzip(&envelope(&[]).to_string().as_bytes()[..150]),
            "cloudwatch_logs: the envelope of CloudWatch Logs is not JSON: ".to_owned(),
        ),
    ];
    for (name, data, expected) in cases {
        let error = seen(Expand::auto(), data).unwrap_err();
        assert!(error.starts_with(expected), "{name}: {error}");
        assert_eq!(seen(Expand::none(), data), Ok(vec![data.clone()]), "{name}");
    }
}

#[test]
fn a_limit_is_exact() {
    let random: Vec<u8> =
        (0..100_000_u32).flat_map(|n| (n.wrapping_mul(n)).to_le_bytes()).collect();
    let mut expand = Expand::auto();
    expand.bytes_max = random.len();
    assert_eq!(seen(expand, &gzip(&random)), Ok(vec![random.clone()]));
    expand.bytes_max -= 1;
    let error = seen(expand, &gzip(&random)).unwrap_err();
    assert_eq!(error, "decompress_limit: the record expands to more than 399999 bytes");
    // The ratio says nothing of what is small.
    expand.ratio_max = 1;
    assert_eq!(seen(expand, &gzip(&[b'x'; 65_536])), Ok(vec![vec![b'x'; 65_536]]));
    assert!(
        seen(expand, &gzip(&[b'x'; 65_537])).is_err_and(|error| error.ends_with("65536 bytes"))
    );
}

#[test]
fn the_quarantine_keeps_what_the_producer_wrote() {
    let bench = Bench::with(options(Expand::auto()));
    let bad = gzip(b"not JSON");
    let records = [told(0, "deliver"), entry(1, &bad), entry(2, &bad[..9]), told(3, "deliver")];
    let processed = bench.process(&event(&records)).unwrap();
    assert_eq!(text(&processed), ALL_SETTLED);
    assert_eq!(bench.delivered(), [0, 3]);
    let kept: Vec<_> = bench.kept().iter().map(|e| (e.reason.clone(), e.stage.clone())).collect();
    let pair = |reason: &str, stage: &str| (reason.to_owned(), stage.to_owned());
    assert_eq!(kept, [pair("parse", "decode"), pair("decompress", "expand")]);
    let payloads: Vec<_> = bench.kept().iter().map(|e| e.payload_bytes().unwrap()).collect();
    assert_eq!(payloads, [bad.clone(), bad[..9].to_vec()]);
    assert_eq!(processed.report.decompressed, 1);
}

/// Three records, of which the second is an envelope of five; the log event at `place` does this.
fn batch_with(place: usize, what: &str) -> Vec<u8> {
    let messages: Vec<_> =
        (0..5).map(|n| message(10 + n as u64, if n == place { what } else { "deliver" })).collect();
    event(&[told(0, "deliver"), entry(1, &logs(&messages)), told(2, "deliver")])
}

fn process(options: &Options, event: &[u8]) -> (Bench, Processed) {
    let bench = Bench::with(options.clone());
    let processed = bench.process(event).unwrap();
    (bench, processed)
}

#[test]
fn log_events_are_handled_each_in_their_order() {
    let mut options = options(Expand::auto());
    for lanes in [1, 8] {
        options.lanes = NonZeroUsize::new(lanes).unwrap();
        let (bench, processed) = process(&options, &batch_with(0, "deliver"));
        assert_eq!(text(&processed), ALL_SETTLED);
        let logged: Vec<_> = bench.delivered().into_iter().filter(|n| *n >= 10).collect();
        assert_eq!(logged, [10, 11, 12, 13, 14]);
        check_sums(&processed.report);
        let report = &processed.report;
        assert_eq!((report.received, report.delivered, report.decompressed), (7, 7, 1));
    }
}

#[test]
fn a_log_event_that_is_poison_costs_itself_and_can_be_sent_back() {
    let options = options(Expand::auto());
    let expected = |what: &str| match what {
        "poison" => ("handler", "handle"),
        _ => ("panic", "handle"),
    };
    for place in 0..5 {
        for what in ["poison", "panic"] {
            let (bench, processed) = process(&options, &batch_with(place, what));
            assert_eq!(text(&processed), ALL_SETTLED);
            assert_eq!(processed.report.delivered, 6);
            let kept = bench.kept();
            let [only] = &kept[..] else { panic!("{kept:?}") };
            assert_eq!((&*only.reason, &*only.stage), expected(what));
            assert_eq!(only.sequence_number, Some(number(1)));
            assert_eq!(only.sub_sequence_number, Some(place as u64));
            assert_eq!(only.partition_key.as_deref(), Some("key-1"));
            assert!(only.key().ends_with(&format!("{}-000000{place}.json", number(1))));
            assert_eq!(handled_again(&options, only), [&*only.reason]);
        }
    }
}

/// Sends a payload back, and says what became of it.
fn handled_again(options: &Options, envelope: &Envelope) -> Vec<String> {
    assert_eq!(envelope.payload_encoding, PayloadEncoding::Base64);
    let again = event(&[entry(0, &envelope.payload_bytes().unwrap())]);
    let (bench, processed) = process(options, &again);
    assert_eq!(processed.report.received, 1);
    bench.kept().into_iter().map(|envelope| envelope.reason).collect()
}

#[test]
fn what_is_sent_back_is_the_envelope_with_this_event() {
    let options = options(Expand::auto());
    let (bench, _) = process(&options, &batch_with(3, "poison"));
    let payload = bench.kept()[0].payload_bytes().unwrap();
    let mut text = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&payload[..]), &mut text).unwrap();
    let mut alone = envelope(&[message(13, "poison")]);
    alone["logEvents"][0]["id"] = "3".into();
    assert_eq!(serde_json::from_slice::<Value>(&text).unwrap(), alone);
}

#[test]
fn a_log_event_without_a_message_costs_itself() {
    let options = options(Expand::auto());
    let messages = [message(10, "deliver"), Value::Null, json!(7), message(11, "deliver")];
    let (bench, processed) = process(&options, &event(&[entry(0, &logs(&messages))]));
    assert_eq!(text(&processed), ALL_SETTLED);
    assert_eq!(bench.delivered(), [10, 11]);
    check_sums(&processed.report);
    for envelope in bench.kept() {
        assert_eq!((&*envelope.reason, &*envelope.stage), ("cloudwatch_logs", "expand"));
        assert_eq!(envelope.error.line(), "the log event has no message");
        assert_eq!(handled_again(&options, &envelope), ["cloudwatch_logs"]);
    }
    assert_eq!(bench.kept().len(), 2);
}

#[test]
fn a_log_event_that_comes_again_brings_its_record() {
    let mut options = options(Expand::auto());
    let (bench, processed) = process(&options, &batch_with(2, "retry"));
    assert_eq!(text(&processed), names(&number(1)));
    assert_eq!(bench.delivered(), [0, 10, 11]);
    let report = &processed.report;
    assert_eq!((report.received, report.retried, report.not_attempted), (7, 1, 3));
    options.on_retry = OnRetry::FenceKey;
    let (bench, processed) = process(&options, &batch_with(2, "retry"));
    assert_eq!(text(&processed), names(&number(1)));
    assert_eq!(bench.delivered(), [0, 10, 11, 2]);
}

#[test]
fn the_rest_of_an_envelope_can_be_parked() {
    let mut options = options(Expand::auto());
    options.on_poison = OnPoison::ParkKey;
    let (bench, processed) = process(&options, &batch_with(2, "poison"));
    assert_eq!(text(&processed), ALL_SETTLED);
    assert_eq!(bench.delivered(), [0, 10, 11, 2]);
    let reasons: Vec<_> = bench.kept().into_iter().map(|envelope| envelope.reason).collect();
    assert_eq!(reasons, ["handler", "blocked_by", "blocked_by"]);
}

#[test]
fn control_messages_and_empty_envelopes_are_skipped() {
    let options = options(Expand::auto());
    let both =
        gzip(&[&control()[..], envelope(&[message(9, "deliver")]).to_string().as_bytes()].concat());
    let records = [entry(0, &gzip(&control())), entry(1, &logs(&[])), entry(2, &both)];
    let (bench, processed) = process(&options, &event(&records));
    assert_eq!(text(&processed), ALL_SETTLED);
    assert_eq!(bench.delivered(), [9]);
    let report = &processed.report;
    check_sums(report);
    assert_eq!((report.received, report.skipped, report.control_messages), (3, 2, 2));
}

#[test]
fn a_handler_sees_what_the_envelope_says() {
    let seen = RefCell::new(Vec::new());
    let handler = async |message: &[u8], record: &Record<'_>| {
        let log = record.log_event().unwrap();
        assert_eq!((log.owner(), log.log_group()), (Some("123456789012"), Some("/orders/web")));
        assert_eq!(log.timestamp().unwrap().to_string(), "2025-11-21T00:00:00.047Z");
        let id = log.id().map(ToOwned::to_owned);
        seen.borrow_mut().push((message.to_vec(), id, record.sub_sequence_number()));
    };
    let consumer = Consumer::new(Raw, handler, LogOnly).with(options(Expand::auto()));
    let event = event(&[entry(0, &logs(&[json!("a\n\"b\""), json!("")]))]);
    let _ = pollster::block_on(consumer.process(&event, &CALL)).unwrap();
    let id = |id: &str| Some(id.to_owned());
    let expected = [(b"a\n\"b\"".to_vec(), id("0"), Some(0)), (Vec::new(), id("1"), Some(1))];
    assert_eq!(*seen.borrow(), expected);
}

#[test]
fn user_records_of_an_aggregate_are_expanded_within_one_bound() {
    let mut aggregator = Aggregator::new(usize::MAX);
    let half = gzip(&[b'x'; 600]);
    aggregator.push("a", None, &half).unwrap();
    aggregator.push("b", None, &logs(&[json!("m")])).unwrap();
    aggregator.push("c", None, &half[..5]).unwrap();
    aggregator.push("d", None, &half).unwrap();
    let data = aggregator.take().unwrap().data;
    let seen = RefCell::new(Vec::new());
    let handler = async |data: &[u8], record: &Record<'_>| {
        assert_eq!(record.log_event(), None);
        seen.borrow_mut().push(data.to_vec());
    };
    let mut expand = Expand::auto();
    expand.bytes_max = 1_000;
    let consumer = Consumer::new(Raw, handler, LogOnly).with(options(expand));
    let processed =
        pollster::block_on(consumer.process(&event(&[entry(0, &data)]), &CALL)).unwrap();
    // The envelope is handed over whole: places within an aggregate are those of its user records.
    let whole = envelope(&[json!("m")]).to_string().into_bytes();
    assert_eq!(*seen.borrow(), [vec![b'x'; 600], whole]);
    let reasons: Vec<_> = processed
        .report
        .poison
        .iter()
        .map(|p| (p.reason.code(), p.record.sub_sequence_number))
        .collect();
    assert_eq!(reasons, [("decompress", Some(2)), ("decompress_limit", Some(3))]);
}

#[test]
fn a_batch_that_expands_far_is_handled_piece_by_piece() {
    // Each expands to 200 KiB, so that a chunk ends after six, and again; aggregates among them.
    let mut expand = Expand::auto();
    expand.ratio_max = 2_000;
    let mut options = options(expand);
    options.lanes = NonZeroUsize::new(3).unwrap();
    let wide = |n: u64| json!({"n": n, "do": "deliver", "x": "x".repeat(200 << 10)}).to_string();
    let records: Vec<_> = (0..40_u64)
        .map(|n| match n % 4 {
            0 => told(n as usize, "deliver"),
            1 => {
                let mut aggregator = Aggregator::new(usize::MAX);
                let payload = json!({"n": n, "do": "deliver"}).to_string();
                aggregator.push("k", None, payload.as_bytes()).unwrap();
                entry(n as usize, &aggregator.take().unwrap().data)
            }
            _ => entry(n as usize, &gzip(wide(n).as_bytes())),
        })
        .collect();
    let (bench, processed) = process(&options, &event(&records));
    assert_eq!(text(&processed), ALL_SETTLED);
    let mut delivered = bench.delivered();
    delivered.sort_unstable();
    assert_eq!(delivered, (0..40).collect::<Vec<_>>());
    check_sums(&processed.report);
    let report = &processed.report;
    assert_eq!((report.received, report.aggregates, report.decompressed), (40, 10, 20));
}

#[test]
fn log_events_go_into_calls_of_several() {
    let calls = RefCell::new(Vec::new());
    let insert = async |lines: &[Received<'_, &str>], _: &Scope<'_>| -> Vec<Outcome> {
        let call: Vec<_> = lines.iter().map(|line| line.item.to_owned()).collect();
        calls.borrow_mut().push(call);
        lines.iter().map(|_| Outcome::Done).collect()
    };
    let consumer = Consumer::new(Text, Bulk(insert), LogOnly).with(options(Expand::auto()));
    let records = [logs(&[json!("a"), json!("b\n\"c\""), json!("ü")]), gzip(b"d"), b"e".to_vec()];
    let records: Vec<_> = records.iter().enumerate().map(|(n, data)| entry(n, data)).collect();
    let processed = pollster::block_on(consumer.process(&event(&records), &CALL)).unwrap();
    assert_eq!(text(&processed), ALL_SETTLED);
    // Those of an envelope have one partition key, and a call has one record of each unless the
    // handler says otherwise.
    let expected: [&[&str]; 3] = [&["a"], &["b\n\"c\""], &["ü", "d", "e"]];
    assert_eq!(*calls.borrow(), expected);
}
