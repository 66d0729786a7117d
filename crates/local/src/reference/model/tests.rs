use std::collections::BTreeMap;

use jiff::Timestamp;

use super::*;
use crate::fluid::SHARD_PER_SECOND;
use crate::reference::schedule::Schedule;
use crate::reference::{Name, Settings, simulate};

const HALF_A_MINUTE: SignedDuration = SignedDuration::from_secs(30);

/// A history of loads in shards, by records.
fn trace(loads: &[f64]) -> Trace {
    let rate = |load: &f64| Volume { bytes: load * 1e6, records: load * SHARD_PER_SECOND.records };
    Trace { start: Timestamp::UNIX_EPOCH, minutes: loads.iter().map(rate).collect() }
}

/// Calls made at minutes, whatever is seen.
fn scheduled(loads: &[f64], calls: &[(usize, u32)]) -> Run {
    let calls: BTreeMap<_, _> = calls.iter().copied().collect();
    run(&trace(loads), &mut Schedule::of(calls), HALF_A_MINUTE)
}

fn close(found: f64, expected: f64) -> bool {
    (found - expected).abs() < 1e-9
}

#[test]
fn a_reshard_is_half_of_each_while_it_is_half_way() {
    // Four shards to six are six operations, three minutes, with progress 1/6, 3/6 and 5/6.
    let mut loads = vec![2.8; 60];
    loads.extend([6.0; 6]);
    let run = scheduled(&loads, &[(61, 6)]);
    assert_eq!((run.initial_shards, run.calls[0].minutes), (4, 3));
    let accepted: Vec<f64> = run.minutes[60..].iter().map(|minute| minute.accepted).collect();
    let expected = [4.0, 4.0 + 2.0 / 6.0, 5.0, 4.0 + 10.0 / 6.0, 6.0, 6.0];
    let same = accepted.iter().zip(expected).all(|(found, expected)| close(*found, expected));
    assert!(same, "{accepted:?}");
    let billed: f64 = run.minutes[60..].iter().map(|minute| minute.capacity).sum();
    assert!(close(billed, 4.0 + 15.0 + 12.0), "{billed}");
    assert_eq!(run.throttled_minutes, 4);
    let lost = 100.0 * (36.0 - accepted.iter().sum::<f64>()) / (60.0 * 2.8 + 36.0);
    assert!(close(run.throttled_bytes_pct, lost), "{} {lost}", run.throttled_bytes_pct);
}

#[test]
fn a_reshard_takes_its_operations_rounded_up_to_minutes() {
    let cases = [(1, 2, 1), (4, 3, 3), (4, 8, 2), (10, 11, 10), (64, 63, 63), (8, 16, 4)];
    for (from, to, minutes) in cases {
        let operations = Kind::Update.operations(from, to);
        assert_eq!(reshard_minutes(operations, HALF_A_MINUTE), minutes, "{from} -> {to}");
    }
    assert_eq!(reshard_minutes(60, SignedDuration::from_secs(5)), 5);
    assert_eq!(reshard_minutes(60, SignedDuration::ZERO), 1);
    assert_eq!(Kind::Split.operations(4, 6), 2);
    assert_eq!(Kind::Merge.operations(6, 5), 1);
}

#[test]
fn illegal_calls_are_refused_and_counted() {
    // From four shards, by the peak of the first hour.
    let cases = [
        ("more than double", 9, vec![(0, 9)], (0, 1)),
        ("less than half", 9, vec![(0, 1)], (0, 1)),
        ("no change", 9, vec![(0, 4)], (0, 1)),
        ("while a reshard runs", 9, vec![(0, 8), (1, 4)], (1, 1)),
        ("when it is done", 9, vec![(0, 8), (2, 4)], (2, 0)),
        // Every ten minutes, to eight and back: the eleventh is refused, and the one a day after
        // the first is not.
        (
            "the eleventh of a day",
            1_600,
            (0..11).chain([144]).map(|n| (n * 10, if n % 2 == 0 { 8 } else { 4 })).collect(),
            (11, 1),
        ),
    ];
    for (name, minutes, calls, expected) in cases {
        let run = scheduled(&vec![2.8; minutes], &calls);
        assert_eq!((run.calls.len(), run.rejected), expected, "{name}");
    }
}

/// Notes what is visible, and does nothing.
#[derive(Default)]
struct Watcher(Vec<(usize, Option<f64>)>);

impl Policy for Watcher {
    fn look(&mut self, seen: &Seen<'_>) -> Option<Change> {
        self.0.push((seen.visible.len(), seen.newest().next().map(|minute| minute.accepted)));
        None
    }
}

#[test]
fn a_minute_is_visible_two_minutes_after_it_began() {
    let mut watcher = Watcher::default();
    run(&trace(&[1.0, 2.0, 3.0, 4.0]), &mut watcher, HALF_A_MINUTE);
    assert_eq!(watcher.0, [(0, None), (0, None), (1, Some(1.0)), (2, Some(2.0))]);
}

#[test]
fn a_policy_is_billed_by_mode() {
    // An hour of 1,000 records a second of 1,000 bytes: one shard-hour and 3.6 million units each.
    let hour = trace(&[1.0; 60]);
    let cost = |name| simulate(name, &hour, Settings::default()).unwrap().cost_usd;
    let static_peak = 0.015 + 3.6 * 0.014;
    assert!(close(cost(Name::StaticPeak), static_peak), "{}", cost(Name::StaticPeak));
    let on_demand =
        0.04 + 3.6e6 * 1_024.0 / 1_073_741_824.0 * 0.08 + 3.6e9 / 1_073_741_824.0 * 0.04;
    assert!(close(cost(Name::OnDemand), on_demand), "{}", cost(Name::OnDemand));
}

#[test]
fn on_demand_throttles_what_more_than_doubles_within_a_quarter_of_an_hour() {
    // Four shards' worth from cold; a jump to ten settles after fifteen minutes.
    let mut loads = vec![3.0; 30];
    loads.extend([10.0; 30]);
    let run = simulate(Name::OnDemand, &trace(&loads), Settings::default()).unwrap();
    let throttled: Vec<usize> = run
        .minutes
        .iter()
        .enumerate()
        .filter(|(_, m)| m.is_throttled())
        .map(|(at, _)| at)
        .collect();
    assert_eq!(throttled, (30..45).collect::<Vec<_>>());
    assert_eq!((run.initial_shards, run.shard_hours, run.calls.len()), (0, 0.0, 0));
}

#[test]
fn the_clairvoyant_is_just_in_time_and_never_throttles() {
    // Two shards for three hours, then eight for three, then two again.
    let mut loads = vec![1.4; 180];
    loads.extend([7.5; 180]);
    loads.extend([1.4; 180]);
    let run = simulate(Name::Clairvoyant, &trace(&loads), Settings::default()).unwrap();
    assert_eq!((run.throttled_minutes, run.rejected), (0, 0));
    let calls: Vec<_> =
        run.calls.iter().map(|call| (call.minute, call.from, call.change.to)).collect();
    // 2 -> 4 takes a minute and 4 -> 8 two; down again it is 8 -> 4 -> 2.
    assert_eq!(calls, [(177, 2, 4), (178, 4, 8), (360, 8, 4), (362, 4, 2)]);
}

#[test]
fn where_every_schedule_throttles_there_is_no_clairvoyant() {
    let mut loads = vec![0.5; 60];
    loads.extend([5_000.0; 5]);
    assert_eq!(simulate(Name::Clairvoyant, &trace(&loads), Settings::default()), None);
    assert_eq!(simulate(Name::Clairvoyant, &trace(&[20_000.0; 5]), Settings::default()), None);
}
