//! The alarms of the streams that opted in, brought up to date at the end of an invocation.

use jiff::Timestamp;
use tidegate_autoscaler::alarms::{AlarmService, AlarmSettings, Stand, maintain};
use tidegate_autoscaler::port::Clock;
use tidegate_runtime::{Level, Log};

/// Brings the alarms up to date and says what was done. What fails fails no decision: the heartbeat
/// finds what no alarm said, and the next run tries again.
pub async fn keep<S: AlarmService, C: Clock>(
    (service, clock): (&S, &C),
    stands: &[Stand],
    settings: &AlarmSettings,
    function_arn: &str,
    until: Timestamp,
    log: &Log,
) {
    let mut settings = settings.clone();
    if settings.actions.is_empty() {
        settings.actions.push(function_arn.to_owned());
    }
    let upkeep = maintain(service, clock, stands, &settings, until).await;
    if upkeep.is_empty() {
        return;
    }
    let trouble = upkeep.left > 0 || !upkeep.failed.is_empty();
    log.event(if trouble { Level::Warn } else { Level::Info }, "alarms", &upkeep);
}
