//! Functions side by side: what an event costs each.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};

use crate::meter::{self, Function};

/// Events before anything is measured: caches fill, compilers of interpreters compile.
const WARM_UP_EVENTS: u32 = 3;

/// Where everything is.
#[derive(Debug, Clone, clap::Args)]
pub struct Places {
    /// The root of the repository.
    #[arg(long, value_name = "FOLDER", hide = true)]
    root: PathBuf,
    /// Built functions of ours.
    #[arg(long, value_name = "FOLDER", hide = true)]
    ours: PathBuf,
    /// The built functions of others in Rust; without it nothing but ours is measured.
    #[arg(long, value_name = "FOLDER", hide = true)]
    peers: Option<PathBuf>,
    /// Rounds, of which the median counts; functions take turns.
    #[arg(long, default_value_t = 9)]
    rounds: usize,
    /// Only ours, in instructions, against the ceilings.
    #[arg(long)]
    ceilings: bool,
}

/// What one function came to.
#[derive(Debug, Clone)]
pub struct Cost {
    /// What the table calls it.
    pub name: &'static str,
    /// Processor time of an event, the median.
    pub millis: f64,
    /// User-mode instructions of an event, where they were counted.
    pub instructions: Option<f64>,
    /// Memory above idle that one event takes at its most.
    pub memory_bytes: u64,
}

/// A most that ours may be.
#[derive(Debug, Clone, Copy)]
pub struct Bound {
    /// What is bounded.
    pub what: &'static str,
    /// What it is.
    pub value: f64,
    /// What it may be.
    pub most: f64,
}

impl Places {
    /// Whether only the instructions of ours are asked for.
    pub fn only_ceilings(&self) -> bool {
        self.ceilings
    }

    /// A function of ours.
    pub fn our(
        &self,
        name: &'static str,
        program: &str,
        variables: &[(&'static str, &Path)],
    ) -> Function {
        function(name, vec![shown(&self.ours.join(program))], variables, true)
    }

    /// The functions of others: plain Rust first, which ours is divided by.
    pub fn peers(
        &self,
        rust: &str,
        python: (&'static str, &str),
        node: (&'static str, &str),
        variables: &[(&'static str, &Path)],
    ) -> Vec<Function> {
        let Some(peers) = &self.peers else { return Vec::new() };
        let (tools, sources) = (self.root.join(".tools"), self.root.join("benches/peers"));
        let packages = tools.join("peers-node/node_modules");
        let plain = function("plain Rust", vec![shown(&peers.join(rust))], variables, true);
        let interpreter = shown(&tools.join("peers/bin/python"));
        let words = vec![interpreter, shown(&sources.join("python/loop.py")), python.1.to_owned()];
        let python = function(python.0, words, variables, false);
        let words =
            vec!["node".to_owned(), shown(&sources.join("node/loop.cjs")), node.1.to_owned()];
        let mut node = function(node.0, words, variables, false);
        node.variables.push(("NODE_PATH", shown(&packages)));
        vec![plain, python, node]
    }

    /// Measures functions on one event; the table is in their order.
    ///
    /// # Errors
    /// When one of them does not start or fails.
    pub fn measure(
        &self,
        functions: &[Function],
        small: &[u8],
        event: &[u8],
        check: impl Fn(&[u8]) -> anyhow::Result<()>,
    ) -> anyhow::Result<Vec<Cost>> {
        let mut hosts = Vec::new();
        for function in functions {
            let mut host = function.start()?;
            for _ in 0..WARM_UP_EVENTS {
                let answer = host.invoke(event).with_context(|| function.name.to_owned())?;
                check(&answer).with_context(|| function.name.to_owned())?;
            }
            // As many events a round as take about a tenth of a second.
            let millis = meter::round(&mut host, event, 1)?;
            hosts.push((host, (100.0 / millis).clamp(1.0, 30.0) as u32, Vec::new()));
        }
        for _ in 0..self.rounds {
            for (host, events, rounds) in &mut hosts {
                rounds.push(meter::round(host, event, *events)?);
            }
        }
        let mut costs = Vec::new();
        for (function, (host, _, rounds)) in functions.iter().zip(hosts) {
            drop(host);
            let instructions =
                if function.counted { function.instructions(event, 2)? } else { None };
            costs.push(Cost {
                name: function.name,
                millis: median(rounds),
                instructions,
                memory_bytes: meter::memory_of(function, small, event)?,
            });
        }
        Ok(costs)
    }
}

fn function(
    name: &'static str,
    program: Vec<String>,
    variables: &[(&'static str, &Path)],
    counted: bool,
) -> Function {
    let variables = variables.iter().map(|(name, value)| (*name, shown(value))).collect();
    Function { name, program, variables, counted }
}

fn shown(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Prints what was measured, each beside the plain function in Rust.
pub fn table(title: &str, event: &[u8], costs: &[Cost]) {
    let plain = costs.iter().find(|cost| cost.name == "plain Rust");
    println!("\n{title}, an event of {:.2} MB", event.len() as f64 / 1e6);
    println!(
        "{:<42} {:>8} {:>8} {:>14} {:>8} {:>10}",
        "", "CPU ms", "of plain", "M instructions", "of plain", "memory MB"
    );
    for cost in costs {
        let ratio = plain.map(|plain| cost.millis / plain.millis);
        let counted = plain.and_then(|plain| Some(cost.instructions? / plain.instructions?));
        println!(
            "{:<42} {:>8.2} {:>8} {:>14} {:>8} {:>10.1}",
            cost.name,
            cost.millis,
            figure(ratio, 3),
            figure(cost.instructions.map(|count| count / 1e6), 1),
            figure(counted, 3),
            cost.memory_bytes as f64 / 1e6,
        );
    }
}

fn figure(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
}

/// Prints each bound, and whether it holds.
///
/// # Errors
/// When one does not.
pub fn hold(bounds: &[Bound]) -> anyhow::Result<()> {
    println!();
    let mut broken = 0;
    for Bound { what, value, most } in bounds {
        let holds = value <= most;
        broken += usize::from(!holds);
        println!("{what:<66} {value:>10.3}  at most {most}{}", if holds { "" } else { "  BROKEN" });
    }
    ensure!(broken == 0, "{broken} of {} bounds do not hold", bounds.len());
    Ok(())
}
