//! A consumer of Kinesis batches, as one writes it with `aws_lambda_events` and `serde_json`,
//! and which takes aggregates apart with `prost`.

use aws_lambda_events::kinesis::KinesisEvent;
use aws_lambda_events::streams::{KinesisBatchItemFailure, KinesisEventResponse};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use md5::{Digest, Md5};
use prost::Message;
use serde::Deserialize;

/// What a record holds.
#[derive(Deserialize)]
#[expect(dead_code, reason = "only read into")]
struct Order {
    order_id: String,
    customer: String,
    kind: String,
    placed_at: String,
    currency: String,
    total_cents: u64,
    lines: Vec<Line>,
    ship_to: Address,
    agent: String,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "only read into")]
struct Line {
    sku: String,
    quantity: u32,
    price_cents: u64,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "only read into")]
struct Address {
    city: String,
    country: String,
    postcode: String,
}

const MAGIC: [u8; 4] = [0xf3, 0x89, 0x9a, 0xc2];
const DIGEST: usize = 16;

#[derive(Message)]
struct Aggregated {
    #[prost(string, repeated, tag = "1")]
    partition_keys: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    explicit_hash_keys: Vec<String>,
    #[prost(message, repeated, tag = "3")]
    records: Vec<UserRecord>,
}

#[derive(Message)]
struct UserRecord {
    #[prost(uint64, tag = "1")]
    partition_key: u64,
    #[prost(uint64, optional, tag = "2")]
    explicit_hash_key: Option<u64>,
    #[prost(bytes = "vec", tag = "3")]
    data: Vec<u8>,
}

/// The user records of an aggregate; `None` for what is none.
fn aggregate(data: &[u8]) -> Option<Aggregated> {
    let body = data.strip_prefix(&MAGIC)?;
    let (body, digest) = body.split_at_checked(body.len().checked_sub(DIGEST)?)?;
    (Md5::digest(body)[..] == *digest).then(|| Aggregated::decode(body).ok()).flatten()
}

fn handle(data: &[u8], total: &mut u64) -> Result<(), serde_json::Error> {
    let order: Order = serde_json::from_slice(data)?;
    *total += order.total_cents;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    lambda_runtime::run(service_fn(async |event: LambdaEvent<KinesisEvent>| {
        let mut response = KinesisEventResponse::default();
        let mut total = 0;
        for record in &event.payload.records {
            let data = &record.kinesis.data.0;
            let handled = match aggregate(data) {
                Some(found) => {
                    found.records.iter().try_for_each(|user| handle(&user.data, &mut total))
                }
                None => handle(data, &mut total),
            };
            if handled.is_err() {
                let mut failure = KinesisBatchItemFailure::default();
                failure.item_identifier = Some(record.kinesis.sequence_number.clone());
                response.batch_item_failures.push(failure);
                break;
            }
        }
        std::hint::black_box(total);
        Ok::<_, Error>(response)
    }))
    .await
}
