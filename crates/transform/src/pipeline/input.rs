//! The input of a pipeline, from YAML.

use super::language::{FORMAT, INPUT, OTHER, Object};
use super::yaml::{Mistakes, Node};
use crate::formats::{
    Format, Keys, Open, Pattern, Reader, Regex, Table, Unwrap, Unwrapper, VpcFlow, column_name,
    vpc_field,
};
use crate::scope::{Field, Scope};
use crate::value::Kind;

/// More inputs than anybody tries one after the other, and more columns than a table has.
const INPUTS_LIMIT: usize = 16;
const COLUMNS_LIMIT: usize = 1_024;

/// An input whose readers are still to be told what the rest of the pipeline names.
pub(super) struct Draft {
    pub(super) what: Unwrap,
    /// The slots of what surrounds an event.
    pub(super) around: Vec<usize>,
    pub(super) readers: Vec<Reader>,
    pub(super) names: Vec<String>,
}

pub(super) fn read(node: &Node<'_>, scope: &mut Scope, mistakes: &mut Mistakes) -> Option<Draft> {
    let options = Options::read(node, &INPUT, mistakes);
    let mut what = options.unwrap.unwrap_or(Unwrap::Nothing);
    let inputs = match &options.any_of {
        None => vec![options],
        Some(list) => {
            let items = list.items(mistakes);
            if options.format.is_some() || options.given.iter().any(|(name, _)| *name != "unwrap") {
                mistakes.add(node, "any_of stands beside other options", "write them in its items");
            }
            if items.is_empty() || items.len() > INPUTS_LIMIT {
                let what = format!("these are {} inputs", items.len());
                mistakes.add(list, what, format!("write 1 to {INPUTS_LIMIT}"));
            }
            items.iter().map(|item| Options::read(item, &FORMAT, mistakes)).collect()
        }
    };
    let single = inputs.len() == 1;
    if what == Unwrap::Lines
        && single
        && inputs.iter().any(|input| input.format.is_some_and(is_table))
    {
        what = Unwrap::Rows;
    }
    let around = scope.input(&Unwrapper::fields(what));
    let (mut readers, mut names) = (Vec::new(), Vec::<String>::new());
    for input in &inputs {
        if let Some(reader) = input.reader(what, scope, mistakes) {
            readers.push(reader);
            let name = input.format.map_or("", Format::name);
            let same = names.iter().filter(|known| known.split('#').next() == Some(name)).count();
            names.push(if same == 0 { name.to_owned() } else { format!("{name}#{}", same + 1) });
        }
    }
    (!readers.is_empty()).then_some(Draft { what, around, readers, names })
}

const fn is_table(format: Format) -> bool {
    matches!(format, Format::Csv | Format::Tsv)
}

/// The options of one input, as far as they could be read.
struct Options<'y> {
    node: Node<'y>,
    format: Option<Format>,
    any_of: Option<Node<'y>>,
    unwrap: Option<Unwrap>,
    columns: Option<Node<'y>>,
    header: bool,
    delimiter: u8,
    fields: Vec<(String, Kind)>,
    keep_others: bool,
    keys: Keys,
    flatten: bool,
    pattern: Option<Node<'y>>,
    /// What is there beside the format.
    given: Vec<(&'static str, Node<'y>)>,
}

impl<'y> Options<'y> {
    fn read(node: &Node<'y>, object: &Object, mistakes: &mut Mistakes) -> Self {
        let before = mistakes.0.len();
        let mut options = Self {
            node: node.clone(),
            format: None,
            any_of: None,
            unwrap: None,
            columns: None,
            header: false,
            delimiter: b',',
            fields: Vec::new(),
            keep_others: true,
            keys: Keys::Lower,
            flatten: false,
            pattern: None,
            given: Vec::new(),
        };
        for (name, node) in node.members(&object.names(), mistakes) {
            match name {
                "format" => options.format = node.word(Format::NAMED, mistakes),
                "any_of" => options.any_of = Some(node.clone()),
                "unwrap" => options.unwrap = node.word(Unwrap::NAMED, mistakes),
                "columns" => options.columns = Some(node.clone()),
                "header" => options.header = node.boolean(mistakes).unwrap_or(false),
                "delimiter" => options.delimiter = delimiter(&node, mistakes),
                "fields" => options.fields = kinds(&node, mistakes),
                "other" => options.keep_others = node.word(OTHER, mistakes).unwrap_or(true),
                "keys" => options.keys = node.word(Keys::NAMED, mistakes).unwrap_or(Keys::Lower),
                "flatten" => options.flatten = node.boolean(mistakes).unwrap_or(false),
                _ => options.pattern = Some(node.clone()),
            }
            if !matches!(name, "format" | "any_of") {
                options.given.push((name, node));
            }
        }
        if options.format.is_none() && options.any_of.is_none() && mistakes.0.len() == before {
            let known: Vec<_> = Format::NAMED.iter().map(|(name, _)| *name).collect();
            mistakes.add(node, "there is no format", format!("known are {}", known.join(", ")));
        }
        options
    }

    fn reader(&self, what: Unwrap, scope: &mut Scope, mistakes: &mut Mistakes) -> Option<Reader> {
        let format = self.format?;
        self.refuse_others(format, mistakes);
        Some(match format {
            Format::Csv | Format::Tsv => self.table(format, what, scope, mistakes)?,
            Format::Json | Format::Logfmt => {
                let fields: Vec<_> =
                    self.fields.iter().map(|(name, kind)| Field::new(name, *kind)).collect();
                let slots = scope.input(&fields);
                let declared = self.fields.iter().zip(slots);
                let declared = declared.map(|((name, kind), slot)| (name.clone(), slot, *kind));
                let open = Open::new(declared.collect(), self.keep_others, self.keys);
                scope.open |= self.keep_others;
                match format {
                    Format::Json => Reader::json(open, self.flatten),
                    _ => Reader::Logfmt(open),
                }
            }
            Format::VpcFlow => {
                let fields = match &self.columns {
                    None => format.fields(),
                    Some(node) => {
                        let names = names(node, mistakes);
                        names.iter().map(|name| vpc_field(name)).collect()
                    }
                };
                Reader::VpcFlow(VpcFlow::new(columns(&fields, scope)))
            }
            Format::Pattern => {
                let Some(node) = &self.pattern else {
                    let remedy = "write pattern: '{client} [{time}] {message}'";
                    mistakes.add(&self.node, "there is no pattern", remedy);
                    return None;
                };
                let text = node.text(mistakes)?;
                let (start, parts) = Pattern::parse(&text)
                    .map_err(|(what, remedy)| mistakes.add(node, what, remedy))
                    .ok()?;
                let fields: Vec<_> =
                    parts.iter().map(|(name, kind, _)| Field::new(name, *kind)).collect();
                let slots = scope.input(&fields);
                let parts = slots.into_iter().zip(parts);
                let parts = parts.map(|(slot, (_, kind, after))| (slot, kind, after));
                Reader::Pattern(Pattern::new(start, parts.collect()))
            }
            Format::Regex => self.regex(scope, mistakes)?,
            format => {
                let slots = scope.input(&format.fields());
                Reader::plain(format, slots)?
            }
        })
    }

    fn regex(&self, scope: &mut Scope, mistakes: &mut Mistakes) -> Option<Reader> {
        let Some(node) = &self.pattern else {
            let remedy = r"write pattern: '^(?<client>\S+) (?<message>.*)$'";
            mistakes.add(&self.node, "there is no pattern", remedy);
            return None;
        };
        let text = node.text(mistakes)?;
        let (expression, groups) =
            Regex::parse(&text).map_err(|(what, remedy)| mistakes.add(node, what, remedy)).ok()?;
        if let Some((unknown, _)) =
            self.fields.iter().find(|(name, _)| !groups.iter().any(|(_, group)| group == name))
        {
            let names: Vec<_> = groups.iter().map(|(_, name)| name.as_str()).collect();
            let what = format!("the pattern has no group {unknown:?}");
            mistakes.add(&self.node, what, format!("its groups are {}", names.join(", ")));
        }
        let kind = |name: &str| {
            let declared = self.fields.iter().find(|(field, _)| field == name);
            declared.map_or(Kind::Text, |(_, kind)| *kind)
        };
        let fields: Vec<_> = groups.iter().map(|(_, name)| Field::new(name, kind(name))).collect();
        let slots = scope.input(&fields);
        let groups = groups.into_iter().zip(slots).zip(&fields);
        let groups = groups.map(|(((number, _), slot), field)| (number, slot, field.kind));
        Some(Reader::Regex(Regex::new(expression, groups.collect())))
    }

    fn table(
        &self,
        format: Format,
        what: Unwrap,
        scope: &mut Scope,
        mistakes: &mut Mistakes,
    ) -> Option<Reader> {
        let delimiter = if format == Format::Tsv { b'\t' } else { self.delimiter };
        if self.header {
            if self.columns.is_some() {
                let remedy = "a header that repeats the columns is passed over anyway";
                mistakes.add(&self.node, "there are columns and a header", remedy);
            }
            if what != Unwrap::Rows {
                let remedy = "write unwrap: lines, or columns: [a, b]";
                mistakes.add(&self.node, "a header alone is no record", remedy);
            }
            scope.open = true;
            return Some(Reader::Table(Table::with_header(delimiter, self.keys)));
        }
        let Some(node) = &self.columns else {
            let remedy = "write columns: [a, b], or header: true and unwrap: lines";
            mistakes.add(&self.node, "the columns have no names", remedy);
            return None;
        };
        let fields: Vec<_> = if node.is_list() {
            names(node, mistakes).iter().map(|name| Field::new(name, Kind::Text)).collect()
        } else {
            kinds(node, mistakes).iter().map(|(name, kind)| Field::new(name, *kind)).collect()
        };
        Some(Reader::Table(Table::named(delimiter, columns(&fields, scope))))
    }

    /// An option that the format does not have would do nothing.
    fn refuse_others(&self, format: Format, mistakes: &mut Mistakes) {
        let own: &[&str] = match format {
            Format::Csv => &["columns", "header", "delimiter", "keys"],
            Format::Tsv => &["columns", "header", "keys"],
            Format::Json => &["fields", "other", "keys", "flatten"],
            Format::Logfmt => &["fields", "other", "keys"],
            Format::VpcFlow => &["columns"],
            Format::Pattern => &["pattern"],
            Format::Regex => &["pattern", "fields"],
            _ => &[],
        };
        for (name, node) in &self.given {
            if *name != "unwrap" && !own.contains(name) {
                let remedy = if own.is_empty() {
                    "it has no options".to_owned()
                } else {
                    format!("its own are {}", own.join(", "))
                };
                mistakes.add(node, format!("{} has no such option", format.name()), remedy);
            }
        }
    }
}

fn columns(fields: &[Field], scope: &mut Scope) -> Vec<(String, usize, Kind)> {
    let slots = scope.input(fields);
    fields.iter().zip(slots).map(|(f, slot)| (f.name.clone(), slot, f.kind)).collect()
}

fn delimiter(node: &Node<'_>, mistakes: &mut Mistakes) -> u8 {
    match node.text(mistakes).as_deref().map(str::as_bytes) {
        Some([byte]) if byte.is_ascii() && !matches!(byte, b'"' | b'\n' | b'\r') => *byte,
        Some(_) => {
            mistakes.add(node, "this is not one character of ASCII", "such as \";\"");
            b','
        }
        None => b',',
    }
}

/// A list of names, each once.
fn names(node: &Node<'_>, mistakes: &mut Mistakes) -> Vec<String> {
    let names: Vec<_> = node
        .items(mistakes)
        .iter()
        .filter_map(|item| {
            let name = item.text(mistakes)?;
            Some((column_name(&name.replace(['$', '{', '}'], "")), item.clone()))
        })
        .collect();
    once(node, names, mistakes)
}

/// A mapping from names to kinds, each name once.
fn kinds(node: &Node<'_>, mistakes: &mut Mistakes) -> Vec<(String, Kind)> {
    let mut kinds = Vec::new();
    let mut named = Vec::new();
    for (name, node) in node.pairs(mistakes) {
        if let Some(kind) = node.word(Kind::NAMED, mistakes) {
            named.push((name.clone(), node));
            kinds.push((name, kind));
        }
    }
    once(node, named, mistakes);
    kinds
}

fn once(node: &Node<'_>, named: Vec<(String, Node<'_>)>, mistakes: &mut Mistakes) -> Vec<String> {
    if named.is_empty() || named.len() > COLUMNS_LIMIT {
        let what = format!("these are {} names", named.len());
        mistakes.add(node, what, format!("write 1 to {COLUMNS_LIMIT}"));
    }
    let mut names = Vec::new();
    for (name, node) in named {
        if names.contains(&name) {
            mistakes.add(&node, format!("{name:?} is there twice"), "give each its own name");
        }
        names.push(name);
    }
    names
}
