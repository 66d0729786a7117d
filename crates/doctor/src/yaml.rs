//! A template's text as JSON, with the short forms of functions (`!Sub`) in their long ones.

use saphyr::{LoadableYamlNode, MarkedYaml, Scalar, YamlData};
use serde_json::{Map, Value};

use crate::template::TemplateError;

/// "CloudFormation quotas", CloudFormation User Guide, 2026-11: a template in an S3 object.
const LIMIT_BYTES: usize = 1 << 20;

/// Values inside one another. Reading goes down by calls, which a deeper text would not survive;
/// templates are a dozen deep.
const DEPTH_MAX: usize = 64;

/// Reads YAML or JSON. `name` is what errors call it.
pub(crate) fn read(name: &str, text: &str) -> Result<Value, TemplateError> {
    let bad = |line: usize, what: String| TemplateError::Text { name: name.to_owned(), line, what };
    if text.len() > LIMIT_BYTES {
        let what = format!("it has more than {LIMIT_BYTES} bytes, which CloudFormation refuses");
        return Err(bad(1, what));
    }
    if let Some(line) = too_deep(text) {
        return Err(bad(line, format!("more than {DEPTH_MAX} values are inside one another")));
    }
    if text.trim_start().starts_with('{')
        && let Ok(value) = serde_json::from_str(text)
    {
        return Ok(value);
    }
    let documents = MarkedYaml::load_from_str(text)
        .map_err(|error| bad(error.marker().line(), format!("not YAML: {}", error.info())))?;
    match documents.as_slice() {
        [document] => Ok(json(document)),
        [] => Err(bad(1, "it is empty".to_owned())),
        _ => Err(bad(1, "it holds several documents".to_owned())),
    }
}

/// The line at which a text goes deeper than allowed, if it does. What stands in a string counts
/// too, which only makes the count larger.
fn too_deep(text: &str) -> Option<usize> {
    let mut open = 0_usize;
    for (index, line) in text.lines().enumerate() {
        let indented = line.len() - line.trim_start().len();
        let dashes = line.split_whitespace().take_while(|word| matches!(*word, "-" | "?"));
        let dashes = dashes.take(DEPTH_MAX + 1).count();
        for character in line.chars() {
            match character {
                '[' | '{' => open += 1,
                ']' | '}' => open = open.saturating_sub(1),
                _ => {}
            }
            if open > DEPTH_MAX {
                return Some(index + 1);
            }
        }
        // A level of YAML is a space at the least; nobody writes so, and nobody goes so far right.
        if dashes > DEPTH_MAX || indented > 4 * DEPTH_MAX {
            return Some(index + 1);
        }
    }
    None
}

fn json(node: &MarkedYaml<'_>) -> Value {
    match &node.data {
        YamlData::Value(scalar) => scalar_value(scalar),
        YamlData::Representation(text, ..) => Value::from(text.to_string()),
        YamlData::Sequence(items) => items.iter().map(json).collect(),
        YamlData::Mapping(members) => merged(members.iter().map(|(key, value)| {
            let key = match json(key) {
                Value::String(key) => key,
                other => other.to_string(),
            };
            (key, json(value))
        })),
        YamlData::Tagged(tag, inner) => tagged(&tag.suffix, json(inner)),
        YamlData::Alias(_) | YamlData::BadValue => Value::Null,
    }
}

/// The members of a mapping, with those that `<<` brings in beneath them.
fn merged(members: impl Iterator<Item = (String, Value)>) -> Value {
    let (mut own, mut brought) = (Map::new(), Map::new());
    for (key, value) in members {
        match value {
            Value::Object(inner) if key == "<<" => brought.extend(inner),
            value => {
                own.insert(key, value);
            }
        }
    }
    brought.extend(own);
    Value::Object(brought)
}

fn scalar_value(scalar: &Scalar<'_>) -> Value {
    match scalar {
        Scalar::Null => Value::Null,
        Scalar::Boolean(value) => (*value).into(),
        Scalar::Integer(value) => (*value).into(),
        Scalar::FloatingPoint(value) => value.into_inner().into(),
        Scalar::String(text) => text.to_string().into(),
    }
}

/// `!Ref` and `!Condition` are themselves; all others are `Fn::…`.
fn tagged(suffix: &str, value: Value) -> Value {
    let (name, value) = match (suffix, value) {
        ("Ref" | "Condition", value) => (suffix.to_owned(), value),
        ("GetAtt", Value::String(text)) => {
            let (resource, attribute) = text.split_once('.').unwrap_or((&text, ""));
            ("Fn::GetAtt".to_owned(), Value::from(vec![resource, attribute]))
        }
        (_, value) => (format!("Fn::{suffix}"), value),
    };
    Value::Object(Map::from_iter([(name, value)]))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn short_forms_become_long_ones() {
        let cases = [
            ("a: !Ref B", json!({"a": {"Ref": "B"}})),
            ("a: !GetAtt B.Outputs.C", json!({"a": {"Fn::GetAtt": ["B", "Outputs.C"]}})),
            ("a: !Sub 'x${B}'", json!({"a": {"Fn::Sub": "x${B}"}})),
            (
                "a: !If [X, !Ref B, !Ref AWS::NoValue]",
                json!({"a": {"Fn::If": ["X", {"Ref": "B"}, {"Ref": "AWS::NoValue"}]}}),
            ),
            ("a: !Not [!Condition X]", json!({"a": {"Fn::Not": [{"Condition": "X"}]}})),
            ("x: &x {b: 1}\ny: {<<: *x, c: 2}", json!({"x": {"b": 1}, "y": {"b": 1, "c": 2}})),
            ("{\"a\": {\"Ref\": \"B\"}}", json!({"a": {"Ref": "B"}})),
            (
                "{a: 012345678901, b: 2012-10-17}",
                json!({"a": 12_345_678_901_i64, "b": "2012-10-17"}),
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(read("t", text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn a_text_that_is_no_template_is_refused_with_its_line() {
        let deep = format!("a:\n  {}", "[".repeat(100_000));
        let dashes = "- ".repeat(100_000);
        let indented: String = (0..600).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
        let cases = [
            ("a: [", "t: line "),
            ("", "t: line 1: it is empty"),
            ("a: 1\n---\nb: 2", "t: line 1: it holds several documents"),
            (deep.as_str(), "t: line 2: more than 64 values"),
            (dashes.as_str(), "t: line 1: more than 64 values"),
            (indented.as_str(), "more than 64 values"),
        ];
        for (text, expected) in cases {
            let error = read("t", text).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
