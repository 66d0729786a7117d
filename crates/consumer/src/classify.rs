//! What an error of a service means for the record that was to be delivered.
//!
//! A service that refuses a record says why by a code, as AWS does, or by an HTTP status. Of a few
//! it is certain that the record itself is at fault, and that it will be refused whenever it comes:
//! it is poison. All others, and those that nobody knows, may pass: the function lacks a permission,
//! the table is being deployed, the service is busy.
//!
//! ```
//! use tidegate_consumer::classify::{self, Fault};
//!
//! assert_eq!(classify::aws(Some("ThrottlingException"), Some(400)), Fault::OfTheService);
//! assert_eq!(classify::aws(Some("ValidationException"), Some(400)), Fault::OfTheRecord);
//! assert_eq!(classify::http(503), Fault::OfTheService);
//! ```

use crate::outcome::{BoxError, Outcome, PoisonReason};

/// Whose fault an error is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The record will be refused whenever it comes.
    OfTheRecord,
    /// It may pass, or somebody may mend it: the service, the way to it, or the function's own
    /// configuration.
    OfTheService,
}

impl Fault {
    /// What becomes of the record: [`Outcome::Poison`] for its own fault, as
    /// [`Handler`](PoisonReason::Handler), and [`Outcome::Retry`] for any other.
    pub fn outcome(self, error: impl Into<BoxError>) -> Outcome {
        match self {
            Self::OfTheRecord => Outcome::Poison(PoisonReason::Handler, error.into()),
            Self::OfTheService => Outcome::Retry(error.into()),
        }
    }
}

/// The error codes of AWS services by which a request is refused for what it holds, each with the
/// services that say so. Whatever is not here may pass.
///
/// Sources, all of 2026-11: "Error handling with DynamoDB" and the errors of `PutItem` and
/// `UpdateItem` (Amazon DynamoDB API Reference); "Error Responses" (Amazon S3 API Reference); the
/// errors of `PutRecord` (Amazon Kinesis and Amazon Data Firehose API References), `SendMessage` and
/// `SendMessageBatch` (Amazon SQS), `Publish` (Amazon SNS), `PutEvents` (Amazon EventBridge),
/// `StartExecution` (AWS Step Functions), `Invoke` (AWS Lambda), `PutLogEvents` (Amazon CloudWatch
/// Logs), and "Common Error Types" of each.
///
/// A condition that a handler put into its own request, such as `attribute_not_exists`, is refused as
/// `ConditionalCheckFailedException`. It is here since it will not hold later either; where it means
/// that the record was delivered before, look at it first and answer `Skip`.
pub const OF_THE_RECORD: &[(&str, &str)] = &[
    ("AWS.SimpleQueueService.BatchRequestTooLong", "SQS"),
    ("AWS.SimpleQueueService.InvalidBatchEntryId", "SQS"),
    ("BatchRequestTooLong", "SQS"),
    ("ConditionalCheckFailedException", "DynamoDB"),
    ("EntityTooLarge", "S3"),
    ("EntityTooSmall", "S3"),
    ("InvalidArgument", "S3"),
    ("InvalidArgumentException", "Kinesis, Firehose"),
    ("InvalidAttributeValue", "SQS"),
    ("InvalidDigest", "S3"),
    ("InvalidExecutionInput", "Step Functions"),
    ("InvalidMessageContents", "SQS"),
    ("InvalidParameter", "SNS"),
    ("InvalidParameterCombination", "SQS, SNS"),
    ("InvalidParameterException", "CloudWatch Logs"),
    ("InvalidParameterValue", "SQS, SNS"),
    ("InvalidParameterValueException", "Lambda"),
    ("InvalidRequestContentException", "Lambda"),
    ("InvalidTag", "S3"),
    ("ItemCollectionSizeLimitExceededException", "DynamoDB"),
    ("KeyTooLongError", "S3"),
    ("MetadataTooLarge", "S3"),
    ("ParameterValueInvalid", "SNS"),
    ("RequestEntityTooLargeException", "all"),
    ("RequestTooLargeException", "Lambda"),
    ("SerializationException", "all"),
    ("UnsupportedMediaTypeException", "Lambda"),
    ("ValidationError", "all"),
    ("ValidationException", "all"),
];

/// Whose fault an error of an AWS service is, by its code and, where there is none, by its status.
/// `None` for both is an error on the way: no answer, a timeout, no connection.
///
/// `ValidationException` of DynamoDB also stands for a table that is not as the function expects.
/// Nothing in it tells the two apart, but the [breaker](crate::Breaker) takes a whole batch of them
/// for an outage.
pub fn aws(code: Option<&str>, status: Option<u16>) -> Fault {
    // Some protocols write the namespace before the code and a URL after it.
    let bare = |code: &str| -> String {
        let code = code.rsplit_once('#').map_or(code, |(_, code)| code);
        code.split_once(':').map_or(code, |(code, _)| code).to_owned()
    };
    match code.map(bare) {
        Some(code) if OF_THE_RECORD.binary_search_by_key(&&*code, |(known, _)| known).is_ok() => {
            Fault::OfTheRecord
        }
        // A known name beats the status: throttles come as 400.
        Some(_) => Fault::OfTheService,
        None => match status {
            // Without a code it is not known what was bad about the request, except for its size.
            Some(413) => Fault::OfTheRecord,
            _ => Fault::OfTheService,
        },
    }
}

/// Whose fault the answer of an HTTP server is, by its status (RFC 9110, section 15): of the record
/// where the content of the request was refused.
pub const fn http(status: u16) -> Fault {
    match status {
        // Bad request, content too large, unsupported media type, unprocessable content.
        400 | 413 | 415 | 422 => Fault::OfTheRecord,
        _ => Fault::OfTheService,
    }
}

/// What becomes of a record that an AWS service did not take: [`aws`] for the error of an SDK, as the
/// operations of every `aws-sdk-…` crate return it.
///
/// ```
/// # use aws_smithy_types::error::ErrorMetadata;
/// use tidegate_consumer::{Outcome, classify};
///
/// async fn deliver(answer: Result<(), ErrorMetadata>) -> Outcome {
///     match answer {
///         Ok(()) => Outcome::Done,
///         Err(error) => classify::sdk(error),
///     }
/// }
/// ```
#[cfg(feature = "aws-errors")]
pub fn sdk<E>(error: E) -> Outcome
where
    E: aws_smithy_types::error::metadata::ProvideErrorMetadata + Into<BoxError>,
{
    aws(error.code(), None).outcome(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_so_that_it_can_be_searched() {
        assert!(OF_THE_RECORD.is_sorted_by(|(a, _), (b, _)| a < b));
        for (code, services) in OF_THE_RECORD {
            assert_eq!(aws(Some(code), Some(400)), Fault::OfTheRecord, "{code} of {services}");
        }
    }

    #[test]
    fn whatever_is_not_certain_may_pass() {
        let of_the_service: &[(Option<&str>, Option<u16>)] = &[
            // What the SDK itself retries.
            (Some("Throttling"), Some(400)),
            (Some("ThrottlingException"), Some(400)),
            (Some("ProvisionedThroughputExceededException"), Some(400)),
            (Some("RequestLimitExceeded"), Some(400)),
            (Some("LimitExceededException"), Some(400)),
            (Some("SlowDown"), Some(503)),
            (Some("RequestTimeout"), Some(400)),
            (Some("InternalServerError"), Some(500)),
            (Some("ServiceUnavailableException"), Some(503)),
            (Some("TransactionCanceledException"), Some(400)),
            // What somebody may mend.
            (Some("AccessDeniedException"), Some(400)),
            (Some("ExpiredTokenException"), Some(400)),
            (Some("ResourceNotFoundException"), Some(400)),
            (Some("NoSuchBucket"), Some(404)),
            (Some("KMSDisabledException"), Some(400)),
            (Some("AWS.SimpleQueueService.NonExistentQueue"), Some(400)),
            // What nobody knows.
            (Some("NovelException"), Some(400)),
            (Some(""), Some(400)),
            (None, Some(400)),
            (None, Some(500)),
            // A timeout, or no connection.
            (None, None),
        ];
        for (code, status) in of_the_service {
            assert_eq!(aws(*code, *status), Fault::OfTheService, "{code:?} {status:?}");
        }
        assert_eq!(aws(None, Some(413)), Fault::OfTheRecord);
    }

    #[test]
    fn a_code_is_known_with_what_protocols_put_around_it() {
        let cases = [
            "com.amazonaws.dynamodb.v20120810#ValidationException",
            "com.amazon.coral.validate#ValidationException",
            "ValidationException:http://internal.amazon.com/coral/com.amazon.coral.validate/",
        ];
        for code in cases {
            assert_eq!(aws(Some(code), None), Fault::OfTheRecord, "{code}");
        }
    }

    #[test]
    fn a_status_says_whether_the_content_was_refused() {
        let of_the_record: Vec<u16> =
            (100..600).filter(|status| http(*status) == Fault::OfTheRecord).collect();
        assert_eq!(of_the_record, [400, 413, 415, 422]);
    }

    #[cfg(feature = "aws-errors")]
    #[test]
    fn an_error_of_an_sdk_becomes_an_outcome() {
        use aws_smithy_types::error::ErrorMetadata;

        let error = |code| ErrorMetadata::builder().code(code).build();
        let poison = sdk(error("ValidationException"));
        assert!(matches!(poison, Outcome::Poison(PoisonReason::Handler, _)), "{poison:?}");
        let busy = sdk(error("ThrottlingException"));
        assert!(matches!(&busy, Outcome::Retry(e) if e.to_string().contains("Throttling")));
        // As of a timeout, which has no code.
        let lost = sdk(ErrorMetadata::builder().build());
        assert!(matches!(lost, Outcome::Retry(_)), "{lost:?}");
    }
}
