//! A stream in an emulator: made, resharded, and read back whole.

use std::thread::sleep;
use std::time::Duration;

use serde_json::{Value, json};
use tidegate_kpl::{Decoded, Limits, decode, hash_key};

use crate::http;

/// What an iterator may be asked at once (GetRecords, Kinesis API reference, 2026-11).
const READ_MAX: usize = 10_000;

/// A stream of an emulator on a port of this machine.
#[derive(Debug, Clone)]
pub struct Stream {
    port: u16,
    name: String,
}

/// A record as the stream has it.
#[derive(Debug, Clone)]
pub struct Stored {
    /// The shard.
    pub shard: Shard,
    /// What tells it from others of the shard.
    pub sequence_number: String,
    /// The partition key.
    pub partition_key: String,
    /// The payload: an aggregate, or what somebody sent.
    pub data: Vec<u8>,
}

/// A record as somebody sent it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The partition key.
    pub partition_key: String,
    /// The payload.
    pub data: Vec<u8>,
    /// Whether its key belongs to the shard that it is in.
    pub is_at_home: bool,
}

/// A shard and its hash keys, both ends included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shard {
    /// Its name.
    pub id: String,
    /// The first hash key.
    pub start: u128,
    /// The last.
    pub end: u128,
}

impl Stored {
    /// What is in it, in its order.
    ///
    /// # Panics
    /// When it is an aggregate that cannot be read.
    pub fn user_records(&self) -> Vec<User> {
        let user = |key: &str, data: &[u8], hash_key: u128| User {
            partition_key: key.to_owned(),
            data: data.to_owned(),
            is_at_home: (self.shard.start..=self.shard.end).contains(&hash_key),
        };
        match decode(&self.data, &Limits::default()).expect("an aggregate can be read") {
            Decoded::Aggregate(aggregate) => aggregate
                .records()
                .map(|record| record.content.expect("a record of an aggregate can be read"))
                .map(|record| user(record.partition_key, record.data, record.hash_key()))
                .collect(),
            Decoded::Plain | Decoded::Unverified => {
                vec![user(&self.partition_key, &self.data, hash_key(&self.partition_key))]
            }
        }
    }
}

impl Stream {
    /// Makes a stream, and waits until it can be written to.
    pub fn create(port: u16, name: &str, shards: u32) -> Self {
        let stream = Self { port, name: name.to_owned() };
        stream.call("CreateStream", json!({"StreamName": name, "ShardCount": shards}));
        stream.wait_until_active();
        stream
    }

    /// Changes the number of shards, and waits until it has changed.
    pub fn reshard(&self, target: u32) {
        let scaling = "UNIFORM_SCALING";
        let body =
            json!({"StreamName": self.name, "TargetShardCount": target, "ScalingType": scaling});
        self.call("UpdateShardCount", body);
        self.wait_until_active();
    }

    /// Every record, shard by shard in the order in which they were made, and in the order of each.
    pub fn records(&self) -> Vec<Stored> {
        let answer = self.call("ListShards", json!({"StreamName": self.name}));
        let mut shards: Vec<_> = array(&answer["Shards"]).iter().map(shard).collect();
        shards.sort_by(|one, other| one.id.cmp(&other.id));
        shards.iter().flat_map(|shard| self.records_of(shard)).collect()
    }

    /// Whether anything is in it. Unlike [`records`](Self::records) it ends while somebody writes.
    pub fn has_records(&self) -> bool {
        let answer = self.call("ListShards", json!({"StreamName": self.name}));
        array(&answer["Shards"]).iter().map(shard).any(|shard| {
            let ask = json!({"ShardIterator": self.oldest(&shard), "Limit": 1});
            !array(&self.call("GetRecords", ask)["Records"]).is_empty()
        })
    }

    /// An iterator that begins with the oldest record of a shard.
    fn oldest(&self, shard: &Shard) -> Value {
        let from = json!({"StreamName": self.name, "ShardId": shard.id,
            "ShardIteratorType": "TRIM_HORIZON"});
        self.call("GetShardIterator", from)["ShardIterator"].clone()
    }

    fn records_of(&self, shard: &Shard) -> Vec<Stored> {
        let mut iterator = self.oldest(shard);
        let mut found = Vec::new();
        while iterator.is_string() {
            let ask = json!({"ShardIterator": iterator, "Limit": READ_MAX});
            let mut answer = self.call("GetRecords", ask);
            let records = array(&answer["Records"]);
            if records.is_empty() && answer["MillisBehindLatest"] == 0 {
                break;
            }
            found.extend(records.iter().map(|record| stored(shard, record)));
            iterator = answer["NextShardIterator"].take();
        }
        found
    }

    fn wait_until_active(&self) {
        for _ in 0..400 {
            let answer = self.call("DescribeStreamSummary", json!({"StreamName": self.name}));
            if answer["StreamDescriptionSummary"]["StreamStatus"] == "ACTIVE" {
                return;
            }
            sleep(Duration::from_millis(50));
        }
        panic!("{} does not become active", self.name);
    }

    fn call(&self, operation: &str, body: Value) -> Value {
        let answer =
            http::aws(self.port, "kinesis", &format!("Kinesis_20131202.{operation}"), &body);
        assert_eq!(answer.status, 200, "{operation}: {}", String::from_utf8_lossy(&answer.body));
        answer.json()
    }
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn shard(shard: &Value) -> Shard {
    let end = |key: &str| {
        text(&shard["HashKeyRange"][key]).parse().expect("the end of a range is a number")
    };
    Shard { id: text(&shard["ShardId"]), start: end("StartingHashKey"), end: end("EndingHashKey") }
}

fn stored(shard: &Shard, record: &Value) -> Stored {
    Stored {
        shard: shard.clone(),
        sequence_number: text(&record["SequenceNumber"]),
        partition_key: text(&record["PartitionKey"]),
        data: base64_simd::STANDARD
            .decode_to_vec(text(&record["Data"]))
            .expect("a payload is Base64"),
    }
}
