//! A look at AWS.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, IsTerminal, Read, stdin};
use std::path::Path;

use anyhow::Context;
use autoscaler::Settings;
use tidegate_autoscaler::look::{Inputs, Looked};
use tidegate_autoscaler::port::{LedgerStore, StreamService};
use tidegate_autoscaler::run::{self, Ports};
use tidegate_autoscaler::shards::ShardService;
use tidegate_autoscaler::tags::Wishes;
use tidegate_autoscaler::{Action, Applied, Decision, Mode, Policy, Reason};
use tidegate_runtime::settings::{self, Environment, Vars};

use super::{Arguments, Snapshot};
use crate::aws::{self, Wall};

/// What the environment of a function may hold (4 KB, "Lambda quotas", Lambda Developer Guide,
/// 2026-11), and more.
const ENVIRONMENT_BYTES: u64 = 64 << 10;

/// What the function would look with.
struct View {
    wishes: Wishes,
    streams: Vec<String>,
    ledger_table: Option<String>,
    reads: bool,
    /// Its schedules as they are written, for whoever keeps what was seen.
    schedules: Option<String>,
}

/// Looks, prints, and perhaps asks and carries out what was printed.
pub(super) fn run(arguments: &Arguments, policy: Option<Policy>) -> anyhow::Result<()> {
    let somebody = stdin().is_terminal() && !reads_stdin(arguments);
    if arguments.apply && !arguments.yes && !somebody {
        let sentence = "--apply asks a question, and nobody is there to answer: add --yes";
        return Err(crate::Usage(sentence.to_owned()).into());
    }
    let view = view(arguments, policy)?;
    if view.ledger_table.is_none() {
        crate::complain(
            "without a ledger (--ledger-table): the calls of the last day are those in the tag \
             tidegate:calls, and the forecast knows the last 26 hours",
        );
    }
    aws::block_on(async {
        let (service, ledger) = aws::service_and_ledger(view.ledger_table.as_deref()).await;
        let service = service.with_reads(view.reads);
        let ports = Ports {
            service: &service,
            ledger: ledger.as_ref(),
            clock: &Wall,
            deadline: jiff::Timestamp::MAX,
        };
        match look(ports, arguments.stream.as_deref().unwrap_or_default(), &view).await {
            Ok((looked, inputs)) => {
                save(arguments, inputs, &looked.decision, &view)?;
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

/// One look, also at a stream that the function leaves alone so far.
async fn look<S: StreamService + ShardService, L: LedgerStore>(
    ports: Ports<'_, S, L, Wall>,
    stream: &str,
    view: &View,
) -> Result<(Looked, Option<Inputs>), Box<Decision>> {
    let configured = view.streams.iter().any(|name| name == stream);
    let seen = run::observe(ports, stream, &view.wishes, configured).await;
    match seen {
        Err(blind) if !configured && blind.reason == Reason::NotOptedIn => {
            let seen = run::observe(ports, stream, &view.wishes, true).await;
            if seen.is_ok() {
                crate::complain(&format!("this is what it would do if it were: {}", blind.message));
            }
            seen
        }
        seen => seen,
    }
}

/// The settings of the function: its variables, then the options, then the file.
fn view(arguments: &Arguments, policy: Option<Policy>) -> anyhow::Result<View> {
    let mut vars = match &arguments.environment {
        Some(path) => environment(path)?,
        None => here(),
    };
    let bounds = [
        ("TIDEGATE_MIN_SHARDS", arguments.min_shards.map(|count| count.to_string())),
        ("TIDEGATE_MAX_SHARDS", arguments.max_shards.map(|count| count.to_string())),
        ("TIDEGATE_LEDGER_TABLE", arguments.ledger_table.clone()),
    ];
    for (name, value) in bounds {
        vars.extend(value.map(|value| (name.to_owned(), value)));
    }
    let Settings { mut wishes, streams, ledger_table, reads, .. } = Settings::read(&vars)?;
    if let Some(policy) = policy.filter(|_| arguments.policy_file.is_some()) {
        let schedules = wishes.policy.schedules;
        wishes.policy = Policy { schedules, ..policy };
    }
    if arguments.apply {
        wishes.mode = Mode::Active;
    }
    let schedules = vars.remove("TIDEGATE_SCHEDULES").filter(|text| !text.trim().is_empty());
    Ok(View { wishes, streams, ledger_table, reads, schedules })
}

/// The variables of this process that mean something.
fn here() -> BTreeMap<String, String> {
    let value = |key: &&str| Some(((*key).to_owned(), Environment.get(key)?));
    settings::KEYS.iter().filter_map(value).collect()
}

/// The variables of a function, as a file.
fn environment(path: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let shown = path.display();
    let mut text = String::new();
    let read = if path == Path::new("-") {
        stdin().take(ENVIRONMENT_BYTES).read_to_string(&mut text)
    } else {
        fs::File::open(path).and_then(|file| file.take(ENVIRONMENT_BYTES).read_to_string(&mut text))
    };
    read.with_context(|| format!("{shown} cannot be read"))?;
    let vars: BTreeMap<String, String> = serde_json::from_str(&text).with_context(|| {
        format!(
            "{shown} is no JSON object of variables, such as `aws lambda \
             get-function-configuration --function-name NAME --query Environment.Variables` prints"
        )
    })?;
    for (name, near) in settings::unknown(&vars) {
        let near = near.map(|near| format!("; was {near} meant?")).unwrap_or_default();
        crate::complain(&format!("{shown}: {name} means nothing{near}"));
    }
    Ok(vars)
}

fn reads_stdin(arguments: &Arguments) -> bool {
    arguments.environment.as_deref() == Some(Path::new("-"))
}

/// Keeps what was seen, where that was asked for.
fn save(
    arguments: &Arguments,
    inputs: Option<Inputs>,
    decision: &Decision,
    view: &View,
) -> anyhow::Result<()> {
    let Some(path) = &arguments.save_observation else { return Ok(()) };
    let inputs = inputs
        .with_context(|| format!("{} was not written: {}", path.display(), decision.message))?;
    let snapshot = Snapshot::new(inputs, decision, view.schedules.as_deref())?;
    fs::write(path, snapshot.text()?)
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
