//! A queue of envelopes, or of what Lambda tells a destination.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{RedriveError, persist};
use crate::call::{Connections, sqs};

/// Messages of one answer ("ReceiveMessage", Amazon SQS API reference, 2026-11).
const ANSWER_MESSAGES_MAX: u32 = 10;

/// How long others do not see what is received, in seconds: time to put it back.
pub const HIDDEN_SECS: u32 = 900;

/// Answers without a message, one after the other, until the queue is taken for empty: an answer
/// asks only some of its servers.
const EMPTY_ANSWERS: u32 = 3;

/// Messages that are received, and held in memory, at the most.
const MESSAGES_MAX: usize = 10_000;

/// Documents that are messages. What was received is hidden from others until it is released, or
/// for a quarter of an hour.
#[derive(Debug)]
pub struct Queue {
    url: String,
    connections: Connections,
    /// What was received, by the messages' ids: the receipt and the body.
    held: BTreeMap<String, (String, String)>,
}

impl Queue {
    /// By its URL.
    pub const fn new(url: String, connections: Connections) -> Self {
        Self { url, connections, held: BTreeMap::new() }
    }

    async fn call(&self, operation: &'static str, body: &Value) -> Result<Value, RedriveError> {
        let call = async |within| sqs(&self.connections, &self.url, operation, body, within).await;
        let called = persist(operation, call).await;
        called.map_err(|error| RedriveError::new(&format!("sqs:{}", self.url), error))
    }

    /// Receives what is visible, and gives the ids of the messages.
    ///
    /// # Errors
    /// When they cannot be received (`sqs:ReceiveMessage`).
    pub async fn receive(&mut self) -> Result<Vec<String>, RedriveError> {
        let receive = json!({
            "QueueUrl": self.url,
            "MaxNumberOfMessages": ANSWER_MESSAGES_MAX,
            "VisibilityTimeout": HIDDEN_SECS,
            "WaitTimeSeconds": 1,
        });
        let mut empty = 0;
        while empty < EMPTY_ANSWERS && self.held.len() < MESSAGES_MAX {
            let answer = self.call("ReceiveMessage", &receive).await?;
            let messages = answer["Messages"].as_array().map(Vec::as_slice).unwrap_or_default();
            empty = if messages.is_empty() { empty + 1 } else { 0 };
            for message in messages {
                let text = |name: &str| message[name].as_str().map(ToOwned::to_owned);
                if let (Some(id), Some(receipt), Some(body)) =
                    (text("MessageId"), text("ReceiptHandle"), text("Body"))
                {
                    self.held.insert(id, (receipt, body));
                }
            }
        }
        Ok(self.held.keys().cloned().collect())
    }

    /// The body of a message that was received.
    pub fn read(&self, id: &str) -> Option<Vec<u8>> {
        self.held.get(id).map(|(_, body)| body.as_bytes().to_vec())
    }

    /// Deletes a message that was received.
    ///
    /// # Errors
    /// When it is not certain that it is gone (`sqs:DeleteMessage`).
    pub async fn remove(&mut self, id: &str) -> Result<(), RedriveError> {
        let Some((receipt, _)) = self.held.get(id) else { return Ok(()) };
        let delete = json!({"QueueUrl": self.url, "ReceiptHandle": receipt});
        self.call("DeleteMessage", &delete).await?;
        self.held.remove(id);
        Ok(())
    }

    /// Lets others see again what was received and not deleted.
    ///
    /// # Errors
    /// When the queue refuses it (`sqs:ChangeMessageVisibility`): they see it later.
    pub async fn release(&mut self) -> Result<(), RedriveError> {
        while let Some((_, (receipt, _))) = self.held.pop_first() {
            let show =
                json!({"QueueUrl": self.url, "ReceiptHandle": receipt, "VisibilityTimeout": 0});
            self.call("ChangeMessageVisibility", &show).await?;
        }
        Ok(())
    }
}
