//! VPC flow logs ("Flow log records", Amazon VPC User Guide, 2026-11), with AWS's own names; a
//! hyphen in a name becomes `_`.

use super::table::count;
use super::{Read, failed};
use crate::moment::Moment;
use crate::outcome::{Outcome, Reason};
use crate::record::Record;
use crate::scope::Field;
use crate::value::{Kind, Value};

/// The fields of the default format, version 2.
const DEFAULT: &[&str] = &[
    "version",
    "account_id",
    "interface_id",
    "srcaddr",
    "dstaddr",
    "srcport",
    "dstport",
    "protocol",
    "packets",
    "bytes",
    "start",
    "end",
    "action",
    "log_status",
];

/// Fields of any version that are numbers; `start` and `end` are times, all others are text.
const NUMBERS: &[&str] = &[
    "version",
    "srcport",
    "dstport",
    "protocol",
    "packets",
    "bytes",
    "tcp_flags",
    "traffic_path",
    "packets_lost_no_route",
    "packets_lost_blackhole",
    "packets_lost_mtu_exceeded",
    "packets_lost_ttl_expired",
];

/// A field as the documentation names it, or with `_` for its hyphens.
pub(crate) fn field(name: &str) -> Field {
    let name = name.trim_start_matches("${").trim_end_matches('}').replace('-', "_");
    let kind = match name.as_str() {
        "start" | "end" => Kind::Timestamp,
        name if NUMBERS.contains(&name) => Kind::Integer,
        _ => Kind::Text,
    };
    Field { name, kind, rare: false }
}

pub(super) fn default_fields() -> Vec<Field> {
    DEFAULT.iter().map(|name| field(name)).collect()
}

/// The input.
#[derive(Debug)]
pub(crate) struct VpcFlow {
    columns: Vec<(String, usize, Kind)>,
}

impl VpcFlow {
    pub(crate) fn new(columns: Vec<(String, usize, Kind)>) -> Self {
        Self { columns }
    }

    pub(super) fn read<'r>(&'r self, line: &'r str, record: &mut Record<'r>) -> Read {
        let header = line.split(' ').zip(&self.columns).all(|(word, (name, ..))| {
            word.len() == name.len()
                && word.bytes().zip(name.bytes()).all(|(a, b)| a == b || a == b'-' && b == b'_')
        });
        if header {
            return Err(Outcome::Dropped(Reason::Header));
        }
        let mut words = 0;
        for word in line.split(' ') {
            if let Some((_, slot, kind)) = self.columns.get(words) {
                record.values[*slot] = value(*kind, word)?;
            }
            words += 1;
        }
        count(self.columns.len(), words)
    }
}

fn value(kind: Kind, word: &str) -> Result<Value<'_>, Outcome> {
    let value = match kind {
        _ if word == "-" => Some(Value::Null),
        Kind::Timestamp => word.parse().ok().and_then(Moment::from_secs).map(Value::Time),
        kind => kind.read(word),
    };
    value.ok_or(failed(if kind == Kind::Timestamp { Reason::BadTime } else { Reason::BadField }))
}
