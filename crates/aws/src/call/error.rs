//! Why a call failed, and whether another may succeed.

use std::error::Error;

use super::Answer;

type BoxError = Box<dyn Error + Send + Sync>;

/// Characters of a service's message that are kept.
const MESSAGE_CHARS_MAX: usize = 300;

/// What a failed call says about another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It may succeed in a moment.
    Passes,
    /// The same call will fail again, for a reason that is not in its records: a permission, a name.
    Stays,
    /// Something in what was sent is at fault.
    Refused,
}

/// A call that failed as a whole.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The settings name no Region.
    #[error("no Region is set; set AWS_REGION")]
    NoRegion,
    /// The settings name no credentials.
    #[error("no credentials are set")]
    NoCredentials,
    /// There are credentials, and they could not be had.
    #[error("the credentials could not be had")]
    Credentials(#[source] BoxError),
    /// The request could not be made.
    #[error("the request could not be made")]
    Request(#[source] BoxError),
    /// There was no answer.
    #[error("there was no answer")]
    Transport(#[source] BoxError),
    /// There was no answer in time.
    #[error("there was no answer within {millis} ms")]
    TooSlow {
        /// How long it was waited.
        millis: u128,
    },
    /// The service refused, with its code and its message; of what was sent, no message quotes
    /// anything, since those that could are left out.
    #[error("it was answered {status} {what}")]
    Answered {
        /// The status.
        status: u16,
        /// The code, and where it quotes nothing that was sent the message.
        what: String,
        /// What that says about another call.
        fate: Fate,
    },
}

impl CallError {
    pub(super) fn request(error: impl Into<BoxError>) -> Self {
        Self::Request(error.into())
    }

    pub(super) fn transport(error: impl Into<BoxError>) -> Self {
        Self::Transport(error.into())
    }

    pub(super) fn credentials(error: impl Into<BoxError>) -> Self {
        Self::Credentials(error.into())
    }

    /// What an answer of a service of AWS that is no success says.
    pub fn of_service(answer: &Answer) -> Self {
        let body = answer.json();
        let code = answer.error_type.as_deref().or_else(|| body["__type"].as_str());
        let text = String::from_utf8_lossy(&answer.body);
        let code = code.or_else(|| between(&text, "<Code>", "</Code>")).unwrap_or_default();
        // `com.amazon.coral.service#ThrottlingException:http://…`
        let code = code.split(':').next().unwrap_or_default();
        let code = code.rsplit('#').next().unwrap_or_default();
        let fate = fate(answer.status, code);
        let mut what = code.to_owned();
        if fate != Fate::Refused {
            let message = ["message", "Message"].iter().find_map(|key| body[key].as_str());
            let message = message.or_else(|| between(&text, "<Message>", "</Message>"));
            if let Some(message) = message.filter(|message| !message.is_empty()) {
                what.push_str(": ");
                what.extend(message.chars().take(MESSAGE_CHARS_MAX));
            }
        }
        Self::Answered { status: answer.status, what, fate }
    }

    /// The code that the service gave.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Answered { what, .. } => what.split(':').next(),
            _ => None,
        }
    }

    /// Whether the service gave this code.
    pub fn is(&self, code: &str) -> bool {
        self.code() == Some(code)
    }

    /// What a failed call says about another one.
    pub const fn fate(&self) -> Fate {
        match self {
            Self::Transport(_) | Self::TooSlow { .. } | Self::Credentials(_) => Fate::Passes,
            Self::NoRegion | Self::NoCredentials | Self::Request(_) => Fate::Stays,
            Self::Answered { fate, .. } => *fate,
        }
    }
}

/// Codes by which a service says that what was sent is at fault ("Common errors" and the operations'
/// own pages of each service's API reference, 2026-11).
const REFUSALS: &[&str] = &[
    "AWS.SimpleQueueService.BatchRequestTooLong",
    "BatchRequestTooLong",
    "EntityTooLarge",
    "InvalidArgumentException",
    "InvalidMessageContents",
    "InvalidParameter",
    "InvalidParameterValue",
    "InvalidParameterValueException",
    "ItemCollectionSizeLimitExceededException",
    "ParameterValueInvalid",
    "SerializationException",
    "ValidationError",
    "ValidationException",
];

/// What a status and a code say about another call.
fn fate(status: u16, code: &str) -> Fate {
    let passes = ["Throttl", "Throughput", "RequestLimit", "SlowDown", "Unavailable", "Timeout"];
    // An old token is replaced by the environment that gives them.
    let expired = ["ExpiredToken", "RequestExpired", "TooManyRequests", "RequestConflict"];
    if status == 413 || REFUSALS.contains(&code) {
        Fate::Refused
    } else if status >= 500
        || matches!(status, 408 | 425 | 429)
        || passes.iter().chain(&expired).any(|part| code.contains(part))
    {
        Fate::Passes
    } else {
        Fate::Stays
    }
}

/// What stands between two marks.
pub(crate) fn between<'t>(text: &'t str, from: &str, to: &str) -> Option<&'t str> {
    let (_, rest) = text.split_once(from)?;
    rest.split_once(to).map(|(found, _)| found)
}

/// Whether a code of a record says that the record is not at fault, though the service blames it: a
/// key that nobody may use is no property of a record.
pub(crate) fn not_of_the_record(code: &str) -> bool {
    ["KMS", "Kms", "AccessDenied", "Throttl", "Unavailable", "Internal"]
        .iter()
        .any(|part| code.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_error_says() {
        let json = Answer::of;
        let named = |status, code: &str| Answer {
            error_type: Some(code.to_owned()),
            ..Answer::of(status, "")
        };
        let cases = [
            (
                json(
                    400,
                    r#"{"__type":"ProvisionedThroughputExceededException","message":"slow"}"#,
                ),
                Fate::Passes,
                "it was answered 400 ProvisionedThroughputExceededException: slow",
            ),
            (
                json(400, r#"{"__type":"a.b#ValidationException","message":"Value 'secret' is"}"#),
                Fate::Refused,
                "it was answered 400 ValidationException",
            ),
            (
                json(400, r#"{"__type":"AccessDeniedException","Message":"not authorized"}"#),
                Fate::Stays,
                "it was answered 400 AccessDeniedException: not authorized",
            ),
            (
                named(400, "ResourceNotFoundException:http://internal/"),
                Fate::Stays,
                "it was answered 400 ResourceNotFoundException",
            ),
            (
                json(503, "<Error><Code>SlowDown</Code><Message>less</Message></Error>"),
                Fate::Passes,
                "it was answered 503 SlowDown: less",
            ),
            (json(413, ""), Fate::Refused, "it was answered 413 "),
            (json(500, "<html>"), Fate::Passes, "it was answered 500 "),
            (
                named(403, "ExpiredTokenException"),
                Fate::Passes,
                "it was answered 403 ExpiredTokenException",
            ),
        ];
        for (answer, fate, text) in cases {
            let error = CallError::of_service(&answer);
            assert_eq!((error.fate(), error.to_string().as_str()), (fate, text));
        }
    }
}
