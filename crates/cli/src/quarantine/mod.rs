//! `tidegate quarantine`: what the consumer set aside, looked at and put back.

#[cfg(feature = "aws")]
mod aws;
mod document;
mod event;
mod filter;
mod folder;
mod list;
mod load;
mod lock;
mod marks;
mod plan;
mod redrive;
mod scan;
mod show;
mod stats;
mod store;
mod table;
mod target;
mod view;

use std::process::ExitCode;

use self::filter::Filter;
use self::scan::Scan;

#[derive(clap::Subcommand)]
pub enum Command {
    /// Lists what is in quarantine, a line a record
    List(list::Arguments),
    /// Counts what is in quarantine: by reason, shard, key and hour
    Stats(stats::Arguments),
    /// Shows one record: why it is there, and its payload, with letters and digits hidden
    Show(show::Arguments),
    /// Puts records back: to a function, a stream or a file; says what it would do without --apply
    Redrive(redrive::Arguments),
}

/// Where quarantined records are.
#[derive(clap::Args)]
pub struct Source {
    /// A folder (or file:///FOLDER), s3://BUCKET/PREFIX, dynamodb:TABLE or sqs:URL
    #[arg(long, value_name = "STORE")]
    from: String,
}

/// Runs one of them.
pub fn run(command: &Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::List(arguments) => list::run(arguments),
        Command::Stats(arguments) => stats::run(arguments),
        Command::Show(arguments) => show::run(arguments),
        Command::Redrive(arguments) => redrive::run(arguments),
    }
}

/// What is in a store and passes a filter; what cannot be read is told.
fn scan(source: &Source, filter: &Filter) -> anyhow::Result<Scan> {
    let mut store = store::open(&source.from)?;
    let scan = scan::scan(&mut *store, filter)?;
    scan.tell();
    Ok(scan)
}

/// 1 when not everything could be read.
fn code(scan: &Scan) -> ExitCode {
    if scan.unreadable.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
