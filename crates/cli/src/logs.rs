//! The function's log lines in CloudWatch Logs.

use anyhow::{anyhow, bail};
use aws_sdk_cloudwatchlogs::Client;
use aws_sdk_cloudwatchlogs::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use jiff::Timestamp;
use tidegate_aws::Config;

use crate::aws;

/// Pages of events that are read at the most. A page holds up to 10,000 events or 1 MiB
/// ("FilterLogEvents", CloudWatch Logs API reference, 2026-11), and may be empty.
const MAX_PAGES: usize = 500;

/// Events that are kept at the most.
const MAX_EVENTS: usize = 100_000;

/// Which log group.
pub enum Group {
    /// By its name.
    Name(String),
    /// That of the autoscaler in a stack.
    Stack(String),
}

/// The lines with a stream's decisions since a moment.
pub fn decisions(group: Group, stream: &str, since: Timestamp) -> anyhow::Result<Vec<String>> {
    aws::block_on(async {
        let client = Client::new(Config::load().await.sdk());
        let name = match group {
            Group::Name(name) => name,
            Group::Stack(stack) => of_stack(&client, &stack).await?,
        };
        events(&client, &name, stream, since).await
    })
}

async fn events(
    client: &Client,
    group: &str,
    stream: &str,
    since: Timestamp,
) -> anyhow::Result<Vec<String>> {
    let pattern = format!("{{ $.event = \"decision\" && $.stream = \"{stream}\" }}");
    let mut pages = client
        .filter_log_events()
        .log_group_name(group)
        .filter_pattern(pattern)
        .start_time(since.as_millisecond())
        .into_paginator()
        .send();
    let mut lines = Vec::new();
    for _ in 0..MAX_PAGES {
        let Some(page) = pages.next().await else { return Ok(lines) };
        let page = page.map_err(|error| told("FilterLogEvents", &error))?;
        lines.extend(page.events().iter().filter_map(|event| event.message().map(str::to_owned)));
        if lines.len() >= MAX_EVENTS {
            break;
        }
    }
    crate::complain(
        "the log holds more than is read at once: the newest may be missing, so shorten --since",
    );
    Ok(lines)
}

/// The log group that the template made: of the stack itself, or of the autoscaler nested in it.
async fn of_stack(client: &Client, stack: &str) -> anyhow::Result<String> {
    let mut pages = client
        .describe_log_groups()
        .log_group_name_prefix(format!("{stack}-"))
        .into_paginator()
        .send();
    let mut found = Vec::new();
    for _ in 0..MAX_PAGES {
        let Some(page) = pages.next().await else { break };
        let page = page.map_err(|error| told("DescribeLogGroups", &error))?;
        let names = page.log_groups().iter().filter_map(|group| group.log_group_name());
        found.extend(names.filter(|name| is_of_stack(name, stack)).map(str::to_owned));
    }
    match found.as_slice() {
        [name] => Ok(name.clone()),
        [] => bail!(
            "no log group of the autoscaler was found for the stack {stack}: name it with \
             --log-group"
        ),
        several => bail!(
            "the stack {stack} may have several log groups: name one with --log-group, of {}",
            several.join(", ")
        ),
    }
}

/// CloudFormation names it STACK-LogGroup-…, and nested ones STACK-Autoscaler-…-LogGroup-….
fn is_of_stack(name: &str, stack: &str) -> bool {
    let Some(rest) = name.strip_prefix(stack).and_then(|rest| rest.strip_prefix('-')) else {
        return false;
    };
    match rest.strip_prefix("Autoscaler-") {
        Some(rest) => rest.split_once('-').is_some_and(|(_, rest)| rest.starts_with("LogGroup-")),
        None => rest.starts_with("LogGroup-"),
    }
}

/// What AWS said.
fn told<E, R>(operation: &'static str, error: &SdkError<E, R>) -> anyhow::Error
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    R: std::fmt::Debug,
{
    match (error.code(), error.message()) {
        (Some(code), Some(message)) => anyhow!("{operation}: {code}: {message}"),
        _ => anyhow!("{operation}: {}", DisplayErrorContext(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_group_of_a_stack_is_recognised() {
        for (name, expected) in [
            ("tidegate-Autoscaler-1ABC-LogGroup-XyZ", true),
            ("tidegate-LogGroup-XyZ", true),
            ("tidegate-Consumer-1ABC-LogGroup-XyZ", false),
            ("tidegate-other-LogGroup-XyZ", false),
            ("tidegater-LogGroup-XyZ", false),
        ] {
            assert_eq!(is_of_stack(name, "tidegate"), expected, "{name}");
        }
    }
}
