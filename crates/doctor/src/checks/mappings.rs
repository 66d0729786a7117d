//! What a mapping of Lambda makes of batches that fail.

use super::{Check, Found, QUEUE, TOPIC, each_reader, function_of, is_autoscaler, stream_of};
use crate::checks::{ALARM, FUNCTION, readers};
use crate::deployment::{Deployment, Setting, at, text_at};
use crate::finding::Severity;

/// Hours that a stream keeps a record unless told otherwise.
pub(super) const RETENTION_HOURS_DEFAULT: f64 = 24.0;

/// An answer of 6,291,556 bytes, in base64, less the fields around a record.
const EVENT_RECORD_KIB: f64 = 4_500.0;

/// What a call to another service takes at the least; a handler that makes one for each record,
/// one after another, takes as long.
const CALL_MILLIS: f64 = 5.0;

const PARAMETERS: &str =
    "Lambda Developer Guide, \"Configuring Kinesis event source mappings\" (parameters)";
const RETRIES: &str = "Lambda Developer Guide, \"Configuring partial batch response with Kinesis\"";

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "mapping-no-partial-response",
        severity: Severity::Error,
        happens: "Lambda takes an answer that names failed records for a success of the whole \
                  batch: the records after the failed one are never seen again.",
        remedy: "Set FunctionResponseTypes: [ReportBatchItemFailures].",
        source: RETRIES,
        look: no_partial_response,
    },
    Check {
        id: "mapping-no-destination",
        severity: Severity::Error,
        happens: "When the attempts or the age of a record are spent, Lambda drops it and says so \
                  nowhere.",
        remedy: "Set DestinationConfig.OnFailure.Destination to an S3 bucket, which keeps the \
                 records with their payload.",
        source: "Lambda Developer Guide, \"Retaining discarded batch records\" (Kinesis)",
        look: no_destination,
    },
    Check {
        id: "mapping-destination-without-payload",
        severity: Severity::Warning,
        happens: "A queue or a topic is told where in the stream a record was, not what was in it: \
                  once the stream's retention has passed, it cannot be had again.",
        remedy: "Use an S3 bucket as DestinationConfig.OnFailure.Destination, or fetch the records \
                 within the retention.",
        source: "Lambda Developer Guide, \"Retaining discarded batch records\" (Kinesis)",
        look: destination_without_payload,
    },
    Check {
        id: "mapping-no-bisect",
        severity: Severity::Warning,
        happens: "A record that crashes the function takes its whole batch to the destination with \
                  it.",
        remedy: "Set BisectBatchOnFunctionError: true; halves do not count as attempts.",
        source: PARAMETERS,
        look: no_bisect,
    },
    Check {
        id: "mapping-retries-forever",
        severity: Severity::Error,
        happens: "Neither attempts nor age have a limit: one record that always fails stops its \
                  shard until the stream forgets it, and then records behind it are lost too.",
        remedy: "Set MaximumRecordAgeInSeconds well below the stream's retention, or \
                 MaximumRetryAttempts.",
        source: PARAMETERS,
        look: retries_forever,
    },
    Check {
        id: "mapping-age-above-retention",
        severity: Severity::Error,
        happens: "The stream forgets a record before Lambda gives it up, so it never reaches the \
                  destination.",
        remedy: "Set MaximumRecordAgeInSeconds well below the stream's retention: half of it.",
        source: PARAMETERS,
        look: age_above_retention,
    },
    Check {
        id: "mapping-few-attempts",
        severity: Severity::Warning,
        happens: "A dependency that is away for a few seconds is enough to have good records given \
                  up.",
        remedy: "Leave MaximumRetryAttempts at -1 and limit the age instead, or allow ten attempts.",
        source: PARAMETERS,
        look: few_attempts,
    },
    Check {
        id: "mapping-parallel-aggregates",
        severity: Severity::Warning,
        happens: "Aggregates of the Kinesis Producer Library all carry the same outer key, so that \
                  parallel batches share none of them, while one of a single record goes another \
                  way: the order of its key is lost.",
        remedy: "Set ParallelizationFactor to 1, and use TIDEGATE_LANES to handle records at the \
                 same time. If no producer aggregates, say so in an Ignore.",
        source: "Lambda Developer Guide, \"Using Lambda with Kinesis\"; amazon-kinesis-producer, \
                 aggregation-format.md",
        look: parallel_aggregates,
    },
    Check {
        id: "mapping-filter-drops-records",
        severity: Severity::Error,
        happens: "Where a filter has a JSON pattern for data, Lambda drops every record that is \
                  not JSON, aggregated and compressed ones included, without a count: exactly the \
                  records that a quarantine is for.",
        remedy: "Filter in the function, where a skipped record is counted, or on the metadata \
                 alone.",
        source: "Lambda Developer Guide, \"Control which events Lambda sends\" (filtering)",
        look: filter_drops_records,
    },
    Check {
        id: "mapping-batch-against-timeout",
        severity: Severity::Warning,
        happens: "A full batch has less than 5 ms for each record before the function times out; a \
                  timeout fails the whole batch, and without progress it comes again.",
        remedy: "Raise the function's Timeout or lower BatchSize, unless the handler takes the \
                 records of a batch together.",
        source: PARAMETERS,
        look: batch_against_timeout,
    },
    Check {
        id: "mapping-record-above-event",
        severity: Severity::Error,
        happens: "An event holds 6 MB, and base64 adds a third: a record above about 4.4 MiB never \
                  reaches the function, however often it is tried.",
        remedy: "Set the stream's MaxRecordSizeInKiB to 4500 or less, or have producers put large \
                 payloads into S3 and send a reference.",
        source: "Kinesis Data Streams Developer Guide, \"Handle large records\"; Lambda quotas",
        look: record_above_event,
    },
    Check {
        id: "mapping-disabled",
        severity: Severity::Warning,
        happens: "Nobody reads the stream here, and records expire unread.",
        remedy: "Set Enabled: true, or delete the mapping.",
        source: PARAMETERS,
        look: disabled,
    },
    Check {
        id: "mapping-starts-late",
        severity: Severity::Warning,
        happens: "LATEST misses what is written while the mapping is being made or changed, which \
                  takes minutes.",
        remedy: "Use StartingPosition: TRIM_HORIZON.",
        source: "Lambda Developer Guide, \"Polling and batching streams\"",
        look: starts_late,
    },
    Check {
        id: "mapping-window-and-resharding",
        severity: Severity::Warning,
        happens: "A tumbling window ends with its shard: each time that the autoscaler changes the \
                  number of shards, windows close early and their children begin with no state.",
        remedy: "Aggregate over a key in a table instead, or let the stream keep its shards.",
        source: "Lambda Developer Guide, \"Tumbling windows\" (Kinesis)",
        look: window_and_resharding,
    },
    Check {
        id: "mapping-not-watched",
        severity: Severity::Warning,
        happens: "Nobody is told when the function falls behind, and records that are older than \
                  the retention are lost.",
        remedy: "Add an alarm on IteratorAge (AWS/Lambda) of the function, at a fraction of the \
                 retention.",
        source: "Lambda Developer Guide, \"Monitoring Kinesis event sources\"",
        look: not_watched,
    },
];

fn no_partial_response(deployment: &Deployment) -> Found<'_> {
    each_reader(deployment, |mapping| match mapping.value("FunctionResponseTypes") {
        Setting::Unknown => None,
        _ => {
            let reported = mapping.items("FunctionResponseTypes");
            let reports = reported.iter().any(|kind| kind == "ReportBatchItemFailures");
            (!reports).then(|| "FunctionResponseTypes has no ReportBatchItemFailures".to_owned())
        }
    })
}

const DESTINATION: &str = "DestinationConfig.OnFailure.Destination";

fn no_destination(deployment: &Deployment) -> Found<'_> {
    each_reader(deployment, |mapping| {
        let absent = matches!(mapping.text(DESTINATION), Setting::Absent | Setting::Known(""));
        absent.then(|| "DestinationConfig.OnFailure is not there".to_owned())
    })
}

fn destination_without_payload(deployment: &Deployment) -> Found<'_> {
    each_reader(deployment, |mapping| {
        let arn = mapping.text(DESTINATION).known()?;
        let told = [(":sqs:", QUEUE, "a queue"), (":sns:", TOPIC, "a topic")];
        let is = |part: &str, kind| arn.contains(part) || deployment.target(arn, kind).is_some();
        let (_, _, what) = told.into_iter().find(|(part, kind, _)| is(part, kind))?;
        Some(format!("the destination is {what}"))
    })
}

fn no_bisect(deployment: &Deployment) -> Found<'_> {
    each_reader(deployment, |mapping| {
        let whole = mapping.truth("BisectBatchOnFunctionError").or(false) == Some(false);
        // A batch of one has no halves.
        let one = mapping.number("BatchSize").or(100.0) == Some(1.0);
        (whole && !one).then(|| "BisectBatchOnFunctionError is not true".to_owned())
    })
}

fn retries_forever(deployment: &Deployment) -> Found<'_> {
    each_reader(deployment, |mapping| {
        let endless = |path| mapping.number(path).or(-1.0).is_some_and(|limit| limit < 0.0);
        (endless("MaximumRetryAttempts") && endless("MaximumRecordAgeInSeconds"))
            .then(|| "MaximumRetryAttempts and MaximumRecordAgeInSeconds are both -1".to_owned())
    })
}

fn age_above_retention(deployment: &Deployment) -> Found<'_> {
    each_reader(deployment, |mapping| {
        let age = mapping.number("MaximumRecordAgeInSeconds").known().filter(|age| *age > 0.0)?;
        let stream = stream_of(deployment, mapping)?;
        let hours = stream.number("RetentionPeriodHours").or(RETENTION_HOURS_DEFAULT)?;
        (age >= hours * 3_600.0).then(|| {
            format!("records are given up after {age} s, and {} keeps them {hours} h", stream.place)
        })
    })
}

fn few_attempts(deployment: &Deployment) -> Found<'_> {
    each_reader(deployment, |mapping| {
        let attempts = mapping.number("MaximumRetryAttempts").known()?;
        (0.0..3.0).contains(&attempts).then(|| format!("MaximumRetryAttempts is {attempts}"))
    })
}

fn parallel_aggregates(deployment: &Deployment) -> Found<'_> {
    each_reader(deployment, |mapping| {
        let factor = mapping.number("ParallelizationFactor").known()?;
        (factor > 1.0).then(|| format!("ParallelizationFactor is {factor}"))
    })
}

fn filter_drops_records(deployment: &Deployment) -> Found<'_> {
    each_reader(deployment, |mapping| {
        let patterns = mapping.items("FilterCriteria.Filters").iter();
        let drops = |pattern: &str| {
            let pattern: serde_json::Value = serde_json::from_str(pattern).unwrap_or_default();
            matches!(at(&pattern, "data"), Setting::Known(data) if data.is_object())
        };
        let mut patterns = patterns.filter_map(|filter| text_at(filter, "Pattern").known());
        let pattern = patterns.find(|pattern| drops(pattern))?;
        Some(format!("{pattern} is a filter"))
    })
}

fn batch_against_timeout(deployment: &Deployment) -> Found<'_> {
    each_reader(deployment, |mapping| {
        let batch = mapping.number("BatchSize").or(100.0)?;
        let seconds = function_of(deployment, mapping)?.number("Timeout").or(3.0)?;
        (seconds * 1_000.0 < batch * CALL_MILLIS)
            .then(|| format!("BatchSize is {batch}, and the function has {seconds} s"))
    })
}

fn record_above_event(deployment: &Deployment) -> Found<'_> {
    each_reader(deployment, |mapping| {
        let stream = stream_of(deployment, mapping)?;
        let limit = stream.number("MaxRecordSizeInKiB").or(1_024.0)?;
        (limit > EVENT_RECORD_KIB).then(|| format!("{} takes records of {limit} KiB", stream.place))
    })
}

fn disabled(deployment: &Deployment) -> Found<'_> {
    each_reader(deployment, |mapping| {
        let enabled = mapping.truth("Enabled").or(true)?;
        (!enabled).then(|| "Enabled is false".to_owned())
    })
}

fn starts_late(deployment: &Deployment) -> Found<'_> {
    each_reader(deployment, |mapping| {
        let position = mapping.text("StartingPosition").known()?;
        (position == "LATEST").then(|| "StartingPosition is LATEST".to_owned())
    })
}

fn window_and_resharding(deployment: &Deployment) -> Found<'_> {
    let reshards = deployment.of(FUNCTION).any(is_autoscaler);
    each_reader(deployment, |mapping| {
        let seconds = mapping.number("TumblingWindowInSeconds").known()?;
        (reshards && seconds > 0.0).then(|| format!("TumblingWindowInSeconds is {seconds}"))
    })
}

fn not_watched(deployment: &Deployment) -> Found<'_> {
    let watched = |metric: &str, of: &str| {
        deployment.of(ALARM).any(|alarm| {
            alarm.properties.to_string().contains(&format!("\"{metric}\""))
                && super::alarms::dimensions(alarm).any(|value| value == of)
        })
    };
    let found = readers(deployment).filter(|mapping| {
        let Some(function) = mapping.text("FunctionName").known() else { return false };
        let mut names = vec![function.to_owned()];
        if let Some(function) = function_of(deployment, mapping) {
            names.push(format!("${{{}}}", function.place));
            names.extend(function.name.clone());
        }
        let stream = stream_of(deployment, mapping);
        let streams = stream.map(|stream| format!("${{{}}}", stream.place));
        let mut streams = streams.into_iter().chain(stream.and_then(|stream| stream.name.clone()));
        let by_function = names.iter().any(|name| watched("IteratorAge", name));
        !by_function && !streams.any(|name| watched("GetRecords.IteratorAgeMilliseconds", &name))
    });
    found.map(|mapping| (mapping, "no alarm watches its iterator age".to_owned())).collect()
}
