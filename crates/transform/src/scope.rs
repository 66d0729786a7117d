//! The names that a pipeline knows at each of its steps, and the slots that they stand for.

use crate::value::Kind;

/// A field that an input can read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub kind: Kind,
    /// Whether an ordinary record lacks it.
    pub rare: bool,
}

impl Field {
    pub(crate) fn new(name: &str, kind: Kind) -> Self {
        Self { name: name.to_owned(), kind, rare: false }
    }
}

/// A name and where its value is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) field: Field,
    pub(crate) slot: usize,
}

/// The names at one point of a pipeline.
#[derive(Debug, Default)]
pub(crate) struct Scope {
    /// In the order of the output.
    pub(crate) known: Vec<Known>,
    /// How many slots a record has.
    pub(crate) slots: usize,
    /// Fields that an open input puts into a slot, since the pipeline names them.
    pub(crate) wanted: Vec<(String, usize)>,
    /// Whether a record can have fields that nothing declares.
    pub(crate) open: bool,
}

impl Scope {
    /// The slot of a name, made when the input may bring such a field.
    pub(crate) fn find(&mut self, name: &str) -> Option<Known> {
        if let Some(known) = self.get(name) {
            return Some(known.clone());
        }
        // A name that was wanted and is not known any more was removed by an earlier step.
        if !self.open || self.wanted.iter().any(|(wanted, _)| wanted == name) {
            return None;
        }
        Some(self.add(Field::new(name, Kind::Any)))
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Known> {
        self.known.iter().find(|known| known.field.name == name)
    }

    /// The slot for a field that a step makes. A field of that name is overwritten.
    pub(crate) fn define(&mut self, field: Field) -> usize {
        match self.known.iter_mut().find(|known| known.field.name == field.name) {
            Some(known) => {
                known.field = field;
                known.slot
            }
            None => self.add(field).slot,
        }
    }

    /// Takes a name away; its slot stays, unseen.
    pub(crate) fn remove(&mut self, name: &str) -> Option<Known> {
        let known = self.find(name)?;
        self.known.retain(|other| other.slot != known.slot);
        Some(known)
    }

    /// Gives a field another name, in the same place of the output.
    pub(crate) fn rename(&mut self, from: &str, to: &str) {
        if self.open {
            // A field that the record itself has under the new name gives way.
            self.remove(to);
        }
        if let Some(known) = self.find(from)
            && let Some(known) = self.known.iter_mut().find(|other| other.slot == known.slot)
        {
            to.clone_into(&mut known.field.name);
        }
    }

    /// A further slot. An open input would bring a field of that name among the others, so that
    /// it has to put it here instead.
    fn add(&mut self, field: Field) -> Known {
        let slot = match self.wanted.iter().find(|(wanted, _)| *wanted == field.name) {
            Some((_, slot)) => *slot,
            None => {
                self.wanted.push((field.name.clone(), self.slots));
                self.slots += 1;
                self.slots - 1
            }
        };
        let known = Known { field, slot };
        self.known.push(known.clone());
        known
    }

    /// The fields of an input, each with its slot. Inputs that are tried in order share them.
    pub(crate) fn input(&mut self, fields: &[Field]) -> Vec<usize> {
        fields
            .iter()
            .map(|field| match self.known.iter_mut().find(|k| k.field.name == field.name) {
                Some(known) => {
                    if known.field.kind != field.kind {
                        known.field.kind = Kind::Any;
                    }
                    known.slot
                }
                None => self.add(field.clone()).slot,
            })
            .collect()
    }

    pub(crate) fn names(&self) -> Vec<&str> {
        self.known.iter().map(|known| known.field.name.as_str()).collect()
    }
}
