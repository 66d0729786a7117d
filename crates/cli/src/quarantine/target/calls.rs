//! A batch for a function: called again for what it did not settle, until that is settled, or
//! stands alone and is left.

use std::collections::HashSet;
use std::thread::sleep;
use std::time::Duration;

use serde_json::Value;
use tidegate_consumer::envelope::Envelope;

use super::Fate;
use crate::quarantine::event::event;

/// Calls without any progress, until the record at the head is left.
const ATTEMPTS: u32 = 3;

/// The wait before the second of them; it doubles.
const FIRST_WAIT: Duration = Duration::from_millis(200);

/// How a call ended.
pub enum Answer {
    /// With a response.
    Response(Vec<u8>),
    /// With an error of the function: what it said.
    Failed(String),
}

/// A function that can be called.
pub trait Call {
    /// Calls it once, as the function of this ARN.
    ///
    /// # Errors
    /// When it cannot be called at all.
    fn call(&mut self, event: &[u8], function_arn: &str) -> anyhow::Result<Answer>;
}

/// Calls the function with a batch, as an event source mapping does that reports partial failures
/// and halves a batch that fails as a whole.
pub fn deliver(function: &mut dyn Call, batch: &[Envelope]) -> anyhow::Result<Vec<Fate>> {
    let mut fates = vec![Fate::Taken; batch.len()];
    let mut blocked = HashSet::new();
    let mut begin = 0;
    let mut attempts = 0;
    while begin < batch.len() {
        let rest: Vec<_> = (begin..batch.len())
            .filter(|place| {
                let key = batch[*place].partition_key.as_deref();
                !key.is_some_and(|key| blocked.contains(key))
            })
            .collect();
        for place in (begin..batch.len()).filter(|place| !rest.contains(place)) {
            fates[place] = Fate::Left("behind one of its key that is left".to_owned());
        }
        let (Some(first), Some(head)) = (rest.first(), rest.first().map(|place| &batch[*place]))
        else {
            break;
        };
        let envelopes: Vec<_> = rest.iter().map(|place| batch[*place].clone()).collect();
        let (settled, why) = match function.call(&event(&envelopes), &head.function_arn)? {
            Answer::Response(response) => match first_unsettled(&response, &envelopes) {
                Ok(None) => break,
                Ok(Some(place)) => (place, "the function asks for it again".to_owned()),
                Err(why) => (0, why),
            },
            Answer::Failed(why) => {
                if rest.len() > 1 && attempts + 1 >= ATTEMPTS {
                    let halves = halves(function, &envelopes)?;
                    for (place, fate) in rest.into_iter().zip(halves) {
                        fates[place] = fate;
                    }
                    return Ok(fates);
                }
                (0, why)
            }
        };
        if settled > 0 {
            begin = rest[settled];
            attempts = 0;
            continue;
        }
        attempts += 1;
        if attempts < ATTEMPTS {
            sleep(FIRST_WAIT * 2_u32.pow(attempts - 1));
            continue;
        }
        fates[*first] = Fate::Left(why);
        blocked.extend(head.partition_key.as_deref());
        begin = first + 1;
        attempts = 0;
    }
    Ok(fates)
}

/// Each half alone; what is of a key that the first half left is left in the second.
fn halves(function: &mut dyn Call, batch: &[Envelope]) -> anyhow::Result<Vec<Fate>> {
    let (first, second) = batch.split_at(batch.len() / 2);
    let mut fates = deliver(function, first)?;
    let left: HashSet<_> = first
        .iter()
        .zip(&fates)
        .filter(|(_, fate)| matches!(fate, Fate::Left(_)))
        .filter_map(|(envelope, _)| envelope.partition_key.clone())
        .collect();
    let is_free =
        |envelope: &&Envelope| !envelope.partition_key.as_ref().is_some_and(|k| left.contains(k));
    let free: Vec<_> = second.iter().filter(is_free).cloned().collect();
    let mut of_free = deliver(function, &free)?.into_iter();
    fates.extend(second.iter().map(|envelope| {
        let behind = || Fate::Left("behind one of its key that is left".to_owned());
        if is_free(&envelope) { of_free.next().unwrap_or_else(behind) } else { behind() }
    }));
    Ok(fates)
}

/// The place of the first record that a response names, as Lambda reads it ("Reporting batch item
/// failures", AWS Lambda Developer Guide, 2026-11): an empty list or none is a success, and a name
/// that is no record of the batch fails all of it.
fn first_unsettled(response: &[u8], batch: &[Envelope]) -> Result<Option<usize>, String> {
    let response: Value = serde_json::from_slice(response).unwrap_or_default();
    let failures = response["batchItemFailures"].as_array().map(Vec::as_slice).unwrap_or_default();
    let place = |failure: &Value| {
        let number = failure["itemIdentifier"].as_str()?;
        batch.iter().position(|envelope| envelope.sequence_number.as_deref() == Some(number))
    };
    let places: Option<Vec<_>> = failures.iter().map(place).collect();
    match places {
        Some(places) => Ok(places.into_iter().min()),
        None => Err("the response names a record that is none of the batch".to_owned()),
    }
}
