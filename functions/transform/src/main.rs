//! The Lambda function that transforms Firehose records.

mod files;
mod function;
mod refresh;
mod settings;

use std::process::ExitCode;
use std::sync::Arc;

use tidegate_aws::objects::Objects;
use tidegate_aws::reingest::PutBack;
use tidegate_runtime::{Environment, Log, SettingsError};

use crate::files::Files;
use crate::function::Transform;
use crate::settings::Settings;

fn main() -> ExitCode {
    tidegate_runtime::run(async |log: &Arc<Log>| {
        let files = Files::fetch(&Environment, &Objects::default(), &Files::default()).await;
        let settings = Settings::read(&Environment, &files)?;
        Ok::<_, SettingsError>(Transform::new(settings, files, PutBack::default(), log.clone()))
    })
}
