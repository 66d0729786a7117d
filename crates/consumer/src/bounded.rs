//! A memory of the newest so many things.

use std::collections::{HashMap, VecDeque};

/// A map that forgets the oldest key when it is full.
#[derive(Debug)]
pub(crate) struct Bounded<V> {
    keys_max: usize,
    order: VecDeque<String>,
    values: HashMap<String, V>,
}

impl<V: Default> Bounded<V> {
    /// With room for so many keys, one at least.
    pub(crate) fn new(keys_max: usize) -> Self {
        Self { keys_max: keys_max.max(1), order: VecDeque::new(), values: HashMap::new() }
    }

    pub(crate) fn get(&self, key: &str) -> Option<&V> {
        self.values.get(key)
    }

    /// The value of a key, new if there was none.
    pub(crate) fn entry(&mut self, key: &str) -> &mut V {
        if !self.values.contains_key(key) {
            if self.order.len() >= self.keys_max
                && let Some(oldest) = self.order.pop_front()
            {
                self.values.remove(&oldest);
            }
            self.order.push_back(key.to_owned());
        }
        self.values.entry(key.to_owned()).or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_forgotten() {
        let mut memory = Bounded::new(2);
        for key in ["a", "b", "a", "c"] {
            *memory.entry(key) += 1;
        }
        assert_eq!(["a", "b", "c"].map(|key| memory.get(key).copied()), [None, Some(1), Some(1)]);
        *memory.entry("b") += 1;
        assert_eq!(memory.get("b"), Some(&2));
    }
}
