//! The transform between the modelled stream and bucket, with responses that overflow: over many
//! seeds, every record is delivered or kept, and one that is there twice says so.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::cell::RefCell;
use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64Mcg;
use serde_json::Value;
use tidegate_local::delivery::{Delivery, Settings};
use tidegate_local::fluid::Volume;
use tidegate_local::stream::{Put, Stream};
use tidegate_transform::reingest::{self, Again, Overflow, Reingest, ReingestError, Source};
use tidegate_transform::{Engine, Pipeline, RESPONSE_LIMIT_BYTES, Tables};

const SEEDS: u64 = 12;
const STEP: SignedDuration = SignedDuration::from_secs(30);
const STEPS: i64 = 60;
const STEPS_OF_PUTS: i64 = 6;

/// How often something goes wrong.
#[derive(Debug, Clone, Copy)]
struct Faults {
    /// A record is refused.
    refused: f64,
    /// A call fails as a whole.
    failed: f64,
    /// The function's answer never arrives, after all that it did.
    lost: f64,
}

const NO_FAULTS: Faults = Faults { refused: 0.0, failed: 0.0, lost: 0.0 };

/// The stream as the function sees it: what is put back arrives with the next step.
struct Port {
    arn: String,
    faults: Faults,
    random: RefCell<Pcg64Mcg>,
    arriving: RefCell<Vec<Put>>,
}

impl Reingest for Port {
    async fn put(&self, to: &Source, records: &[&Again]) -> Result<Vec<bool>, ReingestError> {
        assert_eq!(to, &Source::Stream(self.arn.clone()));
        assert!(records.len() <= 500);
        let mut random = self.random.borrow_mut();
        if random.random_bool(self.faults.failed) {
            return Err(ReingestError { operation: "PutRecords", message: "outage".into() });
        }
        let taken = records.iter().map(|record| {
            let refused = random.random_bool(self.faults.refused);
            if !refused {
                let partition_key = record.key.clone().unwrap();
                let data = record.data.clone();
                self.arriving.borrow_mut().push(Put { partition_key, data });
            }
            !refused
        });
        Ok(taken.collect())
    }
}

/// How often each record was delivered without a mark and with one, and how often kept as failed.
type Found = BTreeMap<String, [u32; 3]>;

/// A record: its name, and bytes that take six times their room in JSON.
fn record(name: &str, bytes: usize) -> Vec<u8> {
    [format!("{name} ").as_bytes(), &vec![1; bytes]].concat()
}

fn name(data: &[u8]) -> String {
    let text = String::from_utf8_lossy(data);
    let own = text.rsplit('\0').next().unwrap();
    own.split(' ').next().unwrap().to_owned()
}

/// One world; what became of its records, and how often any was put back.
fn world(seed: u64, faults: Faults) -> (Found, u64, usize) {
    let mut random = Pcg64Mcg::seed_from_u64(seed);
    let mut stream = Stream::new(tidegate_local::stream::Settings {
        name: "logs".into(),
        shards: 4,
        account_shards: 1_000,
        per_operation: STEP,
        readers: 1,
    });
    let settings = Settings { transform_bytes: 900_000, ..Settings::deployed("lake") };
    let mut delivery = Delivery::new(settings, 0, Pcg64Mcg::seed_from_u64(seed));
    let port = Port {
        arn: stream.arn(),
        faults,
        random: RefCell::new(Pcg64Mcg::seed_from_u64(seed + 1)),
        arriving: RefCell::default(),
    };
    let yaml = "input: {format: text}";
    let mut engine = Engine::new(Pipeline::compile(yaml, Tables::default()).unwrap());
    let mut put_back = 0;
    let mut invoke = |event: &[u8]| {
        let (mut out, mut overflow) = (Vec::new(), Overflow::default());
        let mut report = engine.transform_keeping(event, &mut out, &mut overflow).unwrap();
        let back = reingest::put_back(overflow, &port, || true, &mut out, &mut report);
        put_back += pollster::block_on(back).records;
        assert_eq!(report.handed, report.ok + report.dropped + report.processing_failed);
        let lost = port.random.borrow_mut().random_bool(faults.lost);
        if lost { Err("timed out".to_owned()) } else { Ok(out) }
    };
    let mut bucket: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut found = Found::new();
    let mut now = Timestamp::UNIX_EPOCH;
    for step in 0..STEPS {
        let mut puts = port.arriving.take();
        for _ in 0..if step < STEPS_OF_PUTS { random.random_range(0..24) } else { 0 } {
            let name = format!("r{}", found.len());
            let bytes = [0, 1_000, 60_000, 200_000][random.random_range(0..4)];
            puts.push(Put { partition_key: name.clone(), data: record(&name, bytes) });
            found.insert(name, [0; 3]);
        }
        let count = puts.len() as u64;
        assert_eq!(stream.offer(Volume::default(), puts, 1.0, now).records_accepted, count);
        delivery.step(&mut stream, now, &mut invoke, &mut bucket).unwrap();
        now += STEP;
    }
    assert!(port.arriving.borrow().is_empty(), "seed {seed}: it does not end");
    delivery.finish(&stream, now, &mut invoke, &mut bucket).unwrap();
    for (key, body) in &bucket {
        for row in serde_json::Deserializer::from_slice(body).into_iter::<Value>() {
            let row = row.unwrap();
            let (name, kind) = if key.starts_with("errors/") {
                let raw = row["rawData"].as_str().unwrap();
                (name(&base64_simd::STANDARD.decode_to_vec(raw).unwrap()), 2)
            } else {
                let marked = row.get("reingested").is_some();
                (name(row["message"].as_str().unwrap().as_bytes()), usize::from(marked))
            };
            found.get_mut(&name).unwrap()[kind] += 1;
        }
    }
    (found, put_back, delivery.counts.largest_response)
}

#[test]
fn without_faults_every_record_is_delivered_once() {
    let (mut all, mut largest) = (0, 0);
    for seed in 0..SEEDS {
        let (found, put_back, response) = world(seed, NO_FAULTS);
        for (name, [plain, marked, failed]) in found {
            assert_eq!((plain + marked, failed), (1, 0), "seed {seed}: {name}");
        }
        all += put_back;
        largest = largest.max(response);
    }
    assert!(all > 2 * SEEDS, "only {all} were put back");
    assert!(largest <= RESPONSE_LIMIT_BYTES && largest > RESPONSE_LIMIT_BYTES / 2, "{largest}");
}

#[test]
fn with_faults_nothing_is_lost_and_what_is_there_twice_is_marked() {
    let mut twice = 0;
    for seed in 0..SEEDS {
        let faults = Faults { refused: 0.3, failed: 0.2, lost: 0.3 };
        let (found, ..) = world(seed, faults);
        for (name, [plain, marked, failed]) in found {
            assert!(plain + marked + failed > 0, "seed {seed}: {name} is lost");
            assert!(plain <= 1, "seed {seed}: {name} is there {plain} times without a mark");
            twice += u32::from(plain + marked > 1);
        }
    }
    assert!(twice > 0, "the faults were too few");
}
