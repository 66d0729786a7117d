//! A function, and a stream, on AWS.

use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::Duration;

use anyhow::bail;
use jiff::Timestamp;
use tidegate_aws::Config;
use tidegate_aws::producer::{PutFailure, Puts};
use tidegate_aws::redrive::{Called, Function};
use tidegate_consumer::envelope::Envelope;
use tidegate_producer::{Failure, Next, Options, Producer, Record as Put, Settled, Shard};
use tidegate_runtime::clock;

use super::calls::{Answer, Call, deliver};
use super::{Fate, Target, bytes_refused, call_limits, function_refuses};
use crate::quarantine::aws::Conversation;
use crate::quarantine::document::Record;
use crate::quarantine::plan::Limits;

/// Between two calls of ListShards.
const LIST_PAUSE: Duration = Duration::from_secs(1);

/// How long a record is tried, and the list of shards.
const GIVE_UP_AFTER: Duration = Duration::from_mins(1);

/// What the stream takes as one record unless that was raised is for the stream to say.
const RECORD_BYTES_MAX: usize = 10 << 20;

/// A function of Lambda.
pub struct Remote {
    aws: Conversation,
    function: Function,
}

impl Remote {
    pub fn new(name: &str) -> anyhow::Result<Self> {
        let aws = Conversation::new()?;
        Ok(Self { function: Function::new(name, aws.connections.clone()), aws })
    }
}

impl Call for Remote {
    fn call(&mut self, event: &[u8], _: &str) -> anyhow::Result<Answer> {
        Ok(match self.aws.wait(self.function.call(event))? {
            Called::Response(body) => Answer::Response(body),
            Called::Failed(why) => Answer::Failed(why),
        })
    }
}

impl Target for Remote {
    fn refuses(&self, record: &Record) -> Option<&'static str> {
        function_refuses(record)
    }

    fn limits(&self, records: usize) -> Limits {
        call_limits(records)
    }

    fn take(&mut self, batch: &[Envelope]) -> anyhow::Result<Vec<Fate>> {
        deliver(self, batch)
    }

    fn is_function(&self) -> bool {
        true
    }
}

/// A stream of Kinesis, in which the records get new numbers.
pub struct Stream {
    aws: Conversation,
    puts: Puts,
    producer: Producer,
    started: Timestamp,
    next_place: u64,
}

impl Stream {
    pub fn new(name: &str) -> anyhow::Result<Self> {
        let aws = Conversation::new()?;
        let config = aws.wait(Config::load());
        let options = Options {
            ordered: true,
            linger: Duration::ZERO,
            record_bytes_max: RECORD_BYTES_MAX,
            give_up_after: GIVE_UP_AFTER,
            ..Options::default()
        };
        let started = clock::now();
        let seed = started.as_nanosecond() as u64;
        let puts = Puts::new(&config, name, || clock::now().into());
        Ok(Self { aws, puts, producer: Producer::new(options, seed), started, next_place: 0 })
    }

    fn now(&self) -> Duration {
        clock::now().duration_since(self.started).try_into().unwrap_or_default()
    }

    /// The open shards. A throttled ListShards is called again: others call it, too, and it takes a
    /// thousand calls a second for a stream ("ListShards", Kinesis API reference, 2026-11).
    fn shards(&self) -> anyhow::Result<Vec<Shard>> {
        let until = self.now() + GIVE_UP_AFTER;
        loop {
            match self.aws.wait(self.puts.shards()) {
                Ok(shards) => return Ok(shards),
                Err(PutFailure::Throttled(_) | PutFailure::Unanswered(_)) if self.now() < until => {
                    sleep(LIST_PAUSE);
                }
                Err(failure) => bail!(failure),
            }
        }
    }

    /// Sends what was offered until all of it is settled.
    fn send(&mut self) -> anyhow::Result<()> {
        while self.producer.unsettled() > 0 {
            match self.producer.next(self.now()) {
                Next::Put(request) => {
                    let answer = match self.aws.wait(self.puts.put(&request.entries)) {
                        Ok(answers) => Ok(answers),
                        Err(PutFailure::Throttled(why)) => Err(Failure::Refused(why)),
                        Err(PutFailure::Unanswered(why)) => Err(Failure::Unanswered(why)),
                        Err(PutFailure::Lasting(why)) => bail!(why),
                    };
                    self.producer.answered(request.id, answer, self.now());
                }
                Next::ListShards => {
                    let shards = self.shards()?;
                    self.producer.shards(shards);
                }
                Next::Wait(time) => sleep(time.unwrap_or(Duration::from_millis(10))),
                Next::Done => return Ok(()),
            }
        }
        Ok(())
    }
}

impl Target for Stream {
    fn refuses(&self, record: &Record) -> Option<&'static str> {
        let has_key = record.envelope.partition_key.as_deref().is_some_and(|key| !key.is_empty());
        let is_fetched = record.of == 1 && record.envelope.sha256.is_empty();
        bytes_refused(record).or((!has_key && !is_fetched).then_some("no_partition_key"))
    }

    fn limits(&self, records: usize) -> Limits {
        Limits { records, bytes: 5 << 20 }
    }

    fn take(&mut self, batch: &[Envelope]) -> anyhow::Result<Vec<Fate>> {
        let first = self.next_place;
        for envelope in batch {
            let put = Put {
                place: self.next_place,
                partition_key: envelope.partition_key.clone().unwrap_or_default(),
                explicit_hash_key: envelope
                    .explicit_hash_key
                    .as_deref()
                    .and_then(|key| key.parse().ok()),
                data: envelope.payload_bytes()?,
            };
            self.next_place += 1;
            if self.producer.offer(put, self.now()).is_err() {
                bail!("more waits to be sent than fits into memory: choose a smaller --batch");
            }
        }
        self.send()?;
        let settled = self.producer.settled().into_iter();
        let settled: BTreeMap<_, _> =
            settled.map(|Settled { place, rejected }| (place, rejected)).collect();
        let fate = |place: u64| match settled.get(&place) {
            Some(None) => Fate::Taken,
            Some(Some(rejection)) => {
                Fate::Left(format!("{}: {}", rejection.reason, rejection.message))
            }
            None => Fate::Left("it is not known whether the stream took it".to_owned()),
        };
        Ok((first..self.next_place).map(fate).collect())
    }
}
