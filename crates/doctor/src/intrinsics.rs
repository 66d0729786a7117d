//! The functions of templates, on arguments that are evaluated already.

use serde_json::Value;

use crate::deployment::is_unknown;

/// Characters that a text may grow to: outputs that hold one another would double at each step.
const TEXT_CHARS_MAX: usize = 64 << 10;

/// A value that only the deployment knows.
pub(crate) fn unknown(name: &str) -> Value {
    Value::from(format!("${{?{name}}}"))
}

/// Carries a function out; unknown where it depends on the account, or is none.
pub(crate) fn apply(name: &str, argument: &Value) -> Value {
    let parts = argument.as_array().map(Vec::as_slice).unwrap_or_default();
    match (name, parts) {
        ("Fn::Join", [Value::String(between), Value::Array(items)]) => {
            bounded(items.iter().map(as_text).collect::<Vec<_>>().join(between))
        }
        ("Fn::Split", [Value::String(at), Value::String(text)]) if !is_unknown(text) => {
            split(text, at).map_or_else(|| unknown(name), Value::from)
        }
        ("Fn::Select", [index, Value::Array(items)]) => {
            let index = index.as_u64().or_else(|| index.as_str()?.parse().ok());
            let found = index.and_then(|index| items.get(usize::try_from(index).ok()?));
            found.cloned().unwrap_or_else(|| unknown(name))
        }
        ("Fn::Length", items) if argument.is_array() => Value::from(items.len()),
        ("Fn::ToJsonString", _) => bounded(argument.to_string()),
        _ => unknown(name),
    }
}

/// What a map of the template holds; unknown where a key is, or is not in it.
pub(crate) fn find_in_map(mappings: &Value, keys: &Value) -> Value {
    let key = |index: usize| keys[index].as_str().unwrap_or_default();
    let found = &mappings[key(0)][key(1)][key(2)];
    if found.is_null() { unknown("Fn::FindInMap") } else { found.clone() }
}

/// Replaces each `${name}`. `${!name}` stays: it is written for somebody else.
pub(crate) fn replace_names(text: &str, mut of: impl FnMut(&str) -> String) -> Value {
    let mut result = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let Some((name, after)) = after.split_once('}') else { break };
        result.push_str(before);
        match name.strip_prefix('!') {
            Some(_) => result.push_str(&format!("${{{name}}}")),
            None => result.push_str(&of(name.trim())),
        }
        rest = after;
        if result.len() > TEXT_CHARS_MAX {
            return unknown("Fn::Sub");
        }
    }
    result.push_str(rest);
    bounded(result)
}

/// A value as it stands in a text, and as `Fn::Equals` compares it.
pub(crate) fn as_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(as_text).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

fn bounded(text: String) -> Value {
    if text.len() > TEXT_CHARS_MAX { unknown("a text too long") } else { Value::from(text) }
}

/// Splits a text, but no reference in it; `None` where there is nothing to split at.
fn split(text: &str, at: &str) -> Option<Vec<String>> {
    if at.is_empty() {
        return None;
    }
    let mut parts = vec![String::new()];
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let whole = if rest.starts_with("${") { rest.find('}').map(|end| end + 1) } else { None };
        if whole.is_none() && rest.starts_with(at) {
            parts.push(String::new());
            rest = &rest[at.len()..];
            continue;
        }
        let length = whole.unwrap_or(character.len_utf8());
        if let Some(part) = parts.last_mut() {
            part.push_str(&rest[..length]);
        }
        rest = &rest[length..];
    }
    Some(parts)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn functions_are_carried_out() {
        let cases = [
            ("Fn::Join", json!([":", ["a", 1, "${B.Arn}"]]), json!("a:1:${B.Arn}")),
            (
                "Fn::Split",
                json!([":", "arn:${AWS::Partition}:s3"]),
                json!(["arn", "${AWS::Partition}", "s3"]),
            ),
            ("Fn::Split", json!(["s3://", "log"]), json!(["log"])),
            ("Fn::Split", json!([":", "${?Sink}"]), json!("${?Fn::Split}")),
            ("Fn::Split", json!(["", "x"]), json!("${?Fn::Split}")),
            ("Fn::Select", json!([1, ["a", "b"]]), json!("b")),
            ("Fn::Select", json!(["1", ["a"]]), json!("${?Fn::Select}")),
            ("Fn::Select", json!([0, "${?Fn::Split}"]), json!("${?Fn::Select}")),
            ("Fn::Length", json!(["a", "b"]), json!(2)),
            ("Fn::ToJsonString", json!({"a": 1}), json!("{\"a\":1}")),
            ("Fn::ImportValue", json!("x"), json!("${?Fn::ImportValue}")),
            ("Fn::GetAZs", json!(""), json!("${?Fn::GetAZs}")),
        ];
        for (name, argument, expected) in cases {
            assert_eq!(apply(name, &argument), expected, "{name} {argument}");
        }
    }

    #[test]
    fn names_are_replaced_but_those_for_somebody_else() {
        let of = |name: &str| name.to_uppercase();
        for (text, expected) in [
            ("a${b}c${ d }", "aBcD"),
            ("${!aws:username}", "${!aws:username}"),
            ("${open", "${open"),
            ("no name", "no name"),
        ] {
            assert_eq!(replace_names(text, of), json!(expected), "{text}");
        }
        let long = replace_names(&"${x}".repeat(100), |_| "y".repeat(1_000));
        assert_eq!(long, unknown("Fn::Sub"));
    }
}
