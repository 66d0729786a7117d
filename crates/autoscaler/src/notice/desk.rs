//! A run's notices: the book is read when it begins, and what is due is sent when it ends.

use std::collections::BTreeSet;

use futures_util::{StreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::{Book, Kind, Notice, NoticeService};
use crate::decision::Decision;
use crate::port::{Clock, LedgerStore, Stored};

/// The ledger's item of the book. No stream can have this name.
const ITEM: &str = "/notices";

/// Notices that a run sends: what is left is told by the next ones, so that an outage that holds a
/// thousand streams does not send a thousand messages at once.
const MOST_TOLD: usize = 50;

/// Notices that are under way at once.
const AT_ONCE: usize = 8;

/// What became of a run's notices.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Told {
    /// Those that were taken.
    pub told: usize,
    /// Those of holds that are left for the next run.
    pub left: usize,
    /// Changes of streams that nobody was told of, nor will be.
    pub lost: usize,
    /// What failed, each once.
    pub failed: BTreeSet<String>,
}

impl Told {
    /// Whether there is anything to say.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Where a run's decisions are taken down.
#[derive(Debug)]
pub struct Desk {
    book: Book,
    before: Book,
    /// The revision of the ledger's item; `None` when there is no ledger, or it holds what this
    /// version cannot read and so must not overwrite.
    revision: Option<u64>,
    due: Vec<Notice>,
    after: SignedDuration,
}

impl Desk {
    /// Reads the book. `kept` is what this process knows from the run before: it stands in for a
    /// ledger that is missing or fails.
    pub async fn open<L: LedgerStore>(
        ledger: Option<&L>,
        kept: Book,
        after: SignedDuration,
    ) -> Self {
        let (book, revision) = match ledger {
            None => (kept, None),
            Some(ledger) => match ledger.read(&[ITEM.to_owned()]).await {
                Err(_) => (kept, None),
                Ok(items) => match items.get(ITEM) {
                    None => (kept, Some(0)),
                    Some(stored) => match Book::from_text(&stored.text) {
                        Some(book) => (book, Some(stored.revision)),
                        None => (kept, None),
                    },
                },
            },
        };
        Self { before: book.clone(), book, revision, due: Vec::new(), after }
    }

    /// Takes a decision down.
    pub fn see(&mut self, decision: &Decision) {
        self.due.extend(self.book.see(decision, self.after));
    }

    /// Sends what is due and writes the book back; answers the book too, for the next run of this
    /// process.
    ///
    /// A notice is sent before that is written down: a run that dies in between tells it again, and
    /// none is forgotten. Of two runs at once both may tell.
    pub async fn close<N: NoticeService, L: LedgerStore, C: Clock>(
        mut self,
        service: &N,
        ledger: Option<&L>,
        clock: &C,
        until: Timestamp,
    ) -> (Book, Told) {
        let mut due = std::mem::take(&mut self.due);
        due.sort_by_key(|notice| notice.kind);
        let later = due.split_off(due.len().min(MOST_TOLD));
        let mut told = Told::default();
        let sent: Vec<_> = stream::iter(&due)
            .map(|notice| async move {
                if clock.now() >= until { None } else { Some(service.tell(notice).await) }
            })
            .buffered(AT_ONCE)
            .collect()
            .await;
        for (notice, sent) in due.iter().zip(sent) {
            match sent {
                Some(Ok(())) => {
                    told.told += 1;
                    self.book.told(notice);
                    continue;
                }
                Some(Err(error)) => {
                    told.failed.insert(error.to_string());
                }
                None => {}
            }
            told.count(notice);
        }
        later.iter().for_each(|notice| told.count(notice));
        if let Some(failure) = self.write(ledger).await {
            told.failed.insert(failure);
        }
        (self.book, told)
    }

    /// Writes the book, if anything in it changed; the sentence of why it could not be written.
    async fn write<L: LedgerStore>(&self, ledger: Option<&L>) -> Option<String> {
        let (ledger, revision) = (ledger?, self.revision?);
        if self.book == self.before {
            return None;
        }
        let stored = Stored { revision: revision + 1, text: self.book.to_text() };
        // Another run that wrote meanwhile knows as much.
        ledger.write(ITEM, &stored, revision).await.err().map(|error| error.to_string())
    }
}

impl Told {
    /// Counts a notice that was not taken.
    fn count(&mut self, notice: &Notice) {
        match notice.kind {
            Kind::Resized => self.lost += 1,
            Kind::Held | Kind::Released => self.left += 1,
        }
    }
}
