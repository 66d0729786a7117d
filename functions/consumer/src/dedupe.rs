//! What is not delivered twice.

use std::time::Duration;

use serde_json::Value;
use tidegate_aws::call::Connections;
use tidegate_aws::seen::DynamoSeen;
use tidegate_consumer::{Dedupe, Recent, Record, SeenStore};
use tidegate_runtime::settings::{Settings, duration};

use crate::sink::parse;

const DEDUPE: &str = "TIDEGATE_DEDUPE";
const DEDUPE_FOR: &str = "TIDEGATE_DEDUPE_FOR";
const DEDUPE_KEY: &str = "TIDEGATE_DEDUPE_KEY";

/// Records that are remembered in memory: at a hundred bytes each, ten megabytes.
const REMEMBERED: usize = 100_000;

/// As long as a stream keeps a record, where nothing else was chosen: no longer can it come again.
const REMEMBERED_FOR: Duration = Duration::from_secs(24 * 3_600);

/// What is not delivered twice, and what the setting says of it.
#[derive(Debug)]
pub struct Chosen {
    /// What does the work.
    pub dedupe: Dedupe,
    /// Who remembers, as the setting names it.
    pub name: String,
}

/// Who remembers.
enum Memory {
    Process,
    Table(String),
}

/// Reads the settings.
pub fn read(settings: &mut Settings<'_>, connections: &Connections) -> Option<Chosen> {
    let memory = settings.optional(DEDUPE, memory);
    let remembered = settings.optional(DEDUPE_FOR, duration);
    let pointer = settings.optional(DEDUPE_KEY, pointer);
    if memory.is_none() && pointer.is_some() {
        settings.reject(DEDUPE_KEY, "nothing without TIDEGATE_DEDUPE, which says who remembers");
    }
    if !matches!(memory, Some(Memory::Table(_))) && remembered.is_some() {
        settings.reject(DEDUPE_FOR, "nothing without TIDEGATE_DEDUPE=dynamodb:TABLE");
    }
    Some(match memory? {
        Memory::Process => {
            Chosen { dedupe: by(Recent::new(REMEMBERED), pointer), name: "memory".to_owned() }
        }
        Memory::Table(table) => {
            let name = format!("dynamodb:{table}");
            let remembered = remembered.unwrap_or(REMEMBERED_FOR);
            let table = DynamoSeen::new(table, remembered, connections.clone());
            Chosen { dedupe: by(table, pointer), name }
        }
    })
}

fn by(store: impl SeenStore + 'static, pointer: Option<String>) -> Dedupe {
    match pointer {
        None => Dedupe::by_delivery(store),
        Some(pointer) => {
            let key = move |payload: &[u8], _: &Record<'_>| text_at(payload, &pointer);
            Dedupe::by_key(store, key)
        }
    }
}

fn memory(text: &str) -> Result<Memory, String> {
    match text.split_once(':') {
        None if text == "memory" => Ok(Memory::Process),
        Some(("dynamodb", table)) => Ok(Memory::Table(parse::table(table)?.to_owned())),
        _ => Err("memory or dynamodb:TABLE".to_owned()),
    }
}

fn pointer(text: &str) -> Result<String, String> {
    let expected = "a JSON pointer (RFC 6901) to the key, such as /order/id";
    text.starts_with('/').then(|| text.to_owned()).ok_or_else(|| expected.to_owned())
}

/// The text, number or truth value at a place of a JSON payload. A key is what the producer wrote:
/// `7` and `"7"` are two.
fn text_at(payload: &[u8], pointer: &str) -> Option<String> {
    let document: Value = serde_json::from_slice(payload).ok()?;
    let value = document.pointer(pointer)?;
    (value.is_string() || value.is_number() || value.is_boolean()).then(|| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_in_payloads() {
        let cases: &[(&[u8], Option<&str>)] = &[
            (br#"{"order":{"id":7}}"#, Some("7")),
            (br#"{"order":{"id":"7"}}"#, Some("\"7\"")),
            (br#"{"order":{"id":null}}"#, None),
            (br#"{"order":{"id":[1]}}"#, None),
            (br#"{"order":7}"#, None),
            (b"hello", None),
        ];
        for (payload, expected) in cases {
            assert_eq!(text_at(payload, "/order/id").as_deref(), *expected);
        }
    }
}
