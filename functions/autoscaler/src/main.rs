//! The Lambda function that keeps streams the right size.

mod function;
mod settings;

use std::process::ExitCode;
use std::sync::Arc;

use tidegate_aws::Config;
use tidegate_aws::autoscaler::Aws;
use tidegate_runtime::{Environment, Log, SettingsError, clock};

use crate::function::Autoscaler;
use crate::settings::Settings;

fn main() -> ExitCode {
    tidegate_runtime::run(async |log: &Arc<Log>| {
        let settings = Settings::read(&Environment)?;
        let service = Aws::new(&Config::load().await, clock::now);
        Ok::<_, SettingsError>(Autoscaler { settings, service, log: log.clone() })
    })
}
