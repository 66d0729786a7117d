//! One record, or one of the events in it, on its way through the steps.

use std::borrow::Cow;

use crate::moment::Moment;
use crate::value::Value;

/// The values of one event. Names were resolved to slots when the pipeline was compiled.
pub(crate) struct Record<'r> {
    pub(crate) values: Vec<Value<'r>>,
    /// Fields that the pipeline does not name, of inputs that can have any.
    pub(crate) others: Vec<(Cow<'r, str>, Value<'r>)>,
    /// When the record reached the stream, or the event its log group.
    pub(crate) at: Option<Moment>,
    /// Whether a step could not read its database here.
    pub(crate) geoip_error: bool,
    /// The fields of a place as the output writes them, where it takes them together.
    pub(crate) written: Option<&'r [u8]>,
}

/// The memory of a record, kept from one to the next.
#[derive(Default)]
pub(crate) struct Memory {
    /// All null.
    values: Vec<Value<'static>>,
    others: Vec<(Cow<'static, str>, Value<'static>)>,
}

impl<'r> Record<'r> {
    /// An empty record with this many slots.
    pub(crate) fn new(memory: &mut Memory, slots: usize, at: Option<Moment>) -> Self {
        let mut values: Vec<Value<'r>> = std::mem::take(&mut memory.values);
        values.resize(slots, Value::Null);
        let others = std::mem::take(&mut memory.others);
        Self { values, others, at, geoip_error: false, written: None }
    }

    /// Forgets what an input began to read before it gave up.
    pub(crate) fn clear(&mut self) {
        self.values.fill(Value::Null);
        self.others.clear();
    }

    /// Gives the memory back.
    pub(crate) fn end(self, memory: &mut Memory) {
        memory.values = recycled(self.values);
        memory.others = recycled_others(self.others);
    }
}

/// A list of nothing in the memory of another: the standard library collects a mapped list into the
/// list's own memory where the sizes are the same.
fn recycled<'to>(values: Vec<Value<'_>>) -> Vec<Value<'to>> {
    values.into_iter().map(|_| Value::Null).collect()
}

/// The same, and nothing is ever mapped.
fn recycled_others<'to>(
    mut others: Vec<(Cow<'_, str>, Value<'_>)>,
) -> Vec<(Cow<'to, str>, Value<'to>)> {
    others.clear();
    others.into_iter().map(|_| (Cow::Borrowed(""), Value::Null)).collect()
}
