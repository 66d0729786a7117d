//! Where the records of a request came from. That is read only when some of them go back.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::reingest::{Overflow, Source};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    #[serde(borrow, default)]
    delivery_stream_arn: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    source_kinesis_stream_arn: Option<Cow<'a, str>>,
    #[serde(borrow)]
    records: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record<'a> {
    #[serde(borrow, default)]
    kinesis_record_metadata: Option<Kinesis<'a>>,
    #[serde(borrow, default)]
    msk_record_metadata: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kinesis<'a> {
    #[serde(borrow)]
    partition_key: Cow<'a, str>,
}

/// Says where the overflow of a request goes back to: nowhere when the request does not tell, and
/// then all of it stays failed.
pub(crate) fn origin(event: &[u8], overflow: &mut Overflow) {
    overflow.source = find(event, overflow);
}

fn find(event: &[u8], overflow: &mut Overflow) -> Option<Source> {
    let request: Request<'_> = serde_json::from_slice(event).ok()?;
    let from_stream = request.source_kinesis_stream_arn.is_some();
    for surplus in &mut overflow.surplus {
        let record: Record<'_> =
            serde_json::from_str(request.records.get(surplus.index)?.get()).ok()?;
        // A topic of Kafka takes nothing back.
        if record.msk_record_metadata.is_some() {
            return None;
        }
        if from_stream {
            let key = record.kinesis_record_metadata?.partition_key;
            surplus.parts.iter_mut().for_each(|part| part.key = Some(key.to_string()));
        }
    }
    if let Some(arn) = request.source_kinesis_stream_arn {
        return Some(Source::Stream(arn.into_owned()));
    }
    let arn = request.delivery_stream_arn?;
    arn.split_once(":deliverystream/").map(|(_, name)| Source::Delivery(name.to_owned()))
}
