//! The Lambda function that keeps streams the right size.

mod figures;
mod function;
mod notices;
mod upkeep;

use std::process::ExitCode;
use std::sync::Arc;

use autoscaler::Settings;
use tidegate_aws::Config;
use tidegate_aws::autoscaler::{Aws, Ledger};
use tidegate_aws::call::Connections;
use tidegate_aws::notices::Notices as Sender;
use tidegate_runtime::{Environment, Log, SettingsError, clock};

use crate::function::Autoscaler;
use crate::notices::Notices;

fn main() -> ExitCode {
    tidegate_runtime::run(async |log: &Arc<Log>| {
        let settings = Settings::read(&Environment)?;
        let config = Config::load().await;
        let service = Aws::new(&config, clock::now).with_reads(settings.reads);
        let table = settings.ledger_table.clone();
        let ledger = table.map(|table| Ledger::new(&config, table, clock::now));
        let notices = settings.notices.clone().map(|told| {
            let connections = Connections::new(|| clock::now().into());
            Notices::new(Sender::new(told.to, connections), told.after)
        });
        Ok::<_, SettingsError>(Autoscaler { settings, service, ledger, notices, log: log.clone() })
    })
}
