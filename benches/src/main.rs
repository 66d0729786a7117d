//! What is measured: `cargo xtask bench autoscaler`, `evaluate`, `consumer`, `transform`,
//! `send`; and what it costs, `bill`.

// What is measured is the program's output.
#![allow(clippy::print_stdout)]

mod batches;
mod bill;
mod consumer;
mod cost;
mod dice;
mod evaluate;
mod figures;
mod functions;
mod host;
mod logs;
mod made_up;
mod meter;
mod places;
mod send;
mod transform;
mod variants;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

/// Measures a part of Tidegate.
#[derive(Debug, Parser)]
enum Measure {
    /// What the autoscaler costs by simulated minute, and whether that grows with the history.
    Autoscaler {
        /// Only simulate so many weeks, and print nothing.
        #[arg(long, hide = true)]
        weeks: Option<u32>,
    },
    /// How near the autoscaler's policy comes to the clairvoyant schedule, and what it throttles.
    Evaluate {
        /// A folder of histories, as `tidegate simulate` takes them.
        #[arg(long, value_name = "FOLDER")]
        traces: Option<PathBuf>,
        #[command(flatten)]
        beside: evaluate::Beside,
    },
    /// What a batch of records costs a consumer, beside consumers made with other libraries.
    Consumer(functions::Places),
    /// What a request of Firehose costs the transform, beside transformations written by hand.
    Transform {
        #[command(flatten)]
        places: functions::Places,
        /// A folder with a real log, `apache_combined.log`; else lines are made.
        #[arg(long, value_name = "FOLDER")]
        data: Option<PathBuf>,
    },
    /// What a record costs `tidegate send`, beside a loop around boto3; and what becomes of many at
    /// the limit of a stream.
    Send(send::Places),
    /// What each part costs in a month, at three sizes.
    Bill,
}

fn main() -> ExitCode {
    let outcome = match Measure::parse() {
        Measure::Autoscaler { weeks: Some(weeks) } => {
            cost::simulate(weeks);
            Ok(())
        }
        Measure::Autoscaler { weeks: None } => cost::measure(),
        Measure::Evaluate { traces, beside } => evaluate::evaluate(traces.as_deref(), beside),
        Measure::Consumer(places) => consumer::measure(&places),
        Measure::Transform { places, data } => transform::measure(&places, data),
        Measure::Send(places) => send::measure(&places),
        Measure::Bill => {
            bill::print();
            Ok(())
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("benches: {error:#}");
            ExitCode::FAILURE
        }
    }
}
