//! Tidegate's autoscaler, and what wakes it.

use super::{Check, FUNCTION, Found, STREAM, each, is_autoscaler};
use crate::deployment::{Deployment, Resource, text_at};
use crate::finding::Severity;

const PAGE: &str = "the page \"The autoscaler\" of this book";

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "autoscaler-no-heartbeat",
        severity: Severity::Error,
        happens: "An alarm acts when it changes its state and never again: a run that was missed or \
                  held leaves the stream throttled for as long as the alarm stays where it is.",
        remedy: "Call the function by a schedule too, every five minutes, with the input {}.",
        source: "CloudWatch User Guide, \"Alarm actions\"",
        look: no_heartbeat,
    },
    Check {
        id: "autoscaler-no-ledger",
        severity: Severity::Warning,
        happens: "Without a ledger nothing is known of earlier days, two runs at once are not kept \
                  apart, and the calls of a day stand in a tag alone.",
        remedy: "Set TIDEGATE_LEDGER_TABLE to a DynamoDB table with the key stream (S).",
        source: PAGE,
        look: no_ledger,
    },
    Check {
        id: "autoscaler-no-maximum",
        severity: Severity::Warning,
        happens: "A producer that runs wild is followed to ten thousand shards, some 110,000 dollars \
                  a month in us-east-1.",
        remedy: "Set TIDEGATE_MAX_SHARDS to what the bill may bear.",
        source: PAGE,
        look: no_maximum,
    },
    Check {
        id: "autoscaler-bounds-crossed",
        severity: Severity::Error,
        happens: "The function refuses to start: nobody looks after the stream.",
        remedy: "Set TIDEGATE_MIN_SHARDS to TIDEGATE_MAX_SHARDS or less.",
        source: PAGE,
        look: bounds_crossed,
    },
    Check {
        id: "autoscaler-above-quota",
        severity: Severity::Warning,
        happens: "The account may not have as many shards as the autoscaler may ask for: Kinesis \
                  refuses the call when it is needed most.",
        remedy: "Have the quota \"shards per Region\" raised, or lower TIDEGATE_MAX_SHARDS.",
        source: "Kinesis Data Streams Developer Guide, \"Quotas and limits\"",
        look: above_quota,
    },
    Check {
        id: "autoscaler-stream-on-demand",
        severity: Severity::Warning,
        happens: "A stream in on-demand mode scales itself and refuses UpdateShardCount: the \
                  autoscaler does nothing there.",
        remedy: "Put the stream into PROVISIONED mode, or take the autoscaler away; tidegate \
                 simulate compares the two.",
        source: "Kinesis Data Streams API reference, UpdateShardCount",
        look: stream_on_demand,
    },
    Check {
        id: "autoscaler-shards-outside-bounds",
        severity: Severity::Warning,
        happens: "The first run in active mode changes the stream at once, and the next deployment \
                  with another ShardCount changes it back: each a call of the ten of a day.",
        remedy: "Choose a ShardCount from TIDEGATE_MIN_SHARDS to TIDEGATE_MAX_SHARDS.",
        source: PAGE,
        look: shards_outside_bounds,
    },
];

fn autoscalers<'d>(
    deployment: &'d Deployment,
    seen: impl Fn(&'d Resource) -> Option<String>,
) -> Found<'d> {
    each(
        deployment,
        FUNCTION,
        |function| {
            if is_autoscaler(function) { seen(function) } else { None }
        },
    )
}

/// Whether a schedule calls a function.
pub(super) fn is_scheduled(deployment: &Deployment, function: &Resource) -> bool {
    let is = |arn: Option<&str>| arn.is_some_and(|arn| function.is_meant_by(arn));
    let by_rule = deployment
        .of("AWS::Events::Rule")
        .any(|rule| rule.items("Targets").iter().any(|target| is(text_at(target, "Arn").known())));
    let mut schedules = deployment.of("AWS::Scheduler::Schedule");
    by_rule || schedules.any(|schedule| is(schedule.text("Target.Arn").known()))
}

fn no_heartbeat(deployment: &Deployment) -> Found<'_> {
    autoscalers(deployment, |function| {
        // Where there is no template, who calls a function is not known.
        (function.policies.is_some() && !is_scheduled(deployment, function))
            .then(|| "no schedule calls it".to_owned())
    })
}

fn no_ledger(deployment: &Deployment) -> Found<'_> {
    autoscalers(deployment, |function| {
        function
            .variable("TIDEGATE_LEDGER_TABLE")
            .is_absent()
            .then(|| "TIDEGATE_LEDGER_TABLE is not set".to_owned())
    })
}

fn no_maximum(deployment: &Deployment) -> Found<'_> {
    autoscalers(deployment, |function| {
        function
            .variable("TIDEGATE_MAX_SHARDS")
            .is_absent()
            .then(|| "TIDEGATE_MAX_SHARDS is not set".to_owned())
    })
}

/// The fewest and the most shards, where they are known.
fn bounds(function: &Resource) -> Option<(f64, f64)> {
    let number = |name: &str, default: &'static str| -> Option<f64> {
        function.variable(name).or(default)?.parse().ok()
    };
    Some((number("TIDEGATE_MIN_SHARDS", "1")?, number("TIDEGATE_MAX_SHARDS", "10000")?))
}

fn bounds_crossed(deployment: &Deployment) -> Found<'_> {
    autoscalers(deployment, |function| {
        let (least, most) = bounds(function)?;
        (least > most).then(|| format!("at least {least} and at most {most} shards"))
    })
}

fn above_quota(deployment: &Deployment) -> Found<'_> {
    autoscalers(deployment, |function| {
        let account = deployment.of("Tidegate::Account").next()?;
        let count = |path| account.number(path).known();
        let (limit, open) = (count("ShardLimit")?, count("OpenShardCount")?);
        let own: f64 = deployment
            .of(STREAM)
            .filter_map(|stream| stream.number("OpenShardCount").known())
            .sum();
        let (_, most) = bounds(function)?;
        let left = limit - (open - own).max(0.0);
        (most > left).then(|| {
            format!("it may ask for {most} shards, and {left} of {limit} are left beside others")
        })
    })
}

/// The streams of the deployment that an autoscaler of it names.
fn served<'d>(deployment: &'d Deployment, function: &Resource) -> Vec<&'d Resource> {
    let names = function.variable("TIDEGATE_STREAMS").known().unwrap_or_default();
    let names = names.split(',').map(str::trim).filter(|name| !name.is_empty());
    names.filter_map(|name| deployment.target(name, STREAM)).collect()
}

fn stream_on_demand(deployment: &Deployment) -> Found<'_> {
    let functions = deployment.of(FUNCTION).filter(|function| is_autoscaler(function));
    let streams = functions.flat_map(|function| served(deployment, function));
    let on_demand = streams
        .filter(|stream| stream.text("StreamModeDetails.StreamMode").known() == Some("ON_DEMAND"));
    on_demand.map(|stream| (stream, "StreamMode is ON_DEMAND".to_owned())).collect()
}

fn shards_outside_bounds(deployment: &Deployment) -> Found<'_> {
    let mut found: Found<'_> = Vec::new();
    for function in deployment.of(FUNCTION).filter(|function| is_autoscaler(function)) {
        let Some((least, most)) = bounds(function).filter(|(least, most)| least <= most) else {
            continue;
        };
        for stream in served(deployment, function) {
            let Some(shards) = stream.number("ShardCount").known() else { continue };
            if !(least..=most).contains(&shards) {
                let what = format!("ShardCount is {shards}, the bounds are {least} and {most}");
                found.push((stream, what));
            }
        }
    }
    found
}
