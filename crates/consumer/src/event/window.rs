//! Tumbling windows: what the event says of the one that its batch belongs to.

use jiff::Timestamp;
use serde_json::value::RawValue;

use super::fields::{Top, text};

/// The tumbling window of a batch ("Using tumbling windows", AWS Lambda Developer Guide, 2026-11).
#[derive(Debug, Clone, Copy)]
pub struct Window<'a> {
    /// When it begins, where the event says so.
    pub start: Option<Timestamp>,
    /// When it ends, where the event says so.
    pub end: Option<Timestamp>,
    /// What the invocation before this one answered as the state, as JSON; `{}` at the first.
    pub state: &'a str,
    /// Whether this is the last invocation of the window. It may have no records.
    pub is_final: bool,
    /// Whether the window ends before its time, because its state grew above 1 MB.
    pub terminated_early: bool,
}

impl<'a> Window<'a> {
    pub(super) fn of(top: &Top<'a>) -> Option<Self> {
        #[derive(serde::Deserialize, Default)]
        struct Bounds<'w> {
            #[serde(borrow)]
            start: Option<&'w RawValue>,
            #[serde(borrow)]
            end: Option<&'w RawValue>,
        }

        let Bounds { start, end } = serde_json::from_str(top.window?.get()).unwrap_or_default();
        let time = |raw| text(raw)?.parse().ok();
        let is = |raw: Option<&RawValue>| raw.is_some_and(|raw| raw.get() == "true");
        Some(Self {
            start: time(start),
            end: time(end),
            state: top.state.map_or("{}", RawValue::get),
            is_final: is(top.is_final),
            terminated_early: is(top.terminated_early),
        })
    }
}
