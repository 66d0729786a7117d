//! The search: one setting after the other, a few values of each, as long as something is gained.
//!
//! It is coarse on purpose. The settings lie on a plateau, so a value that is only a little better
//! on one history is noise, and following it would fit the policy to days that do not come back.

use std::thread;

use indicatif::ProgressBar;
use tidegate_autoscaler::Policy;
use tidegate_autoscaler::policy::Tuning;
use tidegate_autoscaler::tuning::RANGES;
use tidegate_local::reference::{self, Settings};
use tidegate_local::trace::Trace;

use super::score::Score;

/// Rounds over all settings; the second takes smaller steps.
const ROUNDS: [&[i32]; 2] = [&[-2, 2], &[-1, 1]];

/// What a value must gain, as a share of the default's shard-hours.
const LEAST_GAIN: f64 = 0.004;

/// What a percent of the bytes costs that is throttled above what is allowed, as a share of the
/// default's shard-hours: a hundredth of a percent outweighs a twentieth of the shards.
const THROTTLED_PRICE: f64 = 5.0;

/// What is searched on.
pub struct Search<'a> {
    /// The histories.
    pub traces: &'a [Trace],
    /// How they are simulated.
    pub settings: Settings,
    /// The bounds, and the tuning that is the start.
    pub rules: &'a Policy,
    /// The most that may be throttled, in percent of the bytes; the start's own where it throttles
    /// more.
    pub allowed_pct: f64,
    /// What shows that it goes on.
    pub bar: &'a ProgressBar,
}

/// The most simulations of one search, for a bar.
pub fn most_simulations(traces: usize) -> usize {
    let values: usize = ROUNDS.iter().map(|steps| steps.len()).sum();
    (values * RANGES.len() + 1) * traces
}

impl Search<'_> {
    /// The tuning that is best, and how many simulations that took.
    pub fn run(&self) -> (Tuning, usize) {
        let start = self.simulate(self.rules.tuning);
        let allowed = self.allowed_pct.max(start.throttled_pct());
        let cost = |score: &Score| {
            let excess = (score.throttled_pct() - allowed).max(0.0);
            score.shard_hours / start.shard_hours.max(f64::MIN_POSITIVE) + THROTTLED_PRICE * excess
        };
        let mut best = (cost(&start), self.rules.tuning);
        let mut simulations = self.traces.len();
        for steps in ROUNDS {
            let before = best.1;
            for setting in 0..RANGES.len() {
                let candidates = candidates(best.1, setting, steps);
                simulations += candidates.len() * self.traces.len();
                for (tuning, score) in self.all(&candidates) {
                    let cost = cost(&score);
                    if cost < best.0 - LEAST_GAIN {
                        best = (cost, tuning);
                    }
                }
            }
            if best.1 == before {
                break;
            }
        }
        (best.1, simulations)
    }

    /// Simulates each, at the same time; the answers come in the order of the questions.
    fn all(&self, candidates: &[Tuning]) -> Vec<(Tuning, Score)> {
        thread::scope(|scope| {
            let running: Vec<_> = candidates
                .iter()
                .map(|tuning| (tuning, scope.spawn(|| self.simulate(*tuning))))
                .collect();
            let ended = running.into_iter();
            ended.filter_map(|(tuning, run)| Some((*tuning, run.join().ok()?))).collect()
        })
    }

    fn simulate(&self, tuning: Tuning) -> Score {
        let mut score = Score::default();
        for trace in self.traces {
            let rules = Policy { tuning, ..self.rules.clone() };
            score.add(trace, &reference::tidegate(trace, self.settings, rules), 0);
            self.bar.inc(1);
        }
        score
    }
}

/// The values of one setting that are tried: some steps away, each once, and no tuning that the
/// autoscaler refuses.
fn candidates(tuning: Tuning, setting: usize, steps: &[i32]) -> Vec<Tuning> {
    let Some((name, least, most)) = RANGES.get(setting).copied() else { return Vec::new() };
    let now = tuning.values()[setting];
    let mut values: Vec<u32> =
        steps.iter().map(|step| stepped(now, *step, (least, most)).clamp(least, most)).collect();
    values.dedup();
    values.retain(|value| *value != now);
    let valid = |tuning: &Tuning| tuning.validate().is_ok();
    values.into_iter().filter_map(|value| with(tuning, name, value)).filter(valid).collect()
}

/// A value some steps further: a quarter each where the range is wide, a twenty-fourth of the range
/// where it is not.
fn stepped(now: u32, step: i32, (least, most): (u32, u32)) -> u32 {
    if most / least.max(1) > 100 {
        let factor = 1.25_f64.powi(step);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive")]
        let there = (f64::from(now) * factor).round() as u32;
        let least_step = now.saturating_add_signed(step);
        return if step > 0 { there.max(least_step) } else { there.min(least_step) };
    }
    let stride = ((most - least) / 24).max(1);
    now.saturating_add_signed(step.saturating_mul(stride.cast_signed()))
}

fn with(tuning: Tuning, name: &str, value: u32) -> Option<Tuning> {
    let mut object = serde_json::to_value(tuning).ok()?;
    *object.get_mut(name)? = value.into();
    serde_json::from_value(object).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_that_is_tried_lies_in_its_range_and_is_new() {
        let ends = |end: fn(&(&str, u32, u32)) -> u32| {
            RANGES
                .iter()
                .fold(Tuning::default(), |tuning, range| with(tuning, range.0, end(range)).unwrap())
        };
        // The least of both together would not be taken.
        let least = Tuning { growth_percent: 200, ..ends(|range| range.1) };
        for start in [Tuning::default(), least, ends(|range| range.2)] {
            for setting in 0..RANGES.len() {
                for steps in ROUNDS {
                    let tried = candidates(start, setting, steps);
                    assert!(!tried.is_empty() && tried.len() <= steps.len(), "{start:?} {setting}");
                    for tuning in tried {
                        assert_ne!(tuning, start);
                        assert_eq!(tuning.validate(), Ok(()));
                    }
                }
            }
        }
    }
}
