//! What a run comes to beside the clairvoyant schedule, and what many come to.

use std::ops::Range;

use tidegate_local::reference::Run;
use tidegate_local::trace::Trace;

/// Histories that are flat but for spikes that no causal policy absorbs: reported apart.
const SPIKES: [&str; 2] = ["ec2_netin_257a", "tweets_amzn"];

/// What a ratio and a share of throttled bytes weigh against each other when tunings are compared:
/// a hundredth of a percent is worth four hundredths of the ratio.
const RATIO_A_PERCENT: f64 = 4.0;

/// One run over a part of a history.
#[derive(Debug, Clone, Copy)]
pub struct Figure {
    /// Shard-hours against those of the clairvoyant schedule.
    pub ratio: f64,
    /// Bytes throttled, in percent.
    pub throttled: f64,
    /// Calls that were refused, over the whole history.
    pub rejected: u64,
}

impl Figure {
    /// Over some minutes of a history.
    pub fn of(run: &Run, clairvoyant: &Run, trace: &Trace, minutes: Range<usize>) -> Self {
        let billed = |run: &Run| -> f64 {
            run.minutes[minutes.clone()].iter().map(|minute| minute.capacity).sum()
        };
        let offered = &trace.minutes[minutes.clone()];
        let lost = offered.iter().zip(&run.minutes[minutes.clone()]);
        let lost: f64 = lost.map(|(rate, minute)| rate.bytes * minute.throttled).sum();
        let all: f64 = offered.iter().map(|rate| rate.bytes).sum();
        Self {
            ratio: billed(run) / billed(clairvoyant),
            throttled: if all > 0.0 { 100.0 * lost / all } else { 0.0 },
            rejected: run.rejected,
        }
    }

    /// What tunings are compared by: less is better.
    fn penalty(self) -> f64 {
        self.ratio + RATIO_A_PERCENT * self.throttled
    }
}

/// Whether a history is one of spikes, or holds one.
pub fn is_spike(name: &str) -> bool {
    name.split('+').any(|part| SPIKES.contains(&part))
}

/// Many histories with one figure each.
pub struct Table<'a>(pub Vec<(&'a str, Figure)>);

impl Table<'_> {
    fn calm(&self) -> Vec<Figure> {
        self.0.iter().filter(|(name, _)| !is_spike(name)).map(|(_, figure)| *figure).collect()
    }

    /// The mean of what tunings are compared by, without the spikes.
    pub fn penalty(&self) -> f64 {
        mean(self.calm().into_iter().map(Figure::penalty))
    }

    /// The line under a table.
    pub fn summary(&self) -> String {
        let all = || self.0.iter().map(|(_, figure)| *figure);
        format!(
            "median ratio {:.3}, mean {:.3}; throttled: median {:.4} %, mean without spikes \
             {:.4} %; rejected calls: {}",
            median(all().map(|figure| figure.ratio).collect()),
            mean(all().map(|figure| figure.ratio)),
            median(all().map(|figure| figure.throttled).collect()),
            mean(self.calm().into_iter().map(|figure| figure.throttled)),
            all().map(|figure| figure.rejected).sum::<u64>(),
        )
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => 0.0,
        odd if odd % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) =
        values.fold((0.0, 0.0_f64), |(sum, count), value| (sum + value, count + 1.0));
    sum / count.max(1.0)
}
