//! What a template means with its parameters: conditions decided, functions carried out, nested
//! stacks followed. A reference to a resource stays a reference.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use serde_json::{Map, Value};

use crate::deployment::{Deployment, Ignored, Resource};
use crate::intrinsics;
use crate::serverless;
use crate::template::{Open, TemplateError};

/// Stacks inside one another.
const DEPTH_MAX: usize = 8;

/// Conditions that stand on one another; the next one is false. Deciding goes down by calls.
const CONDITIONS_MAX: usize = 100;

/// Nested stacks of one deployment.
const STACKS_MAX: usize = 200;

/// Types whose resources are stacks, and the property that says where their template is.
const NESTED: [(&str, &str); 2] =
    [("AWS::Serverless::Application", "Location"), ("AWS::CloudFormation::Stack", "TemplateURL")];

/// One stack: a template and the values of its parameters.
pub(crate) struct Stack {
    /// Empty for the outermost, else `Lake` or `Outer/Lake`.
    place: String,
    template: Value,
    parameters: BTreeMap<String, Value>,
    /// Those decided so far. A condition that stands on itself is false.
    conditions: RefCell<BTreeMap<String, bool>>,
    /// How many stand on one another just now.
    deciding: Cell<usize>,
}

/// The stacks of a deployment, read as they are needed.
pub(crate) struct Stacks<'a, 'o> {
    open: &'a mut Open<'o>,
    /// Nested ones by their place; `None` for one that cannot be had, or is being read.
    read: BTreeMap<String, Option<Rc<Stack>>>,
    unread: BTreeSet<String>,
    failed: Option<TemplateError>,
}

impl<'a, 'o> Stacks<'a, 'o> {
    pub(crate) const fn new(open: &'a mut Open<'o>) -> Self {
        Self { open, read: BTreeMap::new(), unread: BTreeSet::new(), failed: None }
    }

    /// All resources of a template and of the stacks in it.
    pub(crate) fn deployment(
        mut self,
        template: Value,
        given: BTreeMap<String, Value>,
    ) -> Result<Deployment, TemplateError> {
        let root = Rc::new(Stack::new(String::new(), template, given));
        let mut resources = Vec::new();
        self.resources(&root, &[], &mut resources);
        match self.failed {
            Some(error) => Err(error),
            None => Ok(Deployment::new(resources, self.unread.into_iter().collect())),
        }
    }

    fn resources(&mut self, stack: &Rc<Stack>, ignored: &[Ignored], into: &mut Vec<Resource>) {
        let mut inherited = ignored.to_vec();
        inherited.extend(ignored_in(&stack.template["Metadata"]));
        let members = stack.template["Resources"].as_object().into_iter().flatten();
        for (name, resource) in members {
            let switched_on = match resource["Condition"].as_str() {
                Some(condition) => self.condition(stack, condition),
                None => true,
            };
            if !switched_on || self.failed.is_some() {
                continue;
            }
            let place = stack.inside(name);
            let mut ignored = inherited.clone();
            ignored.extend(ignored_in(&resource["Metadata"]));
            let kind = resource["Type"].as_str().unwrap_or_default();
            if NESTED.iter().any(|(nested, _)| *nested == kind) {
                if let Some(nested) = self.nested(stack, name) {
                    self.resources(&nested, &ignored, into);
                }
                continue;
            }
            let mut properties = self.value(stack, &resource["Properties"]).unwrap_or_default();
            as_texts(properties.pointer_mut("/Environment/Variables"));
            let policy = |name: &str| resource[name].as_str().map(ToOwned::to_owned);
            let resource = Resource {
                place,
                kind: kind.to_owned(),
                name: None,
                properties,
                policies: Some(["DeletionPolicy", "UpdateReplacePolicy"].map(policy)),
                ignored,
            };
            let globals = self.value(stack, &stack.template["Globals"]).unwrap_or_default();
            let expanded = serverless::expanded(resource, &globals).into_iter();
            into.extend(expanded.map(Resource::named));
        }
    }

    /// The stack of a resource that is one.
    fn nested(&mut self, stack: &Rc<Stack>, name: &str) -> Option<Rc<Stack>> {
        let place = stack.inside(name);
        if let Some(known) = self.read.get(&place) {
            return known.clone();
        }
        // A parameter that comes from the stack's own outputs finds it unread.
        self.read.insert(place.clone(), None);
        let read = self.open_nested(stack, name, &place);
        let read = read.unwrap_or_else(|error| {
            self.failed.get_or_insert(error);
            None
        });
        if read.is_none() {
            self.unread.insert(format!("{place}, whose template is elsewhere"));
        }
        self.read.insert(place, read.clone());
        read
    }

    fn open_nested(
        &mut self,
        stack: &Rc<Stack>,
        name: &str,
        place: &str,
    ) -> Result<Option<Rc<Stack>>, TemplateError> {
        let place = place.to_owned();
        if place.split('/').count() > DEPTH_MAX {
            return Err(TemplateError::Depth { place, limit: DEPTH_MAX });
        }
        if self.read.len() > STACKS_MAX {
            return Err(TemplateError::Count { place, limit: STACKS_MAX });
        }
        let resource = &stack.template["Resources"][name];
        let kind = resource["Type"].as_str().unwrap_or_default();
        let key = NESTED.iter().find(|(nested, _)| *nested == kind).map_or("", |(_, key)| key);
        let location = self.value(stack, &resource["Properties"][key]);
        // A Location may also name an application of the Serverless Application Repository.
        let location = location.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned();
        let text = (self.open)(&place, &location).map_err(|source| TemplateError::Nested {
            place: place.clone(),
            location,
            source,
        })?;
        let Some(text) = text else { return Ok(None) };
        let template = crate::yaml::read(&place, &text)?;
        if !template["Resources"].is_object() {
            return Err(TemplateError::NoResources(place));
        }
        let given = self.value(stack, &resource["Properties"]["Parameters"]).unwrap_or_default();
        let given = given.as_object().cloned().unwrap_or_default().into_iter().collect();
        Ok(Some(Rc::new(Stack::new(place, template, given))))
    }

    /// What a value means; `None` for `AWS::NoValue`.
    fn value(&mut self, stack: &Rc<Stack>, value: &Value) -> Option<Value> {
        match value {
            Value::Array(items) => {
                Some(items.iter().filter_map(|item| self.value(stack, item)).collect())
            }
            Value::Object(members) => {
                let mut only = members.iter();
                if let (Some((name, argument)), None) = (only.next(), only.next())
                    && (name == "Ref" || name.starts_with("Fn::"))
                {
                    return self.function(stack, name, argument);
                }
                let evaluate = |(name, value): (&String, &Value)| {
                    self.value(stack, value).map(|value| (name.clone(), value))
                };
                let members: Map<_, _> = members.iter().filter_map(evaluate).collect();
                Some(Value::Object(members))
            }
            plain => Some(plain.clone()),
        }
    }

    fn function(&mut self, stack: &Rc<Stack>, name: &str, argument: &Value) -> Option<Value> {
        match (name, argument) {
            ("Ref", Value::String(name)) => stack.reference(name),
            ("Fn::If", Value::Array(parts)) => {
                let [Value::String(condition), yes, no] = parts.as_slice() else {
                    return Some(intrinsics::unknown("Fn::If"));
                };
                let taken = if self.condition(stack, condition) { yes } else { no };
                self.value(stack, taken)
            }
            ("Fn::GetAtt", argument) => {
                let argument = self.value(stack, argument)?;
                Some(self.attribute(stack, &argument))
            }
            ("Fn::Sub", argument) => {
                let (text, own) = match argument {
                    Value::Array(parts) => (parts.first()?, self.value(stack, parts.get(1)?)?),
                    text => (text, Value::Null),
                };
                Some(self.substitute(stack, text.as_str().unwrap_or_default(), &own))
            }
            ("Fn::FindInMap", argument) => {
                let keys = self.value(stack, argument)?;
                let found = intrinsics::find_in_map(&stack.template["Mappings"], &keys);
                self.value(stack, &found)
            }
            (name, argument) => {
                let argument = self.value(stack, argument).unwrap_or_default();
                Some(intrinsics::apply(name, &argument))
            }
        }
    }

    /// `Fn::Sub`: parameters, resources and their attributes, and names of its own.
    fn substitute(&mut self, stack: &Rc<Stack>, text: &str, own: &Value) -> Value {
        intrinsics::replace_names(text, |name| {
            let value = match (own.get(name), name.split_once('.')) {
                (Some(value), _) => Some(value.clone()),
                (None, Some((resource, attribute))) => {
                    Some(self.attribute(stack, &Value::from(vec![resource, attribute])))
                }
                (None, None) => stack.reference(name),
            };
            intrinsics::as_text(&value.unwrap_or_default())
        })
    }

    /// `Fn::GetAtt`: a reference, or what an output of a nested stack means.
    fn attribute(&mut self, stack: &Rc<Stack>, argument: &Value) -> Value {
        let pair = match argument {
            Value::String(text) => text.split_once('.'),
            _ => argument[0].as_str().zip(argument[1].as_str()),
        };
        let Some((name, attribute)) = pair else { return intrinsics::unknown("Fn::GetAtt") };
        let kind = stack.template["Resources"][name]["Type"].as_str().unwrap_or_default();
        let output = attribute.strip_prefix("Outputs.");
        let nested = output.filter(|_| NESTED.iter().any(|(nested, _)| *nested == kind));
        if let Some(output) = nested {
            let unknown = || intrinsics::unknown(&format!("{name}.{attribute}"));
            let Some(inner) = self.nested(stack, name) else { return unknown() };
            let value = &inner.template["Outputs"][output]["Value"];
            return self.value(&inner, value).filter(|v| !v.is_null()).unwrap_or_else(unknown);
        }
        Value::from(format!("${{{}.{attribute}}}", stack.inside(name)))
    }

    /// Whether a condition holds. What is unknown equals nothing.
    fn condition(&mut self, stack: &Rc<Stack>, name: &str) -> bool {
        if let Some(known) = stack.conditions.borrow().get(name) {
            return *known;
        }
        stack.conditions.borrow_mut().insert(name.to_owned(), false);
        if stack.deciding.get() >= CONDITIONS_MAX {
            return false;
        }
        stack.deciding.set(stack.deciding.get() + 1);
        let holds = self.holds(stack, &stack.template["Conditions"][name]);
        stack.deciding.set(stack.deciding.get() - 1);
        stack.conditions.borrow_mut().insert(name.to_owned(), holds);
        holds
    }

    fn holds(&mut self, stack: &Rc<Stack>, condition: &Value) -> bool {
        let Some((name, argument)) =
            condition.as_object().and_then(|members| members.iter().next())
        else {
            return condition.as_bool().unwrap_or_default();
        };
        let parts = argument.as_array().map(Vec::as_slice).unwrap_or_default();
        match (name.as_str(), parts) {
            ("Condition", _) => self.condition(stack, argument.as_str().unwrap_or_default()),
            ("Fn::Not", [one]) => !self.holds(stack, one),
            ("Fn::And", parts) => parts.iter().all(|part| self.holds(stack, part)),
            ("Fn::Or", parts) => parts.iter().any(|part| self.holds(stack, part)),
            ("Fn::Equals", [left, right]) => {
                let [left, right] = [left, right].map(|side| self.value(stack, side));
                match (left, right) {
                    (Some(left), Some(right)) => {
                        intrinsics::as_text(&left) == intrinsics::as_text(&right)
                    }
                    _ => false,
                }
            }
            _ => false,
        }
    }
}

impl Stack {
    fn new(place: String, template: Value, mut given: BTreeMap<String, Value>) -> Self {
        let mut parameters = BTreeMap::new();
        for (name, declared) in template["Parameters"].as_object().into_iter().flatten() {
            let kind = declared["Type"].as_str().unwrap_or_default();
            let value = given.remove(name).unwrap_or_else(|| declared["Default"].clone());
            let secret = declared["NoEcho"] == true || declared["NoEcho"] == "true";
            let value = match value {
                Value::String(text) if kind.contains("List") => {
                    text.split(',').map(str::trim).filter(|item| !item.is_empty()).collect()
                }
                // What it is stands in Systems Manager, or is nobody's business.
                value if value.is_null() || kind.starts_with("AWS::SSM::") => {
                    intrinsics::unknown(name)
                }
                value if secret && value != "" => intrinsics::unknown(name),
                value => value,
            };
            parameters.insert(name.clone(), value);
        }
        Self {
            place,
            template,
            parameters,
            conditions: RefCell::default(),
            deciding: Cell::default(),
        }
    }

    /// The place of a resource of this stack.
    fn inside(&self, name: &str) -> String {
        if self.place.is_empty() { name.to_owned() } else { format!("{}/{name}", self.place) }
    }

    /// What `Ref` means; `None` for `AWS::NoValue`.
    fn reference(&self, name: &str) -> Option<Value> {
        if name == "AWS::NoValue" {
            return None;
        }
        if let Some(value) = self.parameters.get(name) {
            return Some(value.clone());
        }
        // `Function.Alias` is what SAM calls the alias that it makes.
        let resource = name.split('.').next().unwrap_or(name);
        let known = self.template["Resources"].get(resource).is_some();
        Some(match name {
            _ if known => Value::from(format!("${{{}}}", self.inside(name))),
            _ if name.starts_with("AWS::") => Value::from(format!("${{{name}}}")),
            _ => intrinsics::unknown(name),
        })
    }
}

/// Variables of an environment are texts, whatever a template writes.
fn as_texts(variables: Option<&mut Value>) {
    for (_, value) in variables.and_then(Value::as_object_mut).into_iter().flatten() {
        if value.is_number() || value.is_boolean() {
            *value = Value::from(intrinsics::as_text(value));
        }
    }
}

/// What a `Metadata` says is not to be reported.
fn ignored_in(metadata: &Value) -> Vec<Ignored> {
    let listed = metadata["Tidegate"]["Ignore"].as_array().into_iter().flatten();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    listed.map(|one| Ignored { id: text(&one["Id"]), reason: text(&one["Reason"]) }).collect()
}
