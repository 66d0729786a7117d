//! What is written of a record: a line of JSON, the keys of its partition, its table.

use std::ops::Range;

use crate::moment::Today;
use crate::record::Record;
use crate::scope::Known;
use crate::template::Template;
use crate::value::Value;

/// One field of the output.
#[derive(Debug)]
pub(crate) struct Member {
    slot: usize,
    /// The comma before it, its name, and the colon after it.
    key: Box<[u8]>,
    /// The same with the quote after it, filled up to a length that is copied in one go; only where
    /// it fits.
    quoted: Option<([u8; KEY_BYTES], usize)>,
}

/// Names of up to 26 bytes fit.
const KEY_BYTES: usize = 32;

/// The output of a pipeline.
#[derive(Debug, Default)]
pub(crate) struct Output {
    pub(crate) members: Vec<Member>,
    /// The first of the members that a step has written ahead, and how many they are.
    pub(crate) written: (usize, usize),
    pub(crate) today: Today,
    pub(crate) newline: bool,
    pub(crate) partition_keys: Vec<(String, Template)>,
    pub(crate) iceberg: Vec<(&'static str, Template)>,
}

impl Output {
    /// Fixes the fields and their order.
    pub(crate) fn fields(&mut self, known: &[Known]) {
        self.members = known
            .iter()
            .map(|known| {
                let mut key = vec![b','];
                crate::json::string(&mut key, &known.field.name);
                key.push(b':');
                let mut quoted = [0; KEY_BYTES];
                let fits = quoted.get_mut(..=key.len()).map(|quoted| {
                    quoted[..key.len()].copy_from_slice(&key);
                    quoted[key.len()] = b'"';
                });
                let quoted = fits.map(|()| (quoted, key.len() + 1));
                Member { slot: known.slot, key: key.into(), quoted }
            })
            .collect();
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
        Some(members.iter().map(|member| member.key.clone()).collect())
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
            crate::json::string(out, name);
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
        let Self { members, today, .. } = self;
        for member in members.get(which).unwrap_or_default() {
            let value = record.values[member.slot];
            let plain = match value {
                Value::Null => continue,
                Value::Logged(text) => text.as_plain(),
                _ => None,
            };
            match (plain, &member.quoted) {
                (Some(text), Some((key, len))) => {
                    let after = out.len() + len;
                    out.extend_from_slice(key);
                    out.truncate(after);
                    out.extend_from_slice(text.as_bytes());
                    out.push(b'"');
                }
                _ => {
                    out.extend_from_slice(&member.key);
                    match value {
                        Value::Time(moment) => moment.write_quoted(today, out),
                        value => value.write(out),
                    }
                }
            }
        }
    }

    /// Appends the record's metadata as JSON, without what is empty; `false` when a field that it
    /// needs is absent.
    pub(crate) fn metadata(&self, record: &Record<'_>, out: &mut Vec<u8>) -> bool {
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
