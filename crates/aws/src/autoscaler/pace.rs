//! Quotas that an account has for an operation, kept by waiting: the SDK's retries are for what
//! others ask beside us.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Interval, MissedTickBehavior, interval};

/// The operations that an account may call a few times a second, and how far apart we call them: at
/// about three quarters of the quota.
///
/// Their API references and "Quotas and limits" (Kinesis Data Streams Developer Guide), "CloudWatch
/// endpoints and quotas" (AWS General Reference), 2026-11. Where the two say different things of
/// Kinesis, the stricter counts.
#[derive(Debug)]
pub(super) struct Paces {
    /// 20 a second.
    pub describe: Pace,
    /// DescribeLimits, 1 a second.
    pub account: Pace,
    /// ListTagsForStream, 5 a second.
    pub tags: Pace,
    /// AddTagsToStream, 5 a second.
    pub set_tag: Pace,
    /// UpdateShardCount, 10 a second.
    pub update: Pace,
    /// SplitShard, 5 a second.
    pub split: Pace,
    /// ListStreams, 5 a second.
    pub streams: Pace,
    /// DescribeAlarms, 9 a second.
    pub alarms: Pace,
    /// PutMetricAlarm, 3 a second.
    pub put_alarm: Pace,
    /// SetAlarmState, 3 a second.
    pub set_alarm: Pace,
}

impl Default for Paces {
    fn default() -> Self {
        let every = |milliseconds| Pace::new(Duration::from_millis(milliseconds));
        Self {
            describe: every(67),
            account: every(1_300),
            tags: every(270),
            set_tag: every(270),
            update: every(134),
            split: every(270),
            streams: every(270),
            alarms: every(150),
            put_alarm: every(440),
            set_alarm: every(440),
        }
    }
}

/// Turns that are a while apart; the first is at once.
#[derive(Debug)]
pub(super) struct Pace {
    every: Duration,
    /// Begun with the first turn, since a timer wants a runtime around it.
    turns: Mutex<Option<Interval>>,
}

impl Pace {
    fn new(every: Duration) -> Self {
        Self { every, turns: Mutex::new(None) }
    }

    /// Waits for a turn.
    pub async fn turn(&self) {
        let begin = || {
            let mut turns = interval(self.every);
            // A turn that nobody took is not made up for.
            turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
            turns
        };
        self.turns.lock().await.get_or_insert_with(begin).tick().await;
    }
}

#[cfg(test)]
mod tests;
