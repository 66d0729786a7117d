//! How the load is spread over the keys.

use crate::shard::HashRange;

/// The load by hashed key: crowds, each a range that takes a share of everything, and the rest
/// evenly over all keys. A crowd of one key is a hot key.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Keys {
    /// Each crowd's range, and its share of the load; together at most one.
    pub crowds: Vec<(HashRange, f64)>,
}

impl Keys {
    /// The share of the load that falls into a range.
    pub fn share(&self, range: HashRange) -> f64 {
        let crowded: f64 = self.crowds.iter().map(|(_, share)| share).sum();
        let within = |(crowd, share): &(HashRange, f64)| {
            let common =
                HashRange { start: crowd.start.max(range.start), end: crowd.end.min(range.end) };
            if common.start > common.end { 0.0 } else { share * common.share() / crowd.share() }
        };
        let even = (1.0 - crowded).max(0.0) * range.share();
        even + self.crowds.iter().map(within).sum::<f64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: HashRange = HashRange { start: 0, end: u128::MAX };

    fn eighth(index: u128) -> HashRange {
        let start = index << 125;
        HashRange { start, end: start + ((1 << 125) - 1) }
    }

    #[test]
    fn a_crowd_falls_into_the_ranges_that_it_touches() {
        let key = HashRange { start: 5 << 125, end: 5 << 125 };
        let keys = Keys { crowds: vec![(eighth(2), 0.4), (key, 0.2)] };
        let wide = HashRange { start: eighth(2).start + (1 << 124), end: eighth(3).end };
        let cases = [
            (ALL, 1.0),
            (eighth(0), 0.05),
            (eighth(2), 0.45),
            (wide, 0.2 + 0.075),
            (eighth(5), 0.25),
            (key, 0.2),
        ];
        for (range, share) in cases {
            assert!((keys.share(range) - share).abs() < 1e-9, "{range:?} {}", keys.share(range));
        }
        assert!((Keys::default().share(eighth(7)) - 0.125).abs() < 1e-12);
    }
}
