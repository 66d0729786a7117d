//! Firehose, and the function that it has records transformed by.

use serde_json::Value;

use super::{ALARM, Check, DELIVERY, FUNCTION, Found, each};
use crate::deployment::{Deployment, Resource, Setting, items_at, number_at, text_at, truth_at};
use crate::finding::Severity;

/// Raw bytes that a request of Firehose may gather so that the answer, longer by fields and base64,
/// stays under 6,291,556 bytes.
const BUFFER_MB: f64 = 2.0;

/// The same for envelopes of CloudWatch Logs, which are compressed twentyfold.
const ENVELOPE_BUFFER_MB: f64 = 0.5;

/// Seconds after which Firehose gives up an invocation.
const INVOCATION_SECONDS: f64 = 300.0;

const TRANSFORM: &str = "Data Firehose Developer Guide, \"Transform source data\"";
const PREFIXES: &str = "Data Firehose Developer Guide, \"Custom prefixes for S3 objects\"";
const CONVERSION: &str = "Data Firehose Developer Guide, \"Convert input data format\"";
const PARTITIONING: &str = "Data Firehose Developer Guide, \"Dynamic partitioning\"";

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "delivery-buffer-above-response",
        severity: Severity::Error,
        happens: "The answer of a batch becomes larger than the 6,291,556 bytes that Lambda allows: \
                  the invocation fails, is tried again, and the whole batch ends under the error \
                  prefix.",
        remedy: "Set the processor's BufferSizeInMBs to 1, or 0.2 for envelopes of CloudWatch Logs.",
        source: TRANSFORM,
        look: buffer_above_response,
    },
    Check {
        id: "delivery-timeout-above-firehose",
        severity: Severity::Warning,
        happens: "Firehose gives up an invocation after five minutes and calls again, while the \
                  first still runs and is paid for.",
        remedy: "Set the function's Timeout to 300 or less.",
        source: TRANSFORM,
        look: timeout_above_firehose,
    },
    Check {
        id: "delivery-function-unversioned",
        severity: Severity::Warning,
        happens: "A batch that is tried again meets other code after a deployment, and a bad \
                  deployment cannot be taken back by moving an alias.",
        remedy: "Name an alias or a version in LambdaArn (AutoPublishAlias in SAM).",
        source: TRANSFORM,
        look: function_unversioned,
    },
    Check {
        id: "delivery-no-attempts",
        severity: Severity::Warning,
        happens: "One throttled or failed invocation sends its whole batch to the error prefix.",
        remedy: "Set the processor's NumberOfRetries to 3, the default.",
        source: TRANSFORM,
        look: no_attempts,
    },
    Check {
        id: "delivery-no-error-prefix",
        severity: Severity::Warning,
        happens: "Records that could not be transformed or converted land beside the data, where a \
                  query over the table meets them.",
        remedy: "Set ErrorOutputPrefix to errors/!{firehose:error-output-type}/ and a time.",
        source: PREFIXES,
        look: no_error_prefix,
    },
    Check {
        id: "delivery-error-prefix-without-type",
        severity: Severity::Error,
        happens: "Firehose refuses an ErrorOutputPrefix that has expressions and lacks the type of \
                  the error, so that the deployment fails.",
        remedy: "Add !{firehose:error-output-type} to it.",
        source: PREFIXES,
        look: error_prefix_without_type,
    },
    Check {
        id: "delivery-errors-in-data",
        severity: Severity::Warning,
        happens: "The error prefix lies below the prefix of the data: a query over the table reads \
                  the failed records too.",
        remedy: "Begin the two with different folders: data/ and errors/.",
        source: PREFIXES,
        look: errors_in_data,
    },
    Check {
        id: "delivery-no-source-backup",
        severity: Severity::Warning,
        happens: "What the function drops or changes by mistake is gone: nothing keeps the records \
                  as they came.",
        remedy: "Set S3BackupMode: Enabled with a bucket and a prefix of its own. It cannot be \
                 turned off again, and stores everything twice.",
        source: TRANSFORM,
        look: no_source_backup,
    },
    Check {
        id: "delivery-no-error-log",
        severity: Severity::Warning,
        happens: "Why a record was not delivered is said nowhere.",
        remedy: "Set CloudWatchLoggingOptions: Enabled: true, with a log group and a log stream.",
        source: "Data Firehose Developer Guide, \"Monitor Data Firehose using CloudWatch Logs\"",
        look: no_error_log,
    },
    Check {
        id: "delivery-conversion-refused",
        severity: Severity::Error,
        happens: "Firehose refuses to convert records where the objects are compressed once more or \
                  the buffer is below 64 MB, so that the deployment fails.",
        remedy: "Set CompressionFormat: UNCOMPRESSED and SizeInMBs to 64 or more.",
        source: CONVERSION,
        look: conversion_refused,
    },
    Check {
        id: "delivery-partitions-missing",
        severity: Severity::Error,
        happens: "A prefix takes partition keys that dynamic partitioning would bring, and it is \
                  off: Firehose refuses the deployment.",
        remedy: "Set DynamicPartitioningConfiguration: {Enabled: true} when the delivery stream is \
                 made; it cannot be turned on later.",
        source: PARTITIONING,
        look: partitions_missing,
    },
    Check {
        id: "delivery-partitions-unused",
        severity: Severity::Warning,
        happens: "Dynamic partitioning is paid for by the GB, and the prefix uses no key.",
        remedy: "Use !{partitionKeyFromLambda:NAME} or !{partitionKeyFromQuery:NAME} in Prefix, or \
                 turn it off, which takes a new delivery stream.",
        source: PARTITIONING,
        look: partitions_unused,
    },
    Check {
        id: "delivery-two-newlines",
        severity: Severity::Warning,
        happens: "The function ends each record with a newline, and Firehose adds another: half of \
                  the lines are empty.",
        remedy: "Take the processor AppendDelimiterToRecord away.",
        source: TRANSFORM,
        look: two_newlines,
    },
    Check {
        id: "delivery-small-objects",
        severity: Severity::Note,
        happens: "Many small objects: requests cost more than storage, and each query opens \
                  thousands.",
        remedy: "Set BufferingHints to 64 MB and 300 s or more, unless the data is wanted at once.",
        source: "Data Firehose Developer Guide, \"Buffering hints\"",
        look: small_objects,
    },
    Check {
        id: "delivery-unencrypted",
        severity: Severity::Warning,
        happens: "Records that are put directly wait in Firehose as they were sent.",
        remedy: "Set DeliveryStreamEncryptionConfigurationInput: {KeyType: AWS_OWNED_CMK}.",
        source: "Data Firehose Developer Guide, \"Server-side encryption\"",
        look: unencrypted,
    },
    Check {
        id: "delivery-not-watched",
        severity: Severity::Warning,
        happens: "Nobody is told when delivery stands still, and a source forgets records within a \
                  day.",
        remedy: "Add an alarm on DeliveryToS3.DataFreshness (AWS/Firehose) of the delivery stream.",
        source: "Data Firehose Developer Guide, \"Monitoring with CloudWatch metrics\"",
        look: not_watched,
    },
];

/// Where delivery streams write to.
const DESTINATIONS: [&str; 8] = [
    "ExtendedS3DestinationConfiguration",
    "IcebergDestinationConfiguration",
    "HttpEndpointDestinationConfiguration",
    "SplunkDestinationConfiguration",
    "AmazonopensearchserviceDestinationConfiguration",
    "AmazonOpenSearchServerlessDestinationConfiguration",
    "RedshiftDestinationConfiguration",
    "SnowflakeDestinationConfiguration",
];

/// The destination of a delivery stream.
fn destination(delivery: &Resource) -> &Value {
    let mut all = DESTINATIONS.iter().map(|name| &delivery.properties[*name]);
    all.find(|value| value.is_object()).unwrap_or(&Value::Null)
}

/// Its destination, where it is a bucket.
fn bucket(delivery: &Resource) -> &Value {
    &delivery.properties[DESTINATIONS[0]]
}

fn processors(delivery: &Resource) -> &[Value] {
    let processing = &destination(delivery)["ProcessingConfiguration"];
    // What is switched off by a value that nobody knows is off as far as anybody knows.
    let on = truth_at(processing, "Enabled").or(false) == Some(true);
    if on { items_at(processing, "Processors") } else { &[] }
}

/// The processors that are functions.
fn lambdas(delivery: &Resource) -> impl Iterator<Item = &Value> {
    processors(delivery).iter().filter(|processor| processor["Type"] == "Lambda")
}

/// A parameter of a processor.
fn parameter<'v>(processor: &'v Value, name: &str) -> Option<&'v Value> {
    items_at(processor, "Parameters").iter().find(|one| one["ParameterName"] == name)
}

/// The functions that a delivery stream calls, by their ARNs or references.
pub(super) fn lambda_arns(delivery: &Resource) -> impl Iterator<Item = &str> {
    lambdas(delivery)
        .filter_map(|processor| parameter(processor, "LambdaArn"))
        .filter_map(|parameter| text_at(parameter, "ParameterValue").known())
}

/// The functions themselves, where they are in the deployment.
fn functions<'d>(
    deployment: &'d Deployment,
    delivery: &'d Resource,
) -> impl Iterator<Item = &'d Resource> {
    lambda_arns(delivery).filter_map(move |arn| deployment.target(arn, FUNCTION))
}

fn buffer_above_response(deployment: &Deployment) -> Found<'_> {
    each(deployment, DELIVERY, |delivery| {
        let opens = processors(delivery).iter().any(|one| one["Type"] == "Decompression");
        let envelopes = |function: &Resource| {
            let pipeline = function.variable("TIDEGATE_PIPELINE").known();
            pipeline.is_some_and(|pipeline| pipeline.contains("cloudwatch-logs"))
        };
        let tight = opens || functions(deployment, delivery).any(envelopes);
        let limit = if tight { ENVELOPE_BUFFER_MB } else { BUFFER_MB };
        let sizes = lambdas(delivery).filter_map(|one| parameter(one, "BufferSizeInMBs"));
        let mut sizes = sizes.filter_map(|one| number_at(one, "ParameterValue").known());
        let size = sizes.find(|size| *size > limit)?;
        Some(format!("BufferSizeInMBs is {size}, above {limit}"))
    })
}

fn timeout_above_firehose(deployment: &Deployment) -> Found<'_> {
    let deliveries = deployment.of(DELIVERY);
    let called = deliveries.flat_map(|delivery| functions(deployment, delivery));
    let slow = called.filter_map(|function| {
        let seconds = function.number("Timeout").known()?;
        (seconds > INVOCATION_SECONDS).then(|| (function, format!("Timeout is {seconds} s")))
    });
    slow.collect()
}

fn function_unversioned(deployment: &Deployment) -> Found<'_> {
    each(deployment, DELIVERY, |delivery| {
        let bare = |arn: &&str| match arn.strip_prefix("arn:") {
            // arn:partition:lambda:region:account:function:name:version
            Some(_) => {
                let version = arn.split(':').nth(7);
                arn.contains(":function:") && version.is_none_or(|version| version == "$LATEST")
            }
            None => arn.starts_with("${") && arn.ends_with(".Arn}"),
        };
        let arn = lambda_arns(delivery).find(bare)?;
        Some(format!("LambdaArn is {arn}"))
    })
}

fn no_attempts(deployment: &Deployment) -> Found<'_> {
    each(deployment, DELIVERY, |delivery| {
        let attempts = lambdas(delivery).filter_map(|one| parameter(one, "NumberOfRetries"));
        let mut none =
            attempts.filter(|attempts| number_at(attempts, "ParameterValue").known() == Some(0.0));
        none.next().map(|_| "NumberOfRetries is 0".to_owned())
    })
}

fn no_error_prefix(deployment: &Deployment) -> Found<'_> {
    each(deployment, DELIVERY, |delivery| {
        let bucket = bucket(delivery);
        let none =
            matches!(text_at(bucket, "ErrorOutputPrefix"), Setting::Absent | Setting::Known(""));
        (bucket.is_object() && none).then(|| "ErrorOutputPrefix is not there".to_owned())
    })
}

fn error_prefix_without_type(deployment: &Deployment) -> Found<'_> {
    each(deployment, DELIVERY, |delivery| {
        let prefix = text_at(bucket(delivery), "ErrorOutputPrefix").known()?;
        (prefix.contains("!{") && !prefix.contains("!{firehose:error-output-type}"))
            .then(|| format!("ErrorOutputPrefix is {prefix}"))
    })
}

fn errors_in_data(deployment: &Deployment) -> Found<'_> {
    each(deployment, DELIVERY, |delivery| {
        // The folder in which all data is: what stands before the first expression, up to a slash.
        let folder = |prefix: &str| {
            let fixed = prefix.split("!{").next().unwrap_or_default();
            fixed.rfind('/').map_or("", |end| &fixed[..=end]).to_owned()
        };
        let data = text_at(bucket(delivery), "Prefix").known().map(folder)?;
        let errors = text_at(bucket(delivery), "ErrorOutputPrefix").known()?;
        (!errors.is_empty() && errors.starts_with(&data))
            .then(|| format!("{errors} lies in the folder of the data, {data:?}"))
    })
}

fn no_source_backup(deployment: &Deployment) -> Found<'_> {
    each(deployment, DELIVERY, |delivery| {
        lambdas(delivery).next()?;
        let mode = text_at(bucket(delivery), "S3BackupMode").or("Disabled")?;
        (bucket(delivery).is_object() && mode == "Disabled")
            .then(|| "S3BackupMode is Disabled".to_owned())
    })
}

fn no_error_log(deployment: &Deployment) -> Found<'_> {
    each(deployment, DELIVERY, |delivery| {
        let on = truth_at(destination(delivery), "CloudWatchLoggingOptions.Enabled").or(false)?;
        (destination(delivery).is_object() && !on)
            .then(|| "CloudWatchLoggingOptions is not enabled".to_owned())
    })
}

fn conversion_refused(deployment: &Deployment) -> Found<'_> {
    each(deployment, DELIVERY, |delivery| {
        let bucket = bucket(delivery);
        truth_at(bucket, "DataFormatConversionConfiguration.Enabled").known().filter(|on| *on)?;
        let format = text_at(bucket, "CompressionFormat").or("UNCOMPRESSED")?;
        if format != "UNCOMPRESSED" {
            return Some(format!("CompressionFormat is {format}"));
        }
        let size = number_at(bucket, "BufferingHints.SizeInMBs").or(128.0)?;
        (size < 64.0).then(|| format!("SizeInMBs is {size}"))
    })
}

/// Whether partitioning is on, and whether the prefix has keys for it.
fn partitions(delivery: &Resource) -> Option<(bool, bool)> {
    let bucket = bucket(delivery);
    let on = truth_at(bucket, "DynamicPartitioningConfiguration.Enabled").or(false)?;
    let prefix = text_at(bucket, "Prefix").or("")?;
    Some((on, prefix.contains("!{partitionKeyFrom")))
}

fn partitions_missing(deployment: &Deployment) -> Found<'_> {
    each(deployment, DELIVERY, |delivery| {
        (partitions(delivery)? == (false, true)).then(|| {
            "Prefix has partition keys, and DynamicPartitioningConfiguration is off".to_owned()
        })
    })
}

fn partitions_unused(deployment: &Deployment) -> Found<'_> {
    each(deployment, DELIVERY, |delivery| {
        (partitions(delivery)? == (true, false)).then(|| "Prefix has no partition key".to_owned())
    })
}

fn two_newlines(deployment: &Deployment) -> Found<'_> {
    each(deployment, DELIVERY, |delivery| {
        let appends =
            processors(delivery).iter().any(|one| one["Type"] == "AppendDelimiterToRecord");
        let ours = |function: &Resource| function.has_variable(&["TIDEGATE_PIPELINE"]);
        (appends && functions(deployment, delivery).any(ours))
            .then(|| "AppendDelimiterToRecord stands beside Tidegate's transform".to_owned())
    })
}

fn small_objects(deployment: &Deployment) -> Found<'_> {
    each(deployment, DELIVERY, |delivery| {
        let bucket = bucket(delivery);
        bucket.is_object().then_some(())?;
        let size = number_at(bucket, "BufferingHints.SizeInMBs").or(5.0)?;
        let seconds = number_at(bucket, "BufferingHints.IntervalInSeconds").or(300.0)?;
        (size < 5.0 || seconds < 60.0).then(|| format!("an object every {size} MB or {seconds} s"))
    })
}

fn unencrypted(deployment: &Deployment) -> Found<'_> {
    each(deployment, DELIVERY, |delivery| {
        let source = delivery.text("DeliveryStreamType").or("DirectPut")?;
        (source == "DirectPut"
            && delivery.value("DeliveryStreamEncryptionConfigurationInput").is_absent())
        .then(|| "DeliveryStreamEncryptionConfigurationInput is not there".to_owned())
    })
}

fn not_watched(deployment: &Deployment) -> Found<'_> {
    each(deployment, DELIVERY, |delivery| {
        let watches = |alarm: &Resource| {
            alarm.properties.to_string().contains("DataFreshness")
                && super::alarms::dimensions(alarm).any(|value| delivery.is_meant_by(value))
        };
        (bucket(delivery).is_object() && !deployment.of(ALARM).any(watches))
            .then(|| "no alarm watches its freshness".to_owned())
    })
}
