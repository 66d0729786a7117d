//! A deployment, from its templates.

use std::collections::BTreeMap;
use std::io;

use serde_json::Value;

use crate::deployment::Deployment;
use crate::evaluate::Stacks;

/// Why a template could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// It is no YAML or JSON that a template could be.
    #[error("{name}: line {line}: {what}")]
    Text {
        /// What it is called.
        name: String,
        /// Where, from 1 on.
        line: usize,
        /// What is wrong.
        what: String,
    },
    /// It holds no resources.
    #[error("{0} is no template: it has no Resources; name a SAM or CloudFormation template")]
    NoResources(String),
    /// A parameter was given that it does not have.
    #[error("{template} has no parameter {parameter}; it has {known}")]
    NoParameter {
        /// The template.
        template: String,
        /// The parameter.
        parameter: String,
        /// Those that it has.
        known: String,
    },
    /// The template of a nested stack could not be read.
    #[error("the template {location} of {place} cannot be read")]
    Nested {
        /// The nested stack.
        place: String,
        /// What its resource names.
        location: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Stacks are nested without an end, or nearly.
    #[error("{place}: stacks are nested deeper than {limit}; does a template name itself?")]
    Depth {
        /// Where.
        place: String,
        /// How deep they may be.
        limit: usize,
    },
    /// There are more templates than a deployment has.
    #[error("{place}: more than {limit} nested stacks")]
    Count {
        /// Where.
        place: String,
        /// How many there may be.
        limit: usize,
    },
}

/// Fetches the text of a nested stack's template: its place, such as `Lake`, and the location that
/// its resource names. `None`: it is where it cannot be had.
pub type Open<'o> = dyn FnMut(&str, &str) -> io::Result<Option<String>> + 'o;

/// Reads a template and those of its nested stacks. `name` is what errors call it; `parameters`
/// override the defaults. A parameter that has neither is unknown: it equals nothing, and no check
/// says anything about what depends on it.
///
/// # Errors
/// When a text is no template, or a parameter is given that the template does not have.
pub fn read(
    name: &str,
    text: &str,
    parameters: &BTreeMap<String, String>,
    open: &mut Open<'_>,
) -> Result<Deployment, TemplateError> {
    let template = crate::yaml::read(name, text)?;
    if !template["Resources"].is_object() {
        return Err(TemplateError::NoResources(name.to_owned()));
    }
    let declared = template["Parameters"].as_object();
    let known = |parameter: &&String| declared.is_some_and(|names| names.contains_key(*parameter));
    if let Some(parameter) = parameters.keys().find(|parameter| !known(parameter)) {
        let names: Vec<_> = declared.into_iter().flatten().map(|(name, _)| name.as_str()).collect();
        return Err(TemplateError::NoParameter {
            template: name.to_owned(),
            parameter: parameter.clone(),
            known: if names.is_empty() { "none".to_owned() } else { names.join(", ") },
        });
    }
    let given = parameters.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str())));
    Stacks::new(open).deployment(template, given.collect())
}
