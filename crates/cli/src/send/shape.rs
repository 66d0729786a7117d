//! From a line to a record: its key, its id, and what the payload is made of.

use std::io::Write as _;

use anyhow::{Context, bail};
use flate2::Compression;
use flate2::write::GzEncoder;
use md5::{Digest as _, Md5};
use rand::Rng as _;
use rand_pcg::Pcg64Mcg;
use serde_json::Value;
use tidegate_producer::Record;
use tidegate_transform::{Engine, Outcome, Pipeline};

use super::fields::Wanted;
use crate::transform::pipeline::{self, Databases};

/// How records are made of lines.
#[derive(clap::Args)]
pub struct Form {
    /// The partition key: field:NAME (a.b for a field within one), template:TEXT with {NAME} for
    /// fields, line (a hash of the line), random
    #[arg(long, value_name = "KEY", default_value = "random")]
    key: String,
    /// The explicit hash key: field:NAME, a number below 2^128
    #[arg(long, value_name = "KEY")]
    hash_key: Option<String>,
    /// A unique id in each record, the same whenever the line is sent: field:NAME puts it into the
    /// JSON object, envelope makes {"id":…,"data":…} of the line
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// Convert lines first: a pipeline of the transform, a file or builtin:NAME
    #[arg(long, value_name = "PIPELINE")]
    pipeline: Option<String>,
    #[command(flatten)]
    databases: Databases,
    /// Compress the payload of each record
    #[arg(long)]
    gzip: bool,
    /// Join lines: a record begins where a line matches this regular expression
    #[arg(long, value_name = "REGEX")]
    pub join: Option<String>,
}

/// What a line becomes.
pub enum Shaped {
    /// A record.
    Record(Record),
    /// Nothing: the pipeline drops it.
    Dropped,
    /// No record can be made of it: a stable word, and a sentence.
    Rejected(&'static str, String),
}

/// Where a line is from; the id is made of it.
pub struct Origin<'a> {
    /// The line that names the columns, where there is one.
    pub header: Option<&'a [u8]>,
    /// What tells the input from others.
    pub source: &'a str,
    /// Where the line begins in it.
    pub start: u64,
}

enum Key {
    Random,
    Line,
    Field(Vec<String>),
    Template(Vec<Piece>),
}

enum Piece {
    Text(String),
    Field(Vec<String>),
}

enum Id {
    Field(String),
    Envelope,
}

/// Makes records of lines.
pub struct Shaper {
    key: Key,
    hash_key: Option<Vec<String>>,
    id: Option<Id>,
    /// The fields that are asked for, where a line must be an object.
    wanted: Option<Wanted>,
    engine: Option<Engine>,
    /// Whether the first line of each input names the columns of the others.
    pub has_header: bool,
    gzip: bool,
    dice: Pcg64Mcg,
}

impl Shaper {
    /// From the arguments; the seed makes random keys.
    pub fn new(arguments: &Form, seed: u64) -> anyhow::Result<Self> {
        let pipeline = match &arguments.pipeline {
            Some(name) => {
                Some(pipeline::compile(name, &pipeline::text(name)?, &arguments.databases)?)
            }
            None => None,
        };
        let key = key(&arguments.key)?;
        let hash_key = arguments.hash_key.as_deref().map(hash_key).transpose()?;
        let id = arguments.id.as_deref().map(id).transpose()?;
        Ok(Self {
            wanted: wanted(&key, hash_key.as_deref(), id.as_ref()),
            key,
            hash_key,
            id,
            has_header: pipeline.as_ref().is_some_and(Pipeline::has_header),
            engine: pipeline.map(Engine::new),
            gzip: arguments.gzip,
            dice: Pcg64Mcg::new(u128::from(seed)),
        })
    }

    /// Whether records get an id, which is made of where their lines are from.
    pub const fn has_id(&self) -> bool {
        self.id.is_some()
    }

    /// The record of a line; its place is for the caller to set.
    pub fn shape(&mut self, line: &[u8], origin: &Origin) -> Shaped {
        let mut converted = Vec::new();
        let whole = origin.header.map(|header| [header, line].join(&b'\n'));
        let line = match &mut self.engine {
            None => line,
            Some(engine) => {
                match engine.convert(whole.as_deref().unwrap_or(line), &mut converted) {
                    Outcome::Ok => converted.strip_suffix(b"\n").unwrap_or(&converted),
                    Outcome::Dropped(_) => return Shaped::Dropped,
                    Outcome::ProcessingFailed(reason) => {
                        let message = "the pipeline does not take the line".to_owned();
                        return Shaped::Rejected(reason.name(), message);
                    }
                }
            }
        };
        match self.record(line, origin) {
            Ok(record) => Shaped::Record(record),
            Err((reason, message)) => Shaped::Rejected(reason, message),
        }
    }

    fn record(&mut self, line: &[u8], origin: &Origin) -> Result<Record, (&'static str, String)> {
        let fields = self.wanted.as_ref().map(|wanted| wanted.read(line)).transpose()?;
        let text_of = |path: &[String]| match &fields {
            Some(fields) => fields.text(path),
            None => Err(("no_key", "no field is read".to_owned())),
        };
        let partition_key = match &self.key {
            Key::Random => format!("{:016x}", self.dice.random::<u64>()),
            Key::Line => hex(&Md5::digest(line)),
            Key::Field(path) => text_of(path)?,
            Key::Template(pieces) => {
                let mut key = String::new();
                for piece in pieces {
                    match piece {
                        Piece::Text(text) => key.push_str(text),
                        Piece::Field(path) => key.push_str(&text_of(path)?),
                    }
                }
                key
            }
        };
        let explicit_hash_key = match &self.hash_key {
            None => None,
            Some(path) => {
                let text = text_of(path)?;
                let number = text.parse().map_err(|_| {
                    let name = path.join(".");
                    ("hash_key", format!("{name} is {text:?}, not a number below 2^128"))
                })?;
                Some(number)
            }
        };
        let has = |name: &str| fields.as_ref().is_some_and(|fields| fields.has(name));
        let data = match &self.id {
            None => line.to_vec(),
            Some(Id::Field(name)) if has(name) => {
                return Err(("id_taken", format!("the line has a field {name} already")));
            }
            Some(Id::Field(name)) => {
                let is_empty = fields.as_ref().is_none_or(|fields| fields.is_empty);
                with_id(line, name, &identity(line, origin), is_empty)
            }
            Some(Id::Envelope) => envelope(line, origin),
        };
        let data = if self.gzip { compressed(&data) } else { data };
        Ok(Record { place: 0, partition_key, explicit_hash_key, data })
    }
}

fn path(text: &str) -> anyhow::Result<Vec<String>> {
    let path: Vec<_> = text.split('.').map(str::to_owned).collect();
    if path.iter().any(String::is_empty) {
        bail!("{text:?} names no field: a field within another is written a.b");
    }
    Ok(path)
}

fn key(text: &str) -> anyhow::Result<Key> {
    match text.split_once(':') {
        None if text == "random" => Ok(Key::Random),
        None if text == "line" => Ok(Key::Line),
        Some(("field", name)) => Ok(Key::Field(path(name)?)),
        Some(("template", template)) => Ok(Key::Template(pieces(template)?)),
        _ => bail!("--key {text}: expected field:NAME, template:TEXT, line or random"),
    }
}

/// What is asked of each line; nothing where a line need be no object.
fn wanted(key: &Key, hash_key: Option<&[String]>, id: Option<&Id>) -> Option<Wanted> {
    let of_key: Vec<&[String]> = match key {
        Key::Random | Key::Line => Vec::new(),
        Key::Field(path) => vec![path],
        Key::Template(pieces) => {
            let paths = pieces.iter().filter_map(|piece| match piece {
                Piece::Field(path) => Some(path.as_slice()),
                Piece::Text(_) => None,
            });
            paths.collect()
        }
    };
    let is_object = matches!(key, Key::Field(_) | Key::Template(_))
        || hash_key.is_some()
        || matches!(id, Some(Id::Field(_)));
    let mut wanted = Wanted::default();
    for path in of_key.into_iter().chain(hash_key) {
        path.first().into_iter().for_each(|name| wanted.add(name));
    }
    if let Some(Id::Field(name)) = id {
        wanted.add(name);
    }
    is_object.then_some(wanted)
}

fn pieces(template: &str) -> anyhow::Result<Vec<Piece>> {
    let mut pieces = Vec::new();
    let mut rest = template;
    while let Some((text, after)) = rest.split_once('{') {
        let (name, after) = after
            .split_once('}')
            .with_context(|| format!("--key template:{template}: a {{ is not closed"))?;
        pieces.push(Piece::Text(text.to_owned()));
        pieces.push(Piece::Field(path(name)?));
        rest = after;
    }
    pieces.push(Piece::Text(rest.to_owned()));
    Ok(pieces)
}

fn hash_key(text: &str) -> anyhow::Result<Vec<String>> {
    match text.split_once(':') {
        Some(("field", name)) => path(name),
        _ => bail!("--hash-key {text}: expected field:NAME"),
    }
}

fn id(text: &str) -> anyhow::Result<Id> {
    match text.split_once(':') {
        Some(("field", name)) if !name.is_empty() => Ok(Id::Field(name.to_owned())),
        None if text == "envelope" => Ok(Id::Envelope),
        _ => bail!("--id {text}: expected field:NAME or envelope"),
    }
}

/// The same for the same line at the same place, and for no other: a line that is sent again, after
/// a kill, can be told by it.
fn identity(line: &[u8], origin: &Origin) -> String {
    let mut digest = Md5::new();
    digest.update(origin.source.as_bytes());
    digest.update([0]);
    digest.update(origin.start.to_be_bytes());
    digest.update(line);
    hex(&digest.finalize())
}

/// The object with one field more, in front; all else stays as it is written, numbers too.
fn with_id(line: &[u8], name: &str, id: &str, is_empty: bool) -> Vec<u8> {
    let fields = line.trim_ascii_start().get(1..).unwrap_or_default();
    let comma = if is_empty { "" } else { "," };
    let mut data = format!("{{{}:\"{id}\"{comma}", Value::from(name)).into_bytes();
    data.extend_from_slice(fields);
    data
}

fn envelope(line: &[u8], origin: &Origin) -> Vec<u8> {
    let id = identity(line, origin);
    // A line that is JSON stays JSON; anything else is a text.
    let data = match serde_json::from_slice::<&serde_json::value::RawValue>(line) {
        Ok(raw) => raw.get().to_owned(),
        Err(_) => Value::from(String::from_utf8_lossy(line)).to_string(),
    };
    format!(r#"{{"id":"{id}","data":{data}}}"#).into_bytes()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn compressed(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    // Writing to memory does not fail; a payload that is not compressed is still one.
    match encoder.write_all(data).and_then(|()| encoder.finish()) {
        Ok(compressed) => compressed,
        Err(_) => data.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shaper(key: &str, id: Option<&str>) -> Shaper {
        let arguments = Form {
            key: key.to_owned(),
            hash_key: None,
            id: id.map(str::to_owned),
            pipeline: None,
            databases: Databases::default(),
            gzip: false,
            join: None,
        };
        Shaper::new(&arguments, 1).unwrap()
    }

    #[test]
    fn keys_come_from_fields_templates_and_lines() {
        let line = br#"{"user":"ann","n":7,"at":{"shop":"b"},"list":[]}"#;
        // key, what it is, or why there is none
        let cases = [
            ("field:user", Ok("ann")),
            ("field:n", Ok("7")),
            ("field:at.shop", Ok("b")),
            ("template:{at.shop}-{n}!", Ok("b-7!")),
            ("field:list", Err("no_key")),
            ("field:gone", Err("no_key")),
            ("line", Ok("9c14cd5e8d52ee07be7ee64dcb9adb1e")),
        ];
        for (key, expected) in cases {
            let origin = Origin { header: None, source: "a", start: 0 };
            let shaped = shaper(key, None).shape(line, &origin);
            match (shaped, expected) {
                (Shaped::Record(record), Ok(_)) if key == "line" => {
                    assert_eq!(record.partition_key.len(), 32);
                }
                (Shaped::Record(record), Ok(expected)) => {
                    assert_eq!(record.partition_key, expected, "{key}");
                    assert_eq!(record.data, line);
                }
                (Shaped::Rejected(reason, _), Err(expected)) => assert_eq!(reason, expected),
                _ => panic!("{key}"),
            }
        }
    }

    #[test]
    fn a_key_that_cannot_be_read_is_an_error_with_the_remedy() {
        for (text, part) in [
            ("user", "expected field:NAME"),
            ("field:", "names no field"),
            ("field:a..b", "names no field"),
            ("template:{a", "is not closed"),
        ] {
            let error = key(text).err().unwrap().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn an_id_in_the_object_leaves_the_rest_as_it_is_written() {
        // line, what comes after the id
        let cases = [
            (
                r#" {"z":1.10, "a":12345678901234567890123} "#,
                r#","z":1.10, "a":12345678901234567890123} "#,
            ),
            ("{}", "}"),
            ("{ }", " }"),
        ];
        for (line, rest) in cases {
            let origin = Origin { header: None, source: "a", start: 0 };
            let shaped = shaper("random", Some("field:i\"d")).shape(line.as_bytes(), &origin);
            let Shaped::Record(record) = shaped else { panic!("{line}") };
            let data = String::from_utf8(record.data).unwrap();
            let expected = format!(r#"{{"i\"d":"{}"{rest}"#, identity(line.as_bytes(), &origin));
            assert_eq!(data, expected);
            assert!(serde_json::from_str::<Value>(&data).is_ok());
        }
        let taken = shaper("random", Some("field:a"))
            .shape(br#"{"a":1}"#, &Origin { header: None, source: "", start: 0 });
        assert!(matches!(taken, Shaped::Rejected("id_taken", _)));
    }

    #[test]
    fn an_id_is_the_same_only_for_the_same_line_at_the_same_place() {
        let mut shaper = shaper("random", Some("envelope"));
        let mut id = |line: &[u8], source, start| match shaper
            .shape(line, &Origin { header: None, source, start })
        {
            Shaped::Record(record) => {
                let value: Value = serde_json::from_slice(&record.data).unwrap();
                (value["id"].as_str().unwrap().to_owned(), value["data"].clone())
            }
            _ => panic!("{line:?}"),
        };
        let (first, data) = id(b"plain \"text\"", "a", 10);
        assert_eq!(data, "plain \"text\"");
        assert_eq!(id(b"plain \"text\"", "a", 10).0, first);
        let others = [id(b"other", "a", 10).0, id(b"plain \"text\"", "b", 10).0];
        assert!(!others.contains(&first) && id(b"plain \"text\"", "a", 11).0 != first);
        assert_eq!(id(br#"{"a":[1]}"#, "a", 0).1, serde_json::json!({"a":[1]}));
    }
}
