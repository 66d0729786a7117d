//! `tidegate transform test`: the cases of pipelines.

use std::process::ExitCode;

use tidegate_transform::{Engine, Pipeline, pipelines};

use super::pipeline::{self, Databases};

/// Whose cases.
#[derive(clap::Args)]
pub struct Arguments {
    /// Pipeline files, or builtin:NAME [default: every built-in pipeline]
    #[arg(value_name = "FILE")]
    pipelines: Vec<String>,
    #[command(flatten)]
    databases: Databases,
}

/// Runs the cases, and says of each that fails how.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let names = match &arguments.pipelines[..] {
        [] => pipelines::names().map(|name| format!("builtin:{name}")).collect(),
        names => names.to_vec(),
    };
    let (mut ran, mut failed) = (0, 0);
    for name in &names {
        let yaml = pipeline::text(name)?;
        let mut engine = Engine::new(pipeline::compile(name, &yaml, &arguments.databases)?);
        let cases = Pipeline::cases(&yaml)?;
        if cases.is_empty() {
            crate::complain(&format!("{name} has no cases"));
        }
        for case in cases {
            ran += 1;
            if let Err(failure) = case.run(&mut engine) {
                failed += 1;
                crate::print(&format!("{name}:{}: {}: {failure}", case.line, case.name))?;
            }
        }
    }
    crate::complain(&format!("{ran} cases of {} pipelines, {failed} failed", names.len()));
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::from(4) })
}
