//! Alarms.

use serde_json::Value;

use super::autoscaler::is_scheduled;
use super::{ALARM, Check, FUNCTION, Found, STREAM, each, is_autoscaler};
use crate::deployment::{Deployment, Resource, Setting, items_at, number_at, text_at};
use crate::finding::Severity;

const EVALUATION: &str = "CloudWatch User Guide, \"Alarm evaluation\"";
const MISSING: &str =
    "CloudWatch User Guide, \"Configuring how CloudWatch alarms treat missing data\"";

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "alarm-never-fires",
        severity: Severity::Error,
        happens: "It waits for more points than it looks at.",
        remedy: "Set DatapointsToAlarm to EvaluationPeriods or less.",
        source: EVALUATION,
        look: never_fires,
    },
    Check {
        id: "alarm-tells-nobody",
        severity: Severity::Warning,
        happens: "The alarm changes its colour, and nobody hears of it.",
        remedy: "Set AlarmActions to a topic that somebody is subscribed to (NotifyTopicArn in our \
                 templates).",
        source: "CloudWatch User Guide, \"Alarm actions\"",
        look: tells_nobody,
    },
    Check {
        id: "alarm-silenced",
        severity: Severity::Warning,
        happens: "ActionsEnabled is false: the alarm changes its colour, and calls nobody.",
        remedy: "Set ActionsEnabled: true, or use a mute rule, which ends by itself.",
        source: "CloudWatch API reference, PutMetricAlarm",
        look: silenced,
    },
    Check {
        id: "alarm-missing-data-undecided",
        severity: Severity::Warning,
        happens: "A metric that has points only when something goes wrong leaves the alarm in ALARM \
                  or INSUFFICIENT_DATA, from where it does not fire again.",
        remedy: "Set TreatMissingData: notBreaching, or breaching where silence is the fault.",
        source: MISSING,
        look: missing_data_undecided,
    },
    Check {
        id: "alarm-outage-shrinks-stream",
        severity: Severity::Error,
        happens: "Points that are missing count as low traffic: a gap in the metrics makes the \
                  stream smaller while records come in.",
        remedy: "Set TreatMissingData: notBreaching, and FILL(…, REPEAT) in place of FILL(…, 0).",
        source: MISSING,
        look: outage_shrinks_stream,
    },
    Check {
        id: "alarm-drifts-from-shards",
        severity: Severity::Warning,
        happens: "The threshold stands for one number of shards: after the next resize the alarm \
                  fires too early, or too late.",
        remedy: "Divide by the number of shards in a metric expression: Tidegate's metric \
                 OpenShards, or what TIDEGATE_ALARMS=manage maintains.",
        source: "the page \"The autoscaler\" of this book",
        look: drifts_from_shards,
    },
    Check {
        id: "alarm-drifted-from-shards",
        severity: Severity::Error,
        happens: "The expression divides by a number of shards that the stream no longer has: the \
                  alarm fires too early, or too late.",
        remedy: "Let the autoscaler maintain it (TIDEGATE_ALARMS=manage), or write the number that \
                 the stream has.",
        source: "the page \"The autoscaler\" of this book",
        look: drifted_from_shards,
    },
    Check {
        id: "alarm-cannot-fire-again",
        severity: Severity::Error,
        happens: "An alarm acts on a transition only: while the stream stays throttled after one \
                  step, the function that would take the next is not called again.",
        remedy: "Call the function by a schedule too, or set the alarm to OK after each step, as \
                 Tidegate's managed alarms are.",
        source: "CloudWatch User Guide, \"Alarm actions\"",
        look: cannot_fire_again,
    },
    Check {
        id: "alarm-may-not-call",
        severity: Severity::Error,
        happens: "Nothing lets the alarm call the function, so it never does.",
        remedy: "Add an AWS::Lambda::Permission with the principal \
                 lambda.alarms.cloudwatch.amazonaws.com, the SourceAccount and the alarm's ARN as \
                 SourceArn.",
        source: "CloudWatch User Guide, \"Invoke a Lambda function from an alarm\"",
        look: may_not_call,
    },
];

/// The metrics of an alarm, each with its namespace, name and dimensions.
fn metrics(alarm: &Resource) -> Vec<&Value> {
    let queries = items_at(&alarm.properties, "Metrics").iter();
    let mut all: Vec<_> = queries.filter_map(|query| query.pointer("/MetricStat/Metric")).collect();
    if alarm.properties["MetricName"].is_string() {
        all.push(&alarm.properties);
    }
    all
}

/// The values of the dimensions of an alarm's metrics.
pub(super) fn dimensions(alarm: &Resource) -> impl Iterator<Item = &str> {
    let all = metrics(alarm).into_iter().flat_map(|metric| items_at(metric, "Dimensions"));
    all.filter_map(|dimension| text_at(dimension, "Value").known())
}

/// Whether an alarm watches a metric of a service.
fn watches(alarm: &Resource, namespace: &str, names: &[&str]) -> bool {
    metrics(alarm).iter().any(|metric| {
        metric["Namespace"] == namespace && names.iter().any(|name| metric["MetricName"] == *name)
    })
}

/// What comes in, by the stream.
const TRAFFIC: [&str; 2] = ["IncomingBytes", "IncomingRecords"];

fn never_fires(deployment: &Deployment) -> Found<'_> {
    each(deployment, ALARM, |alarm| {
        let periods = alarm.number("EvaluationPeriods").known()?;
        let points = alarm.number("DatapointsToAlarm").or(periods)?;
        (points > periods || points < 1.0).then(|| format!("{points} of {periods} points"))
    })
}

fn tells_nobody(deployment: &Deployment) -> Found<'_> {
    each(deployment, ALARM, |alarm| {
        let all = ["AlarmActions", "OKActions", "InsufficientDataActions"];
        let nobody = |path| match alarm.value(path) {
            Setting::Unknown => false,
            _ => alarm.items(path).is_empty(),
        };
        // Alarms may also be picked up by EventBridge.
        let rules = deployment.of("AWS::Events::Rule").any(|rule| {
            items_at(&rule.properties, "EventPattern.source")
                .iter()
                .any(|source| source == "aws.cloudwatch")
        });
        // A composite alarm may stand for it.
        let composite = deployment.of("AWS::CloudWatch::CompositeAlarm").any(|composite| {
            let rule = composite.text("AlarmRule").known();
            let name = alarm.text("AlarmName").known().or(alarm.name.as_deref());
            let named = |rule: &str| name.is_some_and(|name| rule.contains(name));
            rule.is_some_and(|rule| rule.contains(&format!("${{{}", alarm.place)) || named(rule))
        });
        (all.into_iter().all(nobody) && !rules && !composite).then(|| "it has no action".to_owned())
    })
}

fn silenced(deployment: &Deployment) -> Found<'_> {
    each(deployment, ALARM, |alarm| {
        let on = alarm.truth("ActionsEnabled").or(true)?;
        (!on).then(|| "ActionsEnabled is false".to_owned())
    })
}

fn missing_data_undecided(deployment: &Deployment) -> Found<'_> {
    each(deployment, ALARM, |alarm| {
        let missing = alarm.text("TreatMissingData").or("missing")?;
        (missing == "missing" || missing.is_empty())
            .then(|| "TreatMissingData is missing".to_owned())
    })
}

fn outage_shrinks_stream(deployment: &Deployment) -> Found<'_> {
    each(deployment, ALARM, |alarm| {
        let below = alarm.text("ComparisonOperator").known()?.starts_with("LessThan");
        if !below || !watches(alarm, "AWS/Kinesis", &TRAFFIC) {
            return None;
        }
        if alarm.text("TreatMissingData").known() == Some("breaching") {
            return Some("missing points are breaching".to_owned());
        }
        let zeroed = expressions(alarm).find(|expression| {
            let plain: String = expression.chars().filter(|c| !c.is_whitespace()).collect();
            plain
                .split("FILL(")
                .skip(1)
                .any(|rest| rest.split(')').next().unwrap_or_default().ends_with(",0"))
        });
        zeroed.map(|expression| format!("missing points are zeros in {expression}"))
    })
}

fn expressions(alarm: &Resource) -> impl Iterator<Item = &str> {
    let queries = items_at(&alarm.properties, "Metrics").iter();
    queries.filter_map(|query| text_at(query, "Expression").known())
}

fn drifts_from_shards(deployment: &Deployment) -> Found<'_> {
    each(deployment, ALARM, |alarm| {
        let of_stream = watches(alarm, "AWS/Kinesis", &TRAFFIC);
        let by_shards = watches(alarm, "Tidegate", &["OpenShards"]);
        // In an account the number is compared with the stream's: see the next check.
        let maintained = alarm.policies.is_none() && divisor(alarm).is_some();
        // Silence, and not a share of what the shards take.
        let silence = alarm.number("Threshold").known().is_some_and(|threshold| threshold <= 0.0);
        (of_stream && !by_shards && !maintained && !silence)
            .then(|| "it watches traffic and knows no number of shards".to_owned())
    })
}

/// What the autoscaler's own alarms divide, without blanks.
const SHARES: &str = "MAX([bytes/PERIOD(bytes)/1048576,records/PERIOD(records)/1000])/";

/// The number of shards that an expression of the autoscaler's form divides by.
fn divisor(alarm: &Resource) -> Option<f64> {
    expressions(alarm).find_map(|expression| {
        let dense: String = expression.split_whitespace().collect();
        dense.strip_prefix(SHARES)?.parse().ok()
    })
}

fn drifted_from_shards(deployment: &Deployment) -> Found<'_> {
    each(deployment, ALARM, |alarm| {
        if !watches(alarm, "AWS/Kinesis", &TRAFFIC) {
            return None;
        }
        let written = divisor(alarm)?;
        let stream = dimensions(alarm).find_map(|name| deployment.target(name, STREAM))?;
        let open = number_at(&stream.properties, "OpenShardCount").known()?;
        ((written - open).abs() > f64::EPSILON)
            .then(|| format!("it divides by {written}, and {} has {open} shards", stream.place))
    })
}

/// The functions that an alarm calls.
fn called<'d>(deployment: &'d Deployment, alarm: &Resource) -> Option<&'d Resource> {
    let actions = alarm.items("AlarmActions").iter();
    actions
        .filter_map(|action| text_at(action, "").known())
        .find_map(|arn| deployment.target(arn, FUNCTION))
}

fn cannot_fire_again(deployment: &Deployment) -> Found<'_> {
    each(deployment, ALARM, |alarm| {
        let names = [TRAFFIC[0], TRAFFIC[1], "WriteProvisionedThroughputExceeded"];
        let function = called(deployment, alarm)?;
        // Tidegate's own has a check of its own.
        let lone = function.policies.is_some()
            && !is_scheduled(deployment, function)
            && !is_autoscaler(function);
        (lone && watches(alarm, "AWS/Kinesis", &names))
            .then(|| format!("nothing else calls {}", function.place))
    })
}

fn may_not_call(deployment: &Deployment) -> Found<'_> {
    each(deployment, ALARM, |alarm| {
        let function = called(deployment, alarm).filter(|function| function.policies.is_some())?;
        let lets = |permission: &Resource| {
            let of = permission.text("FunctionName").known();
            permission.text("Principal").known() == Some("lambda.alarms.cloudwatch.amazonaws.com")
                && of.is_some_and(|name| function.is_meant_by(name))
                && match permission.text("SourceArn") {
                    Setting::Known(arn) => alarm.is_meant_by(arn) || arn.contains('*'),
                    Setting::Absent | Setting::Unknown => true,
                }
        };
        (!deployment.of("AWS::Lambda::Permission").any(lets))
            .then(|| format!("it calls {}, which has no permission for it", function.place))
    })
}
