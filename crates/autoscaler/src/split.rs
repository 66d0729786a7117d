//! The complete split: what is done when demand rises and the ten calls of the day are spent.
//!
//! SplitShard does not count towards the ten. One split alone gives a stream with even keys nothing,
//! since the other ranges stay as wide as they were; so all the widest are split, one after the
//! other, and then the stream carries twice as much. The plan says how wide a range may be at its
//! end. What is still to do follows from the ranges that are open, so a run that ends in the middle,
//! for whatever reason, is taken up by the next one where it stopped.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::decision::{Basis, Reason, Split};
use crate::limits::MAX_SHARDS;
use crate::observation::Account;
use crate::policy::Policy;
use crate::shards::{Layout, Shard};

/// What one split takes. Older tools plan 20 to 30 seconds, and AWS names 30,000 seconds for 1,000
/// to 2,000 shards.
pub const SPLIT_TIME: SignedDuration = SignedDuration::from_secs(30);

/// A plan that is older was overtaken by events: by then calls have come free.
pub const PLAN_LASTS: SignedDuration = SignedDuration::from_hours(12);

/// Splits that a decision names at the most: more than a function can make in its fifteen minutes.
pub const MOST_SPLITS: usize = 30;

/// A complete split that was begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SplitPlan {
    /// When it was made.
    pub began: Timestamp,
    /// The open shards then.
    pub from: u32,
    /// The open shards at its end; it never goes beyond.
    pub to: u32,
    /// The span of the widest range at its end, in units of 2^64 keys.
    pub widest: u64,
}

impl SplitPlan {
    /// The plan that halves the widest ranges, and all that are more than half as wide.
    pub fn new(layout: &Layout, now: Timestamp) -> Self {
        let widest = units(layout.widest()) / 2;
        let wide = layout.shards().iter().filter(|shard| units(shard.span()) > widest).count();
        let from = layout.count();
        let to = from.saturating_add(u32::try_from(wide).unwrap_or(u32::MAX));
        Self { began: now, from, to, widest }
    }

    /// Whether it still has something to say of these ranges.
    pub fn is_open(&self, layout: &Layout, now: Timestamp) -> bool {
        let age = now.duration_since(self.began);
        (SignedDuration::ZERO..PLAN_LASTS).contains(&age)
            && (self.from..self.to).contains(&layout.count())
            && units(layout.widest()) > self.widest
    }

    /// The splits that are still to be made, the widest range first and the lowest of equals.
    pub fn next(&self, layout: &Layout) -> Vec<Split> {
        let left = self.to.saturating_sub(layout.count()) as usize;
        let mut wide: Vec<&Shard> =
            layout.shards().iter().filter(|shard| units(shard.span()) > self.widest).collect();
        wide.sort_by_key(|shard| (u128::MAX - shard.span(), shard.first));
        let split = |shard: &Shard| {
            let at = shard.midpoint()?;
            Some(Split { shard: shard.id.clone(), at, by: Basis::Complete })
        };
        wide.into_iter().filter_map(split).take(left.min(MOST_SPLITS)).collect()
    }

    /// How many of its splits are made.
    pub fn done(&self, open: u32) -> (u32, u32) {
        (open.saturating_sub(self.from), self.to.saturating_sub(self.from))
    }

    /// How long the rest takes.
    pub fn rest(&self, open: u32) -> SignedDuration {
        let left = i32::try_from(self.to.saturating_sub(open)).unwrap_or(i32::MAX);
        SPLIT_TIME.checked_mul(left).unwrap_or(SignedDuration::MAX)
    }

    /// Whether policy, service and account have room for all of it. Half of it is worth nothing.
    ///
    /// # Errors
    /// With the reason that they have not.
    pub fn fits(&self, open: u32, policy: &Policy, account: Option<Account>) -> Result<(), Reason> {
        if self.to > policy.max_shards {
            return Err(Reason::PolicyBounds);
        }
        if self.to > MAX_SHARDS {
            return Err(Reason::StepLimit);
        }
        let others = |account: Account| account.open_shards.saturating_sub(open);
        match account {
            Some(account) if others(account).saturating_add(self.to) > account.shard_limit => {
                Err(Reason::AccountLimit)
            }
            _ => Ok(()),
        }
    }
}

fn units(span: u128) -> u64 {
    u64::try_from(span >> 64).unwrap_or(u64::MAX)
}
