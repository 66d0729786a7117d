//! What people and tools are told of: that a stream was changed, that one holds for long what should
//! not be held, and that such a hold is over.
//!
//! The [`Book`] is a pure memory of which stream is held since when, and what was told of it. It is
//! an item of the ledger, so that a hold is told once, whoever looks next; [`desk`] reads it, sends
//! and writes it back.

pub mod desk;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp, Unit};
use serde::{Deserialize, Serialize};

use crate::decision::{Action, Applied, Decision, Reason};
use crate::port::ServiceError;

/// The version of the book's text, and of what a tool is sent.
pub const FORMAT: u32 = 1;

/// How long a hold lasts before it is told, where nobody says otherwise: longer than the reshard of
/// a usual stream, and than a delay of CloudWatch.
pub const AFTER: SignedDuration = SignedDuration::from_mins(30);

/// Holds are forgotten after so long, and so told again: also those of streams that are gone.
const FORGOTTEN: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Held streams that are remembered: with a few reasons each, a third of the 400 KB that an item of
/// DynamoDB holds.
const MOST_HELD: usize = 1_000;

/// Characters of a notice's subject: what SNS takes is less than 100 ("Publish", Amazon SNS API
/// Reference, 2026-11).
const SUBJECT_CHARS: usize = 99;

/// What a notice is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The number of shards was changed.
    Resized,
    /// A hold lasts.
    Held,
    /// A hold that was told is over.
    Released,
}

/// One thing to tell.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Notice {
    /// The version of this form.
    pub format: u32,
    /// What it is of.
    pub kind: Kind,
    /// The stream's name.
    pub stream: String,
    /// When it was noticed.
    pub at: Timestamp,
    /// Since when the hold lasts, or lasted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// One line, in ASCII.
    pub subject: String,
    /// The decision that it was noticed at.
    pub decision: Decision,
}

impl Notice {
    fn new(kind: Kind, decision: &Decision, since: Option<Timestamp>, what: &str) -> Self {
        let mut subject = format!("Tidegate: {} {what}", decision.stream);
        // Names of streams are ASCII, and so is what is said of them.
        subject.truncate(SUBJECT_CHARS);
        Self {
            format: FORMAT,
            kind,
            stream: decision.stream.clone(),
            at: decision.at,
            since,
            subject,
            decision: decision.clone(),
        }
    }

    /// The notice as a person reads it.
    pub fn text(&self) -> String {
        let Decision { message, reason, mode, calls_left, .. } = &self.decision;
        let mode = serde_json::to_value(mode).unwrap_or_default();
        let mut text = format!("{}\n\n{message}\n\nreason: {}", self.subject, reason.code());
        if let Some(since) = self.since {
            text.push_str(&format!("\nsince: {}", to_the_second(since)));
        }
        text.push_str(&format!("\nat: {}", to_the_second(self.at)));
        text.push_str(&format!("\nmode: {}", mode.as_str().unwrap_or_default()));
        if self.decision.open_shards.is_some() {
            text.push_str(&format!("\ncalls left today: {calls_left}"));
        }
        text.push('\n');
        text
    }
}

fn to_the_second(at: Timestamp) -> Timestamp {
    at.round(Unit::Second).unwrap_or(at)
}

/// Where notices go.
pub trait NoticeService: Sync {
    /// Sends one. A failure is said and fails nothing else.
    fn tell(&self, notice: &Notice) -> impl Future<Output = Result<(), ServiceError>> + Send;
}

/// Which streams are held for a reason that somebody should know of, and what was told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Book {
    held: BTreeMap<String, Held>,
}

/// A stream that is held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Held {
    /// Since when, without a break, whatever the reasons.
    since: Timestamp,
    /// The last reason.
    reason: String,
    /// Since when it is that one.
    reason_since: Timestamp,
    /// The reasons that were told.
    told: BTreeSet<String>,
}

#[derive(Serialize, Deserialize)]
struct Text {
    format: u32,
    held: BTreeMap<String, Held>,
}

impl Book {
    /// Reads a book; `None` when it is not what this version writes.
    pub fn from_text(text: &str) -> Option<Self> {
        let Text { format, held } = serde_json::from_str(text).ok()?;
        (format == FORMAT).then_some(Self { held })
    }

    /// The text that is stored.
    pub fn to_text(&self) -> String {
        // A struct of strings always has a text.
        serde_json::to_string(&Text { format: FORMAT, held: self.held.clone() }).unwrap_or_default()
    }

    /// Takes a decision down, and answers what is to be told of it. A hold is told once when it has
    /// lasted for `after`, and once more for each other reason that lasts as long. It stays to be
    /// told until [`Book::told`].
    pub fn see(&mut self, decision: &Decision, after: SignedDuration) -> Option<Notice> {
        let now = decision.at;
        self.held.retain(|_, held| now.duration_since(held.since) < FORGOTTEN);
        let changed = matches!(decision.action, Action::Resize | Action::Split)
            && decision.applied == Applied::Done;
        if changed {
            // The change says that the hold is over.
            self.held.remove(&decision.stream);
            return Some(Notice::new(Kind::Resized, decision, None, &resized(decision)));
        }
        if decision.action == Action::Hold && decision.reason.is_to_be_told() {
            return self.hold(decision, after);
        }
        // Such a look learned nothing of the stream.
        if matches!(
            decision.reason,
            Reason::ActedMeanwhile | Reason::ChangedMeanwhile | Reason::Muted | Reason::OutOfTime
        ) {
            return None;
        }
        let held = self.held.get(&decision.stream)?;
        if held.told.is_empty() {
            self.held.remove(&decision.stream);
            return None;
        }
        let what = format!("no longer holds ({}), after {}", held.reason, lasted(held.since, now));
        Some(Notice::new(Kind::Released, decision, Some(held.since), &what))
    }

    fn hold(&mut self, decision: &Decision, after: SignedDuration) -> Option<Notice> {
        let (now, reason) = (decision.at, decision.reason.code());
        if self.held.len() >= MOST_HELD && !self.held.contains_key(&decision.stream) {
            return None;
        }
        let held = self.held.entry(decision.stream.clone()).or_insert_with(|| Held {
            since: now,
            reason: reason.clone(),
            reason_since: now,
            told: BTreeSet::new(),
        });
        if held.reason != reason {
            held.reason.clone_from(&reason);
            held.reason_since = now;
        }
        // Of reasons that take turns the first is told all the same.
        let since = if held.told.is_empty() { held.since } else { held.reason_since };
        if held.told.contains(&reason) || now.duration_since(since) < after {
            return None;
        }
        let what = format!("holds for {} ({reason})", lasted(since, now));
        Some(Notice::new(Kind::Held, decision, Some(since), &what))
    }

    /// Notes that a notice was sent.
    pub fn told(&mut self, notice: &Notice) {
        match notice.kind {
            Kind::Resized => {}
            Kind::Held => {
                if let Some(held) = self.held.get_mut(&notice.stream) {
                    held.told.insert(notice.decision.reason.code());
                }
            }
            Kind::Released => {
                self.held.remove(&notice.stream);
            }
        }
    }
}

impl Reason {
    /// Whether a hold for this reason, when it lasts, should be known to somebody: it keeps a stream
    /// from what it needs, or only a person can end it. What an owner asked for and what is as it
    /// should be is not told.
    pub const fn is_to_be_told(self) -> bool {
        self.is_failure()
            || matches!(
                self,
                Self::AccountLimit
                    | Self::CallsSpent
                    | Self::ClockBehindCalls
                    | Self::HotKey
                    | Self::HotShard
                    | Self::HotShardSuspected
                    | Self::IteratorAge
                    | Self::IteratorAgeUnknown
                    | Self::MetricsIncomplete
                    | Self::MetricsMissing
                    | Self::PolicyBounds
                    | Self::ServiceLimit
                    | Self::ServiceThrottled
                    | Self::ShortBursts
                    | Self::StreamNotActive
                    | Self::StreamUpdating
            )
    }
}

fn resized(decision: &Decision) -> String {
    let reason = decision.reason.code();
    match (decision.open_shards, decision.target) {
        (Some(from), Some(to)) => format!("goes from {from} to {to} shards ({reason})"),
        _ => format!("was resized ({reason})"),
    }
}

/// How long, in the two largest units that matter.
fn lasted(since: Timestamp, now: Timestamp) -> String {
    let minutes = now.duration_since(since).as_mins().max(0);
    match (minutes / (24 * 60), minutes / 60 % 24, minutes % 60) {
        (0, 0, minutes) => format!("{minutes}m"),
        (0, hours, minutes) => format!("{hours}h {minutes}m"),
        (days, hours, _) => format!("{days}d {hours}h"),
    }
}

#[cfg(test)]
mod tests;
