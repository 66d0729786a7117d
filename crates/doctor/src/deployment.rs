//! What is looked at: resources, in the words that CloudFormation has for them.

use serde_json::Value;

/// Types whose resources have a name of their own choice, and the property that it is. Alarms have
/// one that a person reads.
const NAMES: [(&str, &str); 8] = [
    ("AWS::DynamoDB::Table", "TableName"),
    ("AWS::Kinesis::Stream", "Name"),
    ("AWS::KinesisFirehose::DeliveryStream", "DeliveryStreamName"),
    ("AWS::Lambda::Function", "FunctionName"),
    ("AWS::S3::Bucket", "BucketName"),
    ("AWS::SNS::Topic", "TopicName"),
    ("AWS::SQS::Queue", "QueueName"),
    ("AWS::IAM::Role", "RoleName"),
];

/// A deployment, or a part of one.
#[derive(Debug, Clone, Default)]
pub struct Deployment {
    resources: Vec<Resource>,
    /// What was not read, and why: nested stacks whose templates are elsewhere.
    pub unread: Vec<String>,
}

/// One resource.
#[derive(Debug, Clone, Default)]
pub struct Resource {
    /// Where it is: logical names from the outermost stack inwards, `Consumer/Mapping`; without a
    /// template its name in the account.
    pub place: String,
    /// Its type, such as `AWS::Kinesis::Stream`.
    pub kind: String,
    /// Its name in the account, where it is known.
    pub name: Option<String>,
    /// Its properties, evaluated. A reference to another resource is the text `${PLACE}` or
    /// `${PLACE.ATTRIBUTE}`; what nobody knows is `${?NAME}`.
    pub properties: Value,
    /// `DeletionPolicy` and `UpdateReplacePolicy`; `None` where it was not read from a template.
    pub policies: Option<[Option<String>; 2]>,
    /// What is not to be reported of it.
    pub ignored: Vec<Ignored>,
}

/// A finding that was looked at and is meant so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ignored {
    /// The check.
    pub id: String,
    /// Why, in the words of whoever wrote the template; empty when nobody said.
    pub reason: String,
}

/// A property: one that is not there is another matter than one whose value nobody knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setting<T> {
    /// Not there: the service's default holds.
    Absent,
    /// There, and it depends on what only the deployment knows.
    Unknown,
    /// There.
    Known(T),
}

impl<T> Setting<T> {
    /// The value, with the service's default where it is not there; `None` when unknown.
    pub fn or(self, default: T) -> Option<T> {
        match self {
            Self::Absent => Some(default),
            Self::Unknown => None,
            Self::Known(value) => Some(value),
        }
    }

    /// The value, where it is there.
    pub fn known(self) -> Option<T> {
        if let Self::Known(value) = self { Some(value) } else { None }
    }

    /// Whether it is not there.
    pub const fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    fn map<U>(self, with: impl FnOnce(T) -> Setting<U>) -> Setting<U> {
        match self {
            Self::Absent => Setting::Absent,
            Self::Unknown => Setting::Unknown,
            Self::Known(value) => with(value),
        }
    }
}

impl Deployment {
    /// Of these resources.
    pub const fn new(resources: Vec<Resource>, unread: Vec<String>) -> Self {
        Self { resources, unread }
    }

    /// All resources.
    pub fn resources(&self) -> &[Resource] {
        &self.resources
    }

    /// All resources, to add what else is known of them.
    pub fn resources_mut(&mut self) -> &mut Vec<Resource> {
        &mut self.resources
    }

    /// Those of a type.
    pub fn of(&self, kind: &'static str) -> impl Iterator<Item = &Resource> {
        self.resources.iter().filter(move |resource| resource.kind == kind)
    }

    /// The resource of a type that a reference, an ARN or a name means.
    pub fn target(&self, value: &str, kind: &'static str) -> Option<&Resource> {
        self.of(kind).find(|resource| resource.is_meant_by(value))
    }

    /// The same, for a property.
    pub fn target_of(
        &self,
        resource: &Resource,
        path: &str,
        kind: &'static str,
    ) -> Option<&Resource> {
        self.target(resource.text(path).known()?, kind)
    }
}

impl Resource {
    /// Whether a reference, an ARN or a name means this resource.
    pub fn is_meant_by(&self, value: &str) -> bool {
        let referred = references(value)
            .any(|reference| reference.split('.').next() == Some(self.place.as_str()));
        let named = |name: &String| {
            value == name || value.starts_with("arn:") && value.split([':', '/']).any(|p| p == name)
        };
        referred || self.name.as_ref().is_some_and(named)
    }

    /// The property that is its own choice of a name, and its value where that is the same in every
    /// deployment.
    pub(crate) fn fixed_name(&self) -> Option<(&'static str, &str)> {
        let (_, key) = NAMES.iter().find(|(kind, _)| *kind == self.kind)?;
        let name = text_at(&self.properties, key).known()?;
        (!name.contains("${") && !name.is_empty()).then_some((key, name))
    }

    /// With the name that the template gives it.
    pub(crate) fn named(mut self) -> Self {
        self.name = self.fixed_name().map(|(_, name)| name.to_owned());
        self
    }

    /// The value at a path of names between dots.
    pub fn value(&self, path: &str) -> Setting<&Value> {
        at(&self.properties, path)
    }

    /// A text.
    pub fn text(&self, path: &str) -> Setting<&str> {
        text_at(&self.properties, path)
    }

    /// A number.
    pub fn number(&self, path: &str) -> Setting<f64> {
        number_at(&self.properties, path)
    }

    /// A truth.
    pub fn truth(&self, path: &str) -> Setting<bool> {
        truth_at(&self.properties, path)
    }

    /// The items of a list; none where there is no list.
    pub fn items(&self, path: &str) -> &[Value] {
        items_at(&self.properties, path)
    }

    /// A variable of a function's environment.
    pub fn variable(&self, name: &str) -> Setting<&str> {
        let found =
            self.value("Environment.Variables").map(|variables| match variables.get(name) {
                None | Some(Value::Null) => Setting::Absent,
                Some(value) => text_of(value),
            });
        // As the functions themselves take it.
        if found == Setting::Known("") { Setting::Absent } else { found }
    }

    /// Whether a function has any of these variables, with whatever value.
    pub fn has_variable(&self, names: &[&str]) -> bool {
        let variables = self.properties.pointer("/Environment/Variables");
        names.iter().any(|name| variables.is_some_and(|variables| variables.get(name).is_some()))
    }
}

/// The value at a path of names between dots.
pub fn at<'v>(value: &'v Value, path: &str) -> Setting<&'v Value> {
    let mut here = value;
    for name in path.split('.').filter(|name| !name.is_empty()) {
        here = match here {
            Value::String(text) if is_unknown(text) => return Setting::Unknown,
            _ => here.get(name).unwrap_or(&Value::Null),
        };
    }
    match here {
        Value::Null => Setting::Absent,
        Value::String(text) if is_unknown(text) => Setting::Unknown,
        value => Setting::Known(value),
    }
}

/// The text at a path. A number is one, too.
pub fn text_at<'v>(value: &'v Value, path: &str) -> Setting<&'v str> {
    at(value, path).map(text_of)
}

fn text_of(value: &Value) -> Setting<&str> {
    match value {
        Value::String(text) if is_unknown(text) => Setting::Unknown,
        Value::String(text) => Setting::Known(text),
        Value::Bool(true) => Setting::Known("true"),
        Value::Bool(false) => Setting::Known("false"),
        _ => Setting::Unknown,
    }
}

/// The number at a path, which templates may also write as text.
pub fn number_at(value: &Value, path: &str) -> Setting<f64> {
    at(value, path).map(|value| {
        let text = value.as_str().and_then(|text| text.trim().parse().ok());
        let number = value.as_f64().or(text).filter(|number: &f64| number.is_finite());
        number.map_or(Setting::Unknown, Setting::Known)
    })
}

/// The truth at a path, which templates may also write as text.
pub fn truth_at(value: &Value, path: &str) -> Setting<bool> {
    at(value, path).map(|value| match (value, value.as_str()) {
        (Value::Bool(truth), _) => Setting::Known(*truth),
        (_, Some("true" | "True")) => Setting::Known(true),
        (_, Some("false" | "False")) => Setting::Known(false),
        _ => Setting::Unknown,
    })
}

/// The items of the list at a path; one value alone is a list of one, as in policies.
pub fn items_at<'v>(value: &'v Value, path: &str) -> &'v [Value] {
    match at(value, path) {
        Setting::Known(Value::Array(items)) => items,
        Setting::Known(one) => std::slice::from_ref(one),
        _ => &[],
    }
}

/// Whether a text depends on what nobody knows.
pub(crate) fn is_unknown(text: &str) -> bool {
    text.contains("${?")
}

/// What stands between `${` and `}`.
pub(crate) fn references(text: &str) -> impl Iterator<Item = &str> {
    text.split("${").skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name)
}
