//! Where requests go: to AWS, or to the terminal.

use std::sync::mpsc::Sender;

use serde_json::json;
use tidegate_producer::{Answer, Entry, Request};

use super::input::{Event, PutError};

/// What takes requests. It answers by an event, so that several may be under way.
pub enum Target {
    /// Prints them.
    Dry,
    /// Makes them.
    #[cfg(feature = "aws")]
    Aws(aws::Stream),
}

impl Target {
    /// PutRecords.
    pub fn put(&self, request: Request, events: &Sender<Event>) {
        match self {
            Self::Dry => {
                let stored = |entry: &Entry| {
                    crate::print(&line(entry))?;
                    Ok(Answer::Stored { shard_id: String::new() })
                };
                let answers: anyhow::Result<_> = request.entries.iter().map(stored).collect();
                // The loop holds the other end.
                let _ =
                    events.send(Event::Answered(request.id, answers.map_err(PutError::Lasting)));
            }
            #[cfg(feature = "aws")]
            Self::Aws(stream) => stream.put(request, events.clone()),
        }
    }

    /// ListShards.
    pub fn list_shards(&self, events: &Sender<Event>) {
        match self {
            Self::Dry => {
                let _ = events.send(Event::Shards(Ok(Vec::new())));
            }
            #[cfg(feature = "aws")]
            Self::Aws(stream) => stream.list_shards(events.clone()),
        }
    }
}

/// An entry as the command line of AWS takes it, but with a payload that can be read.
fn line(entry: &Entry) -> String {
    let mut line = json!({"PartitionKey": entry.partition_key});
    if let Some(key) = entry.explicit_hash_key {
        line["ExplicitHashKey"] = key.to_string().into();
    }
    match std::str::from_utf8(&entry.data) {
        Ok(text) => line["Data"] = text.into(),
        Err(_) => {
            line["DataBase64"] = base64_simd::STANDARD.encode_to_string(&entry.data).into();
        }
    }
    line.to_string()
}

#[cfg(feature = "aws")]
mod aws {
    use std::sync::Arc;
    use std::sync::mpsc::Sender;

    use anyhow::Context;
    use tidegate_aws::Config;
    use tidegate_aws::producer::{PutFailure, Puts};
    use tidegate_producer::Request;
    use tokio::runtime::Runtime;

    use crate::send::input::{Event, PutError};

    /// A stream on AWS, and the thread that talks to it.
    pub struct Stream {
        runtime: Runtime,
        puts: Arc<Puts>,
    }

    impl Stream {
        pub fn new(name: &str) -> anyhow::Result<Self> {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build()
                .context("no runtime for the conversation with AWS")?;
            let config = runtime.block_on(Config::load());
            Ok(Self { puts: Arc::new(Puts::new(&config, name)), runtime })
        }

        pub fn put(&self, request: Request, events: Sender<Event>) {
            let puts = self.puts.clone();
            self.runtime.spawn(async move {
                let answer = puts.put(request.entries).await.map_err(|failure| match failure {
                    PutFailure::Passing(message) => PutError::Passing(message),
                    PutFailure::Lasting(message) => PutError::Lasting(anyhow::anyhow!(message)),
                });
                // A loop that is gone wants to know nothing.
                let _ = events.send(Event::Answered(request.id, answer));
            });
        }

        pub fn list_shards(&self, events: Sender<Event>) {
            let puts = self.puts.clone();
            self.runtime.spawn(async move {
                let shards = puts.shards().await.map_err(|message| anyhow::anyhow!(message));
                let _ = events.send(Event::Shards(shards));
            });
        }
    }
}

#[cfg(feature = "aws")]
pub use aws::Stream;
