//! Handlers of several records at a time, which answer for each.

use std::cell::RefCell;
use std::num::NonZeroUsize;
use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Map, Value};
use tidegate_consumer::report::RetryCause;
use tidegate_consumer::{
    BatchHandler, Bulk, BulkLimits, Call, Consumer, Deadline, Json, OnPoison, OnRetry, Options,
    Outcome, PoisonReason, Processed, Received, Scope,
};

use crate::batch::{
    ALL_SETTLED, Bench, CALL, Memory, check_sums, event, names, number, text, told,
};
use crate::policies::{batch, options};

type Item = Map<String, Value>;

/// Does what its records say, all of a call at once; a call with a `panic` among them panics.
struct Table {
    limits: BulkLimits,
    /// The places of each call.
    calls: RefCell<Vec<Vec<u64>>>,
    delivered: RefCell<Vec<u64>>,
}

const WIDE: BulkLimits = BulkLimits { records: 100, bytes: 1024 * 1024, one_per_key: false };

impl Table {
    fn new(limits: BulkLimits) -> Self {
        Self { limits, calls: RefCell::default(), delivered: RefCell::default() }
    }
}

impl BatchHandler<Item> for &Table {
    fn limits(&self) -> BulkLimits {
        self.limits
    }

    async fn handle(&self, records: &[Received<'_, Item>], _: &Scope<'_>) -> Vec<Outcome> {
        let place = |record: &Received<'_, Item>| record.item["n"].as_u64().unwrap();
        self.calls.borrow_mut().push(records.iter().map(place).collect());
        let what = |record: &Received<'_, Item>| record.item["do"].as_str().unwrap().to_owned();
        assert!(records.iter().all(|record| what(record) != "panic"), "told to");
        let mut outcomes = Vec::new();
        for record in records {
            outcomes.push(match &*what(record) {
                "skip" => Outcome::Skip,
                "retry" => Outcome::Retry("busy".into()),
                "poison" => Outcome::Poison(PoisonReason::Handler, "refused".into()),
                "mute" => continue,
                _ => {
                    self.delivered.borrow_mut().push(place(record));
                    Outcome::Done
                }
            });
        }
        outcomes
    }
}

fn process(table: &Table, store: &Memory, options: Options, words: &str) -> Processed {
    let consumer = Consumer::new(Json::new(), Bulk(table), store).with(options);
    pollster::block_on(consumer.process(&batch(words), &CALL)).unwrap()
}

/// The calls, the first that is not settled, and the reasons of what is kept.
fn calls(
    limits: BulkLimits,
    options: Options,
    words: &str,
) -> (Vec<Vec<u64>>, Option<usize>, Vec<String>) {
    let (table, store) = (Table::new(limits), Memory::default());
    let processed = process(&table, &store, options, words);
    let unsettled = processed.response.first_unsettled();
    let first = (0..100).find(|index| Some(&*number(*index)) == unsettled);
    let kept = store.kept.borrow().values().map(|kept| kept.reason.clone()).collect();
    (table.calls.into_inner(), first, kept)
}

#[test]
fn a_call_holds_what_it_may_and_each_record_has_its_outcome() {
    let few = BulkLimits { records: 2, ..WIDE };
    // A payload has 24 bytes.
    let small = BulkLimits { bytes: 60, ..WIDE };
    let tiny = BulkLimits { bytes: 1, ..WIDE };
    let keys = BulkLimits { one_per_key: true, ..WIDE };
    let five = "a:deliver b:deliver a:deliver c:deliver b:deliver";
    type Case = (
        BulkLimits,
        &'static str,
        &'static [&'static [u64]],
        Option<usize>,
        &'static [&'static str],
    );
    let cases: &[Case] = &[
        (WIDE, five, &[&[0, 1, 2, 3, 4]], None, &[]),
        (few, five, &[&[0, 1], &[2, 3], &[4]], None, &[]),
        (small, five, &[&[0, 1], &[2, 3], &[4]], None, &[]),
        (tiny, "a:deliver b:deliver", &[&[0], &[1]], None, &[]),
        (keys, five, &[&[0, 1], &[2, 3, 4]], None, &[]),
        // Each answer is that of its record, also after one that comes again.
        (WIDE, "a:skip b:poison c:deliver", &[&[0, 1, 2]], None, &["handler"]),
        (WIDE, "a:deliver b:retry c:poison d:deliver", &[&[0, 1, 2, 3]], Some(1), &["handler"]),
        // After that, no further call is made.
        (few, "a:deliver b:retry c:deliver", &[&[0, 1]], Some(1), &[]),
        // The one at which the call panics is found.
        (
            WIDE,
            "a:deliver b:deliver c:deliver d:panic e:deliver",
            &[&[0, 1, 2, 3, 4], &[0, 1], &[2, 3, 4], &[2], &[3, 4], &[3], &[4]],
            None,
            &["panic"],
        ),
        (WIDE, "a:panic", &[&[0]], None, &["panic"]),
        (WIDE, "a:panic b:panic", &[&[0, 1], &[0], &[1]], None, &["panic", "panic"]),
        // One outcome too few: it is not known whose.
        (WIDE, "a:deliver b:mute c:deliver", &[&[0, 1, 2]], Some(0), &[]),
    ];
    for (limits, words, expected, unsettled, reasons) in cases {
        let (made, first, kept) = calls(*limits, Options::default(), words);
        assert_eq!(made, *expected, "{words}");
        assert_eq!(first, *unsettled, "{words}");
        assert_eq!(kept, *reasons, "{words}");
    }
}

#[test]
fn keys_are_fenced_and_parked_between_calls() {
    let keys = BulkLimits { one_per_key: true, ..WIDE };
    let fence = options(OnRetry::FenceKey, OnPoison::Skip);
    let (made, first, _) = calls(keys, fence, "a:retry b:deliver a:deliver b:deliver");
    assert_eq!((made, first), (vec![vec![0, 1], vec![3]], Some(0)));
    let park = options(OnRetry::StopShard, OnPoison::ParkKey);
    let (made, first, kept) = calls(keys, park, "a:poison b:deliver a:deliver b:deliver");
    assert_eq!((made, first), (vec![vec![0, 1], vec![3]], None));
    assert_eq!(kept, ["handler", "blocked_by"]);
}

#[test]
fn a_call_with_the_wrong_number_of_outcomes_says_so() {
    let (table, store) = (Table::new(WIDE), Memory::default());
    let processed = process(&table, &store, Options::default(), "a:deliver b:mute");
    let retry = processed.report.retry.unwrap();
    assert_eq!((retry.cause, &*retry.error), (RetryCause::Handler, "1 outcomes for 2 records"));
    assert_eq!(processed.report.retried, 2);
}

/// What cannot be decoded is no part of a call, and is not settled before those before it.
#[test]
fn a_payload_that_is_refused_divides_a_bulk() {
    let entries = |first: &str| {
        let mut refused = told(1, "deliver");
        refused["kinesis"]["data"] = "W10=".into();
        event(&[told(0, first), refused, told(2, "deliver")])
    };
    for (first, delivered, kept, answer) in
        [("deliver", &[0, 2][..], 1, ALL_SETTLED.to_owned()), ("retry", &[], 0, names(&number(0)))]
    {
        let (table, store) = (Table::new(WIDE), Memory::default());
        let consumer = Consumer::new(Json::new(), Bulk(&table), &store);
        let processed = pollster::block_on(consumer.process(&entries(first), &CALL)).unwrap();
        check_sums(&processed.report);
        assert_eq!(*table.delivered.borrow(), delivered, "{first}");
        assert_eq!((store.kept.borrow().len(), text(&processed)), (kept, answer), "{first}");
    }
    // Poison that stops the shard does not keep those before it from being delivered.
    let stop = options(OnRetry::StopShard, OnPoison::StopShard);
    let (table, store) = (Table::new(WIDE), Memory::default());
    let consumer = Consumer::new(Json::new(), Bulk(&table), &store).with(stop);
    let processed = pollster::block_on(consumer.process(&entries("deliver"), &CALL)).unwrap();
    assert_eq!((table.delivered.into_inner(), text(&processed)), (vec![0], names(&number(1))));
}

#[test]
fn a_handler_knows_its_time() {
    let clock = || Timestamp::from_millisecond(700).unwrap();
    let at = Timestamp::from_millisecond(10_000).unwrap();
    let call = Call { deadline: Some(Deadline { at, clock: &clock }), ..CALL };
    let seen = RefCell::new(Vec::new());
    let handler = async |records: &[Received<'_, Item>], scope: &Scope<'_>| -> Vec<Outcome> {
        seen.borrow_mut().push((scope.end(), scope.time_left()));
        records.iter().map(|_| Outcome::Done).collect()
    };
    let consumer = Consumer::new(Json::new(), Bulk(handler), Memory::default());
    let processed = pollster::block_on(consumer.process(&batch("a:deliver"), &call)).unwrap();
    assert_eq!(text(&processed), ALL_SETTLED);
    // The reserve is a second.
    let end = Timestamp::from_millisecond(9_000).unwrap();
    assert_eq!(*seen.borrow(), [(Some(end), Some(Duration::from_millis(8_300)))]);
    assert_eq!(Scope::default().time_left(), None);
}

fn words() -> impl Strategy<Value = String> {
    let word = (0..3, prop::sample::select(vec!["deliver", "deliver", "skip", "retry", "poison"]));
    prop::collection::vec(word, 0..40).prop_map(|words| {
        words.iter().map(|(key, what)| format!("k{key}:{what} ")).collect::<String>()
    })
}

proptest! {
    /// With one record a call it is as without bulks; with more, the same records are delivered
    /// first, in the order of their keys.
    #[test]
    fn a_bulk_of_one_is_a_record(
        words in words(),
        fence in any::<bool>(),
        park in any::<bool>(),
        lanes in 1_usize..4,
    ) {
        let on_retry = if fence { OnRetry::FenceKey } else { OnRetry::StopShard };
        let on_poison = if park { OnPoison::ParkKey } else { OnPoison::Skip };
        let mut options = options(on_retry, on_poison);
        options.lanes = NonZeroUsize::new(lanes).unwrap();
        let alone = Bench::with(options.clone());
        let expected = alone.process(&batch(&words)).unwrap();

        let one = BulkLimits { records: 1, ..WIDE };
        let (table, store) = (Table::new(one), Memory::default());
        let processed = process(&table, &store, options.clone(), &words);
        prop_assert_eq!(processed, expected.clone());
        prop_assert_eq!(&*table.delivered.borrow(), &alone.delivered());

        let keys = BulkLimits { one_per_key: true, ..WIDE };
        let (table, store) = (Table::new(keys), Memory::default());
        let bulks = process(&table, &store, options, &words);
        if lanes == 1 {
            prop_assert_eq!(bulks.response, expected.response);
        }
        let delivered = table.delivered.borrow();
        let in_order = |key: &u64| delivered.iter().filter(|n| key_of(&words, **n) == *key).is_sorted();
        prop_assert!((0..3).all(|key| in_order(&key)), "{:?}", delivered);
    }
}

fn key_of(words: &str, place: u64) -> u64 {
    let word = words.split_whitespace().nth(usize::try_from(place).unwrap()).unwrap();
    word[1..2].parse().unwrap()
}
