//! The alarms that the autoscaler makes itself, as CloudWatch keeps them: its port on the model.

use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tidegate_autoscaler::alarms::{
    AlarmChange, AlarmKind, AlarmSeen, AlarmService, AlarmSpec, AlarmState,
};
use tidegate_autoscaler::port::{ServiceError, ServiceErrorKind};

use crate::alarm::{Alarm, State, Watched};
use crate::cloud::Cloud;

/// All alarms of the account.
pub struct Alarms<'c> {
    cloud: &'c Mutex<Cloud>,
    standing: Mutex<Vec<Standing>>,
}

/// An alarm, and what belongs to it beside its evaluation.
#[derive(Debug, Clone)]
pub struct Standing {
    /// What is evaluated.
    pub alarm: Alarm,
    /// The expression as it was put.
    pub expression: Option<String>,
    /// What it calls in ALARM.
    pub actions: Vec<String>,
    /// For people.
    pub description: String,
    /// When its state changed.
    pub since: Timestamp,
}

/// An alarm that went to ALARM.
#[derive(Debug, Clone)]
pub struct Fired {
    /// Its name.
    pub name: String,
    /// What it calls.
    pub actions: Vec<String>,
    /// What it calls a function with.
    pub event: String,
}

impl<'c> Alarms<'c> {
    /// None yet.
    pub fn new(cloud: &'c Mutex<Cloud>) -> Self {
        Self { cloud, standing: Mutex::new(Vec::new()) }
    }

    /// All alarms, as their owner sees and changes them.
    pub fn standing(&self) -> MutexGuard<'_, Vec<Standing>> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Evaluates all of them once, and says which went to ALARM.
    pub fn evaluate(&self) -> Vec<Fired> {
        let cloud = self.cloud.lock().unwrap_or_else(PoisonError::into_inner);
        let mut fired = Vec::new();
        for standing in self.standing().iter_mut() {
            let Some(transition) = standing.alarm.evaluate(&cloud.metrics, cloud.now) else {
                continue;
            };
            standing.since = cloud.now;
            if transition.to == State::Alarm {
                fired.push(Fired {
                    name: standing.alarm.name.clone(),
                    actions: standing.actions.clone(),
                    event: standing.alarm.event(cloud.stream.name(), &transition).to_string(),
                });
            }
        }
        fired
    }

    fn now(&self) -> Timestamp {
        self.cloud.lock().unwrap_or_else(PoisonError::into_inner).now
    }
}

impl AlarmService for Alarms<'_> {
    async fn alarms(&self, prefix: &str) -> Result<Vec<AlarmSeen>, ServiceError> {
        let standing = self.standing();
        let ours = standing.iter().filter(|standing| standing.alarm.name.starts_with(prefix));
        let seen = ours.map(|standing| AlarmSeen {
            name: standing.alarm.name.clone(),
            state: match standing.alarm.state {
                State::Ok => AlarmState::Ok,
                State::Alarm => AlarmState::Alarm,
                State::InsufficientData => AlarmState::InsufficientData,
            },
            state_since: Some(standing.since),
            expression: standing.expression.clone(),
            actions: standing.actions.clone(),
        });
        Ok(seen.collect())
    }

    async fn change(&self, change: &AlarmChange) -> Result<(), ServiceError> {
        let now = self.now();
        let mut standing = self.standing();
        let known = standing.iter_mut().find(|standing| standing.alarm.name == change.name());
        match (change, known) {
            // Somebody was quicker, and it is theirs.
            (AlarmChange::Create(_), Some(_)) => {}
            (AlarmChange::Create(spec), None) => standing.push(made(spec, now)),
            (AlarmChange::Patch { expression, .. }, Some(known)) => {
                if let Watched::Share { shards, .. } = &mut known.alarm.watched {
                    *shards = divisor(expression);
                }
                known.expression = Some(expression.clone());
            }
            (AlarmChange::Rearm { .. }, Some(known)) => {
                (known.alarm.state, known.since) = (State::Ok, now);
            }
            (AlarmChange::Patch { name, .. } | AlarmChange::Rearm { name }, None) => {
                return Err(ServiceError {
                    operation: "SetAlarmState",
                    kind: ServiceErrorKind::NotFound,
                    message: format!("ResourceNotFound: there is no alarm {name}"),
                });
            }
        }
        Ok(())
    }
}

fn made(spec: &AlarmSpec, now: Timestamp) -> Standing {
    let kind = spec.kind;
    let periods = usize::try_from(kind.periods()).unwrap_or(1);
    let watched = match (&spec.expression, kind) {
        (Some(expression), AlarmKind::High | AlarmKind::Low) => Watched::Share {
            shards: divisor(expression),
            minutes: i64::from(kind.period_secs() / 60),
        },
        _ => Watched::Throttled,
    };
    let alarm = Alarm {
        name: spec.name.clone(),
        watched,
        threshold: kind.threshold(),
        below: kind.breaches_below(),
        evaluation_periods: periods,
        datapoints_to_alarm: periods,
        state: State::InsufficientData,
    };
    Standing {
        alarm,
        expression: spec.expression.clone(),
        actions: spec.actions.clone(),
        description: spec.description.clone(),
        since: now,
    }
}

/// The literal at the end of an expression.
fn divisor(expression: &str) -> f64 {
    let literal = expression.rsplit('/').next().unwrap_or_default();
    literal.trim().parse().unwrap_or(f64::NAN)
}
