//! From bytes to what a handler takes.

#[cfg(feature = "access-log")]
mod access_log;
mod cloudwatch_logs;
#[cfg(feature = "json-schema")]
mod json_schema;

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::error::Category;

use crate::event::Record;
use crate::outcome::{BoxError, PoisonReason};

#[cfg(feature = "access-log")]
pub use access_log::AccessLog;
pub use cloudwatch_logs::CloudwatchLogs;
#[cfg(feature = "json-schema")]
pub use json_schema::{JsonSchema, SchemaError};

/// Reads a payload.
///
/// The item may borrow from the payload. A closure `Fn(&[u8]) -> Result<T, DecodeError>` is a
/// decoder of items that own what they hold.
///
/// ```
/// use tidegate_consumer::decode::{self, DecodeError, Decoder};
/// use tidegate_consumer::Record;
///
/// #[derive(serde::Deserialize)]
/// struct Order<'a> {
///     #[serde(borrow)]
///     customer: &'a str,
/// }
///
/// /// Orders that borrow their text from the record.
/// struct Orders;
///
/// impl Decoder for Orders {
///     type Item<'a> = Order<'a>;
///
///     fn decode<'a>(&self, data: &'a [u8], _: &Record<'_>) -> Result<Order<'a>, DecodeError> {
///         decode::json(data)
///     }
/// }
/// ```
pub trait Decoder {
    /// What the handler gets.
    type Item<'a>;

    /// Reads one payload.
    ///
    /// # Errors
    /// Each is final: the record goes to quarantine. A panic is caught, and is as final.
    fn decode<'a>(
        &self,
        data: &'a [u8],
        record: &Record<'_>,
    ) -> Result<Self::Item<'a>, DecodeError>;
}

impl<F, T> Decoder for F
where
    F: Fn(&[u8]) -> Result<T, DecodeError>,
{
    type Item<'a> = T;

    fn decode(&self, data: &[u8], _: &Record<'_>) -> Result<T, DecodeError> {
        self(data)
    }
}

/// Why a payload was refused.
///
/// The error is logged, so its text should say what was expected and where, and not what was found.
#[derive(Debug, thiserror::Error)]
#[error("the payload was refused ({reason})")]
pub struct DecodeError {
    /// The stable reason.
    pub reason: PoisonReason,
    /// What happened.
    #[source]
    pub error: BoxError,
}

impl DecodeError {
    /// A refusal for a reason.
    pub fn new(reason: PoisonReason, error: impl Into<BoxError>) -> Self {
        Self { reason, error: error.into() }
    }
}

/// The payload as it is.
#[derive(Debug, Clone, Copy)]
pub struct Raw;

impl Decoder for Raw {
    type Item<'a> = &'a [u8];

    fn decode<'a>(&self, data: &'a [u8], _: &Record<'_>) -> Result<&'a [u8], DecodeError> {
        Ok(data)
    }
}

/// The payload as text.
#[derive(Debug, Clone, Copy)]
pub struct Text;

impl Decoder for Text {
    type Item<'a> = &'a str;

    fn decode<'a>(&self, data: &'a [u8], _: &Record<'_>) -> Result<&'a str, DecodeError> {
        utf8(data)
    }
}

/// Exactly one JSON object a record, read into a type that owns what it holds.
///
/// What is no JSON is refused as `parse`, and JSON that is no object, or not the one that the type
/// wants, as `schema`. For a type that borrows, implement [`Decoder`] and call [`json`].
pub struct Json<T>(PhantomData<fn() -> T>);

impl<T> Json<T> {
    /// A decoder into this type.
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<T> Default for Json<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for Json<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Json")
    }
}

impl<T: DeserializeOwned> Decoder for Json<T> {
    type Item<'a> = T;

    fn decode(&self, data: &[u8], _: &Record<'_>) -> Result<T, DecodeError> {
        json(data)
    }
}

/// Reads text.
///
/// # Errors
/// `utf8`, with the place of the first byte that is not.
pub fn utf8(data: &[u8]) -> Result<&str, DecodeError> {
    // The quick one does not say where.
    simdutf8::basic::from_utf8(data)
        .or_else(|_| std::str::from_utf8(data))
        .map_err(|error| DecodeError::new(PoisonReason::Utf8, error))
}

/// Reads exactly one JSON object, which the item may borrow from.
///
/// # Errors
/// `utf8`, `parse` or `schema`, with the place and without the value that stands there.
pub fn json<'a, T: Deserialize<'a>>(data: &'a [u8]) -> Result<T, DecodeError> {
    let text = utf8(data)?;
    if !text.trim_ascii_start().starts_with('{') {
        // What is not JSON at all is the more telling fault.
        is_json(text)?;
        return Err(DecodeError::new(PoisonReason::Schema, "not a JSON object"));
    }
    serde_json::from_str(text).or_else(|error| match error.classify() {
        Category::Data => {
            // The type may have refused a value before the text turned out to be no JSON.
            is_json(text)?;
            Err(DecodeError::new(PoisonReason::Schema, without_values(&error)))
        }
        // The parser's own messages quote nothing.
        Category::Syntax | Category::Eof | Category::Io => {
            Err(DecodeError::new(PoisonReason::Parse, error))
        }
    })
}

fn is_json(text: &str) -> Result<(), DecodeError> {
    match serde_json::from_str::<IgnoredAny>(text) {
        Ok(IgnoredAny) => Ok(()),
        Err(error) => Err(DecodeError::new(PoisonReason::Parse, error)),
    }
}

/// What a type refused, without the value that it refused: `serde`'s messages quote the payload, and
/// errors are logged.
fn without_values(error: &serde_json::Error) -> String {
    const QUOTING: &[&str] =
        &["invalid type: ", "invalid value: ", "invalid length ", "unknown variant "];
    // Of a document that was read before, the place is not known.
    let place = match error.line() {
        0 => String::new(),
        line => format!(" at line {line} column {}", error.column()),
    };
    let text = error.to_string();
    if text.starts_with("missing field ") || text.starts_with("duplicate field ") {
        return text;
    }
    let quoting = QUOTING.iter().any(|start| text.starts_with(start));
    // The last one: the quoted value may hold the same words.
    match text.rfind(", expected ").filter(|_| quoting) {
        Some(at) => text[at + 2..].to_owned(),
        None if text.starts_with("unknown field ") => {
            format!("a field that is not expected{place}")
        }
        None => format!("a value was refused{place}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value};

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read into")]
    struct Order {
        id: u64,
        state: Option<State>,
        name: Option<Name>,
    }

    #[derive(Debug, Deserialize)]
    enum State {
        Open,
    }

    /// A type that refuses with words of its own.
    #[derive(Debug)]
    struct Name;

    impl<'de> Deserialize<'de> for Name {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            let text = String::deserialize(deserializer)?;
            Err(serde::de::Error::custom(format!("no name: {text}, expected {text}")))
        }
    }

    /// A record of which no decoder asks anything.
    pub(super) fn any_record() -> Record<'static> {
        let event = br#"{"Records":[{"eventSource":"aws:kinesis"}]}"#;
        crate::Event::parse(event).unwrap().record(0).unwrap()
    }

    pub(super) fn fault<T>(result: Result<T, DecodeError>) -> String {
        match result {
            Ok(_) => "taken".to_owned(),
            Err(DecodeError { reason, error }) => format!("{reason}: {error}"),
        }
    }

    #[test]
    fn json_takes_exactly_one_object() {
        let cases: &[(&[u8], &str)] = &[
            (b"{}", "taken"),
            (b" {\"a\":[1,2.5,null]}\r\n", "taken"),
            (b"", "parse: EOF while parsing a value at line 1 column 0"),
            (b"hello", "parse: expected value at line 1 column 1"),
            (b"{\"a\":1", "parse: EOF while parsing an object at line 1 column 6"),
            (b"{} {}", "parse: trailing characters at line 1 column 4"),
            (b"[1", "parse: EOF while parsing a list at line 1 column 2"),
            (b"[{}]", "schema: not a JSON object"),
            (b"42", "schema: not a JSON object"),
            (b"null", "schema: not a JSON object"),
            (b"{\"a\":\"\xff\"}", "utf8: invalid utf-8 sequence of 1 bytes from index 6"),
            (b"\xc3", "utf8: incomplete utf-8 byte sequence from index 0"),
        ];
        for (data, expected) in cases {
            let shown = String::from_utf8_lossy(data);
            assert_eq!(fault(json::<Map<String, Value>>(data)), *expected, "{shown}");
            assert_eq!(fault(json::<IgnoredAny>(data)), *expected, "{shown}");
        }
    }

    #[test]
    fn a_typed_item_is_refused_without_its_values() {
        let cases = [
            (r#"{"id":7}"#, "taken"),
            (r#"{"id":7,"state":"Open"}"#, "taken"),
            ("{}", "schema: missing field `id` at line 1 column 2"),
            (r#"{"id":1,"id":2}"#, "schema: duplicate field `id` at line 1 column 12"),
            (r#"{"id":"secret"}"#, "schema: expected u64 at line 1 column 14"),
            (r#"{"id":"secret, expected secret"}"#, "schema: expected u64 at line 1 column 31"),
            (r#"{"id":-7}"#, "schema: expected u64 at line 1 column 8"),
            (r#"{"id":7,"state":"secret"}"#, "schema: expected `Open` at line 1 column 24"),
            (r#"{"secret":7}"#, "schema: a field that is not expected at line 1 column 9"),
            (r#"{"id":7,"name":"secret"}"#, "schema: a value was refused at line 1 column 24"),
            (r#"{"id":"secret"} x"#, "parse: trailing characters at line 1 column 17"),
        ];
        for (data, expected) in cases {
            let found = fault(json::<Order>(data.as_bytes()));
            assert_eq!(found, expected, "{data}");
            assert!(!found.contains("secret"), "{data}: {found}");
        }
    }

    #[test]
    fn text_is_utf8() {
        assert_eq!(fault(utf8("grüße".as_bytes())), "taken");
        assert_eq!(fault(utf8(b"a\xff")), "utf8: invalid utf-8 sequence of 1 bytes from index 1");
    }
}
