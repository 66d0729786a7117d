//! The stores that are services of AWS.

mod lease;

use std::future::Future;
use std::time::Duration;

use anyhow::{Context, bail};
use jiff::Timestamp;
use tidegate_aws::call::Connections;
use tidegate_aws::redrive::{Bucket, HIDDEN_SECS, Queue, RedriveError, Shard, Table};
use tidegate_consumer::envelope::{Envelope, PayloadEncoding};
use tidegate_runtime::clock;
use tokio::runtime::Runtime;

use self::lease::{Document, Lease, Of, elapsed};
use super::document::{Record, digest};
use super::lock::Hold;
use super::store::{KEYS_MAX, Store};
use crate::Usage;

/// No batch of messages is begun so shortly before others see them: a call may take a minute.
const QUEUE_MARGIN: Duration = Duration::from_secs(60);

/// A conversation with AWS: its thread of work, and its connections.
pub struct Conversation {
    runtime: Runtime,
    pub connections: Connections,
}

impl Conversation {
    pub fn new() -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("no runtime for the conversation with AWS")?;
        Ok(Self { runtime, connections: Connections::new(|| clock::now().into()) })
    }

    pub fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }
}

/// The store of a name that begins as one of AWS does.
pub fn open(name: &str) -> anyhow::Result<Box<dyn Store>> {
    let aws = Conversation::new()?;
    let connections = aws.connections.clone();
    let empty =
        || Usage(format!("{name} names nothing: s3://BUCKET/PREFIX, dynamodb:TABLE or sqs:URL"));
    if let Some(rest) = name.strip_prefix("s3://") {
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            bail!(empty())
        }
        return Ok(Box::new(Objects { bucket: Bucket::new(bucket, prefix, connections), aws }));
    }
    let (scheme, rest) = name.split_once(':').unwrap_or_default();
    match (scheme, rest) {
        (_, "") => bail!(empty()),
        ("dynamodb", table) => Ok(Box::new(Items { table: Table::new(table, connections), aws })),
        (_, url) => Ok(Box::new(Messages { queue: Queue::new(url.to_owned(), connections), aws })),
    }
}

/// A page of keys, and what asks for the next.
type Page = Result<(Vec<String>, Option<String>), RedriveError>;

/// All keys, page by page, sorted.
fn all(
    aws: &Conversation,
    page: impl AsyncFn(Option<&str>) -> Page,
) -> anyhow::Result<Vec<String>> {
    let mut keys = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let (found, next) = aws.wait(page(after.as_deref()))?;
        keys.extend(found);
        if keys.len() > KEYS_MAX {
            bail!("the store holds more than {KEYS_MAX} documents: name a longer prefix");
        }
        after = next;
        if after.is_none() {
            keys.sort_unstable();
            return Ok(keys);
        }
    }
}

struct Objects {
    aws: Conversation,
    bucket: Bucket,
}

impl Store for Objects {
    fn keys(&mut self) -> anyhow::Result<Vec<String>> {
        all(&self.aws, async |token| self.bucket.keys(token).await)
    }

    fn read(&mut self, keys: &[String]) -> anyhow::Result<Vec<Option<Vec<u8>>>> {
        Ok(self.aws.wait(self.bucket.read(keys))?)
    }

    fn write(&mut self, key: &str, bytes: &[u8]) -> anyhow::Result<()> {
        Ok(self.aws.wait(self.bucket.write(key, bytes))?)
    }

    fn lock(&mut self) -> anyhow::Result<Box<dyn Hold>> {
        let aws = Conversation::new()?;
        let bucket = self.bucket.over(aws.connections.clone());
        let what = bucket.place();
        Ok(Box::new(Lease::take(Document { aws, of: Of::Bucket(bucket) }, &what)?))
    }

    fn remove(&mut self, key: &str) -> anyhow::Result<()> {
        Ok(self.aws.wait(self.bucket.remove(key))?)
    }
}

struct Items {
    aws: Conversation,
    table: Table,
}

impl Store for Items {
    fn keys(&mut self) -> anyhow::Result<Vec<String>> {
        all(&self.aws, async |after| self.table.keys(after).await)
    }

    fn read(&mut self, keys: &[String]) -> anyhow::Result<Vec<Option<Vec<u8>>>> {
        Ok(self.aws.wait(self.table.read(keys))?)
    }

    fn write(&mut self, key: &str, bytes: &[u8]) -> anyhow::Result<()> {
        let text = std::str::from_utf8(bytes).context("an envelope is text")?;
        Ok(self.aws.wait(self.table.write(key, text))?)
    }

    fn lock(&mut self) -> anyhow::Result<Box<dyn Hold>> {
        let aws = Conversation::new()?;
        let table = self.table.over(aws.connections.clone());
        let what = table.place();
        Ok(Box::new(Lease::take(Document { aws, of: Of::Table(table) }, &what)?))
    }

    fn remove(&mut self, key: &str) -> anyhow::Result<()> {
        Ok(self.aws.wait(self.table.remove(key))?)
    }
}

struct Messages {
    aws: Conversation,
    queue: Queue,
}

impl Store for Messages {
    fn keys(&mut self) -> anyhow::Result<Vec<String>> {
        Ok(self.aws.wait(self.queue.receive())?)
    }

    fn read(&mut self, keys: &[String]) -> anyhow::Result<Vec<Option<Vec<u8>>>> {
        Ok(keys.iter().map(|key| self.queue.read(key)).collect())
    }

    fn write(&mut self, key: &str, _: &[u8]) -> anyhow::Result<()> {
        bail!("a queue keeps no marks, so {key} cannot be moved")
    }

    fn lock(&mut self) -> anyhow::Result<Box<dyn Hold>> {
        Ok(Box::new(Received(clock::now())))
    }

    fn remove(&mut self, key: &str) -> anyhow::Result<()> {
        Ok(self.aws.wait(self.queue.remove(key))?)
    }

    fn keeps_marks(&self) -> bool {
        false
    }
}

/// What was received is for nobody else, for a while.
struct Received(Timestamp);

impl Hold for Received {
    fn check(&self) -> anyhow::Result<()> {
        if elapsed(self.0) + QUEUE_MARGIN >= Duration::from_secs(HIDDEN_SECS.into()) {
            bail!("the messages are soon to be seen by others, since a quarter of an hour is over")
        }
        Ok(())
    }
}

/// What was received is for others again. When that fails they see it after a while, by themselves.
impl Drop for Messages {
    fn drop(&mut self) {
        if let Err(error) = self.aws.wait(self.queue.release()) {
            let why = tidegate_runtime::chain::chain(&error);
            crate::complain(&format!("what is left in the queue is hidden for 15 minutes: {why}"));
        }
    }
}

/// The records of a batch of which a destination was told without them.
pub fn fetch(record: &Record, last: &str, records: u64) -> anyhow::Result<Vec<Envelope>> {
    let aws = Conversation::new()?;
    let known = &record.envelope;
    let (Some(stream_arn), Some(shard_id), Some(first)) =
        (&known.stream_arn, &known.shard_id, &known.sequence_number)
    else {
        bail!("the message names no stream, shard or sequence number")
    };
    let shard = Shard { stream_arn, shard_id, connections: &aws.connections };
    let found = aws.wait(shard.between(first, last))?;
    if found.len() as u64 != records {
        bail!(
            "the stream has {} of its {records} records: the retention of the others is over",
            found.len()
        );
    }
    let envelope = |fetched: tidegate_aws::redrive::Fetched| {
        let mut envelope = known.clone();
        envelope.sequence_number = Some(fetched.sequence_number);
        envelope.partition_key = Some(fetched.partition_key);
        envelope.payload_encoding = PayloadEncoding::Base64;
        envelope.payload = fetched.data;
        #[expect(clippy::cast_possible_truncation, reason = "milliseconds of the epoch")]
        let arrived_at = fetched.arrived_at.map(|seconds| (seconds * 1_000.0).round() as i64);
        envelope.approximate_arrival =
            arrived_at.and_then(|at| jiff::Timestamp::from_millisecond(at).ok());
        let bytes = envelope.payload_bytes()?;
        envelope.size = bytes.len() as u64;
        envelope.sha256 = digest(&bytes);
        envelope.quarantine_id = super::document::id_of(&envelope);
        Ok(envelope)
    };
    found.into_iter().map(envelope).collect()
}
