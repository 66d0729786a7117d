//! `tidegate transform run`: records through a pipeline, in batches as Firehose makes them.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use tidegate_runtime::clock;
use tidegate_transform::contract::{self, Verdict};
use tidegate_transform::{Engine, Outcome};

use super::batch::{self, Form, Record, Rows};
#[cfg(feature = "parquet")]
use super::parquet::Table;
use super::pipeline::Source;
use super::summary::Summary;

/// As much of a record as `--explain` shows.
const SHOWN_BYTES: usize = 2 << 10;

/// What to run, on what, and what to print.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    source: Source,
    /// What to read; - is standard input [default: -]
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// What a record is
    #[arg(long, value_enum, default_value_t = Form::Lines)]
    input: Form,
    /// What to print [default: rows, and with --parquet nothing]
    #[arg(long, value_enum)]
    output: Option<Print>,
    /// Write the rows as a Parquet file: what the lake would hold
    #[arg(long, value_name = "OUT")]
    parquet: Option<PathBuf>,
    /// Print each record with what became of it, instead
    #[arg(long)]
    explain: bool,
    /// How much Firehose hands over at once, in MB: the processor's BufferSizeInMBs
    #[arg(long, value_name = "MB", default_value_t = 1.0)]
    buffer_mb: f64,
    /// Print the summary as JSON
    #[arg(long)]
    json: bool,
}

/// What goes to standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Print {
    /// The rows that would be delivered
    Rows,
    /// The requests of Firehose
    Event,
    /// The answers to them
    Response,
    /// Nothing but the summary
    Nothing,
}

/// Runs the pipeline and prints what came out.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    // What Firehose allows ("Transform source data in Amazon Data Firehose", 2026-11).
    ensure!(
        (0.2..=3.0).contains(&arguments.buffer_mb),
        "--buffer-mb {} is outside of what Firehose allows: 0.2 to 3",
        arguments.buffer_mb
    );
    let files = batch::files(&arguments.files);
    let mut lengths = Vec::new();
    for name in &files {
        lengths.push(batch::open(name)?.1);
    }
    let bar = progress_bar(lengths.into_iter().sum::<Option<u64>>());
    let pipeline = arguments.source.compile()?;
    #[cfg(not(feature = "parquet"))]
    if arguments.parquet.is_some() {
        return Err(crate::needs_full("--parquet writes Parquet, and this build cannot"));
    }
    let rows_of = Rows { header: pipeline.has_header(), quoted: pipeline.has_quoted_breaks() };
    let rows = if arguments.parquet.is_some() { Print::Nothing } else { Print::Rows };
    let mut running = Running {
        #[cfg(feature = "parquet")]
        table: match &arguments.parquet {
            Some(path) => Some(Table::create(path, pipeline.fields())?),
            None => None,
        },
        engine: Engine::new(pipeline),
        summary: Summary::new(&arguments.source.config),
        print: if arguments.explain { Print::Nothing } else { arguments.output.unwrap_or(rows) },
        explain: arguments.explain,
        waiting: Vec::new(),
        waiting_bytes: 0,
        buffer_bytes: (arguments.buffer_mb * f64::from(1 << 20)) as usize,
        response: Vec::new(),
    };
    batch::each(&files, arguments.input, rows_of, &mut |bytes| bar.inc(bytes), &mut |record| {
        running.take(record)
    })?;
    running.batch()?;
    bar.finish_and_clear();
    #[cfg(feature = "parquet")]
    if let Some(table) = running.table.take() {
        running.summary.written(table.finish()?);
    }
    let summary = &running.summary;
    if arguments.json {
        let json = serde_json::to_string_pretty(&summary.json())?;
        if running.print == Print::Nothing && !arguments.explain {
            return crate::print(&json);
        }
        crate::complain(&json);
    } else {
        crate::complain(&summary.text());
    }
    Ok(())
}

/// A bar for input of a known length, nothing elsewhere.
fn progress_bar(bytes: Option<u64>) -> ProgressBar {
    let Some(bytes) = bytes.filter(|bytes| *bytes > 8 << 20) else { return ProgressBar::hidden() };
    let style = ProgressStyle::with_template("{bar:30} {bytes} of {total_bytes} {eta}");
    let bar = ProgressBar::new(bytes);
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

struct Running {
    #[cfg(feature = "parquet")]
    table: Option<Table>,
    engine: Engine,
    summary: Summary,
    print: Print,
    explain: bool,
    waiting: Vec<Record>,
    waiting_bytes: usize,
    buffer_bytes: usize,
    response: Vec<u8>,
}

impl Running {
    fn take(&mut self, record: Record) -> anyhow::Result<()> {
        if record.data.len() > batch::RECORD_LIMIT_BYTES {
            self.summary.too_large(&record.place);
            if self.explain {
                let line = format!("{}: more than Firehose takes\n", record.place);
                return write(line.as_bytes());
            }
            return Ok(());
        }
        if self.waiting_bytes + record.data.len() > self.buffer_bytes && !self.waiting.is_empty() {
            self.batch()?;
        }
        self.waiting_bytes += record.data.len();
        self.waiting.push(record);
        Ok(())
    }

    /// Hands over what is waiting.
    fn batch(&mut self) -> anyhow::Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let records = std::mem::take(&mut self.waiting);
        let raw_bytes = std::mem::take(&mut self.waiting_bytes);
        let now = clock::now();
        let request = batch::request(&records, self.summary.invocations(), now.as_millisecond());
        let report = self.engine.transform(&request, &mut self.response)?;
        let answers = contract::check(&request, &self.response).map_err(|violations| {
            let first = violations.first().map(ToString::to_string).unwrap_or_default();
            anyhow::anyhow!("the response breaks Firehose's contract, please report it: {first}")
        })?;
        let (mut rows, mut delivered) = (Vec::new(), 0);
        for (record, answer) in records.iter().zip(&answers) {
            delivered += answer.data.len();
            #[cfg(feature = "parquet")]
            if let Some(table) = &mut self.table {
                table.add(&answer.data)?;
            }
            if self.print == Print::Rows {
                rows.extend_from_slice(&answer.data);
            }
            if answer.verdict == Verdict::ProcessingFailed || self.explain {
                // The response does not say why: the same record on its own does, unless there was
                // no room for it.
                let mut line = Vec::new();
                let at = Some(now.as_millisecond());
                let why = match self.engine.convert_at(&record.data, at, &mut line) {
                    Outcome::Ok if answer.verdict == Verdict::Ok => "",
                    Outcome::Ok => "response_full",
                    Outcome::Dropped(reason) | Outcome::ProcessingFailed(reason) => reason.name(),
                };
                if answer.verdict == Verdict::ProcessingFailed {
                    self.summary.failed(why, &record.place);
                }
                if self.explain {
                    rows.extend_from_slice(&explanation(record, answer, why));
                }
            }
        }
        match self.print {
            Print::Event => rows.extend_from_slice(&request),
            Print::Response => rows.extend_from_slice(&self.response),
            Print::Rows | Print::Nothing => {}
        }
        if matches!(self.print, Print::Event | Print::Response) {
            rows.push(b'\n');
        }
        self.summary.add(&report, raw_bytes, request.len(), delivered);
        write(&rows)
    }
}

/// Lines for a person: where the record is, what became of it, and why.
fn explanation(record: &Record, answer: &contract::Answer, why: &str) -> Vec<u8> {
    let mut text = format!("{}: {:?}", record.place, answer.verdict).into_bytes();
    if !why.is_empty() {
        text.extend_from_slice(format!(" ({why})").as_bytes());
    }
    text.push(b'\n');
    if answer.verdict != Verdict::Ok {
        text.extend_from_slice(format!("  {}\n", shown(&record.data)).as_bytes());
    }
    for row in answer.data.split(|byte| *byte == b'\n').filter(|row| !row.is_empty()) {
        text.extend_from_slice(b"  ");
        text.extend_from_slice(row);
        text.push(b'\n');
    }
    text
}

/// A record as a terminal can show it: not the whole of a long one, and what is no text, or would
/// move the cursor, by its escapes.
fn shown(data: &[u8]) -> String {
    let mut text = String::new();
    for chunk in data.get(..SHOWN_BYTES).unwrap_or(data).utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\n' => text.push_str("\n  "),
                '\t' => text.push(c),
                c if c.is_control() => text.extend(c.escape_default()),
                c => text.push(c),
            }
        }
        let _ = write!(text, "{}", chunk.invalid().escape_ascii());
    }
    text.truncate(text.trim_end_matches([' ', '\n']).trim_end_matches("\\r").len());
    if data.len() > SHOWN_BYTES {
        let _ = write!(text, " … ({} bytes)", data.len());
    }
    text
}

/// A reader that has gone away is no failure.
fn write(bytes: &[u8]) -> anyhow::Result<()> {
    match std::io::stdout().write_all(bytes) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(error).context("standard output cannot be written")
        }
        _ => Ok(()),
    }
}
