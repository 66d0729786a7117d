//! A table of envelopes.

use serde_json::{Value, json};

use super::{RedriveError, persist};
use crate::call::{Connections, dynamodb};
use crate::quarantine::dynamodb::KEY;

/// Keys of a BatchGetItem ("BatchGetItem", DynamoDB API reference, 2026-11).
const KEYS_MAX: usize = 100;

/// Documents that are items.
#[derive(Debug)]
pub struct Table {
    table: String,
    connections: Connections,
}

impl Table {
    /// By its name.
    pub fn new(table: impl Into<String>, connections: Connections) -> Self {
        Self { table: table.into(), connections }
    }

    async fn call(&self, operation: &'static str, body: &Value) -> Result<Value, RedriveError> {
        let body = body.to_string();
        let call = async |within| dynamodb(&self.connections, operation, &body, within).await;
        let called = persist(operation, call).await;
        called.map_err(|error| RedriveError::new(&format!("dynamodb:{}", self.table), error))
    }

    /// A page of keys, and what asks for the next.
    ///
    /// # Errors
    /// When the table cannot be read (`dynamodb:Scan`).
    pub async fn keys(
        &self,
        after: Option<&str>,
    ) -> Result<(Vec<String>, Option<String>), RedriveError> {
        let mut scan = json!({
            "TableName": self.table,
            "ProjectionExpression": "#key",
            "ExpressionAttributeNames": {"#key": KEY},
        });
        if let Some(after) = after {
            scan["ExclusiveStartKey"] = json!({KEY: {"S": after}});
        }
        let page = self.call("Scan", &scan).await?;
        let key = |item: &Value| item[KEY]["S"].as_str().map(ToOwned::to_owned);
        let items = page["Items"].as_array().map(Vec::as_slice).unwrap_or_default();
        Ok((items.iter().filter_map(key).collect(), key(&page["LastEvaluatedKey"])))
    }

    /// Envelopes in the order of their keys; `None` for one that is gone.
    ///
    /// # Errors
    /// When the table cannot be read (`dynamodb:BatchGetItem`).
    pub async fn read(&self, keys: &[String]) -> Result<Vec<Option<Vec<u8>>>, RedriveError> {
        let mut found = std::collections::BTreeMap::new();
        for keys in keys.chunks(KEYS_MAX) {
            let keys: Vec<_> = keys.iter().map(|key| json!({KEY: {"S": key}})).collect();
            let mut wanted = json!({self.table.as_str(): {"Keys": keys}});
            while wanted.as_object().is_some_and(|tables| !tables.is_empty()) {
                let answer = self.call("BatchGetItem", &json!({"RequestItems": wanted})).await?;
                let items = answer["Responses"][self.table.as_str()].as_array();
                for item in items.map(Vec::as_slice).unwrap_or_default() {
                    if let (Some(key), Some(envelope)) =
                        (item[KEY]["S"].as_str(), item["envelope"]["S"].as_str())
                    {
                        found.insert(key.to_owned(), envelope.as_bytes().to_vec());
                    }
                }
                // What did not fit into the answer, or into the table's capacity.
                wanted = answer["UnprocessedKeys"].clone();
            }
        }
        Ok(keys.iter().map(|key| found.remove(key)).collect())
    }

    /// Writes an item over what is there, with the attributes that the quarantine writes.
    ///
    /// # Errors
    /// When it is not certain that it is written (`dynamodb:PutItem`).
    pub async fn write(&self, key: &str, envelope: &str) -> Result<(), RedriveError> {
        let fields: Value = serde_json::from_str(envelope).unwrap_or_default();
        let mut item = json!({KEY: {"S": key}, "envelope": {"S": envelope}});
        for name in ["reason", "first_seen", "function_arn", "stream_arn"] {
            if let Some(text) = fields[name].as_str() {
                item[name] = json!({"S": text});
            }
        }
        self.call("PutItem", &json!({"TableName": self.table, "Item": item})).await.map(drop)
    }

    /// Removes an item.
    ///
    /// # Errors
    /// When it is not certain that it is gone (`dynamodb:DeleteItem`).
    pub async fn remove(&self, key: &str) -> Result<(), RedriveError> {
        let delete = json!({"TableName": self.table, "Key": {KEY: {"S": key}}});
        self.call("DeleteItem", &delete).await.map(drop)
    }
}
