//! Who may do what.

use serde_json::Value;

use super::{Check, Found, ROLE, each};
use crate::deployment::{Deployment, Resource, Setting, items_at};
use crate::finding::Severity;

/// Actions that no policy can limit to a resource ("Actions, resources, and condition keys",
/// Service Authorization Reference, 2026-11), of those that a deployment of this kind needs.
const WITHOUT_RESOURCE: [&str; 18] = [
    "cloudwatch:GetMetricData",
    "cloudwatch:GetMetricStatistics",
    "cloudwatch:ListMetrics",
    "cloudwatch:PutMetricData",
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "kinesis:DescribeLimits",
    "kinesis:ListStreams",
    "lambda:ListEventSourceMappings",
    "lambda:ListFunctions",
    "s3:ListAllMyBuckets",
    "sts:GetCallerIdentity",
    "tag:GetResources",
    "xray:GetSamplingRules",
    "xray:GetSamplingTargets",
    "xray:PutTelemetryRecords",
    "xray:PutTraceSegments",
];

/// Managed policies that allow more than any function needs.
const WIDE: [&str; 3] = ["AdministratorAccess", "PowerUserAccess", "FullAccess"];

const IAM: &str = "IAM User Guide, \"Security best practices in IAM\" (least privilege)";

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "policy-any-action",
        severity: Severity::Error,
        happens: "Whoever gets hold of the function may do everything that the service offers, \
                  deleting included.",
        remedy: "Name the actions that are called.",
        source: IAM,
        look: any_action,
    },
    Check {
        id: "policy-any-resource",
        severity: Severity::Warning,
        happens: "The function may do this to every resource of the account.",
        remedy: "Name the resources; only actions that cannot be limited stand with *.",
        source: IAM,
        look: any_resource,
    },
    Check {
        id: "policy-managed-wide",
        severity: Severity::Error,
        happens: "A managed policy allows the function everything of one or of all services.",
        remedy: "Write a policy with the actions that are called.",
        source: IAM,
        look: managed_wide,
    },
    Check {
        id: "policy-every-stream",
        severity: Severity::Warning,
        happens: "AWSLambdaKinesisExecutionRole, which SAM attaches to a function with an event of \
                  the type Kinesis, may read every stream of the account.",
        remedy: "Give the function a Role of its own that names the stream.",
        source: "AWS Managed Policy Reference Guide, AWSLambdaKinesisExecutionRole",
        look: every_stream,
    },
    Check {
        id: "role-taken-by-anybody",
        severity: Severity::Error,
        happens: "Every account may take the role.",
        remedy: "Name the service or the account in the Principal.",
        source: "IAM User Guide, \"How to use trust policies\"",
        look: taken_by_anybody,
    },
    Check {
        id: "role-for-any-firehose",
        severity: Severity::Warning,
        happens: "Firehose may take the role for a delivery stream of another account.",
        remedy: "Add a condition to the trust: sts:ExternalId or aws:SourceAccount with your \
                 account.",
        source: "Data Firehose Developer Guide, \"Controlling access\"",
        look: for_any_firehose,
    },
    Check {
        id: "permission-for-anybody",
        severity: Severity::Error,
        happens: "Every account's alarms, rules or topics may call the function.",
        remedy: "Set SourceArn, and SourceAccount where the ARN does not name the account.",
        source: "Lambda Developer Guide, \"Granting Lambda function access to AWS services\"",
        look: for_anybody,
    },
    Check {
        id: "ignore-without-reason",
        severity: Severity::Warning,
        happens: "An Ignore without a Reason, or for a check that does not exist, does nothing.",
        remedy: "Write Metadata: {Tidegate: {Ignore: [{Id: CHECK, Reason: WHY}]}}.",
        source: "the page \"The doctor\" of this book",
        look: ignore_without_reason,
    },
];

/// The statements that allow something, of roles and of policies beside them.
fn allowed(resource: &Resource) -> Vec<&Value> {
    let documents: Vec<&Value> = match resource.kind.as_str() {
        ROLE => resource.items("Policies").iter().map(|one| &one["PolicyDocument"]).collect(),
        "AWS::IAM::Policy" | "AWS::IAM::ManagedPolicy" => {
            vec![&resource.properties["PolicyDocument"]]
        }
        _ => Vec::new(),
    };
    let statements = documents.into_iter().flat_map(|document| items_at(document, "Statement"));
    statements.filter(|statement| statement["Effect"] == "Allow").collect()
}

/// Every resource of which `seen` has something to say about one of its statements.
fn each_statement<'d>(
    deployment: &'d Deployment,
    seen: impl Fn(&Value) -> Option<String>,
) -> Found<'d> {
    let all = deployment.resources().iter();
    all.flat_map(|resource| {
        let found = allowed(resource).into_iter().filter_map(&seen);
        found.map(move |what| (resource, what)).collect::<Vec<_>>()
    })
    .collect()
}

fn actions(statement: &Value) -> impl Iterator<Item = &str> {
    items_at(statement, "Action").iter().filter_map(Value::as_str)
}

fn is_any(action: &str) -> bool {
    action == "*" || action.ends_with(":*")
}

fn any_action(deployment: &Deployment) -> Found<'_> {
    each_statement(deployment, |statement| {
        let action = actions(statement).find(|action| is_any(action))?;
        Some(format!("{action} is allowed"))
    })
}

fn any_resource(deployment: &Deployment) -> Found<'_> {
    each_statement(deployment, |statement| {
        let any = items_at(statement, "Resource").iter().any(|resource| resource == "*");
        let limited = !statement["Condition"].is_null();
        let can_be = |action: &&str| !is_any(action) && !WITHOUT_RESOURCE.contains(action);
        let action = actions(statement).find(can_be).filter(|_| any && !limited)?;
        Some(format!("{action} is allowed on *"))
    })
}

/// The managed policies of a role.
fn managed(resource: &Resource) -> impl Iterator<Item = &str> {
    let arns = resource.items("ManagedPolicyArns").iter().filter_map(Value::as_str);
    arns.map(|arn| arn.rsplit('/').next().unwrap_or(arn))
}

fn managed_wide(deployment: &Deployment) -> Found<'_> {
    each(deployment, ROLE, |role| {
        let name = managed(role).find(|name| WIDE.iter().any(|end| name.ends_with(end)))?;
        Some(format!("{name} is attached"))
    })
}

fn every_stream(deployment: &Deployment) -> Found<'_> {
    each(deployment, ROLE, |role| {
        let name = managed(role).find(|name| *name == "AWSLambdaKinesisExecutionRole")?;
        Some(format!("{name} is attached"))
    })
}

/// The statements by which a role is taken.
fn trusts(role: &Resource) -> impl Iterator<Item = &Value> {
    role.items("AssumeRolePolicyDocument.Statement").iter().filter(|one| one["Effect"] == "Allow")
}

fn taken_by_anybody(deployment: &Deployment) -> Found<'_> {
    each(deployment, ROLE, |role| {
        let any = |value: &Value| items_at(value, "").iter().any(|one| one == "*");
        let open = |statement: &&Value| {
            let principal = &statement["Principal"];
            (any(principal) || any(&principal["AWS"])) && statement["Condition"].is_null()
        };
        trusts(role).find(open).map(|_| "its trust names everybody".to_owned())
    })
}

fn for_any_firehose(deployment: &Deployment) -> Found<'_> {
    each(deployment, ROLE, |role| {
        let open = |statement: &&Value| {
            let services = items_at(statement, "Principal.Service");
            services.iter().any(|service| service == "firehose.amazonaws.com")
                && statement["Condition"].is_null()
        };
        trusts(role).find(open).map(|_| "its trust has no condition".to_owned())
    })
}

fn for_anybody(deployment: &Deployment) -> Found<'_> {
    each(deployment, "AWS::Lambda::Permission", |permission| {
        let principal = permission.text("Principal").known()?;
        let service = principal == "*" || principal.ends_with(".amazonaws.com");
        let open = |path| permission.value(path) == Setting::Absent;
        (service && open("SourceArn") && open("SourceAccount") && open("PrincipalOrgID"))
            .then(|| format!("{principal} may call from everywhere"))
    })
}

fn ignore_without_reason(deployment: &Deployment) -> Found<'_> {
    let mut found: Found<'_> = Vec::new();
    for resource in deployment.resources() {
        for one in &resource.ignored {
            let known = super::all().any(|check| check.id == one.id);
            let what = match (known, one.reason.is_empty()) {
                (false, _) => format!("{:?} is no check", one.id),
                (true, true) => format!("{} has no reason", one.id),
                (true, false) => continue,
            };
            // One that stands at a template goes for each of its resources.
            if found.iter().all(|(_, known)| *known != what) {
                found.push((resource, what));
            }
        }
    }
    found
}
