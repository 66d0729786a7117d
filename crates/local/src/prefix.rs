//! Firehose's prefix expressions ("Understand custom prefixes for Amazon S3 objects", Firehose
//! Developer Guide, 2026-11).

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// A prefix that cannot be evaluated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PrefixError {
    /// An expression without its closing brace.
    #[error("the prefix {0:?} has an expression without a closing brace")]
    Unclosed(String),
    /// An expression that the model does not know.
    #[error(
        "the expression {0:?} is not known: there are timestamp:PATTERN (of yyyy, MM, dd, HH, mm), \
         firehose:random-string and firehose:error-output-type"
    )]
    Unknown(String),
}

/// What expressions are replaced by.
#[derive(Debug, Clone, Copy)]
pub struct Values<'a> {
    /// The arrival of the oldest record of the object.
    pub oldest: Timestamp,
    /// `!{firehose:error-output-type}`, under an error prefix.
    pub error_type: Option<&'a str>,
    /// `!{firehose:random-string}`, of eleven characters.
    pub random: &'a str,
}

/// Evaluates a prefix. One without a timestamp gets `yyyy/MM/dd/HH/` at its end.
///
/// # Errors
/// When an expression is not known.
pub fn evaluate(prefix: &str, values: Values<'_>) -> Result<String, PrefixError> {
    let mut text = String::new();
    let mut rest = prefix;
    let mut timed = false;
    while let Some(start) = rest.find("!{") {
        text.push_str(&rest[..start]);
        let (expression, after) = rest[start + 2..]
            .split_once('}')
            .ok_or_else(|| PrefixError::Unclosed(prefix.to_owned()))?;
        let unknown = || PrefixError::Unknown(expression.to_owned());
        match expression.split_once(':').ok_or_else(unknown)? {
            ("timestamp", pattern) => {
                timed = true;
                text.push_str(&date(pattern, values.oldest).ok_or_else(unknown)?);
            }
            ("firehose", "random-string") => text.push_str(values.random),
            ("firehose", "error-output-type") => {
                text.push_str(values.error_type.ok_or_else(unknown)?);
            }
            _ => return Err(unknown()),
        }
        rest = after;
    }
    text.push_str(rest);
    if !timed {
        text.push_str(&date("yyyy/MM/dd/HH/", values.oldest).unwrap_or_default());
    }
    Ok(text)
}

/// A pattern of Java's DateTimeFormatter, as far as prefixes use it; UTC.
fn date(pattern: &str, at: Timestamp) -> Option<String> {
    let time = at.to_zoned(TimeZone::UTC);
    let mut text = String::new();
    let mut rest = pattern;
    while let Some(first) = rest.chars().next() {
        let run = rest.chars().take_while(|c| *c == first).count();
        match (first, run) {
            ('y', 4) => text.push_str(&format!("{:04}", time.year())),
            ('M', 2) => text.push_str(&format!("{:02}", time.month())),
            ('d', 2) => text.push_str(&format!("{:02}", time.day())),
            ('H', 2) => text.push_str(&format!("{:02}", time.hour())),
            ('m', 2) => text.push_str(&format!("{:02}", time.minute())),
            (letter, _) if letter.is_ascii_alphabetic() => return None,
            (other, run) => text.extend(std::iter::repeat_n(other, run)),
        }
        rest = &rest[first.len_utf8() * run..];
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_replaced() {
        let values = Values {
            oldest: Timestamp::from_second(1_763_683_261).unwrap(),
            error_type: Some("processing-failed"),
            random: "abcdefghijk",
        };
        let cases = [
            ("data/", Ok("data/2025/11/21/00/")),
            (
                "d/year=!{timestamp:yyyy}/month=!{timestamp:MM}/hour=!{timestamp:HH}/",
                Ok("d/year=2025/month=11/hour=00/"),
            ),
            (
                "e/!{firehose:error-output-type}/!{timestamp:yyyy-MM-dd}/!{firehose:random-string}",
                Ok("e/processing-failed/2025-11-21/abcdefghijk"),
            ),
            ("!{timestamp:yy}", Err(PrefixError::Unknown("timestamp:yy".into()))),
            ("!{nothing}", Err(PrefixError::Unknown("nothing".into()))),
            ("a/!{timestamp:yyyy", Err(PrefixError::Unclosed("a/!{timestamp:yyyy".into()))),
        ];
        for (prefix, expected) in cases {
            assert_eq!(evaluate(prefix, values), expected.map(str::to_owned), "{prefix}");
        }
    }
}
