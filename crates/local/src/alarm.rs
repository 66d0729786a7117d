//! CloudWatch alarms: evaluated every minute, acting on a transition and on nothing else ("Alarm
//! actions", CloudWatch User Guide, 2026-11).

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::fluid::SHARD_PER_SECOND;
use crate::metrics::{
    INCOMING_BYTES, INCOMING_RECORDS, Metrics, OPEN_SHARDS, WRITE_THROTTLED, minute_of,
};

/// The state of an alarm, in CloudWatch's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Not breaching.
    Ok,
    /// Breaching.
    Alarm,
    /// Not enough points to tell.
    InsufficientData,
}

impl State {
    const fn word(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Alarm => "ALARM",
            Self::InsufficientData => "INSUFFICIENT_DATA",
        }
    }
}

/// What an alarm looks at: the two that the template deploys, and those of the function.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Watched {
    /// `MAX([bytes, records]) / FILL(OpenShards, REPEAT)`: the share of the open shards in use.
    Utilization,
    /// `MAX([bytes, records]) / N`, over periods of so many minutes.
    Share {
        /// The literal that stands in the expression; not a number where it has none.
        shards: f64,
        /// The length of a period.
        minutes: i64,
    },
    /// Rejected records.
    Throttled,
}

/// One alarm.
#[derive(Debug, Clone)]
pub struct Alarm {
    /// Its name.
    pub name: String,
    /// What it looks at.
    pub watched: Watched,
    /// It breaches above this, or below.
    pub threshold: f64,
    /// Whether it breaches below.
    pub below: bool,
    /// Periods that are looked at, of a minute where nothing else is said.
    pub evaluation_periods: usize,
    /// Those of them that must breach.
    pub datapoints_to_alarm: usize,
    /// The state it is in.
    pub state: State,
}

/// The two alarms of the template, which say nothing yet.
pub fn deployed() -> [Alarm; 2] {
    let state = State::InsufficientData;
    [
        Alarm {
            name: "busy".to_owned(),
            watched: Watched::Utilization,
            threshold: 0.8,
            below: false,
            evaluation_periods: 10,
            datapoints_to_alarm: 1,
            state,
        },
        Alarm {
            name: "throttled".to_owned(),
            watched: Watched::Throttled,
            threshold: 0.0,
            below: false,
            evaluation_periods: 1,
            datapoints_to_alarm: 1,
            state,
        },
    ]
}

/// A change of an alarm's state.
#[derive(Debug, Clone, PartialEq)]
pub struct Transition {
    /// Before.
    pub from: State,
    /// After.
    pub to: State,
    /// When.
    pub at: Timestamp,
    /// The newest minutes that it rests on, newest first.
    pub datapoints: Vec<(Timestamp, f64)>,
}

impl Alarm {
    /// Evaluates the newest minutes, and reports a transition.
    pub fn evaluate(&mut self, metrics: &Metrics, now: Timestamp) -> Option<Transition> {
        let points = self.points(metrics, now);
        let newest: Vec<_> = points.into_iter().rev().take(self.evaluation_periods).collect();
        let breaches = |value: f64| {
            if self.below { value < self.threshold } else { value > self.threshold }
        };
        let breaching = newest.iter().filter(|(_, value)| breaches(*value)).count();
        let to = match (newest.is_empty(), self.watched) {
            // Missing points are treated as not breaching.
            (true, Watched::Throttled | Watched::Share { .. }) => State::Ok,
            (true, Watched::Utilization) => State::InsufficientData,
            (false, _) if breaching >= self.datapoints_to_alarm => State::Alarm,
            (false, _) => State::Ok,
        };
        let from = std::mem::replace(&mut self.state, to);
        (from != to).then_some(Transition { from, to, at: now, datapoints: newest })
    }

    /// The values of the minutes in range, oldest first.
    fn points(&self, metrics: &Metrics, now: Timestamp) -> BTreeMap<Timestamp, f64> {
        let length = if let Watched::Share { minutes, .. } = self.watched { minutes } else { 1 };
        let periods =
            i64::try_from(self.evaluation_periods).unwrap_or(i64::MAX).saturating_mul(length);
        // The range that is retrieved reaches a little further back than the periods evaluated, so
        // that late points still count.
        let from = minute_of(now) - SignedDuration::from_mins(periods.saturating_add(3));
        match self.watched {
            Watched::Throttled => metrics
                .visible(WRITE_THROTTLED, from, now, now)
                .map(|(at, reported)| (at, reported.sum))
                .collect(),
            Watched::Utilization => utilization(metrics, from, now),
            Watched::Share { shards, minutes } => {
                let mut share = used(metrics, from, now, minutes);
                share.values_mut().for_each(|used| *used /= shards);
                share
            }
        }
    }

    /// The event that a direct Lambda action is called with.
    pub fn event(&self, stream: &str, transition: &Transition) -> Value {
        let values: Vec<_> = transition.datapoints.iter().rev().map(|(_, value)| *value).collect();
        let reason_data = json!({"version": "1.0", "period": 60, "recentDatapoints": values,
            "threshold": self.threshold});
        let state =
            |state: State| json!({"value": state.word(), "timestamp": stamp(transition.at)});
        let mut now = state(transition.to);
        now["reason"] =
            json!(format!("{} of the newest minutes against {}", values.len(), self.threshold));
        now["reasonData"] = json!(reason_data.to_string());
        json!({
            "source": "aws.cloudwatch",
            "alarmArn": format!("arn:aws:cloudwatch:{}:{}:alarm:{}", crate::REGION, crate::ACCOUNT, self.name),
            "accountId": crate::ACCOUNT,
            "time": stamp(transition.at),
            "region": crate::REGION,
            "alarmData": {
                "alarmName": self.name,
                "state": now,
                "previousState": state(transition.from),
                "configuration": {"description": null, "metrics": self.queries(stream)},
            },
        })
    }

    fn queries(&self, stream: &str) -> Value {
        let query = |id: &str, (namespace, name): (&str, &str), returned: bool| {
            json!({"id": id, "returnData": returned, "metricStat": {"period": 60, "stat": "Sum",
                "metric": {"namespace": namespace, "name": name, "dimensions": {"StreamName": stream}}}})
        };
        match self.watched {
            Watched::Throttled => json!([query("throttled", WRITE_THROTTLED, true)]),
            Watched::Utilization => json!([
                {"id": "use", "expression": "MAX([b/60/1048576, r/60/1000]) / FILL(shards, REPEAT)",
                 "label": "Utilization", "returnData": true},
                query("b", INCOMING_BYTES, false),
                query("r", INCOMING_RECORDS, false),
                query("shards", OPEN_SHARDS, false),
            ]),
            Watched::Share { shards, .. } => json!([
                {"id": "utilization", "label": "Utilization", "returnData": true,
                 "expression": format!("MAX([bytes, records]) / {shards}")},
                query("bytes", INCOMING_BYTES, false),
                query("records", INCOMING_RECORDS, false),
            ]),
        }
    }
}

fn utilization(metrics: &Metrics, from: Timestamp, now: Timestamp) -> BTreeMap<Timestamp, f64> {
    let open: BTreeMap<_, _> = metrics
        .visible(OPEN_SHARDS, from, now, now)
        .map(|(at, reported)| (at, reported.maximum))
        .collect();
    used(metrics, from, now, 1)
        .into_iter()
        .filter_map(|(at, load)| {
            let (_, shards) = open.range(..=at).next_back()?;
            Some((at, load / shards))
        })
        .collect()
}

/// The larger of bytes and records in each period of so many minutes that is over, in shards.
fn used(
    metrics: &Metrics,
    from: Timestamp,
    now: Timestamp,
    minutes: i64,
) -> BTreeMap<Timestamp, f64> {
    let seconds = minutes * 60;
    let start = |at: Timestamp| {
        let second = at.as_second();
        Timestamp::from_second(second - second.rem_euclid(seconds)).unwrap_or(at)
    };
    let inputs =
        [(INCOMING_BYTES, SHARD_PER_SECOND.bytes), (INCOMING_RECORDS, SHARD_PER_SECOND.records)];
    let mut used: BTreeMap<Timestamp, f64> = BTreeMap::new();
    for (name, per_second) in inputs {
        let mut sums: BTreeMap<Timestamp, f64> = BTreeMap::new();
        for (at, reported) in metrics.visible(name, from, now, now) {
            *sums.entry(start(at)).or_default() += reported.sum;
        }
        for (at, sum) in sums {
            let shards = used.entry(at).or_default();
            *shards = shards
                .max(sum / 60.0 / per_second / f64::from(i32::try_from(minutes).unwrap_or(1)));
        }
    }
    used.retain(|at, _| *at + SignedDuration::from_secs(seconds) <= now);
    used
}

/// Alarm payloads write the offset without a colon.
fn stamp(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S.000+0000").to_string()
}

#[cfg(test)]
mod tests {
    use rand_pcg::Pcg64Mcg;

    use super::*;
    use crate::metrics::Delay;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(minute * 60).unwrap()
    }

    #[test]
    fn it_acts_on_transitions_only_and_wakes_the_autoscaler() {
        let mut metrics =
            Metrics::new(Delay::default(), SignedDuration::from_hours(9), Pcg64Mcg::new(1));
        let [mut alarm, _] = deployed();
        let mut heard = Vec::new();
        for minute in 0..30 {
            if minute % 5 == 0 {
                metrics.put(OPEN_SHARDS, at(minute), 2.0);
            }
            let records = if minute == 8 || minute == 9 { 110_000.0 } else { 50_000.0 };
            metrics.put(INCOMING_RECORDS, at(minute), records);
            if let Some(transition) = alarm.evaluate(&metrics, at(minute)) {
                heard.push((minute, transition.to));
                let event = alarm.event("orders", &transition).to_string();
                let event = tidegate_autoscaler::event::parse(event.as_bytes()).unwrap();
                if transition.to != State::Alarm {
                    assert_eq!(event.ignored.len(), 1);
                    continue;
                }
                let tidegate_autoscaler::event::Wake::Streams(looks) = event.wake else { panic!() };
                assert_eq!(looks[0].stream, "orders");
            }
        }
        let states: Vec<_> = heard.iter().map(|(_, state)| *state).collect();
        assert_eq!(states, [State::Ok, State::Alarm, State::Ok], "{heard:?}");
    }
}
