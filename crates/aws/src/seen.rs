//! What was delivered, in a table: it outlives the execution environment, and every shard's function
//! sees it.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use futures_util::future::try_join_all;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tidegate_consumer::{BoxError, SeenError, SeenStore};

use crate::call::{Connections, Fate, dynamodb};

/// The table's partition key.
pub const KEY: &str = "seen_key";

/// The attribute by which the table forgets, in seconds since 1970.
pub const EXPIRES: &str = "expires_at";

/// "BatchGetItem" and "BatchWriteItem", Amazon DynamoDB API Reference, 2026-11.
const READ_MAX: usize = 100;
const WRITE_MAX: usize = 25;

/// Calls at the same time: a batch of 10,000 records is 100 reads and 400 writes.
const CALLS_MAX: usize = 8;

/// Rounds for what was left of a call, or failed for the moment: the time of the batch is short, and
/// what is not known comes again.
const ROUNDS_MAX: u32 = 3;
const FIRST_WAIT: Duration = Duration::from_millis(50);
const WITHIN: Duration = Duration::from_secs(3);

/// A table whose partition key is the text `seen_key`, and whose items end by `expires_at`.
#[derive(Debug)]
pub struct DynamoSeen {
    table: String,
    remembered: Duration,
    connections: Connections,
}

impl DynamoSeen {
    /// The table of this name, and how long a key is remembered.
    pub fn new(table: impl Into<String>, remembered: Duration, connections: Connections) -> Self {
        Self { table: table.into(), remembered, connections }
    }

    fn error(&self, source: impl Into<BoxError>) -> SeenError {
        SeenError::new(format!("dynamodb:{}", self.table), source)
    }

    /// Makes a call until nothing of it is left, and gives its answers; `left` is where an answer says
    /// what it left.
    async fn drain(
        &self,
        operation: &str,
        left: &str,
        mut wanted: Value,
    ) -> Result<Vec<Value>, SeenError> {
        let (mut wait, mut answers) = (FIRST_WAIT, Vec::new());
        for round in 1..=ROUNDS_MAX {
            let body = json!({"RequestItems": wanted}).to_string();
            match dynamodb(&self.connections, operation, &body, WITHIN).await {
                Ok(mut answer) => {
                    let rest = answer[left].take();
                    answers.push(answer);
                    if rest.as_object().is_none_or(Map::is_empty) {
                        return Ok(answers);
                    }
                    wanted = rest;
                }
                Err(error) if error.fate() != Fate::Passes || round == ROUNDS_MAX => {
                    return Err(self.error(error));
                }
                Err(_) => {}
            }
            tokio::time::sleep(wait).await;
            wait *= 2;
        }
        Err(self.error(format!("{operation} left something {ROUNDS_MAX} times")))
    }
}

/// Each key once, since a call that names one twice is refused.
fn distinct(keys: &[String]) -> Vec<&String> {
    keys.iter().collect::<HashSet<_>>().into_iter().collect()
}

impl SeenStore for DynamoSeen {
    async fn seen(&self, keys: &[String], now: Timestamp) -> Result<Vec<bool>, SeenError> {
        let distinct = distinct(keys);
        let mut found: HashMap<String, i64> = HashMap::new();
        for calls in distinct.chunks(READ_MAX * CALLS_MAX) {
            let calls = calls.chunks(READ_MAX).map(|some| {
                let keys: Vec<_> = some.iter().map(|key| json!({KEY: {"S": key}})).collect();
                // What was marked a moment ago must be there.
                let wanted = json!({&self.table: {"Keys": keys, "ConsistentRead": true}});
                self.drain("BatchGetItem", "UnprocessedKeys", wanted)
            });
            for answer in try_join_all(calls).await?.into_iter().flatten() {
                let items = answer["Responses"][&self.table].as_array();
                for item in items.into_iter().flatten() {
                    let until = item[EXPIRES]["N"].as_str().and_then(|text| text.parse().ok());
                    if let (Some(key), Some(until)) = (item[KEY]["S"].as_str(), until) {
                        found.insert(key.to_owned(), until);
                    }
                }
            }
        }
        // DynamoDB deletes what has ended within days, not at once.
        let lasts = |key| found.get(key).is_some_and(|until| *until > now.as_second());
        Ok(keys.iter().map(lasts).collect())
    }

    async fn mark(&self, keys: &[String], now: Timestamp) -> Result<(), SeenError> {
        let seconds = i64::try_from(self.remembered.as_secs()).unwrap_or(i64::MAX);
        let until = now.as_second().saturating_add(seconds).to_string();
        for calls in distinct(keys).chunks(WRITE_MAX * CALLS_MAX) {
            let calls = calls.chunks(WRITE_MAX).map(|some| {
                let put = |key: &&String| {
                    json!({"PutRequest": {"Item": {KEY: {"S": key}, EXPIRES: {"N": until}}}})
                };
                let puts: Vec<_> = some.iter().map(put).collect();
                self.drain("BatchWriteItem", "UnprocessedItems", json!({&self.table: puts}))
            });
            try_join_all(calls).await?;
        }
        Ok(())
    }
}

#[cfg(all(test, feature = "sinks"))]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::collections::BTreeMap;
    use std::sync::Mutex;

    use tidegate_tests::canned::{Answer, Asked, Canned};

    use super::*;
    use crate::sink::tests::connections;

    /// Runs something over a table that is answered for.
    fn over<T>(
        answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static,
        run: impl AsyncFnOnce(&DynamoSeen) -> T,
    ) -> (T, Vec<Asked>) {
        let server = Canned::start(answer);
        let day = Duration::from_secs(86_400);
        let store = DynamoSeen::new("delivered", day, connections(&server));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        (runtime.block_on(run(&store)), server.asked())
    }

    /// A table that takes at most this many of what a call names, gives four times as many, and says
    /// what it left.
    fn table(at_once: usize) -> impl Fn(&Asked) -> Answer {
        let kept = Mutex::new(BTreeMap::<String, Value>::new());
        move |asked| {
            let mut kept = kept.lock().unwrap();
            let wanted = &asked.input["RequestItems"]["delivered"];
            if asked.operation == "BatchWriteItem" {
                let puts = wanted.as_array().unwrap();
                assert!(puts.len() <= 25);
                let (taken, left) = puts.split_at(at_once.min(puts.len()));
                for put in taken {
                    let item = &put["PutRequest"]["Item"];
                    kept.insert(item["seen_key"]["S"].as_str().unwrap().to_owned(), item.clone());
                }
                let left = if left.is_empty() { json!({}) } else { json!({"delivered": left}) };
                return (200, json!({"UnprocessedItems": left}));
            }
            let keys = wanted["Keys"].as_array().unwrap();
            assert!(keys.len() <= 100 && wanted["ConsistentRead"] == true);
            let (read, left) = keys.split_at((4 * at_once).min(keys.len()));
            let items: Vec<_> =
                read.iter().filter_map(|key| kept.get(key["seen_key"]["S"].as_str()?)).collect();
            let left = json!({"Keys": left, "ConsistentRead": true});
            let more = left["Keys"] != json!([]);
            let left = if more { json!({"delivered": left}) } else { json!({}) };
            (200, json!({"Responses": {"delivered": items}, "UnprocessedKeys": left}))
        }
    }

    fn keys(range: std::ops::Range<usize>) -> Vec<String> {
        range.map(|number| format!("bill/delivery/s:{number}")).collect()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn what_was_marked_is_known_until_it_is_forgotten() {
        // Several calls of each kind, each of which leaves something, and keys that are there twice.
        for at_once in [1_000, 12] {
            let ((), _) = over(table(at_once), async |store| {
                let marked = [keys(0..120), keys(0..3)].concat();
                store.mark(&marked, at(1_000)).await.unwrap();
                let asked = [keys(100..150), keys(119..121)].concat();
                let expected: Vec<bool> =
                    (100..150).chain(119..121).map(|number| number < 120).collect();
                assert_eq!(store.seen(&asked, at(87_399)).await.unwrap(), expected);
                // The table has not deleted them yet.
                let nothing = vec![false; asked.len()];
                assert_eq!(store.seen(&asked, at(87_400)).await.unwrap(), nothing);
            });
        }
    }

    #[test]
    fn what_is_not_certain_is_an_error() {
        let error = |kind: &'static str| move |_: &Asked| (400, json!({"__type": kind}));
        let busy = "ProvisionedThroughputExceededException";
        let missing = "ResourceNotFoundException";
        let cases = [
            (busy, 3, "it was answered 400 ProvisionedThroughputExceededException"),
            (missing, 1, "it was answered 400 ResourceNotFoundException"),
        ];
        for (kind, calls, expected) in cases {
            for marks in [true, false] {
                let (said, asked) = over(error(kind), async |store| {
                    let result = if marks {
                        store.mark(&keys(0..1), at(0)).await
                    } else {
                        store.seen(&keys(0..1), at(0)).await.map(drop)
                    };
                    tidegate_consumer::envelope::ErrorText::of(&result.unwrap_err()).line()
                });
                let start =
                    "dynamodb:delivered, which remembers what was delivered, did not answer: ";
                assert_eq!(said, format!("{start}{expected}"));
                assert_eq!(asked.len(), calls);
            }
        }
        // It takes nothing and says so every time.
        let (said, asked) = over(table(0), async |store| {
            let error = store.mark(&keys(0..1), at(0)).await.unwrap_err();
            tidegate_consumer::envelope::ErrorText::of(&error).line()
        });
        assert!(said.ends_with("BatchWriteItem left something 3 times"), "{said}");
        assert_eq!(asked.len(), 3);
    }
}
