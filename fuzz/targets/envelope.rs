//! Quarantined envelopes: what is read is written and read again as the same, and its key is a plain
//! path.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate_consumer::Envelope;

fuzz_target!(|text: &[u8]| {
    let Ok(envelope) = serde_json::from_slice::<Envelope>(text) else { return };
    let written = serde_json::to_vec(&envelope).expect("an envelope is JSON");
    let read: Envelope = serde_json::from_slice(&written).expect("what was written is read");
    assert_eq!(read, envelope);
    let _ = envelope.payload_bytes();
    let key = envelope.key();
    let parts: Vec<_> = key.split('/').collect();
    assert_eq!(parts.len(), 4, "{key}");
    for part in parts {
        let plain =
            part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-%~=".contains(&byte));
        assert!(plain && part.len() <= 255, "{key}");
    }
});
