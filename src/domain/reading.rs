//! What a source said to one operation, with the time of it. Readings are what the cache keeps;
//! a context is readings merged.

use std::sync::Arc;

use jiff::Timestamp;

use super::field::NameId;
use super::value::Value;
use super::{Email, Phone};

/// The answer of one operation: the values of its best hit, and its hits if it identifies people.
#[derive(Debug, Default, Clone)]
pub struct Reading {
    /// Fields and own ids of the best hit. Lists that every record adds to are in here too.
    pub values: Vec<(NameId, Value)>,
    /// The verified people, best first; empty unless the operation is identifying.
    pub hits: Vec<Hit>,
    /// The vendor itself said that several records fit.
    pub ambiguous: bool,
    /// Values that did not fit their field's type and were left out; counted, never shown.
    pub unreadable_fields: u32,
}

/// A person a source named, verified against the identity.
#[derive(Debug, Clone, Default)]
pub struct Hit {
    /// The hit's own values, of which candidates are shown.
    pub values: Vec<(NameId, Value)>,
    pub phones: Vec<Phone>,
    pub emails: Vec<Email>,
    /// The matched number had the caller's extension.
    pub extension_matches: bool,
}

impl Reading {
    /// The value under a name.
    pub fn get(&self, name: NameId) -> Option<&Value> {
        self.values.iter().find(|(n, _)| *n == name).map(|(_, v)| v)
    }

    /// What the reading weighs in a cache, in bytes, roughly.
    pub fn weight(&self) -> usize {
        let values = |v: &[(NameId, Value)]| v.iter().map(|(_, v)| 8 + v.weight()).sum::<usize>();
        64 + values(&self.values) + self.hits.iter().map(|h| 96 + values(&h.values)).sum::<usize>()
    }
}

/// A reading with its time: what is fresh, kept or stale.
#[derive(Debug, Clone)]
pub struct Timed {
    pub reading: Arc<Reading>,
    pub found: bool,
    pub read_at: Timestamp,
}
