//! What is taken from an entry of a database of networks.

use maxminddb::{LookupResult, MaxMindDbError};
use serde::Deserialize;

use super::Entry;
use crate::value::{Kind, Value};

/// A network: the autonomous system that announces it.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Network {
    number: Option<u32>,
    organization: Option<Box<str>>,
}

/// As much of the layout of ASN and ISP entries as is used, borrowed.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Layout<'a> {
    autonomous_system_number: Option<u32>,
    autonomous_system_organization: Option<&'a str>,
}

impl Entry for Network {
    const FIELDS: &'static [(&'static str, Kind)] =
        &[("asn_number", Kind::Integer), ("asn_organization", Kind::Text)];

    fn read<S: AsRef<[u8]>>(found: &LookupResult<'_, S>) -> Result<Self, MaxMindDbError> {
        let entry = found.decode::<Layout<'_>>()?.unwrap_or_default();
        Ok(Self {
            number: entry.autonomous_system_number,
            organization: entry.autonomous_system_organization.map(Box::from),
        })
    }

    fn values(&self) -> impl Iterator<Item = Value<'_>> {
        let number = self.number.map_or(Value::Null, |number| Value::Integer(i64::from(number)));
        [number, self.organization.as_deref().map_or(Value::Null, Value::Text)].into_iter()
    }
}
