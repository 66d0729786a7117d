//! A topic: `PublishBatch`, which speaks forms and XML.

use std::fmt::Write;
use std::time::Duration;

use tidegate_consumer::{BulkLimits, Outcome, Record};

use super::Connections;
use super::deliver::{Service, Verdict};
use super::messages::{self, Entry, blamed};
use super::split::{Limits, Piece};
use crate::call::error::between;
use crate::call::{Ask, CallError, escaped};

/// "PublishBatch", Amazon SNS API Reference, 2026-11: 10 messages, 256 KiB together.
const LIMITS: Limits = Limits { entries: 10, bytes: 256 << 10 };

/// A topic, one message a record. Of a FIFO topic, which ends in `.fifo`, the group is the partition
/// key's digest and the deduplication that of the record's identity.
#[derive(Debug)]
pub struct SnsSink {
    arn: String,
    connections: Connections,
}

impl SnsSink {
    /// The topic of this ARN.
    pub fn new(arn: impl Into<String>, connections: Connections) -> Self {
        Self { arn: arn.into(), connections }
    }

    fn fifo(&self) -> bool {
        self.arn.ends_with(".fifo")
    }
}

handles!(SnsSink);

impl Service for SnsSink {
    type Entry = Entry;

    fn limits(&self) -> Limits {
        LIMITS
    }

    fn bulk(&self) -> BulkLimits {
        messages::bulk(self.fifo(), LIMITS)
    }

    fn entry(&self, index: usize, data: &[u8], record: &Record<'_>) -> Result<Entry, Outcome> {
        Entry::new(index, data, record, (self.fifo(), LIMITS.bytes))
    }

    fn piece<'e>(&self, entry: &'e Entry) -> Piece<'e> {
        Piece { bytes: entry.text.len(), key: None }
    }

    async fn send(&self, entries: &[&Entry], within: Duration) -> Result<Vec<Verdict>, CallError> {
        let caller = self.connections.caller().await;
        let place = caller.endpoint("SNS", "sns", self.arn.split(':').nth(3))?;
        let ask = Ask {
            method: "POST",
            url: &format!("{}/", place.url),
            headers: vec![("content-type", "application/x-www-form-urlencoded".to_owned())],
            body: form(&self.arn, entries).into_bytes(),
        };
        let answer = caller.send_signed(ask, ("sns", &place.region), within).await?;
        if answer.status != 200 {
            return Err(CallError::of_service(&answer));
        }
        let text = String::from_utf8_lossy(&answer.body);
        Ok(entries.iter().map(|entry| verdict(&text, &entry.id)).collect())
    }
}

fn form(arn: &str, entries: &[&Entry]) -> String {
    let mut form = format!("Action=PublishBatch&Version=2010-03-31&TopicArn={}", escaped(arn, ""));
    for (number, entry) in (1..).zip(entries) {
        let mut field = |name: &str, value: &str| {
            let _ = write!(
                form,
                "&PublishBatchRequestEntries.member.{number}.{name}={}",
                escaped(value, "")
            );
        };
        field("Id", &entry.id);
        field("Message", &entry.text);
        if let Some(fifo) = &entry.fifo {
            field("MessageGroupId", &fifo.group);
            field("MessageDeduplicationId", &fifo.deduplication);
        }
    }
    form
}

/// What the answer says of an entry. Its identifiers are numbers of ours, its codes words of the
/// service: nothing in it is escaped that is looked for.
fn verdict(answer: &str, id: &str) -> Verdict {
    let of = |list: &str| {
        let members = between(answer, &format!("<{list}>"), &format!("</{list}>"))?;
        members.split("<member>").find(|member| between(member, "<Id>", "</Id>") == Some(id))
    };
    if let Some(failure) = of("Failed") {
        let code = between(failure, "<Code>", "</Code>").unwrap_or_default();
        let sender_fault = between(failure, "<SenderFault>", "</SenderFault>") == Some("true");
        return blamed("PublishBatch", code, sender_fault);
    }
    if of("Successful").is_some() {
        return Verdict::Taken;
    }
    Verdict::Again("PublishBatch does not say what became of it".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_becomes_of_each_message() {
        let answer = "<PublishBatchResponse><PublishBatchResult><Failed>\
            <member><Id>3</Id><Code>InvalidParameter</Code><Message>m</Message>\
            <SenderFault>true</SenderFault></member>\
            <member><Id>13</Id><Code>InternalError</Code><SenderFault>false</SenderFault></member>\
            </Failed><Successful><member><Id>1</Id><MessageId>x</MessageId></member></Successful>\
            </PublishBatchResult></PublishBatchResponse>";
        let cases = [
            ("1", "Taken"),
            ("3", r#"Refused("PublishBatch: InvalidParameter")"#),
            ("13", r#"Again("PublishBatch: InternalError")"#),
            ("2", r#"Again("PublishBatch does not say what became of it")"#),
        ];
        for (id, expected) in cases {
            assert_eq!(format!("{:?}", verdict(answer, id)), expected);
        }
    }

    #[test]
    fn a_form_holds_any_text() {
        let entry = Entry { id: "0".to_owned(), text: "a b&ü=1".to_owned(), fifo: None };
        assert_eq!(
            form("arn:t", &[&entry]),
            "Action=PublishBatch&Version=2010-03-31&TopicArn=arn%3At\
             &PublishBatchRequestEntries.member.1.Id=0\
             &PublishBatchRequestEntries.member.1.Message=a%20b%26%C3%BC%3D1"
        );
    }
}
