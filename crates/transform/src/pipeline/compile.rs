//! From YAML to a pipeline.

use super::input::{self, Draft};
use super::language::{ICEBERG, OUTPUT, PIPELINE};
use super::step::Steps;
use super::yaml::{Mistakes, Node, load};
use super::{Line, Pipeline, PipelineError, Tables, cases};
use crate::formats::Unwrapper;
use crate::output::Output;
use crate::record::Memory;
use crate::scope::Scope;
use crate::steps::Step;
use crate::template::Template;

/// More than a prefix has room for: evaluated, it has 512 characters at most ("Understand custom
/// prefixes for Amazon S3 objects", Firehose Developer Guide, 2026-11).
const PARTITION_KEYS_LIMIT: usize = 16;

pub(super) fn compile(yaml: &str, tables: Tables) -> Result<Pipeline, PipelineError> {
    let document = load(yaml).map_err(|mistake| PipelineError(vec![mistake]))?;
    let root = Node::root(&document);
    let mut mistakes = Mistakes::default();
    let (mut input_node, mut steps_node, mut output_node) = (None, None, None);
    for (name, node) in root.members(&PIPELINE.names(), &mut mistakes) {
        match name {
            "input" => input_node = Some(node),
            "steps" => steps_node = Some(node),
            "output" => output_node = Some(node),
            _ => drop(cases::list(&node, &mut mistakes)),
        }
    }
    let mut scope = Scope::default();
    let draft = match input_node {
        Some(node) => input::read(&node, &mut scope, &mut mistakes),
        None => {
            if root.is_mapping() {
                let remedy = "write input: {format: apache_combined}, or another format";
                mistakes.add(&root, "there is no input", remedy);
            }
            None
        }
    };
    // Without an input nothing is known of its fields, so that any name may be one.
    scope.open |= draft.is_none();
    let steps = match steps_node {
        Some(node) => Steps { scope: &mut scope, tables: &tables }.read(&node, &mut mistakes),
        None => Vec::new(),
    };
    let mut written = Output::default();
    written.newline = true;
    if let Some(node) = output_node {
        output(&node, &mut scope, &mut written, &mut mistakes);
    }
    match draft {
        Some(draft) if mistakes.0.is_empty() => Ok(finish(draft, scope, steps, written)),
        _ => {
            mistakes.0.sort_by_key(|mistake| mistake.line);
            Err(PipelineError(mistakes.0))
        }
    }
}

fn finish(draft: Draft, scope: Scope, mut steps: Vec<Step>, mut output: Output) -> Pipeline {
    let Draft { what, around, mut readers, names } = draft;
    readers.iter_mut().for_each(|reader| reader.want(&scope.wanted));
    output.fields(&scope.known);
    write_ahead(&mut steps, &mut output);
    Pipeline {
        unwrapper: Unwrapper { what, slots: around, inflated: Vec::new() },
        line: Line {
            readers,
            inputs: names.into_iter().map(|name| (name, 0)).collect(),
            slots: scope.slots,
            steps,
            output,
            memory: Memory::default(),
            fields: scope.known.into_iter().map(|known| known.field).collect(),
            metadata: Vec::new(),
        },
    }
}

/// Where nothing changes a place any more once it is known, its fields are written once for all
/// records of that place.
fn write_ahead(steps: &mut [Step], output: &mut Output) {
    let changes = |step: &Step| !matches!(step, Step::Filter(_) | Step::Sample(_));
    let Some(last) = steps.iter().rposition(changes) else { return };
    let unread = last + 1 == steps.len() && !output.has_metadata();
    if let Some(Step::Geoip(geoip)) = steps.get_mut(last)
        && let Some(keys) = output.take_written(geoip.slots())
    {
        geoip.write_ahead(keys, unread);
    }
}

fn output(node: &Node<'_>, scope: &mut Scope, output: &mut Output, mistakes: &mut Mistakes) {
    for (name, node) in node.members(&OUTPUT.names(), mistakes) {
        match name {
            "newline" => output.newline = node.boolean(mistakes).unwrap_or(true),
            "partition_keys" => {
                let pairs = node.pairs(mistakes);
                if pairs.len() > PARTITION_KEYS_LIMIT {
                    let what = format!("these are {} partition keys", pairs.len());
                    mistakes.add(&node, what, format!("{PARTITION_KEYS_LIMIT} are the most"));
                }
                for (key, node) in pairs {
                    if let Some(template) = template(&node, scope, mistakes) {
                        output.partition_keys.push((key, template));
                    }
                }
            }
            _ => iceberg(&node, scope, output, mistakes),
        }
    }
}

fn iceberg(node: &Node<'_>, scope: &mut Scope, output: &mut Output, mistakes: &mut Mistakes) {
    let members = node.members(&ICEBERG.names(), mistakes);
    for required in ["database", "table"] {
        if node.is_mapping() && !members.iter().any(|(name, _)| *name == required) {
            mistakes.add(node, format!("there is no {required}"), "Firehose needs both");
        }
    }
    for (name, node) in members {
        let Some(template) = template(&node, scope, mistakes) else { continue };
        let key = match name {
            "database" => "destinationDatabaseName",
            "table" => "destinationTableName",
            _ => {
                let known = ["insert", "update", "delete"];
                if template.constant().is_some_and(|word| !known.contains(&word)) {
                    mistakes.add(
                        &node,
                        "there is no such operation",
                        "known are insert, update, delete",
                    );
                }
                "operation"
            }
        };
        output.iceberg.push((key, template));
    }
}

fn template(node: &Node<'_>, scope: &mut Scope, mistakes: &mut Mistakes) -> Option<Template> {
    let text = node.text(mistakes)?;
    match Template::parse(&text, scope) {
        Ok(template) => Some(template),
        Err((what, remedy)) => {
            mistakes.add(node, what, remedy);
            None
        }
    }
}

/// The tables that lookup steps name, whatever else is wrong with the pipeline.
pub(super) fn files(yaml: &str) -> Vec<String> {
    let Ok(document) = load(yaml) else { return Vec::new() };
    let mut files = Vec::new();
    let root = Node::root(&document).json();
    for step in root["steps"].as_array().into_iter().flatten() {
        if let Some(file) = step["lookup"]["table"].as_str()
            && !files.iter().any(|known| known == file)
        {
            files.push(file.to_owned());
        }
    }
    files
}

#[cfg(test)]
mod tests;
