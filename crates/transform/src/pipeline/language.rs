//! The language of a pipeline as data: what may stand where. The reader takes its names from here,
//! and editors their schema.

use serde_json::{Map, Value, json};

use crate::formats::{Format, Keys, Unwrap};
use crate::moment::TimeFormat;
use crate::value::Kind;

/// A mapping with fixed names.
pub(super) struct Object(pub(super) &'static [Member]);

/// One of its names.
pub(super) struct Member {
    pub(super) name: &'static str,
    /// What it is for, as an editor shows it.
    about: &'static str,
    shape: Shape,
    required: bool,
}

/// What a value looks like.
enum Shape {
    Text,
    Boolean,
    Number {
        from: f64,
        to: f64,
    },
    Words(fn() -> Vec<&'static str>),
    Object(&'static Object),
    /// A mapping with exactly one of the names.
    OneOf(&'static Object),
    List(&'static Shape),
    /// A mapping from any name.
    Map(&'static Shape),
    Either(&'static [Shape]),
    Anything,
}

impl Object {
    pub(super) fn names(&self) -> Vec<&'static str> {
        self.0.iter().map(|member| member.name).collect()
    }
}

const fn must(name: &'static str, about: &'static str, shape: Shape) -> Member {
    Member { name, about, shape, required: true }
}

const fn may(name: &'static str, about: &'static str, shape: Shape) -> Member {
    Member { name, about, shape, required: false }
}

fn words<T>(named: &[(&'static str, T)]) -> Vec<&'static str> {
    named.iter().map(|(name, _)| *name).collect()
}

/// What a step does when the host has no database.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum WhenMissing {
    Fail,
    Skip,
}

pub(super) const WHEN_MISSING: &[(&str, WhenMissing)] =
    &[("fail", WhenMissing::Fail), ("skip", WhenMissing::Skip)];

/// What a lookup does when there is no row.
pub(super) const WITHOUT_ROW: &[(&str, bool)] = &[("skip", false), ("fail", true)];

/// Whether fields that are not declared are kept.
pub(super) const OTHER: &[(&str, bool)] = &[("keep", true), ("drop", false)];

/// The ways of a redact step.
pub(super) const REDACT: &[(&str, &str)] =
    &[("hash", "hash"), ("mask", "mask"), ("truncate", "truncate")];

/// The results that a case can expect.
pub(super) const RESULTS: &[(&str, &str)] =
    &[("Ok", "Ok"), ("Dropped", "Dropped"), ("ProcessingFailed", "ProcessingFailed")];

const FIELD: Shape = Shape::Text;

pub(super) static PIPELINE: Object = Object(&[
    must("input", "What a record is", Shape::Object(&INPUT)),
    may("steps", "What is done with it, in this order", Shape::List(&Shape::OneOf(&STEP))),
    may("output", "What is written", Shape::Object(&OUTPUT)),
    may(
        "cases",
        "Examples, which tidegate transform test runs",
        Shape::List(&Shape::Object(&CASE)),
    ),
]);

pub(super) static INPUT: Object = Object(&[
    may("format", "The form of an event", Shape::Words(|| words(Format::NAMED))),
    may("any_of", "Several forms, tried in order", Shape::List(&Shape::Object(&FORMAT))),
    may("unwrap", "Whether a record holds several events", Shape::Words(|| words(Unwrap::NAMED))),
    may(
        "columns",
        "csv, tsv: the columns in order; vpc_flow: the fields of a custom format",
        COLUMNS,
    ),
    may("header", "csv, tsv: the first line of a record names the columns", Shape::Boolean),
    may("delimiter", "csv: the character between cells", Shape::Text),
    may("fields", "json, logfmt, regex: fields with their kinds", Shape::Map(&KIND)),
    may(
        "other",
        "json, logfmt: what becomes of fields that are not declared",
        Shape::Words(|| words(OTHER)),
    ),
    may(
        "keys",
        "json, logfmt, csv with header: how names come out",
        Shape::Words(|| words(Keys::NAMED)),
    ),
    may("flatten", "json: objects become fields of their own, as outer_inner", Shape::Boolean),
    may(
        "pattern",
        "pattern: text and fields, such as {client} [{time}] {status:integer}; regex: a regular \
         expression with named groups",
        Shape::Text,
    ),
]);

/// One of several inputs: the same without what concerns the whole record.
pub(super) static FORMAT: Object = Object(&[
    must("format", "The form of an event", Shape::Words(|| words(Format::NAMED))),
    may(
        "columns",
        "csv, tsv: the columns in order; vpc_flow: the fields of a custom format",
        COLUMNS,
    ),
    may("delimiter", "csv: the character between cells", Shape::Text),
    may("fields", "json, logfmt, regex: fields with their kinds", Shape::Map(&KIND)),
    may(
        "other",
        "json, logfmt: what becomes of fields that are not declared",
        Shape::Words(|| words(OTHER)),
    ),
    may("keys", "json, logfmt: how names come out", Shape::Words(|| words(Keys::NAMED))),
    may("flatten", "json: objects become fields of their own, as outer_inner", Shape::Boolean),
    may(
        "pattern",
        "pattern: text and fields, such as {client} [{time}] {status:integer}; regex: a regular \
         expression with named groups",
        Shape::Text,
    ),
]);

const COLUMNS: Shape = Shape::Either(&[Shape::List(&Shape::Text), Shape::Map(&KIND)]);
static KIND: Shape = Shape::Words(|| words(Kind::NAMED));

pub(super) static STEP: Object = Object(&[
    may("keep", "Drops records for which the expression is false", Shape::Text),
    may("drop", "Drops records for which the expression is true", Shape::Text),
    may("geoip", "Adds the place of an address", Shape::Object(&GEOIP)),
    may("asn", "Adds the network of an address", Shape::Object(&GEOIP)),
    may(
        "user_agent",
        "Adds program, version, system and device of a user agent",
        Shape::Object(&USER_AGENT),
    ),
    may("lookup", "Adds what a table says of a field", Shape::Object(&LOOKUP)),
    may("timestamp", "Reads a field as a moment in UTC", Shape::Object(&TIMESTAMP)),
    may("set", "Sets fields to what expressions are worth", Shape::Map(&Shape::Text)),
    may("rename", "Gives fields other names", Shape::Map(&Shape::Text)),
    may("remove", "Takes fields out", Shape::List(&FIELD)),
    may("cast", "Turns fields into other kinds", Shape::Map(&KIND)),
    may("redact", "Hides what a field holds", Shape::Object(&REDACTION)),
    may("sample", "Keeps a share of the records", Shape::Object(&SAMPLE)),
]);

pub(super) static GEOIP: Object = Object(&[
    must("address", "The field with the address", FIELD),
    may("when_missing", "What happens without a database", Shape::Words(|| words(WHEN_MISSING))),
]);

pub(super) static USER_AGENT: Object =
    Object(&[must("field", "The field with the user agent", FIELD)]);

pub(super) static LOOKUP: Object = Object(&[
    must("field", "The field that is looked up", FIELD),
    may("table", "A file in CSV with a header, or a JSON list of objects", Shape::Text),
    may("key", "The column that the field is compared with", Shape::Text),
    may("add", "Columns, with the fields that they become", Shape::Map(&FIELD)),
    may("map", "A table in the pipeline itself", Shape::Map(&Shape::Anything)),
    may("into", "The field that map sets", FIELD),
    may("without_row", "What happens when there is no row", Shape::Words(|| words(WITHOUT_ROW))),
]);

pub(super) static TIMESTAMP: Object = Object(&[
    must("field", "The field with the time", FIELD),
    may(
        "formats",
        "iso8601, apache, epoch_seconds, epoch_millis, or a pattern of strptime; tried in order",
        Shape::List(&Shape::Either(&[Shape::Words(|| words(TimeFormat::NAMED)), Shape::Text])),
    ),
]);

pub(super) static REDACTION: Object = Object(&[
    must("field", "The field", FIELD),
    must("how", "What is left of it", Shape::Words(|| words(REDACT))),
    may("key", "hash: the secret key", Shape::Text),
    may("keep_last", "mask: how many characters stay", Shape::Number { from: 0.0, to: 1_000.0 }),
]);

pub(super) static SAMPLE: Object = Object(&[
    must("percent", "How many of a hundred are kept", Shape::Number { from: 0.0, to: 100.0 }),
    must("by", "The field that decides: equal values are kept or dropped together", FIELD),
]);

pub(super) static OUTPUT: Object = Object(&[
    may("newline", "Whether each record ends with a line break", Shape::Boolean),
    may(
        "partition_keys",
        "Keys for dynamic partitioning, such as {time:yyyy-MM-dd}",
        Shape::Map(&Shape::Text),
    ),
    may("iceberg", "Where Firehose writes the record", Shape::Object(&ICEBERG)),
]);

pub(super) static ICEBERG: Object = Object(&[
    must("database", "The database", Shape::Text),
    must("table", "The table", Shape::Text),
    may("operation", "insert, update or delete", Shape::Text),
]);

pub(super) static CASE: Object = Object(&[
    must("name", "What the case shows", Shape::Text),
    must("input", "The record", Shape::Text),
    may("arrived", "When the record reached the stream", Shape::Text),
    may("result", "What becomes of it", Shape::Words(|| words(RESULTS))),
    may("reason", "Why it is dropped or failed", Shape::Text),
    may(
        "fields",
        "Fields of the one row; null for one that is not there",
        Shape::Map(&Shape::Anything),
    ),
    may("rows", "Fields of each row", Shape::List(&Shape::Map(&Shape::Anything))),
    may("partition_keys", "The partition keys", Shape::Map(&Shape::Text)),
]);

/// The JSON Schema of a pipeline's file, for editors.
pub fn editor_schema() -> String {
    let mut schema = object(&PIPELINE);
    if let Value::Object(members) = &mut schema {
        members.insert("$schema".into(), "https://json-schema.org/draft/2020-12/schema".into());
        members.insert("title".into(), "A pipeline of Tidegate's transform".into());
    }
    // The members of an object of JSON come out in the order of their names.
    let mut text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    text.push('\n');
    text
}

fn object(object: &Object) -> Value {
    let properties: Map<String, Value> = object
        .0
        .iter()
        .map(|member| {
            let mut value = shape(&member.shape);
            if let Value::Object(members) = &mut value {
                members.insert("description".into(), member.about.into());
            }
            (member.name.to_owned(), value)
        })
        .collect();
    let required: Vec<_> =
        object.0.iter().filter(|member| member.required).map(|member| member.name).collect();
    let mut value = json!({
        "type": "object", "properties": properties, "additionalProperties": false,
    });
    if !required.is_empty() {
        value["required"] = required.into();
    }
    value
}

fn shape(of: &Shape) -> Value {
    match of {
        // YAML takes some texts for numbers, true or false.
        Shape::Text => json!({"type": ["string", "number", "boolean"]}),
        Shape::Boolean => json!({"type": "boolean"}),
        Shape::Number { from, to } => json!({"type": "number", "minimum": from, "maximum": to}),
        Shape::Words(words) => json!({"enum": words()}),
        Shape::Object(of) => object(of),
        Shape::OneOf(of) => {
            let mut value = object(of);
            value["minProperties"] = 1.into();
            value["maxProperties"] = 1.into();
            value
        }
        Shape::List(item) => json!({"type": "array", "items": shape(item)}),
        Shape::Map(item) => json!({"type": "object", "additionalProperties": shape(item)}),
        Shape::Either(shapes) => json!({"anyOf": shapes.iter().map(shape).collect::<Vec<_>>()}),
        Shape::Anything => json!({}),
    }
}
