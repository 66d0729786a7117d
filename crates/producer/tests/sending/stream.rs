//! A stream with the limits of its shards, that fails as it is told to and reshards on the way.

use std::time::Duration;

use rand::Rng as _;
use rand_pcg::Pcg64Mcg;
use tidegate_kpl::{Decoded, Limits, decode, hash_key};
use tidegate_producer::{Answer, Entry, Failure, Shard};

/// How often what goes wrong.
#[derive(Debug, Clone, Copy, Default)]
pub struct Faults {
    /// The share of entries that are refused.
    pub refused: f64,
    /// The share of requests that are not answered; nothing of them is stored.
    pub failed: f64,
    /// After how many stored records the shards change.
    pub reshard_every: Option<usize>,
}

pub struct Stream {
    count: usize,
    first_id: usize,
    faults: Faults,
    /// What each shard may still take, and when that was so.
    room: Vec<(f64, f64, Duration)>,
    /// The key and the place of every user record, in the order in which they were stored.
    pub stored: Vec<(String, u64)>,
    /// User records that are not in the shard of their key.
    pub astray: usize,
    resharded_at: usize,
}

impl Stream {
    pub fn new(count: usize, faults: Faults) -> Self {
        let mut stream = Self {
            count: 0,
            first_id: 0,
            faults,
            room: Vec::new(),
            stored: Vec::new(),
            astray: 0,
            resharded_at: 0,
        };
        stream.reshard(count, Duration::ZERO);
        stream
    }

    fn reshard(&mut self, count: usize, now: Duration) {
        self.first_id += self.count;
        self.count = count;
        self.room = vec![(1_000.0, 1_048_576.0, now); count];
        self.resharded_at = self.stored.len();
    }

    fn width(&self) -> u128 {
        u128::MAX / self.count as u128 + 1
    }

    pub fn shards(&self) -> Vec<Shard> {
        (0..self.count)
            .map(|index| Shard {
                id: format!("shardId-{:012}", self.first_id + index),
                start: self.width() * index as u128,
                end: (self.width() * index as u128).saturating_add(self.width() - 1),
            })
            .collect()
    }

    pub fn put(
        &mut self,
        entries: &[Entry],
        now: Duration,
        dice: &mut Pcg64Mcg,
    ) -> Result<Vec<Answer>, Failure> {
        assert!(!entries.is_empty() && entries.len() <= 500, "{} entries", entries.len());
        let size = |entry: &Entry| entry.partition_key.len() + entry.data.len();
        assert!(entries.iter().map(size).sum::<usize>() <= 5 << 20);
        if dice.random_bool(self.faults.failed) {
            return Err(Failure::Unanswered("ServiceUnavailable".to_owned()));
        }
        Ok(entries.iter().map(|entry| self.put_one(entry, now, dice)).collect())
    }

    fn put_one(&mut self, entry: &Entry, now: Duration, dice: &mut Pcg64Mcg) -> Answer {
        let hash = entry.explicit_hash_key.unwrap_or_else(|| hash_key(&entry.partition_key));
        let index = usize::try_from(hash / self.width()).unwrap();
        let shard = &mut self.room[index];
        let elapsed = now.saturating_sub(shard.2).as_secs_f64();
        *shard = (
            (shard.0 + elapsed * 1_000.0).min(1_000.0),
            (shard.1 + elapsed * 1_048_576.0).min(1_048_576.0),
            now,
        );
        let bytes = (entry.partition_key.len() + entry.data.len()) as f64;
        let refused = |code: &str| Answer::Refused { code: code.into(), message: "no".into() };
        if shard.0 < 1.0 || shard.1 < bytes {
            return refused("ProvisionedThroughputExceededException");
        }
        if dice.random_bool(self.faults.refused) {
            return refused("InternalFailure");
        }
        (shard.0, shard.1) = (shard.0 - 1.0, shard.1 - bytes);
        self.take(entry, index);
        let shard_id = format!("shardId-{:012}", self.first_id + index).into();
        if self.faults.reshard_every.is_some_and(|n| self.stored.len() >= self.resharded_at + n) {
            self.reshard(dice.random_range(2..9), now);
        }
        Answer::Stored { shard_id }
    }

    fn take(&mut self, entry: &Entry, index: usize) {
        let place =
            |data: &[u8]| -> u64 { std::str::from_utf8(data).unwrap().trim_end().parse().unwrap() };
        match decode(&entry.data, &Limits::default()).unwrap() {
            Decoded::Aggregate(aggregate) => {
                for record in aggregate.records() {
                    let record = record.content.unwrap();
                    let home = usize::try_from(hash_key(record.partition_key) / self.width());
                    self.astray += usize::from(home.unwrap() != index);
                    self.stored.push((record.partition_key.to_owned(), place(record.data)));
                }
            }
            _ => self.stored.push((entry.partition_key.clone(), place(&entry.data))),
        }
    }
}
