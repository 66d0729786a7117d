//! The settings of Tidegate's consumer.

use super::functions::reads_a_stream;
use super::{Check, FUNCTION, Found, each, is_consumer};
use crate::deployment::{Deployment, Resource};
use crate::finding::Severity;

const SETTINGS: &str = "the page \"Settings\" of this book";

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "consumer-quarantine-in-log",
        severity: Severity::Warning,
        happens: "Only the identity of a poison record is kept: its payload can be fetched from the \
                  stream while its retention lasts, and then it is gone.",
        remedy: "Set TIDEGATE_QUARANTINE to s3://BUCKET/PREFIX.",
        source: SETTINGS,
        look: quarantine_in_log,
    },
    Check {
        id: "consumer-quarantine-in-scratch",
        severity: Severity::Error,
        happens: "A folder in a function's scratch space goes with its execution environment, and \
                  with it every record that was quarantined there.",
        remedy: "Set TIDEGATE_QUARANTINE to s3://BUCKET/PREFIX; a folder is for tests, or for a \
                 file system that is mounted.",
        source: SETTINGS,
        look: quarantine_in_scratch,
    },
    Check {
        id: "consumer-payload-in-log",
        severity: Severity::Error,
        happens: "Whole records are written into the log, for everybody who may read it.",
        remedy: "Set TIDEGATE_QUARANTINE to s3://BUCKET/PREFIX.",
        source: SETTINGS,
        look: payload_in_log,
    },
    Check {
        id: "consumer-no-journal",
        severity: Severity::Warning,
        happens: "A record that crashes the function cannot be told from its neighbours: it comes \
                  again and again, and its batch with it.",
        remedy: "Set TIDEGATE_JOURNAL to /tmp/tidegate.",
        source: SETTINGS,
        look: no_journal,
    },
    Check {
        id: "consumer-no-spill",
        severity: Severity::Error,
        happens: "A record that is too large for a message or an item cannot be quarantined, so \
                  that it is retried for ever.",
        remedy: "Set TIDEGATE_QUARANTINE_BUCKET to s3://BUCKET/PREFIX.",
        source: SETTINGS,
        look: no_spill,
    },
];

fn consumers<'d>(
    deployment: &'d Deployment,
    seen: impl Fn(&'d Resource) -> Option<String>,
) -> Found<'d> {
    each(deployment, FUNCTION, |function| {
        if is_consumer(function) && reads_a_stream(deployment, function) {
            seen(function)
        } else {
            None
        }
    })
}

fn quarantine(function: &Resource) -> Option<&str> {
    function.variable("TIDEGATE_QUARANTINE").or("log")
}

fn quarantine_in_log(deployment: &Deployment) -> Found<'_> {
    consumers(deployment, |function| {
        (quarantine(function)? == "log").then(|| "poison records go to the log".to_owned())
    })
}

fn quarantine_in_scratch(deployment: &Deployment) -> Found<'_> {
    consumers(deployment, |function| {
        let folder = quarantine(function)?;
        // A file system is mounted below /mnt.
        let scratch = folder.starts_with("file:") && !folder.starts_with("file:///mnt/");
        scratch.then(|| format!("TIDEGATE_QUARANTINE is {folder}"))
    })
}

fn payload_in_log(deployment: &Deployment) -> Found<'_> {
    consumers(deployment, |function| {
        (quarantine(function)? == "log:payload")
            .then(|| "TIDEGATE_QUARANTINE is log:payload".to_owned())
    })
}

fn no_journal(deployment: &Deployment) -> Found<'_> {
    consumers(deployment, |function| {
        function
            .variable("TIDEGATE_JOURNAL")
            .is_absent()
            .then(|| "TIDEGATE_JOURNAL is not set".to_owned())
    })
}

fn no_spill(deployment: &Deployment) -> Found<'_> {
    consumers(deployment, |function| {
        let place = quarantine(function)?;
        let bounded = place.starts_with("sqs:") || place.starts_with("dynamodb:");
        (bounded && function.variable("TIDEGATE_QUARANTINE_BUCKET").is_absent())
            .then(|| format!("TIDEGATE_QUARANTINE is {place}, and no bucket is beside it"))
    })
}
