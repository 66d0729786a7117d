//! One invocation: which streams, a look at each, one log line a decision, and metrics.

use std::sync::Arc;

use autoscaler::Settings;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::json;
use tidegate_autoscaler::alarms::{self, AlarmService, Stand};
use tidegate_autoscaler::decision::{Decision, Reason};
use tidegate_autoscaler::event::{self, Event, EventError, Look, Wake};
use tidegate_autoscaler::fleet::{self, Fleet, Summary};
use tidegate_autoscaler::look::unseen;
use tidegate_autoscaler::notice::NoticeService;
use tidegate_autoscaler::notice::desk::Desk;
use tidegate_autoscaler::port::{Clock, LedgerStore, StreamService};
use tidegate_autoscaler::run::{self, Ports};
use tidegate_autoscaler::shards::ShardService;
use tidegate_runtime::{Function, FunctionError, Invocation, Level, Log, clock};

use crate::figures::{self, Figures};
use crate::notices::{self, Notices};
use crate::upkeep;

/// The autoscaler as a Lambda function.
pub struct Autoscaler<S, L, N> {
    /// What it is configured to do.
    pub settings: Settings,
    /// Kinesis and CloudWatch.
    pub service: S,
    /// The ledger, when there is one.
    pub ledger: Option<L>,
    /// Who is told, when somebody is.
    pub notices: Option<Notices<N>>,
    /// Where its lines go.
    pub log: Arc<Log>,
}

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

/// What is kept of an invocation's time for its answer.
const ANSWER_TIME: SignedDuration = SignedDuration::from_secs(2);

/// Decisions beyond this many bytes stand in the log alone: Lambda takes six million of an answer
/// ("Lambda quotas", Lambda Developer Guide, 2026-11).
const ANSWER_BYTES: usize = 5 << 20;

/// What an invocation gathers while it decides.
#[derive(Default)]
struct Gathered {
    answer: Answer,
    stands: Vec<Stand>,
    desk: Option<Desk>,
}

impl<S, L, N> Function for Autoscaler<S, L, N>
where
    S: StreamService + ShardService + AlarmService + 'static,
    L: LedgerStore + 'static,
    N: NoticeService + Send + 'static,
{
    async fn invoke(&self, invocation: Invocation) -> Result<Vec<u8>, FunctionError> {
        let Event { wake, ignored } = event::parse(&invocation.body)
            .map_err(|error| FunctionError::new("EventNotUnderstood", &error))?;
        let mut gathered = Gathered::default();
        if let Some(notices) = &self.notices {
            gathered.desk = Some(notices.open(self.ledger.as_ref()).await);
        }
        let mut outcome = Ok(());
        match wake {
            Wake::Streams(looks) => {
                for look in looks {
                    let decision = self.look(&look, self.ports(invocation.deadline)).await;
                    outcome = outcome.and(self.tell(&decision, &mut gathered));
                }
            }
            Wake::Heartbeat => outcome = self.all(invocation.deadline, &mut gathered).await,
        }
        let Gathered { mut answer, stands, desk } = gathered;
        if let (Some(notices), Some(desk)) = (&self.notices, desk) {
            let until = invocation.deadline - ANSWER_TIME;
            notices.close(desk, self.ledger.as_ref(), &Wall, until, &self.log).await;
        }
        outcome?;
        if let Some(settings) = &self.settings.alarms {
            let until = invocation.deadline - ANSWER_TIME;
            let arn = &invocation.function_arn;
            let ports = (&self.service, &Wall);
            upkeep::keep(ports, &stands, settings, arn, until, &self.log).await;
        }
        for part in &ignored {
            self.log.event(Level::Info, "ignored", part);
            answer.add(part)?;
        }
        Ok(answer.finish())
    }
}

impl<S: StreamService + ShardService, L: LedgerStore, N> Autoscaler<S, L, N> {
    const fn ports(&self, deadline: Timestamp) -> Ports<'_, S, L, Wall> {
        Ports { service: &self.service, ledger: self.ledger.as_ref(), clock: &Wall, deadline }
    }

    async fn look(&self, look: &Look, ports: Ports<'_, S, L, Wall>) -> Decision {
        let Settings { wishes, streams, .. } = &self.settings;
        match &look.muted_by {
            Some(rule) => {
                let message = format!("holds: the alarm is muted by {rule}");
                unseen(&look.stream, wishes, ports.clock.now(), Reason::Muted, message)
            }
            None => run::run(ports, &look.stream, wishes, streams.contains(&look.stream)).await,
        }
    }

    /// Every stream that is configured or opted in.
    async fn all(&self, deadline: Timestamp, gathered: &mut Gathered) -> Result<(), FunctionError> {
        let Settings { wishes, streams, discover, .. } = &self.settings;
        if streams.is_empty() && !discover {
            let error = EventError::Form(
                "{} asks for every stream, TIDEGATE_STREAMS names none, and TIDEGATE_DISCOVER is \
                 off"
                .to_owned(),
            );
            return Err(FunctionError::new("NoStreams", &error));
        }
        let fleet = Fleet { wishes, configured: streams, discover: *discover };
        let mut figures = Figures::default();
        let mut failed = None;
        let kept = gathered.desk.as_ref().map_or(SignedDuration::ZERO, |_| notices::TIME);
        let ports = self.ports(deadline - ANSWER_TIME - kept);
        let summary = fleet::run(ports, fleet, &mut |decision| {
            figures.add(&decision);
            failed = self.tell(&decision, gathered).err().or(failed.take());
        })
        .await;
        self.sum_up(&summary, &figures);
        match (failed, summary.discovery_failed) {
            (Some(error), _) => Err(error),
            (None, Some(message)) => Err(FunctionError { kind: "Discovery", message }),
            (None, None) => Ok(()),
        }
    }

    /// How a stream stands whose alarms are the function's: those of a stream that is configured
    /// are its template's.
    fn stand(&self, decision: &Decision) -> Option<Stand> {
        let configured = self.settings.streams.contains(&decision.stream);
        if configured { None } else { alarms::stand(decision) }
    }

    /// The decision as one line, and the figures of a stream that is configured as metrics; and what
    /// follows from it at the end of the invocation.
    fn tell(&self, decision: &Decision, gathered: &mut Gathered) -> Result<(), FunctionError> {
        let level = if decision.reason.is_failure() { Level::Error } else { Level::Info };
        self.log.event(level, "decision", decision);
        if self.settings.streams.contains(&decision.stream) {
            let _ = self.log.line(&figures::of_stream(decision));
        }
        if let Some(desk) = &mut gathered.desk {
            desk.see(decision);
        }
        gathered.stands.extend(self.stand(decision));
        gathered.answer.add(decision)
    }

    /// A run over all streams as one line, and its figures as metrics.
    fn sum_up(&self, summary: &Summary, figures: &Figures) {
        let trouble = summary.left > 0 || summary.discovery_failed.is_some();
        self.log.event(if trouble { Level::Warn } else { Level::Info }, "run", summary);
        for document in figures.documents(summary, clock::now()) {
            let _ = self.log.line(&document);
        }
    }
}

/// The array of decisions that is answered.
#[derive(Default)]
struct Answer {
    bytes: Vec<u8>,
    left_out: usize,
}

impl Answer {
    fn add(&mut self, item: &impl Serialize) -> Result<(), FunctionError> {
        let text =
            serde_json::to_vec(item).map_err(|error| FunctionError::new("Answer", &error))?;
        if self.left_out > 0 || self.bytes.len() + text.len() > ANSWER_BYTES {
            self.left_out += 1;
            return Ok(());
        }
        self.bytes.push(if self.bytes.is_empty() { b'[' } else { b',' });
        self.bytes.extend(text);
        Ok(())
    }

    fn finish(mut self) -> Vec<u8> {
        if self.bytes.is_empty() {
            self.bytes.push(b'[');
        }
        if self.left_out > 0 {
            let rest = json!({"left_out": self.left_out, "message": "the log has all decisions"});
            self.bytes.extend(format!(",{rest}").bytes());
        }
        self.bytes.push(b']');
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_an_array_of_what_fits() {
        let parse = |answer: Answer| -> serde_json::Value {
            serde_json::from_slice(&answer.finish()).unwrap()
        };
        assert_eq!(parse(Answer::default()), json!([]));
        let mut answer = Answer::default();
        for _ in 0..3 {
            answer.add(&"a".repeat(ANSWER_BYTES / 3)).unwrap();
        }
        answer.add(&"small, and late").unwrap();
        let answer = parse(answer);
        assert_eq!(answer.as_array().unwrap().len(), 3);
        assert_eq!(answer[2]["left_out"], 2);
    }
}
