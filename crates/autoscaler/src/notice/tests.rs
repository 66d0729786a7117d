use std::collections::BTreeMap;
use std::sync::Mutex;

use super::desk::{Desk, Told};
use super::*;
use crate::look::unseen;
use crate::policy::Mode;
use crate::port::{Clock, LedgerStore, ServiceErrorKind, Stored, Tally, Written};
use crate::tags::Wishes;
use crate::{Applied, Policy};

fn at(minute: i64) -> Timestamp {
    Timestamp::from_second(1_788_220_800 + minute * 60).unwrap()
}

fn holds(stream: &str, minute: i64, reason: Reason) -> Decision {
    let wishes = Wishes { policy: Policy::default(), mode: Mode::Active };
    unseen(stream, &wishes, at(minute), reason, "holds: it was said why".to_owned())
}

fn resizes(minute: i64, applied: Applied) -> Decision {
    Decision {
        action: Action::Resize,
        applied,
        open_shards: Some(4),
        target: Some(8),
        ..holds("orders", minute, Reason::DemandAboveCapacity)
    }
}

/// A name, the reasons of the looks, each from its minute on, and what is told.
type Case<'a> = (&'a str, &'a [(i64, Reason)], &'a [&'a str]);

/// What is told of a stream that is held for these reasons, each from its minute on and looked at
/// every five minutes, until the last of them.
fn story(reasons: &[(i64, Reason)], sends: impl Fn(i64) -> bool) -> Vec<String> {
    let mut book = Book::default();
    let mut told = Vec::new();
    let end = reasons.last().map_or(0, |(minute, _)| *minute);
    for minute in (0..=end).step_by(5) {
        let reason = reasons.iter().rev().find(|(from, _)| *from <= minute);
        let decision =
            holds("orders", minute, reason.map_or(Reason::Enough, |(_, reason)| *reason));
        if let Some(notice) = book.see(&decision, AFTER)
            && sends(minute)
        {
            book.told(&notice);
            told.push(format!("{minute}: {}", notice.subject));
        }
        // Each look is another process.
        book = Book::from_text(&book.to_text()).unwrap();
    }
    told
}

#[test]
fn a_hold_that_lasts_is_told_once() {
    let (spent, denied) = (Reason::CallsSpent, Reason::AccessDenied);
    let cases: [Case<'_>; 8] = [
        ("short", &[(0, spent), (25, Reason::Enough)], &[]),
        (
            "long, and over",
            &[(0, spent), (600, Reason::Enough), (700, Reason::Enough)],
            &[
                "30: Tidegate: orders holds for 30m (calls_spent)",
                "600: Tidegate: orders no longer holds (calls_spent), after 10h 0m",
            ],
        ),
        (
            "another reason, which lasts too",
            &[(0, spent), (60, denied), (120, denied)],
            &[
                "30: Tidegate: orders holds for 30m (calls_spent)",
                "90: Tidegate: orders holds for 30m (access_denied)",
            ],
        ),
        (
            "reasons that take turns",
            &[(0, spent), (10, denied), (20, spent), (25, denied), (45, spent), (50, denied)],
            &["30: Tidegate: orders holds for 30m (access_denied)"],
        ),
        (
            "as it should be",
            &[(0, Reason::Enough), (600, Reason::Paused), (900, Reason::Muted)],
            &[],
        ),
        (
            "a look in between that learned nothing",
            &[(0, spent), (15, Reason::Muted), (20, spent), (40, Reason::OutOfTime), (45, spent)],
            &["30: Tidegate: orders holds for 30m (calls_spent)"],
        ),
        (
            "again after a break",
            &[(0, spent), (35, Reason::Enough), (40, spent), (75, spent)],
            &[
                "30: Tidegate: orders holds for 30m (calls_spent)",
                "35: Tidegate: orders no longer holds (calls_spent), after 35m",
                "70: Tidegate: orders holds for 30m (calls_spent)",
            ],
        ),
        (
            "for more than a month",
            &[(0, spent), (31 * 24 * 60, spent)],
            &[
                "30: Tidegate: orders holds for 30m (calls_spent)",
                "43230: Tidegate: orders holds for 30m (calls_spent)",
            ],
        ),
    ];
    for (name, reasons, told) in cases {
        assert_eq!(story(reasons, |_| true), told, "{name}");
    }
}

#[test]
fn what_could_not_be_sent_is_told_later() {
    let reasons = [(0, Reason::CallsSpent), (100, Reason::Enough), (130, Reason::Enough)];
    let told = story(&reasons, |minute| minute >= 60 && minute != 100);
    let expected = [
        "60: Tidegate: orders holds for 1h 0m (calls_spent)",
        "105: Tidegate: orders no longer holds (calls_spent), after 1h 45m",
    ];
    assert_eq!(told, expected);
}

#[test]
fn a_change_is_told_where_it_was_made() {
    for (applied, told) in
        [(Applied::Done, true), (Applied::Shadow, false), (Applied::Refused, false)]
    {
        let notice = Book::default().see(&resizes(0, applied), AFTER);
        let subject = notice.map(|notice| notice.subject);
        let expected = "Tidegate: orders goes from 4 to 8 shards (demand_above_capacity)";
        assert_eq!(subject.as_deref(), told.then_some(expected), "{applied:?}");
    }
    let name = "o".repeat(128);
    let notice =
        Book::default().see(&Decision { stream: name, ..resizes(0, Applied::Done) }, AFTER);
    assert_eq!(notice.unwrap().subject.len(), SUBJECT_CHARS);
}

#[test]
fn a_person_reads_what_a_tool_is_sent() {
    let mut book = Book::default();
    assert_eq!(book.see(&holds("orders", 0, Reason::AccessDenied), AFTER), None);
    let notice = book.see(&holds("orders", 45, Reason::AccessDenied), AFTER).unwrap();
    assert_eq!(
        notice.text(),
        "Tidegate: orders holds for 45m (access_denied)\n\nholds: it was said why\n\n\
         reason: access_denied\nsince: 2026-09-01T00:00:00Z\nat: 2026-09-01T00:45:00Z\n\
         mode: active\n"
    );
    let json = serde_json::to_value(&notice).unwrap();
    assert_eq!((&json["format"], &json["kind"]), (&1.into(), &"held".into()));
    assert_eq!(json["decision"]["reason"], "access_denied");
}

#[test]
fn a_book_of_another_version_is_none() {
    assert_eq!(Book::from_text(&Book::default().to_text()), Some(Book::default()));
    for text in ["", "{}", r#"{"format":2,"held":{}}"#] {
        assert_eq!(Book::from_text(text), None, "{text}");
    }
}

#[test]
fn a_book_fits_an_item_of_dynamodb() {
    let mut book = Book::default();
    for stream in 0..2 * MOST_HELD {
        let name = format!("{stream:0128}");
        for (minute, reason) in [(0, Reason::IteratorAgeUnknown), (30, Reason::MetricsIncomplete)] {
            let notice = book.see(&holds(&name, minute, reason), AFTER);
            notice.iter().for_each(|notice| book.told(notice));
        }
    }
    assert!(book.to_text().len() < 350_000, "{}", book.to_text().len());
}

/// Takes notices, or does not, and counts them; it is the ledger too.
#[derive(Default)]
struct Host {
    refuses: bool,
    told: Mutex<Vec<String>>,
    item: Mutex<Option<Stored>>,
    tally: Tally,
}

impl NoticeService for Host {
    async fn tell(&self, notice: &Notice) -> Result<(), ServiceError> {
        if self.refuses {
            return Err(denied("Publish"));
        }
        self.told.lock().unwrap().push(notice.subject.clone());
        Ok(())
    }
}

fn denied(operation: &'static str) -> ServiceError {
    ServiceError { operation, kind: ServiceErrorKind::Denied, message: "no".to_owned() }
}

impl LedgerStore for Host {
    async fn read(&self, names: &[String]) -> Result<BTreeMap<String, Stored>, ServiceError> {
        let item = self.item.lock().unwrap().clone();
        Ok(item.into_iter().map(|item| (names[0].clone(), item)).collect())
    }

    async fn write(&self, _: &str, stored: &Stored, was: u64) -> Result<Written, ServiceError> {
        let mut item = self.item.lock().unwrap();
        if item.as_ref().map_or(0, |item| item.revision) != was {
            return Ok(Written::Conflict);
        }
        *item = Some(stored.clone());
        Ok(Written::Done)
    }

    fn tally(&self) -> &Tally {
        &self.tally
    }
}

impl Clock for Host {
    fn now(&self) -> Timestamp {
        at(0)
    }

    async fn sleep(&self, _: SignedDuration) {}
}

/// A run over decisions, in a new process; what became of its notices.
fn run(host: &Host, decisions: &[Decision], until: Timestamp) -> Told {
    pollster::block_on(async {
        let mut desk = Desk::open(Some(host), Book::default(), AFTER).await;
        decisions.iter().for_each(|decision| desk.see(decision));
        desk.close(host, Some(host), host, until).await.1
    })
}

#[test]
fn runs_share_the_book_and_send_no_flood() {
    let host = Host::default();
    let decisions = |minute| -> Vec<_> {
        let names = (0..120).map(|stream| format!("s{stream}"));
        names.map(|name| holds(&name, minute, Reason::AccessDenied)).collect()
    };
    let sent = |minute| {
        let told = run(&host, &decisions(minute), Timestamp::MAX);
        (told.told, told.left)
    };
    assert_eq!(
        [0, 29, 30, 35, 40, 45].map(sent),
        [(0, 0), (0, 0), (50, 70), (50, 20), (20, 0), (0, 0)]
    );
    let revision = host.item.lock().unwrap().as_ref().map(|item| item.revision);
    assert_eq!(revision, Some(4), "a run that learned nothing writes nothing");
}

#[test]
fn a_change_comes_first_and_a_failure_is_said() {
    let host = Host::default();
    let _ = run(&host, &[holds("clicks", 0, Reason::AccessDenied)], Timestamp::MAX);
    let both = [holds("clicks", 30, Reason::AccessDenied), resizes(30, Applied::Done)];
    let told = run(&host, &both, at(0));
    assert_eq!((told.told, told.left, told.lost), (0, 1, 1), "the run had no time");
    let told = run(&Host { refuses: true, ..Host::default() }, &both[1..], Timestamp::MAX);
    assert_eq!((told.lost, told.failed.first().map(String::as_str)), (1, Some("Publish: no")));
    let _ = run(&host, &both, Timestamp::MAX);
    let told = host.told.lock().unwrap().clone();
    assert!(told[0].contains("goes from 4 to 8") && told[1].contains("clicks holds"), "{told:?}");
}

#[test]
fn a_book_that_cannot_be_read_is_left_alone() {
    let later = Stored { revision: 7, text: r#"{"format":2,"held":{}}"#.to_owned() };
    let host = Host { item: Mutex::new(Some(later.clone())), ..Host::default() };
    let _ = run(&host, &[holds("orders", 0, Reason::AccessDenied)], Timestamp::MAX);
    assert_eq!(*host.item.lock().unwrap(), Some(later));
    // The process remembers meanwhile.
    let told = pollster::block_on(async {
        let mut kept = Book::default();
        let mut told = 0;
        for minute in [0, 30, 60] {
            let mut desk = Desk::open(Some(&host), kept, AFTER).await;
            desk.see(&holds("orders", minute, Reason::AccessDenied));
            let (book, said) = desk.close(&host, Some(&host), &host, Timestamp::MAX).await;
            kept = book;
            told += said.told;
        }
        told
    });
    assert_eq!(told, 1);
}
