//! The consumer's settings, from the environment.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use jiff::SignedDuration;
use tidegate_aws::call::Connections;
use tidegate_aws::quarantine::S3Quarantine;
use tidegate_aws::quarantine::dynamodb::DynamoQuarantine;
use tidegate_aws::quarantine::sqs::SqsQuarantine;
use tidegate_consumer::{Expand, Folder, Journal, OnPoison, OnRetry, Options};
use tidegate_runtime::clock;
use tidegate_runtime::settings::{self, SettingsError, Vars};

use crate::dedupe::{self, Chosen};
use crate::format::{self, Check, Format};
use crate::notify::Watch;
use crate::sink::Sink;
use crate::sink::parse::{self, Details};
use crate::store::Store;

const QUARANTINE: &str = "TIDEGATE_QUARANTINE";
const QUARANTINE_BUCKET: &str = "TIDEGATE_QUARANTINE_BUCKET";
const SINK: &str = "TIDEGATE_SINK";
const SINK_AUTHORIZATION: &str = "TIDEGATE_SINK_AUTHORIZATION";
const SINK_KEY: &str = "TIDEGATE_SINK_KEY";
const SINK_RECORDS: &str = "TIDEGATE_SINK_RECORDS";
const FORMAT: &str = "TIDEGATE_FORMAT";
const EXPAND: &str = "TIDEGATE_EXPAND";
const ON_RETRY: &str = "TIDEGATE_ON_RETRY";
const ON_POISON: &str = "TIDEGATE_ON_POISON";
const SCHEMA: &str = "TIDEGATE_SCHEMA";
const RECORD_TIMEOUT: &str = "TIDEGATE_RECORD_TIMEOUT";
const MAX_ATTEMPTS: &str = "TIDEGATE_MAX_ATTEMPTS";
const MAX_AGE: &str = "TIDEGATE_MAX_AGE";
const JOURNAL: &str = "TIDEGATE_JOURNAL";
const LANES: &str = "TIDEGATE_LANES";
const NOTIFY: &str = "TIDEGATE_NOTIFY";

/// More records at the same time than a sink has connections wait for each other.
const LANES_MAX: usize = 64;

/// What the function is configured to do.
#[derive(Debug)]
pub struct Settings {
    /// What a record has to be.
    pub check: Check,
    /// Where records are delivered to.
    pub sink: Sink,
    /// Where poison records go.
    pub store: Store,
    /// The order that is kept, and what is done at the same time.
    pub options: Options,
    /// The most time that one record, or one call of the sink, may take.
    pub record_timeout: Option<Duration>,
    /// Where it is noted what is in hand.
    pub journal: Option<Journal>,
    /// What is not delivered twice.
    pub dedupe: Option<Chosen>,
    /// Which records people want to hear of.
    pub notify: Option<Watch>,
}

impl Settings {
    /// Reads the settings, and creates the folder that they name.
    pub fn read(vars: &dyn Vars) -> Result<Self, SettingsError> {
        let mut settings = settings::Settings::new(vars);
        let connections = Connections::new(|| clock::now().into());
        let large = settings.optional(QUARANTINE_BUCKET, |text| place(text, &connections));
        let large = large.map(|(bucket, _)| bucket);
        let store = |text: &str| store(text, large, &connections);
        let store = settings.or(QUARANTINE, Store::Log, store);
        let details = Details {
            key: settings.or(SINK_KEY, Vec::new(), parse::key),
            authorization: settings.optional(SINK_AUTHORIZATION, parse::header),
            records: settings.optional(SINK_RECORDS, parse::records),
        };
        let sink = |text: &str| parse::sink(text, details, connections.clone());
        let sink = settings.or(SINK, Sink::log(), sink);
        let format = settings.or(FORMAT, Format::Json, format);
        let schema = settings.optional(SCHEMA, format::schema);
        if schema.is_some() && format != Format::Json {
            settings.reject(SCHEMA, "nothing without TIDEGATE_FORMAT=json");
        }
        let mut options = Options::default();
        options.on_retry = settings.or(ON_RETRY, options.on_retry, on_retry);
        options.on_poison = settings.or(ON_POISON, options.on_poison, on_poison);
        options.lanes = settings.or(LANES, options.lanes, lanes);
        options.expand = settings.or(EXPAND, Expand::auto(), expand);
        options.max_attempts =
            settings.optional(MAX_ATTEMPTS, settings::count).and_then(NonZeroU32::new);
        options.max_age = settings.optional(MAX_AGE, age);
        let record_timeout = settings.optional(RECORD_TIMEOUT, settings::duration);
        let journal = settings.optional(JOURNAL, journal);
        let dedupe = dedupe::read(&mut settings, &connections);
        let notify = settings.optional(NOTIFY, |text| Watch::new(text, format));
        settings.finish(Self {
            check: Check { format, schema },
            sink,
            store,
            options,
            record_timeout,
            journal,
            dedupe,
            notify,
        })
    }
}

fn store(
    text: &str,
    large: Option<S3Quarantine>,
    connections: &Connections,
) -> Result<Store, String> {
    const STORES: &str =
        "s3://BUCKET/PREFIX, sqs:URL, dynamodb:TABLE, file:///FOLDER, log or log:payload";
    match text.split_once(':').unwrap_or((text, "")) {
        ("s3", _) => place(text, connections).map(|(bucket, name)| Store::S3(bucket, name)),
        ("sqs", url) => {
            let url = parse::address(url).ok_or("sqs:URL, with a queue's URL")?;
            let queue = SqsQuarantine::new(url, large, connections.clone());
            Ok(Store::Sqs(queue, url.to_owned()))
        }
        ("dynamodb", table) => {
            let table = parse::table(table)?;
            let kept = DynamoQuarantine::new(table, large, connections.clone());
            Ok(Store::DynamoDb(kept, table.to_owned()))
        }
        ("file", path) => folder(path.strip_prefix("//").unwrap_or_default()),
        ("log", "payload") => Ok(Store::LogPayload),
        _ if text == "log" => Ok(Store::Log),
        _ => Err(STORES.to_owned()),
    }
}

/// The store in `s3://BUCKET/PREFIX`, and its name.
fn place(text: &str, connections: &Connections) -> Result<(S3Quarantine, String), String> {
    let (bucket, prefix) = bucket(text.strip_prefix("s3://").unwrap_or_default())?;
    let name = format!("{bucket}/{prefix}").trim_end_matches('/').to_owned();
    Ok((S3Quarantine::new(bucket, prefix, connections.clone()), name))
}

/// The bucket and the prefix in `BUCKET/PREFIX`.
pub fn bucket(place: &str) -> Result<(&str, &str), String> {
    let place = place.trim_end_matches('/');
    let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
    // "General purpose bucket naming rules", Amazon S3 User Guide, 2026-11: as far as a mistake is
    // likely.
    let plain =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte);
    if !(3..=63).contains(&bucket.len()) || !bucket.bytes().all(plain) {
        return Err("s3://BUCKET or s3://BUCKET/PREFIX, with the name of a bucket".to_owned());
    }
    Ok((bucket, prefix))
}

fn folder(path: &str) -> Result<Store, String> {
    if !path.starts_with('/') || path.len() < 2 {
        return Err("file:///FOLDER, with the folder's whole path".to_owned());
    }
    Folder::create(path)
        .map(Store::Folder)
        .map_err(|error| format!("file:///FOLDER, with a folder that can be written, but {error}"))
}

fn format(text: &str) -> Result<Format, String> {
    match text {
        "json" => Ok(Format::Json),
        "text" => Ok(Format::Text),
        "access-log" => Ok(Format::AccessLog),
        _ => Err("json, text or access-log".to_owned()),
    }
}

fn expand(text: &str) -> Result<Expand, String> {
    match text {
        "auto" => Ok(Expand::auto()),
        "compressed" => Ok(Expand::compressed()),
        "none" => Ok(Expand::none()),
        _ => Err("auto, compressed or none".to_owned()),
    }
}

fn on_retry(text: &str) -> Result<OnRetry, String> {
    match text {
        "stop-shard" => Ok(OnRetry::StopShard),
        "fence-key" => Ok(OnRetry::FenceKey),
        _ => Err("stop-shard or fence-key".to_owned()),
    }
}

fn on_poison(text: &str) -> Result<OnPoison, String> {
    match text {
        "skip" => Ok(OnPoison::Skip),
        "park-key" => Ok(OnPoison::ParkKey),
        "stop-shard" => Ok(OnPoison::StopShard),
        _ => Err("skip, park-key or stop-shard".to_owned()),
    }
}

fn age(text: &str) -> Result<SignedDuration, String> {
    SignedDuration::try_from(settings::duration(text)?).map_err(|error| error.to_string())
}

fn journal(path: &str) -> Result<Journal, String> {
    if !path.starts_with('/') || path.len() < 2 {
        return Err("the whole path of a folder, such as /tmp/tidegate".to_owned());
    }
    Journal::open(path).map_err(|error| format!("a folder that can be written, but {error}"))
}

fn lanes(text: &str) -> Result<NonZeroUsize, String> {
    let number = text.parse().ok().filter(|number: &NonZeroUsize| number.get() <= LANES_MAX);
    number.ok_or_else(|| format!("a whole number from 1 to {LANES_MAX}"))
}

#[cfg(test)]
mod tests;
