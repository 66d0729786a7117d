//! A pipeline of the transform, to see what it makes of the records.

use tidegate_consumer::envelope::Envelope;
use tidegate_transform::{Engine, Outcome};

use super::{Fate, Target, bytes_refused};
use crate::quarantine::document::Record;
use crate::quarantine::plan::Limits;
use crate::transform::pipeline;

/// Payload that is in memory at the same time.
const BYTES_MAX: u64 = 16 << 20;

pub struct Rows(Engine);

impl Rows {
    /// Of a file, or `builtin:NAME`.
    pub fn open(config: &str) -> anyhow::Result<Self> {
        let yaml = pipeline::text(config)?;
        let compiled = pipeline::compile(config, &yaml, &pipeline::Databases::default())?;
        Ok(Self(Engine::new(compiled)))
    }
}

impl Target for Rows {
    fn refuses(&self, record: &Record) -> Option<&'static str> {
        bytes_refused(record)
    }

    fn limits(&self, records: usize) -> Limits {
        Limits { records, bytes: BYTES_MAX }
    }

    fn take(&mut self, batch: &[Envelope]) -> anyhow::Result<Vec<Fate>> {
        let mut row = Vec::new();
        batch
            .iter()
            .map(|envelope| {
                row.clear();
                let at = envelope.approximate_arrival.map(|at| at.as_millisecond());
                Ok(match self.0.convert_at(&envelope.payload_bytes()?, at, &mut row) {
                    // A filter that drops a record has read it.
                    Outcome::Ok | Outcome::Dropped(_) => Fate::Taken,
                    Outcome::ProcessingFailed(why) => Fate::PoisonAgain(why.name().to_owned()),
                })
            })
            .collect()
    }
}
