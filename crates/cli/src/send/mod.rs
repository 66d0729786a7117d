//! `tidegate send`: puts lines into a stream, from files, from standard input, or from logs that
//! are being written.

mod checkpoint;
mod fields;
mod file;
mod input;
mod ledger;
mod lines;
mod rejected;
mod run;
mod shape;
mod summary;
mod tail;
mod tails;
mod target;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use tidegate_producer::{Limit, Options};
use tidegate_runtime::settings::{duration, size};

use crate::Usage;

/// What the Kinesis Producer Library makes of `AggregationMaxSize` by default.
const AGGREGATE_BYTES: usize = 51_200;

/// What to send, where, and how.
#[derive(clap::Args)]
pub struct Arguments {
    /// The stream, with the usual AWS credentials and Region
    #[arg(long, value_name = "NAME")]
    stream: String,
    /// What to read, a record a line; - is standard input [default: -]
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Go on as the files are written, through rotation, until it is interrupted
    #[arg(long, requires = "checkpoint")]
    follow: bool,
    /// Where to keep how far the files are sent; a later run goes on from there
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    #[command(flatten)]
    shape: shape::Form,
    /// Pack records of one shard together, as the Kinesis Producer Library does
    #[arg(long)]
    aggregate: bool,
    /// Send a record only when every earlier one of its key is in the stream
    #[arg(long)]
    ordered: bool,
    /// Records a second at the most
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    records_per_second: Option<u32>,
    /// Bytes a second at the most, for instance 500KiB
    #[arg(long, value_name = "SIZE", value_parser = size)]
    bytes_per_second: Option<u64>,
    /// What the stream takes as one record, where that was raised
    #[arg(long, value_name = "SIZE", value_parser = size, default_value = "1MiB")]
    record_limit: u64,
    /// How long a record is tried before it is rejected
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "5m")]
    give_up_after: Duration,
    /// Where rejected records go, a JSON line each
    #[arg(long, value_name = "FILE", default_value = "tidegate-send-rejected.ndjson")]
    rejected: PathBuf,
    /// Print the requests instead of making them, a JSON line a record; no account needed
    #[arg(long)]
    dry_run: bool,
    /// Print the summary as JSON
    #[arg(long)]
    json: bool,
}

/// Sends, and says what was sent.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    check(arguments)?;
    #[cfg(not(feature = "aws"))]
    if !arguments.dry_run {
        return Err(crate::needs_aws("`send` without --dry-run"));
    }
    let summary = run::run(arguments)?;
    let text = if arguments.json { summary.json()? } else { summary.text() };
    if arguments.json && !arguments.dry_run {
        crate::print(&text)?;
    } else {
        crate::complain(&text);
    }
    Ok(if summary.is_complete() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn check(arguments: &Arguments) -> anyhow::Result<()> {
    let stdin = arguments.files.iter().any(|file| file.as_os_str() == "-");
    if (stdin || arguments.files.is_empty()) && arguments.checkpoint.is_some() {
        let message = "standard input cannot be read again from where it was: --checkpoint and \
                       --follow need the names of files";
        return Err(Usage(message.to_owned()).into());
    }
    Ok(())
}

impl Arguments {
    fn options(&self) -> Options {
        #[expect(clippy::cast_precision_loss, reason = "a rate")]
        let limit = Limit {
            records_per_second: self.records_per_second.map(f64::from),
            bytes_per_second: self.bytes_per_second.map(|bytes| bytes as f64),
        };
        Options {
            ordered: self.ordered,
            aggregate_bytes: self.aggregate.then_some(AGGREGATE_BYTES),
            record_bytes_max: usize::try_from(self.record_limit).unwrap_or(usize::MAX),
            give_up_after: self.give_up_after,
            limit,
            ..Options::default()
        }
    }
}
