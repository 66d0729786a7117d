//! The consumer as a `tower` service, for those who run it by `lambda_runtime`.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use jiff::Timestamp;
use lambda_runtime::{Error, LambdaEvent};
use serde_json::value::RawValue;
use tower::Service;

use crate::consumer::{Call, Consumer, Deadline, ProcessError};
use crate::decode::Decoder;
use crate::handler::RecordHandler;
use crate::report::Report;
use crate::settle::Response;
use crate::store::Quarantine;

/// A consumer that `lambda_runtime::run` takes, and that any layer may go around.
///
/// The event comes as it is, and its records are parsed one by one: an event type that is
/// deserialized before, such as the one of `aws_lambda_events`, fails the whole batch at one record
/// that it cannot read.
///
/// For one thread: its futures stay where they are, and hold whatever the handler's hold.
pub struct LambdaService<D, H, Q> {
    parts: Arc<Parts<D, H, Q>>,
}

struct Parts<D, H, Q> {
    consumer: Consumer<D, H, Q>,
    clock: fn() -> Timestamp,
    tell: Box<dyn Fn(&Report)>,
}

impl<D, H, Q> LambdaService<D, H, Q> {
    /// A service of a consumer, with a clock, since the library reads none, and with something that
    /// tells of each batch: at least every entry of [`Report::poison`] belongs into the log.
    pub fn new(
        consumer: Consumer<D, H, Q>,
        clock: fn() -> Timestamp,
        tell: impl Fn(&Report) + 'static,
    ) -> Self {
        Self { parts: Arc::new(Parts { consumer, clock, tell: Box::new(tell) }) }
    }
}

impl<D, H, Q> Clone for LambdaService<D, H, Q> {
    fn clone(&self) -> Self {
        Self { parts: self.parts.clone() }
    }
}

impl<D, H, Q> fmt::Debug for LambdaService<D, H, Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LambdaService")
    }
}

impl<D, H, Q> Service<LambdaEvent<Box<RawValue>>> for LambdaService<D, H, Q>
where
    D: Decoder + 'static,
    H: for<'a> RecordHandler<D::Item<'a>> + 'static,
    Q: Quarantine + 'static,
{
    type Response = Response;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Error>>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, event: LambdaEvent<Box<RawValue>>) -> Self::Future {
        let parts = self.parts.clone();
        Box::pin(async move { parts.answer(&event).await.map_err(Error::from) })
    }
}

impl<D, H, Q> Parts<D, H, Q>
where
    D: Decoder,
    H: for<'a> RecordHandler<D::Item<'a>>,
    Q: Quarantine,
{
    async fn answer(&self, event: &LambdaEvent<Box<RawValue>>) -> Result<Response, ProcessError> {
        let now = (self.clock)();
        let end = i64::try_from(event.context.deadline).ok();
        let end = end.and_then(|ms| Timestamp::from_millisecond(ms).ok());
        // One that has passed is none: some hosts name no deadline that could be kept.
        let deadline = end.filter(|end| *end > now);
        let call = Call {
            function_arn: &event.context.invoked_function_arn,
            request_id: &event.context.request_id,
            now,
            deadline: deadline.map(|at| Deadline { at, clock: &self.clock }),
        };
        match self.consumer.process(event.payload.get().as_bytes(), &call).await {
            Ok(processed) => {
                (self.tell)(&processed.report);
                Ok(processed.response)
            }
            Err(error) => {
                if let ProcessError::Unnameable { report, .. } = &error {
                    (self.tell)(report);
                }
                Err(error)
            }
        }
    }
}
