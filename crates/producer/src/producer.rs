//! The machine: records in, requests out, answers in, settled records out.

use std::collections::{BTreeMap, HashSet};
use std::iter;
use std::sync::Arc;
use std::time::Duration;

use rand::Rng as _;
use rand_pcg::Pcg64Mcg;

use crate::exchange::{Answer, Failure, Next, Options, Request};
use crate::lanes::{Lane, Lanes, Pending};
use crate::pace::Pace;
use crate::pack::{ENTRIES_MAX, Packed, REQUEST_BYTES_MAX, Room, aggregate, plain};
use crate::record::{
    Entry, KEY_CHARS_MAX, Record, Rejection, Settled, Shard, Tally, payload_units,
};

/// How far behind the head of a lane a record of another key is looked for, where order is kept.
const SCAN_MAX: usize = 2_000;

/// A request in flight.
#[derive(Debug)]
struct Flight {
    units: Vec<Unit>,
    lanes: Vec<usize>,
    generation: u64,
}

/// The records of one entry, and the lane that it was packed for.
#[derive(Debug)]
struct Unit {
    first: Pending,
    /// In an aggregate, those behind it.
    rest: Vec<Pending>,
    lane: usize,
    bytes: usize,
}

impl Unit {
    const fn count(&self) -> usize {
        1 + self.rest.len()
    }

    fn records(&self) -> impl Iterator<Item = &Pending> {
        iter::once(&self.first).chain(&self.rest)
    }

    fn into_records(self) -> impl DoubleEndedIterator<Item = Pending> {
        iter::once(self.first).chain(self.rest)
    }
}

/// What sends. Times are counted from any moment that stays the same.
#[derive(Debug)]
pub struct Producer {
    options: Options,
    lanes: Lanes,
    /// Which reading of the shards the lanes are from.
    generation: u64,
    is_stale: bool,
    pace: Pace,
    flights: BTreeMap<u64, Flight>,
    next_id: u64,
    /// Where the last request stopped, so that every lane has its turn.
    turn: usize,
    waiting: usize,
    waiting_bytes: usize,
    ended: bool,
    settled: Vec<Settled>,
    tally: Tally,
    dice: Pcg64Mcg,
}

impl Producer {
    /// A producer; the seed spreads its pauses.
    pub fn new(options: Options, seed: u64) -> Self {
        Self {
            pace: Pace::new(options.limit),
            is_stale: true,
            options,
            lanes: Lanes::unknown(),
            generation: 0,
            flights: BTreeMap::new(),
            next_id: 0,
            turn: 0,
            waiting: 0,
            waiting_bytes: 0,
            ended: false,
            settled: Vec::new(),
            tally: Tally::default(),
            dice: Pcg64Mcg::new(u128::from(seed)),
        }
    }

    /// Takes a record.
    ///
    /// # Errors
    /// Gives it back when too much is waiting: ask [`Producer::next`] first, then offer it again.
    pub fn offer(&mut self, record: Record, now: Duration) -> Result<(), Record> {
        if self.waiting_bytes > 0
            && self.waiting_bytes + record.size_bytes() > self.options.buffer_bytes
        {
            return Err(record);
        }
        if let Some((reason, message)) = self.refusal(&record) {
            self.reject(reason, message, record);
            return Ok(());
        }
        self.waiting += 1;
        self.waiting_bytes += record.size_bytes();
        let hash_key = record.hash_key();
        let pending = Pending { record: Arc::new(record), hash_key, since: now, tried_at: None };
        self.lanes.of(hash_key).push_back(pending);
        Ok(())
    }

    /// Nothing more will be offered: what waits is sent without waiting for company.
    pub const fn end(&mut self) {
        self.ended = true;
    }

    /// What became of records since this was last asked.
    pub fn settled(&mut self) -> Vec<Settled> {
        std::mem::take(&mut self.settled)
    }

    /// What was done so far.
    pub const fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Records that were taken and are not settled: those that wait and those in flight.
    pub fn unsettled(&self) -> usize {
        self.waiting
    }

    /// What was taken and is not settled, in the order of the input. Of what was in flight it is
    /// not known whether it is in the stream.
    pub fn left(self) -> Vec<Record> {
        let mut lanes = self.lanes;
        let mut all = lanes.drain();
        let in_flight = self.flights.into_values().flat_map(|flight| flight.units);
        all.extend(in_flight.flat_map(Unit::into_records));
        all.sort_by_key(|pending| pending.record.place);
        all.into_iter().map(|pending| Arc::unwrap_or_clone(pending.record)).collect()
    }

    fn refusal(&self, record: &Record) -> Option<(&'static str, String)> {
        let key = &record.partition_key;
        let size = record.size_bytes();
        if key.is_empty() {
            Some(("key_empty", "the partition key is empty".to_owned()))
        } else if key.len() > KEY_CHARS_MAX && key.chars().count() > KEY_CHARS_MAX {
            Some((
                "key_too_long",
                format!("the partition key has more than {KEY_CHARS_MAX} characters"),
            ))
        } else if size > self.options.record_bytes_max {
            let most = self.options.record_bytes_max;
            Some(("too_large", format!("{size} bytes with the key, and the stream takes {most}")))
        } else {
            None
        }
    }

    fn reject(&mut self, reason: &'static str, message: String, record: Record) {
        self.tally.rejected += 1;
        let place = record.place;
        let rejection = Rejection { reason, message, record };
        self.settled.push(Settled { place, rejected: Some(Box::new(rejection)) });
    }

    /// The open shards, as ListShards gives them; none when they cannot be known. Then a shard that
    /// is throttled holds the others up, and aggregates are not of one shard.
    pub fn shards(&mut self, mut shards: Vec<Shard>) {
        self.is_stale = false;
        shards.sort_by_key(|shard| shard.start);
        let known = self.lanes.iter().filter_map(|lane| lane.shard.as_ref());
        if known.eq(shards.iter()) && !shards.is_empty() {
            return;
        }
        self.generation += 1;
        self.lanes.resharded(shards);
    }

    /// What to do now.
    pub fn next(&mut self, now: Duration) -> Next {
        if self.is_stale && self.waiting > 0 {
            return Next::ListShards;
        }
        if self.waiting == 0 {
            return if self.ended { Next::Done } else { Next::Wait(None) };
        }
        // Records of a key may be in flight from lanes that are no more.
        let foreign = |flight: &Flight| flight.generation != self.generation;
        if self.flights.len() >= self.options.requests_max.max(1)
            || (self.options.ordered && self.flights.values().any(foreign))
        {
            return Next::Wait(None);
        }
        let wait = self.pace.wait(now);
        if !wait.is_zero() {
            return Next::Wait(Some(wait));
        }
        match self.request(now) {
            Some(request) => Next::Put(request),
            None => Next::Wait(self.ready_in(now)),
        }
    }

    /// When a lane will have something to send; `None` when only an answer or a record can tell.
    fn ready_in(&self, now: Duration) -> Option<Duration> {
        let queued = self.lanes.queued();
        let ready_at = |lane: &Lane| {
            let oldest = lane.queue.front()?;
            let one_by_one = self.options.ordered || lane.is_slowed();
            let busy = one_by_one && lane.in_flight > 0;
            (!busy).then(|| {
                let full = self.is_full(lane, queued);
                let company = if full { now } else { self.linger_end(oldest) };
                company.max(lane.hold_until)
            })
        };
        let first = self.lanes.iter().filter_map(ready_at).min()?;
        Some(first.saturating_sub(now).max(Duration::from_millis(1)))
    }

    /// When a record has waited long enough for company. One that was tried has.
    fn linger_end(&self, pending: &Pending) -> Duration {
        let long_enough = self.ended || pending.tried_at.is_some();
        if long_enough { Duration::ZERO } else { pending.since + self.options.linger }
    }

    /// Whether what waits, in a lane or in all, fills what can be sent.
    fn is_full(&self, lane: &Lane, queued: usize) -> bool {
        match self.options.aggregate_bytes {
            Some(bytes) => lane.bytes >= bytes,
            None => queued >= ENTRIES_MAX || self.waiting_bytes >= REQUEST_BYTES_MAX,
        }
    }

    fn may_send(&self, lane: &Lane, queued: usize, now: Duration) -> bool {
        let Some(oldest) = lane.queue.front() else { return false };
        lane.hold_until <= now
            && !((self.options.ordered || lane.is_slowed()) && lane.in_flight > 0)
            && (self.linger_end(oldest) <= now || self.is_full(lane, queued))
    }

    /// The next request, from the lanes that may send.
    fn request(&mut self, now: Duration) -> Option<Request> {
        let (count, queued) = (self.lanes.len(), self.lanes.queued());
        let order = (0..count).map(|step| (self.turn + step) % count);
        let lanes: Vec<_> = order
            .filter(|index| {
                self.lanes.get(*index).is_some_and(|lane| self.may_send(lane, queued, now))
            })
            .collect();
        let mut room = Room::new();
        let mut units = Vec::new();
        let mut entries = Vec::new();
        for (done, index) in lanes.iter().enumerate() {
            // Each lane gets its share of what is left, and what it leaves goes to the next ones.
            let share = room.entries.div_ceil(lanes.len() - done);
            let before = units.len();
            self.fill(*index, share, &mut room, now, &mut units, &mut entries);
            if units.len() > before {
                self.turn = (index + 1) % count;
            }
        }
        if units.is_empty() {
            return None;
        }
        let mut used: Vec<_> = units.iter().map(|unit| unit.lane).collect();
        used.dedup();
        for index in &used {
            if let Some(lane) = self.lanes.get_mut(*index) {
                lane.in_flight += 1;
            }
        }
        let id = self.next_id;
        self.next_id += 1;
        self.tally.requests += 1;
        self.flights.insert(id, Flight { units, lanes: used, generation: self.generation });
        Some(Request { id, entries })
    }

    /// Takes what one lane may send.
    fn fill(
        &mut self,
        index: usize,
        share: usize,
        room: &mut Room,
        now: Duration,
        units: &mut Vec<Unit>,
        entries: &mut Vec<Entry>,
    ) {
        let Some(lane) = self.lanes.get_mut(index) else { return };
        let options = &self.options;
        let share = share.min(lane.window());
        let mut keys = HashSet::new();
        let mut passed_over = Vec::new();
        let mut taken = 0;
        while taken < share && passed_over.len() < SCAN_MAX && self.pace.has_room() {
            let Some(head) = lane.queue.front() else { break };
            let blocked = options.ordered && keys.contains(&key_of(head));
            if blocked && options.aggregate_bytes.is_none() {
                passed_over.extend(lane.pop_front());
                continue;
            }
            if blocked || !room.takes(head.record.size_bytes()) {
                break;
            }
            let packed = match options.aggregate_bytes {
                Some(most) => aggregate(lane, most.min(room.bytes), options.record_bytes_max),
                None => plain(lane),
            };
            let Some(Packed { mut first, mut rest, entry }) = packed else { break };
            for pending in iter::once(&mut first).chain(&mut rest) {
                pending.tried_at.get_or_insert(now);
                if options.ordered {
                    keys.insert(key_of(pending));
                }
            }
            let unit = Unit { first, rest, lane: index, bytes: entry.data.len() };
            room.spend(entry.size_bytes());
            self.pace.spend(unit.count(), entry.size_bytes());
            units.push(unit);
            entries.push(entry);
            taken += 1;
            if options.ordered && options.aggregate_bytes.is_some() {
                // PutRecords keeps no order between its entries.
                break;
            }
        }
        for pending in passed_over.into_iter().rev() {
            lane.push_front(pending);
        }
    }

    /// What became of a request.
    pub fn answered(&mut self, id: u64, answer: Result<Vec<Answer>, Failure>, now: Duration) {
        let Some(flight) = self.flights.remove(&id) else { return };
        let is_current = flight.generation == self.generation;
        if is_current {
            for index in &flight.lanes {
                if let Some(lane) = self.lanes.get_mut(*index) {
                    lane.in_flight = lane.in_flight.saturating_sub(1);
                }
            }
        }
        let mut failed = Vec::new();
        let mut stored: BTreeMap<usize, usize> = BTreeMap::new();
        match answer {
            Ok(answers) => {
                let mut answers = answers.into_iter();
                for unit in flight.units {
                    match answers.next() {
                        Some(Answer::Stored { shard_id }) => {
                            *stored.entry(unit.lane).or_default() += 1;
                            self.stored(unit, &shard_id, is_current);
                        }
                        Some(Answer::Refused { code, message }) => {
                            let throttled = code == "ProvisionedThroughputExceededException";
                            self.tally.throttled += u64::from(throttled);
                            failed.push((unit, format!("{code}: {message}")));
                        }
                        None => failed.push((unit, "the answer does not mention it".to_owned())),
                    }
                }
            }
            Err(failure) => {
                let sent = || flight.units.iter().map(|unit| unit.count() as u64).sum::<u64>();
                let message = match failure {
                    Failure::Refused(message) => {
                        self.tally.throttled += sent();
                        message
                    }
                    Failure::Unanswered(message) => {
                        self.tally.unanswered += sent();
                        message
                    }
                    Failure::Lasting => String::new(),
                };
                failed.extend(flight.units.into_iter().map(|unit| (unit, message.clone())));
            }
        }
        let failed_lanes = self.put_back(failed, now);
        // Lanes of earlier shards are no more, and those that are have not been slowed down by it.
        for index in flight.lanes.iter().filter(|_| is_current) {
            let spread = self.dice.random();
            if let Some(lane) = self.lanes.get_mut(*index) {
                if failed_lanes.contains(index) {
                    lane.slow_down(now, spread, stored.get(index).copied().unwrap_or_default());
                } else {
                    lane.went_well();
                }
            }
        }
    }

    fn stored(&mut self, unit: Unit, shard_id: &str, is_current: bool) {
        let shard = self.lanes.get(unit.lane).and_then(|lane| lane.shard.as_ref());
        let elsewhere = is_current && shard.is_some_and(|shard| shard.id != shard_id);
        self.is_stale |= elsewhere;
        if (elsewhere || !is_current) && unit.count() > 1 {
            let lands_in = self.lanes.iter().filter_map(|lane| lane.shard.as_ref());
            let range = lands_in.into_iter().find(|shard| shard.id == shard_id);
            let inside = |pending: &Pending| {
                range.is_some_and(|shard| (shard.start..=shard.end).contains(&pending.hash_key))
            };
            self.tally.misplaced += u64::from(!unit.records().all(inside));
        }
        self.tally.entries += 1;
        self.tally.payload_units += payload_units(unit.bytes);
        for pending in unit.into_records() {
            self.tally.stored += 1;
            self.tally.stored_bytes += pending.record.data.len() as u64;
            self.forget(&pending);
            self.settled.push(Settled { place: pending.record.place, rejected: None });
        }
    }

    fn forget(&mut self, pending: &Pending) {
        self.waiting -= 1;
        self.waiting_bytes -= pending.record.size_bytes();
    }

    /// Failed records wait again, at the head of their lanes; those that were tried for too long
    /// are rejected. Gives the lanes that they were sent from.
    fn put_back(&mut self, failed: Vec<(Unit, String)>, now: Duration) -> HashSet<usize> {
        let mut lanes = HashSet::new();
        for (unit, message) in failed.into_iter().rev() {
            lanes.insert(unit.lane);
            for pending in unit.into_records().rev() {
                let tried_for = now.saturating_sub(pending.tried_at.unwrap_or(now));
                if tried_for >= self.options.give_up_after {
                    self.forget(&pending);
                    let record = Arc::unwrap_or_clone(pending.record);
                    self.reject("gave_up", message.clone(), record);
                } else {
                    self.tally.retried += 1;
                    self.lanes.of(pending.hash_key).push_front(pending);
                }
            }
        }
        lanes
    }
}

/// What tells the keys of records from each other: their MD5, which most records have ready.
fn key_of(pending: &Pending) -> u128 {
    match pending.record.explicit_hash_key {
        None => pending.hash_key,
        Some(_) => tidegate_kpl::hash_key(&pending.record.partition_key),
    }
}
