//! What UpdateShardCount accepts, what a reshard does on the way, and which targets are cheap.

use crate::observation::Account;
use crate::policy::Policy;

/// The most shards a stream can have (API reference of UpdateShardCount, 2026-11).
pub const MAX_SHARDS: u32 = 10_000;

/// The range of targets that one call accepts: at most double, and not less than half. How AWS
/// rounds half of an odd count is not documented, so it is rounded up.
pub fn legal(open: u32) -> (u32, u32) {
    (open.div_ceil(2).max(1), open.saturating_mul(2).min(MAX_SHARDS))
}

/// Splits and merges that a uniform reshard of an evenly split stream takes: every boundary of the
/// new ranges that is not one of the old is a split, every old one that is not new is a merge.
pub fn operations(from: u32, to: u32) -> u32 {
    from.saturating_add(to).saturating_sub(gcd(from, to).saturating_mul(2))
}

/// The most shards that are open at once on the way, when splits come before merges. The account's
/// limit counts them.
pub fn peak_open(from: u32, to: u32) -> u32 {
    from.saturating_add(to).saturating_sub(gcd(from, to))
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// What cut a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Nothing.
    None,
    /// The policy's bounds.
    Policy,
    /// Double or half of the open shards.
    Step,
    /// The account's shards.
    Account,
}

/// The nearest target that policy, service and account allow, and what moved it last.
///
/// A stream outside the policy's bounds is moved towards them: bounds clamp, they never block.
pub fn clamp(open: u32, desired: u32, policy: &Policy, account: Option<Account>) -> (u32, Cut) {
    let mut target = desired;
    let mut cut = Cut::None;
    let mut apply = |bound: u32, by: Cut| {
        if bound != target {
            (target, cut) = (bound, by);
        }
        target
    };
    let bounded = apply(desired.clamp(policy.min_shards, policy.max_shards), Cut::Policy);
    let (least, most) = legal(open);
    let stepped = apply(bounded.clamp(least, most), Cut::Step);
    if let Some(account) = account {
        apply(within_account(open, stepped, account), Cut::Account);
    }
    (target, cut)
}

/// The largest target up to the wanted one whose reshard fits the account.
fn within_account(open: u32, target: u32, account: Account) -> u32 {
    if target <= open {
        return target;
    }
    let others = account.open_shards.saturating_sub(open);
    let fits = |to: &u32| others.saturating_add(peak_open(open, *to)) <= account.shard_limit;
    (open..=target).rev().find(|to| *to == open || fits(to)).unwrap_or(open)
}

/// Of the targets from the wanted one to a quarter more, the one that costs least: a shard counts
/// ten, and an operation of the reshard three. Doubling moves far less than one shard more does.
pub fn cheapest(open: u32, wanted: u32, most: u32) -> u32 {
    let upper = wanted.saturating_add(wanted / 4).min(most).max(wanted);
    (wanted..=upper)
        .min_by_key(|to| u64::from(*to) * 10 + u64::from(operations(open, *to)) * 3)
        .unwrap_or(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arithmetic_of_a_reshard() {
        // from, to, operations, open at the peak
        let cases = [
            (4, 3, 5, 6),
            (100, 200, 100, 200),
            (100, 150, 150, 200),
            (100, 125, 175, 200),
            (100, 101, 199, 200),
            (4, 4, 0, 4),
        ];
        for (from, to, splits_and_merges, peak) in cases {
            assert_eq!(operations(from, to), splits_and_merges, "{from} -> {to}");
            assert_eq!(peak_open(from, to), peak, "{from} -> {to}");
        }
    }

    #[test]
    fn half_of_an_odd_count_is_rounded_up() {
        for (open, range) in [(1, (1, 2)), (3, (2, 6)), (5, (3, 10)), (6_000, (3_000, 10_000))] {
            assert_eq!(legal(open), range, "{open}");
        }
    }

    #[test]
    fn bounds_clamp_and_never_block() {
        let policy =
            |min_shards, max_shards| Policy { min_shards, max_shards, ..Policy::default() };
        let account = |shard_limit, open_shards| Some(Account { shard_limit, open_shards });
        let cases = [
            ((4, 6), policy(1, 100), None, (6, Cut::None)),
            ((4, 60), policy(1, 100), None, (8, Cut::Step)),
            ((4, 60), policy(1, 6), None, (6, Cut::Policy)),
            ((10, 1), policy(1, 100), None, (5, Cut::Step)),
            ((10, 1), policy(8, 100), None, (8, Cut::Policy)),
            // Outside the bounds: moved towards them, as far as one step goes.
            ((40, 40), policy(1, 10), None, (20, Cut::Step)),
            ((2, 2), policy(9, 10), None, (4, Cut::Step)),
            // 4 -> 8 has 8 open at the peak, beside 40 of others.
            ((4, 8), policy(1, 100), account(48, 44), (8, Cut::None)),
            ((4, 8), policy(1, 100), account(47, 44), (4, Cut::Account)),
            // 4 -> 6 has 8 open at the peak too; nothing in between fits.
            ((4, 6), policy(1, 100), account(46, 44), (4, Cut::Account)),
            ((4, 3), policy(1, 100), account(1, 44), (3, Cut::None)),
        ];
        for ((open, desired), policy, account, expected) in cases {
            assert_eq!(clamp(open, desired, &policy, account), expected, "{open} -> {desired}");
        }
    }

    #[test]
    fn cheap_targets_share_a_large_divisor() {
        for (open, wanted, most, target) in
            [(100, 110, 200, 110), (16, 29, 32, 32), (8, 9, 16, 9), (4, 3, 8, 3)]
        {
            assert_eq!(cheapest(open, wanted, most), target, "{open} -> {wanted}");
        }
    }
}
