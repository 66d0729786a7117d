//! The reference model on real histories: it agrees with the results that are published for it.
//!
//! The histories are not in the repository; `TIDEGATE_TRACES` names their folder.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test fails by panicking")]

use std::path::PathBuf;

use tidegate_local::fluid::Volume;
use tidegate_local::reference::{Kind, Name, Run, Settings, simulate};
use tidegate_local::trace::Trace;

/// Shard-hours and percent of bytes throttled.
type Figures = (f64, f64);

struct Expected {
    trace: &'static str,
    static_peak: f64,
    aws_sample: Figures,
    aws_sample_1min: Figures,
    scaling_utils: Figures,
    target_tracking: Figures,
    step: Figures,
    clairvoyant: f64,
    bound: f64,
    /// Dollars and percent of bytes throttled.
    on_demand: Figures,
}

/// The reference results.
#[rustfmt::skip]
const EXPECTED: [Expected; 10] = [
    Expected { trace: "nasa95", static_peak: 10_368.0, aws_sample: (3_633.0, 0.30), aws_sample_1min: (3_731.0, 0.16), scaling_utils: (3_718.0, 0.03), target_tracking: (2_596.0, 0.81), step: (3_780.0, 0.10), clairvoyant: 2_459.0, bound: 2_378.0, on_demand: (428.0, 0.0) },
    Expected { trace: "wc98", static_peak: 53_760.0, aws_sample: (18_499.0, 0.64), aws_sample_1min: (19_713.0, 0.05), scaling_utils: (15_393.0, 1.52), target_tracking: (8_748.0, 9.66), step: (16_659.0, 5.67), clairvoyant: 7_876.0, bound: 6_918.0, on_demand: (1_966.0, 0.0) },
    Expected { trace: "ms_ingress01", static_peak: 12_672.0, aws_sample: (16_896.0, 0.0), aws_sample_1min: (16_896.0, 0.0), scaling_utils: (14_609.0, 0.0), target_tracking: (11_333.0, 0.0), step: (12_317.0, 0.0), clairvoyant: 8_082.0, bound: 7_995.0, on_demand: (3_118.0, 0.19) },
    Expected { trace: "ms_ingress04", static_peak: 5_280.0, aws_sample: (5_988.0, 0.0), aws_sample_1min: (6_024.0, 0.0), scaling_utils: (4_951.0, 0.01), target_tracking: (3_019.0, 5.88), step: (5_218.0, 0.0), clairvoyant: 2_532.0, bound: 2_455.0, on_demand: (1_021.0, 0.09) },
    Expected { trace: "ms_ingress05", static_peak: 10_560.0, aws_sample: (7_873.0, 0.01), aws_sample_1min: (8_264.0, 0.01), scaling_utils: (6_811.0, 0.01), target_tracking: (5_568.0, 0.03), step: (5_822.0, 0.01), clairvoyant: 4_131.0, bound: 4_065.0, on_demand: (1_554.0, 0.11) },
    Expected { trace: "ms_mongo01", static_peak: 6_336.0, aws_sample: (6_880.0, 0.05), aws_sample_1min: (7_020.0, 0.02), scaling_utils: (6_255.0, 0.01), target_tracking: (4_733.0, 3.95), step: (6_950.0, 0.01), clairvoyant: 3_090.0, bound: 3_005.0, on_demand: (939.0, 0.11) },
    Expected { trace: "tweets_amzn", static_peak: 42_216.0, aws_sample: (3_966.0, 0.94), aws_sample_1min: (4_773.0, 0.49), scaling_utils: (4_352.0, 0.57), target_tracking: (2_808.0, 2.44), step: (4_110.0, 0.52), clairvoyant: 2_715.0, bound: 2_380.0, on_demand: (688.0, 0.01) },
    Expected { trace: "ec2_netin_257a", static_peak: 21_515.0, aws_sample: (478.0, 18.3), aws_sample_1min: (497.0, 18.0), scaling_utils: (874.0, 17.2), target_tracking: (346.0, 16.3), step: (464.0, 18.3), clairvoyant: 451.0, bound: 390.0, on_demand: (32.0, 14.4) },
    Expected { trace: "elb_requests", static_peak: 5_387.0, aws_sample: (2_099.0, 0.97), aws_sample_1min: (2_575.0, 0.21), scaling_utils: (1_816.0, 0.69), target_tracking: (1_119.0, 9.20), step: (1_519.0, 2.66), clairvoyant: 1_633.0, bound: 1_506.0, on_demand: (186.0, 0.0) },
    Expected { trace: "nyc_taxi", static_peak: 27_648.0, aws_sample: (33_096.0, 0.01), aws_sample_1min: (33_078.0, 0.0), scaling_utils: (27_509.0, 0.0), target_tracking: (14_077.0, 17.2), step: (20_818.0, 2.16), clairvoyant: 15_052.0, bound: 14_700.0, on_demand: (8_087.0, 0.01) },
];

/// Runs a policy over every history, and checks what it did.
fn each(name: Name, check: impl Fn(&Expected, &Run)) {
    let Some(folder) = std::env::var_os("TIDEGATE_TRACES").map(PathBuf::from) else {
        eprintln!("skipped: TIDEGATE_TRACES names no folder of histories");
        return;
    };
    for expected in &EXPECTED {
        let trace = Trace::read(&folder.join(format!("{}.csv", expected.trace))).unwrap();
        let run = simulate(name, &trace, Settings::default()).unwrap();
        if name != Name::OnDemand {
            assert_eq!(replay(&trace, &run), Ok(()), "{} on {}", name.word(), expected.trace);
        }
        check(expected, &run);
    }
}

/// Shard-hours (or dollars) within 2 %, throttling within 0.1 points.
fn near(name: &str, found: Figures, expected: Figures) {
    let ratio = found.0 / expected.0;
    assert!((0.98..=1.02).contains(&ratio), "{name}: {found:?} instead of {expected:?}");
    assert!((found.1 - expected.1).abs() <= 0.1, "{name}: {found:?} instead of {expected:?}");
}

fn baseline(name: Name, column: fn(&Expected) -> Figures) {
    each(name, |expected, run| {
        let found = (run.shard_hours, run.throttled_bytes_pct);
        near(expected.trace, found, column(expected));
    });
}

#[test]
fn static_peak() {
    each(Name::StaticPeak, |expected, run| {
        assert_eq!(run.shard_hours.round(), expected.static_peak, "{}", expected.trace);
        assert_eq!((run.throttled_minutes, run.calls.len()), (0, 0), "{}", expected.trace);
    });
}

#[test]
fn aws_sample() {
    baseline(Name::AwsSample, |expected| expected.aws_sample);
}

#[test]
fn aws_sample_1min() {
    baseline(Name::AwsSample1min, |expected| expected.aws_sample_1min);
}

#[test]
fn scaling_utils() {
    baseline(Name::ScalingUtils, |expected| expected.scaling_utils);
}

#[test]
fn target_tracking() {
    baseline(Name::TargetTracking, |expected| expected.target_tracking);
}

#[test]
fn step() {
    baseline(Name::Step, |expected| expected.step);
}

#[test]
fn on_demand() {
    each(Name::OnDemand, |expected, run| {
        near(expected.trace, (run.cost_usd, run.throttled_bytes_pct), expected.on_demand);
    });
}

#[test]
fn clairvoyant() {
    each(Name::Clairvoyant, |expected, run| {
        let within = expected.bound..=expected.clairvoyant * 1.02;
        assert!(within.contains(&run.shard_hours), "{}: {}", expected.trace, run.shard_hours);
        assert_eq!((run.throttled_minutes, run.rejected), (0, 0), "{}", expected.trace);
    });
}

/// The default policy, woken as the template deploys it: what must hold is a median ratio of 1.45, a
/// mean of 0.05 % throttled without the two histories of spikes, and a median of 0.03 %. The bounds
/// are tighter, so that a change which costs something is seen before it costs that.
#[test]
fn tidegate_stays_near_the_clairvoyant_schedule() {
    let figures = std::cell::RefCell::new(Vec::new());
    each(Name::Tidegate, |expected, run| {
        let ratio = run.shard_hours / expected.clairvoyant;
        figures.borrow_mut().push((expected.trace, ratio, run.throttled_bytes_pct));
    });
    let figures = figures.into_inner();
    if figures.is_empty() {
        return;
    }
    let median = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        f64::midpoint(values[4], values[5])
    };
    let spikes = ["ec2_netin_257a", "tweets_amzn"];
    let calm = figures.iter().filter(|(trace, ..)| !spikes.contains(trace));
    let mean = calm.map(|(_, _, throttled)| throttled / 8.0).sum::<f64>();
    let ratio = median(figures.iter().map(|(_, ratio, _)| *ratio).collect());
    let throttled = median(figures.iter().map(|(.., throttled)| *throttled).collect());
    assert!(ratio <= 1.42, "the median ratio is {ratio:.3}: {figures:?}");
    assert!(mean <= 0.048, "the mean throttled is {mean:.4} %: {figures:?}");
    assert!(throttled <= 0.027, "the median throttled is {throttled:.4} %: {figures:?}");
}

#[test]
fn tidegate_makes_no_call_that_is_refused() {
    each(Name::Tidegate, |expected, run| {
        assert_eq!(run.rejected, 0, "{}", expected.trace);
    });
}

/// The model written a second time, from the calls alone; an error says where it disagrees.
fn replay(trace: &Trace, run: &Run) -> Result<(), String> {
    fn gcd(a: u32, b: u32) -> u32 {
        if b == 0 { a } else { gcd(b, a % b) }
    }
    let mut calls = run.calls.iter().peekable();
    let mut open = run.initial_shards;
    // Target, first minute, minutes.
    let mut reshard: Option<(u32, usize, usize)> = None;
    let mut updates: Vec<usize> = Vec::new();
    let (mut shard_minutes, mut offered, mut lost, mut throttled) = (0.0, 0.0, 0.0, 0);
    for (minute, row) in trace.minutes.iter().enumerate() {
        if let Some((to, first, minutes)) = reshard
            && minute == first + minutes
        {
            (open, reshard) = (to, None);
        }
        while let Some(call) = calls.next_if(|call| call.minute == minute) {
            let to = call.change.to;
            let legal = reshard.is_none() && call.from == open && to != open;
            if !legal || to > 2 * open || 2 * to < open {
                return Err(format!("minute {minute}: {open} to {to} is illegal"));
            }
            let operations = if call.change.kind.word() == "update" {
                updates.push(minute);
                open + to - 2 * gcd(open, to)
            } else {
                open.abs_diff(to)
            };
            let day = updates.iter().filter(|update| **update + 1_440 > minute).count();
            if day > 10 {
                return Err(format!("minute {minute}: call {day} of a day"));
            }
            reshard = Some((to, minute, (operations as usize).div_ceil(2).max(1)));
        }
        let load = (row.bytes / 1_048_576.0).max(row.records / 1_000.0);
        let (before, mut accepted, mut billed) = (f64::from(open), 0.0, 0.0);
        #[allow(clippy::cast_precision_loss, reason = "minutes of a reshard")]
        let p =
            reshard.map_or(0.0, |(_, first, of)| (minute as f64 - first as f64 + 0.5) / of as f64);
        let after = f64::from(reshard.map_or(open, |(to, ..)| to));
        for (shards, share) in [(before, 1.0 - p), (after, p)] {
            accepted += share * load.min(shards);
            billed += share * shards;
        }
        let share = if load > 0.0 { 1.0 - accepted / load } else { 0.0 };
        shard_minutes += billed;
        offered += row.bytes;
        lost += row.bytes * share;
        throttled += usize::from(share > 1e-4);
    }
    let same = |name: &str, found: f64, expected: f64| {
        let near = (found - expected).abs() <= 1e-6 * expected.max(1.0);
        if near { Ok(()) } else { Err(format!("{name}: {found} replayed, {expected} printed")) }
    };
    same("shard-hours", shard_minutes / 60.0, run.shard_hours)?;
    same("throttled bytes", 100.0 * lost / offered, run.throttled_bytes_pct)?;
    if throttled != run.throttled_minutes || calls.next().is_some() {
        return Err(format!("{throttled} throttled minutes instead of {}", run.throttled_minutes));
    }
    Ok(())
}

/// Demand that doubles every hour, until all calls are spent and beyond.
#[test]
fn a_complete_split_serves_what_no_call_is_left_for() {
    let load = |minute: i32| 2_f64.powf(f64::from(minute) / 60.0).min(4_500.0);
    let minute = |minute| Volume { bytes: load(minute) * 1e5, records: load(minute) * 1_000.0 };
    let start = jiff::Timestamp::from_second(1_788_220_800).unwrap();
    let trace = Trace { start, minutes: (0..900).map(minute).collect() };
    let run = |split_fallback| {
        let per_operation = jiff::SignedDuration::from_millis(500);
        let settings = Settings { per_operation, split_fallback, ..Settings::default() };
        simulate(Name::Tidegate, &trace, settings).unwrap()
    };
    let (without, with) = (run(false), run(true));
    let splits = |run: &Run| -> Vec<(u32, u32)> {
        let splits = run.calls.iter().filter(|call| call.change.kind == Kind::Split);
        splits.map(|call| (call.from, call.change.to)).collect()
    };
    assert_eq!((without.rejected, splits(&without)), (0, Vec::new()));
    assert_eq!(with.rejected, 0);
    assert!(!splits(&with).is_empty(), "{:?}", with.calls);
    assert!(splits(&with).iter().all(|(from, to)| *to == from * 2), "{:?}", splits(&with));
    let (before, after) = (without.throttled_bytes_pct, with.throttled_bytes_pct);
    assert!(after < before / 2.0, "{before} % throttled without, {after} % with");
}
