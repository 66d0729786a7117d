//! `tidegate plan`: one look at a stream, as the deployed function would take it.

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
    arguments.ask_aws(&policy.unwrap_or_default())
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
    fn ask_aws(&self, _policy: &Policy) -> anyhow::Result<()> {
        Err(crate::needs_aws("`plan --stream`"))
    }

    #[cfg(feature = "aws")]
    fn ask_aws(&self, policy: &Policy) -> anyhow::Result<()> {
        live::run(self, policy)
    }
}

#[cfg(feature = "aws")]
mod live {
    //! A look at AWS.

    use std::fs;
    use std::io::{BufRead, IsTerminal, stdin};

    use anyhow::Context;
    use tidegate_autoscaler::look::{Inputs, Looked};
    use tidegate_autoscaler::port::NoLedger;
    use tidegate_autoscaler::run::{self, Ports};
    use tidegate_autoscaler::tags::Wishes;
    use tidegate_autoscaler::{Action, Applied, Decision, Mode, Policy};

    use super::{Arguments, Snapshot};
    use crate::aws::{self, Wall};

    /// Looks, prints, and perhaps asks and carries out what was printed.
    pub(super) fn run(arguments: &Arguments, policy: &Policy) -> anyhow::Result<()> {
        if arguments.apply && !arguments.yes && !stdin().is_terminal() {
            let sentence = "--apply asks a question, and nobody is there to answer: add --yes";
            return Err(crate::Usage(sentence.to_owned()).into());
        }
        let mode = if arguments.apply { Mode::Active } else { Mode::Shadow };
        let wishes = Wishes { policy: policy.clone(), mode };
        let stream = arguments.stream.as_deref().unwrap_or_default();
        aws::block_on(async {
            let service = aws::service().await;
            let ports = Ports {
                service: &service,
                ledger: None::<&NoLedger>,
                clock: &Wall,
                deadline: jiff::Timestamp::MAX,
            };
            match run::observe(ports, stream, &wishes, true).await {
                Ok((looked, inputs)) => {
                    save(arguments, inputs, &looked.decision)?;
                    let decision = match confirm(arguments, &looked)? {
                        true => run::finish(ports, looked, usize::MAX).await,
                        false => looked.decision,
                    };
                    tell(arguments, &decision)
                }
                Err(blind) => tell(arguments, &blind),
            }
        })
    }

    /// Keeps what was seen, where that was asked for.
    fn save(
        arguments: &Arguments,
        inputs: Option<Inputs>,
        decision: &Decision,
    ) -> anyhow::Result<()> {
        let Some(path) = &arguments.save_observation else { return Ok(()) };
        let inputs = inputs
            .with_context(|| format!("{} was not written: {}", path.display(), decision.message))?;
        fs::write(path, Snapshot::new(inputs, decision)?.text()?)
            .with_context(|| format!("{} cannot be written", path.display()))
    }

    /// Whether what was found is to be carried out.
    fn confirm(arguments: &Arguments, looked: &Looked) -> anyhow::Result<bool> {
        let decision = &looked.decision;
        if !arguments.apply || decision.applied != Applied::Planned {
            return Ok(false);
        }
        if arguments.yes {
            return Ok(true);
        }
        // On the error output: standard output is for data.
        crate::complain(super::text::describe(decision).trim_end());
        crate::complain(&format!("carry this out on {}? type yes", decision.stream));
        let mut answer = String::new();
        stdin().lock().read_line(&mut answer).context("no answer could be read")?;
        Ok(answer.trim().eq_ignore_ascii_case("yes"))
    }

    fn tell(arguments: &Arguments, decision: &Decision) -> anyhow::Result<()> {
        arguments.print(decision)?;
        let sentence = match (decision.action, decision.applied) {
            (_, Applied::Done) => "it was carried out",
            (Action::Hold, _) | (_, Applied::Nothing | Applied::Refused) => "nothing was changed",
            (_, Applied::Shadow) if arguments.apply => {
                "nothing was changed: the stream's tag tidegate:mode is shadow"
            }
            (_, Applied::Shadow | Applied::Planned) => "nothing was changed",
        };
        crate::complain(sentence);
        anyhow::ensure!(
            !decision.reason.is_failure(),
            "the stream could not be looked at; the reason is above"
        );
        Ok(())
    }
}
