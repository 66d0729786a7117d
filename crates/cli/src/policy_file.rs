//! The policy as a file: YAML, in which every setting may be left out. Each mistake is told with its
//! line and what to write instead.
//!
//! ```yaml
//! min_shards: 2
//! max_shards: 64
//! missing_iterator_age: hold
//! tuning:
//!   missing_price: 40
//! ```

use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::{Context, bail, ensure};
use saphyr::{LoadableYamlNode, MarkedYaml, Scalar, YamlData};
use serde_json::{Map, Value};
use tidegate_autoscaler::limits::MAX_SHARDS;
use tidegate_autoscaler::policy::{HotShards, MissingIteratorAge, Policy, Tuning};
use tidegate_autoscaler::tuning::RANGES;

const MIN_SHARDS: &str = "min_shards";
const MAX_SHARDS_KEY: &str = "max_shards";
const MISSING_ITERATOR_AGE: &str = "missing_iterator_age";
const HOT_SHARDS: &str = "hot_shards";
const TUNING: &str = "tuning";

const AGES: [(&str, MissingIteratorAge); 2] =
    [("hold", MissingIteratorAge::Hold), ("allow", MissingIteratorAge::Allow)];
const HOT: [(&str, HotShards); 3] =
    [("split", HotShards::Split), ("report", HotShards::Report), ("off", HotShards::Off)];

/// A policy is a few lines: more than this is another kind of file.
const LIMIT_BYTES: u64 = 64 << 10;

/// Reads a file.
pub fn read(path: &Path) -> anyhow::Result<Policy> {
    let shown = path.display();
    let cannot = || format!("{shown} cannot be read");
    if fs::metadata(path).with_context(cannot)?.len() > LIMIT_BYTES {
        bail!("{shown} is larger than {LIMIT_BYTES} bytes: is it a policy file?");
    }
    let text = fs::read_to_string(path).with_context(cannot)?;
    parse(&text).map_err(|mistakes| {
        anyhow::anyhow!("{shown} is not a policy that can be used: {}", mistakes.join("; "))
    })
}

/// Reads the text of a file, or says all that is wrong with it.
pub fn parse(text: &str) -> Result<Policy, Vec<String>> {
    let documents = MarkedYaml::load_from_str(text).map_err(|error| {
        vec![format!("line {}: not YAML: {}", error.marker().line(), error.info())]
    })?;
    let mut reader = Reader::default();
    let mut policy = Policy::default();
    match documents.as_slice() {
        // Nothing but comments: all defaults.
        [] => {}
        [document] => reader.policy(document, &mut policy),
        _ => reader.mistakes.push("write one policy a file, without --- between".to_owned()),
    }
    if reader.mistakes.is_empty() {
        reader.mistakes.extend(check(&policy).err().map(|error| error.to_string()));
    }
    if reader.mistakes.is_empty() { Ok(policy) } else { Err(reader.mistakes) }
}

/// Whether a policy can be used, wherever it came from.
pub fn check(policy: &Policy) -> anyhow::Result<()> {
    let Policy { min_shards, max_shards, .. } = *policy;
    for (name, count) in [(MIN_SHARDS, min_shards), (MAX_SHARDS_KEY, max_shards)] {
        ensure!((1..=MAX_SHARDS).contains(&count), "{name} must be from 1 to {MAX_SHARDS}");
    }
    ensure!(
        min_shards <= max_shards,
        "{MIN_SHARDS} is {min_shards} and {MAX_SHARDS_KEY} {max_shards}: the first must not be \
         above the second"
    );
    Ok(policy.tuning.validate()?)
}

/// The file of a policy, with all its settings.
pub fn text(policy: &Policy) -> String {
    fn word<T: PartialEq>(words: &[(&'static str, T)], value: &T) -> &'static str {
        words.iter().find(|(_, known)| known == value).map_or("", |(word, _)| word)
    }
    let mut text = format!(
        "{MIN_SHARDS}: {}\n{MAX_SHARDS_KEY}: {}\n{MISSING_ITERATOR_AGE}: {}\n{HOT_SHARDS}: {}\n\
         {TUNING}:\n",
        policy.min_shards,
        policy.max_shards,
        word(&AGES, &policy.missing_iterator_age),
        word(&HOT, &policy.hot_shards),
    );
    for ((name, _, _), value) in RANGES.iter().zip(policy.tuning.values()) {
        let _ = writeln!(text, "  {name}: {value}");
    }
    text
}

/// Collects what is wrong.
#[derive(Default)]
struct Reader {
    mistakes: Vec<String>,
}

impl Reader {
    fn wrong(&mut self, line: usize, what: impl std::fmt::Display) {
        self.mistakes.push(format!("line {line}: {what}"));
    }

    fn policy(&mut self, document: &MarkedYaml<'_>, policy: &mut Policy) {
        let known = [MIN_SHARDS, MAX_SHARDS_KEY, MISSING_ITERATOR_AGE, HOT_SHARDS, TUNING];
        for (key, line, value) in self.members(document, "", &known) {
            match key {
                MIN_SHARDS => {
                    policy.min_shards =
                        self.number(key, line, value, (1, MAX_SHARDS), policy.min_shards);
                }
                MAX_SHARDS_KEY => {
                    policy.max_shards =
                        self.number(key, line, value, (1, MAX_SHARDS), policy.max_shards);
                }
                MISSING_ITERATOR_AGE => {
                    let age = self.word(key, line, value, &AGES);
                    policy.missing_iterator_age = age.unwrap_or(policy.missing_iterator_age);
                }
                HOT_SHARDS => {
                    let hot = self.word(key, line, value, &HOT);
                    policy.hot_shards = hot.unwrap_or(policy.hot_shards);
                }
                _ => policy.tuning = self.tuning(value),
            }
        }
    }

    fn tuning(&mut self, node: &MarkedYaml<'_>) -> Tuning {
        let known = RANGES.map(|(name, _, _)| name);
        let mut values = Map::new();
        for (key, line, value) in self.members(node, "tuning.", &known) {
            let range = RANGES.iter().find(|(name, _, _)| *name == key);
            let (least, most) = range.map_or((0, 0), |(_, least, most)| (*least, *most));
            let number = self.number(key, line, value, (least, most), least);
            values.insert(key.to_owned(), number.into());
        }
        serde_json::from_value(Value::Object(values)).unwrap_or_default()
    }

    /// The members of a mapping that have a known name, with their lines.
    fn members<'y, 'k>(
        &mut self,
        node: &'y MarkedYaml<'y>,
        path: &str,
        known: &[&'k str],
    ) -> Vec<(&'k str, usize, &'y MarkedYaml<'y>)> {
        let names = known.join(", ");
        let mapping = match &node.data {
            YamlData::Mapping(mapping) => mapping,
            YamlData::Value(Scalar::Null) => return Vec::new(),
            _ => {
                let line = node.span.start.line();
                self.wrong(line, format_args!("write settings as `name: value`, of {names}"));
                return Vec::new();
            }
        };
        let mut members = Vec::new();
        for (key, value) in mapping {
            let line = key.span.start.line();
            let name = match &key.data {
                YamlData::Value(Scalar::String(name)) => &**name,
                _ => "a name that is not text",
            };
            match known.iter().find(|known| **known == name) {
                Some(known) => members.push((*known, line, value)),
                None => {
                    self.wrong(line, format_args!("{path}{name} is no setting: known are {names}"))
                }
            }
        }
        members
    }

    /// A whole number of a range; `otherwise` where it is none.
    fn number(
        &mut self,
        key: &str,
        line: usize,
        value: &MarkedYaml<'_>,
        (least, most): (u32, u32),
        otherwise: u32,
    ) -> u32 {
        let number = match &value.data {
            YamlData::Value(Scalar::Integer(number)) => u32::try_from(*number).ok(),
            _ => None,
        };
        number.filter(|number| (least..=most).contains(number)).unwrap_or_else(|| {
            self.wrong(line, format_args!("{key} must be a whole number from {least} to {most}"));
            otherwise
        })
    }

    /// One of a few words.
    fn word<T: Copy>(
        &mut self,
        key: &str,
        line: usize,
        value: &MarkedYaml<'_>,
        words: &[(&str, T)],
    ) -> Option<T> {
        let word = match &value.data {
            YamlData::Value(Scalar::String(word)) => &**word,
            _ => "",
        };
        let found = words.iter().find(|(known, _)| *known == word).map(|(_, value)| *value);
        if found.is_none() {
            let known: Vec<_> = words.iter().map(|(word, _)| *word).collect();
            self.wrong(line, format_args!("{key} must be {}", known.join(" or ")));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let policy = Policy {
            min_shards: 2,
            max_shards: 64,
            missing_iterator_age: MissingIteratorAge::Allow,
            hot_shards: HotShards::Split,
            tuning: Tuning { missing_price: 40, ..Tuning::default() },
            ..Policy::default()
        };
        assert_eq!(parse(&text(&policy)), Ok(policy));
        for nothing in ["", "# all defaults\n", "tuning:\n"] {
            assert_eq!(parse(nothing), Ok(Policy::default()), "{nothing:?}");
        }
        let json = r#"{"min_shards": 3, "tuning": {"missing_price": 40}}"#;
        assert_eq!(
            parse(json).map(|policy| (policy.min_shards, policy.tuning.missing_price)),
            Ok((3, 40))
        );
    }

    #[test]
    fn every_setting_is_described_with_its_range() {
        let page = include_str!("../../../docs/src/tune.md");
        for (name, least, most) in RANGES {
            let row = format!("| `tuning.{name}` | {least} to {most} |");
            assert!(page.contains(&row), "docs/src/tune.md has no row {row:?}");
        }
    }

    #[test]
    fn mistakes_are_named_with_their_line_and_the_remedy() {
        let cases = [
            ("min_shard: 2", "line 1: min_shard is no setting: known are min_shards, max_shards"),
            ("min_shards: 0", "line 1: min_shards must be a whole number from 1 to 10000"),
            ("max_shards: 4.5", "line 1: max_shards must be a whole number from 1 to 10000"),
            ("\nmissing_iterator_age: 3", "line 2: missing_iterator_age must be hold or allow"),
            ("tuning:\n  missing_price: -1", "line 2: missing_price must be a whole number from 1"),
            (
                "tuning:\n  missing_prize: 4",
                "line 2: tuning.missing_prize is no setting: known are ",
            ),
            ("hot_shards: on", "line 1: hot_shards must be split or report or off"),
            ("tuning: fast", "line 1: write settings as `name: value`, of "),
            ("- 3", "line 1: write settings as `name: value`, of min_shards"),
            ("min_shards: 9\nmax_shards: 3", "min_shards is 9 and max_shards 3"),
            ("min_shards: 1\n---\nmin_shards: 2", "one policy a file"),
            ("min_shards: [", "not YAML"),
        ];
        for (text, message) in cases {
            let mistakes = parse(text).unwrap_err();
            assert!(mistakes.len() == 1 && mistakes[0].contains(message), "{text:?}: {mistakes:?}");
        }
        assert_eq!(parse("a: 1\nmin_shards: 0\ntuning: {b: 2}").unwrap_err().len(), 3);
    }
}
