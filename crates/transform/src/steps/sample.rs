//! Keeping a share of the records, always the same ones.

use crate::outcome::{Outcome, Reason};
use crate::record::Record;

/// The step.
pub(crate) struct Sample {
    /// Records whose digest is below this are kept.
    below: u64,
    /// What decides; of a record that lacks it, an empty text.
    by: usize,
}

impl Sample {
    /// Keeps this share of the values of a field, from 0 to 1.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of the digests"
    )]
    pub(crate) fn new(share: f64, by: usize) -> Self {
        let below = if share >= 1.0 { u64::MAX } else { (share * 2_f64.powi(64)) as u64 };
        Self { below, by }
    }

    pub(crate) fn run(&self, record: &Record<'_>) -> Option<Outcome> {
        let text = record.values[self.by].text().unwrap_or_default();
        let kept = digest(text.as_bytes()) < self.below || self.below == u64::MAX;
        if kept { None } else { Some(Outcome::Dropped(Reason::NotSampled)) }
    }
}

/// FNV-1a, with the finish of SplitMix64 so that the upper bits depend on every byte. It is written
/// out here because it must never change: the same records are kept in every version.
fn digest(bytes: &[u8]) -> u64 {
    let mut digest = 0xcbf2_9ce4_8422_2325_u64;
    for byte in bytes {
        digest = (digest ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    digest = (digest ^ (digest >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    digest = (digest ^ (digest >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    digest ^ (digest >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_about_that_share_and_does_not_change() {
        for share in [0.0, 0.01, 0.1, 0.5, 1.0] {
            let sample = Sample::new(share, 0);
            let kept = (0..20_000)
                .filter(|n| {
                    let key = format!("192.0.2.{n}");
                    sample.below == u64::MAX || digest(key.as_bytes()) < sample.below
                })
                .count();
            let expected = share * 20_000.0;
            assert!((kept as f64 - expected).abs() < 400.0, "{share}: {kept}");
        }
        // Reckoned with another program.
        assert_eq!(digest(b"192.0.2.7"), 6_941_106_504_257_374_061);
    }
}
