//! A function on the Lambda Runtime API: raw bytes in, raw bytes out.
//!
//! The usual form of `lambda_runtime` decodes the event before the handler sees it, so that one
//! undecodable record fails the whole batch, and it cannot borrow from the body. [`run`] puts a
//! terminal service below the runtime instead: it takes each invocation as it came and answers the
//! Runtime API itself. What the stock layers did is then done here: a panic becomes an invocation
//! error, and so does a function's own error.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::FutureExt;
use http::{Method, Request, StatusCode, Uri};
use jiff::{SignedDuration, Timestamp};
use lambda_runtime::{LambdaEvent, LambdaInvocation, Runtime, service_fn};
use lambda_runtime_api_client::BoxError;
use lambda_runtime_api_client::body::Body;
use serde_json::json;
use tower::Service;

use crate::settings::{self, Environment};
use crate::telemetry::{Level, Log};
use crate::{clock, memory};

#[cfg(not(panic = "unwind"))]
compile_error!("build with panic = \"unwind\": a panic is caught per record, not per process");

/// What a function is called with.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// The event, as it came.
    pub body: Bytes,
    /// Lambda's identifier of this invocation.
    pub request_id: String,
    /// The function and version or alias that was called.
    pub function_arn: String,
    /// X-Ray's trace header, when there is one.
    pub trace_id: Option<String>,
    /// When Lambda ends the invocation.
    pub deadline: Timestamp,
}

/// A function that Lambda can call.
pub trait Function: 'static {
    /// Answers one invocation with a JSON document.
    ///
    /// # Errors
    /// Fails the whole invocation: Lambda retries it as the event source is configured to.
    fn invoke(
        &self,
        invocation: Invocation,
    ) -> impl Future<Output = Result<Vec<u8>, FunctionError>>;
}

/// Why an invocation failed as a whole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct FunctionError {
    /// A stable name, such as `EventNotUnderstood`.
    pub kind: &'static str,
    /// What happened, to what, and what to do next.
    pub message: String,
}

impl FunctionError {
    /// An error of a kind, with the chain of its causes.
    pub fn new(kind: &'static str, error: &(dyn std::error::Error + 'static)) -> Self {
        Self { kind, message: crate::chain::chain(error) }
    }
}

/// Starts a function and serves it until Lambda ends the environment.
///
/// `start` reads the settings and builds the function. When it fails, its error is logged, reported
/// to the Runtime API as an initialization error, and the process ends with 1.
pub fn run<F, E>(start: impl AsyncFnOnce(&Arc<Log>) -> Result<F, E>) -> ExitCode
where
    F: Function,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    memory::keep();
    let log = Arc::new(Log::stdout(&Environment));
    report_panics(log.clone());
    // One thread: an invocation is one batch, and the multi-threaded scheduler costs most of a
    // millisecond per large event.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&log, &error.to_string()),
    };
    runtime.block_on(async {
        for (name, near) in settings::unknown(&Environment) {
            log.event(Level::Warn, "unknown_setting", &json!({"name": name, "did_you_mean": near}));
        }
        match start(&log).await {
            Ok(function) => serve(function, log).await,
            Err(error) => {
                let message = crate::chain::chain(&*error.into());
                report_init_error(&message).await;
                fail(&log, &message)
            }
        }
    })
}

/// Replaces the default hook, which prints the message of a panic: a message may quote the payload
/// that it failed on. The place is enough to find the fault.
fn report_panics(log: Arc<Log>) {
    std::panic::set_hook(Box::new(move |panic| {
        let place = panic.location().map(ToString::to_string);
        log.event(Level::Error, "panic", &json!({"place": place}));
    }));
}

fn fail(log: &Log, message: &str) -> ExitCode {
    log.event(Level::Error, "start_failed", &json!({"error": message}));
    ExitCode::FAILURE
}

async fn serve<F: Function>(function: F, log: Arc<Log>) -> ExitCode {
    let endpoint = std::env::var("AWS_LAMBDA_RUNTIME_API");
    let missing =
        ["AWS_LAMBDA_RUNTIME_API", "AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_VERSION"]
            .iter()
            .find(|name| std::env::var_os(name).is_none());
    if let Some(name) = missing {
        return fail(
            &log,
            &format!(
                "{name} is not set: this binary is a Lambda bootstrap; start it with `cargo lambda \
                 watch` and call it with `cargo lambda invoke`"
            ),
        );
    }
    let client = match Client::new(&endpoint.unwrap_or_default()) {
        Ok(client) => Arc::new(client),
        Err(error) => return fail(&log, &error.to_string()),
    };
    let terminal = Terminal { function: Arc::new(function), client, log: log.clone() };
    // The placeholder is never called: the layer below replaces it.
    let placeholder = service_fn(|_: LambdaEvent<()>| async { Ok::<(), BoxError>(()) });
    let outcome = Runtime::new(placeholder)
        .layer(tower::layer::layer_fn(move |_| terminal.clone()))
        .run()
        .await;
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&log, &format!("the Runtime API went away: {error}")),
    }
}

/// The service that answers the Runtime API.
struct Terminal<F> {
    function: Arc<F>,
    client: Arc<Client>,
    log: Arc<Log>,
}

impl<F> Clone for Terminal<F> {
    fn clone(&self) -> Self {
        Self { function: self.function.clone(), client: self.client.clone(), log: self.log.clone() }
    }
}

impl<F: Function> Service<LambdaInvocation> for Terminal<F> {
    type Response = ();
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<(), BoxError>>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, lambda: LambdaInvocation) -> Self::Future {
        let terminal = self.clone();
        Box::pin(async move {
            let invocation = Invocation {
                body: lambda.body,
                request_id: lambda.context.request_id,
                function_arn: lambda.context.invoked_function_arn,
                trace_id: lambda.context.xray_trace_id,
                deadline: deadline(lambda.context.deadline, clock::now()),
            };
            let request_id = invocation.request_id.clone();
            terminal.log.set_request(Some(&request_id));
            let answer =
                AssertUnwindSafe(terminal.function.invoke(invocation)).catch_unwind().await;
            let answer = answer.unwrap_or_else(|_| {
                let message = "the function panicked; the log says where".to_owned();
                Err(FunctionError { kind: "Panic", message })
            });
            let sent = match answer {
                Ok(body) => terminal.client.respond(&request_id, body).await,
                Err(error) => {
                    let facts = json!({"kind": error.kind, "error": error.message});
                    terminal.log.event(Level::Error, "invocation_failed", &facts);
                    terminal.client.report(&request_id, &error).await
                }
            };
            if let Ok(status) = &sent
                && !status.is_success()
            {
                // Too large, or past the deadline: Lambda counts the invocation as failed, and the
                // environment goes on to the next.
                let facts = json!({"status": status.as_u16()});
                terminal.log.event(Level::Error, "answer_refused", &facts);
            }
            terminal.log.set_request(None);
            sent.map(|_| ())
        })
    }
}

/// What an invocation is given where its host names no deadline that could be kept.
const ASSUMED_TIME: SignedDuration = SignedDuration::from_mins(1);

/// Lambda's deadline, in milliseconds of the epoch. One that passed before the invocation began is
/// none: cargo-lambda names the same moment of 1970 for every invocation.
fn deadline(epoch_ms: u64, now: Timestamp) -> Timestamp {
    let named = i64::try_from(epoch_ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    named.filter(|named| *named > now).unwrap_or(now + ASSUMED_TIME)
}

/// Lambda's Runtime API, 2018-06-01.
struct Client {
    http: lambda_runtime_api_client::Client,
}

impl Client {
    /// Lambda gives a host and a port; other servers of this API give a URL with a path.
    fn new(endpoint: &str) -> Result<Self, BoxError> {
        let url = if endpoint.contains("://") {
            endpoint.parse::<Uri>()
        } else {
            format!("http://{endpoint}").parse()
        };
        let url = url.ok().filter(|url| url.authority().is_some()).ok_or_else(|| {
            format!("AWS_LAMBDA_RUNTIME_API={endpoint:?}: expected a host and a port, or a URL")
        })?;
        let http = lambda_runtime_api_client::Client::builder().with_endpoint(url).build()?;
        Ok(Self { http })
    }

    async fn respond(&self, request_id: &str, body: Vec<u8>) -> Result<StatusCode, BoxError> {
        let path = format!("/2018-06-01/runtime/invocation/{request_id}/response");
        self.post(path, None, body).await
    }

    async fn report(
        &self,
        request_id: &str,
        error: &FunctionError,
    ) -> Result<StatusCode, BoxError> {
        let path = format!("/2018-06-01/runtime/invocation/{request_id}/error");
        self.post(path, Some(error.kind), error_body(error)).await
    }

    async fn post(
        &self,
        path: String,
        error_type: Option<&str>,
        body: Vec<u8>,
    ) -> Result<StatusCode, BoxError> {
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(path)
            .header("content-type", "application/json");
        if let Some(kind) = error_type {
            request = request.header("lambda-runtime-function-error-type", kind);
        }
        let answer = self.http.call(request.body(Body::from(body))?).await?;
        Ok(answer.status())
    }
}

fn error_body(error: &FunctionError) -> Vec<u8> {
    json!({"errorType": error.kind, "errorMessage": error.message, "stackTrace": []})
        .to_string()
        .into_bytes()
}

/// Tells Lambda why the environment could not start. There may be no Runtime API to tell, when a
/// person starts the binary by hand; the log line says it in any case.
async fn report_init_error(message: &str) {
    let Ok(endpoint) = std::env::var("AWS_LAMBDA_RUNTIME_API") else { return };
    let Ok(client) = Client::new(&endpoint) else { return };
    let error = FunctionError { kind: "StartFailed", message: message.to_owned() };
    let path = "/2018-06-01/runtime/init/error".to_owned();
    let _ = client.post(path, Some(error.kind), error_body(&error)).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runtime_api_is_a_host_or_a_url() {
        for endpoint in ["127.0.0.1:9001", "[::1]:9001", "http://127.0.0.1:9000/.rt/consumer"] {
            assert!(Client::new(endpoint).is_ok(), "{endpoint}");
        }
        for endpoint in ["", "http://", "not a host"] {
            let error = Client::new(endpoint).err().map(|error| error.to_string());
            assert!(error.is_some_and(|text| text.contains("a host and a port")), "{endpoint}");
        }
    }
}
