//! The fields of a JSON object that are asked for. The others are passed over: a line has many, and
//! its key is one of them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use memchr::memchr;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Why there is no record: a stable word, and a sentence.
pub type Refusal = (&'static str, String);

/// The names of the fields.
#[derive(Debug, Default)]
pub struct Wanted(Vec<String>);

/// What a line has of them.
#[derive(Debug)]
pub struct Fields<'w, 'l> {
    wanted: &'w Wanted,
    /// As they are written.
    values: Vec<Option<&'l RawValue>>,
    /// Whether the object has any field.
    pub is_empty: bool,
}

#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl Wanted {
    /// One more.
    pub fn add(&mut self, name: &str) {
        if !self.0.iter().any(|known| known == name) {
            self.0.push(name.to_owned());
        }
    }

    /// Reads a line.
    pub fn read<'l>(&self, line: &'l [u8]) -> Result<Fields<'_, 'l>, Refusal> {
        let text = std::str::from_utf8(line).map_err(|error| no_object(&error))?;
        let mut json = serde_json::Deserializer::from_str(text);
        let fields = self.deserialize(&mut json).map_err(|error| no_object(&error))?;
        json.end().map_err(|error| no_object(&error))?;
        Ok(fields)
    }
}

fn no_object(why: &dyn fmt::Display) -> Refusal {
    ("not_an_object", format!("the line is no JSON object: {why}"))
}

impl<'de, 'w> DeserializeSeed<'de> for &'w Wanted {
    type Value = Fields<'w, 'de>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de, 'w> Visitor<'de> for &'w Wanted {
    type Value = Fields<'w, 'de>;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut values = vec![None; self.0.len()];
        let mut is_empty = true;
        while let Some(Name(name)) = map.next_key()? {
            is_empty = false;
            match self.0.iter().position(|wanted| *wanted == name) {
                // Of two with one name the last counts.
                Some(place) => values[place] = Some(map.next_value()?),
                None => map.next_value::<IgnoredAny>().map(drop)?,
            }
        }
        Ok(Fields { wanted: self, values, is_empty })
    }
}

impl Fields<'_, '_> {
    fn get(&self, name: &str) -> Option<&RawValue> {
        let place = self.wanted.0.iter().position(|wanted| wanted == name)?;
        *self.values.get(place)?
    }

    /// Whether the line has a field.
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// A field as the text of a key: strings as they are, numbers and truth values as the line writes
    /// them.
    pub fn text(&self, path: &[String]) -> Result<String, Refusal> {
        let missing = || ("no_key", format!("the line has no field {}", path.join(".")));
        let (first, inner) = path.split_first().ok_or_else(missing)?;
        let whole = self.get(first).ok_or_else(missing)?;
        let raw = inner.iter().try_fold(whole, |value, name| member(value, name));
        let raw = raw.ok_or_else(missing)?.get();
        match raw.as_bytes().first() {
            Some(b'"') => match plain(raw) {
                Some(text) => Ok(text.to_owned()),
                None => serde_json::from_str(raw).map_err(|_| missing()),
            },
            Some(b'-' | b'0'..=b'9' | b't' | b'f') => Ok(raw.to_owned()),
            _ => Err(("no_key", format!("{} is neither a text nor a number", path.join(".")))),
        }
    }
}

/// A member of an object; of two with one name the last.
fn member<'v>(value: &'v RawValue, name: &str) -> Option<&'v RawValue> {
    let mut members: BTreeMap<Cow<'v, str>, &'v RawValue> =
        serde_json::from_str(value.get()).ok()?;
    members.remove(name)
}

/// The text of a string that is written without escapes.
fn plain(raw: &str) -> Option<&str> {
    let text = raw.strip_prefix('"')?.strip_suffix('"')?;
    memchr(b'\\', text.as_bytes()).is_none().then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_object_of_json_has_fields() {
        let mut wanted = Wanted::default();
        ["a", "b"].iter().for_each(|name| wanted.add(name));
        // line, a and b as texts, or a part of what is wrong
        type Case<'c> = (&'c [u8], Result<[Option<&'c str>; 2], &'c str>);
        let cases: [Case; 9] = [
            (br#"{"a":"x","c":[{"a":"no"}],"b":2.50}"#, Ok([Some("x"), Some("2.50")])),
            (br#" {"\u0061":true,"b":"\"\u00fc"} "#, Ok([Some("true"), Some("\"\u{fc}")])),
            (br#"{"a":"x","a":"y"}"#, Ok([Some("y"), None])),
            (b"{}", Ok([None, None])),
            (br#"{"a":1} {"#, Err("trailing characters")),
            (br#"{"c":"#, Err("EOF while parsing")),
            (br#"["a"]"#, Err("expected a JSON object")),
            (b"{\"c\":\"\xff\"}", Err("invalid utf-8")),
            (b"a line", Err("expected value")),
        ];
        for (line, expected) in cases {
            let shown = String::from_utf8_lossy(line);
            match (wanted.read(line), expected) {
                (Ok(fields), Ok(texts)) => {
                    for (name, text) in ["a", "b"].into_iter().zip(texts) {
                        let found = fields.text(&[name.to_owned()]).ok();
                        assert_eq!(found.as_deref(), text, "{shown}");
                    }
                    assert_eq!(fields.is_empty, line == b"{}");
                }
                (Err((reason, message)), Err(part)) => {
                    assert_eq!(reason, "not_an_object");
                    assert!(message.contains(part), "{shown}: {message}");
                }
                (found, _) => panic!("{shown}: {found:?}"),
            }
        }
    }

    #[test]
    fn a_key_is_what_the_line_writes() {
        let mut wanted = Wanted::default();
        wanted.add("o");
        let line = br#"{"o":{"n":12345678901234567890123.50,"t":"a\u00e4","l":[],"z":null}}"#;
        let fields = wanted.read(line).unwrap();
        let text = |path: &str| {
            let path: Vec<_> = path.split('.').map(ToOwned::to_owned).collect();
            fields.text(&path).map_err(|(_, message)| message)
        };
        assert_eq!(text("o.n").unwrap(), "12345678901234567890123.50");
        assert_eq!(text("o.t").unwrap(), "a\u{e4}");
        for path in ["o", "o.l", "o.z"] {
            assert_eq!(text(path).unwrap_err(), format!("{path} is neither a text nor a number"));
        }
        for path in ["o.x", "o.n.x", "x"] {
            assert_eq!(text(path).unwrap_err(), format!("the line has no field {path}"));
        }
    }
}
