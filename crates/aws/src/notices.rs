//! Where the autoscaler's notices go: a topic for people, a bus for tools.

use std::time::Duration;

use serde_json::{Value, json};
use tidegate_autoscaler::notice::{Notice, NoticeService};
use tidegate_autoscaler::port::{ServiceError, ServiceErrorKind};

use crate::call::{Ask, CallError, Connections, Fate, JsonService, escaped};

/// What events of ours begin with: a rule's pattern names them.
const SOURCE: &str = "tidegate.autoscaler";
const DETAIL_TYPE: &str = "Tidegate Notice";

/// A time that no notice takes.
const WITHIN: Duration = Duration::from_secs(5);

/// Where notices go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// The topic of this ARN: a subject and a text for people.
    Topic(String),
    /// The event bus of this name or ARN: events for tools.
    Bus(String),
}

impl Destination {
    /// From `sns:ARN` or `events:BUS`.
    ///
    /// # Errors
    /// The sentence that says what is expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        let expected = || {
            "sns: and the ARN of a topic that is not FIFO, or events: and the name or the ARN of \
             an event bus"
                .to_owned()
        };
        let plain = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
        let (kind, place) = text.split_once(':').ok_or_else(expected)?;
        let topic = place.starts_with("arn:") && place.split(':').nth(2) == Some("sns");
        match kind {
            "sns" if topic && plain(place) && !place.ends_with(".fifo") => {
                Ok(Self::Topic(place.to_owned()))
            }
            "events" if plain(place) => Ok(Self::Bus(place.to_owned())),
            _ => Err(expected()),
        }
    }
}

/// Sends notices to one place.
#[derive(Debug)]
pub struct Notices {
    to: Destination,
    connections: Connections,
}

impl Notices {
    /// To this place; nothing is opened before the first notice.
    pub const fn new(to: Destination, connections: Connections) -> Self {
        Self { to, connections }
    }

    async fn publish(&self, arn: &str, notice: &Notice) -> Result<(), CallError> {
        let caller = self.connections.caller().await;
        let place = caller.endpoint("SNS", "sns", arn.split(':').nth(3))?;
        let body = format!(
            "Action=Publish&Version=2010-03-31&TopicArn={}&Subject={}&Message={}",
            escaped(arn, ""),
            escaped(&notice.subject, ""),
            escaped(&notice.text(), ""),
        );
        let ask = Ask {
            method: "POST",
            url: &format!("{}/", place.url),
            headers: vec![("content-type", "application/x-www-form-urlencoded".to_owned())],
            body: body.into_bytes(),
        };
        let answer = caller.send_signed(ask, ("sns", &place.region), WITHIN).await?;
        if answer.status == 200 { Ok(()) } else { Err(CallError::of_service(&answer)) }
    }

    async fn put(&self, bus: &str, notice: &Notice) -> Result<Value, CallError> {
        let service = JsonService {
            id: "EVENTBRIDGE",
            name: "events",
            target: "AWSEvents",
            version: "1.1",
            region: bus.split(':').nth(3),
        };
        // A struct of numbers and strings always has a text.
        let detail = serde_json::to_string(notice).unwrap_or_default();
        let entry = json!({
            "EventBusName": bus,
            "Source": SOURCE,
            "DetailType": DETAIL_TYPE,
            "Time": notice.at.as_second(),
            "Detail": detail,
        });
        let body = json!({"Entries": [entry]}).to_string().into_bytes();
        self.connections.caller().await.operation(&service, "PutEvents", body, WITHIN).await
    }
}

impl NoticeService for Notices {
    async fn tell(&self, notice: &Notice) -> Result<(), ServiceError> {
        match &self.to {
            Destination::Topic(arn) => {
                self.publish(arn, notice).await.map_err(|error| failure("Publish", &error))
            }
            Destination::Bus(bus) => {
                let operation = "PutEvents";
                let answer = self.put(bus, notice).await;
                refused(operation, &answer.map_err(|error| failure(operation, &error))?)
            }
        }
    }
}

/// An answer of PutEvents is a success even where the bus did not take the event.
fn refused(operation: &'static str, answer: &Value) -> Result<(), ServiceError> {
    if answer["FailedEntryCount"].as_u64() == Some(0) {
        return Ok(());
    }
    let entry = &answer["Entries"][0];
    let said = |key: &str| entry[key].as_str().unwrap_or("?").to_owned();
    let message = format!("{}: {}", said("ErrorCode"), said("ErrorMessage"));
    Err(ServiceError { operation, kind: ServiceErrorKind::Unavailable, message })
}

fn failure(operation: &'static str, error: &CallError) -> ServiceError {
    let kind = match error.fate() {
        Fate::Passes => ServiceErrorKind::Unavailable,
        Fate::Stays => ServiceErrorKind::Denied,
        Fate::Refused => ServiceErrorKind::Invalid,
    };
    let mut message = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        message.push_str(": ");
        message.push_str(&cause.to_string());
        source = cause.source();
    }
    ServiceError { operation, kind, message }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_notices_go() {
        let topic = "arn:aws:sns:eu-west-1:111122223333:people";
        let bus = "arn:aws:events:eu-west-1:111122223333:event-bus/tools";
        let is_topic = Ok(Destination::Topic(topic.to_owned()));
        let is_bus = |bus: &str| Ok(Destination::Bus(bus.to_owned()));
        assert_eq!(Destination::parse(&format!("sns:{topic}")), is_topic);
        assert_eq!(Destination::parse(&format!("events:{bus}")), is_bus(bus));
        assert_eq!(Destination::parse("events:default"), is_bus("default"));
        let fifo = format!("sns:{topic}.fifo");
        for text in ["", "sns", topic, "sns:people", &fifo, "events:", "events:a b", "mail:me"] {
            let error = Destination::parse(text).unwrap_err();
            assert!(error.starts_with("sns: and the ARN of a topic"), "{text}: {error}");
        }
    }

    #[test]
    fn a_bus_that_takes_nothing_says_why() {
        let cases = [
            (json!({"FailedEntryCount": 0, "Entries": [{"EventId": "1"}]}), None),
            (
                json!({"FailedEntryCount": 1, "Entries":
                    [{"ErrorCode": "NotAuthorized", "ErrorMessage": "no bus"}]}),
                Some("PutEvents: NotAuthorized: no bus"),
            ),
            (json!({}), Some("PutEvents: ?: ?")),
        ];
        for (answer, expected) in cases {
            let error = refused("PutEvents", &answer).err().map(|error| error.to_string());
            assert_eq!(error.as_deref(), expected, "{answer}");
        }
    }
}
