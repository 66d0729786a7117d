//! Tidegate: the production decision, woken by the heartbeat and the two alarms of the template.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use rand_pcg::Pcg64Mcg;
use tidegate_autoscaler::demand::demand_of;
use tidegate_autoscaler::history::{self, History};
use tidegate_autoscaler::hot::SeenShards;
use tidegate_autoscaler::ledger::REMEMBERED;
use tidegate_autoscaler::look::LOOK_BACK;
use tidegate_autoscaler::observation::{self, Capacity, Description, Observation, Status};
use tidegate_autoscaler::shards::Layout;
use tidegate_autoscaler::{Mode, Policy as Rules, decide};

use super::Settings;
use super::model::{Kind, Minute};
use super::policy::{Change, Policy, Seen};
use crate::alarm::{self, Alarm, State};
use crate::metrics::{
    Delay, INCOMING_BYTES, INCOMING_RECORDS, Metrics, OPEN_SHARDS, WRITE_THROTTLED,
};

/// The model's delay: a minute is visible at the start of the second minute after it began.
const DELAY: Delay =
    Delay { least: SignedDuration::from_secs(60), most: SignedDuration::from_secs(60), gaps: 0.0 };

/// What the alarms look at is not older than this.
const ALARMS_KEEP: SignedDuration = SignedDuration::from_hours(1);

const MINUTE: SignedDuration = SignedDuration::from_mins(1);

/// The engine with all that it knows.
pub struct Tidegate {
    heartbeat_minutes: usize,
    rules: Rules,
    alarms: [Alarm; 2],
    metrics: Metrics,
    observation: Observation,
    history: History,
    split_fallback: bool,
    /// Minutes that were taken over from what is visible.
    known: usize,
}

impl Tidegate {
    /// With its owner's policy.
    pub fn new(settings: Settings, rules: Rules) -> Self {
        let description =
            Description { status: Status::Active, capacity: Capacity::Provisioned, open_shards: 1 };
        Self {
            heartbeat_minutes: settings.heartbeat_minutes.max(1),
            rules,
            alarms: alarm::deployed(),
            metrics: Metrics::new(DELAY, ALARMS_KEEP, Pcg64Mcg::new(0)),
            observation: Observation {
                stream: "simulated".to_owned(),
                description,
                account: None,
                paused: false,
                minutes: BTreeMap::new(),
                shards: SeenShards::default(),
                absurd_points: 0,
            },
            history: History::default(),
            split_fallback: settings.split_fallback,
            known: 0,
        }
    }

    /// Takes over the minutes that have become visible, and forgets the oldest.
    fn learn(&mut self, seen: &Seen<'_>) {
        let age = i64::try_from(seen.minute - self.known).unwrap_or(0);
        let mut at = seen.now - SignedDuration::from_mins(age);
        for minute in &seen.visible[self.known..] {
            let points = points(minute);
            self.publish(at, &points);
            let peak = self.history.blocks.entry(history::block_of(at)).or_default();
            *peak = demand_of(&points).max(*peak);
            self.observation.minutes.insert(at, points);
            at += MINUTE;
        }
        self.known = seen.visible.len();
        forget(&mut self.observation.minutes, seen.now - LOOK_BACK);
        forget(&mut self.history.blocks, seen.now - REMEMBERED);
    }

    /// Gives the alarms a minute. The metrics keep it back for the model's delay, so it comes to
    /// them as it comes to everybody.
    fn publish(&mut self, at: Timestamp, points: &observation::Minute) {
        for (name, value) in [
            (INCOMING_BYTES, points.bytes),
            (INCOMING_RECORDS, points.records),
            (WRITE_THROTTLED, points.rejected),
        ] {
            #[expect(clippy::cast_precision_loss, reason = "a metric")]
            self.metrics.put(name, at, value.unwrap_or(0) as f64);
        }
    }

    /// The shards of the model are even. A complete split is only decided on where they are known.
    fn know_shards(&mut self, open: u32) {
        let known = self.observation.shards.layout.as_ref().map(Layout::count);
        if self.split_fallback && known != Some(open) {
            self.observation.shards.layout = Some(Layout::even(open));
        }
    }

    /// Whether an alarm or the heartbeat wakes the function.
    fn is_woken(&mut self, seen: &Seen<'_>) -> bool {
        let mut woken = seen.minute.is_multiple_of(self.heartbeat_minutes);
        for alarm in &mut self.alarms {
            let transition = alarm.evaluate(&self.metrics, seen.now);
            woken |= transition.is_some_and(|transition| transition.to == State::Alarm);
        }
        woken
    }
}

impl Policy for Tidegate {
    fn look(&mut self, seen: &Seen<'_>) -> Option<Change> {
        self.learn(seen);
        if !self.is_woken(seen) {
            return None;
        }
        let updating = seen.reshard.is_some();
        self.observation.description.status =
            if updating { Status::Updating } else { Status::Active };
        self.observation.description.open_shards = seen.open;
        self.metrics.put(OPEN_SHARDS, seen.now, f64::from(seen.open));
        self.know_shards(seen.open);
        let decision =
            decide(&self.observation, &self.rules, &self.history, Mode::Active, seen.now);
        let shards = &self.history.shards;
        self.history.shards = shards.with(self.observation.shards.layout.as_ref(), &decision);
        let (to, kind) = match (decision.plan(), decision.complete) {
            (Some(plan), _) => {
                // As the function does: the call is written down before it is made.
                self.history.calls = self.history.calls.with(seen.now);
                (plan.to, Kind::Update)
            }
            (None, Some(plan)) => (plan.to, Kind::Split),
            (None, None) => return None,
        };
        Some(Change { to, kind, reason: decision.reason.code(), message: decision.message })
    }
}

/// A minute as CloudWatch shows it. The model's consumers are never behind.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a volume of a minute is not negative and fits"
)]
fn points(minute: &Minute) -> observation::Minute {
    let accepted = minute.rate.times(60.0);
    let share = 1.0 - minute.throttled;
    let rejected = if share > 0.0 { accepted.records / share * minute.throttled } else { 0.0 };
    observation::Minute {
        bytes: Some(accepted.bytes.round() as u64),
        records: Some(accepted.records.round() as u64),
        rejected: Some(rejected.round() as u64),
        iterator_age_ms: Some(0),
        read_bytes: None,
    }
}

fn forget<T>(kept: &mut BTreeMap<Timestamp, T>, before: Timestamp) {
    while kept.first_key_value().is_some_and(|(oldest, _)| *oldest < before) {
        kept.pop_first();
    }
}
