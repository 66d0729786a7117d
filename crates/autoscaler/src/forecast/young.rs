//! A stream of which no day is known yet. Days that are made up stand in for earlier ones: the load
//! stays, it is again as busy as it was at its busiest, or it rises and falls with the day. Each
//! counts for more the more what has been seen so far resembles it, as an earlier day does.

use super::{BLOCKS, LEVEL_BLOCKS, Past, SHAPE_BLOCKS, Way, difference, off, vary, weigh};
use crate::policy::Tuning;
use crate::units::MilliShards;

/// Blocks by which a made-up day is compared with what has been seen: twelve hours. It has one
/// rhythm from end to end, so all of it tells where in the day the stream is.
const SEEN_BLOCKS: usize = 36;

/// What a day without a rhythm counts for before it is compared.
const WEIGHT_OF_LEVEL: u64 = 20;

/// What a day as busy as the busiest block counts for.
const WEIGHT_OF_BUSIEST: u64 = 10;

/// Hours at which the day may be busiest: every second one.
const PHASES: usize = 12;

/// How busy the quietest moment of a day is against its busiest one, in thousandths, and what each
/// of the [`PHASES`] counts for.
const WAVES: [(u64, u64); 3] = [(100, 2), (300, 4), (600, 4)];

/// How far the busiest block may be off, in percent either way.
const UNKNOWN_OFF: u64 = 10;

/// The made-up days, with weights that do not add up to anything yet.
pub(super) fn made_up_days(past: &Past, tuning: &Tuning) -> Vec<Way> {
    let seen: Vec<(usize, u64)> =
        (1..=SEEN_BLOCKS).filter_map(|ago| Some((ago, past.ago(ago)?))).collect();
    let like = |shape: &dyn Fn(isize) -> u64, weight| like(&seen, shape, weight, tuning);
    let mut days = vec![as_busy_as_ever(past.busiest(), &seen)];
    days.extend(like(&|_| 1_000, WEIGHT_OF_LEVEL));
    for (low, weight) in WAVES {
        let phases = (0..PHASES).map(|phase| (phase * BLOCKS / PHASES).cast_signed());
        days.extend(phases.filter_map(|phase| like(&|block| wave(phase + block, low), weight)));
    }
    days.into_iter().flatten().collect()
}

/// The busiest block so far, all day long.
fn as_busy_as_ever(busiest: MilliShards, seen: &[(usize, u64)]) -> [Way; 3] {
    let recent = seen.iter().take(SHAPE_BLOCKS).map(|(_, load)| (*load, busiest.0));
    let weight = weigh(WEIGHT_OF_BUSIEST, difference(recent));
    vary(Way { weight, blocks: [busiest; BLOCKS] }, UNKNOWN_OFF)
}

/// A day of a shape, by the blocks from now, at the level of the last hour. `None` while that is not
/// known.
fn like(
    seen: &[(usize, u64)],
    shape: &dyn Fn(isize) -> u64,
    weight: u64,
    tuning: &Tuning,
) -> Option<[Way; 3]> {
    let then = |blocks: usize| shape(-blocks.cast_signed());
    let hour = seen.iter().take_while(|(ago, _)| *ago <= LEVEL_BLOCKS);
    let (level, base) = hour.fold((0_u64, 0_u64), |(level, base), (ago, load)| {
        (level.saturating_add(*load), base + then(*ago))
    });
    if base == 0 {
        return None;
    }
    let at_level = |load: u64| load.saturating_mul(level) / base;
    let difference = difference(seen.iter().map(|(ago, load)| (*load, at_level(then(*ago)))));
    let mut blocks = [MilliShards(0); BLOCKS];
    for (index, block) in (0_isize..).zip(blocks.iter_mut()) {
        *block = MilliShards(at_level(shape(index))).percent(u64::from(tuning.headroom_percent));
    }
    Some(vary(Way { weight: weigh(weight, difference), blocks }, off(difference, tuning)))
}

/// A day that is busiest at block 0, with 1,000, and quietest half a day later: a smooth step down
/// and up again.
fn wave(block: isize, low: u64) -> u64 {
    const HALF: u64 = BLOCKS as u64 / 2;
    let block = block.rem_euclid(BLOCKS.cast_signed()).unsigned_abs() as u64;
    let away = block.min(2 * HALF - block);
    let fallen = 1_000 * away * away * (3 * HALF - 2 * away) / (HALF * HALF * HALF);
    1_000 - (1_000 - low) * fallen / 1_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wave_falls_for_half_a_day_and_rises_again() {
        for (block, load) in [(0, 1_000), (18, 550), (36, 100), (54, 550), (72, 1_000), (-18, 550)]
        {
            assert_eq!(wave(block, 100), load, "{block}");
        }
    }

    #[test]
    fn the_day_that_resembles_what_was_seen_counts_for_most() {
        // Six hours of a day that was quietest nine hours ago.
        let rising: Vec<_> =
            (1..=18).map(|ago: usize| (ago, wave(63 - ago.cast_signed(), 300))).collect();
        let weights = |shape: &dyn Fn(isize) -> u64| {
            let [way, _, _] = like(&rising, shape, 4, &Tuning::default()).unwrap();
            way.weight
        };
        let right = weights(&|block| wave(63 + block, 300));
        for (name, other) in [
            ("flat", weights(&|_| 1_000)),
            ("falling", weights(&|block| wave(9 + block, 300))),
            ("later", weights(&|block| wave(54 + block, 300))),
        ] {
            assert!(right > 5 * other, "{name}: {right} {other}");
        }
        let [way, lower, higher] =
            like(&rising, &|block| wave(63 + block, 300), 4, &Tuning::default()).unwrap();
        assert!(way.blocks[6] > way.blocks[0] && way.blocks[45] < way.blocks[6]);
        assert!(lower.blocks[6] < way.blocks[6] && way.blocks[6] < higher.blocks[6]);
    }
}
