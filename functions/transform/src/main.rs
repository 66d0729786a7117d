//! The Lambda function that transforms Firehose records.

mod function;
mod settings;

use std::process::ExitCode;
use std::sync::Arc;

use tidegate_aws::reingest::PutBack;
use tidegate_runtime::{Environment, Log, SettingsError};

use crate::function::Transform;
use crate::settings::Settings;

fn main() -> ExitCode {
    tidegate_runtime::run(async |log: &Arc<Log>| {
        let settings = Settings::read(&Environment)?;
        Ok::<_, SettingsError>(Transform::new(settings, PutBack::default(), log.clone()))
    })
}
