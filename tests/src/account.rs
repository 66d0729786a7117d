//! An account with many streams, for counting: what Kinesis, CloudWatch, DynamoDB and the tagging
//! API answer about them, page by page as the services would, without any of their limits.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use crate::canned::{Answer, Asked, Canned};

/// Streams that a page of either listing holds.
const PER_PAGE: usize = 100;

/// Points that a page of metrics holds.
const POINTS_PER_PAGE: usize = 100_800;

/// A stream of the account.
#[derive(Debug, Clone)]
pub struct Stream {
    /// Its shards, all of the same width.
    pub shards: u32,
    /// What is written to it, in shards, at every minute there is.
    pub load: f64,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

/// The account.
#[derive(Debug, Default)]
pub struct Account {
    streams: Mutex<BTreeMap<String, Stream>>,
    ledger: Mutex<BTreeMap<String, Value>>,
    alarms: Mutex<BTreeMap<String, Value>>,
}

impl Account {
    /// With these streams.
    pub fn new(streams: BTreeMap<String, Stream>) -> Self {
        Self { streams: Mutex::new(streams), ..Self::default() }
    }

    /// Serves the streams.
    pub fn serve(streams: BTreeMap<String, Stream>) -> Canned {
        let account = Self::new(streams);
        Canned::start(move |asked| account.answer(asked))
    }

    /// What a request is answered with.
    pub fn answer(&self, asked: &Asked) -> Answer {
        let input = &asked.input;
        let done = match asked.operation.as_str() {
            "GetResources" => Some(self.resources(input)),
            "ListStreams" => Some(self.list(input)),
            "DescribeLimits" => Some(json!({"ShardLimit": 20_000, "OpenShardCount": 5_000,
                "OnDemandStreamCount": 0, "OnDemandStreamCountLimit": 50})),
            "GetMetricData" => Some(self.metrics(input)),
            "DescribeStreamSummary" => self.with(input, |name, stream| {
                json!({"StreamDescriptionSummary": {"StreamName": name, "StreamARN": arn(name),
                    "StreamStatus": "ACTIVE", "RetentionPeriodHours": 24, "EnhancedMonitoring": [],
                    "StreamCreationTimestamp": 1_700_000_000, "OpenShardCount": stream.shards,
                    "StreamModeDetails": {"StreamMode": "PROVISIONED"}}})
            }),
            "ListShards" => self.with(input, |_, stream| json!({"Shards": shards(stream.shards)})),
            "ListStreamConsumers" => self.with(input, |_, _| json!({"Consumers": []})),
            "ListTagsForStream" => {
                self.with(input, |_, stream| json!({"HasMoreTags": false, "Tags": tags(stream)}))
            }
            "AddTagsToStream" => self.with(input, |_, stream| {
                let new = input["Tags"].as_object().into_iter().flatten();
                stream.tags.extend(new.map(|(key, value)| (key.clone(), text(value))));
                json!({})
            }),
            "UpdateShardCount" => self.with(input, |name, stream| {
                let target = input["TargetShardCount"].as_u64().unwrap_or_default();
                let was = std::mem::replace(&mut stream.shards, target as u32);
                json!({"StreamName": name, "CurrentShardCount": was, "TargetShardCount": target})
            }),
            "BatchGetItem" => Some(self.read_ledger(input)),
            "PutItem" => self.write_ledger(input),
            "DescribeAlarms" => Some(self.describe_alarms(input)),
            "PutMetricAlarm" => self.put_alarm(input),
            "SetAlarmState" => {
                self.set_alarm_state(&text(&input["AlarmName"]), &text(&input["StateValue"]), now())
            }
            _ => None,
        };
        match done {
            Some(body) => (200, body),
            None if asked.operation == "PutItem" => refusal("ConditionalCheckFailedException"),
            None => refusal("ResourceNotFoundException"),
        }
    }

    /// What `of` makes of the stream that a request names.
    fn with(&self, input: &Value, of: impl Fn(&str, &mut Stream) -> Value) -> Option<Value> {
        let mut streams = self.streams.lock().ok()?;
        let name = input["StreamName"].as_str()?;
        Some(of(name, streams.get_mut(name)?))
    }

    fn resources(&self, input: &Value) -> Value {
        let streams = self.streams.lock().expect("no answer panicked");
        let (page, next) = page(streams.iter(), &input["PaginationToken"]);
        let resources: Vec<_> = page
            .into_iter()
            .map(|(name, stream)| json!({"ResourceARN": arn(name), "Tags": tags(stream)}))
            .collect();
        json!({"ResourceTagMappingList": resources, "PaginationToken": next.unwrap_or_default()})
    }

    fn list(&self, input: &Value) -> Value {
        let streams = self.streams.lock().expect("no answer panicked");
        let (page, next) = page(streams.keys(), &input["NextToken"]);
        let summaries: Vec<_> = page
            .iter()
            .map(|name| {
                json!({"StreamName": name, "StreamARN": arn(name), "StreamStatus": "ACTIVE",
                    "StreamModeDetails": {"StreamMode": "PROVISIONED"}})
            })
            .collect();
        let mut answer = json!({"StreamNames": page, "HasMoreStreams": next.is_some(),
            "StreamSummaries": summaries});
        if let Some(next) = next {
            answer["NextToken"] = next.into();
        }
        answer
    }

    /// Each query has a point at every minute of the span; a page is as full as it can be.
    fn metrics(&self, input: &Value) -> Value {
        let second = |key: &str| input[key].as_f64().unwrap_or_default() as i64;
        let from = (second("StartTime") + 59) / 60;
        let until = (second("EndTime") + 59) / 60;
        let minutes = usize::try_from(until - from).unwrap_or_default();
        let none = Vec::new();
        let queries = input["MetricDataQueries"].as_array().unwrap_or(&none);
        let first: usize = input["NextToken"].as_str().map_or(0, |at| at.parse().unwrap_or(0));
        let last = (first + POINTS_PER_PAGE).min(queries.len() * minutes);
        let mut results = Vec::new();
        let mut at = first;
        while at < last {
            let (query, minute) = (at / minutes, at % minutes);
            let until = minutes.min(minute + last - at);
            let value = self.value(&queries[query]["MetricStat"]["Metric"]);
            let first = (from + minute as i64) * 60;
            let count = until - minute;
            results.push(json!({"Id": queries[query]["Id"], "StatusCode": "Complete",
                "Values": {"@repeat": [value, count]},
                "Timestamps": {"@minutes": [first, count]}}));
            at += until - minute;
        }
        let mut answer = json!({"MetricDataResults": results, "Messages": []});
        if last < queries.len() * minutes {
            answer["NextToken"] = last.to_string().into();
        }
        answer
    }

    fn value(&self, metric: &Value) -> f64 {
        let dimensions = metric["Dimensions"].as_array().into_iter().flatten();
        let stream = dimensions.filter(|of| of["Name"] == "StreamName").find_map(|of| {
            let streams = self.streams.lock().expect("no answer panicked");
            Some(streams.get(of["Value"].as_str()?)?.load)
        });
        match metric["MetricName"].as_str() {
            Some("IncomingBytes") => stream.unwrap_or_default() * 6e6,
            Some("IncomingRecords") => stream.unwrap_or_default() * 6e4,
            _ => 0.0,
        }
    }

    /// Half of what is asked for comes back unprocessed, once.
    fn read_ledger(&self, input: &Value) -> Value {
        let ledger = self.ledger.lock().expect("no answer panicked");
        let (mut found, mut rest) = (Map::new(), Map::new());
        for (table, wanted) in input["RequestItems"].as_object().into_iter().flatten() {
            let keys = wanted["Keys"].as_array().map_or(&[][..], Vec::as_slice);
            let now = if keys.len() > PER_PAGE / 2 { keys.len() / 2 } else { keys.len() };
            let items =
                keys[..now].iter().filter_map(|key| ledger.get(key["stream"]["S"].as_str()?));
            found.insert(table.clone(), items.cloned().collect());
            if now < keys.len() {
                let rest_of = json!({"Keys": keys[now..], "ConsistentRead": true});
                rest.insert(table.clone(), rest_of);
            }
        }
        json!({"Responses": found, "UnprocessedKeys": rest})
    }

    /// Nothing when the revision is not the one that the writer expects.
    fn write_ledger(&self, input: &Value) -> Option<Value> {
        let mut ledger = self.ledger.lock().ok()?;
        let stream = input["Item"]["stream"]["S"].as_str()?;
        let stored = ledger.get(stream).map(|item| &item["revision"]);
        let expected = &input["ExpressionAttributeValues"][":expected"];
        if stored.unwrap_or(&Value::Null) != expected {
            return None;
        }
        ledger.insert(stream.to_owned(), input["Item"].clone());
        Some(json!({}))
    }

    /// An alarm as it stands; null when there is none.
    ///
    /// # Panics
    /// When an answer panicked.
    pub fn alarm(&self, name: &str) -> Value {
        let alarms = self.alarms.lock().expect("no answer panicked");
        alarms.get(name).cloned().unwrap_or_default()
    }

    /// Puts an alarm that is there into a state since a second of the epoch, as its metric would.
    pub fn set_alarm_state(&self, name: &str, state: &str, since: u64) -> Option<Value> {
        let mut alarms = self.alarms.lock().ok()?;
        let alarm = alarms.get_mut(name)?;
        alarm["StateValue"] = state.into();
        alarm["StateUpdatedTimestamp"] = json!({"@": since});
        Some(json!({}))
    }

    /// The whole definition is replaced, and the state stays.
    fn put_alarm(&self, input: &Value) -> Option<Value> {
        let mut alarms = self.alarms.lock().ok()?;
        let mut alarm = input.clone();
        let before = alarms.get(input["AlarmName"].as_str()?);
        let kept = |key: &str| before.map(|before| before[key].clone());
        alarm["StateValue"] = kept("StateValue").unwrap_or("INSUFFICIENT_DATA".into());
        alarm["StateUpdatedTimestamp"] =
            kept("StateUpdatedTimestamp").unwrap_or(json!({"@": now()}));
        alarms.insert(text(&input["AlarmName"]), alarm);
        Some(json!({}))
    }

    fn describe_alarms(&self, input: &Value) -> Value {
        let alarms = self.alarms.lock().expect("no answer panicked");
        let prefix = input["AlarmNamePrefix"].as_str();
        let names = input["AlarmNames"].as_array();
        let wanted = |name: &String| match names {
            Some(names) => names.iter().any(|wanted| wanted == name),
            None => prefix.is_none_or(|prefix| name.starts_with(prefix)),
        };
        let (page, next) =
            page(alarms.iter().filter(|(name, _)| wanted(name)), &input["NextToken"]);
        let seen: Vec<_> = page.into_iter().map(|(_, alarm)| alarm).collect();
        let mut answer = json!({"MetricAlarms": seen, "CompositeAlarms": []});
        if let Some(next) = next {
            answer["NextToken"] = next.into();
        }
        answer
    }
}

fn refusal(code: &str) -> Answer {
    (400, json!({"__type": code, "message": "it is refused here"}))
}

/// A page, and the token of the next one.
fn page<T>(all: impl Iterator<Item = T>, token: &Value) -> (Vec<T>, Option<String>) {
    let first = token.as_str().and_then(|token| token.parse().ok()).unwrap_or(0);
    let mut page: Vec<_> = all.skip(first).take(PER_PAGE + 1).collect();
    let more = page.len() > PER_PAGE;
    page.truncate(PER_PAGE);
    (page, more.then(|| (first + PER_PAGE).to_string()))
}

fn arn(stream: &str) -> String {
    format!("arn:aws:kinesis:us-east-1:111122223333:stream/{stream}")
}

fn tags(stream: &Stream) -> Value {
    stream.tags.iter().map(|(key, value)| json!({"Key": key, "Value": value})).collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn shards(count: u32) -> Vec<Value> {
    let width = u128::MAX / u128::from(count.max(1));
    (0..count)
        .map(|at| {
            let first = width * u128::from(at);
            let last = if at + 1 == count { u128::MAX } else { first + width - 1 };
            json!({"ShardId": format!("shardId-{at:012}"),
                "HashKeyRange": {"StartingHashKey": first.to_string(),
                    "EndingHashKey": last.to_string()},
                "SequenceNumberRange": {"StartingSequenceNumber": "0"}})
        })
        .collect()
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
