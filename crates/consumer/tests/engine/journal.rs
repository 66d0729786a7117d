//! Crashes, hangs and running out of memory: the process is gone in the middle of a batch, and the
//! next one finds its notes.

use std::cell::RefCell;
use std::future::{Future, pending};
use std::num::NonZeroUsize;
use std::path::Path;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use serde_json::{Map, Value};
use tidegate_consumer::{
    Bulk, BulkLimits, Consumer, Journal, Json, Options, Outcome, Processed, Received, Record, Scope,
};

use crate::batch::{ALL_SETTLED, CALL, Memory, check_sums, event, number, text, told};

type Item = Map<String, Value>;

/// A process: its memory is new, and the folder is the one that the last one left.
struct Process<'f> {
    folder: &'f Path,
    store: &'f Memory,
    lanes: usize,
    /// Records are handled several at a time.
    bulk: bool,
}

impl Process<'_> {
    /// Processes a batch, and ends in the middle of it at a record that says `crash`. The places
    /// of what was delivered, and the end of it, if there is one.
    fn run(&self, entries: &[Value]) -> (Vec<u64>, Option<Processed>) {
        let delivered = RefCell::new(Vec::new());
        let one = async |item: &Item| {
            if item["do"] == "crash" {
                pending::<()>().await;
            }
            delivered.borrow_mut().push(item["n"].as_u64().unwrap());
        };
        let mut options = Options::default();
        options.lanes = NonZeroUsize::new(self.lanes).unwrap();
        let journal = Journal::open(self.folder).unwrap();
        let body = event(entries);
        let processed = if self.bulk {
            let table = Table(async |records: &[Received<'_, Item>], _: &Scope<'_>| {
                for record in records {
                    one(&record.item).await;
                }
                records.iter().map(|_| Outcome::Done).collect::<Vec<_>>()
            });
            let consumer = Consumer::new(Json::new(), Bulk(table), self.store);
            let consumer = consumer.with(options).journal(journal);
            until_it_hangs(consumer.process(&body, &CALL))
        } else {
            let handler = async |item: Item, _: &Record<'_>| one(&item).await;
            let consumer = Consumer::new(Json::new(), handler, self.store);
            let consumer = consumer.with(options).journal(journal);
            until_it_hangs(consumer.process(&body, &CALL))
        };
        (delivered.into_inner(), processed.map(Result::unwrap))
    }
}

/// A bulk handler that takes several records of a key.
struct Table<F>(F);

impl<F> tidegate_consumer::BatchHandler<Item> for Table<F>
where
    F: AsyncFn(&[Received<'_, Item>], &Scope<'_>) -> Vec<Outcome>,
{
    fn limits(&self) -> BulkLimits {
        BulkLimits { one_per_key: false, ..BulkLimits::default() }
    }

    async fn handle(&self, records: &[Received<'_, Item>], scope: &Scope<'_>) -> Vec<Outcome> {
        (self.0)(records, scope).await
    }
}

/// Nothing of a process that ends runs any more, so nothing of the future is dropped either.
fn until_it_hangs<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = Box::pin(future);
    match pin!(future.as_mut()).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => {
            std::mem::forget(future);
            None
        }
    }
}

fn entries(crashing: &[usize]) -> Vec<Value> {
    let what = |index| if crashing.contains(&index) { "crash" } else { "deliver" };
    (0..6).map(|index| told(index, what(index))).collect()
}

#[test]
fn what_crashes_the_function_twice_is_quarantined_alone() {
    for (lanes, bulk) in [(1, false), (4, false), (1, true), (4, true)] {
        let folder = tempfile::tempdir().unwrap();
        let store = Memory::default();
        let process = Process { folder: folder.path(), store: &store, lanes, bulk };
        let entries = entries(&[2, 4]);
        let mut ends = Vec::new();
        for _ in 0..4 {
            let (delivered, processed) = process.run(&entries);
            if let Some(processed) = processed {
                check_sums(&processed.report);
                ends.push((delivered, text(&processed)));
            } else {
                ends.push((delivered, "crashed".to_owned()));
            }
        }
        // Once as ever, then with care: up to the first, up to the second, to the end.
        let ends: Vec<_> = ends.iter().map(|(delivered, end)| (&delivered[..], &**end)).collect();
        let careful: [(&[u64], &str); 3] =
            [(&[0, 1], "crashed"), (&[0, 1, 3], "crashed"), (&[0, 1, 3, 5], ALL_SETTLED)];
        assert_eq!(ends[1..], careful, "{lanes}, {bulk}");
        assert_eq!(ends[0].1, "crashed");
        let kept: Vec<_> = store.kept.borrow().values().cloned().collect();
        let kept: Vec<_> =
            kept.iter().map(|kept| (&*kept.reason, kept.sequence_number.clone())).collect();
        let suspect = "crash_suspect";
        assert_eq!(kept, [(suspect, Some(number(2))), (suspect, Some(number(4)))]);
    }
}

#[test]
fn care_ends_with_the_batch() {
    let folder = tempfile::tempdir().unwrap();
    let store = Memory::default();
    let process = Process { folder: folder.path(), store: &store, lanes: 1, bulk: false };
    let careful = || {
        // With care, the place of the record in hand is written.
        let notes: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
        notes.into_iter().any(|note| note.unwrap().metadata().unwrap().len() > 4096)
    };
    assert_eq!(process.run(&entries(&[])).0, [0, 1, 2, 3, 4, 5]);
    assert!(!careful(), "a batch without a crash costs a note, and no record does");
    assert_eq!(process.run(&entries(&[3])).1, None);
    // Another version of the function does not crash any more. Another shard is none of it.
    let elsewhere: Vec<_> = entries(&[])
        .into_iter()
        .map(|mut entry| {
            entry["eventID"] = "shardId-000000000007:1".into();
            entry
        })
        .collect();
    assert_eq!(process.run(&elsewhere).0.len(), 6);
    assert!(!careful());
    assert_eq!(process.run(&entries(&[])).0.len(), 6);
    assert!(careful());
    // Nothing of it is left: the next crash of the same records is a first one.
    assert_eq!(process.run(&entries(&[3])).1, None);
    assert_eq!(process.run(&entries(&[])).0.len(), 6);
    assert_eq!(store.kept.borrow().len(), 0);
}

/// With bisecting, the batch comes again in halves.
#[test]
fn a_half_of_a_crashed_batch_is_handled_with_care() {
    let folder = tempfile::tempdir().unwrap();
    let store = Memory::default();
    let process = Process { folder: folder.path(), store: &store, lanes: 1, bulk: false };
    let entries = entries(&[4]);
    assert_eq!(process.run(&entries).1, None);
    assert_eq!(process.run(&entries[..3]).0, [0, 1, 2]);
    assert_eq!(process.run(&entries[3..]), (vec![3], None));
    assert_eq!(process.run(&entries[3..4]).0, [3]);
    assert_eq!(process.run(&entries[4..]).0, [5]);
    assert_eq!(store.kept.borrow().len(), 1);
}

#[test]
fn a_future_that_is_dropped_is_no_crash() {
    let folder = tempfile::tempdir().unwrap();
    let handler = async |_: &str, _: &Record<'_>| pending::<()>().await;
    let consumer = Consumer::new(tidegate_consumer::Text, handler, Memory::default())
        .journal(Journal::open(folder.path()).unwrap());
    let body = event(&[told(0, "deliver")]);
    {
        let mut future = pin!(consumer.process(&body, &CALL));
        assert!(future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    let note = std::fs::read_to_string(folder.path().join("batch-0")).unwrap();
    assert!(note.starts_with("{\"turn\":1}\n"), "{note}");
}

#[test]
fn a_journal_that_cannot_be_written_stops_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::open(folder.path()).unwrap();
    std::fs::remove_dir_all(journal.folder()).unwrap();
    let handler = async |_: &str, _: &Record<'_>| {};
    let consumer =
        Consumer::new(tidegate_consumer::Text, handler, Memory::default()).journal(journal);
    let body = event(&[told(0, "deliver")]);
    let processed = pollster::block_on(consumer.process(&body, &CALL)).unwrap();
    assert_eq!(text(&processed), ALL_SETTLED);
    assert_eq!(processed.report.troubles, ["journal: No such file or directory (os error 2)"]);
}
