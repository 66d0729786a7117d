//! From YAML to steps. The lists of names here are the whole language of a pipeline.

use super::yaml::{Mistakes, Node, load};
use super::{Pipeline, PipelineError, Tables};
use crate::formats::Format;
use crate::formats::apache;
use crate::steps::filter::{Filter, Verdict};
use crate::steps::geoip::{self, Geoip};
use crate::steps::{Record, Step};

/// More steps than anybody needs.
const STEPS_LIMIT: usize = 64;

/// What a geoip step does when the host has no database.
#[derive(Clone, Copy, PartialEq, Eq)]
enum WhenMissing {
    Fail,
    Skip,
}

pub(super) fn compile(yaml: &str, tables: Tables) -> Result<Pipeline, PipelineError> {
    let document = load(yaml).map_err(|mistake| PipelineError(vec![mistake]))?;
    let root = Node::root(&document);
    let mut mistakes = Mistakes::default();
    let (mut format, mut steps, mut newline) = (None, None, true);
    for (name, node) in root.members(&["input", "steps", "output"], &mut mistakes) {
        match name {
            "input" => format = Some(input(&node, &mut mistakes)),
            "steps" => steps = Some(node),
            _ => newline = output(&node, &mut mistakes),
        }
    }
    if format.is_none() && root.is_mapping() {
        let remedy = format!("write input: {{format: {}}}", Format::ApacheCombined.name());
        mistakes.add(&root, "there is no input", remedy);
    }
    // With an unknown format the steps cannot be checked against its fields, so they are checked
    // against those of the first: most mistakes in them are of another kind.
    let known = format.flatten();
    let fields_of = known.unwrap_or(Format::ApacheCombined);
    let steps =
        steps.map_or_else(Vec::new, |node| Steps::read(&node, fields_of, tables, &mut mistakes));
    match known {
        Some(format) if mistakes.0.is_empty() => Ok(Pipeline { format, steps, newline }),
        _ => {
            mistakes.0.sort_by_key(|mistake| mistake.line);
            Err(PipelineError(mistakes.0))
        }
    }
}

fn input(node: &Node<'_>, mistakes: &mut Mistakes) -> Option<Format> {
    let formats: Vec<_> = Format::ALL.iter().map(|format| (format.name(), *format)).collect();
    let before = mistakes.0.len();
    let mut format = None;
    for (_, node) in node.members(&["format"], mistakes) {
        format = node.word(&formats, mistakes);
    }
    if format.is_none() && mistakes.0.len() == before {
        let known: Vec<_> = formats.iter().map(|(name, _)| *name).collect();
        mistakes.add(node, "there is no format", format!("known are {}", known.join(", ")));
    }
    format
}

fn output(node: &Node<'_>, mistakes: &mut Mistakes) -> bool {
    let mut newline = true;
    for (_, node) in node.members(&["newline"], mistakes) {
        newline = node.word(&[("true", true), ("false", false)], mistakes).unwrap_or(true);
    }
    newline
}

/// The steps in the making.
struct Steps {
    format: Format,
    tables: Tables,
    /// The fields that a record can have at this point.
    fields: Vec<&'static str>,
}

impl Steps {
    fn read(node: &Node<'_>, format: Format, tables: Tables, mistakes: &mut Mistakes) -> Vec<Step> {
        let mut reading = Self { format, tables, fields: format.fields().to_vec() };
        let items = node.items(mistakes);
        if items.len() > STEPS_LIMIT {
            let what = format!("these are {} steps", items.len());
            mistakes.add(node, what, format!("{STEPS_LIMIT} are the most: join expressions"));
            return Vec::new();
        }
        items.iter().filter_map(|item| reading.step(item, mistakes)).collect()
    }

    fn step(&mut self, node: &Node<'_>, mistakes: &mut Mistakes) -> Option<Step> {
        const KINDS: &[&str] = &["keep", "drop", "geoip"];
        let before = mistakes.0.len();
        let mut members = node.members(KINDS, mistakes);
        let (Some((kind, value)), true) = (members.pop(), members.is_empty()) else {
            if mistakes.0.len() == before {
                let remedy = format!("write one of {} each, each with its own -", KINDS.join(", "));
                mistakes.add(node, "a step has exactly one key", remedy);
            }
            return None;
        };
        match kind {
            "keep" => self.filter(Verdict::Keep, &value, mistakes),
            "drop" => self.filter(Verdict::Drop, &value, mistakes),
            _ => self.geoip(&value, mistakes),
        }
    }

    fn filter(&self, verdict: Verdict, node: &Node<'_>, mistakes: &mut Mistakes) -> Option<Step> {
        let expression = node.text(mistakes)?;
        let sample = match self.format {
            Format::ApacheCombined => apache::sample(),
        };
        match Filter::compile(verdict, &expression, &self.fields, &Record::sample(sample)) {
            Ok(filter) => Some(Step::Filter(filter)),
            Err(reasons) => {
                for (what, remedy) in reasons {
                    mistakes.add(node, what, remedy);
                }
                None
            }
        }
    }

    fn geoip(&mut self, node: &Node<'_>, mistakes: &mut Mistakes) -> Option<Step> {
        let before = mistakes.0.len();
        let (mut address, mut when_missing) = (None, WhenMissing::Fail);
        let addresses: Vec<_> = self.format.addresses().iter().map(|name| (*name, *name)).collect();
        let policies = [("fail", WhenMissing::Fail), ("skip", WhenMissing::Skip)];
        for (name, node) in node.members(&["address", "when_missing"], mistakes) {
            match name {
                "address" => address = node.word(&addresses, mistakes),
                _ => when_missing = node.word(&policies, mistakes).unwrap_or(when_missing),
            }
        }
        if !self.fields.ends_with(geoip::FIELDS) {
            self.fields.extend(geoip::FIELDS);
        }
        if mistakes.0.len() > before {
            return None;
        }
        if address.is_none() {
            let remedy = format!("write address: {}", self.format.addresses().join(" or "));
            mistakes.add(node, "the step does not say which field holds the address", remedy);
            return None;
        }
        if self.tables.geoip.is_none() && when_missing == WhenMissing::Fail {
            let remedy = "name one in TIDEGATE_GEOIP_DB, or write when_missing: skip to go on \
                          without places";
            mistakes.add(node, "there is no database", remedy);
        }
        self.tables.geoip.clone().map(|database| Step::Geoip(Geoip::new(database)))
    }
}

#[cfg(test)]
mod tests;
