//! Each error of the SDK as one kind of ours.

use std::fmt::Debug;

use aws_sdk_kinesis::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use tidegate_autoscaler::port::{ServiceError, ServiceErrorKind};

/// Puts an error of the SDK into our words.
pub(super) fn service_error<E, R>(operation: &'static str, error: &SdkError<E, R>) -> ServiceError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    R: Debug,
{
    let kind = match error {
        SdkError::ServiceError(_) => kind_of(operation, error.code().unwrap_or_default()),
        // Not sent, not answered, or not understood.
        _ => ServiceErrorKind::Unavailable,
    };
    let message = match (error.code(), error.message()) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(code), None) => code.to_owned(),
        _ => DisplayErrorContext(error).to_string(),
    };
    ServiceError { operation, kind, message }
}

/// An answer that came, and does not say what it must.
pub(super) fn unreadable(operation: &'static str, message: &str) -> ServiceError {
    ServiceError {
        operation,
        kind: ServiceErrorKind::Unavailable,
        message: format!("the answer cannot be read: {message}"),
    }
}

/// What follows from an error code ("Common errors" and the operations' pages of the API references
/// of Kinesis, CloudWatch, DynamoDB and Resource Groups Tagging, 2026-11).
fn kind_of(operation: &str, code: &str) -> ServiceErrorKind {
    match code {
        // The table of the ledger; nobody else names one.
        "ResourceNotFoundException" if matches!(operation, "BatchGetItem" | "PutItem") => {
            ServiceErrorKind::Invalid
        }
        "ResourceNotFoundException" | "ResourceNotFound" => ServiceErrorKind::NotFound,
        "ResourceInUseException" => ServiceErrorKind::InUse,
        // A limit on what there may be. The operations that read answer the same when they are asked
        // too often.
        "LimitExceededException" | "LimitExceeded"
            if matches!(operation, "UpdateShardCount" | "SplitShard" | "PutMetricAlarm") =>
        {
            ServiceErrorKind::LimitExceeded
        }
        "LimitExceededException"
        | "LimitExceeded"
        | "KMSThrottlingException"
        | "ProvisionedThroughputExceededException"
        | "RequestLimitExceeded"
        | "Throttling"
        | "ThrottlingException"
        | "ThrottledException"
        | "TooManyRequestsException"
        | "TransactionConflictException" => ServiceErrorKind::Throttled,
        "AccessDenied"
        | "AccessDeniedException"
        | "ExpiredTokenException"
        | "IncompleteSignature"
        | "IncompleteSignatureException"
        | "InvalidClientTokenId"
        | "InvalidSignatureException"
        | "KMSAccessDeniedException"
        | "KMSDisabledException"
        | "KMSInvalidStateException"
        | "KMSNotFoundException"
        | "KMSOptInRequired"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "NotAuthorized"
        | "OptInRequired"
        | "UnrecognizedClientException" => ServiceErrorKind::Denied,
        "InvalidArgumentException"
        | "InvalidFormat"
        | "InvalidParameterCombination"
        | "InvalidParameterException"
        | "InvalidParameterValue"
        | "ItemCollectionSizeLimitExceededException"
        | "MissingParameter"
        | "ValidationError"
        | "ValidationException" => ServiceErrorKind::Invalid,
        // The service's own trouble, a page or an iterator that expired, and what is new.
        _ => ServiceErrorKind::Unavailable,
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_kinesis::error::ErrorMetadata;
    use aws_sdk_kinesis::operation::describe_stream_summary::DescribeStreamSummaryError;

    use super::ServiceErrorKind::{
        Denied, InUse, Invalid, LimitExceeded, NotFound, Throttled, Unavailable,
    };
    use super::*;

    /// The errors that each operation declares, and what each is for us.
    const DECLARED: &[(&str, &[(&str, ServiceErrorKind)])] = &[
        ("DescribeStreamSummary", OF_A_STREAM),
        ("ListTagsForStream", OF_A_STREAM),
        ("ListShards", OF_A_STREAM),
        ("ListStreamConsumers", OF_A_STREAM),
        ("EnableEnhancedMonitoring", OF_A_STREAM),
        ("AddTagsToStream", OF_A_STREAM),
        ("ListStreams", OF_A_STREAM),
        ("DescribeLimits", &[("LimitExceededException", Throttled)]),
        (
            "UpdateShardCount",
            &[
                ("AccessDeniedException", Denied),
                ("InvalidArgumentException", Invalid),
                ("LimitExceededException", LimitExceeded),
                ("ResourceInUseException", InUse),
                ("ResourceNotFoundException", NotFound),
                ("ValidationException", Invalid),
            ],
        ),
        ("SplitShard", &[("LimitExceededException", LimitExceeded)]),
        (
            "GetRecords",
            &[
                ("ExpiredIteratorException", Unavailable),
                ("InternalFailureException", Unavailable),
                ("KMSAccessDeniedException", Denied),
                ("KMSDisabledException", Denied),
                ("KMSInvalidStateException", Denied),
                ("KMSNotFoundException", Denied),
                ("KMSOptInRequired", Denied),
                ("KMSThrottlingException", Throttled),
                ("ProvisionedThroughputExceededException", Throttled),
            ],
        ),
        (
            "GetResources",
            &[
                ("InternalServiceException", Unavailable),
                ("InvalidParameterException", Invalid),
                ("PaginationTokenExpiredException", Unavailable),
                ("ThrottledException", Throttled),
            ],
        ),
        ("GetMetricData", &[("InvalidNextToken", Unavailable), ("Throttling", Throttled)]),
        ("PutMetricAlarm", &[("LimitExceeded", LimitExceeded)]),
        ("SetAlarmState", &[("InvalidFormat", Invalid), ("ResourceNotFound", NotFound)]),
        ("BatchGetItem", OF_THE_LEDGER),
        ("PutItem", OF_THE_LEDGER),
        (
            "PutItem",
            &[
                ("ItemCollectionSizeLimitExceededException", Invalid),
                ("ReplicatedWriteConflictException", Unavailable),
                ("TransactionConflictException", Throttled),
            ],
        ),
    ];

    const OF_A_STREAM: &[(&str, ServiceErrorKind)] = &[
        ("AccessDeniedException", Denied),
        ("ExpiredNextTokenException", Unavailable),
        ("InvalidArgumentException", Invalid),
        ("LimitExceededException", Throttled),
        ("ResourceInUseException", InUse),
        ("ResourceNotFoundException", NotFound),
    ];

    const OF_THE_LEDGER: &[(&str, ServiceErrorKind)] = &[
        ("InternalServerError", Unavailable),
        ("InvalidEndpointException", Unavailable),
        ("ProvisionedThroughputExceededException", Throttled),
        ("RequestLimitExceeded", Throttled),
        ("ResourceNotFoundException", Invalid),
        ("ThrottlingException", Throttled),
    ];

    fn error(code: Option<&str>) -> SdkError<DescribeStreamSummaryError, ()> {
        let metadata = ErrorMetadata::builder().message("it says why");
        let metadata = match code {
            Some(code) => metadata.code(code).build(),
            None => metadata.build(),
        };
        SdkError::service_error(DescribeStreamSummaryError::generic(metadata), ())
    }

    #[test]
    fn every_declared_error_has_its_kind() {
        for (operation, codes) in DECLARED {
            for (code, kind) in *codes {
                let said = service_error(operation, &error(Some(code)));
                assert_eq!((said.operation, said.kind), (*operation, *kind), "{operation} {code}");
                assert_eq!(said.message, format!("{code}: it says why"));
            }
        }
    }

    #[test]
    fn whoever_may_not_is_told_so_by_each_service() {
        for code in [
            "AccessDenied",
            "AccessDeniedException",
            "ExpiredTokenException",
            "IncompleteSignature",
            "InvalidClientTokenId",
            "InvalidSignatureException",
            "MissingAuthenticationToken",
            "NotAuthorized",
            "OptInRequired",
            "UnrecognizedClientException",
        ] {
            assert_eq!(service_error("GetMetricData", &error(Some(code))).kind, Denied, "{code}");
        }
    }

    #[test]
    fn what_was_not_answered_or_is_new_is_unavailable() {
        type Failure = SdkError<DescribeStreamSummaryError, ()>;
        let failures = [
            Failure::timeout_error("8 s"),
            Failure::construction_failure("no Region"),
            error(Some("SomethingNewException")),
            error(None),
        ];
        for failure in failures {
            let said = service_error("DescribeStreamSummary", &failure);
            assert_eq!(said.kind, Unavailable, "{failure:?}");
            assert!(!said.message.is_empty());
        }
    }
}
