//! The templates, read and expanded, and a way to ask something of every resource in them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;

use serde_json::Value;
use tidegate_tests::place::{files, root, tool};

/// The templates as CloudFormation, by their paths; nothing when the tools are not there.
pub static EXPANDED: LazyLock<Option<BTreeMap<PathBuf, Value>>> = LazyLock::new(|| {
    let python = tool("sam/bin/python")?;
    let expand = |path: PathBuf| {
        let mut command = Command::new(&python);
        let json = run(command.arg("tests/infra/expand.py").arg(&path));
        let json = serde_json::from_str(&json).expect("the expander prints JSON");
        (path, json)
    };
    Some(templates().into_iter().map(expand).collect())
});

/// A resource of a template.
pub struct Resource<'t> {
    pub template: &'t Value,
    pub name: &'t str,
    pub kind: &'t str,
    pub resource: &'t Value,
}

/// Checks every resource of a type (of any, when it is empty); at least `least` must be there, so
/// that a check which finds nothing to look at does not pass.
pub fn each(kind: &str, least: usize, check: impl Fn(&Resource<'_>, &Value) -> Result<(), String>) {
    let Some(expanded) = &*EXPANDED else { return };
    let (mut seen, mut problems) = (0, Vec::new());
    for (path, template) in expanded {
        for (name, resource) in template["Resources"].as_object().into_iter().flatten() {
            let here = resource["Type"].as_str().unwrap_or_default();
            if !kind.is_empty() && here != kind {
                continue;
            }
            seen += 1;
            let found = Resource { template, name, kind: here, resource };
            if let Err(problem) = check(&found, &resource["Properties"]) {
                problems.push(format!("{}: {name}: {problem}", path.display()));
            }
        }
    }
    assert!(seen >= least, "only {seen} of {kind:?} are there");
    assert!(problems.is_empty(), "\n  {}\n", problems.join("\n  "));
}

/// The values that a property can have: those that its parameter allows, or itself.
pub fn possible(template: &Value, value: &Value) -> Vec<Value> {
    match value["Ref"].as_str() {
        Some(name) => list(&template["Parameters"][name]["AllowedValues"]).to_vec(),
        None => vec![value.clone()],
    }
}

/// What a condition chooses from; itself, when it is no choice.
pub fn branches(value: &Value) -> Vec<&Value> {
    match value["Fn::If"].as_array() {
        Some(choice) => choice.iter().skip(1).flat_map(branches).collect(),
        None => vec![value],
    }
}

/// A list, or the one entry that stands for a list of one.
pub fn list(value: &Value) -> &[Value] {
    match value {
        Value::Null => &[],
        Value::Array(entries) => entries,
        single => std::slice::from_ref(single),
    }
}

pub fn templates() -> Vec<PathBuf> {
    let found: Vec<_> =
        files(&["yaml"]).into_iter().filter(|path| path.starts_with("infra")).collect();
    assert!(found.len() >= 7, "{found:?}");
    found
}

/// A value of a template that must be there.
pub fn at(part: &str, pointer: &str) -> Option<Value> {
    let expanded = EXPANDED.as_ref()?;
    let found = expanded[&PathBuf::from(format!("infra/{part}.yaml"))].pointer(pointer);
    Some(found.unwrap_or_else(|| panic!("infra/{part}.yaml has no {pointer}")).clone())
}

/// Runs a command in the root of the repository; what it wrote to stdout.
pub fn run(command: &mut Command) -> String {
    let output = command.current_dir(root()).output();
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (said, complained) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{said}{complained}", output.status);
    said.into_owned()
}
