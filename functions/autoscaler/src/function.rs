//! One invocation: which streams, a look at each, one log line and one set of metrics a decision.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::value::to_raw_value;
use tidegate_autoscaler::decision::{Action, Decision, Reason};
use tidegate_autoscaler::event::{self, Event, EventError, Look, Wake};
use tidegate_autoscaler::look::unseen;
use tidegate_autoscaler::port::{Clock, NoLedger, StreamService};
use tidegate_autoscaler::run::{self, Ports};
use tidegate_runtime::telemetry::{Unit, embedded_metrics};
use tidegate_runtime::{Function, FunctionError, Invocation, Level, Log, clock};

use crate::settings::Settings;

/// The time as everybody has it.
struct Wall;

impl Clock for Wall {
    fn now(&self) -> Timestamp {
        clock::now()
    }

    async fn sleep(&self, time: SignedDuration) {
        clock::sleep(time.unsigned_abs()).await;
    }
}

/// The autoscaler as a Lambda function.
pub struct Autoscaler<S> {
    /// What it is configured to do.
    pub settings: Settings,
    /// Kinesis and CloudWatch.
    pub service: S,
    /// Where its lines go.
    pub log: Arc<Log>,
}

impl<S: StreamService + 'static> Function for Autoscaler<S> {
    async fn invoke(&self, invocation: Invocation) -> Result<Vec<u8>, FunctionError> {
        let Event { wake, ignored } = event::parse(&invocation.body)
            .map_err(|error| FunctionError::new("EventNotUnderstood", &error))?;
        let looks = match wake {
            Wake::Streams(looks) => looks,
            Wake::Heartbeat => self.configured()?,
        };
        let mut answer = Vec::with_capacity(looks.len() + ignored.len());
        for look in looks {
            let decision = self.look(&look, invocation.deadline).await;
            self.tell(&decision);
            answer.push(to_raw_value(&decision));
        }
        for part in &ignored {
            self.log.event(Level::Info, "ignored", part);
            answer.push(to_raw_value(part));
        }
        let answer: Result<Vec<_>, _> = answer.into_iter().collect();
        answer
            .and_then(|answer| serde_json::to_vec(&answer))
            .map_err(|error| FunctionError::new("Answer", &error))
    }
}

impl<S: StreamService> Autoscaler<S> {
    fn configured(&self) -> Result<Vec<Look>, FunctionError> {
        if self.settings.streams.is_empty() {
            let error = EventError::Form(
                "{} asks for every configured stream, and TIDEGATE_STREAMS names none".to_owned(),
            );
            return Err(FunctionError::new("NoStreams", &error));
        }
        let look = |stream: &String| Look { stream: stream.clone(), alarm: None, muted_by: None };
        Ok(self.settings.streams.iter().map(look).collect())
    }

    async fn look(&self, look: &Look, deadline: Timestamp) -> Decision {
        let Settings { wishes, streams } = &self.settings;
        match &look.muted_by {
            Some(rule) => {
                let message = format!("holds: the alarm is muted by {rule}");
                unseen(&look.stream, wishes, Wall.now(), Reason::Muted, message)
            }
            None => {
                let ports = Ports {
                    service: &self.service,
                    ledger: None::<&NoLedger>,
                    clock: &Wall,
                    deadline,
                };
                let configured = streams.contains(&look.stream);
                run::run(ports, &look.stream, wishes, configured).await
            }
        }
    }

    /// The decision as one line, and its figures as metrics.
    fn tell(&self, decision: &Decision) {
        let level = if decision.reason.is_failure() { Level::Error } else { Level::Info };
        self.log.event(level, "decision", decision);
        let (Some(open), Some(target)) = (decision.open_shards, decision.target) else { return };
        let demand = decision.stages.iter().find(|stage| stage.stage == "demand");
        let mut metrics = vec![
            ("OpenShards", Unit::Count, f64::from(open)),
            ("DesiredShards", Unit::Count, f64::from(target)),
            ("CallsLeft", Unit::Count, f64::from(decision.calls_left)),
            ("Resized", Unit::Count, f64::from(u8::from(decision.action == Action::Resize))),
        ];
        if let Some(demand) = demand.and_then(|stage| stage.value) {
            metrics.push(("DemandShards", Unit::Count, demand));
        }
        let dimensions = [("StreamName", decision.stream.as_str())];
        let _ = self.log.line(&embedded_metrics(decision.at, &dimensions, &metrics));
    }
}
