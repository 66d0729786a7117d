//! A provisioned stream: writes against the limits of its shards, and resharding.
//!
//! UpdateShardCount (its API reference, 2026-11): at most double, not less than half, at most ten
//! in a rolling day, only while the stream is ACTIVE, within the account's shards with the
//! short-lived ones of the reshard counted. Assumed, since AWS does not say: half of an odd count is
//! rounded up; splits and merges go from the lowest key to the highest, and each takes
//! [`Settings::per_operation`]. 4 to 3 then makes seven shards, which is what was seen of AWS.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use tidegate_autoscaler::limits;
use tidegate_autoscaler::shards::boundary;

use crate::fluid::{Volume, accepted_share};
use crate::keys::Keys;
use crate::shard::{HashRange, Record, Shard, hash_key};

const CALL_WINDOW: SignedDuration = SignedDuration::from_hours(24);
const CALLS_PER_DAY: usize = 10;

/// How the model is set up.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The stream's name.
    pub name: String,
    /// Open shards at the start.
    pub shards: u32,
    /// What the account may have open, in all its streams.
    pub account_shards: u32,
    /// How long one split or merge takes. Thirty seconds is what older tools plan, and agrees with
    /// the order of magnitude that AWS publishes.
    pub per_operation: SignedDuration,
    /// How many consumers read the stream, each on its own.
    pub readers: usize,
}

/// A record that a producer sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Put {
    /// The partition key.
    pub partition_key: String,
    /// The payload.
    pub data: Vec<u8>,
}

/// What became of an offer.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Offered {
    /// The volume that was accepted.
    pub accepted: Volume,
    /// The volume that was rejected.
    pub rejected: Volume,
    /// Records of the sample that were accepted.
    pub records_accepted: u64,
    /// Records of the sample that were rejected.
    pub records_rejected: u64,
}

/// Why UpdateShardCount or SplitShard was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// A reshard is under way.
    #[error("the stream is UPDATING")]
    InUse,
    /// Ten calls were accepted in the last 24 hours.
    #[error("10 calls were accepted in the last 24 hours")]
    CallsSpent,
    /// More than double, or less than half, or no change at all.
    #[error("the target is not between half and double of the open shards")]
    Step,
    /// The account has no room for the reshard.
    #[error("the account's shard limit would be exceeded on the way")]
    AccountLimit,
    /// There is no such open shard, or the key is not more than one above its first and below its
    /// last.
    #[error("there is no such open shard, or it cannot be split at that key")]
    Range,
}

enum Operation {
    Split(u128),
    Merge(u128),
}

/// A stream.
pub struct Stream {
    settings: Settings,
    shards: BTreeMap<u32, Shard>,
    pending: VecDeque<Operation>,
    next_operation: Option<Timestamp>,
    accepted_calls: VecDeque<Timestamp>,
    next_number: u32,
    next_sequence: u64,
    /// How the load is spread over the keys.
    pub keys: Keys,
    /// Whether the stream publishes the metrics of its shards.
    pub has_shard_metrics: bool,
    /// The names of the consumers with enhanced fan-out.
    pub fan_out: Vec<String>,
    /// The stream's tags.
    pub tags: BTreeMap<String, String>,
    /// UpdateShardCount calls that were accepted.
    pub calls_made: u64,
    /// UpdateShardCount and SplitShard calls that were refused.
    pub calls_rejected: u64,
    /// SplitShard calls that were accepted.
    pub splits_made: u64,
    /// What the open shards were billed so far.
    pub shard_hours: f64,
}

impl Stream {
    /// A stream with evenly spread shards.
    pub fn new(settings: Settings) -> Self {
        let mut stream = Self {
            shards: BTreeMap::new(),
            pending: VecDeque::new(),
            next_operation: None,
            accepted_calls: VecDeque::new(),
            next_number: 0,
            next_sequence: 0,
            keys: Keys::default(),
            has_shard_metrics: false,
            fan_out: Vec::new(),
            tags: BTreeMap::new(),
            calls_made: 0,
            calls_rejected: 0,
            splits_made: 0,
            shard_hours: 0.0,
            settings,
        };
        let count = stream.settings.shards;
        for index in 0..count {
            let end = if index + 1 == count { u128::MAX } else { boundary(index + 1, count) - 1 };
            stream.open(HashRange { start: boundary(index, count), end }, Vec::new());
        }
        stream
    }

    /// The stream's name.
    pub fn name(&self) -> &str {
        &self.settings.name
    }

    /// The stream's ARN.
    pub fn arn(&self) -> String {
        format!("arn:aws:kinesis:{}:{}:stream/{}", crate::REGION, crate::ACCOUNT, self.name())
    }

    /// Shards that take records.
    pub fn open_shards(&self) -> u32 {
        let open = self.shards.values().filter(|shard| shard.open).count();
        u32::try_from(open).unwrap_or(u32::MAX)
    }

    /// The account's shard limit.
    pub const fn account_shards(&self) -> u32 {
        self.settings.account_shards
    }

    /// Whether a reshard is under way.
    pub fn is_updating(&self) -> bool {
        self.next_operation.is_some()
    }

    /// All shards that are open or still hold something unread.
    pub fn shards(&self) -> impl Iterator<Item = &Shard> {
        self.shards.values()
    }

    /// One shard; `None` when it never was, or is closed and read to its end by everybody.
    pub fn shard(&self, number: u32) -> Option<&Shard> {
        self.shards.get(&number)
    }

    fn open(&mut self, range: HashRange, parents: Vec<u32>) {
        let number = self.next_number;
        self.next_number += 1;
        self.shards.insert(number, Shard::new(number, range, parents, self.settings.readers));
    }

    /// Offers a volume over some seconds, and the records that are carried of it.
    pub fn offer(
        &mut self,
        volume: Volume,
        puts: Vec<Put>,
        seconds: f64,
        at: Timestamp,
    ) -> Offered {
        let mut offered = Offered::default();
        let mut shares = BTreeMap::new();
        for shard in self.shards.values_mut().filter(|shard| shard.open) {
            let of_shard = volume.times(self.keys.share(shard.range));
            let share = accepted_share(of_shard, seconds);
            let (accepted, rejected) = (of_shard.times(share), of_shard.times(1.0 - share));
            offered.accepted.add(accepted);
            offered.rejected.add(rejected);
            shard.offered = Offered { accepted, rejected, ..Offered::default() };
            shares.insert(shard.number, share);
        }
        for put in puts {
            if self.put(put, &shares, at) {
                offered.records_accepted += 1;
            } else {
                offered.records_rejected += 1;
            }
        }
        self.shard_hours += f64::from(self.open_shards()) * seconds / 3_600.0;
        offered
    }

    fn put(&mut self, put: Put, shares: &BTreeMap<u32, f64>, at: Timestamp) -> bool {
        let key = hash_key(&put.partition_key);
        let Some(shard) =
            self.shards.values_mut().find(|shard| shard.open && shard.range.contains(key))
        else {
            return false;
        };
        shard.owed += 1.0 - shares.get(&shard.number).copied().unwrap_or(1.0);
        if shard.owed >= 1.0 {
            shard.owed -= 1.0;
            return false;
        }
        let sequence_number = format!("4966{:052}", self.next_sequence);
        self.next_sequence += 1;
        let record = Record {
            sequence_number,
            partition_key: put.partition_key,
            data: put.data,
            arrival: at,
        };
        shard.push(&Arc::new(record));
        true
    }

    /// Records that a reader takes from a shard, oldest first.
    pub fn take(&mut self, reader: usize, shard: u32, most: usize) -> Vec<Arc<Record>> {
        self.shards.get_mut(&shard).map(|shard| shard.take(reader, most)).unwrap_or_default()
    }

    /// Records that a reader has not yet taken.
    pub fn unread(&self, reader: usize) -> u64 {
        self.shards.values().map(|shard| shard.unread(reader) as u64).sum()
    }

    /// UpdateShardCount.
    ///
    /// # Errors
    /// When a limit forbids it; the refusal is counted.
    pub fn update_shard_count(&mut self, target: u32, now: Timestamp) -> Result<(), Refused> {
        let verdict = self.check(target, now);
        if verdict.is_err() {
            self.calls_rejected += 1;
            return verdict;
        }
        self.calls_made += 1;
        self.accepted_calls.push_back(now);
        self.pending = plan(&self.boundaries(), target);
        self.next_operation = Some(now + self.settings.per_operation);
        Ok(())
    }

    /// SplitShard. It does not count towards the calls of the day (no limit of a day is stated in
    /// its API reference, 2026-11).
    ///
    /// # Errors
    /// When a limit forbids it; the refusal is counted.
    pub fn split_shard(&mut self, shard: u32, at: u128, now: Timestamp) -> Result<(), Refused> {
        let range = self.shards.get(&shard).filter(|shard| shard.open).map(|shard| shard.range);
        let fits = |range: HashRange| at > range.start.saturating_add(1) && at < range.end;
        let verdict = if self.is_updating() {
            Err(Refused::InUse)
        } else if !range.is_some_and(fits) {
            Err(Refused::Range)
        } else if self.open_shards() >= self.settings.account_shards {
            Err(Refused::AccountLimit)
        } else {
            self.splits_made += 1;
            self.pending = VecDeque::from([Operation::Split(at)]);
            self.next_operation = Some(now + self.settings.per_operation);
            return Ok(());
        };
        self.calls_rejected += 1;
        verdict
    }

    fn check(&mut self, target: u32, now: Timestamp) -> Result<(), Refused> {
        while self
            .accepted_calls
            .front()
            .is_some_and(|call| now.duration_since(*call) >= CALL_WINDOW)
        {
            self.accepted_calls.pop_front();
        }
        let open = self.open_shards();
        let (least, most) = limits::legal(open);
        if self.is_updating() {
            Err(Refused::InUse)
        } else if target == open || !(least..=most).contains(&target) {
            Err(Refused::Step)
        } else if self.accepted_calls.len() >= CALLS_PER_DAY {
            Err(Refused::CallsSpent)
        } else if limits::peak_open(open, target) > self.settings.account_shards && target > open {
            Err(Refused::AccountLimit)
        } else {
            Ok(())
        }
    }

    /// The starts of the open ranges but the first, in order.
    fn boundaries(&self) -> Vec<u128> {
        let mut starts: Vec<_> = self
            .shards
            .values()
            .filter(|s| s.open && s.range.start > 0)
            .map(|s| s.range.start)
            .collect();
        starts.sort_unstable();
        starts
    }

    /// Carries out the splits and merges that are due, and forgets what everybody has read.
    pub fn advance(&mut self, now: Timestamp) {
        while let Some(due) = self.next_operation
            && due <= now
        {
            match self.pending.pop_front() {
                Some(Operation::Split(at)) => self.split(at),
                Some(Operation::Merge(at)) => self.merge(at),
                None => {}
            }
            self.next_operation = if self.pending.is_empty() {
                None
            } else {
                Some(due + self.settings.per_operation)
            };
        }
        self.forget();
    }

    /// Forgets the closed shards that everybody has read. A reader may still be busy with the last
    /// records of one, and its children wait for that: so do those of a child that never took any.
    fn forget(&mut self) {
        let readers = 0..self.settings.readers;
        let read =
            |shard: &Shard| !shard.open && readers.clone().all(|reader| shard.unread(reader) == 0);
        let forgotten: Vec<_> = self.shards.extract_if(.., |_, shard| read(shard)).collect();
        // Children first, so that what one inherits can be inherited further.
        for (number, shard) in forgotten.into_iter().rev().filter(|(_, shard)| shard.unused) {
            for child in self.shards.values_mut().filter(|s| s.parents.contains(&number)) {
                child.parents.retain(|parent| *parent != number);
                child.parents.extend(&shard.parents);
            }
        }
    }

    fn split(&mut self, at: u128) {
        let found = self.shards.values_mut().find(|s| s.open && s.range.contains(at));
        let Some(parent) = found.filter(|shard| shard.range.start < at) else { return };
        parent.open = false;
        let (number, range) = (parent.number, parent.range);
        self.open(HashRange { start: range.start, end: at - 1 }, vec![number]);
        self.open(HashRange { start: at, end: range.end }, vec![number]);
    }

    fn merge(&mut self, at: u128) {
        let open = |test: &dyn Fn(&Shard) -> bool| {
            self.shards
                .values()
                .find(|shard| shard.open && test(shard))
                .map(|s| (s.number, s.range))
        };
        let below = open(&|shard| shard.range.end == at.wrapping_sub(1));
        let above = open(&|shard| shard.range.start == at);
        let (Some((left, low)), Some((right, high))) = (below, above) else { return };
        for number in [left, right] {
            if let Some(shard) = self.shards.get_mut(&number) {
                shard.open = false;
            }
        }
        self.open(HashRange { start: low.start, end: high.end }, vec![left, right]);
    }
}

/// The operations of a uniform reshard, from the lowest boundary to the highest: a new one is split
/// at, an old one is merged at. So the count goes from one to the other without a detour.
fn plan(old: &[u128], target: u32) -> VecDeque<Operation> {
    let new: BTreeSet<_> = (1..target).map(|index| boundary(index, target)).collect();
    let old: BTreeSet<_> = old.iter().copied().collect();
    new.symmetric_difference(&old)
        .map(|at| if new.contains(at) { Operation::Split(*at) } else { Operation::Merge(*at) })
        .collect()
}
