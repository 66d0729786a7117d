//! A pipeline: read from YAML once, with every mistake reported together, then run on every record.
//!
//! ```yaml
//! input:
//!   format: apache_combined
//! steps:
//!   - keep: status >= 400
//!   - geoip: {address: client, when_missing: skip}
//! output:
//!   newline: true
//! ```

mod compile;
mod yaml;

use std::fmt;

use crate::formats::{Format, apache};
use crate::outcome::{Outcome, Reason};
use crate::steps::geoip::Database;
use crate::steps::{Record, Step};

/// What the steps of a pipeline look things up in. The host opens it.
#[derive(Debug, Clone, Default)]
pub struct Tables {
    /// Where `geoip` finds places.
    pub geoip: Option<Database>,
}

/// A pipeline that is ready to run.
pub struct Pipeline {
    format: Format,
    steps: Vec<Step>,
    newline: bool,
}

impl Pipeline {
    /// Reads a pipeline.
    ///
    /// # Errors
    /// All that is wrong with it, each with its line and what to do.
    pub fn compile(yaml: &str, tables: Tables) -> Result<Self, PipelineError> {
        compile::compile(yaml, tables)
    }

    /// Converts one record: appends its line to `out`, or says why there is none.
    pub(crate) fn convert(&mut self, data: &[u8], out: &mut Vec<u8>) -> Converted {
        let line = match self.format {
            Format::ApacheCombined => match apache::parse(data) {
                Ok(line) => line,
                Err(error) => return Converted::failed(error.reason()),
            },
        };
        let mut record = Record::new(line);
        for step in &mut self.steps {
            if let Some(outcome) = step.run(&mut record) {
                return Converted { outcome, geoip_error: false };
            }
        }
        record.write(out);
        if self.newline {
            out.push(b'\n');
        }
        Converted { outcome: Outcome::Ok, geoip_error: record.geoip_error }
    }

    /// Forgets what was kept ready, as it may be half made.
    pub(crate) fn reset(&mut self) {
        for step in &mut self.steps {
            if let Step::Geoip(geoip) = step {
                geoip.reset();
            }
        }
    }
}

impl fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipeline")
            .field("format", &self.format)
            .field("steps", &self.steps.len())
            .field("newline", &self.newline)
            .finish()
    }
}

/// What became of a record, and what is missing in it.
#[must_use]
pub(crate) struct Converted {
    pub(crate) outcome: Outcome,
    /// The record is converted, but the database could not be read for it.
    pub(crate) geoip_error: bool,
}

impl Converted {
    pub(crate) fn failed(reason: Reason) -> Self {
        Self { outcome: Outcome::ProcessingFailed(reason), geoip_error: false }
    }
}

/// Everything that is wrong with a pipeline, in the order of its lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PipelineError(pub Vec<Mistake>);

impl std::error::Error for PipelineError {}

impl fmt::Display for PipelineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => f.write_str("the pipeline has a mistake")?,
            n => write!(f, "the pipeline has {n} mistakes")?,
        }
        for (index, mistake) in self.0.iter().enumerate() {
            let separator = if index == 0 { ": " } else { "; " };
            write!(f, "{separator}{mistake}")?;
        }
        Ok(())
    }
}

/// One thing that is wrong with a pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The line, from 1 on.
    pub line: usize,
    /// Where in the pipeline, such as `steps[0].keep`; empty for the whole of it.
    pub path: String,
    /// What is wrong.
    pub what: String,
    /// What to write instead.
    pub remedy: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}", self.line)?;
        if !self.path.is_empty() {
            write!(f, ", {}", self.path)?;
        }
        write!(f, ": {} ({})", self.what, self.remedy)
    }
}
