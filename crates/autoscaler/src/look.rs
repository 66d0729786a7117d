//! What is known of a stream before its metrics are read, and the decision once they are.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::decide::decide;
use crate::decision::{Action, Applied, Decision, Reason, Stage};
use crate::history::{CALLS_TAG, Calls, History};
use crate::hot::SeenShards;
use crate::ledger::{Entry, REMEMBERED};
use crate::observation::{self, Account, Description, Metrics, Observation};
use crate::policy::{HotShards, Policy};
use crate::port::{OPT_IN_TAG, ServiceError, Stored};
use crate::tags::{self, Wishes};

/// How much of the metrics is read without a ledger: a day for the forecast, and the span that it
/// is widened by. GetMetricData is priced by the metric, not by the point.
pub const LOOK_BACK: SignedDuration = SignedDuration::from_hours(26);

/// How much is read with one. Requests that begin within three hours of now have a quota of points
/// of their own ("CloudWatch service quotas", CloudWatch User Guide, 2026-11).
pub const SHORT_LOOK_BACK: SignedDuration = SignedDuration::from_hours(3);

/// Blocks are read again from this long before the last one that is complete.
const OVERLAP: SignedDuration = SignedDuration::from_mins(40);

/// A stream as it is when the look begins.
#[derive(Debug, Clone)]
pub struct Sight {
    /// The stream's name.
    pub stream: String,
    /// What the stream says of itself.
    pub description: Description,
    /// All its tags.
    pub tags: BTreeMap<String, String>,
    /// What was read of its shards.
    pub shards: SeenShards,
    /// What is remembered of it.
    pub memory: Memory,
}

/// What is remembered, and where from.
#[derive(Debug, Clone)]
pub struct Memory {
    /// The entry; an empty one where there is none.
    pub entry: Entry,
    /// Where it came from.
    pub source: Source,
}

/// Where a memory came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// There is no ledger: the stream's tag alone.
    Tag,
    /// The ledger, at this revision; zero when it has no entry yet.
    Ledger(u64),
    /// The ledger failed, and the tag alone has to do.
    Lost {
        /// Why, in one word.
        reason: Reason,
        /// Why, in a sentence.
        message: String,
    },
}

impl Memory {
    /// Without a ledger.
    pub fn of_tag() -> Self {
        Self { entry: Entry::default(), source: Source::Tag }
    }

    /// What a ledger answered for one stream.
    pub fn of_ledger(answer: Result<Option<&Stored>, &ServiceError>) -> Self {
        let lost = |reason, message| Self {
            entry: Entry::default(),
            source: Source::Lost { reason, message },
        };
        match answer {
            Ok(None) => Self { entry: Entry::default(), source: Source::Ledger(0) },
            Ok(Some(stored)) => match Entry::from_text(&stored.text) {
                Ok(entry) => Self { entry, source: Source::Ledger(stored.revision) },
                Err(error) => lost(Reason::LedgerUnreadable, error.to_string()),
            },
            Err(error) => lost(Reason::LedgerUnavailable, error.to_string()),
        }
    }

    /// How far back the metrics are read.
    pub fn look_back(&self, now: Timestamp) -> SignedDuration {
        match self.source {
            Source::Tag | Source::Lost { .. } => LOOK_BACK,
            Source::Ledger(_) if !self.entry.seeded => REMEMBERED,
            Source::Ledger(_) => {
                let unknown = now.duration_since(self.entry.complete_until) + OVERLAP;
                unknown.clamp(SHORT_LOOK_BACK, REMEMBERED)
            }
        }
    }
}

/// A decision, and what is to be remembered of the look.
#[derive(Debug)]
pub struct Looked {
    /// The decision, not yet carried out.
    pub decision: Decision,
    /// What is remembered now.
    pub memory: Memory,
    /// Whether the entry holds something that is worth a write.
    pub news: bool,
}

/// What a decision was made from: the arguments of [`decide`] beside the time.
#[derive(Debug, Clone, PartialEq)]
pub struct Inputs {
    /// What was seen.
    pub observation: Observation,
    /// What was remembered.
    pub history: History,
    /// What the owner wants, with the stream's tags.
    pub policy: Policy,
}

/// Decides on a stream that was seen, with the points of its metrics since a moment. What it
/// was decided on comes with it, and is `None` when a tag or the list of calls could not be read.
pub fn look(
    sight: Sight,
    metrics: &Metrics,
    since: Timestamp,
    account: Option<Account>,
    wishes: &Wishes,
    now: Timestamp,
) -> (Looked, Option<Inputs>) {
    let Sight { stream, description, tags, shards, mut memory } = sight;
    let (mut wishes, calls) = match (wishes.with_tags(&tags), calls_of(&tags)) {
        (Ok(wishes), Ok(calls)) => (wishes, calls),
        (Err(error), _) => {
            let decision = unseen(&stream, wishes, now, Reason::TagUnreadable, error.to_string());
            return (Looked { decision, memory, news: false }, None);
        }
        (_, Err(message)) => {
            let decision = unseen(&stream, wishes, now, Reason::CallsUnreadable, message);
            return (Looked { decision, memory, news: false }, None);
        }
    };
    let kept = matches!(memory.source, Source::Ledger(_));
    if !kept && wishes.policy.hot_shards == HotShards::Split {
        // Nobody would remember what was split and what was turned on.
        wishes.policy.hot_shards = HotShards::Report;
    }
    let before = memory.entry.clone();
    memory.entry.add_tag(&calls);
    let of_others = memory.entry.notice(description.open_shards, description.status, now);
    let (mut minutes, absurd_points) = observation::assemble(metrics, now);
    memory.entry.learn(&minutes, now);
    let observation = Observation {
        stream,
        description,
        account,
        paused: tags::is_paused(&tags),
        minutes: minutes.split_off(&(now - LOOK_BACK)),
        shards,
        absurd_points,
    };
    let history = memory.entry.history();
    let mut decision = decide(&observation, &wishes.policy, &history, wishes.mode, now);
    hold_back(&mut decision, &memory, now);
    let layout = observation.shards.layout.as_ref();
    memory.entry.shards = memory.entry.shards.with(layout, &decision);
    if of_others > 0 {
        let stage = Stage {
            stage: "ledger",
            value: Some(f64::from(of_others)),
            reason: Reason::CallsOfOthers,
        };
        decision.stages.push(stage);
    }
    // Metrics that are fresh show that the clock is right: a clock that runs ahead must not make
    // the ledger forget.
    let sane = !matches!(decision.reason, Reason::MetricsMissing | Reason::ClockBehindCalls);
    let news = sane && {
        memory.entry.cover(since, now);
        let closed = memory.entry.close_blocks(&observation.stream, now);
        let learned = |entry: &Entry| {
            let Entry { seeded, settled, expected, .. } = *entry;
            (seeded, settled, expected, entry.others.clone(), entry.shards.clone())
        };
        closed || learned(&before) != learned(&memory.entry)
    };
    let inputs = Inputs { observation, history, policy: wishes.policy };
    (Looked { decision, memory, news }, Some(inputs))
}

/// What the ledger forbids a decision to do.
fn hold_back(decision: &mut Decision, memory: &Memory, now: Timestamp) {
    if decision.action == Action::Hold {
        return;
    }
    if memory.entry.is_pending(now) {
        let message = "holds: a call was written down moments ago and shows no effect yet, so \
                       another run may be about to make it"
            .to_owned();
        decision.refuse(Reason::ActedMeanwhile, message);
    } else if let Source::Lost { reason, message } = &memory.source
        && !is_emergency(decision)
    {
        let message = format!("holds, since only an emergency is acted on: {message}");
        decision.refuse(*reason, message);
    }
}

/// Whether it cannot wait: more shards for what is there now.
pub fn is_emergency(decision: &Decision) -> bool {
    matches!(decision.reason, Reason::DemandAboveCapacity | Reason::SplitFallback)
        && decision.target > decision.open_shards
}

/// The calls in the stream's tag, or the sentence that says why they cannot be read.
///
/// # Errors
/// When the tag holds anything else.
pub fn calls_of(tags: &BTreeMap<String, String>) -> Result<Calls, String> {
    let tag = tags.get(CALLS_TAG).map_or("", String::as_str);
    Calls::from_tag(tag).map_err(|error| error.to_string())
}

/// Whether a stream may be looked at: it is configured or opted in, and did not opt out.
pub fn may_look(tags: &BTreeMap<String, String>, configured: bool) -> bool {
    tags.get(OPT_IN_TAG).map_or(configured, |value| value != "false")
}

/// A hold without an observation.
pub fn unseen(
    stream: &str,
    wishes: &Wishes,
    now: Timestamp,
    reason: Reason,
    message: String,
) -> Decision {
    Decision {
        stream: stream.to_owned(),
        at: now,
        mode: wishes.mode,
        open_shards: None,
        target: None,
        action: Action::Hold,
        reason,
        message,
        applied: Applied::Nothing,
        calls_left: 0,
        usd_per_month: 0.0,
        splits: Vec::new(),
        complete: None,
        needs: Vec::new(),
        stages: vec![Stage { stage: "usable", value: None, reason }],
    }
}
