//! Reading YAML with the place of every node at hand, so that mistakes can name their line and
//! one mistake does not hide the next.

use saphyr::{LoadableYamlNode, MarkedYaml, Scalar, YamlData};

use super::Mistake;

/// A pipeline is written by hand: more than this is another kind of file.
const PIPELINE_LIMIT_BYTES: usize = 256 << 10;

/// A node and where it is.
#[derive(Clone)]
pub(super) struct Node<'y> {
    data: &'y YamlData<'y, MarkedYaml<'y>>,
    line: usize,
    path: String,
}

/// The mistakes found so far.
#[derive(Default)]
pub(super) struct Mistakes(pub(super) Vec<Mistake>);

impl Mistakes {
    pub(super) fn add(
        &mut self,
        node: &Node<'_>,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.0.push(Mistake {
            line: node.line,
            path: node.path.clone(),
            what: what.into(),
            remedy: remedy.into(),
        });
    }
}

/// Loads the one document of a text.
pub(super) fn load(yaml: &str) -> Result<MarkedYaml<'_>, Mistake> {
    let mistake = |line: usize, what: String, remedy: &str| Mistake {
        line,
        path: String::new(),
        what,
        remedy: remedy.to_owned(),
    };
    if yaml.len() > PIPELINE_LIMIT_BYTES {
        let what = format!("it has {} bytes, more than {PIPELINE_LIMIT_BYTES}", yaml.len());
        return Err(mistake(1, what, "is this the right file?"));
    }
    let mut documents = MarkedYaml::load_from_str(yaml).map_err(|error| {
        let remedy = "put an expression that begins with ! or \", or holds a colon and a space or \
                      a # after a space, in single quotes: keep: '!path.startsWith(\"/health\")'";
        mistake(error.marker().line(), format!("not YAML: {}", error.info()), remedy)
    })?;
    match (documents.pop(), documents.pop()) {
        (Some(document), None) => Ok(document),
        (None, _) => Err(mistake(1, "it is empty".to_owned(), "name at least the input's format")),
        (Some(_), Some(_)) => Err(mistake(
            1,
            "it holds several documents".to_owned(),
            "write one pipeline a file, without --- between",
        )),
    }
}

fn json<'y>(data: &YamlData<'y, MarkedYaml<'y>>) -> serde_json::Value {
    match data {
        YamlData::Value(Scalar::String(text)) => text.to_string().into(),
        YamlData::Value(Scalar::Boolean(value)) => (*value).into(),
        YamlData::Value(Scalar::Integer(value)) => (*value).into(),
        YamlData::Value(Scalar::FloatingPoint(value)) => value.into_inner().into(),
        YamlData::Sequence(items) => items.iter().map(|item| json(&item.data)).collect(),
        YamlData::Mapping(members) => {
            let name = |key: &MarkedYaml<'_>| match json(&key.data) {
                serde_json::Value::String(name) => name,
                other => other.to_string(),
            };
            members.iter().map(|(key, value)| (name(key), json(&value.data))).collect()
        }
        _ => serde_json::Value::Null,
    }
}

impl<'y> Node<'y> {
    pub(super) fn root(document: &'y MarkedYaml<'y>) -> Self {
        Self { data: &document.data, line: document.span.start.line(), path: String::new() }
    }

    pub(super) fn is_mapping(&self) -> bool {
        matches!(self.data, YamlData::Mapping(_))
    }

    /// The line, from 1 on.
    pub(super) fn line(&self) -> usize {
        self.line
    }

    pub(super) fn is_list(&self) -> bool {
        matches!(self.data, YamlData::Sequence(_))
    }

    /// The members of a mapping whose names are the user's own.
    pub(super) fn pairs(&self, mistakes: &mut Mistakes) -> Vec<(String, Node<'y>)> {
        let YamlData::Mapping(mapping) = self.data else {
            mistakes.add(self, "this is not a mapping", "write name: value");
            return Vec::new();
        };
        let mut pairs = Vec::new();
        for (key, value) in mapping {
            let line = key.span.start.line();
            let own = Node { data: &key.data, line, path: self.path.clone() };
            if let Some(name) = own.text(mistakes) {
                let path = format!("{}.{name}", self.path);
                pairs.push((name, Node { data: &value.data, line, path }));
            }
        }
        pairs
    }

    /// A number within bounds.
    pub(super) fn number(&self, from: f64, to: f64, mistakes: &mut Mistakes) -> Option<f64> {
        let number = match self.data {
            YamlData::Value(Scalar::Integer(value)) => Some(*value as f64),
            YamlData::Value(Scalar::FloatingPoint(value)) => Some(value.into_inner()),
            _ => None,
        };
        let number = number.filter(|number| (from..=to).contains(number));
        if number.is_none() {
            mistakes.add(self, "this is no such number", format!("write one from {from} to {to}"));
        }
        number
    }

    /// `true` or `false`.
    pub(super) fn boolean(&self, mistakes: &mut Mistakes) -> Option<bool> {
        self.word(&[("true", true), ("false", false)], mistakes)
    }

    /// Anything, as JSON; a tag is none of it.
    pub(super) fn json(&self) -> serde_json::Value {
        json(self.data)
    }

    /// The members of a mapping that have one of the known names.
    pub(super) fn members<'k>(
        &self,
        known: &[&'k str],
        mistakes: &mut Mistakes,
    ) -> Vec<(&'k str, Node<'y>)> {
        let YamlData::Mapping(mapping) = self.data else {
            let names = known.join(", ");
            mistakes.add(self, "this is not a mapping", format!("write key: value, of {names}"));
            return Vec::new();
        };
        let mut members = Vec::new();
        for (key, value) in mapping {
            let name = match &key.data {
                YamlData::Value(Scalar::String(name)) => &**name,
                _ => "a key that is not text",
            };
            let path = if self.path.is_empty() {
                name.to_owned()
            } else {
                format!("{}.{name}", self.path)
            };
            let node = Node { data: &value.data, line: key.span.start.line(), path };
            match known.iter().find(|known| **known == name) {
                Some(known) => members.push((*known, node)),
                None => {
                    let names = known.join(", ");
                    mistakes.add(&node, "this means nothing here", format!("known are {names}"));
                }
            }
        }
        members
    }

    /// The items of a list.
    pub(super) fn items(&self, mistakes: &mut Mistakes) -> Vec<Node<'y>> {
        let YamlData::Sequence(items) = self.data else {
            mistakes.add(self, "this is not a list", "begin each item with - on a line of its own");
            return Vec::new();
        };
        let node = |(index, item): (usize, &'y MarkedYaml<'y>)| Node {
            data: &item.data,
            line: item.span.start.line(),
            path: format!("{}[{index}]", self.path),
        };
        items.iter().enumerate().map(node).collect()
    }

    /// A scalar as text.
    pub(super) fn text(&self, mistakes: &mut Mistakes) -> Option<String> {
        match self.data {
            YamlData::Value(Scalar::String(text)) => Some(text.to_string()),
            YamlData::Value(Scalar::Boolean(value)) => Some(value.to_string()),
            YamlData::Value(Scalar::Integer(value)) => Some(value.to_string()),
            YamlData::Value(Scalar::FloatingPoint(value)) => Some(value.to_string()),
            YamlData::Value(Scalar::Null) => {
                mistakes.add(self, "there is no value", "write one");
                None
            }
            YamlData::Tagged(..) => {
                let remedy = "YAML takes a leading ! for a tag: put the text in single quotes";
                mistakes.add(self, "this is a tag, not text", remedy);
                None
            }
            _ => {
                mistakes.add(self, "this is not text", "write one line of text");
                None
            }
        }
    }

    /// One of a few words.
    pub(super) fn word<T: Copy>(&self, words: &[(&str, T)], mistakes: &mut Mistakes) -> Option<T> {
        let text = self.text(mistakes)?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            let known: Vec<_> = words.iter().map(|(word, _)| *word).collect();
            let remedy = format!("known are {}", known.join(", "));
            mistakes.add(self, format!("{text:?} means nothing here"), remedy);
        }
        found
    }
}
