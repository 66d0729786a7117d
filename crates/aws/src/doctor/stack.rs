//! A stack of CloudFormation: its templates, and what stands of it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use roxmltree::Node;
use serde_json::Value;
use tidegate_doctor::{Deployment, Resource, template};

use super::{Account, ReadError, Seen, WITHIN};
use crate::call::{Ask, CallError, escaped};

/// Nested stacks that are read at the most.
const STACKS_MAX: usize = 200;

/// Pages of a list that are read at the most: 100 resources each, and a stack has 500 at the most
/// ("Understand CloudFormation quotas", CloudFormation User Guide, 2026-11).
const PAGES_MAX: usize = 10;

const NESTED: &str = "AWS::CloudFormation::Stack";
const STREAM: &str = "AWS::Kinesis::Stream";
const MAPPING: &str = "AWS::Lambda::EventSourceMapping";
const FUNCTION: &str = "AWS::Lambda::Function";
const INVOKE: &str = "AWS::Lambda::EventInvokeConfig";
const DELIVERY: &str = "AWS::KinesisFirehose::DeliveryStream";

/// Where a resource names the stream that it reads.
const SOURCES: [&str; 2] = ["EventSourceArn", "KinesisStreamSourceConfiguration.KinesisStreamARN"];

/// What CloudFormation keeps of a stack and of those nested in it.
#[derive(Debug, Default)]
struct Kept {
    /// The templates, by the stack's place; the outermost one's is empty.
    templates: BTreeMap<String, String>,
    /// What the account calls each resource, by its place.
    names: BTreeMap<String, String>,
}

impl Account {
    /// A stack as its templates describe it, with its parameters, and over that what the account
    /// says of its streams, mappings, functions, Firehose streams and alarms now; with what else
    /// reads those streams.
    ///
    /// # Errors
    /// When a call fails, or the template is none.
    pub async fn stack(&self, name: &str) -> Result<Deployment, ReadError> {
        let parameters = self.parameters(name).await?;
        let kept = self.kept(name).await?;
        let outermost = kept.templates.get("").map_or("", String::as_str);
        let mut deployment =
            template::read(name, outermost, &parameters, &mut |place, _location| {
                Ok(kept.templates.get(place).cloned())
            })?;
        for resource in deployment.resources_mut() {
            if let Some(name) = kept.names.get(&resource.place) {
                resource.name = Some(name.clone());
            }
        }
        let seen = self.standing(&deployment).await?;
        deployment.unread.extend(seen.unread);
        for found in seen.resources {
            overlay(&mut deployment, found);
        }
        Ok(deployment)
    }

    /// What stands of a deployment.
    async fn standing(&self, deployment: &Deployment) -> Result<Seen, ReadError> {
        let mut seen = Seen::default();
        for stream in streams(deployment) {
            match self.around(&stream, &mut seen).await {
                Err(error) if error.is_absent() => {
                    seen.unread.push(format!("the stream {stream}, which is not there any more"));
                }
                outcome => outcome?,
            }
        }
        for delivery in names(deployment, DELIVERY) {
            if !seen.resources.iter().any(|one| one.kind == DELIVERY && one.place == delivery) {
                let read = self.delivery(delivery).await.map(Some);
                let what = format!("the Firehose stream {delivery}");
                seen.of(&what, read).into_iter().for_each(|delivery| seen.delivery(delivery));
            }
        }
        names(deployment, FUNCTION).for_each(|name| {
            seen.functions.entry(name.to_owned()).or_insert_with(|| name.to_owned());
        });
        self.finish(&mut seen).await;
        Ok(seen)
    }

    /// The templates and names of a stack and of those nested in it.
    async fn kept(&self, name: &str) -> Result<Kept, ReadError> {
        let mut kept = Kept::default();
        let mut open = VecDeque::from([(String::new(), name.to_owned())]);
        while let Some((place, stack)) = open.pop_front() {
            if kept.templates.len() > STACKS_MAX {
                break;
            }
            let form = [("StackName", stack.as_str()), ("TemplateStage", "Processed")];
            let body = self.cloudformation("GetTemplate", &form, |answer| {
                text(answer, "TemplateBody").unwrap_or_default().to_owned()
            });
            kept.templates.insert(place.clone(), body.await?);
            for (logical, kind, physical) in self.members(&stack).await? {
                let inner = if place.is_empty() { logical } else { format!("{place}/{logical}") };
                if kind == NESTED {
                    open.push_back((inner, physical));
                } else {
                    kept.names.insert(inner, short(&physical).to_owned());
                }
            }
        }
        Ok(kept)
    }

    /// A stack's resources: what the template calls each, its type, and what the account calls it.
    async fn members(&self, stack: &str) -> Result<Vec<(String, String, String)>, ReadError> {
        let mut all = Vec::new();
        let mut next: Option<String> = None;
        for _ in 0..PAGES_MAX {
            let mut form = vec![("StackName", stack)];
            form.extend(next.as_deref().map(|token| ("NextToken", token)));
            let page = self.cloudformation("ListStackResources", &form, |answer| {
                let members = answer.descendants().filter(|node| node.has_tag_name("member"));
                let members = members.filter_map(|member| {
                    let of = |name| Some(text(member, name)?.to_owned());
                    Some((of("LogicalResourceId")?, of("ResourceType")?, of("PhysicalResourceId")?))
                });
                (members.collect::<Vec<_>>(), text(answer, "NextToken").map(ToOwned::to_owned))
            });
            let (members, token) = page.await?;
            all.extend(members);
            next = token;
            if next.is_none() {
                break;
            }
        }
        Ok(all)
    }

    /// The values of a stack's parameters. What stands for a secret is left out: it is unknown.
    async fn parameters(&self, stack: &str) -> Result<BTreeMap<String, String>, ReadError> {
        let form = [("StackName", stack)];
        let read = self.cloudformation("DescribeStacks", &form, |answer| {
            let members = answer.descendants().filter(|node| node.has_tag_name("member"));
            let values = members.filter_map(|member| {
                let value = text(member, "ResolvedValue").or(text(member, "ParameterValue"))?;
                Some((text(member, "ParameterKey")?.to_owned(), value.to_owned()))
            });
            values.filter(|(_, value)| value != "****").collect()
        });
        read.await.map_err(|error| match error {
            ReadError::Call { source, .. } if source.is("ValidationError") => {
                ReadError::NoStack(stack.to_owned())
            }
            other => other,
        })
    }

    /// CloudFormation speaks forms and XML only ("Making API requests", CloudFormation API
    /// Reference, 2026-11).
    async fn cloudformation<T>(
        &self,
        operation: &'static str,
        fields: &[(&str, &str)],
        read: impl FnOnce(Node<'_, '_>) -> T,
    ) -> Result<T, ReadError> {
        let failed = ReadError::call(operation);
        let place =
            self.caller.endpoint("CLOUDFORMATION", "cloudformation", None).map_err(&failed)?;
        let mut body = format!("Action={operation}&Version=2010-05-15");
        for (name, value) in fields {
            body.push_str(&format!("&{name}={}", escaped(value, "")));
        }
        let ask = Ask {
            method: "POST",
            url: &format!("{}/", place.url),
            headers: vec![("content-type", "application/x-www-form-urlencoded".to_owned())],
            body: body.into_bytes(),
        };
        let sent = self.caller.send_signed(ask, ("cloudformation", &place.region), WITHIN).await;
        let answer = sent.map_err(&failed)?;
        if answer.status != 200 {
            return Err(failed(CallError::of_service(&answer)));
        }
        let body = String::from_utf8_lossy(&answer.body);
        let document = roxmltree::Document::parse(&body)
            .map_err(|source| ReadError::Answer { operation, source })?;
        Ok(read(document.root_element()))
    }
}

/// The names of a deployment's resources of a type.
fn names<'d>(deployment: &'d Deployment, kind: &'static str) -> impl Iterator<Item = &'d str> {
    deployment.of(kind).filter_map(|resource| resource.name.as_deref())
}

/// The streams of a deployment, and those of others that it reads.
fn streams(deployment: &Deployment) -> BTreeSet<String> {
    let read = deployment.resources().iter().flat_map(|resource| {
        SOURCES.iter().filter_map(|path| resource.text(path).known()).filter_map(stream_name)
    });
    names(deployment, STREAM).chain(read).map(ToOwned::to_owned).collect()
}

/// The name in the ARN of a stream or of a consumer of one.
fn stream_name(arn: &str) -> Option<&str> {
    let rest = arn.strip_prefix("arn:").filter(|rest| rest.contains(":kinesis:"))?;
    let name = rest.split_once(":stream/")?.1.split('/').next()?;
    (!name.contains("${")).then_some(name)
}

/// A name without the address or the ARN that it stands in: queues are called by their URL, topics by
/// their ARN.
fn short(physical: &str) -> &str {
    let long = physical.starts_with("arn:") || physical.starts_with("https://");
    if long { physical.rsplit(['/', ':']).next().unwrap_or(physical) } else { physical }
}

/// The text of an element somewhere in another.
fn text<'d>(within: Node<'d, '_>, name: &str) -> Option<&'d str> {
    within.descendants().find(|node| node.has_tag_name(name))?.text()
}

/// Puts what the account says of a resource over what the template says, or beside it.
fn overlay(deployment: &mut Deployment, found: Resource) {
    // How a function is called asynchronously has no name of its own in the account.
    let of_function = |one: &Resource| {
        let function = deployment.target_of(one, "FunctionName", FUNCTION);
        one.kind == INVOKE && function.is_some_and(|function| function.name == found.name)
    };
    let known = deployment
        .resources()
        .iter()
        .position(|one| one.kind == found.kind && (one.name == found.name || of_function(one)));
    let all = deployment.resources_mut();
    let Some(known) = known.and_then(|index| all.get_mut(index)) else {
        return all.push(found);
    };
    // Of these the account says all that the template could; a name is only there a choice.
    if known.policies.is_some() && [FUNCTION, MAPPING].contains(&known.kind.as_str()) {
        let chosen = known.properties["FunctionName"].take();
        known.properties = found.properties;
        if known.kind == FUNCTION {
            known.properties["FunctionName"] = chosen;
        }
    } else if let (Some(known), Value::Object(found)) =
        (known.properties.as_object_mut(), found.properties)
    {
        known.extend(found.into_iter().filter(|(_, value)| !value.is_null()));
    }
}
