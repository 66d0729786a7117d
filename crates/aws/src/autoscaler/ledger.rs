//! The ledger in DynamoDB: an item a stream.
//!
//! | attribute | type | meaning |
//! |---|---|---|
//! | `stream` | S | the stream's name, the partition key |
//! | `revision` | N | one more with every write; what a write is conditional on |
//! | `entry` | S | what is known of the stream, as the engine writes it |
//! | `expires` | N | when DynamoDB may forget the item, in seconds of the epoch |

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use jiff::{SignedDuration, Timestamp};
use tidegate_autoscaler::port::{
    LedgerStore, ServiceError, ServiceErrorKind, Stored, Tally, Written,
};
use tokio::time::sleep;

use super::errors::{service_error, unreadable};
use crate::Config;

/// Items that one BatchGetItem asks for at the most (its API reference, 2026-11).
const KEYS_PER_REQUEST: usize = 100;

/// Times that the keys of one batch are asked for, as long as some come back unprocessed.
const ATTEMPTS: u32 = 6;

/// The wait before what came back is asked for again; it doubles.
const FIRST_WAIT: Duration = Duration::from_millis(50);

/// How long an item outlives its last write. The entry knows 15 days; the rest is for a stream that
/// is paused for a while.
const KEPT: SignedDuration = SignedDuration::from_hours(40 * 24);

type Item = HashMap<String, AttributeValue>;

/// The ledger's table.
#[derive(Debug, Clone)]
pub struct Ledger {
    client: Client,
    table: String,
    tally: Arc<Tally>,
    now: fn() -> Timestamp,
}

impl Ledger {
    /// Makes the client; no call is made. `now` says when an item is written, and so when it
    /// expires.
    pub fn new(config: &Config, table: String, now: fn() -> Timestamp) -> Self {
        Self { client: Client::new(config.sdk()), table, tally: Arc::default(), now }
    }

    /// One batch, asked for until nothing comes back unprocessed.
    async fn batch(&self, streams: &[&String]) -> Result<Vec<Item>, ServiceError> {
        const OPERATION: &str = "BatchGetItem";
        let keys = streams.iter().map(|stream| {
            HashMap::from([("stream".to_owned(), AttributeValue::S((*stream).clone()))])
        });
        let wanted = KeysAndAttributes::builder()
            .set_keys(Some(keys.collect()))
            .consistent_read(true)
            .build()
            .map_err(|_| unreadable(OPERATION, "no stream was asked for"))?;
        let mut request = Some(HashMap::from([(self.table.clone(), wanted)]));
        let (mut found, mut wait) = (Vec::new(), FIRST_WAIT);
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                sleep(wait).await;
                wait *= 2;
            }
            self.tally.add(OPERATION);
            let call = self.client.batch_get_item().set_request_items(request.take());
            let answer = call.send().await.map_err(|error| service_error(OPERATION, &error))?;
            found.extend(
                answer.responses.unwrap_or_default().remove(&self.table).unwrap_or_default(),
            );
            match answer.unprocessed_keys.filter(|keys| !keys.is_empty()) {
                None => return Ok(found),
                keys => request = keys,
            }
        }
        Err(ServiceError {
            operation: OPERATION,
            kind: ServiceErrorKind::Throttled,
            message: format!("some keys came back unprocessed {ATTEMPTS} times"),
        })
    }
}

impl LedgerStore for Ledger {
    async fn read(&self, streams: &[String]) -> Result<BTreeMap<String, Stored>, ServiceError> {
        // A key that is named twice is refused.
        let streams: Vec<_> = streams.iter().collect::<BTreeSet<_>>().into_iter().collect();
        let mut all = BTreeMap::new();
        for streams in streams.chunks(KEYS_PER_REQUEST) {
            for item in self.batch(streams).await? {
                let (stream, stored) = parse(item)
                    .ok_or_else(|| unreadable("BatchGetItem", "an item is not the ledger's"))?;
                all.insert(stream, stored);
            }
        }
        Ok(all)
    }

    async fn write(
        &self,
        stream: &str,
        stored: &Stored,
        expected: u64,
    ) -> Result<Written, ServiceError> {
        let expires = ((self.now)() + KEPT).as_second();
        let request = self
            .client
            .put_item()
            .table_name(&self.table)
            .item("stream", AttributeValue::S(stream.to_owned()))
            .item("revision", AttributeValue::N(stored.revision.to_string()))
            .item("entry", AttributeValue::S(stored.text.clone()))
            .item("expires", AttributeValue::N(expires.to_string()));
        // `stream` is a reserved word of DynamoDB's expressions, so that it wants another name there.
        let request = if expected == 0 {
            request
                .condition_expression("attribute_not_exists(#stream)")
                .expression_attribute_names("#stream", "stream")
        } else {
            request
                .condition_expression("#revision = :expected")
                .expression_attribute_names("#revision", "revision")
                .expression_attribute_values(":expected", AttributeValue::N(expected.to_string()))
        };
        self.tally.add("PutItem");
        match request.send().await {
            Ok(_) => Ok(Written::Done),
            // When the SDK repeats a write whose answer was lost, it meets its own revision here and
            // takes it for somebody else's: the stream waits for the next look, and no harm is done.
            Err(SdkError::ServiceError(error))
                if error.err().code() == Some("ConditionalCheckFailedException") =>
            {
                Ok(Written::Conflict)
            }
            Err(error) => Err(service_error("PutItem", &error)),
        }
    }

    fn tally(&self) -> &Tally {
        &self.tally
    }
}

/// Reads an item; `None` when it has another form.
fn parse(mut item: Item) -> Option<(String, Stored)> {
    let mut text = |name: &str| match item.remove(name) {
        Some(AttributeValue::S(text) | AttributeValue::N(text)) => Some(text),
        _ => None,
    };
    let revision = text("revision")?.parse().ok()?;
    Some((text("stream")?, Stored { revision, text: text("entry")? }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(revision: AttributeValue) -> Item {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        HashMap::from([
            ("stream".to_owned(), text("orders")),
            ("entry".to_owned(), text("{}")),
            ("revision".to_owned(), revision),
        ])
    }

    #[test]
    fn an_item_is_the_ledgers_or_nothing() {
        let number = |text: &str| AttributeValue::N(text.to_owned());
        let stored = Stored { revision: 7, text: "{}".to_owned() };
        assert_eq!(parse(item(number("7"))), Some(("orders".to_owned(), stored)));
        for wrong in [number("-1"), number("1.5"), AttributeValue::Bool(true)] {
            assert_eq!(parse(item(wrong.clone())), None, "{wrong:?}");
        }
        let mut partial = item(number("7"));
        partial.remove("entry");
        assert_eq!(parse(partial), None);
    }
}
