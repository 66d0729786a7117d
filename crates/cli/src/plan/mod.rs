//! `tidegate plan`: one look at a stream, as the deployed function would take it.

#[cfg(feature = "aws")]
mod live;
mod snapshot;
mod text;

use std::path::PathBuf;

use anyhow::{Context, ensure};
use tidegate_autoscaler::{Decision, Policy};

use self::snapshot::Snapshot;
use crate::policy_file;

/// What to look at, and within which bounds.
#[derive(clap::Args)]
#[command(group(clap::ArgGroup::new("seen").required(true)))]
pub struct Arguments {
    /// A stream, with the usual AWS credentials and Region
    #[arg(long, value_name = "NAME", group = "seen")]
    stream: Option<String>,
    /// What was seen of a stream, as --save-observation wrote it; without AWS
    #[arg(long, value_name = "FILE.json", group = "seen")]
    observation: Option<PathBuf>,
    /// The table of the function's ledger, over TIDEGATE_LEDGER_TABLE
    #[arg(long, value_name = "TABLE", conflicts_with = "observation")]
    ledger_table: Option<String>,
    /// The function's variables as a JSON object, in place of those set here; - for standard input
    #[arg(long, value_name = "FILE.json", conflicts_with = "observation")]
    environment: Option<PathBuf>,
    /// Bounds and tuning, as `tidegate tune` prints them
    #[arg(long, value_name = "FILE.yaml")]
    policy_file: Option<PathBuf>,
    /// Never fewer shards
    #[arg(long, value_name = "SHARDS", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    min_shards: Option<u32>,
    /// Never more shards
    #[arg(long, value_name = "SHARDS", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    max_shards: Option<u32>,
    /// Carry it out as the function would, after a question
    #[arg(long, conflicts_with = "observation")]
    apply: bool,
    /// Carry it out without a question
    #[arg(long, requires = "apply")]
    yes: bool,
    /// Keep what was seen, so that the decision can be made again with --observation
    #[arg(long, value_name = "FILE.json", conflicts_with = "observation")]
    save_observation: Option<PathBuf>,
    /// Print the decision as JSON
    #[arg(long)]
    json: bool,
}

/// Looks, decides, prints, and with --apply carries out.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let policy = arguments.policy()?;
    if let Some(path) = &arguments.observation {
        let snapshot = Snapshot::read(path)?;
        let decision = snapshot.decide(policy.as_ref());
        arguments.print(&decision)?;
        if let Some(difference) = snapshot.differs(&decision) {
            crate::complain(&difference);
        }
        return Ok(());
    }
    arguments.ask_aws(policy)
}

impl Arguments {
    /// The policy that was given; `None` when nothing was said of it.
    fn policy(&self) -> anyhow::Result<Option<Policy>> {
        let Self { policy_file, min_shards, max_shards, .. } = self;
        if policy_file.is_none() && min_shards.is_none() && max_shards.is_none() {
            return Ok(None);
        }
        let mut policy =
            policy_file.as_deref().map(policy_file::read).transpose()?.unwrap_or_default();
        policy.min_shards = min_shards.unwrap_or(policy.min_shards);
        policy.max_shards = max_shards.unwrap_or(policy.max_shards);
        let Policy { min_shards, max_shards, .. } = policy;
        ensure!(
            min_shards <= max_shards,
            "--min-shards {min_shards} is above --max-shards {max_shards}"
        );
        Ok(Some(policy))
    }

    fn print(&self, decision: &Decision) -> anyhow::Result<()> {
        if self.json {
            let line = serde_json::to_string(decision).context("the decision cannot be printed")?;
            return crate::print(&line);
        }
        crate::print(text::describe(decision).trim_end())
    }

    /// Without the AWS SDK there is nothing to look at.
    #[cfg(not(feature = "aws"))]
    fn ask_aws(&self, _policy: Option<Policy>) -> anyhow::Result<()> {
        Err(crate::needs_aws("`plan --stream`"))
    }

    #[cfg(feature = "aws")]
    fn ask_aws(&self, policy: Option<Policy>) -> anyhow::Result<()> {
        live::run(self, policy)
    }
}
