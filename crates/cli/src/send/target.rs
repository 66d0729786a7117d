//! Where requests go: to AWS, or to the terminal.

use std::io::Write as _;
use std::sync::mpsc::Sender;
use std::time::Duration;

use anyhow::Context as _;
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
                    let gone = "nobody reads standard output any more: what was printed counts as \
                                sent";
                    writeln!(std::io::stdout(), "{}", line(entry)).context(gone)?;
                    Ok(Answer::Stored { shard_id: "".into() })
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
    #[cfg_attr(not(feature = "aws"), expect(unused_variables, reason = "a dry run waits for none"))]
    pub fn list_shards(&self, events: &Sender<Event>, give_up_after: Duration) {
        match self {
            Self::Dry => {
                let _ = events.send(Event::Shards(Ok(Vec::new())));
            }
            #[cfg(feature = "aws")]
            Self::Aws(stream) => stream.list_shards(events.clone(), give_up_after),
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
    use std::time::Duration;

    use anyhow::Context;
    use tidegate_aws::Config;
    use tidegate_aws::producer::{PutFailure, Puts};
    use tidegate_producer::Request;
    use tidegate_runtime::clock;
    use tokio::runtime::Runtime;

    use crate::send::input::{Event, PutError};

    /// Between two calls of ListShards.
    const LIST_PAUSE: Duration = Duration::from_secs(1);

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
            Ok(Self { puts: Arc::new(Puts::new(&config, name, || clock::now().into())), runtime })
        }

        pub fn put(&self, request: Request, events: Sender<Event>) {
            let puts = self.puts.clone();
            self.runtime.spawn(async move {
                let answer = puts.put(&request.entries).await.map_err(|failure| match failure {
                    PutFailure::Throttled(message) => PutError::Throttled(message),
                    PutFailure::Unanswered(message) => PutError::Unanswered(message),
                    PutFailure::Lasting(message) => PutError::Lasting(anyhow::anyhow!(message)),
                });
                // A loop that is gone wants to know nothing.
                let _ = events.send(Event::Answered(request.id, answer));
            });
        }

        /// Again and again, as records are.
        pub fn list_shards(&self, events: Sender<Event>, give_up_after: Duration) {
            let puts = self.puts.clone();
            self.runtime.spawn(async move {
                let started = clock::now();
                let shards = loop {
                    let shards = puts.shards().await;
                    let tried_for = clock::now().duration_since(started).unsigned_abs();
                    match shards {
                        Err(PutFailure::Throttled(why) | PutFailure::Unanswered(why))
                            if tried_for < give_up_after =>
                        {
                            let _ = events.send(Event::Unlisted(why));
                            clock::sleep(LIST_PAUSE).await;
                        }
                        shards => break shards,
                    }
                };
                let _ = events.send(Event::Shards(shards.map_err(anyhow::Error::new)));
            });
        }
    }
}

#[cfg(feature = "aws")]
pub use aws::Stream;
