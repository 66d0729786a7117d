//! What is not delivered twice.

use serde_json::Value;
use tidegate_consumer::{Dedupe, Recent, Record};
use tidegate_runtime::settings::Settings;

const DEDUPE: &str = "TIDEGATE_DEDUPE";
const DEDUPE_KEY: &str = "TIDEGATE_DEDUPE_KEY";

/// Records that are remembered in memory: at a hundred bytes each, ten megabytes.
const REMEMBERED: usize = 100_000;

/// Reads the settings.
pub fn read(settings: &mut Settings<'_>) -> Option<Dedupe> {
    let chosen = settings.optional(DEDUPE, store);
    let pointer = settings.optional(DEDUPE_KEY, pointer);
    match (chosen, pointer) {
        (None, Some(_)) => {
            settings
                .reject(DEDUPE_KEY, "nothing without TIDEGATE_DEDUPE, which says who remembers");
            None
        }
        (chosen, None) => chosen.map(|()| Dedupe::by_delivery(Recent::new(REMEMBERED))),
        (Some(()), Some(pointer)) => {
            let key = move |payload: &[u8], _: &Record<'_>| text_at(payload, &pointer);
            Some(Dedupe::by_key(Recent::new(REMEMBERED), key))
        }
    }
}

fn store(text: &str) -> Result<(), String> {
    if text == "memory" { Ok(()) } else { Err("memory".to_owned()) }
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
