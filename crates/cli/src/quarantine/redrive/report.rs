//! What a redrive did, for a person and for a program.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use serde_json::json;

use super::{Fate, Plan, Record, Scan};
use crate::quarantine::list::short;

/// Records that are named one by one.
const NAMED: usize = 20;

pub struct Report {
    to: String,
    apply: bool,
    /// Records that are to be sent, in so many batches.
    planned: (usize, usize),
    /// Records that are left alone, by the reason.
    held: BTreeMap<String, u64>,
    taken: u64,
    poison_again: BTreeMap<String, u64>,
    left: BTreeMap<String, u64>,
    named: Vec<String>,
    unreadable: usize,
    finished: usize,
    was_run: bool,
    /// Why the run ended before its end.
    pub stopped: Option<String>,
    pub took: Duration,
}

impl Report {
    pub fn new(to: &str, apply: bool, scan: &Scan) -> Self {
        Self {
            to: to.to_owned(),
            apply,
            planned: (0, 0),
            held: BTreeMap::new(),
            taken: 0,
            poison_again: BTreeMap::new(),
            left: BTreeMap::new(),
            named: Vec::new(),
            unreadable: scan.unreadable.len(),
            finished: scan.finished.len(),
            was_run: false,
            stopped: None,
            took: Duration::ZERO,
        }
    }

    pub fn plan(&mut self, plan: &Plan) {
        self.planned = (plan.records(), plan.batches.len());
        self.held = plan.held.clone();
    }

    pub fn add(&mut self, record: &Record, fate: &Fate) {
        self.was_run = true;
        let (counts, what) = match fate {
            Fate::Taken => {
                self.taken += 1;
                return;
            }
            Fate::PoisonAgain(reason) => (&mut self.poison_again, format!("{reason} again")),
            Fate::Left(why) => (&mut self.left, format!("left: {why}")),
        };
        let reason = match fate {
            Fate::PoisonAgain(reason) | Fate::Left(reason) => reason.clone(),
            Fate::Taken => String::new(),
        };
        *counts.entry(reason).or_default() += 1;
        if self.named.len() < NAMED {
            let before = &record.envelope.reason;
            self.named.push(format!("  {}  {before:<12} {what}", short(&record.id)));
        }
    }

    pub fn progress(&self) -> String {
        format!("{} taken, {} poison again, {} left", self.taken, self.again(), self.stayed())
    }

    fn again(&self) -> u64 {
        self.poison_again.values().sum()
    }

    fn stayed(&self) -> u64 {
        self.left.values().sum()
    }

    /// Whether everything that passes the filter is out of quarantine, or would be.
    pub fn is_complete(&self) -> bool {
        let good = self.poison_again.is_empty() && self.left.is_empty() && self.held.is_empty();
        good && self.stopped.is_none() && self.unreadable == 0
    }

    pub fn json(&self) -> String {
        json!({
            "to": self.to,
            "applied": self.apply,
            "records": self.planned.0,
            "batches": self.planned.1,
            "taken": self.taken,
            "poison_again": self.poison_again,
            "left": self.left,
            "held": self.held,
            "unreadable": self.unreadable,
            "finished_before": self.finished,
            "stopped": self.stopped,
            "seconds": self.took.as_secs_f64(),
        })
        .to_string()
    }

    pub fn text(&self) -> String {
        let (records, batches) = self.planned;
        let to = &self.to;
        let mut text = match (self.was_run, self.apply) {
            (true, true) => format!("redriven   {} of {records} records to {to}", self.taken),
            (true, false) => {
                format!("tried      {} of {records} records would be taken by {to}", self.taken)
            }
            (false, true) => format!("redriven   nothing; {records} records to {to}"),
            (false, false) => format!("would send {records} records in {batches} batches to {to}"),
        };
        for (name, counts) in
            [("again", &self.poison_again), ("left", &self.left), ("held back", &self.held)]
        {
            if !counts.is_empty() {
                let total: u64 = counts.values().sum();
                let _ = write!(text, "\n{name:<10} {total}: {}", each(counts));
            }
        }
        for line in &self.named {
            let _ = write!(text, "\n{line}");
        }
        let more = self.again() + self.stayed();
        if more > self.named.len() as u64 {
            let _ = write!(text, "\n  … and {} more", more - self.named.len() as u64);
        }
        if let Some(why) = &self.stopped {
            let _ = write!(text, "\nstopped    {why}; the same command goes on from here");
        }
        if !self.apply {
            text.push_str("\nnothing was changed");
            if !self.to.starts_with("pipeline:") {
                text.push_str(": --apply does it");
            }
        }
        text
    }
}

fn each(counts: &BTreeMap<String, u64>) -> String {
    let each = counts.iter().map(|(why, count)| format!("{count} {why}"));
    each.collect::<Vec<_>>().join(", ")
}
