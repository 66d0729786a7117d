//! Which records.

use jiff::{SignedDuration, Timestamp};
use tidegate_consumer::envelope::{Envelope, function_name, hashed};
use tidegate_runtime::{clock, settings};

use super::document::Record;

/// Which records of a store; all of it has to hold.
#[derive(clap::Args)]
pub struct Filter {
    /// Only of this reason, such as parse; may be given several times
    #[arg(long, value_name = "REASON")]
    reason: Vec<String>,
    /// Only what this function gave up
    #[arg(long, value_name = "NAME")]
    function: Option<String>,
    /// Only of this stream
    #[arg(long, value_name = "NAME")]
    stream: Option<String>,
    /// Only of this shard, such as shardId-000000000003 or 3
    #[arg(long, value_name = "SHARD")]
    shard: Option<String>,
    /// Only of this partition key, or of this hash of one as `list` shows it
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Only what came into quarantine since: 6h ago, or 2026-11-21T09:00:00Z
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<Timestamp>,
    /// Only what came into quarantine before
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<Timestamp>,
    /// Only records whose id begins so; may be given several times
    #[arg(long, value_name = "ID")]
    id: Vec<String>,
}

/// A moment, or how long ago it was.
fn moment(text: &str) -> Result<Timestamp, String> {
    if let Ok(moment) = text.parse() {
        return Ok(moment);
    }
    let ago = settings::duration(text).ok().and_then(|ago| SignedDuration::try_from(ago).ok());
    let moment = ago.and_then(|ago| clock::now().checked_sub(ago).ok());
    moment.ok_or_else(|| format!("{text:?}: expected a time ago, such as 6h or 14d, or a moment, such as 2026-11-21T09:00:00Z"))
}

impl Filter {
    /// The record of an id.
    pub fn of_id(id: &str) -> Self {
        Self {
            reason: Vec::new(),
            function: None,
            stream: None,
            shard: None,
            key: None,
            since: None,
            until: None,
            id: vec![id.to_owned()],
        }
    }

    /// Whether the record is one of them.
    pub fn takes(&self, record: &Record) -> bool {
        let envelope = &record.envelope;
        let is = |wanted: &Option<String>, found: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| found == Some(wanted))
        };
        (self.reason.is_empty() || self.reason.contains(&envelope.reason))
            && is(&self.function, function_name(&envelope.function_arn))
            && is(&self.stream, stream_of(envelope))
            && self.shard.as_deref().is_none_or(|wanted| is_shard(envelope, wanted))
            && self.key.as_deref().is_none_or(|wanted| is_key(envelope, wanted))
            && self.since.is_none_or(|since| envelope.first_seen >= since)
            && self.until.is_none_or(|until| envelope.first_seen < until)
            && (self.id.is_empty() || self.id.iter().any(|id| record.id.starts_with(id.as_str())))
    }
}

/// The stream's name.
pub fn stream_of(envelope: &Envelope) -> Option<&str> {
    let arn = envelope.stream_arn.as_deref()?;
    Some(arn.split_once(":stream/").map_or(arn, |(_, name)| name))
}

fn is_shard(envelope: &Envelope, wanted: &str) -> bool {
    let Some(shard) = envelope.shard_id.as_deref() else { return false };
    let number = |text: &str| text.trim_start_matches("shardId-").parse::<u64>().ok();
    shard == wanted || number(wanted).is_some_and(|wanted| number(shard) == Some(wanted))
}

fn is_key(envelope: &Envelope, wanted: &str) -> bool {
    envelope.partition_key.as_deref().is_some_and(|key| key == wanted || hashed(key) == wanted)
}
