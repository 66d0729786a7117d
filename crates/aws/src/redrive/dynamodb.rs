//! A table of envelopes.

use serde_json::{Value, json};

use super::{RedriveError, Seen, persist};
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

    /// The same, over connections of its own.
    pub fn over(&self, connections: Connections) -> Self {
        Self { table: self.table.clone(), connections }
    }

    /// As it is named.
    pub fn place(&self) -> String {
        format!("dynamodb:{}", self.table)
    }

    async fn call(&self, operation: &'static str, body: &Value) -> Result<Value, RedriveError> {
        let body = body.to_string();
        let call = async |within| dynamodb(&self.connections, operation, &body, within).await;
        let called = persist(operation, call).await;
        called.map_err(|error| RedriveError::new(&self.place(), error))
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
            let mut wanted = json!({self.table.as_str(): {"Keys": keys, "ConsistentRead": true}});
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

    /// An item that is only replaced as it was seen.
    ///
    /// # Errors
    /// When it cannot be read (`dynamodb:BatchGetItem`).
    pub async fn look(&self, key: &str) -> Result<Option<Seen>, RedriveError> {
        let found = self.read(&[key.to_owned()]).await?.pop().flatten();
        let text = found.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        Ok(text.map(|text| Seen { token: text.clone(), text }))
    }

    /// Writes an item in place of the one with this token, or where there was none; whether it is
    /// written, and not something else there by now ("Condition expressions", Amazon DynamoDB
    /// Developer Guide, 2026-11).
    ///
    /// # Errors
    /// When it is not certain (`dynamodb:PutItem`).
    pub async fn replace(
        &self,
        key: &str,
        seen: Option<&str>,
        text: &str,
    ) -> Result<bool, RedriveError> {
        let mut put = json!({
            "TableName": self.table,
            "Item": {KEY: {"S": key}, "envelope": {"S": text}},
        });
        match seen {
            Some(token) => {
                put["ConditionExpression"] = json!("envelope = :seen");
                put["ExpressionAttributeValues"] = json!({":seen": {"S": token}});
            }
            None => {
                put["ConditionExpression"] = json!("attribute_not_exists(#key)");
                put["ExpressionAttributeNames"] = json!({"#key": KEY});
            }
        }
        let body = put.to_string();
        let call = async |within| {
            let answer = dynamodb(&self.connections, "PutItem", &body, within).await;
            match answer {
                Ok(_) => Ok(true),
                Err(error) if error.is("ConditionalCheckFailedException") => Ok(false),
                Err(error) => Err(error),
            }
        };
        let called = persist("PutItem", call).await;
        called.map_err(|error| RedriveError::new(&self.place(), error))
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
