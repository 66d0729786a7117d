//! What is written of a record: a line of JSON, the keys of its partition, its table.

mod key;

use std::ops::Range;

use self::key::Key;
use crate::json;
use crate::moment::LastMinute;
use crate::record::Record;
use crate::scope::Known;
use crate::template::Template;
use crate::value::Value;

/// One field of the output.
#[derive(Debug)]
pub(crate) struct Member {
    slot: usize,
    key: Key,
}

/// The output of a pipeline.
#[derive(Debug, Default)]
pub(crate) struct Output {
    pub(crate) members: Vec<Member>,
    /// The first of the members that a step has written ahead, and how many they are.
    pub(crate) written: (usize, usize),
    pub(crate) newline: bool,
    pub(crate) partition_keys: Vec<(String, Template)>,
    pub(crate) iceberg: Vec<(&'static str, Template)>,
    minute: LastMinute,
}

impl Output {
    /// Fixes the fields and their order.
    pub(crate) fn fields(&mut self, known: &[Known]) {
        let member = |known: &Known| Member { slot: known.slot, key: Key::new(&known.field.name) };
        self.members = known.iter().map(member).collect();
    }

    /// Takes the fields in these slots as a step has written them, if they stand together: the keys
    /// that it has to write.
    pub(crate) fn take_written(&mut self, slots: &[usize]) -> Option<Vec<Box<[u8]>>> {
        let first = self.members.iter().position(|member| Some(&member.slot) == slots.first())?;
        let members = self.members.get(first..first + slots.len())?;
        if !members.iter().map(|member| &member.slot).eq(slots) {
            return None;
        }
        self.written = (first, slots.len());
        Some(members.iter().map(|member| member.key.bytes().into()).collect())
    }

    /// Appends the record as one JSON object.
    pub(crate) fn write(&mut self, record: &Record<'_>, out: &mut Vec<u8>) {
        let start = out.len();
        match record.written {
            Some(written) => {
                let (first, count) = self.written;
                self.write_members(0..first, record, out);
                out.extend_from_slice(written);
                self.write_members(first + count..self.members.len(), record, out);
            }
            None => self.write_members(0..self.members.len(), record, out),
        }
        for (name, value) in &record.others {
            out.push(b',');
            json::string(out, name);
            out.push(b':');
            value.write(out);
        }
        // The comma before the first field is where the object begins.
        match out.get_mut(start) {
            Some(comma) => *comma = b'{',
            None => out.push(b'{'),
        }
        out.push(b'}');
    }

    /// Appends some of the fields, each with a comma before it.
    fn write_members(&mut self, which: Range<usize>, record: &Record<'_>, out: &mut Vec<u8>) {
        let Self { members, minute, .. } = self;
        for Member { slot, key } in members.get(which).unwrap_or_default() {
            let value = &record.values[*slot];
            let plain = match value {
                Value::Null => continue,
                Value::Logged(text) => text.as_plain(),
                Value::Text(text) if json::is_plain(text.as_bytes()) => Some(*text),
                _ => None,
            };
            if let Some(text) = plain {
                key.plain(text, out);
                continue;
            }
            match value {
                Value::Integer(value) if let Some(digits) = json::few_digits(*value) => {
                    key.short(digits, out);
                }
                Value::Time(moment) if let Some(text) = moment.quoted(minute) => {
                    key.short((text, text.len()), out);
                }
                value => {
                    out.extend_from_slice(key.bytes());
                    value.write(out);
                }
            }
        }
    }

    /// Whether there is more than a row.
    pub(crate) fn has_metadata(&self) -> bool {
        !(self.partition_keys.is_empty() && self.iceberg.is_empty())
    }

    /// Appends the record's metadata as JSON, without what is empty; `false` when a field that it
    /// needs is absent.
    pub(crate) fn metadata(&self, record: &Record<'_>, out: &mut Vec<u8>) -> bool {
        if !self.has_metadata() {
            return true;
        }
        let groups = [
            ("partitionKeys", self.partition_keys.iter().map(|(k, t)| (k.as_str(), t)).collect()),
            ("otfMetadata", self.iceberg.iter().map(|(k, t)| (*k, t)).collect::<Vec<_>>()),
        ];
        let mut open = b'{';
        for (name, templates) in groups {
            if templates.is_empty() {
                continue;
            }
            out.push(std::mem::replace(&mut open, b','));
            crate::json::string(out, name);
            out.push(b':');
            let mut open = b'{';
            for (key, template) in templates {
                let Some(text) = template.fill(record) else { return false };
                out.push(std::mem::replace(&mut open, b','));
                crate::json::string(out, key);
                out.push(b':');
                crate::json::string(out, &text);
            }
            out.push(b'}');
        }
        if open == b',' {
            out.push(b'}');
        }
        true
    }
}
