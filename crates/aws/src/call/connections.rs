//! Connections that are made when they are first needed, and what several parts call over them.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::Value;
use tokio::sync::OnceCell;

use super::{CallError, Caller, JsonService};

/// The connections that sinks and stores share, made when the first of them sends something: a
/// function that meets no poison does not pay for a store at its start.
#[derive(Debug, Clone)]
pub struct Connections {
    caller: Arc<OnceCell<Caller>>,
    now: fn() -> SystemTime,
}

impl Connections {
    /// None yet. `now` is the present moment, which a signature needs.
    pub fn new(now: fn() -> SystemTime) -> Self {
        Self { caller: Arc::new(OnceCell::new()), now }
    }

    pub(crate) async fn caller(&self) -> &Caller {
        self.caller.get_or_init(|| Caller::load(self.now)).await
    }

    #[cfg(test)]
    pub(crate) fn of(caller: Caller) -> Self {
        Self { caller: Arc::new(OnceCell::new_with(Some(caller))), now: || SystemTime::UNIX_EPOCH }
    }
}

/// Calls an operation of DynamoDB.
pub(crate) async fn dynamodb(
    connections: &Connections,
    operation: &str,
    body: &str,
    within: Duration,
) -> Result<Value, CallError> {
    let service = JsonService {
        id: "DYNAMODB",
        name: "dynamodb",
        target: "DynamoDB_20120810",
        version: "1.0",
        region: None,
    };
    connections
        .caller()
        .await
        .operation(&service, operation, body.as_bytes().to_vec(), within)
        .await
}

/// Calls an operation of SQS, in the Region of the queue.
pub(crate) async fn sqs(
    connections: &Connections,
    queue: &str,
    operation: &str,
    body: &Value,
    within: Duration,
) -> Result<Value, CallError> {
    let service = JsonService {
        id: "SQS",
        name: "sqs",
        target: "AmazonSQS",
        version: "1.0",
        // `https://sqs.REGION.amazonaws.com/ACCOUNT/NAME`
        region: queue.strip_prefix("https://sqs.").and_then(|rest| rest.split('.').next()),
    };
    let body = body.to_string().into_bytes();
    connections.caller().await.operation(&service, operation, body, within).await
}
