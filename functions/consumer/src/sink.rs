//! Where records are delivered to.

pub mod parse;

use std::fmt;
use std::sync::Arc;

use serde_json::json;
use tidegate_aws::sink::dynamodb::DynamoSink;
use tidegate_aws::sink::firehose::FirehoseSink;
use tidegate_aws::sink::http::HttpSink;
use tidegate_aws::sink::kinesis::KinesisSink;
use tidegate_aws::sink::opensearch::OpenSearchSink;
use tidegate_aws::sink::s3::S3Sink;
use tidegate_aws::sink::sns::SnsSink;
use tidegate_aws::sink::sqs::SqsSink;
use tidegate_consumer::{BatchHandler, BulkLimits, Outcome, Received, Scope};
use tidegate_runtime::{Level, Log};

use crate::format::Checked;
use crate::notify::Watch;

/// A sink, and what the setting says of it.
#[derive(Debug)]
pub struct Sink {
    /// What does the work.
    pub kind: Kind,
    /// The setting's value, which holds no secret.
    pub name: String,
}

/// The sinks that there are.
#[derive(Debug)]
pub enum Kind {
    /// The log: each record's identity as a line of the level `DEBUG`, and no payload.
    Log,
    /// A table.
    DynamoDb(DynamoSink),
    /// A Firehose stream.
    Firehose(FirehoseSink),
    /// A server.
    Http(HttpSink),
    /// Another stream.
    Kinesis(KinesisSink),
    /// An index.
    OpenSearch(OpenSearchSink),
    /// A bucket.
    S3(S3Sink),
    /// A topic.
    Sns(SnsSink),
    /// A queue.
    Sqs(SqsSink),
}

impl Sink {
    /// The log.
    pub fn log() -> Self {
        Self { kind: Kind::Log, name: "log".to_owned() }
    }
}

impl fmt::Display for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// A sink at work.
pub struct Delivery {
    /// Which.
    pub sink: Sink,
    /// Where its lines go.
    pub log: Arc<Log>,
    /// What counts the records that people want to hear of.
    pub watch: Option<Arc<Watch>>,
}

type Records<'r, 'd> = [Received<'r, Checked<'d>>];

impl<'d> BatchHandler<Checked<'d>> for Delivery {
    fn limits(&self) -> BulkLimits {
        fn of<'d>(sink: &impl BatchHandler<Checked<'d>>) -> BulkLimits {
            sink.limits()
        }
        match &self.sink.kind {
            Kind::Log => BulkLimits { one_per_key: false, ..BulkLimits::default() },
            Kind::DynamoDb(sink) => of(sink),
            Kind::Firehose(sink) => of(sink),
            Kind::Http(sink) => of(sink),
            Kind::Kinesis(sink) => of(sink),
            Kind::OpenSearch(sink) => of(sink),
            Kind::S3(sink) => of(sink),
            Kind::Sns(sink) => of(sink),
            Kind::Sqs(sink) => of(sink),
        }
    }

    async fn handle(&self, records: &Records<'_, 'd>, scope: &Scope<'_>) -> Vec<Outcome> {
        // In a box: the futures of nine sinks are a type that the compiler follows only so deep.
        let outcomes = Box::pin(self.deliver(records, scope)).await;
        if let Some(watch) = &self.watch {
            // Only what was delivered: what comes again is counted when it does.
            let delivered = records.iter().zip(&outcomes);
            let delivered = delivered.filter(|(_, outcome)| matches!(outcome, Outcome::Done));
            delivered.for_each(|(record, _)| watch.see(record.item.data));
        }
        outcomes
    }
}

impl Delivery {
    async fn deliver<'d>(&self, records: &Records<'_, 'd>, scope: &Scope<'_>) -> Vec<Outcome> {
        match &self.sink.kind {
            Kind::Log => records.iter().map(|record| self.tell(record)).collect(),
            Kind::DynamoDb(sink) => sink.handle(records, scope).await,
            Kind::Firehose(sink) => sink.handle(records, scope).await,
            Kind::Http(sink) => sink.handle(records, scope).await,
            Kind::Kinesis(sink) => sink.handle(records, scope).await,
            Kind::OpenSearch(sink) => sink.handle(records, scope).await,
            Kind::S3(sink) => sink.handle(records, scope).await,
            Kind::Sns(sink) => sink.handle(records, scope).await,
            Kind::Sqs(sink) => sink.handle(records, scope).await,
        }
    }

    fn tell(&self, received: &Received<'_, Checked<'_>>) -> Outcome {
        let record = received.record();
        let facts = json!({
            "shard_id": record.shard_id(),
            "sequence_number": record.sequence_number(),
            "size_bytes": received.item.data.len(),
        });
        self.log.event(Level::Debug, "delivered", &facts);
        Outcome::Done
    }
}
