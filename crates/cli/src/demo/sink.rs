//! The demo's consumer: access log lines in, counted by status, health checks skipped.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use tidegate_consumer::{Outcome, Record, RecordHandler};
use tidegate_transform::formats::apache::{AccessLine, Request};

pub use tidegate_consumer::decode::AccessLog;

/// Where the consumer delivers to: a tally that is sometimes down. Clones share it.
#[derive(Clone, Default)]
pub struct Sink(Rc<Tally>);

#[derive(Default)]
struct Tally {
    down: Cell<bool>,
    by_status: RefCell<BTreeMap<u16, u64>>,
}

impl Sink {
    /// Takes the sink down, or up again.
    pub fn set_down(&self, down: bool) {
        self.0.down.set(down);
    }

    /// Delivered records by the hundreds of their status.
    pub fn by_status(&self) -> BTreeMap<u16, u64> {
        self.0.by_status.borrow().clone()
    }
}

impl RecordHandler<AccessLine<'_>> for Sink {
    async fn handle(&self, line: AccessLine<'_>, _: &Record<'_>) -> Outcome {
        if self.0.down.get() {
            return Outcome::Retry("the sink is down".into());
        }
        if let Request::Split { path, .. } = line.request
            && path.as_logged() == "/healthz"
        {
            return Outcome::Skip;
        }
        let class = line.status / 100 * 100;
        *self.0.by_status.borrow_mut().entry(class).or_default() += 1;
        Outcome::Done
    }
}
