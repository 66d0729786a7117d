//! Hot shards and complete splits: worked examples, and what holds for any ranges and any sample.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use tidegate_autoscaler::Policy;
use tidegate_autoscaler::decision::{Basis, Reason, Split};
use tidegate_autoscaler::hot::{self, Hot, Judgement, Memory, judge};
use tidegate_autoscaler::observation::{Account, Minute};
use tidegate_autoscaler::shards::{Layout, Sample, Shard};
use tidegate_autoscaler::split::{PLAN_LASTS, SplitPlan};
use tidegate_autoscaler::units::MilliShards;

fn now() -> Timestamp {
    Timestamp::from_second(1_763_683_200).unwrap()
}

fn ago(minutes: i64) -> Timestamp {
    now() - SignedDuration::from_mins(minutes)
}

/// Does what SplitShard does.
fn split(layout: &Layout, split: &Split) -> Option<Layout> {
    let mut shards = layout.shards().to_vec();
    let index = shards.iter().position(|shard| shard.id == split.shard)?;
    let parent = shards.swap_remove(index);
    let (least, most) = parent.split_points()?;
    assert!((least..=most).contains(&split.at), "{split:?} of {parent:?}");
    let child = |first, last| Shard {
        id: format!("{first}-{last}"),
        first,
        last,
        parent: Some(parent.id.clone()),
    };
    shards.push(child(parent.first, split.at - 1));
    shards.push(child(split.at, parent.last));
    Layout::new(shards)
}

fn shard(first: u128, last: u128) -> Shard {
    Shard { id: "s".into(), first, last, parent: None }
}

/// Records of these keys, `(hash, records, bytes each)`.
fn sample(keys: &[(u128, usize, u32)]) -> Vec<Sample> {
    let records = |(hash, count, bytes): &(u128, usize, u32)| {
        vec![Sample { hash: *hash, bytes: *bytes }; *count]
    };
    keys.iter().flat_map(records).collect()
}

#[test]
fn a_shard_is_split_between_its_keys() {
    let at = |at| Judgement::Split(Split { shard: "s".into(), at, by: Basis::Sample });
    let middle = Judgement::Split(Split { shard: "s".into(), at: 1_501, by: Basis::Midpoint });
    let key = |percent| Judgement::HotKey { percent };
    let full = MilliShards(1_500);
    let cases: [(&str, Vec<Sample>, MilliShards, bool, Judgement); 12] = [
        ("two keys", sample(&[(1_100, 60, 1), (1_300, 60, 1)]), full, false, at(1_200)),
        (
            "three",
            sample(&[(1_100, 50, 1), (1_200, 50, 1), (1_900, 90, 1)]),
            full,
            false,
            at(1_550),
        ),
        // By their bytes, the last is as heavy as the others together.
        ("bytes", sample(&[(1_100, 90, 1), (1_200, 9, 1), (1_900, 9, 11)]), full, true, at(1_550)),
        // Neighbours: the point is the upper key itself.
        ("neighbours", sample(&[(1_100, 60, 1), (1_101, 60, 1)]), full, false, at(1_101)),
        ("one key", sample(&[(1_100, 200, 1)]), full, false, key(Some(100))),
        ("nearly one", sample(&[(1_100, 190, 1), (1_200, 10, 1)]), full, false, key(Some(95))),
        // 60 % of 2.0 shards fill one alone; 60 % of 1.5 do not.
        (
            "too hot",
            sample(&[(1_100, 120, 1), (1_200, 80, 1)]),
            MilliShards(2_000),
            false,
            key(Some(60)),
        ),
        ("fits", sample(&[(1_100, 120, 1), (1_200, 80, 1)]), full, false, at(1_150)),
        // Keys that cannot be parted: a shard is not split below its third key.
        ("edge", sample(&[(1_000, 60, 1), (1_001, 60, 1)]), full, false, key(Some(50))),
        ("few", sample(&[(1_100, 30, 1), (1_300, 30, 1)]), full, false, middle.clone()),
        // A key that hashes to elsewhere: the producer named the hash itself.
        ("explicit", sample(&[(1_100, 90, 1), (7, 90, 1)]), full, false, middle.clone()),
        ("nothing", Vec::new(), full, false, middle),
    ];
    for (name, sample, demand, by_bytes, expected) in cases {
        let shard = shard(1_000, 2_000);
        let hot = Hot { shard: &shard, demand, by_bytes };
        assert_eq!(judge(&hot, Some(&sample), false, 1_000), expected, "{name}");
    }
}

#[test]
fn what_no_sample_tells_the_ranges_do() {
    let key = Judgement::HotKey { percent: None };
    let middle = |at| Judgement::Split(Split { shard: "s".into(), at, by: Basis::Midpoint });
    // first and last key, relapsed, the span of an even shard
    let cases = [
        ((0, 9_999), false, 9_999, middle(5_000)),
        ((0, 9_999), true, 9_999, key.clone()),
        // Halved three times: still an eighth. Four times: enough.
        ((0, 1_250), false, 9_999, middle(626)),
        ((0, 624), false, 9_999, key.clone()),
        ((5, 5), false, 1, key.clone()),
        ((5, 7), false, 1, key),
    ];
    for ((first, last), relapsed, even, expected) in cases {
        let shard = shard(first, last);
        let hot = Hot { shard: &shard, demand: MilliShards(1_500), by_bytes: false };
        assert_eq!(judge(&hot, None, relapsed, even), expected, "{first} to {last}");
    }
}

#[test]
fn throttling_with_room_is_suspicious() {
    // `(minutes ago, accepted shards of 10, rejected)`
    let seen = |minutes: &[(i64, u64, u64)]| -> BTreeMap<Timestamp, Minute> {
        let minute = |(at, shards, rejected): &(i64, u64, u64)| {
            let records = Some(shards * 60_000);
            (ago(*at), Minute { records, rejected: Some(*rejected), ..Minute::default() })
        };
        minutes.iter().map(minute).collect()
    };
    let cases = [
        ("three", seen(&[(2, 5, 9), (3, 5, 9), (4, 5, 9)]), None, true),
        ("two", seen(&[(2, 5, 9), (3, 5, 9), (4, 5, 0)]), None, false),
        ("no room", seen(&[(2, 6, 9), (3, 6, 9), (4, 6, 9)]), None, false),
        ("long ago", seen(&[(2, 5, 9), (3, 5, 9), (11, 5, 9)]), None, false),
        ("in the future", seen(&[(2, 5, 9), (3, 5, 9), (-1, 5, 9)]), None, false),
        ("after a change", seen(&[(2, 5, 9), (3, 5, 9), (4, 5, 9)]), Some(4), true),
        ("before a change", seen(&[(2, 5, 9), (3, 5, 9), (4, 5, 9)]), Some(3), false),
        ("changed later", seen(&[(2, 5, 9), (3, 5, 9), (4, 5, 9)]), Some(-1), false),
    ];
    for (name, minutes, settled, expected) in cases {
        let settled = settled.map_or(Timestamp::MIN, ago);
        let found = hot::is_suspected(&minutes, MilliShards::capacity(10), settled, now());
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn a_complete_split_has_room_or_is_not_begun() {
    let policy = |max_shards| Policy { max_shards, ..Policy::default() };
    let account = |shard_limit| Some(Account { shard_limit, open_shards: 50 });
    let cases = [
        (4, policy(100), None, Ok(())),
        (4, policy(8), account(54), Ok(())),
        (4, policy(7), None, Err(Reason::PolicyBounds)),
        (4, policy(100), account(53), Err(Reason::AccountLimit)),
        (6_000, policy(20_000), None, Err(Reason::StepLimit)),
    ];
    for (open, policy, account, expected) in cases {
        let plan = SplitPlan::new(&Layout::even(open), now());
        assert_eq!((plan.from, plan.to), (open, open * 2));
        assert_eq!(plan.fits(open, &policy, account), expected, "{open}");
    }
}

#[test]
fn a_plan_that_was_overtaken_is_no_longer_open() {
    let layout = Layout::even(4);
    let plan = SplitPlan::new(&layout, now());
    let first = plan.next(&layout).remove(0);
    let begun = split(&layout, &first).unwrap();
    let cases = [
        ("begun", &begun, now(), true),
        ("not begun", &layout, now(), true),
        ("merged by somebody", &Layout::even(3), now(), false),
        ("done by somebody", &Layout::even(8), now(), false),
        ("too old", &begun, now() + PLAN_LASTS, false),
        ("from the future", &begun, now() - SignedDuration::from_secs(1), false),
    ];
    for (name, layout, at, expected) in cases {
        assert_eq!(plan.is_open(layout, at), expected, "{name}");
    }
}

/// Even shards, some of which were split anywhere.
fn any_layout() -> impl Strategy<Value = Layout> {
    let splits = prop::collection::vec((any::<prop::sample::Index>(), any::<u128>()), 0..20);
    (1_u32..40, splits).prop_map(|(count, splits)| {
        splits.into_iter().fold(Layout::even(count), |layout, (which, at)| {
            let shard = which.get(layout.shards());
            let Some((least, most)) = shard.split_points() else { return layout };
            let at = least + at % (most - least + 1).max(1);
            let by = Basis::Midpoint;
            split(&layout, &Split { shard: shard.id.clone(), at, by }).unwrap()
        })
    })
}

proptest! {
    /// Splits leave no gap and no overlap, never make a stream carry less, and a complete split
    /// ends after as many as it said, wherever it was cut off, with twice the capacity.
    #[test]
    fn a_complete_split_ends_and_doubles_the_capacity(
        layout in any_layout(), cuts in prop::collection::vec(1_usize..6, 1..9),
    ) {
        let before = layout.capacity();
        let plan = SplitPlan::new(&layout, now());
        let again = SplitPlan::new(&layout, now());
        prop_assert_eq!(plan, again);
        let mut now_open = layout;
        let mut made = 0;
        for cut in cuts.iter().cycle() {
            if !plan.is_open(&now_open, now()) {
                break;
            }
            let next = plan.next(&now_open);
            prop_assert!(!next.is_empty(), "an open plan has something to do");
            // A run makes so many of them, or is cut off before.
            for todo in next.iter().take(*cut) {
                let after = split(&now_open, todo);
                prop_assert!(after.is_some(), "{:?} leaves a gap", todo);
                let after = after.unwrap();
                prop_assert!(after.capacity() >= now_open.capacity());
                now_open = after;
                made += 1;
                prop_assert!(now_open.count() <= plan.to);
            }
        }
        prop_assert_eq!(made, plan.to - plan.from);
        prop_assert!(plan.next(&now_open).is_empty());
        let twice = before.percent(200);
        prop_assert!(now_open.capacity().0 + 2 >= twice.0, "{} {}", now_open.capacity(), twice);
    }

    /// Whatever the sample holds, the point lies in the shard, leaves keys on both sides of it, and
    /// the same sample in another order gives the same.
    #[test]
    fn no_point_lies_outside_of_the_shard(
        (first, span) in (any::<u128>(), prop_oneof![0_u128..9, any::<u128>()]),
        keys in prop::collection::vec((any::<u128>(), 1_usize..60, 0_u32..5_000), 0..12),
        demand in 0_u64..10_000,
        by_bytes: bool,
        relapsed: bool,
    ) {
        let shard = shard(first, first.saturating_add(span));
        let width = shard.span();
        let within = |hash: u128| first + if width == u128::MAX { hash } else { hash % (width + 1) };
        let keys: Vec<_> = keys.into_iter().map(|(hash, n, b)| (within(hash), n, b)).collect();
        let mut sample = sample(&keys);
        let hot = Hot { shard: &shard, demand: MilliShards(demand), by_bytes };
        let judged = judge(&hot, Some(&sample), relapsed, width);
        sample.reverse();
        prop_assert_eq!(&judged, &judge(&hot, Some(&sample), relapsed, width));
        if let Judgement::Split(split) = judged {
            let (least, most) = shard.split_points().unwrap();
            prop_assert!((least..=most).contains(&split.at), "{} in {:?}", split.at, shard);
            if split.by == Basis::Sample {
                let below = keys.iter().filter(|(hash, ..)| *hash < split.at).count();
                prop_assert!(below > 0 && below < keys.len(), "all keys on one side");
            }
        }
    }

    #[test]
    fn a_memory_round_trips(
        splits in prop::collection::btree_map("[a-z0-9-]{1,20}", 0_i64..2_000_000_000, 0..4),
        plan in prop::option::of((0_i64..2_000_000_000, any::<u32>(), any::<u32>(), any::<u64>())),
        uneven in prop::option::of(0_i64..2_000_000_000),
    ) {
        let at = |second| Timestamp::from_second(second).unwrap();
        let memory = Memory {
            splits: splits.into_iter().map(|(shard, second)| (shard, at(second))).collect(),
            uneven_since: uneven.map(at),
            plan: plan.map(|(began, from, to, widest)| SplitPlan { began: at(began), from, to, widest }),
            ..Memory::default()
        };
        let text = serde_json::to_string(&memory).unwrap();
        prop_assert_eq!(serde_json::from_str::<Memory>(&text).unwrap(), memory);
    }
}
