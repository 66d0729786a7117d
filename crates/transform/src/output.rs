//! What is written of a record: a line of JSON, the keys of its partition, its table.

use crate::record::Record;
use crate::scope::Known;
use crate::template::Template;

/// The output of a pipeline.
#[derive(Debug, Default)]
pub(crate) struct Output {
    /// The fields, each with the comma before it and the colon after it.
    pub(crate) members: Vec<(usize, Box<[u8]>)>,
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
                (known.slot, key.into())
            })
            .collect();
    }

    /// Appends the record as one JSON object.
    pub(crate) fn write(&self, record: &Record<'_>, out: &mut Vec<u8>) {
        out.push(b'{');
        let start = out.len();
        for (slot, key) in &self.members {
            let value = record.values[*slot];
            if !value.is_null() {
                out.extend_from_slice(&key[usize::from(out.len() == start)..]);
                value.write(out);
            }
        }
        for (name, value) in &record.others {
            if out.len() > start {
                out.push(b',');
            }
            crate::json::string(out, name);
            out.push(b':');
            value.write(out);
        }
        out.push(b'}');
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
