//! A stream of the account.

use tidegate_aws::doctor::Account;
use tidegate_doctor::Deployment;

/// Reads a stream and what reads it.
pub fn stream(name: &str) -> anyhow::Result<Deployment> {
    crate::aws::block_on(async {
        let account = Account::load(|| tidegate_runtime::clock::now().into()).await;
        Ok(account.stream(name).await?)
    })
}
