//! The Lambda function that processes batches of Kinesis records.

mod dedupe;
mod format;
mod function;
mod notify;
mod settings;
mod sink;
mod store;

use std::process::ExitCode;
use std::sync::Arc;

use tidegate_runtime::{Environment, Log, SettingsError};

use crate::function::StreamConsumer;
use crate::settings::Settings;

fn main() -> ExitCode {
    tidegate_runtime::run(async |log: &Arc<Log>| {
        let settings = Settings::read(&Environment)?;
        Ok::<_, SettingsError>(StreamConsumer::new(settings, log.clone()))
    })
}
