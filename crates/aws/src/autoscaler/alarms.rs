//! Alarms in CloudWatch: created once, and patched so that only the expression changes.

use aws_sdk_cloudwatch::types::{
    AlarmType, ComparisonOperator, MetricAlarm, MetricDataQuery, StateValue,
};
use jiff::Timestamp;
use tidegate_autoscaler::alarms::{AlarmChange, AlarmSeen, AlarmService, AlarmSpec, AlarmState};
use tidegate_autoscaler::port::{ServiceError, ServiceErrorKind};

use super::Aws;
use super::cloudwatch::query;
use super::errors::{service_error, unreadable};

/// Pages of alarms that are read at the most, of a hundred each.
const MAX_PAGES: usize = 200;

const DESCRIBE: &str = "DescribeAlarms";
const PUT: &str = "PutMetricAlarm";

impl AlarmService for Aws {
    async fn alarms(&self, prefix: &str) -> Result<Vec<AlarmSeen>, ServiceError> {
        let mut pages = self
            .cloudwatch
            .describe_alarms()
            .alarm_name_prefix(prefix)
            .alarm_types(AlarmType::MetricAlarm)
            .max_records(100)
            .into_paginator()
            .send();
        let mut all = Vec::new();
        for _ in 0..MAX_PAGES {
            self.paces.alarms.turn().await;
            let Some(page) = pages.next().await else { return Ok(all) };
            self.tally.add(DESCRIBE);
            let page = page.map_err(|error| service_error(DESCRIBE, &error))?;
            all.extend(page.metric_alarms().iter().filter_map(seen));
        }
        Err(unreadable(DESCRIBE, "it names more than 20,000 alarms"))
    }

    async fn change(&self, change: &AlarmChange) -> Result<(), ServiceError> {
        match change {
            // Somebody may have made it since it was looked for, and it is theirs then.
            AlarmChange::Create(spec) => match self.alarm(&spec.name).await? {
                Some(_) => Ok(()),
                None => self.create(spec).await,
            },
            AlarmChange::Patch { name, expression } => match self.alarm(name).await? {
                Some(alarm) => self.patch(alarm, expression).await,
                None => Err(refused("the alarm is gone")),
            },
            AlarmChange::Rearm { name } => self.rearm(name).await,
        }
    }
}

impl Aws {
    /// One alarm as it stands.
    async fn alarm(&self, name: &str) -> Result<Option<MetricAlarm>, ServiceError> {
        self.turn(DESCRIBE, &self.paces.alarms).await;
        let request = self.cloudwatch.describe_alarms().alarm_names(name);
        let answer = request
            .alarm_types(AlarmType::MetricAlarm)
            .send()
            .await
            .map_err(|error| service_error(DESCRIBE, &error))?;
        Ok(answer.metric_alarms.unwrap_or_default().into_iter().next())
    }

    async fn create(&self, spec: &AlarmSpec) -> Result<(), ServiceError> {
        let kind = spec.kind;
        let number =
            |n: u32| i32::try_from(n).map_err(|_| refused("a number of periods is out of range"));
        let (period, periods) = (number(kind.period_secs())?, number(kind.periods())?);
        let of = [("StreamName", spec.stream.as_str())];
        let watched = spec.expression.is_none();
        let mut queries: Vec<_> = kind
            .metrics()
            .iter()
            .map(|(id, metric)| query(id, metric, "Sum", period, &of).return_data(watched).build())
            .collect();
        if let Some(expression) = &spec.expression {
            let watched = MetricDataQuery::builder().id("utilization").label("Utilization");
            queries.insert(0, watched.expression(expression).return_data(true).build());
        }
        let operator = if kind.breaches_below() {
            ComparisonOperator::LessThanThreshold
        } else {
            ComparisonOperator::GreaterThanThreshold
        };
        self.turn(PUT, &self.paces.put_alarm).await;
        self.cloudwatch
            .put_metric_alarm()
            .alarm_name(&spec.name)
            .alarm_description(&spec.description)
            .set_alarm_actions(Some(spec.actions.clone()))
            .set_metrics(Some(queries))
            .evaluation_periods(periods)
            .datapoints_to_alarm(periods)
            .threshold(kind.threshold())
            .comparison_operator(operator)
            .treat_missing_data("notBreaching")
            .send()
            .await
            .map_err(|error| service_error(PUT, &error))?;
        Ok(())
    }

    /// Puts back everything that an alarm has, and the new expression. PutMetricAlarm leaves the
    /// tags of an alarm that exists as they are.
    async fn patch(&self, alarm: MetricAlarm, expression: &str) -> Result<(), ServiceError> {
        let metrics = with_expression(alarm.metrics, expression)
            .ok_or_else(|| refused("the alarm watches no expression any more"))?;
        self.turn(PUT, &self.paces.put_alarm).await;
        self.cloudwatch
            .put_metric_alarm()
            .set_alarm_name(alarm.alarm_name)
            .set_alarm_description(alarm.alarm_description)
            .set_actions_enabled(alarm.actions_enabled)
            .set_ok_actions(alarm.ok_actions)
            .set_alarm_actions(alarm.alarm_actions)
            .set_insufficient_data_actions(alarm.insufficient_data_actions)
            .set_evaluation_periods(alarm.evaluation_periods)
            .set_datapoints_to_alarm(alarm.datapoints_to_alarm)
            .set_threshold(alarm.threshold)
            .set_comparison_operator(alarm.comparison_operator)
            .set_treat_missing_data(alarm.treat_missing_data)
            .set_metrics(Some(metrics))
            .set_threshold_metric_id(alarm.threshold_metric_id)
            .set_evaluation_window(alarm.evaluation_window)
            .set_warm_up_configuration(alarm.warm_up_configuration)
            .set_action_configuration(alarm.action_configuration)
            .send()
            .await
            .map_err(|error| service_error(PUT, &error))?;
        Ok(())
    }

    async fn rearm(&self, name: &str) -> Result<(), ServiceError> {
        const OPERATION: &str = "SetAlarmState";
        self.turn(OPERATION, &self.paces.set_alarm).await;
        self.cloudwatch
            .set_alarm_state()
            .alarm_name(name)
            .state_value(StateValue::Ok)
            .state_reason("Tidegate looked at the stream; a breach that lasts shall wake it again")
            .send()
            .await
            .map_err(|error| service_error(OPERATION, &error))?;
        Ok(())
    }
}

fn refused(message: &str) -> ServiceError {
    ServiceError { operation: PUT, kind: ServiceErrorKind::Invalid, message: message.to_owned() }
}

/// An alarm in our words; `None` when it has no name or no state that we know.
fn seen(alarm: &MetricAlarm) -> Option<AlarmSeen> {
    let state = match alarm.state_value()? {
        StateValue::Ok => AlarmState::Ok,
        StateValue::Alarm => AlarmState::Alarm,
        StateValue::InsufficientData => AlarmState::InsufficientData,
        _ => return None,
    };
    let since = alarm.state_updated_timestamp().map(|at| Timestamp::from_second(at.secs()));
    let actions = [alarm.alarm_actions(), alarm.ok_actions(), alarm.insufficient_data_actions()];
    Some(AlarmSeen {
        name: alarm.alarm_name()?.to_owned(),
        state,
        state_since: since.and_then(Result::ok),
        expression: alarm.metrics().iter().find_map(expression).map(ToOwned::to_owned),
        actions: actions.concat(),
    })
}

/// The expression of a query that its alarm watches.
fn expression(query: &MetricDataQuery) -> Option<&str> {
    // What is returned is the default.
    query.expression().filter(|_| query.return_data() != Some(false))
}

fn with_expression(
    metrics: Option<Vec<MetricDataQuery>>,
    new: &str,
) -> Option<Vec<MetricDataQuery>> {
    let mut metrics = metrics?;
    let watched = metrics.iter_mut().find(|query| expression(query).is_some())?;
    watched.expression = Some(new.to_owned());
    Some(metrics)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queries(watched: Option<&str>) -> Vec<MetricDataQuery> {
        let of = [("StreamName", "orders")];
        let bytes = query("bytes", "IncomingBytes", "Sum", 60, &of);
        let mine = MetricDataQuery::builder().id("mine").expression("bytes * 2");
        let mut all = vec![bytes.return_data(watched.is_none()).build()];
        if let Some(watched) = watched {
            let builder = MetricDataQuery::builder().id("utilization").label("of the owner");
            all.push(mine.return_data(false).build());
            all.push(builder.expression(watched).build());
        }
        all
    }

    #[test]
    fn a_patch_changes_the_watched_expression_and_nothing_else() {
        let patched = with_expression(Some(queries(Some("bytes / 4"))), "bytes / 8");
        assert_eq!(patched, Some(queries(Some("bytes / 8"))));
        assert_eq!(with_expression(Some(queries(None)), "bytes / 8"), None);
        assert_eq!(with_expression(None, "bytes / 8"), None);
    }

    #[test]
    fn an_alarm_is_seen_in_our_words() {
        let alarm = MetricAlarm::builder()
            .alarm_name("tidegate-orders-high")
            .state_value(StateValue::Alarm)
            .state_updated_timestamp(aws_sdk_cloudwatch::primitives::DateTime::from_secs(60))
            .alarm_actions("arn:a")
            .ok_actions("arn:o")
            .set_metrics(Some(queries(Some("bytes / 4"))));
        let wanted = AlarmSeen {
            name: "tidegate-orders-high".to_owned(),
            state: AlarmState::Alarm,
            state_since: Timestamp::from_second(60).ok(),
            expression: Some("bytes / 4".to_owned()),
            actions: vec!["arn:a".to_owned(), "arn:o".to_owned()],
        };
        assert_eq!(seen(&alarm.clone().build()), Some(wanted));
        assert_eq!(seen(&alarm.clone().state_value(StateValue::from("NEW")).build()), None);
        let single = alarm.set_metrics(None).build();
        assert_eq!(seen(&single).map(|alarm| alarm.expression), Some(None));
    }
}
