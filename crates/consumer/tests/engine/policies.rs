//! What becomes of the records after one that comes again or is poison, of a batch that is all
//! poison, and of one for which the time does not suffice.

use std::cell::Cell;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tidegate_consumer::report::RetryCause;
use tidegate_consumer::{Breaker, Call, Deadline, OnPoison, OnRetry, Options, Report};

use crate::batch::{
    ALL_SETTLED, Bench, CALL, altered, check_poison, entry, event, names, number, text, told,
};

/// A batch written as `a:deliver b:retry …`: each word a partition key and what the handler does.
pub fn batch(words: &str) -> Vec<u8> {
    let entries: Vec<_> = words
        .split_whitespace()
        .enumerate()
        .map(|(index, word)| {
            let (key, what) = word.split_once(':').unwrap();
            let payload = json!({"n": index, "do": what}).to_string();
            let data = base64_simd::STANDARD.encode_to_string(&payload);
            let mut entry = altered(index, &["kinesis", "data"], json!(data));
            entry["kinesis"]["partitionKey"] = json!(key);
            entry
        })
        .collect();
    event(&entries)
}

pub fn options(on_retry: OnRetry, on_poison: OnPoison) -> Options {
    let mut options = Options::default();
    options.on_retry = on_retry;
    options.on_poison = on_poison;
    options
}

/// Delivered, skipped, quarantined, retried, not attempted.
fn counts(report: &Report) -> [u64; 5] {
    let Report { received, delivered, skipped, quarantined, retried, not_attempted, .. } = *report;
    let counts = [delivered, skipped, quarantined, retried, not_attempted];
    assert_eq!(counts.iter().sum::<u64>(), received);
    check_poison(report);
    counts
}

#[test]
fn each_policy_does_what_it_says() {
    use OnPoison::{ParkKey, Skip};
    use OnRetry::{FenceKey, StopShard};

    // The policies, the batch, what is delivered, the first that is not settled, the reasons of what
    // is kept, and the counts.
    type Case = (
        OnRetry,
        OnPoison,
        &'static str,
        &'static [u64],
        Option<usize>,
        &'static [&'static str],
        [u64; 5],
    );
    let stop = OnPoison::StopShard;
    let cases: &[Case] = &[
        (
            StopShard,
            Skip,
            "a:deliver b:retry a:deliver b:deliver",
            &[0],
            Some(1),
            &[],
            [1, 0, 0, 1, 2],
        ),
        (
            FenceKey,
            Skip,
            "a:deliver b:retry a:deliver b:deliver",
            &[0, 2],
            Some(1),
            &[],
            [2, 0, 0, 1, 1],
        ),
        (
            FenceKey,
            Skip,
            "a:retry b:retry c:skip a:poison b:panic",
            &[],
            Some(0),
            &[],
            [0, 1, 0, 2, 2],
        ),
        (StopShard, Skip, "a:poison a:deliver", &[1], None, &["handler"], [1, 0, 1, 0, 0]),
        (
            StopShard,
            ParkKey,
            "a:poison b:deliver a:deliver a:retry b:deliver",
            &[1, 4],
            None,
            &["handler", "blocked_by", "blocked_by"],
            [2, 0, 3, 0, 0],
        ),
        (StopShard, ParkKey, "a:retry a:poison b:deliver", &[], Some(0), &[], [0, 0, 0, 1, 2]),
        (
            FenceKey,
            ParkKey,
            "a:poison b:retry a:deliver b:deliver c:deliver",
            &[4],
            Some(1),
            &["handler", "blocked_by"],
            [1, 0, 2, 1, 1],
        ),
        (StopShard, stop, "a:deliver b:poison c:deliver", &[0], Some(1), &[], [1, 0, 0, 1, 1]),
        (FenceKey, stop, "a:deliver b:poison c:deliver", &[0], Some(1), &[], [1, 0, 0, 1, 1]),
        (
            FenceKey,
            stop,
            "a:retry b:deliver c:poison d:deliver",
            &[1],
            Some(0),
            &[],
            [1, 0, 0, 2, 1],
        ),
    ];
    for (on_retry, on_poison, words, delivered, unsettled, reasons, expected) in cases {
        let case = format!("{on_retry:?}, {on_poison:?}: {words}");
        let bench = Bench::with(options(*on_retry, *on_poison));
        let processed = bench.process(&batch(words)).unwrap();
        assert_eq!(bench.delivered(), *delivered, "{case}");
        let answer = unsettled.map_or(ALL_SETTLED.to_owned(), |index| names(&number(index)));
        assert_eq!(text(&processed), answer, "{case}");
        let kept: Vec<_> = bench.kept().iter().map(|kept| kept.reason.clone()).collect();
        assert_eq!(kept, *reasons, "{case}");
        assert_eq!(counts(&processed.report), *expected, "{case}");
    }
}

#[test]
fn what_blocks_a_record_is_named() {
    let bench = Bench::with(options(OnRetry::StopShard, OnPoison::ParkKey));
    let _ = bench.process(&batch("a:poison a:deliver")).unwrap();
    let expected = format!("the record {} of its partition key is poison", number(0));
    assert_eq!(bench.kept()[1].error.line(), expected);
}

#[test]
fn a_poison_record_that_stops_the_shard_is_told() {
    let bench = Bench::with(options(OnRetry::StopShard, OnPoison::StopShard));
    let retry = bench.process(&batch("a:panic")).unwrap().report.retry.unwrap();
    assert_eq!(retry.cause, RetryCause::Poison);
    assert_eq!(retry.error, "panic: the code panicked at this record");
    assert_eq!(bench.kept(), []);
}

#[test]
fn without_its_store_a_key_is_fenced() {
    let bench =
        Bench { options: options(OnRetry::FenceKey, OnPoison::Skip), ..Bench::with_outages([0]) };
    let processed = bench.process(&batch("a:poison a:deliver b:deliver")).unwrap();
    assert_eq!(bench.delivered(), [2]);
    assert_eq!(text(&processed), names(&number(0)));
    assert_eq!(counts(&processed.report), [1, 0, 0, 1, 1]);
}

/// So many poison records, and others after them.
fn mostly(poison: usize, sound: usize) -> Vec<u8> {
    let words = |word: &str, count: usize| format!("{word} ").repeat(count);
    batch(&(words("a:poison", poison) + &words("b:deliver", sound)))
}

#[test]
fn a_batch_of_poison_is_an_outage() {
    // Poison records and others, and whether that is taken for an outage.
    let cases = [
        (19, 0, false),
        (20, 0, true),
        (20, 2, true),
        (20, 3, false),
        (90, 10, true),
        (89, 11, false),
        (100, 0, true),
    ];
    for (poison, sound, outage) in cases {
        let bench = Bench::default();
        let processed = bench.process(&mostly(poison, sound)).unwrap();
        let report = &processed.report;
        if !outage {
            assert_eq!(text(&processed), ALL_SETTLED, "{poison}, {sound}");
            assert_eq!(counts(report), [sound as u64, 0, poison as u64, 0, 0]);
            continue;
        }
        assert_eq!(text(&processed), names(&number(0)), "{poison}, {sound}");
        assert_eq!((bench.kept(), report.retried), (vec![], 1));
        counts(report);
        let retry = report.retry.as_ref().unwrap();
        assert_eq!(retry.cause, RetryCause::Breaker);
        let least = (poison + sound) * 9 / 10;
        let expected = format!(
            "{} of {} records are poison, which is taken for an outage; the first: handler: refused",
            least.max(20),
            poison + sound,
        );
        assert_eq!(retry.error, expected);
    }
}

/// What a record expands to, or a log event's envelope, can be far more than an event.
#[test]
fn poison_waits_for_the_breaker_within_bounds() {
    // Up to 40 of the batch have 2 MiB each, of which 32 MiB may wait; whether the poison is taken for
    // an outage, though the 90 % of the whole are out of sight.
    for (sound, outage) in [(0, true), (6, false)] {
        let large = "x".repeat(1_200_000);
        let entries: Vec<_> = (0..100)
            .map(|index| match index {
                _ if index < sound || index >= 40 => told(index, "deliver"),
                _ => entry(index, large.as_bytes()),
            })
            .collect();
        let bench = Bench::default();
        let report = bench.process(&event(&entries)).unwrap().report;
        if outage {
            let error = report.retry.as_ref().unwrap().error.clone();
            let start =
                "21 of 100 records are poison, which is taken for an outage; the first: parse";
            assert!(error.starts_with(start), "{error}");
        } else {
            let large = 40 - sound as u64;
            assert_eq!(counts(&report), [100 - large, 0, large, 0, 0]);
        }
    }
}

#[test]
fn sound_records_before_an_outage_are_settled() {
    let words = "b:deliver ".to_owned() + &"a:poison ".repeat(30);
    let bench = Bench::default();
    let processed = bench.process(&batch(&words)).unwrap();
    assert_eq!(text(&processed), names(&number(1)));
    assert_eq!(bench.delivered(), [0]);
}

#[test]
fn patience_ends_an_outage() {
    // As the records of a batch are stamped.
    let arrival: Timestamp = "2025-11-21T00:00:00.5Z".parse().unwrap();
    for (minutes, quarantined) in [(60, 0), (61, 30)] {
        let call = Call { now: arrival + SignedDuration::from_mins(minutes), ..CALL };
        let bench = Bench::default();
        let processed = bench.process_in(&mostly(30, 0), &call).unwrap();
        assert_eq!(processed.report.quarantined, quarantined, "{minutes}");
    }
    // And of one whose age is not known, there is none.
    let entries: Vec<_> = (0..30)
        .map(|index| {
            let mut entry = altered(index, &["kinesis", "data"], json!("e30="));
            entry["kinesis"]["approximateArrivalTimestamp"] = Value::Null;
            entry["kinesis"]["data"] = json!("W10=");
            entry
        })
        .collect();
    let bench = Bench::default();
    assert_eq!(bench.process(&event(&entries)).unwrap().report.quarantined, 30);
}

#[test]
fn a_breaker_has_its_own_figures() {
    let mut options = Options::default();
    options.breaker = None;
    let report = Bench::with(options.clone()).process(&mostly(100, 0)).unwrap().report;
    assert_eq!(report.quarantined, 100);
    options.breaker = Some(Breaker { records_min: 2, percent_min: 50, ..Breaker::default() });
    let report = Bench::with(options).process(&mostly(2, 2)).unwrap().report;
    assert_eq!((report.quarantined, report.delivered), (0, 0));
}

#[test]
fn what_is_parked_is_no_sign_of_an_outage() {
    let words = "a:poison ".to_owned() + &"a:deliver ".repeat(50);
    let bench = Bench::with(options(OnRetry::StopShard, OnPoison::ParkKey));
    let processed = bench.process(&batch(&words)).unwrap();
    assert_eq!(counts(&processed.report), [0, 0, 51, 0, 0]);
}

/// Of ten records, so many are started when each takes `each_ms` of the `limit_ms` that there are.
fn started(limit_ms: i64, reserve_ms: u64, each_ms: i64) -> u64 {
    let passed = AtomicI64::new(0);
    // It is asked once before each record.
    let clock =
        || Timestamp::from_millisecond(passed.fetch_add(each_ms, Ordering::Relaxed)).unwrap();
    let at = Timestamp::from_millisecond(limit_ms).unwrap();
    let call = Call { deadline: Some(Deadline { at, clock: &clock }), ..CALL };
    let mut options = Options::default();
    options.reserve = Duration::from_millis(reserve_ms);
    let bench = Bench::with(options);
    let processed = bench.process_in(&batch(&"a:deliver ".repeat(10)), &call).unwrap();
    let delivered = processed.report.delivered;
    assert_eq!(counts(&processed.report), [delivered, 0, 0, 0, 10 - delivered]);
    match usize::try_from(delivered).unwrap() {
        10 => assert_eq!(text(&processed), ALL_SETTLED),
        next => {
            assert_eq!(text(&processed), names(&number(next)));
            let retry = processed.report.retry.unwrap();
            assert_eq!(retry.cause, RetryCause::Deadline);
            let left = limit_ms - each_ms * i64::try_from(next).unwrap();
            assert_eq!(retry.error, format!("{left} ms are left of the invocation"));
        }
    }
    delivered
}

#[test]
fn no_record_is_started_that_the_time_does_not_suffice_for() {
    let cases = [
        // Enough for all.
        ((60_000, 1_000, 10), 10),
        // The reserve: the sixth would begin with less than a second left.
        ((6_000, 1_000, 1_000), 5),
        // Twice the slowest record is more than the reserve.
        ((6_000, 100, 1_000), 5),
        // A reserve of more than half of the time is half of it.
        ((1_000, 5_000, 100), 6),
        // The first is always started.
        ((1_000, 1_000, 5_000), 1),
    ];
    for ((limit, reserve, each), expected) in cases {
        assert_eq!(started(limit, reserve, each), expected, "{limit}, {reserve}, {each}");
    }
}

mod lanes {
    use std::collections::BTreeMap;
    use std::task::Poll;

    use proptest::prelude::*;
    use serde_json::Map;
    use tidegate_consumer::{Consumer, Json, Outcome, Record};

    use super::*;
    use crate::batch::Memory;

    /// Waits for so many turns.
    async fn turns(mut count: u64) {
        std::future::poll_fn(|context| {
            if count == 0 {
                return Poll::Ready(());
            }
            count -= 1;
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }

    proptest! {
        /// Whatever the policies, the lanes and the time that each record takes, and however often a
        /// batch comes again: the first deliveries of a key are in order, no more lanes than allowed
        /// are at work, and each record ends delivered or in quarantine.
        #[test]
        fn keys_keep_their_order(
            lanes in 1_usize..9,
            fence in any::<bool>(),
            park in any::<bool>(),
            records in prop::collection::vec((0_u64..5, 0_u64..4, 0_u8..12), 1..60),
            outages in prop::collection::btree_set(0_usize..10, 0..4),
        ) {
            let words: String = records
                .iter()
                .map(|(key, wait, fate)| match fate {
                    0 => format!("{key}:poison-{wait} "),
                    1 | 2 => format!("{key}:retry-{wait} "),
                    _ => format!("{key}:deliver-{wait} "),
                })
                .collect();
            let mut options = options(
                if fence { OnRetry::FenceKey } else { OnRetry::StopShard },
                if park { OnPoison::ParkKey } else { OnPoison::Skip },
            );
            options.lanes = NonZeroUsize::new(lanes).unwrap();
            let (busy, busiest) = (Cell::new(0), Cell::new(0));
            let tried: Vec<_> = records.iter().map(|_| Cell::new(false)).collect();
            let first = std::cell::RefCell::new(BTreeMap::<String, Vec<u64>>::new());
            let handler = async |item: Map<String, Value>, record: &Record<'_>| -> Outcome {
                let index = item["n"].as_u64().unwrap();
                let (what, wait) = item["do"].as_str().unwrap().split_once('-').unwrap();
                busy.set(busy.get() + 1);
                busiest.set(busiest.get().max(busy.get()));
                turns(wait.parse().unwrap()).await;
                busy.set(busy.get() - 1);
                let again = tried[index as usize].replace(true);
                match what {
                    "poison" => Outcome::Poison(tidegate_consumer::PoisonReason::Handler, "no".into()),
                    "retry" if !again => Outcome::Retry("busy".into()),
                    _ => {
                        let key = record.partition_key().unwrap().to_owned();
                        let mut first = first.borrow_mut();
                        let seen = first.entry(key).or_default();
                        if !seen.contains(&index) {
                            seen.push(index);
                        }
                        Outcome::Done
                    }
                }
            };
            let store = Memory::with_outages(outages.iter().copied());
            let consumer = Consumer::new(Json::new(), handler, &store).with(options);
            let whole: Value = serde_json::from_slice(&batch(&words)).unwrap();
            let entries = whole["Records"].as_array().unwrap();
            let mut from = 0;
            for _ in 0..=records.len() + outages.len() {
                let processed =
                    pollster::block_on(consumer.process(&event(&entries[from..]), &CALL)).unwrap();
                counts(&processed.report);
                let Some(name) = processed.response.first_unsettled() else {
                    from = entries.len();
                    break;
                };
                from = (from..entries.len()).find(|index| number(*index) == name).unwrap();
            }
            prop_assert_eq!(from, entries.len(), "it never ends");
            prop_assert!(busiest.get() <= lanes);
            for seen in first.borrow().values() {
                prop_assert!(seen.is_sorted(), "{:?}", seen);
            }
            let kept = store.kept.borrow();
            for (index, (key, _, fate)) in records.iter().enumerate() {
                let delivered = first
                    .borrow()
                    .get(&key.to_string())
                    .is_some_and(|seen| seen.contains(&(index as u64)));
                let kept = kept.values().any(|kept| kept.sequence_number == Some(number(index)));
                prop_assert!(delivered || kept, "{index} is lost");
                prop_assert!(!delivered || *fate != 0);
                prop_assert!(park || kept == (*fate == 0), "{index}");
            }
        }
    }

    #[test]
    fn keys_are_handled_at_the_same_time() {
        let mut options = Options::default();
        options.lanes = NonZeroUsize::new(8).unwrap();
        let (busy, busiest) = (Cell::new(0), Cell::new(0));
        let handler = async |_: Map<String, Value>, _: &Record<'_>| {
            busy.set(busy.get() + 1);
            busiest.set(busiest.get().max(busy.get()));
            turns(3).await;
            busy.set(busy.get() - 1);
        };
        let store = Memory::default();
        let consumer = Consumer::new(Json::new(), handler, &store).with(options);
        let words: String = (0..64).map(|key| format!("{key}:deliver ")).collect();
        let processed = pollster::block_on(consumer.process(&batch(&words), &CALL)).unwrap();
        assert_eq!(processed.report.delivered, 64);
        assert!(busiest.get() > 4, "{}", busiest.get());
    }
}
