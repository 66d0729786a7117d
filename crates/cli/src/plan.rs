//! `tidegate plan`: one look at a stream, as the deployed function would take it.

use tidegate_autoscaler::Policy;

/// Which stream, and within which bounds.
#[derive(clap::Args)]
pub struct Arguments {
    /// The stream's name
    #[arg(long, value_name = "NAME")]
    stream: String,
    /// Never fewer shards
    #[arg(long, value_name = "SHARDS", default_value_t = Policy::default().min_shards, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    min_shards: u32,
    /// Never more shards
    #[arg(long, value_name = "SHARDS", default_value_t = Policy::default().max_shards, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    max_shards: u32,
    /// Print the decision as JSON
    #[arg(long)]
    json: bool,
}

/// Without the AWS SDK there is nothing to look at.
#[cfg(not(feature = "aws"))]
pub fn run(_arguments: &Arguments) -> anyhow::Result<()> {
    Err(crate::needs_aws("`plan --stream`"))
}

/// Looks, decides and prints.
#[cfg(feature = "aws")]
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    use anyhow::Context;
    use tidegate_autoscaler::Mode;
    use tidegate_autoscaler::port::NoLedger;
    use tidegate_autoscaler::run::{self, Ports};
    use tidegate_autoscaler::tags::Wishes;
    use tidegate_aws::{Config, autoscaler::Aws};

    let Arguments { stream, min_shards, max_shards, json } = arguments;
    anyhow::ensure!(
        min_shards <= max_shards,
        "--min-shards {min_shards} is above --max-shards {max_shards}"
    );
    let policy = Policy { min_shards: *min_shards, max_shards: *max_shards, ..Policy::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let decision = runtime.block_on(async {
        let service = Aws::new(&Config::load().await, tidegate_runtime::clock::now);
        let ports = Ports {
            service: &service,
            ledger: None::<&NoLedger>,
            clock: &Wall,
            deadline: jiff::Timestamp::MAX,
        };
        run::run(ports, stream, &Wishes { policy, mode: Mode::Shadow }, true).await
    });
    if *json {
        let line = serde_json::to_string(&decision).context("the decision cannot be printed")?;
        crate::print(&line)?;
    } else {
        crate::print(&describe(&decision))?;
    }
    anyhow::ensure!(
        !decision.reason.is_failure(),
        "the stream could not be looked at; the reason is above"
    );
    Ok(())
}

/// The time as everybody has it.
#[cfg(feature = "aws")]
struct Wall;

#[cfg(feature = "aws")]
impl tidegate_autoscaler::port::Clock for Wall {
    fn now(&self) -> jiff::Timestamp {
        tidegate_runtime::clock::now()
    }

    async fn sleep(&self, time: jiff::SignedDuration) {
        tidegate_runtime::clock::sleep(time.unsigned_abs()).await;
    }
}

/// The decision stage by stage, for people.
#[cfg(feature = "aws")]
fn describe(decision: &tidegate_autoscaler::Decision) -> String {
    use std::fmt::Write;

    let mut text = format!("{}: {}\n", decision.stream, decision.message);
    for stage in &decision.stages {
        let value = stage.value.map_or_else(|| "-".to_owned(), |value| format!("{value:.1}"));
        let _ = writeln!(text, "  {:<10} {value:>8}  {}", stage.stage, stage.reason.code());
    }
    if decision.usd_per_month != 0.0 {
        let _ = writeln!(text, "  it changes the bill by ${:+.2} a month", decision.usd_per_month);
    }
    text.push_str("nothing was changed");
    text
}
