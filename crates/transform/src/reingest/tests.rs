use std::cell::RefCell;

use super::*;
use crate::contract::{self, Verdict};
use crate::outcome::Reason;
use crate::pipeline::{Pipeline, Tables};
use crate::{Engine, RESPONSE_LIMIT_BYTES};

/// A service that takes what a test says.
struct Service<F> {
    accepts: F,
    calls: RefCell<Vec<(Source, Vec<Again>)>>,
}

impl<F: Fn(usize, &Again) -> Result<bool, ReingestError>> Reingest for Service<F> {
    async fn put(&self, to: &Source, records: &[&Again]) -> Result<Vec<bool>, ReingestError> {
        let call = self.calls.borrow().len();
        let records: Vec<_> = records.iter().map(|record| (*record).clone()).collect();
        self.calls.borrow_mut().push((to.clone(), records.clone()));
        records.iter().map(|record| (self.accepts)(call, record)).collect()
    }
}

/// What a future is worth that never waits.
fn now<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match future.as_mut().poll(&mut context) {
        std::task::Poll::Ready(value) => value,
        std::task::Poll::Pending => panic!("nothing here waits"),
    }
}

fn request(data: &[Vec<u8>], from_stream: bool) -> Vec<u8> {
    let (mut source, mut metadata) = ("", String::new());
    if from_stream {
        source = r#""sourceKinesisStreamArn":"arn:aws:kinesis:r:1:stream/logs","#;
    }
    let records = data.iter().enumerate().map(|(index, data)| {
        let base64 = base64_simd::STANDARD.encode_to_string(data);
        if from_stream {
            metadata = format!(r#","kinesisRecordMetadata":{{"partitionKey":"k{index}"}}"#);
        }
        format!(r#"{{"recordId":"{index:0160}","data":"{base64}"{metadata}}}"#)
    });
    let records = records.collect::<Vec<_>>().join(",");
    let delivery = r#""deliveryStreamArn":"arn:aws:firehose:r:1:deliverystream/lake""#;
    format!(r#"{{{source}{delivery},"records":[{records}]}}"#).into_bytes()
}

/// A pipeline whose rows are a little longer than its records.
fn engine(unwrap: &str) -> Engine {
    let yaml = format!("input: {{format: text, unwrap: {unwrap}}}");
    Engine::new(Pipeline::compile(&yaml, Tables::default()).unwrap())
}

struct Ran {
    verdicts: Vec<Verdict>,
    report: Report,
    done: PutBack,
    calls: Vec<(Source, Vec<Again>)>,
}

fn run(
    engine: &mut Engine,
    request: &[u8],
    accepts: impl Fn(usize, &Again) -> Result<bool, ReingestError>,
) -> Ran {
    let (mut out, mut overflow) = (Vec::new(), Overflow::default());
    let mut report = engine.transform_keeping(request, &mut out, &mut overflow).unwrap();
    let service = Service { accepts, calls: RefCell::default() };
    let done = now(put_back(overflow, &service, || true, &mut out, &mut report));
    let answers = contract::check(request, &out).unwrap();
    let verdicts: Vec<_> = answers.iter().map(|answer| answer.verdict).collect();
    let count = |verdict| verdicts.iter().filter(|other| **other == verdict).count() as u64;
    assert_eq!(report.handed, report.ok + report.dropped + report.processing_failed);
    assert_eq!(report.ok, count(Verdict::Ok));
    assert_eq!(report.dropped, count(Verdict::Dropped));
    assert_eq!(report.reasons.of(Reason::Reingested), done.records);
    Ran { verdicts, report, done, calls: service.calls.into_inner() }
}

/// Four of these fit a response, and a fifth does not.
fn large(letter: u8) -> Vec<u8> {
    vec![letter; 1_000_000]
}

#[test]
fn what_does_not_fit_goes_back_where_it_came_from_with_a_mark() {
    for from_stream in [true, false] {
        let data: Vec<_> = (b'a'..=b'f').map(large).collect();
        let ran = run(&mut engine("nothing"), &request(&data, from_stream), |_, _| Ok(true));
        assert_eq!(ran.verdicts[4..], [Verdict::Dropped, Verdict::Dropped]);
        assert_eq!((ran.report.ok, ran.done.records, ran.done.left), (4, 2, 0));
        let [(to, records)] = &ran.calls[..] else { panic!("{} calls", ran.calls.len()) };
        let (source, key) = if from_stream {
            (Source::Stream("arn:aws:kinesis:r:1:stream/logs".into()), Some("k4".to_owned()))
        } else {
            (Source::Delivery("lake".into()), None)
        };
        assert_eq!((to, &records[0].key), (&source, &key));
        assert_eq!(mark::read(&records[0].data), (1, &data[4][..]));
        // It comes again: its row says that it was put back, and it goes back no more than so often.
        let again = request(&[mark::write(b"x", 3), b"y".to_vec()], from_stream);
        let mut out = Vec::new();
        let report = engine("nothing").transform(&again, &mut out).unwrap();
        let answers = contract::check(&again, &out).unwrap().into_iter();
        let rows: Vec<_> = answers.map(|answer| String::from_utf8(answer.data).unwrap()).collect();
        assert_eq!(rows, ["{\"message\":\"x\",\"reingested\":3}\n", "{\"message\":\"y\"}\n"]);
        assert_eq!(report.ok, 2);
    }
}

#[test]
fn it_ends() {
    let mut data: Vec<_> = (b'a'..=b'd').map(large).collect();
    data.extend((1..=REINGEST_LIMIT).map(|times| mark::write(&large(b'x'), times)));
    let ran = run(&mut engine("nothing"), &request(&data, false), |_, _| Ok(true));
    assert_eq!(ran.done.records, u64::from(REINGEST_LIMIT) - 1);
    assert_eq!(ran.report.reasons.of(Reason::ReingestLimit), 1);
    assert_eq!(ran.verdicts.last(), Some(&Verdict::ProcessingFailed));
}

#[test]
fn what_is_refused_stays_failed() {
    let denied = || ReingestError { operation: "PutRecordBatch", message: "denied".into() };
    let data: Vec<_> = (0..2_600).map(|_| vec![b'a'; 2_400]).collect();
    let request = request(&data, false);
    let fitted = run(&mut engine("nothing"), &request, |_, _| Ok(true));
    let over = fitted.done.records;
    assert!(over > 600, "{over}");
    // 500 records a call.
    let sizes: Vec<_> = fitted.calls.iter().map(|(_, records)| records.len()).collect();
    assert_eq!(sizes, [500, over as usize - 500]);
    // Refused once: offered again.
    let ran = run(&mut engine("nothing"), &request, |call, _| Ok(call >= 2));
    assert_eq!((ran.done.records, ran.done.calls), (over, 4));
    // Refused always.
    let ran = run(&mut engine("nothing"), &request, |_, _| Ok(false));
    assert_eq!((ran.done.records, ran.done.left, ran.done.calls), (0, over, 6));
    assert_eq!(ran.report.reasons.of(Reason::ResponseFull), over);
    // A call that fails ends it; what went back before it did.
    let ran = run(&mut engine("nothing"), &request, |call, _| match call {
        0 => Ok(true),
        _ => Err(denied()),
    });
    assert_eq!((ran.done.records, ran.done.left, ran.done.calls), (500, over - 500, 2));
    assert_eq!(ran.done.error.unwrap().to_string(), "PutRecordBatch failed: denied");
}

#[test]
fn an_envelope_that_no_response_holds_is_split() {
    let message = "m".repeat(1_000);
    let events: Vec<_> =
        (0..6_000).map(|id| format!(r#"{{"id":"{id}","message":"{message}"}}"#)).collect();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let text = format!(
        r#"{{"messageType":"DATA_MESSAGE","logGroup":"g","logEvents":[{}]}}"#,
        events.join(",")
    );
    std::io::Write::write_all(&mut encoder, text.as_bytes()).unwrap();
    let request = request(&[encoder.finish().unwrap()], true);
    let mut engine = engine("cloudwatch_logs");
    let ran = run(&mut engine, &request, |_, _| Ok(true));
    assert_eq!(ran.verdicts, [Verdict::Dropped]);
    let parts: Vec<_> = ran.calls.into_iter().flat_map(|(_, records)| records).collect();
    assert!(parts.len() > 4 && parts.iter().all(|part| part.key.as_deref() == Some("k0")));
    // One part refused: the record stays failed, and that is counted.
    let refusing =
        run(&mut engine, &request, |call, record| Ok(call == 0 && record.data != parts[0].data));
    assert_eq!((refusing.done.in_part, refusing.done.records), (1, 0));
    assert_eq!(refusing.verdicts, [Verdict::ProcessingFailed]);
    // The parts hold every event once, and each fits.
    let mut ids = Vec::new();
    for part in parts {
        let mut rows = Vec::new();
        assert_eq!(engine.convert(&part.data, &mut rows), crate::Outcome::Ok);
        assert!(rows.len() * 4 / 3 < RESPONSE_LIMIT_BYTES / 2, "{}", rows.len());
        for row in serde_json::Deserializer::from_slice(&rows).into_iter::<serde_json::Value>() {
            let row = row.unwrap();
            assert_eq!(row["reingested"], 1);
            ids.push(row["log_event_id"].as_str().unwrap().parse::<u32>().unwrap());
        }
    }
    assert_eq!(ids, (0..6_000).collect::<Vec<_>>());
}

#[test]
fn without_a_place_to_go_back_to_it_stays_failed() {
    let data: Vec<_> = (b'a'..=b'f').map(large).collect();
    let text = String::from_utf8(request(&data, false)).unwrap();
    let text = text.replace("deliveryStreamArn", "somethingElse");
    let ran = run(&mut engine("nothing"), text.as_bytes(), |_, _| Ok(true));
    assert_eq!((ran.done.calls, ran.done.left, ran.report.processing_failed), (0, 2, 2));
}
