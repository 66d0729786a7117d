//! The functions that records pass through.

use serde_json::Value;

use super::{Check, FUNCTION, Found, LOG_GROUP, each, function_of, readers, stream_of};
use crate::checks::{DELIVERY, MAPPING, is_autoscaler};
use crate::deployment::{Deployment, Resource, Setting, is_unknown};
use crate::finding::Severity;

/// Identifiers of runtimes that Lambda no longer patches ("Lambda runtimes", Lambda Developer Guide,
/// 2026-11), by how they begin.
const RETIRED: [&str; 17] = [
    "dotnet6",
    "dotnetcore",
    "go1.x",
    "java8",
    "nodejs10",
    "nodejs12",
    "nodejs14",
    "nodejs16",
    "nodejs18",
    "python2.7",
    "python3.6",
    "python3.7",
    "python3.8",
    "python3.9",
    "ruby2.5",
    "ruby2.7",
    "ruby3.2",
];

/// Parts of the names that people give to secrets.
const SECRETIVE: [&str; 6] = ["PASSWORD", "PASSWD", "SECRET", "TOKEN", "APIKEY", "API_KEY"];

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "function-default-timeout",
        severity: Severity::Warning,
        happens: "Three seconds are Lambda's default: a batch that meets one slow call times out as \
                  a whole and comes again.",
        remedy: "Set Timeout to what the slowest batch needs, a minute to begin with.",
        source: "Lambda Developer Guide, \"Configure Lambda function timeout\"",
        look: default_timeout,
    },
    Check {
        id: "function-small-memory",
        severity: Severity::Note,
        happens: "128 MB, Lambda's default, bring a fourteenth of a processor; a 6 MB event and its \
                  answer hardly fit.",
        remedy: "Set MemorySize to 512: what a batch costs hardly changes, since it ends earlier.",
        source: "Lambda Developer Guide, \"Configure Lambda function memory\"",
        look: small_memory,
    },
    Check {
        id: "function-x86",
        severity: Severity::Note,
        happens: "A millisecond on x86_64 costs a quarter more than one on arm64.",
        remedy: "Set Architectures: [arm64] if the code can be built for it.",
        source: "AWS Lambda Pricing",
        look: x86,
    },
    Check {
        id: "function-retired-runtime",
        severity: Severity::Warning,
        happens: "The runtime gets no security patches any more, and its functions can no longer be \
                  updated some time later.",
        remedy: "Move to a runtime that is supported; for Rust and Go, provided.al2023.",
        source: "Lambda Developer Guide, \"Lambda runtimes\" (deprecation policy)",
        look: retired_runtime,
    },
    Check {
        id: "function-dead-letters-unused",
        severity: Severity::Warning,
        happens: "A dead-letter queue or an on-failure destination of the function serves \
                  asynchronous calls alone: a batch of a stream that fails never goes there.",
        remedy: "Set DestinationConfig.OnFailure on the event source mapping, and take the other \
                 away.",
        source: "Lambda Developer Guide, \"Capturing records of Lambda asynchronous invocations\"",
        look: dead_letters_unused,
    },
    Check {
        id: "function-too-few-at-once",
        severity: Severity::Error,
        happens: "Lambda reads as many batches at once as there are shards, times the \
                  parallelization: with fewer executions reserved, batches are throttled and their \
                  shards fall behind.",
        remedy: "Reserve at least the shards that the stream may have, times \
                 ParallelizationFactor, or reserve nothing.",
        source: "Lambda Developer Guide, \"Configuring reserved concurrency\"",
        look: too_few_at_once,
    },
    Check {
        id: "function-secret-in-environment",
        severity: Severity::Error,
        happens: "Whoever may read the template or the function's configuration reads the secret.",
        remedy: "Keep it in Secrets Manager and name it there, or take it from a parameter with \
                 NoEcho: true.",
        source: "Lambda Developer Guide, \"Securing environment variables\"",
        look: secret_in_environment,
    },
    Check {
        id: "function-log-group-unmanaged",
        severity: Severity::Warning,
        happens: "Lambda makes the log group when it first needs one: it keeps every line for ever, \
                  at a price, and stays when the stack goes.",
        remedy: "Add a log group with RetentionInDays and name it in LoggingConfig.LogGroup.",
        source: "Lambda Developer Guide, \"Configuring CloudWatch log groups\"",
        look: log_group_unmanaged,
    },
];

/// Functions that a stream or Firehose calls, and the autoscaler.
fn in_the_path(deployment: &Deployment) -> Vec<&Resource> {
    let mut all: Vec<_> =
        readers(deployment).filter_map(|mapping| function_of(deployment, mapping)).collect();
    for delivery in deployment.of(DELIVERY) {
        let arns = super::delivery::lambda_arns(delivery);
        all.extend(arns.filter_map(|arn| deployment.target(arn, FUNCTION)));
    }
    all.extend(deployment.of(FUNCTION).filter(|function| is_autoscaler(function)));
    all.sort_by(|a, b| a.place.cmp(&b.place));
    all.dedup_by(|a, b| a.place == b.place);
    all
}

fn each_in_the_path<'d>(
    deployment: &'d Deployment,
    seen: impl Fn(&'d Resource) -> Option<String>,
) -> Found<'d> {
    let all = in_the_path(deployment).into_iter();
    all.filter_map(|function| Some((function, seen(function)?))).collect()
}

fn default_timeout(deployment: &Deployment) -> Found<'_> {
    each_in_the_path(deployment, |function| {
        let seconds = function.number("Timeout").or(3.0)?;
        (seconds <= 3.0).then(|| format!("it has {seconds} s"))
    })
}

fn small_memory(deployment: &Deployment) -> Found<'_> {
    each_in_the_path(deployment, |function| {
        let size = function.number("MemorySize").or(128.0)?;
        (size <= 128.0).then(|| format!("it has {size} MB"))
    })
}

fn x86(deployment: &Deployment) -> Found<'_> {
    each_in_the_path(deployment, |function| {
        let known = function.value("Architectures") != Setting::Unknown;
        let arm = function.items("Architectures").iter().any(|name| name == "arm64");
        let unknown = function
            .items("Architectures")
            .iter()
            .any(|name| name.as_str().is_some_and(is_unknown));
        (known && !arm && !unknown).then(|| "Architectures is x86_64".to_owned())
    })
}

fn retired_runtime(deployment: &Deployment) -> Found<'_> {
    each(deployment, FUNCTION, |function| {
        let runtime = function.text("Runtime").known()?;
        let retired = RETIRED.iter().any(|begin| runtime.starts_with(begin))
            && !runtime.starts_with("java8.al2");
        let first = runtime == "provided" || runtime == "provided.al2";
        (retired || first).then(|| format!("Runtime is {runtime}"))
    })
}

fn dead_letters_unused(deployment: &Deployment) -> Found<'_> {
    let invoked = |function: &Resource| {
        deployment.of("AWS::Lambda::EventInvokeConfig").any(|config| {
            let of = config.text("FunctionName").known();
            !config.value("DestinationConfig.OnFailure").is_absent()
                && of.is_some_and(|name| function.is_meant_by(name))
        })
    };
    let mut found: Found<'_> = Vec::new();
    for mapping in readers(deployment) {
        let Some(function) = function_of(deployment, mapping) else { continue };
        let queue = !function.value("DeadLetterConfig").is_absent();
        if queue || invoked(function) {
            let what = if queue { "DeadLetterConfig" } else { "EventInvokeConfig" };
            found.push((function, format!("{what} is set, and {} reads a stream", mapping.place)));
        }
    }
    found.dedup_by(|(a, _), (b, _)| a.place == b.place);
    found
}

fn too_few_at_once(deployment: &Deployment) -> Found<'_> {
    let most = deployment.of(FUNCTION).filter(|function| is_autoscaler(function));
    let most = most.filter_map(|f| f.variable("TIDEGATE_MAX_SHARDS").known()?.parse().ok());
    let most = most.fold(0.0, f64::max);
    let mut found: Found<'_> = Vec::new();
    for mapping in readers(deployment) {
        let Some(function) = function_of(deployment, mapping) else { continue };
        let Some(at_once) = function.number("ReservedConcurrentExecutions").known() else {
            continue;
        };
        let stream = stream_of(deployment, mapping);
        let shards = stream.and_then(|stream| stream.number("ShardCount").or(1.0));
        let shards = shards.unwrap_or(1.0).max(most);
        let factor = mapping.number("ParallelizationFactor").or(1.0).unwrap_or(1.0);
        if at_once < shards * factor {
            let what = format!(
                "{at_once} reserved, {shards} shards at most with {factor} batches at once each"
            );
            found.push((function, what));
        }
    }
    found
}

fn secret_in_environment(deployment: &Deployment) -> Found<'_> {
    each(deployment, FUNCTION, |function| {
        let variables = function.properties.pointer("/Environment/Variables")?.as_object()?;
        let secret = |(name, value): &(&String, &Value)| {
            let name = name.to_uppercase();
            let text = value.as_str().unwrap_or_default();
            // A name of a secret, or a place where it is kept, is none.
            let elsewhere = text.contains("${")
                || text.contains("{{resolve:")
                || text.starts_with("arn:")
                || ["_ARN", "_NAME", "_ID", "_PATH"].iter().any(|end| name.ends_with(end));
            let ours = name == "TIDEGATE_SINK_AUTHORIZATION";
            let named = ours || SECRETIVE.iter().any(|part| name.contains(part));
            named && !text.is_empty() && !elsewhere
        };
        let (name, _) = variables.iter().find(secret)?;
        Some(format!("{name} is set to a value that everybody sees"))
    })
}

fn log_group_unmanaged(deployment: &Deployment) -> Found<'_> {
    each_in_the_path(deployment, |function| {
        let named = !function.value("LoggingConfig.LogGroup").is_absent();
        let own = deployment.of(LOG_GROUP).any(|group| {
            let name = group.text("LogGroupName").known().or(group.name.as_deref());
            let of = name.and_then(|name| name.strip_prefix("/aws/lambda/"));
            of.is_some_and(|name| function.is_meant_by(name))
        });
        // Where there is no template, nobody knows who made a group.
        let made_here = function.policies.is_some();
        (made_here && !named && !own).then(|| "it has no log group of its own".to_owned())
    })
}

/// The mappings of streams that call a function; used by the checks on its settings.
pub(super) fn reads_a_stream(deployment: &Deployment, function: &Resource) -> bool {
    deployment
        .of(MAPPING)
        .filter_map(|mapping| mapping.text("FunctionName").known())
        .any(|name| function.is_meant_by(name))
}
