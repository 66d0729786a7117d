//! The steps of a pipeline, from YAML.

use super::Tables;
use super::language::{
    GEOIP, LOOKUP, REDACT, REDACTION, SAMPLE, STEP, TIMESTAMP, USER_AGENT, WHEN_MISSING,
    WITHOUT_ROW, WhenMissing,
};
use super::yaml::{Mistakes, Node};
use crate::formats::column_name;
use crate::moment::TimeFormat;
use crate::scope::{Field, Known, Scope};
use crate::steps::Step;
use crate::steps::cast::Cast;
use crate::steps::filter::{Filter, Verdict};
use crate::steps::geoip::{Database, Entry, Geoip};
use crate::steps::lookup::{self, Cell, Lookup};
use crate::steps::redact::{How, Redact};
use crate::steps::sample::Sample;
use crate::steps::set::Set;
use crate::steps::timestamp::Timestamp;
use crate::steps::user_agent::{self, UserAgent};
use crate::value::Kind;

/// More steps than anybody needs.
const STEPS_LIMIT: usize = 64;

/// The steps in the making.
pub(super) struct Steps<'p> {
    /// The fields that a record can have at this point.
    pub(super) scope: &'p mut Scope,
    pub(super) tables: &'p Tables,
}

impl Steps<'_> {
    pub(super) fn read(mut self, node: &Node<'_>, mistakes: &mut Mistakes) -> Vec<Step> {
        let items = node.items(mistakes);
        if items.len() > STEPS_LIMIT {
            let what = format!("these are {} steps", items.len());
            mistakes.add(node, what, format!("{STEPS_LIMIT} are the most: join expressions"));
            return Vec::new();
        }
        let mut steps = Vec::new();
        items.iter().for_each(|item| self.step(item, &mut steps, mistakes));
        steps
    }

    fn step(&mut self, node: &Node<'_>, steps: &mut Vec<Step>, mistakes: &mut Mistakes) {
        let before = mistakes.0.len();
        let kinds = STEP.names();
        let mut members = node.members(&kinds, mistakes);
        let (Some((kind, value)), true) = (members.pop(), members.is_empty()) else {
            if mistakes.0.len() == before {
                let remedy = format!("write one of {} each, each with its own -", kinds.join(", "));
                mistakes.add(node, "a step has exactly one key", remedy);
            }
            return;
        };
        match kind {
            "keep" => steps.extend(self.filter(Verdict::Keep, &value, mistakes)),
            "drop" => steps.extend(self.filter(Verdict::Drop, &value, mistakes)),
            "geoip" => {
                let database = self.tables.geoip.clone();
                let variable = "TIDEGATE_GEOIP_DB";
                steps.extend(self.address(&value, database, variable, mistakes).map(Step::Geoip));
            }
            "asn" => {
                let database = self.tables.asn.clone();
                let variable = "TIDEGATE_ASN_DB";
                steps.extend(self.address(&value, database, variable, mistakes).map(Step::Asn));
            }
            "user_agent" => steps.extend(self.user_agent(&value, mistakes)),
            "lookup" => steps.extend(self.lookup(&value, mistakes)),
            "timestamp" => steps.extend(self.timestamp(&value, mistakes)),
            "set" => self.set(&value, steps, mistakes),
            "rename" => self.rename(&value, mistakes),
            "remove" => {
                for item in value.items(mistakes) {
                    if let Some(known) = self.field(&item, mistakes) {
                        self.scope.remove(&known.field.name);
                    }
                }
            }
            "cast" => self.cast(&value, steps, mistakes),
            "redact" => steps.extend(self.redact(&value, mistakes)),
            _ => steps.extend(self.sample(&value, mistakes)),
        }
    }

    /// A field that is known here.
    fn field(&mut self, node: &Node<'_>, mistakes: &mut Mistakes) -> Option<Known> {
        let name = node.text(mistakes)?;
        let known = self.scope.find(&name);
        if known.is_none() {
            let remedy = format!("there are {}", self.scope.names().join(", "));
            mistakes.add(node, format!("there is no field {name:?} here"), remedy);
        }
        known
    }

    /// The name of a field that a step makes.
    fn name(node: &Node<'_>, name: &str, mistakes: &mut Mistakes) {
        if name.is_empty() || column_name(name) != name {
            let remedy = "write lower-case letters, digits and _, as columns have them";
            mistakes.add(node, format!("{name:?} is no name of a field"), remedy);
        }
    }

    fn filter(
        &mut self,
        verdict: Verdict,
        node: &Node<'_>,
        mistakes: &mut Mistakes,
    ) -> Option<Step> {
        let expression = node.text(mistakes)?;
        match Filter::compile(verdict, &expression, self.scope) {
            Ok(filter) => Some(Step::Filter(filter)),
            Err(wrong) => {
                wrong.into_iter().for_each(|(what, remedy)| mistakes.add(node, what, remedy));
                None
            }
        }
    }

    fn address<E: Entry>(
        &mut self,
        node: &Node<'_>,
        database: Option<Database>,
        variable: &str,
        mistakes: &mut Mistakes,
    ) -> Option<Geoip<E>> {
        let before = mistakes.0.len();
        let (mut address, mut when_missing) = (None, WhenMissing::Fail);
        for (name, node) in node.members(&GEOIP.names(), mistakes) {
            match name {
                "address" => address = self.field(&node, mistakes),
                _ => when_missing = node.word(WHEN_MISSING, mistakes).unwrap_or(when_missing),
            }
        }
        let mut define = |(name, kind): &(&str, Kind)| self.scope.define(Field::new(name, *kind));
        let into = E::FIELDS.iter().map(&mut define).collect();
        if mistakes.0.len() > before {
            return None;
        }
        let Some(address) = address else {
            let remedy = "write address: and the name of a field, such as client";
            mistakes.add(node, "the step does not say which field holds the address", remedy);
            return None;
        };
        if database.is_none() && when_missing == WhenMissing::Fail {
            let remedy =
                format!("name one in {variable}, or write when_missing: skip to go on without");
            mistakes.add(node, "there is no database", remedy);
        }
        database.map(|database| Geoip::new(database, address.slot, into))
    }

    fn user_agent(&mut self, node: &Node<'_>, mistakes: &mut Mistakes) -> Option<Step> {
        let mut field = None;
        for (_, node) in node.members(&USER_AGENT.names(), mistakes) {
            field = self.field(&node, mistakes);
        }
        let mut define = |(name, kind): &(&str, Kind)| self.scope.define(Field::new(name, *kind));
        let into = user_agent::FIELDS.iter().map(&mut define).collect();
        let field = required(field, "field: user_agent", node, mistakes)?;
        Some(Step::UserAgent(UserAgent::new(field.slot, into)))
    }

    fn lookup(&mut self, node: &Node<'_>, mistakes: &mut Mistakes) -> Option<Step> {
        let (mut field, mut table, mut key, mut into) = (None, None, None, None);
        let (mut columns, mut map, mut must) = (Vec::new(), None, false);
        for (name, node) in node.members(&LOOKUP.names(), mistakes) {
            match name {
                "field" => field = self.field(&node, mistakes),
                "table" => table = node.text(mistakes).map(|table| (table, node)),
                "key" => key = node.text(mistakes),
                "add" => {
                    for (column, node) in node.pairs(mistakes) {
                        let Some(name) = node.text(mistakes) else { continue };
                        Self::name(&node, &name, mistakes);
                        columns.push((column, name));
                    }
                }
                "map" => map = Some(cells(&node, mistakes)),
                "into" => {
                    into = node.text(mistakes);
                    into.iter().for_each(|name| Self::name(&node, name, mistakes));
                }
                _ => must = node.word(WITHOUT_ROW, mistakes).unwrap_or(false),
            }
        }
        let kind = kind_of(map.as_deref());
        let (columns, names): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
        let kinds = names.iter().map(|name| (name, Kind::Text));
        let targets: Vec<_> = kinds.chain(into.iter().map(|name| (name, kind))).collect();
        let slots: Vec<_> = targets
            .into_iter()
            .map(|(name, kind)| self.scope.define(Field::new(name, kind)))
            .collect();
        let field = required(field, "field: and the field to look up", node, mistakes)?;
        let rows = match (table, key, map, &into) {
            (Some((table, node)), Some(key), None, None) if !columns.is_empty() => {
                let Some(bytes) = self.tables.files.get(&table) else {
                    let what = format!("the table {table:?} was not found");
                    mistakes.add(&node, what, "name a file that is there when the function starts");
                    return None;
                };
                lookup::read((**bytes).as_ref(), &key, &columns)
                    .map_err(|(what, remedy)| mistakes.add(&node, what, remedy))
                    .ok()?
            }
            (None, None, Some(pairs), Some(_)) if columns.is_empty() => lookup::inline(pairs),
            _ => {
                let remedy = "write table, key and add, or map and into";
                mistakes.add(node, "the step does not say what is added", remedy);
                return None;
            }
        };
        Some(Step::Lookup(Lookup::new(field.slot, rows, slots, must)))
    }

    fn timestamp(&mut self, node: &Node<'_>, mistakes: &mut Mistakes) -> Option<Step> {
        let (mut field, mut formats) = (None, Vec::new());
        for (name, node) in node.members(&TIMESTAMP.names(), mistakes) {
            if name == "field" {
                field = self.field(&node, mistakes);
                continue;
            }
            for item in node.items(mistakes) {
                let Some(text) = item.text(mistakes) else { continue };
                match TimeFormat::NAMED.iter().find(|(known, _)| *known == text) {
                    Some((_, format)) => formats.push(format.clone()),
                    None if text.contains('%') => formats.push(TimeFormat::Strptime(text)),
                    None => {
                        let known: Vec<_> = TimeFormat::NAMED.iter().map(|(n, _)| *n).collect();
                        let remedy = format!("known are {}, or a pattern with %", known.join(", "));
                        mistakes.add(&item, format!("{text:?} means nothing here"), remedy);
                    }
                }
            }
        }
        if formats.is_empty() {
            formats.push(TimeFormat::Iso8601);
        }
        let field = required(field, "field: and the field with the time", node, mistakes)?;
        self.scope.define(Field { kind: Kind::Timestamp, ..field.field });
        Some(Step::Timestamp(Timestamp::new(field.slot, formats)))
    }

    fn set(&mut self, node: &Node<'_>, steps: &mut Vec<Step>, mistakes: &mut Mistakes) {
        for (name, node) in node.pairs(mistakes) {
            Self::name(&node, &name, mistakes);
            let Some(expression) = node.text(mistakes) else { continue };
            match Set::compile(&name, &expression, self.scope) {
                Ok(set) => steps.push(Step::Set(set)),
                Err(wrong) => {
                    wrong.into_iter().for_each(|(what, remedy)| mistakes.add(&node, what, remedy));
                    self.scope.define(Field::new(&name, Kind::Any));
                }
            }
        }
    }

    fn rename(&mut self, node: &Node<'_>, mistakes: &mut Mistakes) {
        for (from, node) in node.pairs(mistakes) {
            let Some(to) = node.text(mistakes) else { continue };
            Self::name(&node, &to, mistakes);
            if self.scope.find(&from).is_none() {
                let remedy = format!("there are {}", self.scope.names().join(", "));
                mistakes.add(&node, format!("there is no field {from:?} here"), remedy);
            } else if self.scope.get(&to).is_some() {
                let remedy = "remove it first, or choose another name";
                mistakes.add(&node, format!("there is a field {to:?} already"), remedy);
            } else {
                self.scope.rename(&from, &to);
            }
        }
    }

    fn cast(&mut self, node: &Node<'_>, steps: &mut Vec<Step>, mistakes: &mut Mistakes) {
        for (name, node) in node.pairs(mistakes) {
            let kind = node.word(Kind::NAMED, mistakes);
            let Some(known) = self.scope.find(&name) else {
                let remedy = format!("there are {}", self.scope.names().join(", "));
                mistakes.add(&node, format!("there is no field {name:?} here"), remedy);
                continue;
            };
            if let Some(kind) = kind {
                self.scope.define(Field { kind, ..known.field });
                steps.push(Step::Cast(Cast::new(known.slot, kind)));
            }
        }
    }

    fn redact(&mut self, node: &Node<'_>, mistakes: &mut Mistakes) -> Option<Step> {
        let before = mistakes.0.len();
        let (mut field, mut how, mut key, mut keep_last) = (None, None, None, None);
        for (name, node) in node.members(&REDACTION.names(), mistakes) {
            match name {
                "field" => field = self.field(&node, mistakes),
                "how" => how = node.word(REDACT, mistakes),
                "key" => key = node.text(mistakes),
                _ => keep_last = node.number(0.0, 1_000.0, mistakes),
            }
        }
        let field = required(field, "field: and the field to hide", node, mistakes)?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 1,000")]
        let how = match (how, key, keep_last) {
            (Some("hash"), Some(key), None) if !key.is_empty() => How::Hash(key.into_bytes()),
            (Some("mask"), None, keep) => How::Mask(keep.unwrap_or(0.0) as usize),
            (Some("truncate"), None, None) => How::Truncate,
            _ if mistakes.0.len() > before => return None,
            _ => {
                let remedy = "write how: hash with a key, how: mask with or without keep_last, or \
                              how: truncate";
                mistakes.add(node, "these options do not go together", remedy);
                return None;
            }
        };
        self.scope.define(Field { kind: Kind::Text, ..field.field });
        Some(Step::Redact(Redact::new(field.slot, how)))
    }

    fn sample(&mut self, node: &Node<'_>, mistakes: &mut Mistakes) -> Option<Step> {
        let (mut percent, mut by) = (None, None);
        for (name, node) in node.members(&SAMPLE.names(), mistakes) {
            match name {
                "percent" => percent = node.number(0.0, 100.0, mistakes),
                _ => by = self.field(&node, mistakes),
            }
        }
        let percent = required(percent, "percent: and a number", node, mistakes)?;
        let by = required(by, "by: and the field that decides", node, mistakes)?;
        Some(Step::Sample(Sample::new(percent / 100.0, by.slot)))
    }
}

/// A member that must be there; one that is there and wrong was reported already.
fn required<T>(
    value: Option<T>,
    remedy: &str,
    node: &Node<'_>,
    mistakes: &mut Mistakes,
) -> Option<T> {
    let name = remedy.split(':').next().unwrap_or(remedy);
    if value.is_none() && node.is_mapping() && node.json().get(name).is_none() {
        mistakes.add(node, format!("there is no {name}"), format!("write {remedy}"));
    }
    value
}

/// The pairs of a table in the pipeline.
fn cells(node: &Node<'_>, mistakes: &mut Mistakes) -> Vec<(String, Cell)> {
    let pairs = node.pairs(mistakes);
    pairs.iter().map(|(key, node)| (key.clone(), Cell::from_json(&node.json()))).collect()
}

/// The kind that all values of a table have.
fn kind_of(pairs: Option<&[(String, Cell)]>) -> Kind {
    let mut kinds = pairs.unwrap_or_default().iter().map(|(_, cell)| cell.kind());
    match kinds.next() {
        Some(first) if kinds.all(|kind| kind == first) => first,
        _ => Kind::Any,
    }
}
