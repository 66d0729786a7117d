//! Traffic as a volume: what a span of time offers, and what a shard takes of it.
//!
//! A real history has billions of records. Their volume is accounted for exactly, as a fluid spread
//! evenly over the hash keys; the records that are carried one by one are a sample of it.

/// Bytes and records, of a span of time.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Volume {
    /// Bytes, partition keys included.
    pub bytes: f64,
    /// Records.
    pub records: f64,
}

impl Volume {
    /// This volume times a factor.
    #[must_use]
    pub fn times(self, factor: f64) -> Self {
        Self { bytes: self.bytes * factor, records: self.records * factor }
    }

    /// Adds another volume.
    pub fn add(&mut self, other: Self) {
        self.bytes += other.bytes;
        self.records += other.records;
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.bytes <= 0.0 && self.records <= 0.0
    }
}

/// What one shard takes in a second ("Quotas and limits", Kinesis Data Streams Developer Guide,
/// 2026-11).
pub const SHARD_PER_SECOND: Volume = Volume { bytes: 1_048_576.0, records: 1_000.0 };

/// The share that a shard takes of what falls into its range within some seconds.
pub fn accepted_share(offered: Volume, seconds: f64) -> f64 {
    let limit = |offered: f64, per_second: f64| {
        if offered > 0.0 { (per_second * seconds / offered).min(1.0) } else { 1.0 }
    };
    limit(offered.bytes, SHARD_PER_SECOND.bytes)
        .min(limit(offered.records, SHARD_PER_SECOND.records))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tighter_limit_counts() {
        let volume = |bytes, records| Volume { bytes, records };
        let cases = [
            (volume(0.0, 0.0), 1.0),
            (volume(1_048_576.0, 1_000.0), 1.0),
            (volume(2_097_152.0, 1_000.0), 0.5),
            (volume(2_097_152.0, 4_000.0), 0.25),
        ];
        for (volume, share) in cases {
            assert!((accepted_share(volume, 1.0) - share).abs() < 1e-9, "{volume:?}");
        }
    }
}
