//! The forms of input: each turns the bytes of one event into fields, or says why not.

mod aggregate;
pub mod apache;
pub(crate) mod calendar;
mod elb;
mod json;
mod logfmt;
mod open;
mod pattern;
mod regex;
mod syslog;
mod table;
mod time;
mod unwrap;
mod vpc_flow;
mod wrapped;

pub use time::LogTime;

pub(crate) use self::aggregate::{split as split_aggregate, user_records};
pub(crate) use self::open::{Keys, Open, column_name};
pub(crate) use self::pattern::Pattern;
pub(crate) use self::regex::Regex;
pub(crate) use self::table::{Table, csv_rows};
pub(crate) use self::unwrap::{Unwrap, Unwrapper, envelope, lines, rows};
pub(crate) use self::vpc_flow::{VpcFlow, field as vpc_field};

pub(crate) use self::wrapped::{entries, whole};
use crate::outcome::{Outcome, Reason};
use crate::record::Record;
use crate::scope::Field;
use crate::value::{Kind, Value};

/// A form of input, as a pipeline names it under `input.format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Format {
    /// The common access log of Apache.
    ApacheCommon,
    /// The combined access log of Apache and nginx.
    ApacheCombined,
    /// The access log of nginx's own configuration.
    Nginx,
    /// Values separated by commas (RFC 4180).
    Csv,
    /// Values separated by tabs.
    Tsv,
    /// A JSON object.
    Json,
    /// `key=value` pairs.
    Logfmt,
    /// BSD syslog (RFC 3164).
    Syslog3164,
    /// Syslog (RFC 5424).
    Syslog5424,
    /// VPC flow logs.
    VpcFlow,
    /// Access logs of an Application Load Balancer.
    Alb,
    /// Any line of text.
    Text,
    /// A pattern of the user's own.
    Pattern,
    /// A regular expression of the user's own.
    Regex,
}

impl Format {
    /// Every format, with its name in a pipeline.
    pub const NAMED: &[(&str, Self)] = &[
        ("apache_common", Self::ApacheCommon),
        ("apache_combined", Self::ApacheCombined),
        ("nginx", Self::Nginx),
        ("csv", Self::Csv),
        ("tsv", Self::Tsv),
        ("json", Self::Json),
        ("logfmt", Self::Logfmt),
        ("syslog_3164", Self::Syslog3164),
        ("syslog_5424", Self::Syslog5424),
        ("vpc_flow", Self::VpcFlow),
        ("alb", Self::Alb),
        ("text", Self::Text),
        ("pattern", Self::Pattern),
        ("regex", Self::Regex),
    ];

    /// The name in a pipeline.
    pub fn name(self) -> &'static str {
        Self::NAMED.iter().find(|(_, format)| *format == self).map_or("", |(name, _)| name)
    }

    /// The fields that the format itself names, in the order of the output.
    pub fn fields(self) -> Vec<Field> {
        match self {
            Self::ApacheCommon => apache::Layout::Common.fields(),
            Self::ApacheCombined => apache::Layout::Combined.fields(),
            Self::Nginx => apache::Layout::Nginx.fields(),
            Self::Syslog3164 => syslog::fields(false),
            Self::Syslog5424 => syslog::fields(true),
            Self::VpcFlow => vpc_flow::default_fields(),
            Self::Alb => elb::fields(),
            Self::Text => vec![Field::new("message", Kind::Text)],
            Self::Csv | Self::Tsv | Self::Json | Self::Logfmt | Self::Pattern | Self::Regex => {
                Vec::new()
            }
        }
    }
}

/// What reading an event came to. The error is final for a record, unless another input follows.
pub(crate) type Read = Result<(), Outcome>;

pub(crate) const fn failed(reason: Reason) -> Outcome {
    Outcome::ProcessingFailed(reason)
}

/// An input, ready to read: a format with the slots of its fields.
pub(crate) enum Reader {
    Access(apache::Access),
    Table(Table),
    Json(json::Json),
    Logfmt(Open),
    Syslog(syslog::Syslog),
    VpcFlow(VpcFlow),
    Alb(Vec<usize>),
    Text(usize),
    Pattern(Pattern),
    Regex(Regex),
}

impl Reader {
    pub(crate) fn json(open: Open, flatten: bool) -> Self {
        Self::Json(json::Json::new(open, flatten))
    }

    /// A format that needs to know no more than the slots of its fields.
    pub(crate) fn plain(format: Format, slots: Vec<usize>) -> Option<Self> {
        let access = |layout| Self::Access(apache::Access::new(layout, slots.clone()));
        Some(match format {
            Format::ApacheCommon => access(apache::Layout::Common),
            Format::ApacheCombined => access(apache::Layout::Combined),
            Format::Nginx => access(apache::Layout::Nginx),
            Format::Syslog3164 => Self::Syslog(syslog::Syslog::new(false, slots)),
            Format::Syslog5424 => Self::Syslog(syslog::Syslog::new(true, slots)),
            Format::Alb => Self::Alb(slots),
            Format::Text => Self::Text(*slots.first()?),
            _ => return None,
        })
    }

    /// Reads one event.
    pub(crate) fn read<'r>(&'r mut self, event: &'r [u8], record: &mut Record<'r>) -> Read {
        let line = line(event)?;
        match self {
            // Whether it is text is seen there on the way.
            Self::Access(access) => access.read(line, record),
            Self::Table(table) => table.read(text(line)?, record),
            Self::Json(json) => json.read(text(line)?, record),
            Self::Logfmt(open) => logfmt::read(open, text(line)?, record),
            Self::Syslog(syslog) => syslog.read(text(line)?, record),
            Self::VpcFlow(flow) => flow.read(text(line)?, record),
            Self::Alb(slots) => elb::read(slots, text(line)?, record),
            Self::Text(slot) => {
                record.values[*slot] = Value::Text(text(line)?);
                Ok(())
            }
            Self::Pattern(pattern) => pattern.read(text(line)?, record),
            Self::Regex(regex) => regex.read(text(line)?, record),
        }
    }

    /// Puts the fields that later parts of the pipeline name where those parts look for them.
    pub(crate) fn want(&mut self, wanted: &[(String, usize)]) {
        match self {
            Self::Json(json) => json.open.want(wanted),
            Self::Logfmt(open) => open.want(wanted),
            Self::Table(table) => table.want(wanted),
            _ => {}
        }
    }

    /// Whether an event of it may go over several lines.
    pub(crate) const fn may_wrap(&self) -> bool {
        matches!(self, Self::Access(..))
    }

    /// A record begins: what an earlier one said of its columns holds no more.
    pub(crate) fn begin(&mut self) {
        if let Self::Table(table) = self {
            table.begin();
        }
    }
}

/// An event without its line ending, and without the mark that some programs put before UTF-8.
fn line(event: &[u8]) -> Result<&[u8], Outcome> {
    let event = event.strip_prefix("\u{feff}".as_bytes()).unwrap_or(event);
    let event = event.strip_suffix(b"\n").unwrap_or(event);
    let event = event.strip_suffix(b"\r").unwrap_or(event);
    if event.is_empty() { Err(failed(Reason::Empty)) } else { Ok(event) }
}

/// The text of an event.
fn text(event: &[u8]) -> Result<&str, Outcome> {
    std::str::from_utf8(event).map_err(|_| failed(Reason::NotUtf8))
}

/// A cell of a table as a field of its kind; an empty one is null.
fn cell(kind: Kind, text: &str) -> Result<Value<'_>, Outcome> {
    if text.is_empty() {
        return Ok(Value::Null);
    }
    kind.read(text).ok_or(failed(Reason::BadField))
}
