//! One configuration for every client: the SDK's usual settings, and a slim HTTP stack.

use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};

/// What every client is made from. Loading it reads the environment and the profile files and
/// makes no call.
#[derive(Debug, Clone)]
pub struct Config(SdkConfig);

impl Config {
    /// From the SDK's usual settings: region, profile, credentials, `AWS_ENDPOINT_URL` and its
    /// per-service forms.
    pub async fn load() -> Self {
        let http = Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
        // A call that hangs must end before the function does, so that the reason is told.
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(3))
            .operation_attempt_timeout(Duration::from_secs(8))
            .operation_timeout(Duration::from_secs(20))
            .build();
        let defaults = aws_config::defaults(BehaviorVersion::latest());
        Self(defaults.http_client(http).timeout_config(timeouts).load().await)
    }

    /// From the SDK's own form.
    #[cfg(test)]
    pub(crate) const fn of(config: SdkConfig) -> Self {
        Self(config)
    }

    /// The SDK's own form.
    pub const fn sdk(&self) -> &SdkConfig {
        &self.0
    }
}
