//! Batches of Kinesis records: JSON records of about 500 bytes, alone or in KPL aggregates.

use std::fmt::Write as _;

use anyhow::ensure;
use tidegate_kpl::{Aggregator, PARTITION_KEY};

use crate::dice::Dice;

/// Records of the JSON batch: 6 MB of event, the most that Lambda hands over.
pub const RECORDS: usize = 4_923;

/// User records of the batch of aggregates: 4.3 MB of them.
pub const USER_RECORDS: usize = 8_500;

/// What the Kinesis Producer Library fills an aggregate up to by default.
const AGGREGATE_BYTES: usize = 51_200;

/// Customers, whose numbers are the partition keys.
const CUSTOMERS: u64 = 2_000;

/// An event with one JSON record each.
pub fn json(records: usize) -> Vec<u8> {
    let mut dice = Dice(3);
    let records: Vec<_> = (0..records).map(|number| order(number, &mut dice)).collect();
    event(records.iter().map(|(key, data)| (key.as_str(), data.as_bytes())))
}

/// An event with as many records in aggregates.
///
/// # Errors
/// When a record does not go into an aggregate.
pub fn aggregates(records: usize) -> anyhow::Result<Vec<u8>> {
    let mut dice = Dice(5);
    let mut aggregator = Aggregator::new(AGGREGATE_BYTES);
    let mut full = Vec::new();
    for number in 0..records {
        let (key, data) = order(number, &mut dice);
        if aggregator.push(&key, None, data.as_bytes()).is_err() {
            full.extend(aggregator.take());
            ensure!(aggregator.push(&key, None, data.as_bytes()).is_ok(), "a record is too large");
        }
    }
    full.extend(aggregator.take());
    Ok(event(full.iter().map(|full| (PARTITION_KEY, &full.data[..]))))
}

/// The event that Lambda makes of records.
fn event<'r>(records: impl Iterator<Item = (&'r str, &'r [u8])>) -> Vec<u8> {
    let mut out = String::from("{\"Records\":[");
    for (number, (key, data)) in records.enumerate() {
        if number > 0 {
            out.push(',');
        }
        let sequence = format!("49590338271490256608559{number:033}");
        let data = base64_simd::STANDARD.encode_to_string(data);
        let at = 1_763_683_200 + number / 100;
        // A string takes whatever is written to it.
        let _ = write!(
            out,
            "{{\"kinesis\":{{\"kinesisSchemaVersion\":\"1.0\",\"partitionKey\":\"{key}\",\
             \"sequenceNumber\":\"{sequence}\",\"data\":\"{data}\",\
             \"approximateArrivalTimestamp\":{at}.{:03}}},\"eventSource\":\"aws:kinesis\",\
             \"eventVersion\":\"1.0\",\"eventID\":\"shardId-000000000006:{sequence}\",\
             \"eventName\":\"aws:kinesis:record\",\
             \"invokeIdentityArn\":\"arn:aws:iam::123456789012:role/lambda-role\",\
             \"awsRegion\":\"eu-west-1\",\"eventSourceARN\":\
             \"arn:aws:kinesis:eu-west-1:123456789012:stream/orders\"}}",
            1 + number % 999,
        );
    }
    out.push_str("]}");
    out.into_bytes()
}

/// A partition key and an order of about 500 bytes.
fn order(number: usize, dice: &mut Dice) -> (String, String) {
    let customer = format!("customer-{:05}", dice.below(CUSTOMERS));
    let mut lines = String::new();
    let mut total = 0;
    for _ in 0..3 {
        let (quantity, price) = (1 + dice.below(9), 99 + dice.below(20_000));
        total += quantity * price;
        let _ = write!(
            lines,
            "{}{{\"sku\":\"SKU-{:08}\",\"quantity\":{quantity},\"price_cents\":{price}}}",
            if lines.is_empty() { "" } else { "," },
            dice.below(100_000_000),
        );
    }
    let city = dice.one(&["Göteborg", "Hamburg", "Lyon", "Porto", "Kraków", "Athens"]);
    let data = format!(
        "{{\"order_id\":\"7f9c2ba4-e88f-4e2a-9d7b-{number:012}\",\"customer\":\"{customer}\",\
         \"kind\":\"order_placed\",\"placed_at\":\"2025-11-21T09:{:02}:{:02}.{:03}Z\",\
         \"currency\":\"EUR\",\"total_cents\":{total},\"lines\":[{lines}],\
         \"ship_to\":{{\"city\":\"{city}\",\"country\":\"SE\",\"postcode\":\"{:05}\"}},\
         \"agent\":\"Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0\"}}",
        dice.below(60),
        dice.below(60),
        dice.below(1_000),
        dice.below(100_000),
    );
    (customer, data)
}
