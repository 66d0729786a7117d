//! What stands in the account.

use tidegate_doctor::Deployment;

/// Reads a stream and what reads it.
#[cfg(feature = "aws")]
pub fn stream(name: &str) -> anyhow::Result<Deployment> {
    crate::aws::block_on(async { Ok(account().await.stream(name).await?) })
}

/// Reads a stack and what stands of it.
#[cfg(feature = "aws")]
pub fn stack(name: &str) -> anyhow::Result<Deployment> {
    crate::aws::block_on(async { Ok(account().await.stack(name).await?) })
}

#[cfg(feature = "aws")]
async fn account() -> tidegate_aws::doctor::Account {
    tidegate_aws::doctor::Account::load(|| tidegate_runtime::clock::now().into()).await
}

/// Built without the SDK.
#[cfg(not(feature = "aws"))]
pub fn stream(_: &str) -> anyhow::Result<Deployment> {
    Err(crate::needs_aws("doctor --stream"))
}

/// Built without the SDK.
#[cfg(not(feature = "aws"))]
pub fn stack(_: &str) -> anyhow::Result<Deployment> {
    Err(crate::needs_aws("doctor --stack"))
}
