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

mod cases;
mod compile;
mod input;
mod language;
mod several;
mod step;
mod yaml;

use std::collections::BTreeMap;
use std::fmt;

pub use self::cases::{Case, CaseFailure};
pub use self::language::editor_schema;
use self::several::Several;
use crate::formats::{
    Reader, Unwrap, Unwrapper, entries, envelope, lines, rows, user_records, whole,
};
use crate::moment::Moment;
use crate::outcome::{Outcome, Reason};
use crate::output::Output;
use crate::record::{Memory, Record};
use crate::scope::Field;
use crate::steps::Step;
use crate::steps::geoip::{Bytes, Database};

/// What the steps of a pipeline look things up in. The host opens it.
#[derive(Clone, Default)]
pub struct Tables {
    /// Where `geoip` finds places.
    pub geoip: Option<Database>,
    /// Where `asn` finds networks.
    pub asn: Option<Database>,
    /// The files that `lookup` steps name, by the name they give; [`Pipeline::files`] lists them.
    pub files: BTreeMap<String, Bytes>,
}

/// A pipeline that is ready to run.
pub struct Pipeline {
    unwrapper: Unwrapper,
    line: Line,
}

/// What happens to one event.
struct Line {
    readers: Vec<Reader>,
    /// The name of each reader, and how many events it read since the last report.
    inputs: Vec<(String, u64)>,
    slots: usize,
    steps: Vec<Step>,
    output: Output,
    memory: Memory,
    fields: Vec<Field>,
    /// The metadata of an event that is not the first of its record.
    metadata: Vec<u8>,
}

impl Pipeline {
    /// Reads a pipeline.
    ///
    /// # Errors
    /// All that is wrong with it, each with its line and what to do.
    pub fn compile(yaml: &str, tables: Tables) -> Result<Self, PipelineError> {
        compile::compile(yaml, tables)
    }

    /// The files that the steps of a pipeline look things up in, as it names them: the host opens
    /// them and hands them over in [`Tables::files`].
    pub fn files(yaml: &str) -> Vec<String> {
        compile::files(yaml)
    }

    /// The cases that a pipeline's file holds.
    ///
    /// # Errors
    /// All that is wrong with them.
    pub fn cases(yaml: &str) -> Result<Vec<Case>, PipelineError> {
        cases::read(yaml)
    }

    /// The fields that come out, in their order. Where an input can have others too, those are not
    /// among them.
    pub fn fields(&self) -> &[Field] {
        &self.line.fields
    }

    /// Whether a record begins with a line that names its columns: a host that reads line by line
    /// puts the first line of a file before each of the others.
    pub fn has_header(&self) -> bool {
        let has_header =
            |reader: &Reader| matches!(reader, Reader::Table(table) if table.has_header());
        self.line.readers.iter().any(has_header)
    }

    /// Whether a line break between quotes belongs to an event: a host that reads line by line keeps
    /// such lines together.
    pub fn has_quoted_breaks(&self) -> bool {
        self.line.readers.iter().all(|reader| matches!(reader, Reader::Table(_)))
    }

    /// Converts one record: appends its lines to `out`, or says why there is none.
    pub(crate) fn convert(
        &mut self,
        data: &[u8],
        at: Option<i64>,
        out: &mut Vec<u8>,
        metadata: &mut Vec<u8>,
    ) -> Converted {
        let Self { unwrapper, line } = self;
        let at = at.and_then(Moment::from_millis);
        if unwrapper.what == Unwrap::Nothing {
            let before = out.len();
            let converted = line.single(data, at, out, metadata);
            if converted.outcome == Outcome::ProcessingFailed(Reason::UnclosedQuote)
                && line.may_wrap()
                && let Some(whole) = whole(data)
            {
                out.truncate(before);
                metadata.clear();
                return line.single(&whole, at, out, metadata);
            }
            return converted;
        }
        let Unwrapper { what, slots, inflated } = unwrapper;
        let data = match Unwrapper::inflate(data, inflated) {
            Ok(data) => data,
            Err(outcome) => return Converted::ended(outcome),
        };
        line.readers.iter_mut().for_each(Reader::begin);
        let mut several = Several::default();
        match what {
            Unwrap::CloudwatchLogs => match envelope(data) {
                Ok(events) => {
                    for event in &events {
                        let fields = event.fields.map(|fields| (&slots[..], fields));
                        let at = event.at.or(at);
                        several.add(line, &event.data, fields, at, out, metadata);
                    }
                }
                Err(outcome) => return Converted::ended(outcome),
            },
            Unwrap::Rows => {
                rows(data).for_each(|row| several.add(line, row, None, at, out, metadata));
            }
            Unwrap::Kpl => match user_records(data) {
                Ok(records) => {
                    records.iter().for_each(|own| several.add(line, own, None, at, out, metadata));
                }
                Err(outcome) => return Converted::ended(outcome),
            },
            Unwrap::Lines if line.may_wrap() => {
                entries(data).for_each(|own| several.add(line, &own, None, at, out, metadata));
            }
            Unwrap::Lines | Unwrap::Nothing => {
                lines(data).for_each(|text| several.add(line, text, None, at, out, metadata));
            }
        }
        several.end(line.output.newline, *what, out)
    }

    /// How many events each input read since the last time; nothing when there is one input.
    pub(crate) fn take_inputs(&mut self) -> BTreeMap<String, u64> {
        if self.line.inputs.len() < 2 {
            return BTreeMap::new();
        }
        let inputs = self.line.inputs.iter_mut();
        inputs.map(|(name, events)| (name.clone(), std::mem::take(events))).collect()
    }

    /// The parts of a record of several events, about as many as are wanted.
    pub(crate) fn split(&self, data: &[u8], wanted: usize) -> Option<Vec<Vec<u8>>> {
        crate::reingest::split::split(self.unwrapper.what, data, wanted)
    }

    /// Forgets what was kept ready, as it may be half made.
    pub(crate) fn reset(&mut self) {
        self.line.memory = Memory::default();
        self.line.steps.iter_mut().for_each(Step::reset);
    }
}

/// What an envelope says of an event: the slots, and their values.
type Around<'s, 'r> = Option<(&'s [usize], [crate::value::Value<'r>; 5])>;

impl Line {
    /// Whether an event may go over several lines, whichever input reads it.
    fn may_wrap(&self) -> bool {
        self.readers.iter().all(Reader::may_wrap)
    }

    /// A record that is one event.
    fn single(
        &mut self,
        data: &[u8],
        at: Option<Moment>,
        out: &mut Vec<u8>,
        metadata: &mut Vec<u8>,
    ) -> Converted {
        let (outcome, geoip_error) = self.event(data, None, at, out, metadata);
        let rows = u64::from(outcome == Outcome::Ok);
        if rows == 1 && self.output.newline {
            out.push(b'\n');
        }
        Converted { outcome, geoip_error, events: 1, rows }
    }

    /// One event: read, taken through the steps, written without a line break.
    fn event<'r>(
        &'r mut self,
        data: &'r [u8],
        around: Around<'_, 'r>,
        at: Option<Moment>,
        out: &mut Vec<u8>,
        metadata: &mut Vec<u8>,
    ) -> (Outcome, bool) {
        let Self { readers, inputs, slots, steps, output, memory, .. } = self;
        let mut record = Record::new(memory, *slots, at);
        let several = readers.len() > 1;
        let mut read = Outcome::ProcessingFailed(Reason::NoInput);
        for (reader, (_, events)) in readers.iter_mut().zip(inputs) {
            match reader.read(data, &mut record) {
                Ok(()) => {
                    *events += 1;
                    read = Outcome::Ok;
                    break;
                }
                Err(outcome @ Outcome::ProcessingFailed(reason)) => {
                    record.clear();
                    // Nothing else reads what is empty either.
                    if !several || reason == Reason::Empty {
                        read = outcome;
                    }
                }
                Err(outcome) => {
                    read = outcome;
                    break;
                }
            }
        }
        if let (Outcome::Ok, Some((slots, values))) = (read, around) {
            slots.iter().zip(values).for_each(|(slot, value)| record.values[*slot] = value);
        }
        let mut outcome = read;
        if outcome == Outcome::Ok {
            outcome =
                steps.iter_mut().find_map(|step| step.run(&mut record)).unwrap_or(Outcome::Ok);
        }
        if outcome == Outcome::Ok {
            if output.metadata(&record, metadata) {
                output.write(&record, out);
            } else {
                outcome = Outcome::ProcessingFailed(Reason::NoMetadata);
            }
        }
        let geoip_error = record.geoip_error;
        record.end(memory);
        (outcome, geoip_error)
    }
}

impl fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inputs: Vec<_> = self.line.inputs.iter().map(|(name, _)| name).collect();
        f.debug_struct("Pipeline")
            .field("inputs", &inputs)
            .field("steps", &self.line.steps.len())
            .field("newline", &self.line.output.newline)
            .finish()
    }
}

impl fmt::Debug for Tables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tables")
            .field("geoip", &self.geoip)
            .field("asn", &self.asn)
            .field("files", &self.files.keys())
            .finish()
    }
}

/// What became of a record, and what is missing in it.
#[must_use]
pub(crate) struct Converted {
    pub(crate) outcome: Outcome,
    /// The record is converted, but the database could not be read for it.
    pub(crate) geoip_error: bool,
    /// Events in the record.
    pub(crate) events: u64,
    /// Those that were written.
    pub(crate) rows: u64,
}

impl Converted {
    pub(crate) fn failed(reason: Reason) -> Self {
        Self::ended(Outcome::ProcessingFailed(reason))
    }

    pub(crate) fn ended(outcome: Outcome) -> Self {
        Self { outcome, geoip_error: false, events: 0, rows: 0 }
    }

    #[cfg(test)]
    pub(crate) fn ok(geoip_error: bool) -> Self {
        Self { outcome: Outcome::Ok, geoip_error, events: 1, rows: 1 }
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
