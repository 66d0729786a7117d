//! Buckets, and what keeps or deletes what is in them.

use serde_json::Value;

use super::{BUCKET, Check, Found, STREAM, TABLE, each};
use crate::deployment::{Deployment, Resource, Setting, items_at, truth_at};
use crate::finding::Severity;

const POLICY: &str = "AWS::S3::BucketPolicy";

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "bucket-public",
        severity: Severity::Error,
        happens: "What is in the bucket may become readable for everybody: a block that S3 has on \
                  by default is off, or a list of grants or a policy lets anybody in.",
        remedy: "Set all four of PublicAccessBlockConfiguration to true, and name who may read in \
                 the policy.",
        source: "Amazon S3 User Guide, \"Blocking public access to your Amazon S3 storage\"",
        look: public,
    },
    Check {
        id: "bucket-without-tls",
        severity: Severity::Warning,
        happens: "The bucket also answers requests in plain text.",
        remedy: "Add a bucket policy that denies s3:* where aws:SecureTransport is false.",
        source: "Amazon S3 User Guide, \"Security best practices for Amazon S3\"",
        look: without_tls,
    },
    Check {
        id: "bucket-unfinished-uploads",
        severity: Severity::Note,
        happens: "Parts of uploads that were never completed stay, are paid for, and are shown \
                  nowhere.",
        remedy: "Add a lifecycle rule with AbortIncompleteMultipartUpload.",
        source: "Amazon S3 User Guide, \"Aborting a multipart upload\"",
        look: unfinished_uploads,
    },
    Check {
        id: "data-goes-with-stack",
        severity: Severity::Error,
        happens: "Nobody decided what becomes of the data when the stack is deleted or the resource \
                  is replaced: CloudFormation deletes it.",
        remedy: "Set DeletionPolicy and UpdateReplacePolicy, each Retain or, where that is meant, \
                 Delete.",
        source: "CloudFormation User Guide, \"DeletionPolicy attribute\"",
        look: goes_with_stack,
    },
    Check {
        id: "fixed-name",
        severity: Severity::Warning,
        happens: "A second stack in the account collides with the name, and an update that replaces \
                  the resource fails.",
        remedy: "Leave the name out, and hand on what CloudFormation chose.",
        source: "CloudFormation User Guide, \"Name Type\"",
        look: fixed_name,
    },
];

fn policies<'d>(
    deployment: &'d Deployment,
    bucket: &'d Resource,
) -> impl Iterator<Item = &'d Value> {
    let of = deployment.of(POLICY).filter(move |policy| {
        policy.text("Bucket").known().is_some_and(|name| bucket.is_meant_by(name))
    });
    of.flat_map(|policy| policy.items("PolicyDocument.Statement"))
}

/// Whether a statement is about everybody.
fn everybody(statement: &Value) -> bool {
    let any = |value: &Value| items_at(value, "").iter().any(|one| one == "*");
    let principal = &statement["Principal"];
    any(principal) || any(&principal["AWS"])
}

fn public(deployment: &Deployment) -> Found<'_> {
    each(deployment, BUCKET, |bucket| {
        let block = &bucket.properties["PublicAccessBlockConfiguration"];
        let parts =
            ["BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"];
        let off = parts.into_iter().find(|part| truth_at(block, part).known() == Some(false));
        if let Some(part) = off {
            return Some(format!("{part} is false"));
        }
        let list = bucket.text("AccessControl").known().unwrap_or_default();
        if list.starts_with("PublicRead") || list == "AuthenticatedRead" {
            return Some(format!("AccessControl is {list}"));
        }
        let open = |statement: &&Value| {
            statement["Effect"] == "Allow"
                && everybody(statement)
                && statement["Condition"].is_null()
        };
        let found = policies(deployment, bucket).find(open);
        found.map(|_| "its policy allows everybody something".to_owned())
    })
}

fn without_tls(deployment: &Deployment) -> Found<'_> {
    each(deployment, BUCKET, |bucket| {
        let denies = |statement: &Value| {
            let condition = &statement["Condition"]["Bool"]["aws:SecureTransport"];
            statement["Effect"] == "Deny"
                && everybody(statement)
                && (*condition == "false" || *condition == false)
        };
        // A policy may also stand in another stack, where there is no template.
        (bucket.policies.is_some() && !policies(deployment, bucket).any(denies))
            .then(|| "no policy of it asks for TLS".to_owned())
    })
}

fn unfinished_uploads(deployment: &Deployment) -> Found<'_> {
    each(deployment, BUCKET, |bucket| {
        if bucket.value("LifecycleConfiguration") == Setting::Unknown {
            return None;
        }
        let rules = bucket.items("LifecycleConfiguration.Rules");
        let ends = rules.iter().any(|rule| !rule["AbortIncompleteMultipartUpload"].is_null());
        (!ends).then(|| "no rule ends unfinished uploads".to_owned())
    })
}

fn goes_with_stack(deployment: &Deployment) -> Found<'_> {
    let all = deployment.resources().iter();
    let keeps = all.filter(|resource| [BUCKET, STREAM, TABLE].contains(&resource.kind.as_str()));
    let undecided = keeps.filter_map(|resource| {
        let [deleted, replaced] = resource.policies.as_ref()?;
        let name = match (deleted, replaced) {
            (None, _) => "DeletionPolicy",
            (_, None) => "UpdateReplacePolicy",
            _ => return None,
        };
        Some((resource, format!("{name} is not there")))
    });
    undecided.collect()
}

fn fixed_name(deployment: &Deployment) -> Found<'_> {
    let all = deployment.resources().iter();
    // In an account everything has a name.
    let written = all.filter(|resource| resource.policies.is_some());
    let named = written.filter_map(|resource| {
        let (key, name) = resource.fixed_name()?;
        Some((resource, format!("{key} is {name}")))
    });
    named.collect()
}
