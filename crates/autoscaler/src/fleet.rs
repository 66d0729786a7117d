//! One run over every stream that opted in: found, read in batches, decided one by one.
//!
//! What does not fit the time of a run is left, said, and looked at first in the next one. With a
//! ledger the next run knows where to begin; without one, the place to begin moves on with time.
//!
//! | request of a run | how many, for n streams of which k change |
//! |---|---|
//! | `GetResources`, `ListStreams` | n / 100 each |
//! | `BatchGetItem` | two a batch of 125 |
//! | `DescribeStreamSummary` | k, and one for each stream whose shards are not those that the ledger has: all n without a ledger or at their first look |
//! | `ListShards` | n, one a thousand shards, and k where shards are split |
//! | `GetMetricData` | with a ledger one a batch, without eight pages a batch; at most 40 streams a run read the 15 days of their first look, one a page |
//! | `DescribeLimits` | 1 |
//! | `PutItem` | k, and n in 20 minutes |
//! | `AddTagsToStream`, `UpdateShardCount` | k each |

use std::collections::BTreeMap;
use std::mem;

use futures_util::{StreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::closer;
use crate::decision::{Action, Applied, Decision, Reason};
use crate::ledger::REMEMBERED;
use crate::limits;
use crate::look::{LOOK_BACK, Memory, SHORT_LOOK_BACK, Sight, Source, may_look, unseen};
use crate::observation::{Account, Capacity, Description, Status};
use crate::port::{Clock, Found, LedgerStore, ServiceError, Stored, StreamService};
use crate::run::{Ports, finish, look_closer, not_opted_in};
use crate::shards::{Layout, ShardService};
use crate::tags::{self, Wishes};

/// Streams of a batch: their four metrics each are the 500 queries that one GetMetricData takes (its
/// API reference, 2026-11). It also bounds the memory: a batch without a ledger is 780,000 points.
pub const BATCH: usize = 125;

/// Streams whose shards are counted at once.
const AT_ONCE: usize = 16;

/// Streams of which a run reads the whole 15 days. A stream's 86,400 points are most of a page of
/// 100,800, and GetMetricData gives an account 396,000 points a second ("CloudWatch service quotas",
/// CloudWatch User Guide, 2026-11).
const SEEDS: usize = 40;

/// Streams whose 15 days are in memory at once.
const SEEDS_AT_ONCE: usize = 4;

/// Splits that a run makes of one stream: the next would have to wait until the first is done, and
/// with it all other streams.
const SPLITS: usize = 1;

/// What must be left of a run for a batch to begin, unless the slowest one took longer.
const BATCH_TIME: SignedDuration = SignedDuration::from_secs(15);

/// The ledger's item that says where the next run begins. No stream can have this name.
const CURSOR: &str = "/fleet";

/// Which streams.
#[derive(Debug, Clone, Copy)]
pub struct Fleet<'a> {
    /// What holds for a stream whose tags say nothing else.
    pub wishes: &'a Wishes,
    /// The streams that need not opt in.
    pub configured: &'a [String],
    /// Whether to find those that opted in.
    pub discover: bool,
}

/// What a run did.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Summary {
    /// Streams that there are to look at.
    pub streams: usize,
    /// Decisions that were made.
    pub decided: usize,
    /// Streams whose number of shards was changed.
    pub resized: usize,
    /// Decisions to hold, by their reason.
    pub held: BTreeMap<String, usize>,
    /// Streams that are left for the next run, which begins with them.
    pub left: usize,
    /// Why the streams that opted in could not be found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub discovery_failed: Option<String>,
    /// The requests that were sent, by operation.
    pub requests: BTreeMap<&'static str, u64>,
    /// How long it took.
    pub took_ms: i128,
}

/// A stream that is to be looked at, and what its discovery said.
type Candidate = (String, Option<Found>);

/// Looks at every stream; `tell` is given each decision as soon as it is carried out.
pub async fn run<S: StreamService + ShardService, L: LedgerStore, C: Clock>(
    ports: Ports<'_, S, L, C>,
    fleet: Fleet<'_>,
    tell: &mut impl FnMut(Decision),
) -> Summary {
    let began = ports.clock.now();
    let mut summary = Summary::default();
    let candidates = candidates(ports, fleet, &mut summary).await;
    summary.streams = candidates.len();
    let mut run = Run { ports, fleet, account: None, seeds: SEEDS, summary };
    run.all(candidates, tell).await;
    let mut summary = run.summary;
    summary.requests = ports.service.tally().take();
    if let Some(ledger) = ports.ledger {
        summary.requests.extend(ledger.tally().take());
    }
    summary.took_ms = ports.clock.now().duration_since(began).as_millis();
    summary
}

/// The streams, in the order of their names.
async fn candidates<S: StreamService + ShardService, L, C>(
    ports: Ports<'_, S, L, C>,
    fleet: Fleet<'_>,
    summary: &mut Summary,
) -> Vec<Candidate> {
    let mut all: BTreeMap<String, Option<Found>> =
        fleet.configured.iter().map(|name| (name.clone(), None)).collect();
    if fleet.discover {
        match ports.service.opted_in().await {
            Ok(found) => {
                all.extend(found.into_iter().map(|found| (found.name.clone(), Some(found))));
            }
            Err(error) => summary.discovery_failed = Some(error.to_string()),
        }
    }
    all.into_iter().collect()
}

/// A run that is under way.
struct Run<'a, S, L, C> {
    ports: Ports<'a, S, L, C>,
    fleet: Fleet<'a>,
    account: Option<Account>,
    seeds: usize,
    summary: Summary,
}

impl<S: StreamService + ShardService, L: LedgerStore, C: Clock> Run<'_, S, L, C> {
    async fn all(&mut self, mut candidates: Vec<Candidate>, tell: &mut impl FnMut(Decision)) {
        let cursor = self.cursor().await;
        let first = match &cursor {
            Cursor::At(_, Some(next)) => candidates.partition_point(|(name, _)| name < next),
            Cursor::At(_, None) => 0,
            // A place that moves on by a batch a minute.
            Cursor::Unknown => {
                let minute = usize::try_from(self.ports.clock.now().as_second() / 60).unwrap_or(0);
                minute.wrapping_mul(BATCH).checked_rem(candidates.len()).unwrap_or(0)
            }
        };
        let whole = candidates.len() <= BATCH && !matches!(cursor, Cursor::At(_, Some(_)));
        if !whole {
            let count = candidates.len();
            candidates.rotate_left(first.min(count));
        }
        self.account = self.ports.service.account().await.ok();
        let mut slowest = BATCH_TIME;
        let mut rest = candidates.as_slice();
        while !rest.is_empty() {
            let began = self.ports.clock.now();
            if self.ports.deadline.duration_since(began) < slowest {
                break;
            }
            let (batch, later) = rest.split_at(rest.len().min(BATCH));
            self.batch(batch, tell).await;
            rest = later;
            slowest = slowest.max(self.ports.clock.now().duration_since(began));
        }
        self.summary.left = rest.len();
        self.leave(cursor, rest.first().map(|(name, _)| name.as_str())).await;
    }

    /// Where this run begins.
    async fn cursor(&self) -> Cursor {
        let Some(ledger) = self.ports.ledger else { return Cursor::Unknown };
        match ledger.read(&[CURSOR.to_owned()]).await {
            Ok(items) => match items.get(CURSOR) {
                None => Cursor::At(0, None),
                Some(stored) => {
                    let next = serde_json::from_str::<Next>(&stored.text).ok();
                    Cursor::At(stored.revision, next.and_then(|next| next.next))
                }
            },
            Err(_) => Cursor::Unknown,
        }
    }

    /// Notes where the next run begins, if that is not where this one began.
    async fn leave(&self, cursor: Cursor, next: Option<&str>) {
        let (Some(ledger), Cursor::At(revision, before)) = (self.ports.ledger, cursor) else {
            return;
        };
        if before.as_deref() == next {
            return;
        }
        let next = Next { next: next.map(ToOwned::to_owned) };
        let text = serde_json::to_string(&next).unwrap_or_default();
        // Lost, it costs the order of one run.
        let _ = ledger.write(CURSOR, &Stored { revision: revision + 1, text }, revision).await;
    }

    async fn batch(&mut self, batch: &[Candidate], tell: &mut impl FnMut(Decision)) {
        let names: Vec<_> = batch.iter().map(|(name, _)| name.clone()).collect();
        let memories = match self.ports.ledger {
            None => None,
            Some(ledger) => Some(ledger.read(&names).await),
        };
        let memory = |name: &str| match &memories {
            None => Memory::of_tag(),
            Some(read) => Memory::of_ledger(read.as_ref().map(|entries| entries.get(name))),
        };
        let now = self.ports.clock.now();
        let (ports, fleet) = (self.ports, self.fleet);
        let seen: Vec<_> = stream::iter(batch)
            .map(|(name, found)| see(ports, fleet, name, found.as_ref(), memory(name), now))
            .buffered(AT_ONCE)
            .collect()
            .await;
        let mut spans = Spans::default();
        for sight in seen {
            match sight {
                Ok(sight) => spans.add(sight, &mut self.seeds, now),
                Err(decision) => self.count(*decision, tell),
            }
        }
        for (span, group) in spans.groups() {
            self.group(group, now - span, tell).await;
        }
    }

    /// Reads the metrics of a few streams, and decides on each.
    async fn group(
        &mut self,
        group: Vec<Sight>,
        since: Timestamp,
        tell: &mut impl FnMut(Decision),
    ) {
        let names: Vec<_> = group.iter().map(|sight| sight.stream.clone()).collect();
        let now = self.ports.clock.now();
        match self.ports.service.metrics(&names, since, now).await {
            Ok(mut metrics) => {
                for sight in group {
                    let points = metrics.remove(&sight.stream).unwrap_or_default();
                    let wishes = self.fleet.wishes;
                    let service = self.ports.service;
                    let (looked, _) =
                        look_closer(service, sight, &points, since, self.account, wishes, now)
                            .await;
                    let decision = finish(self.ports, looked, SPLITS).await;
                    self.count(decision, tell);
                }
            }
            Err(error) => {
                for sight in group {
                    let decision = refused(&sight.stream, self.fleet.wishes, now, &error);
                    self.count(decision, tell);
                }
            }
        }
    }

    fn count(&mut self, decision: Decision, tell: &mut impl FnMut(Decision)) {
        self.summary.decided += 1;
        let resizes = matches!(decision.action, Action::Resize | Action::Split);
        if decision.applied == Applied::Done && resizes {
            self.summary.resized += 1;
            self.take_room(&decision);
        }
        if decision.action == Action::Hold {
            *self.summary.held.entry(decision.reason.code()).or_default() += 1;
        }
        tell(decision);
    }

    /// What a reshard opens on the way is no longer the account's to give.
    fn take_room(&mut self, decision: &Decision) {
        let (Some(account), Some(from), Some(to)) =
            (&mut self.account, decision.open_shards, decision.target)
        else {
            return;
        };
        let more = limits::peak_open(from, to).saturating_sub(from);
        account.open_shards = account.open_shards.saturating_add(more);
    }
}

/// Where a run begins: the revision of the ledger's item, and the name in it.
enum Cursor {
    At(u64, Option<String>),
    Unknown,
}

#[derive(Serialize, Deserialize)]
struct Next {
    next: Option<String>,
}

/// The streams of a batch by how far back their metrics are read.
#[derive(Default)]
struct Spans {
    short: Vec<Sight>,
    day: Vec<Sight>,
    all: Vec<Sight>,
}

impl Spans {
    fn add(&mut self, sight: Sight, seeds: &mut usize, now: Timestamp) {
        let wanted = sight.memory.look_back(now);
        if wanted <= SHORT_LOOK_BACK {
            self.short.push(sight);
        } else if wanted <= LOOK_BACK || *seeds == 0 {
            self.day.push(sight);
        } else {
            *seeds -= 1;
            self.all.push(sight);
        }
    }

    fn groups(mut self) -> Vec<(SignedDuration, Vec<Sight>)> {
        let mut groups = vec![(SHORT_LOOK_BACK, mem::take(&mut self.short))];
        groups.push((LOOK_BACK, mem::take(&mut self.day)));
        while !self.all.is_empty() {
            let later = self.all.split_off(self.all.len().min(SEEDS_AT_ONCE));
            groups.push((REMEMBERED, mem::replace(&mut self.all, later)));
        }
        groups.retain(|(_, group)| !group.is_empty());
        groups
    }
}

/// What a stream says of itself, as far as its discovery did not; a hold when that settles it.
async fn see<S: StreamService + ShardService, L, C>(
    ports: Ports<'_, S, L, C>,
    fleet: Fleet<'_>,
    name: &str,
    found: Option<&Found>,
    memory: Memory,
    now: Timestamp,
) -> Result<Sight, Box<Decision>> {
    let hold = |reason, message| Err(Box::new(unseen(name, fleet.wishes, now, reason, message)));
    let tags = match found {
        Some(found) => found.tags.clone(),
        None => match ports.service.tags(name).await {
            Ok(tags) => tags,
            Err(error) => return hold(error.reason(), error.to_string()),
        },
    };
    if !may_look(&tags, found.is_some() || fleet.configured.iter().any(|other| other == name)) {
        return hold(Reason::NotOptedIn, not_opted_in(name));
    }
    // These need no figures: a stream that is left alone costs nothing.
    if tags::is_paused(&tags) {
        return hold(Reason::Paused, "holds: the tag tidegate:paused is set".to_owned());
    }
    if found.is_some_and(|found| found.capacity == Capacity::OnDemand) {
        let message = "holds: the stream is in on-demand mode, where Kinesis scales".to_owned();
        return hold(Reason::OnDemand, message);
    }
    let shards = closer::shards(ports.service, name).await;
    let known = found.and_then(|found| as_settled(found, &memory, shards.layout.as_ref()));
    let description = match known {
        Some(description) => description,
        None => match ports.service.describe(name).await {
            Ok(description) => description,
            Err(error) => return hold(error.reason(), error.to_string()),
        },
    };
    Ok(Sight { stream: name.to_owned(), description, tags, shards, memory })
}

/// What a stream would say of itself, without asking it: it was listed as ACTIVE, and has the shards
/// that the ledger left it with.
///
/// An account has 20 DescribeStreamSummary a second, and ListShards is each stream's own. What was
/// listed may be a minute old; before it is changed a stream is asked all the same.
fn as_settled(found: &Found, memory: &Memory, layout: Option<&Layout>) -> Option<Description> {
    let open_shards = layout?.count();
    let settled = matches!(memory.source, Source::Ledger(_))
        && memory.entry.settled == Some(open_shards)
        && memory.entry.expected.is_none()
        && found.status == Status::Active;
    settled.then_some(Description { status: found.status, capacity: found.capacity, open_shards })
}

fn refused(stream: &str, wishes: &Wishes, now: Timestamp, error: &ServiceError) -> Decision {
    unseen(stream, wishes, now, error.reason(), error.to_string())
}
