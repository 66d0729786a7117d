//! Who is told of changes and of holds that last, at the end of an invocation.

use std::mem;
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use tidegate_autoscaler::notice::desk::Desk;
use tidegate_autoscaler::notice::{Book, NoticeService};
use tidegate_autoscaler::port::{Clock, LedgerStore};
use tidegate_runtime::{Level, Log};

/// What is kept of an invocation's time for notices.
pub const TIME: SignedDuration = SignedDuration::from_secs(6);

/// Tells them.
pub struct Notices<N> {
    service: N,
    after: SignedDuration,
    /// What the last invocation of this process knew, for when there is no ledger.
    kept: Mutex<Book>,
}

impl<N: NoticeService> Notices<N> {
    /// A hold is told when it has lasted for `after`.
    pub fn new(service: N, after: SignedDuration) -> Self {
        Self { service, after, kept: Mutex::default() }
    }

    /// Begins an invocation.
    pub async fn open<L: LedgerStore>(&self, ledger: Option<&L>) -> Desk {
        let kept = mem::take(&mut *self.kept.lock().unwrap_or_else(PoisonError::into_inner));
        Desk::open(ledger, kept, self.after).await
    }

    /// Ends it: sends what is due and says what became of it. What fails fails no decision.
    pub async fn close<L: LedgerStore, C: Clock>(
        &self,
        desk: Desk,
        ledger: Option<&L>,
        clock: &C,
        until: Timestamp,
        log: &Log,
    ) {
        let (book, told) = desk.close(&self.service, ledger, clock, until).await;
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = book;
        if !told.is_empty() {
            let trouble = told.lost > 0 || !told.failed.is_empty();
            log.event(if trouble { Level::Warn } else { Level::Info }, "notices", &told);
        }
    }
}
