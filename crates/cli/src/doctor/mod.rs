//! `tidegate doctor`: what is known to lose data, block a shard, cost money or leak, looked for in a
//! template, around a stream of the account, or in a stack.

mod files;
mod live;
mod text;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use tidegate_doctor::{Deployment, Report, Severity, diagnose};

use crate::Usage;

/// The page about the checks.
const PAGE: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "/blob/main/docs/src/doctor.md");

/// What to look at.
#[derive(clap::Args)]
#[command(after_help = "Exit code: 0 nothing, or notes; 3 warnings; 4 errors.")]
#[command(group(clap::ArgGroup::new("where").required(true)))]
pub struct Arguments {
    /// A SAM or CloudFormation template; nested ones beside it are followed. No account needed
    #[arg(long, value_name = "FILE", group = "where")]
    template: Option<PathBuf>,
    /// A stream and what reads it, with the usual AWS credentials and Region; it only reads
    #[arg(long, value_name = "NAME", group = "where")]
    stream: Option<String>,
    /// A stack that is deployed: its templates, and what the account says of its parts now
    #[arg(long, value_name = "NAME", group = "where")]
    stack: Option<String>,
    /// A parameter of the template, where it is not the default; as often as needed
    #[arg(long = "parameter", value_name = "NAME=VALUE", value_parser = parameter, conflicts_with_all = ["stack", "stream"])]
    parameters: Vec<(String, String)>,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
/// When the template cannot be read or has no such parameter, there is no such stack, or AWS refuses
/// a call.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let report = diagnose(&deployment(arguments)?, PAGE);
    let printed =
        if arguments.json { serde_json::to_string_pretty(&report)? } else { text::report(&report) };
    crate::print(printed.trim_end())?;
    Ok(code(&report))
}

fn deployment(arguments: &Arguments) -> anyhow::Result<Deployment> {
    let parameters: BTreeMap<_, _> = arguments.parameters.iter().cloned().collect();
    match (&arguments.template, &arguments.stream, &arguments.stack) {
        (Some(template), _, _) => files::deployment(template, &parameters),
        (_, Some(stream), _) => live::stream(stream),
        (_, _, Some(stack)) => live::stack(stack),
        (None, None, None) => {
            Err(Usage("name a --template, a --stream or a --stack".to_owned()).into())
        }
    }
}

/// Warnings and errors are told by the exit code, so that a deployment can wait for them.
fn code(report: &Report) -> ExitCode {
    ExitCode::from(match report.findings.first().map(|worst| worst.severity) {
        Some(Severity::Error) => 4,
        Some(Severity::Warning) => 3,
        Some(Severity::Note) | None => 0,
    })
}

fn parameter(text: &str) -> Result<(String, String), Usage> {
    let (name, value) = text
        .split_once('=')
        .filter(|(name, _)| !name.is_empty())
        .ok_or_else(|| Usage(format!("{text:?} is no parameter: write NAME=VALUE")))?;
    Ok((name.to_owned(), value.to_owned()))
}
