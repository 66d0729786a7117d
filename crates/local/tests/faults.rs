//! The autoscaler's run between faults, a seed a story: metrics late and missing, looks at any time
//! and two at once, calls that fail or whose answer is lost, runs that die between any two steps,
//! clocks that are wrong, others who reshard, and a ledger that goes away.
//!
//! A story that breaks a rule prints the command that tells it again.
#![allow(
    clippy::print_stderr,
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a test fails by panicking"
)]

#[path = "faults/line.rs"]
mod line;
#[path = "faults/story.rs"]
mod story;

use std::thread;
use std::time::Instant;

use crate::story::Story;

/// Seeds of a usual run; `TIDEGATE_SEEDS` says another number.
const SEEDS: u64 = 2_000;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap())
}

#[test]
fn no_story_breaks_a_rule() {
    let seeds = number("TIDEGATE_SEEDS").unwrap_or(SEEDS);
    let began = Instant::now();
    let halves = [0, 1].map(|first| {
        thread::spawn(move || {
            let seeds = (first..seeds).step_by(2);
            let told = seeds.map(|seed| {
                let told = Story::new(seed, false).tell();
                told.unwrap_or_else(|broken| {
                    panic!(
                        "seed {seed}: {broken}\nto see it again: TIDEGATE_SEED={seed} cargo test -p \
                         tidegate-local --test faults -- replay --nocapture"
                    )
                })
            });
            told.fold(story::Counts::default(), story::Counts::plus)
        })
    });
    let counts = halves
        .into_iter()
        .map(|half| half.join().unwrap_or_else(|broken| std::panic::resume_unwind(broken)))
        .fold(story::Counts::default(), story::Counts::plus);
    eprintln!("{seeds} stories in {:.1} s: {counts:?}", began.elapsed().as_secs_f64());
    // A story in which nothing happens proves nothing.
    let story::Counts { looks, accepted, by_others, failed, died, contended, saved } = counts;
    for (count, least) in [
        (looks, 20),
        (accepted, 2),
        (by_others, 0),
        (failed, 2),
        (died, 1),
        (contended, 0),
        (saved, 0),
    ] {
        assert!(count > least * seeds, "{counts:?}");
    }
}

/// Tells the story of `TIDEGATE_SEED` step by step.
#[test]
fn replay() {
    let seed = number("TIDEGATE_SEED").unwrap_or(0);
    if let Err(broken) = Story::new(seed, true).tell() {
        panic!("seed {seed}: {broken}");
    }
}
