//! The access logs of Apache and nginx: common, `%h %l %u %t "%r" %>s %b`; combined, which adds
//! `"%{Referer}i" "%{User-Agent}i"` ("Log Files", Apache HTTP Server 2.4 documentation, 2026-11);
//! and that of nginx's own configuration, which adds `"$http_x_forwarded_for"` (nginx 1.28,
//! conf/nginx.conf).
//!
//! ```
//! use tidegate_transform::formats::apache;
//! let line = br#"192.0.2.7 - - [10/Oct/2000:13:55:36 -0700] "GET /a HTTP/1.1" 200 12 "-" "curl/8""#;
//! let line = apache::parse(line).unwrap();
//! assert_eq!(line.status, 200);
//! assert_eq!(line.time.to_string(), "2000-10-10T20:55:36Z");
//! ```

mod text;
mod usual;

use memchr::{memchr, memchr3, memrchr};

pub use self::text::Text;
use super::LogTime;
use super::time::{LOG_TIME_LEN, Minute};
use super::{Read, failed};
use crate::moment::Moment;
use crate::outcome::Reason;
use crate::record::Record;
use crate::scope::Field;
use crate::value::{Kind, Value};

/// How much of the combined format a line has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// Up to the size.
    Common,
    /// With the referer and the user agent.
    Combined,
    /// Combined, and after it the forwarded addresses where the server logs them.
    Nginx,
}

impl Layout {
    /// The fields of a line, in the order of the output.
    pub(crate) fn fields(self) -> Vec<Field> {
        use Kind::{Integer, Text, Timestamp};
        let all = [
            ("client", Text),
            ("ident", Text),
            ("user", Text),
            ("time", Timestamp),
            ("method", Text),
            ("path", Text),
            ("protocol", Text),
            ("request", Text),
            ("status", Integer),
            ("bytes", Integer),
            ("referer", Text),
            ("user_agent", Text),
            ("forwarded_for", Text),
        ];
        let len = match self {
            Self::Common => 10,
            Self::Combined => 12,
            Self::Nginx => 13,
        };
        let field = |(name, kind)| Field { rare: name == "request", ..Field::new(name, kind) };
        all.into_iter().take(len).map(field).collect()
    }
}

/// Reads lines into the slots of their fields.
pub(crate) struct Access {
    layout: Layout,
    slots: Vec<usize>,
    /// The first slot, where the others follow it in their order.
    first: Option<usize>,
    minute: Minute,
}

impl Access {
    pub(crate) fn new(layout: Layout, slots: Vec<usize>) -> Self {
        let first = slots.first().copied();
        let first = first.filter(|first| slots.iter().copied().eq(*first..first + slots.len()));
        Self { layout, slots, first, minute: Minute::default() }
    }

    /// Reads the bytes of a line that does not end in a line break.
    pub(crate) fn read<'r>(&mut self, line: &'r [u8], record: &mut Record<'r>) -> Read {
        let usual = match self.layout {
            Layout::Common => None,
            Layout::Combined | Layout::Nginx => usual::read(line, &mut self.minute),
        };
        let (line, usual) = match usual {
            Some(line) => (line, true),
            None => {
                let line = parse_slowly(super::text(line)?, self.layout);
                (line.map_err(|error| failed(error.reason()))?, false)
            }
        };
        let client = if usual { Text::plain(line.client).into() } else { Value::Text(line.client) };
        let (method, path, protocol, request) = match line.request {
            // Both are tokens, without anything that has to be escaped.
            Request::Split { method, path, protocol } => {
                let [method, protocol] = [method, protocol].map(|token| Text::plain(token).into());
                (method, path.into(), protocol, Value::Null)
            }
            Request::Whole(request) => (Value::Null, Value::Null, Value::Null, request.into()),
        };
        let logged = |text: Option<Text<'r>>| text.map_or(Value::Null, Value::from);
        let values = [
            client,
            logged(line.ident),
            logged(line.user),
            Value::Time(Moment::from(line.time)),
            method,
            path,
            protocol,
            request,
            Value::Integer(i64::from(line.status)),
            line.bytes.map_or(Value::Null, Value::Integer),
            logged(line.referer),
            logged(line.user_agent),
            logged(line.forwarded_for),
        ];
        match self.first.and_then(|first| record.values.get_mut(first..first + self.slots.len())) {
            Some(together) => together.copy_from_slice(&values[..self.slots.len()]),
            None => {
                for (slot, value) in self.slots.iter().zip(values) {
                    record.values[*slot] = value;
                }
            }
        }
        Ok(())
    }
}

/// One line, borrowed from where it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessLine<'a> {
    /// The client's address, or its host name where the server looks names up.
    pub client: &'a str,
    /// The client's identity by RFC 1413; `None` for `-`.
    pub ident: Option<Text<'a>>,
    /// The authenticated user; `None` for `-`. It may hold spaces.
    pub user: Option<Text<'a>>,
    /// When the request came.
    pub time: LogTime,
    /// The first line of the request.
    pub request: Request<'a>,
    /// The status of the final response.
    pub status: u16,
    /// The size of the response in bytes, without its headers; `None` for `-`.
    pub bytes: Option<i64>,
    /// The page that led here; `None` for `-`.
    pub referer: Option<Text<'a>>,
    /// What the client calls itself; `None` for `-`.
    pub user_agent: Option<Text<'a>>,
    /// The addresses that the request was forwarded for, where they are logged; `None` for `-`.
    pub forwarded_for: Option<Text<'a>>,
}

/// The first line of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request<'a> {
    /// A method, a target and a protocol.
    Split {
        /// Such as `GET`.
        method: &'a str,
        /// The target as it was sent, query and all.
        path: Text<'a>,
        /// Such as `HTTP/1.1`.
        protocol: &'a str,
    },
    /// Something else, as it was logged: `-` where nothing was read in time, a TLS greeting on a
    /// plain port, HTTP/0.9.
    Whole(Text<'a>),
}

/// Why a line is not one of the combined format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// There is nothing in it.
    #[error("the line is empty")]
    Empty,
    /// Apache and nginx write bytes outside ASCII as `\xhh`, so this was written by something else.
    #[error("the line is not UTF-8 after byte {valid_bytes}")]
    NotUtf8 {
        /// How much of the line is UTF-8.
        valid_bytes: usize,
    },
    /// The line ends, or goes on with something else, where the field should begin.
    #[error("the line has no {0}")]
    MissingField(&'static str),
    /// The line ends within the quotes of the field.
    #[error("the quote around {0} does not close")]
    UnclosedQuote(&'static str),
    /// What is in brackets is not a timestamp.
    #[error("the time is not of the form 10/Oct/2000:13:55:36 -0700")]
    BadTime,
    /// The status is not three digits.
    #[error("the status is not three digits")]
    BadStatus,
    /// The size is neither a number nor `-`.
    #[error("the size is neither a number of bytes nor -")]
    BadBytes,
    /// The line goes on after its last field: another format, or two lines in one record.
    #[error("{bytes} bytes follow the last field")]
    TrailingBytes {
        /// How many.
        bytes: usize,
    },
}

impl ParseError {
    /// The reason under which the record is counted.
    pub const fn reason(self) -> Reason {
        match self {
            Self::Empty => Reason::Empty,
            Self::NotUtf8 { .. } => Reason::NotUtf8,
            Self::MissingField(_) => Reason::MissingField,
            Self::UnclosedQuote(_) => Reason::UnclosedQuote,
            Self::BadTime => Reason::BadTime,
            Self::BadStatus => Reason::BadStatus,
            Self::BadBytes => Reason::BadBytes,
            Self::TrailingBytes { .. } => Reason::TrailingBytes,
        }
    }
}

/// Reads one line of the combined format, with or without its line ending.
///
/// # Errors
/// When the line is not of the combined format; requests of any form are.
pub fn parse(line: &[u8]) -> Result<AccessLine<'_>, ParseError> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.is_empty() {
        return Err(ParseError::Empty);
    }
    let line = std::str::from_utf8(line)
        .map_err(|error| ParseError::NotUtf8 { valid_bytes: error.valid_up_to() })?;
    parse_slowly(line, Layout::Combined)
}

/// Reads a line field by field.
fn parse_slowly(line: &str, layout: Layout) -> Result<AccessLine<'_>, ParseError> {
    let mut rest = Rest(line);
    let mut parsed = AccessLine {
        client: rest.word("client")?,
        ident: optional(rest.after_space("ident")?.word("ident")?),
        user: optional(rest.after_space("user")?.user()?),
        time: rest.after_space("time")?.time()?,
        request: Request::split(rest.after_space("request")?.quoted("request")?),
        status: status(rest.after_space("status")?.word("status")?)?,
        bytes: bytes(rest.after_space("bytes")?.word("bytes")?)?,
        referer: None,
        user_agent: None,
        forwarded_for: None,
    };
    if layout != Layout::Common {
        parsed.referer = optional(rest.after_space("referer")?.quoted("referer")?);
        parsed.user_agent = optional(rest.after_space("user_agent")?.quoted("user_agent")?);
    }
    if layout == Layout::Nginx && !rest.0.is_empty() {
        parsed.forwarded_for =
            optional(rest.after_space("forwarded_for")?.quoted("forwarded_for")?);
    }
    match rest.0.len() {
        0 => Ok(parsed),
        bytes => Err(ParseError::TrailingBytes { bytes }),
    }
}

impl<'a> Request<'a> {
    fn split(line: &'a str) -> Self {
        let bytes = line.as_bytes();
        let parts = memchr(b' ', bytes).zip(memrchr(b' ', bytes)).and_then(|(first, last)| {
            let (method, protocol) = (&line[..first], &line[last + 1..]);
            let path = line.get(first + 1..last)?;
            (is_method(method) && !path.is_empty() && is_protocol(protocol))
                .then_some((method, path, protocol))
        });
        match parts {
            Some((method, path, protocol)) => {
                Self::Split { method, path: Text::new(path), protocol }
            }
            None => Self::Whole(Text::new(line)),
        }
    }
}

/// A token of RFC 9110, which excludes whatever Apache would have escaped.
fn is_method(text: &str) -> bool {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    matches!(text, "GET" | "POST" | "HEAD") || !text.is_empty() && text.bytes().all(token)
}

fn is_protocol(text: &str) -> bool {
    let version = text.strip_prefix("HTTP/").unwrap_or_default().as_bytes();
    match version {
        [major] => major.is_ascii_digit(),
        [major, b'.', minor] => major.is_ascii_digit() && minor.is_ascii_digit(),
        _ => false,
    }
}

/// A field that may be absent, which is written `-`; a user name that is empty is written `""`.
fn optional(text: &str) -> Option<Text<'_>> {
    match text {
        "-" => None,
        "\"\"" => Some(Text::new("")),
        _ => Some(Text::new(text)),
    }
}

fn status(word: &str) -> Result<u16, ParseError> {
    match word.as_bytes() {
        [a, b, c] if [a, b, c].iter().all(|digit| digit.is_ascii_digit()) => {
            Ok([a, b, c].iter().fold(0, |sum, digit| sum * 10 + u16::from(**digit - b'0')))
        }
        _ => Err(ParseError::BadStatus),
    }
}

fn bytes(word: &str) -> Result<Option<i64>, ParseError> {
    if word == "-" {
        return Ok(None);
    }
    // `parse` takes a sign, which no server writes.
    if !word.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(ParseError::BadBytes);
    }
    word.parse().map(Some).map_err(|_| ParseError::BadBytes)
}

/// What has not been read yet.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    /// Steps over the one space before a field.
    fn after_space(&mut self, field: &'static str) -> Result<&mut Self, ParseError> {
        self.0 = self.0.strip_prefix(' ').ok_or(ParseError::MissingField(field))?;
        Ok(self)
    }

    /// Up to the next space, or to the end.
    fn word(&mut self, field: &'static str) -> Result<&'a str, ParseError> {
        let end = memchr(b' ', self.0.as_bytes()).unwrap_or(self.0.len());
        let word = self.take(end);
        if word.is_empty() { Err(ParseError::MissingField(field)) } else { Ok(word) }
    }

    /// Up to the space and bracket that begin the time: a user name may hold spaces.
    fn user(&mut self) -> Result<&'a str, ParseError> {
        let bytes = self.0.as_bytes();
        let mut from = 0;
        while let Some(at) = memchr(b'[', &bytes[from..]).map(|at| at + from) {
            match at {
                0 | 1 => return Err(ParseError::MissingField("user")),
                _ if bytes[at - 1] == b' ' => return Ok(self.take(at - 1)),
                _ => from = at + 1,
            }
        }
        Err(ParseError::MissingField("time"))
    }

    /// `[time]`.
    fn time(&mut self) -> Result<LogTime, ParseError> {
        let bytes = self.0.as_bytes();
        let time = bytes.get(1..=LOG_TIME_LEN).and_then(LogTime::parse);
        match (time, bytes.get(LOG_TIME_LEN + 1)) {
            (Some(time), Some(b']')) => {
                self.take(LOG_TIME_LEN + 2);
                Ok(time)
            }
            _ => Err(ParseError::BadTime),
        }
    }

    /// Between two quotes, of which the second is the first without a backslash before it.
    fn quoted(&mut self, field: &'static str) -> Result<&'a str, ParseError> {
        let inside = self.0.strip_prefix('"').ok_or(ParseError::MissingField(field))?;
        let bytes = inside.as_bytes();
        let mut from = 0;
        // A line break cannot be inside: servers write it as \n.
        while let Some(at) =
            bytes.get(from..).and_then(|rest| memchr3(b'"', b'\\', b'\n', rest)).map(|at| at + from)
        {
            match bytes[at] {
                b'"' => {
                    let text = &inside[..at];
                    self.take(at + 2);
                    return Ok(text);
                }
                b'\\' => from = at + 2,
                _ => break,
            }
        }
        Err(ParseError::UnclosedQuote(field))
    }

    /// The next `len` bytes; an ASCII byte, or the end, comes after them.
    fn take(&mut self, len: usize) -> &'a str {
        let (taken, rest) = self.0.split_at(len);
        self.0 = rest;
        taken
    }
}

#[cfg(test)]
mod tests;
