//! Where an envelope is kept.

use sha2::{Digest, Sha256};

use super::{Envelope, hex};

/// The key of an envelope.
pub(super) fn of(envelope: &Envelope) -> String {
    let part = |text: Option<&str>| text.map_or_else(|| "~unknown".to_owned(), component);
    let file = match envelope.sequence_number.as_deref() {
        Some(number) if is_canonical(number) => component(&format!("{number:0>56}")),
        Some(other) => format!("~text-{}", component(other)),
        None => format!("~sha256-{}", component(&envelope.sha256)),
    };
    // A place in an aggregate has seven digits at most: more entries do not fit a record.
    let place = envelope.sub_sequence_number.map(|place| format!("-{place:0>7}"));
    let place = place.unwrap_or_default();
    let times = match envelope.redrive_count {
        0 => String::new(),
        count => format!(".r{count}"),
    };
    format!(
        "function={}/stream={}/shard={}/{file}{place}{times}.json",
        part(function_name(&envelope.function_arn)),
        part(envelope.stream_arn.as_deref().map(stream_name)),
        part(envelope.shard_id.as_deref()),
    )
}

/// A sequence number as Kinesis writes it: `0|([1-9]\d{0,128})` (Kinesis API, PutRecordOutput,
/// 2026-11).
fn is_canonical(number: &str) -> bool {
    let digits = number.bytes().all(|byte| byte.is_ascii_digit());
    digits && (1..=129).contains(&number.len()) && (number == "0" || !number.starts_with('0'))
}

/// The name in `arn:aws:lambda:REGION:ACCOUNT:function:NAME[:QUALIFIER]`.
pub fn function_name(arn: &str) -> Option<&str> {
    arn.split(':').nth(6).filter(|name| !name.is_empty())
}

/// The name in `arn:aws:kinesis:REGION:ACCOUNT:stream/NAME`, or the whole where it is none.
pub(crate) fn stream_name(arn: &str) -> &str {
    arn.split_once(":stream/").map_or(arn, |(_, name)| name)
}

/// One path component that says the text and nothing else. Different texts give different ones.
fn component(text: &str) -> String {
    // A file name has at most 255 bytes on the usual file systems.
    const BYTES_MAX: usize = 160;
    let mut safe = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'_' | b'-' => {
                safe.push(char::from(byte));
            }
            _ => safe.push_str(&format!("%{byte:02X}")),
        }
    }
    if safe.len() <= BYTES_MAX {
        return safe;
    }
    safe.truncate(48);
    format!("{safe}~{}", hex(&Sha256::digest(text)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::{FUNCTION, STREAM, envelope};
    use super::*;

    #[test]
    fn keys_say_who_gave_up_what() {
        let key =
            |function: &str, stream: Option<&str>, shard: Option<&str>, number: Option<&str>| {
                Envelope {
                    function_arn: function.to_owned(),
                    stream_arn: stream.map(ToOwned::to_owned),
                    shard_id: shard.map(ToOwned::to_owned),
                    sequence_number: number.map(ToOwned::to_owned),
                    ..envelope()
                }
                .key()
            };
        let number = "9671204518332917460021547783091186407255318862014513154";
        assert_eq!(
            key(FUNCTION, Some(STREAM), Some("shardId-000000000006"), Some(number)),
            format!("function=bill/stream=orders/shard=shardId-000000000006/0{number}.json")
        );
        assert_eq!(
            key("", None, None, None),
            "function=~unknown/stream=~unknown/shard=~unknown/~sha256-8f43.json"
        );
        assert_eq!(
            key(FUNCTION, Some(STREAM), Some("../../etc/x"), Some("007")),
            "function=bill/stream=orders/shard=..%2F..%2Fetc%2Fx/~text-007.json"
        );
        let of_aggregate = Envelope { sub_sequence_number: Some(17), ..envelope() }.key();
        let zeros = "0".repeat(52);
        assert_eq!(
            of_aggregate,
            format!(
                "function=bill/stream=orders/shard=shardId-000000000006/{zeros}4959-0000017.json"
            )
        );
        let again = Envelope { redrive_count: 2, ..envelope() }.key();
        assert!(again.ends_with(&format!("/{zeros}4959.r2.json")), "{again}");
        let long = key(FUNCTION, Some("s"), Some("x"), Some(&"/".repeat(10_000)));
        assert!(long.len() < 255, "{long}");
    }

    /// What events could be made to say.
    fn hostile() -> impl Strategy<Value = String> {
        prop_oneof![
            any::<String>(),
            "[./\\\\%~0-9a-c]{0,8}",
            "0{0,57}[0-9]{0,3}",
            (150_usize..170).prop_map(|length| "a".repeat(length)),
        ]
    }

    proptest! {
        #[test]
        fn a_key_is_a_plain_path_whatever_the_event_says(
            arn in hostile(), shard in hostile(), number in hostile(),
        ) {
            let envelope = Envelope {
                stream_arn: Some(arn),
                shard_id: Some(shard),
                sequence_number: Some(number),
                ..envelope()
            };
            let key = envelope.key();
            prop_assert_eq!(key.split('/').count(), 4);
            for part in key.split('/') {
                prop_assert!(part.len() <= 255, "{}", part);
                prop_assert!(part.contains('=') || part.ends_with(".json"), "{}", part);
                prop_assert!(
                    part.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-%~=".contains(&b)),
                    "{}", part
                );
            }
        }

        #[test]
        fn different_records_have_different_keys(a in hostile(), b in hostile()) {
            let key = |shard: &str, number: &str| Envelope {
                shard_id: Some(shard.to_owned()),
                sequence_number: Some(number.to_owned()),
                ..envelope()
            }.key();
            prop_assert_eq!(a == b, key("s", &a) == key("s", &b));
            prop_assert_eq!(a == b, key(&a, "1") == key(&b, "1"));
        }
    }
}
