//! What a redrive says beside a record, since an event has no place of its own for it.

use serde::Deserialize;
use serde_json::value::RawValue;

/// The field `tidegate` of an event's entry: whoever calls the function with a record out of
/// quarantine says with it what the envelope knew and an event cannot say.
///
/// With it, a user record of an aggregate keeps its identity though it comes alone, and an envelope
/// that is written again counts on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Redriven {
    /// The place in the aggregate, or in the envelope of log events.
    pub(super) sub_sequence_number: Option<u64>,
    /// In decimal.
    #[serde(deserialize_with = "decimal")]
    pub(super) explicit_hash_key: Option<u128>,
    /// How often the record was sent back, this time included.
    pub(super) redrive_count: u32,
}

impl Redriven {
    /// What cannot be read says nothing.
    pub(super) fn of(raw: &RawValue) -> Option<Self> {
        serde_json::from_str(raw.get()).ok()
    }
}

fn decimal<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<u128>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    Ok(text.and_then(|text| text.parse().ok()))
}
