//! The fields of an event that are read, each as it stands in the text.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// The event source of a Kinesis stream ("Using AWS Lambda with Amazon Kinesis", AWS Lambda
/// Developer Guide, 2026-11).
const KINESIS: &str = "aws:kinesis";

/// A JSON string, borrowed where it has no escapes; anything else is absent.
pub(crate) fn text(raw: Option<&RawValue>) -> Option<Cow<'_, str>> {
    let json = raw?.get();
    let inner = json.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') {
        return serde_json::from_str(json).ok().map(Cow::Owned);
    }
    Some(Cow::Borrowed(inner))
}

/// The event's outermost object.
#[derive(serde::Deserialize)]
pub(super) struct Top<'a> {
    #[serde(borrow, rename = "Records")]
    pub(super) records: Option<List<'a>>,
    #[serde(borrow)]
    pub(super) window: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) state: Option<&'a RawValue>,
    #[serde(borrow, rename = "isFinalInvokeForWindow")]
    pub(super) is_final: Option<&'a RawValue>,
    #[serde(borrow, rename = "isWindowTerminatedEarly")]
    pub(super) terminated_early: Option<&'a RawValue>,
}

/// What stands under `Records`.
pub(super) enum List<'a> {
    Records(Vec<&'a RawValue>),
    Other(&'static str),
}

impl<'de: 'a, 'a> Deserialize<'de> for List<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ListVisitor)
    }
}

struct ListVisitor;

impl<'de> Visitor<'de> for ListVisitor {
    type Value = List<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of records")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut records = Vec::new();
        while let Some(record) = seq.next_element()? {
            records.push(record);
        }
        Ok(List::Records(records))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(List::Other("an object"))
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(List::Other("a string"))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(List::Other("a boolean"))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(List::Other("a number"))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(List::Other("a number"))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(List::Other("a number"))
    }
}

/// Declares the fields that are read of a JSON object, each as it stands in the text.
///
/// A derived type would refuse an object with a field twice; here the last one counts, and what is
/// no object at all has no fields.
macro_rules! fields {
    ($(#[$doc:meta])* $name:ident { $($field:ident: $key:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Default, Clone, Copy)]
        pub(super) struct $name<'a> {
            $(pub(super) $field: Option<&'a RawValue>,)*
        }

        impl<'a> $name<'a> {
            pub(super) fn of(json: &'a str) -> Self {
                serde_json::from_str(json).unwrap_or_default()
            }
        }

        impl<'de: 'a, 'a> Deserialize<'de> for $name<'a> {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Object;

                impl<'de> Visitor<'de> for Object {
                    type Value = $name<'de>;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("an object")
                    }

                    fn visit_map<A: MapAccess<'de>>(
                        self,
                        mut map: A,
                    ) -> Result<Self::Value, A::Error> {
                        let mut found = $name::default();
                        while let Some(Key(key)) = map.next_key()? {
                            match &*key {
                                $($key => found.$field = Some(map.next_value()?),)*
                                _ => {
                                    map.next_value::<IgnoredAny>()?;
                                }
                            }
                        }
                        Ok(found)
                    }
                }

                deserializer.deserialize_map(Object)
            }
        }
    };
}

fields! {
    /// The record around the payload.
    Fields {
        kinesis: "kinesis",
        event_id: "eventID",
        event_source: "eventSource",
        source_arn: "eventSourceARN",
        redriven: "tidegate",
    }
}

fields! {
    /// The record as the stream knows it.
    Kinesis {
        sequence_number: "sequenceNumber",
        partition_key: "partitionKey",
        data: "data",
        arrival: "approximateArrivalTimestamp",
    }
}

impl Fields<'_> {
    pub(super) fn is_kinesis(&self) -> bool {
        self.kinesis.is_some_and(|raw| raw.get().starts_with('{'))
            || text(self.event_source).is_some_and(|source| source == KINESIS)
    }
}

/// The name of a field, borrowed where it has no escapes.
#[derive(serde::Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);
